//! docs/metrics.md lists every metric with its labels, and none that there is not; and every alert.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;
use tests::place;

use crate::exposition::{self, Metrics};
use crate::world::World;

fn page() -> String {
    fs::read_to_string(place::workspace().join("docs/metrics.md")).expect("the page is there")
}

/// The words in backticks.
fn words(text: &str) -> Vec<String> {
    let word = Regex::new("`([^`]+)`").expect("a pattern");
    word.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// What the tables list: the first column names metrics, or markers where its head says so, the second labels.
fn listed(page: &str) -> Metrics {
    let mut metrics = Metrics::new();
    let mut head = String::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells[..] {
            ["", first, "labels", ..] => head = first.to_owned(),
            ["", names, labels, ..] if !head.is_empty() => {
                let labels: BTreeSet<String> = words(labels).into_iter().collect();
                for name in words(names).iter().flat_map(|name| spelled_out(name)) {
                    for name in expanded(&head, &name) {
                        assert!(
                            metrics.insert(name.clone(), labels.clone()).is_none(),
                            "{name} stands twice"
                        );
                    }
                }
            }
            _ => head.clear(),
        }
    }
    metrics
}

/// Each name that `a{b,c}d` stands for.
fn spelled_out(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let (choice, after) = rest.split_once('}').unwrap_or_else(|| panic!("{name} has an end"));
    choice.split(',').flat_map(|chosen| spelled_out(&format!("{before}{chosen}{after}"))).collect()
}

fn expanded(head: &str, name: &str) -> Vec<String> {
    let unit = match head {
        "metric" => return vec![name.to_owned()],
        "marker" => "_seconds",
        "marker without a unit" => "",
        other => panic!("a table of {other}"),
    };
    vec![
        format!("counter_{name}_start_total"),
        format!("histogram_{name}_finish{unit}"),
        format!("counter_{name}_error_total"),
        format!("histogram_{name}_error{unit}"),
    ]
}

/// Demands that the page and the platform say the same.
pub async fn every_metric_is_described(world: &World) {
    let (shown, listed) = (exposition::read(&world.metrics().await), listed(&page()));
    let unlisted: Vec<_> = shown.keys().filter(|name| !listed.contains_key(*name)).collect();
    assert!(unlisted.is_empty(), "docs/metrics.md does not list {unlisted:#?}");
    let absent: Vec<_> = listed.keys().filter(|name| !shown.contains_key(*name)).collect();
    assert!(absent.is_empty(), "docs/metrics.md lists what is not there: {absent:#?}");
    for (name, labels) in &shown {
        assert_eq!(&listed[name], labels, "the labels of {name}");
    }
}

#[test]
fn every_alert_is_described() {
    let page = page();
    let rules = fs::read_to_string(tests::services::prometheus::rules()).expect("the rules are there");
    let alert = Regex::new(r"(?m)^ *- alert: (\w+)$").expect("a pattern");
    let missing: Vec<String> = alert
        .captures_iter(&rules)
        .map(|found| found[1].to_owned())
        .filter(|name| !page.contains(&format!("| `{name}` |")))
        .collect();
    assert!(missing.is_empty(), "docs/metrics.md does not say what to do at {missing:?}");
}
