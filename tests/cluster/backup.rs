//! pg_dump of an installation in use, and pg_restore into a fresh database under fresh topics.

use tests::belongings::Belongings;
use tests::deployment::{Pair, Site};
use tests::server::Options;
use tests::services::kafka::Kafka;
use tests::services::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_under_load_holds_all_of_before() {
    let pair = Pair::start(Options::default()).await;
    let admin = pair.site().admin();
    let mut belongings = Belongings::make(&pair.whisk(), &admin).await;
    let before = belongings.goes_on().await;

    let postgres = Postgres::shared().await;
    let place = tempfile::tempdir().expect("a temporary folder can be made");
    let dump = place.path().join("oxwhisk.dump");
    postgres.dump(pair.site().database(), &dump);
    let secret = place.path().join("secret");
    std::fs::copy(pair.site().folder().join("secret"), &secret).expect("the secret is there");
    belongings.goes_on().await;
    belongings.rest().await;
    drop(pair.stop().await);

    let database = postgres.database().await;
    postgres.restore(&dump, &database);
    let site = Site::on(Kafka::shared().await.hosts(), database, Options::default());
    std::fs::copy(&secret, site.folder().join("secret")).expect("the folder is writable");
    let pair = Pair::start_on(site).await;
    belongings.expect_on(&pair.whisk(), &pair.site().admin(), &before).await;
    pair.stop().await;
}
