//! Two controllers, two invokers, and a Prometheus that reads them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tests::client::Client;
use tests::deployment::{Node, Role, Site};
use tests::namespace::Namespace;
use tests::place;
use tests::server::Options;
use tests::services::prometheus::Prometheus;
use tests::wait;
use tests::whisk::Whisk;

/// How long it may take until Prometheus has read what has happened.
const READ: Duration = Duration::from_secs(30);

/// A running platform that is watched.
pub struct World {
    pub site: Site,
    /// The first serves its metrics at an address of their own.
    pub controllers: [Node; 2],
    pub invokers: [Node; 2],
    pub prometheus: Prometheus,
    /// Where the first one's metrics are.
    apart: String,
    began: f64,
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "Prometheus goes by the time of the machine")]
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970").as_secs_f64()
}

impl World {
    pub async fn start() -> Self {
        let environment = [
            ("CONFIG_whisk_userEvents_enabled", "true"),
            // Containers are frozen while we look.
            ("CONFIG_whisk_containerProxy_timeouts_pauseGrace", "100ms"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let options = Options { environment, throttled: true, stem_cells: true, ..Options::default() };
        let site = Site::shared(options).await;
        let apart = format!("127.0.0.1:{}", place::free_port());
        let of_its_own = ["--metrics-address", &apart];
        let mut controllers =
            [site.spawn_on(Role::Controller, place::free_port(), &of_its_own), site.spawn(Role::Controller)];
        let mut invokers = [site.spawn(Role::Invoker), site.spawn(Role::Invoker)];
        for node in controllers.iter_mut().chain(&mut invokers) {
            node.wait_until_ready().await;
        }
        for controller in &controllers {
            controller.wait_for_invokers(2).await;
        }
        let prometheus = Prometheus::start(&apart).await;
        let world = Self { site, controllers, invokers, prometheus, apart, began: now() };
        world.until_read(r#"sum(up{job=~"controller|invoker"})"#, 4.0).await;
        world
    }

    /// Waits until Prometheus has read that an expression has this value.
    pub async fn until_read(&self, expression: &str, value: f64) {
        let what = format!("Prometheus says that {expression} is {value}");
        let seen = wait::until(&what, READ, || async {
            let values = self.prometheus.values(expression).await;
            (values.first().is_some_and(|found| *found >= value)).then_some(values)
        })
        .await;
        assert_eq!(seen, [value], "{expression}");
    }

    /// From its start to now, in seconds since 1970.
    pub fn span(&self) -> (f64, f64) {
        (self.began, now())
    }

    /// A namespace, as each controller serves it.
    pub async fn namespace(&self) -> [Namespace; 2] {
        let at = |at: usize| Whisk::of_our_own(self.controllers[at].url(), self.site.admin());
        let one = at(0).namespace().await;
        let other = at(1).sign_in(&one.auth).await;
        [one, other]
    }

    /// What every process shows, and that the first controller's API does not.
    pub async fn metrics(&self) -> Vec<String> {
        let [first, second] = &self.controllers;
        for path in ["/metrics", "/metrics/targets"] {
            first.client().get(path).await.expect(404);
        }
        let apart = Client::new(&format!("http://{}", self.apart), None);
        apart.get("/ping").await.expect(404);
        let mut texts = vec![apart.get("/metrics").await.expect(200).text()];
        for node in [second].into_iter().chain(&self.invokers) {
            texts.push(node.client().get("/metrics").await.expect(200).text());
        }
        texts
    }

    pub async fn stop(self) {
        let Self { site, controllers, invokers, prometheus, .. } = self;
        drop(prometheus);
        for node in invokers.into_iter().chain(controllers) {
            node.stop().await;
        }
        site.expect_no_journals();
    }
}
