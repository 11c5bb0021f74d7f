//! The dashboards as Grafana reads them.

use std::fs;

use regex::Regex;
use serde_json::Value;
use tests::place;

/// One dashboard.
pub struct Board {
    pub title: String,
    pub variables: Vec<Variable>,
    panels: Vec<Value>,
}

/// What its reader chooses.
pub struct Variable {
    pub name: String,
    query: String,
    all: String,
}

/// One question of a panel.
pub struct Query {
    pub panel: String,
    pub expression: String,
    pub is_instant: bool,
}

impl Board {
    /// All that we ship.
    pub fn all() -> Vec<Self> {
        let folder = place::workspace().join("docker/grafana/dashboards");
        let files = fs::read_dir(&folder).expect("the folder of dashboards is there").flatten();
        let boards: Vec<Self> = files.map(|file| Self::read(&file.path())).collect();
        assert!(boards.len() >= 3, "platform, namespaces, containers");
        boards
    }

    fn read(file: &std::path::Path) -> Self {
        let text = fs::read_to_string(file).expect("a dashboard can be read");
        let board: Value = serde_json::from_str(&text).expect("a dashboard is JSON");
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let word = |value: &Value| value.as_str().expect("a text").to_owned();
        let variable = |variable: &Value| Variable {
            name: word(&variable["name"]),
            query: word(&variable["query"]["query"]),
            all: word(&variable["allValue"]),
        };
        Self {
            title: word(&board["title"]),
            variables: list(&board["templating"]["list"]).iter().map(variable).collect(),
            panels: list(&board["panels"]),
        }
    }

    /// What its panels ask.
    pub fn queries(&self) -> Vec<Query> {
        let of_panel = |panel: &Value| {
            let targets = panel["targets"].as_array().cloned().unwrap_or_default();
            assert!(!targets.is_empty() || panel["type"] == "row", "{} asks something", panel["title"]);
            let query = |target: &Value| Query {
                panel: panel["title"].as_str().expect("a panel has a title").to_owned(),
                expression: target["expr"].as_str().expect("a target has an expression").to_owned(),
                is_instant: target["instant"] == true,
            };
            targets.iter().map(query).collect::<Vec<_>>()
        };
        let queries: Vec<Query> = self.panels.iter().flat_map(of_panel).collect();
        assert!(!queries.is_empty(), "{} has panels", self.title);
        queries
    }

    /// An expression with what Grafana puts in: intervals, and all values of each variable.
    pub fn filled(&self, expression: &str, rate: u64, range: f64) -> String {
        let mut filled = expression.replace("$__rate_interval", &format!("{rate}s"));
        filled = filled.replace("$__range", &format!("{range}s"));
        for variable in &self.variables {
            filled = filled.replace(&format!("${}", variable.name), &variable.all);
        }
        assert!(!filled.contains('$'), "{filled} has a variable that nobody fills");
        filled
    }
}

impl Variable {
    /// Of which series and which label its values are: `label_values(series, label)`.
    pub fn source(&self) -> (String, String) {
        let pattern = Regex::new(r"^label_values\((.+), (\w+)\)$").expect("a pattern");
        let found = pattern.captures(&self.query).unwrap_or_else(|| panic!("{} lists values", self.query));
        // Those that it depends on stand at all.
        let series = Regex::new(r"\$\w+").expect("a pattern").replace_all(&found[1], ".*").into_owned();
        (series, found[2].to_owned())
    }
}
