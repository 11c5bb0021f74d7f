//! What settings are by default, read from how the settings write themselves.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;
use std::time::Duration;

use common::config::Config;

/// A value as `Debug` writes it.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Fields(BTreeMap<String, Tree>),
    Text(String),
}

/// The values of all settings.
pub struct Defaults(Tree);

impl Defaults {
    /// Those of this configuration.
    pub fn of(config: &Config) -> Self {
        Self(Reader(format!("{config:?}").chars().peekable()).value())
    }

    /// The value at a path of Rust's names, without the types around it; nothing where an optional part of
    /// the path is absent.
    pub fn get(&self, path: &[String]) -> Option<String> {
        let mut tree = &self.0;
        for part in path {
            let Tree::Fields(fields) = tree else { return None };
            tree = fields.get(part).unwrap_or_else(|| panic!("there is no setting {path:?}"));
        }
        match tree {
            Tree::Text(text) if text == "None" => None,
            Tree::Text(text) => Some(text.clone()),
            Tree::Fields(fields) => Some(format!("{fields:?}")),
        }
    }
}

/// `300s` as people write it.
pub fn time(text: &str) -> String {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..split].parse().unwrap_or_else(|_| panic!("{text} is no time"));
    let time = match &text[split..] {
        "s" => Duration::from_secs(number),
        "ms" => Duration::from_millis(number),
        "ns" if number == 0 => Duration::ZERO,
        unit => panic!("{text} is in {unit}"),
    };
    match time.as_millis() {
        0 => "0 s".to_owned(),
        ms if ms % 86_400_000 == 0 => format!("{} days", ms / 86_400_000),
        ms if ms % 60_000 == 0 => format!("{} m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{} s", ms / 1_000),
        ms => format!("{ms} ms"),
    }
}

/// A number of bytes as people write it.
pub fn size(text: &str) -> String {
    let bytes: u64 = text.parse().unwrap_or_else(|_| panic!("{text} is no size"));
    match bytes {
        0 => "0 MB".to_owned(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{} GB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MB", bytes >> 20),
        _ => format!("{bytes} B"),
    }
}

/// Reads what `Debug` wrote.
struct Reader<'a>(Peekable<Chars<'a>>);

impl Reader<'_> {
    fn skip(&mut self) {
        while self.0.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn value(&mut self) -> Tree {
        self.skip();
        let mut text = String::new();
        while let Some(next) = self.0.peek().copied() {
            match next {
                '"' => text.push_str(&self.string()),
                // A wrapper of one value: only that counts.
                '(' => {
                    self.0.next();
                    let inner = self.value();
                    self.skip();
                    self.0.next_if_eq(&')').expect("a wrapper holds one value");
                    return inner;
                }
                '{' if text.ends_with(' ') || text.is_empty() => return self.fields(text.is_empty()),
                '[' => text.push_str(&self.list()),
                ',' | ')' | '}' | ']' => break,
                _ => text.extend(self.0.next()),
            }
        }
        Tree::Text(text.trim().to_owned())
    }

    /// The fields of a struct, or, as text, the members of a map or a set.
    fn fields(&mut self, is_map: bool) -> Tree {
        self.0.next();
        let mut fields = BTreeMap::new();
        loop {
            self.skip();
            if self.0.next_if_eq(&'}').is_some() {
                break;
            }
            let mut name = String::new();
            while let Some(next) = self.0.next_if(|c| !matches!(c, ':' | ',' | '}')) {
                name.push(next);
            }
            assert!(self.0.peek().is_some(), "it ends within its braces");
            let value = match self.0.next_if_eq(&':') {
                Some(_) => self.value(),
                None => Tree::Text(String::new()),
            };
            fields.insert(name, value);
            self.skip();
            self.0.next_if_eq(&',');
        }
        match is_map {
            true if fields.is_empty() => Tree::Text("{}".to_owned()),
            true => Tree::Text(format!("{fields:?}")),
            false => Tree::Fields(fields),
        }
    }

    fn list(&mut self) -> String {
        let mut text = String::new();
        for next in self.0.by_ref() {
            text.push(next);
            if next == ']' {
                break;
            }
        }
        text
    }

    fn string(&mut self) -> String {
        self.0.next();
        let mut text = String::from("\"");
        for next in self.0.by_ref() {
            text.push(next);
            if next == '"' {
                break;
            }
        }
        text
    }
}

#[test]
fn what_debug_writes_is_read() {
    let text = r#"A { b: B { c: Size(17), d: None, e: "x, y" }, f: Some(3s), g: {}, h: [], i: u://…@h:1/x }"#;
    let defaults = Defaults(Reader(text.chars().peekable()).value());
    let get = |path: &[&str]| defaults.get(&path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
    for (path, value) in [
        (&["b", "c"][..], Some("17")),
        (&["b", "d"], None),
        (&["b", "e"], Some("\"x, y\"")),
        (&["f"], Some("3s")),
        (&["g"], Some("{}")),
        (&["h"], Some("[]")),
        (&["i"], Some("u://…@h:1/x")),
        (&["b", "d", "inner"], None),
    ] {
        assert_eq!(get(path).as_deref(), value, "{path:?}");
    }
    assert_eq!(
        (time("300s"), time("2592000s"), time("100ms")),
        ("5 m".into(), "30 days".into(), "100 ms".into())
    );
    assert_eq!((size("6068"), size("1073741824")), ("6068 B".to_owned(), "1 GB".to_owned()));
}
