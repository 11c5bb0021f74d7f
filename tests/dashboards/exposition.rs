//! What `/metrics` shows, taken apart.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

/// The labels of each metric that is there.
pub type Metrics = BTreeMap<String, BTreeSet<String>>;

/// Reads several answers as one. What has no series yet has no labels.
pub fn read(texts: &[String]) -> Metrics {
    let series = Regex::new(r"^(\w+?)(_bucket|_sum|_count)?(?:\{(.*)\})? \S+$").expect("a pattern");
    let label = Regex::new(r#"(\w+)="(?:[^"\\]|\\.)*""#).expect("a pattern");
    let mut metrics = Metrics::new();
    for text in texts {
        let mut histograms = BTreeSet::new();
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a kind");
                metrics.entry(name.to_owned()).or_default();
                if kind == "histogram" {
                    histograms.insert(name.to_owned());
                }
            } else if !line.starts_with('#') {
                let found = series.captures(line).unwrap_or_else(|| panic!("{line} is a sample"));
                let name = match histograms.contains(&found[1]) {
                    true => found[1].to_owned(),
                    false => format!("{}{}", &found[1], found.get(2).map_or("", |part| part.as_str())),
                };
                let labels = found.get(3).map_or("", |labels| labels.as_str());
                let labels = label.captures_iter(labels).map(|found| found[1].to_owned());
                let known = metrics.get_mut(&name).unwrap_or_else(|| panic!("{name} has a type"));
                known.extend(labels.filter(|label| label != "le"));
            }
        }
    }
    metrics
}
