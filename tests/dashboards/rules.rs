//! The alerts: that they can be read, that each fires when it should, and that none does where nothing is wrong.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;
use serde_json::Value;
use tests::place;
use tests::services::prometheus;

use crate::world::World;

/// Demands that Prometheus evaluates every alert, and that none is on.
pub async fn nothing_is_wrong(world: &World) {
    let answer = world.prometheus.ask("rules", &[]).await;
    let groups = answer["groups"].as_array().expect("groups of rules");
    let rules: Vec<&Value> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
    assert_eq!(rules.len(), names().len(), "all are read");
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_eq!(rule["state"], "inactive", "{rule}");
    }
}

/// The names of all alerts.
fn names() -> BTreeSet<String> {
    let text = fs::read_to_string(prometheus::rules()).expect("the rules are there");
    let pattern = Regex::new(r"(?m)^ *- alert: (\w+)$").expect("a pattern");
    pattern.captures_iter(&text).map(|found| found[1].to_owned()).collect()
}

fn promtool(arguments: &[&str]) {
    let folder = place::workspace().join("tests/dashboards");
    let done = prometheus::program("promtool").args(arguments).current_dir(folder).output();
    let done = done.expect("promtool can be run");
    let told = [done.stdout, done.stderr].map(|told| String::from_utf8_lossy(&told).into_owned()).concat();
    assert!(done.status.success(), "promtool {arguments:?}: {told}");
}

#[test]
fn the_rules_are_well_formed() {
    promtool(&["check", "rules", "../../docker/alerts.yml"]);
}

#[test]
fn each_alert_fires_when_it_should() {
    promtool(&["test", "rules", "firing.yml"]);
    let tried = fs::read_to_string(place::workspace().join("tests/dashboards/firing.yml"));
    let tried = tried.expect("the file is there");
    let pattern = Regex::new(r#"alertname="(\w+)""#).expect("a pattern");
    let tried: BTreeSet<String> = pattern.captures_iter(&tried).map(|found| found[1].to_owned()).collect();
    assert_eq!(tried, names(), "each is tried");
}
