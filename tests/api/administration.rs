//! What `wskadmin` shows of an installation that is in use: whose a key is, and what its databases hold.

use serde_json::{Value, json};
use tests::admin::Admin;
use tests::fixtures::ECHO;
use tests::whisk::Whisk;

/// The table that a command printed under its first line.
async fn table(admin: &Admin, arguments: &[&str], heading: &str) -> Value {
    let printed = admin.run(&[&["db", "get"], arguments].concat()).await;
    let (first, rest) = printed.split_once('\n').unwrap_or((&printed, ""));
    assert_eq!(first, format!("getting contents for {heading}"));
    serde_json::from_str(rest)
        .unwrap_or_else(|error| panic!("{arguments:?} printed no JSON: {error}: {rest}"))
}

/// The rows whose key begins with this namespace, or are of its documents.
fn rows_of<'a>(table: &'a Value, namespace: &str) -> Vec<&'a Value> {
    let rows = table["rows"].as_array().expect("a table has rows");
    assert_eq!(table["total_rows"], json!(rows.len()));
    let of = |row: &&Value| row["id"].as_str().is_some_and(|id| id.split('/').next() == Some(namespace));
    rows.iter().filter(of).collect()
}

#[tokio::test]
async fn a_key_tells_whose_it_is() {
    let Some((me, admin)) = Whisk::shared().await.fresh(1).await else { return };
    let auth = admin.run(&["user", "get", &me.name]).await;
    let told = admin.run(&["user", "whois", &auth]).await;
    assert_eq!(told, format!("subject: {}\nnamespace: {}", me.name, me.name));
    assert_eq!(admin.run(&["user", "whois", &format!("{auth}x")]).await, "Subject id is not recognized");
}

#[tokio::test]
async fn the_databases_show_what_was_written() {
    let Some((me, admin)) = Whisk::shared().await.fresh(1).await else { return };
    let ns = me.name.as_str();
    let package = me.put_package("package", &json!({})).await;
    me.put_js_in(&package, "inner", ECHO).await;
    let echo = me.put_js("echo", ECHO).await;
    let trigger = me.put_trigger(&json!({})).await;
    me.put_rule(&trigger, &echo).await;
    let activation = me.fire(&echo, &json!({ "a": 1 })).await;
    me.wait_for_activation(&activation).await;

    let whisks = table(&admin, &["whisks", "--docs"], "whisks (primary index)").await;
    let mut kinds: Vec<&str> =
        rows_of(&whisks, ns).iter().filter_map(|row| row["doc"]["entityType"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["action", "action", "package", "rule", "trigger"]);
    for row in rows_of(&whisks, ns) {
        assert_eq!((&row["id"], &row["value"]["rev"]), (&row["doc"]["_id"], &row["doc"]["_rev"]));
    }
    for (view, rows) in [("actions", 3), ("packages", 1), ("triggers", 1), ("rules", 1)] {
        let view = format!("whisks.v2.1.0/{view}");
        let shown = table(&admin, &["whisks", "-w", &view], &format!("whisks ({view})")).await;
        assert_eq!(rows_of(&shown, ns).len(), rows, "{view}: {shown}");
    }

    let activations = table(&admin, &["activations", "--docs"], "activations (primary index)").await;
    let id = format!("{ns}/{activation}");
    let of_activation =
        |table: &Value| table["rows"].as_array().into_iter().flatten().find(|row| row["id"] == *id).cloned();
    let row = of_activation(&activations).expect("the record is there");
    assert_eq!(row["doc"]["response"]["result"], json!({ "a": 1 }));
    let view = "whisks-filters.v2.1.1/activations";
    let shown = table(&admin, &["activations", "-w", view], &format!("activations ({view})")).await;
    let row = of_activation(&shown).expect("the record is there by its name");
    assert_eq!((&row["key"][0], &row["value"]["statusCode"]), (&json!(format!("{ns}/{echo}")), &json!(0)));

    // Keys are for `user get` alone.
    let subjects = table(&admin, &["subjects", "--docs"], "subjects (primary index)").await;
    let auth = admin.run(&["user", "get", ns]).await;
    let (uuid, key) = auth.split_once(':').expect("uuid:key");
    let row = rows_of(&subjects, ns).pop().expect("the subject is there").clone();
    assert_eq!(row["doc"]["namespaces"], json!([{ "name": ns, "uuid": uuid }]));
    assert!(!subjects.to_string().contains(key));
}
