//! Upstream's views: which rows a document has in each (`ansible/files/*_design_document_*.json`), and in which
//! order CouchDB shows them.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::documents::Database;

/// What a list shows of an entity.
const SUMMARY: &[&str] = &["namespace", "name", "version", "publish", "annotations", "updated"];
/// What a list shows of a record.
const RECORD: &[&str] =
    &["namespace", "name", "version", "publish", "annotations", "activationId", "start", "end", "cause"];

/// A key and a value.
type Row = (Value, Value);

/// A view: what it makes of a document.
pub(super) struct View(fn(&Value) -> Vec<Row>);

impl View {
    pub(super) fn named(database: Database, design: &str, name: &str) -> Option<Self> {
        let rows: fn(&Value) -> Vec<Row> = match (database, design, name) {
            (Database::Subjects, "subjects.v2.0.0", "identities") => identities,
            (Database::Subjects, "namespaceThrottlings", "blockedNamespaces") => blocked_namespaces,
            (Database::Whisks, "whisks.v2.1.0", "actions") => actions,
            (Database::Whisks, "whisks.v2.1.0", "packages") => packages,
            (Database::Whisks, "whisks.v2.1.0", "packages-public") => public_packages,
            (Database::Whisks, "whisks.v2.1.0", "triggers") => triggers,
            (Database::Whisks, "whisks.v2.1.0", "rules") => rules,
            (Database::Activations, "whisks.v2.1.0", "activations") => activations,
            (Database::Activations, "whisks-filters.v2.1.1", "activations") => activations_by_name,
            (Database::Activations, "activations", "byDate") => by_date,
            (Database::Activations, "logCleanup", "byDateWithLogs") => by_date_with_logs,
            _ => return None,
        };
        Some(Self(rows))
    }

    pub(super) fn rows(&self, document: &Value) -> Vec<Row> {
        (self.0)(document)
    }
}

/// CouchDB's order of keys, as far as views have them: null, numbers, texts, lists.
pub(super) fn compare(one: &Value, other: &Value) -> Ordering {
    let class = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    };
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default())
        }
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let items = a.iter().zip(b).map(|(a, b)| compare(a, b));
            items.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
        }
        _ => class(one).cmp(&class(other)),
    }
}

fn identities(document: &Value) -> Vec<Row> {
    if document["blocked"] == true {
        return Vec::new();
    }
    let rows = namespaces(document).flat_map(|namespace| {
        let value = json!({
            "_id": format!("{}/limits", text(&namespace["name"])),
            "namespace": namespace["name"],
            "uuid": namespace["uuid"],
        });
        [(json!([namespace["name"]]), value.clone()), (json!([namespace["uuid"]]), value)]
    });
    rows.collect()
}

fn blocked_namespaces(document: &Value) -> Vec<Row> {
    if let Some(namespace) = text(&document["_id"]).strip_suffix("/limits") {
        let none = |limit: &str| document[limit] == 0;
        let is_blocked = none("concurrentInvocations") || none("invocationsPerMinute");
        return if is_blocked { vec![(json!(namespace), json!(1))] } else { Vec::new() };
    }
    if document["blocked"] != true {
        return Vec::new();
    }
    namespaces(document).map(|namespace| (namespace["name"].clone(), json!(1))).collect()
}

fn namespaces(document: &Value) -> impl Iterator<Item = &Value> {
    document["namespaces"].as_array().into_iter().flatten()
}

fn actions(document: &Value) -> Vec<Row> {
    by_namespace(document, "action", || {
        let mut value = members(document, SUMMARY);
        value["limits"] = document["limits"].clone();
        value["exec"] = json!({ "binary": document["exec"]["binary"] == true });
        value
    })
}

fn triggers(document: &Value) -> Vec<Row> {
    by_namespace(document, "trigger", || members(document, SUMMARY))
}

fn rules(document: &Value) -> Vec<Row> {
    by_namespace(document, "rule", || json!(1))
}

fn packages(document: &Value) -> Vec<Row> {
    by_namespace(document, "package", || {
        let mut value = members(document, SUMMARY);
        value["binding"] = if is_binding(document) { document["binding"].clone() } else { json!(false) };
        value
    })
}

fn public_packages(document: &Value) -> Vec<Row> {
    if document["publish"] == true && !is_binding(document) { packages(document) } else { Vec::new() }
}

fn is_binding(document: &Value) -> bool {
    document["binding"].as_object().is_some_and(|binding| !binding.is_empty())
}

/// A row for the namespace, and one for the namespace with its package.
fn by_namespace(document: &Value, kind: &str, value: impl Fn() -> Value) -> Vec<Row> {
    if document["entityType"] != kind {
        return Vec::new();
    }
    let path = text(&document["namespace"]);
    let root = path.split('/').next().unwrap_or(path);
    let mut rows = vec![(json!([path, document["updated"]]), value())];
    if root != path {
        rows.push((json!([root, document["updated"]]), value()));
    }
    rows
}

fn activations(document: &Value) -> Vec<Row> {
    vec![(json!([document["namespace"], document["start"]]), record(document))]
}

fn activations_by_name(document: &Value) -> Vec<Row> {
    let (name, annotation) = (text(&document["name"]), |key| text(annotation(document, key)));
    let package = match (annotation("binding"), annotation("path").split('/').collect::<Vec<_>>().as_slice())
    {
        ("", [_, package, _]) => Some((*package).to_owned()),
        ("", _) => None,
        (binding, _) => binding.split('/').nth(1).map(str::to_owned),
    };
    let filter = package.map_or_else(|| name.to_owned(), |package| format!("{package}/{name}"));
    let namespace = text(&document["namespace"]);
    vec![(json!([format!("{namespace}/{filter}"), document["start"]]), record(document))]
}

fn by_date(document: &Value) -> Vec<Row> {
    vec![(document["start"].clone(), json!([document["_id"], document["_rev"]]))]
}

fn by_date_with_logs(document: &Value) -> Vec<Row> {
    let has_logs = document["logs"].as_array().is_some_and(|logs| !logs.is_empty());
    if !has_logs || annotation(document, "kind") == "sequence" {
        return Vec::new();
    }
    vec![(document["start"].clone(), document["_id"].clone())]
}

fn record(document: &Value) -> Value {
    let mut value = members(document, RECORD);
    if let (Some(start), Some(end)) = (document["start"].as_u64(), document["end"].as_u64()) {
        value["duration"] = end.saturating_sub(start).into();
        value["statusCode"] = document["response"]["statusCode"].clone();
    }
    value
}

fn annotation<'a>(document: &'a Value, key: &str) -> &'a Value {
    let annotations = document["annotations"].as_array().into_iter().flatten();
    annotations
        .filter(|annotation| annotation["key"] == key)
        .map(|annotation| &annotation["value"])
        .next_back()
        .unwrap_or(&Value::Null)
}

/// Those members that are there.
fn members(document: &Value, names: &[&str]) -> Value {
    let members = names.iter().filter_map(|name| Some(((*name).to_owned(), document.get(*name)?.clone())));
    Value::Object(members.collect::<Map<String, Value>>())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(database: Database, view: &str, document: Value) -> Vec<Value> {
        let (design, name) = view.split_once('/').unwrap();
        let rows = View::named(database, design, name).unwrap().rows(&document);
        rows.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn an_action_in_a_package_is_listed_twice() {
        let action =
            json!({ "entityType": "action", "namespace": "a/p", "updated": 5, "exec": { "kind": "x" } });
        assert_eq!(
            keys(Database::Whisks, "whisks.v2.1.0/actions", action.clone()),
            [json!(["a/p", 5]), json!(["a", 5])]
        );
        assert!(keys(Database::Whisks, "whisks.v2.1.0/rules", action).is_empty());
    }

    #[test]
    fn packages_show_what_they_are_bound_to_and_strangers_see_no_bindings() {
        let package = json!({ "entityType": "package", "namespace": "a", "updated": 5, "publish": true, "binding": {} });
        let bound = json!({ "entityType": "package", "namespace": "a", "updated": 5, "publish": true, "binding": { "name": "p" } });
        assert_eq!(packages(&package)[0].1["binding"], json!(false));
        assert_eq!(packages(&bound)[0].1["binding"], json!({ "name": "p" }));
        assert_eq!(public_packages(&package).len() + public_packages(&bound).len(), 1);
    }

    #[test]
    fn blocks_and_limits_of_nothing_block_namespaces() {
        let view = |document| keys(Database::Subjects, "namespaceThrottlings/blockedNamespaces", document);
        assert_eq!(view(json!({ "_id": "ns/limits", "invocationsPerMinute": 0 })), ["ns"]);
        assert!(view(json!({ "_id": "ns/limits", "invocationsPerMinute": 1 })).is_empty());
        let subject = |blocked: bool| json!({ "_id": "s", "blocked": blocked, "namespaces": [{ "name": "n", "uuid": "u" }] });
        assert_eq!(view(subject(true)), ["n"]);
        assert!(view(subject(false)).is_empty());
        assert_eq!(identities(&subject(false)).len(), 2);
        assert!(identities(&subject(true)).is_empty());
    }

    #[test]
    fn records_are_found_by_date_and_by_the_package_of_the_binding_or_the_path() {
        let record = |annotations: Value| {
            json!({
                "_id": "ns/1", "_rev": "1-0", "namespace": "ns", "name": "x", "start": 7, "end": 9,
                "response": { "statusCode": 1 }, "logs": ["a"], "annotations": annotations,
            })
        };
        let path = json!([{ "key": "path", "value": "ns/p/x" }]);
        let key = |annotations| activations_by_name(&record(annotations))[0].0.clone();
        assert_eq!(key(path.clone()), json!(["ns/p/x", 7]));
        assert_eq!(key(json!([{ "key": "path", "value": "ns/x" }])), json!(["ns/x", 7]));
        assert_eq!(
            key(json!([{ "key": "path", "value": "o/p/x" }, { "key": "binding", "value": "ns/b" }])),
            json!(["ns/b/x", 7])
        );
        let value = activations(&record(path)).remove(0).1;
        assert_eq!((&value["duration"], &value["statusCode"]), (&json!(2), &json!(1)));
        assert_eq!(by_date_with_logs(&record(json!([]))).len(), 1);
        assert!(by_date_with_logs(&record(json!([{ "key": "kind", "value": "sequence" }]))).is_empty());
    }

    #[test]
    fn keys_are_ordered_as_couchdb_does() {
        let mut keys =
            vec![json!(["a", 10]), json!(["a/b", 1]), json!(["a", 9]), json!(["a"]), json!(3), json!("z")];
        keys.sort_by(compare);
        assert_eq!(
            keys,
            [json!(3), json!("z"), json!(["a"]), json!(["a", 9]), json!(["a", 10]), json!(["a/b", 1])]
        );
    }
}
