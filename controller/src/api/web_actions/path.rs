//! The path of a web action: `/api/v1/web/{ns}/{package, or default}/{name}[.extension][/rest]`.
//!
//! Without one of the known extensions it is `.http`; an unknown one is part of the name. The namespace
//! is taken as it stands: `_` is nobody here. What follows the name is the action's business.

use common::entity::name::{EntityName, EntityPath, Fqn};

use crate::api::path::decode;

/// How every such path begins.
pub const WEB: &str = "/api/v1/web/";

/// The word for no package.
const DEFAULT: &str = "default";

/// What the answer is made of, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Status, headers and body as the action says.
    Http,
    /// The whole result.
    Json,
    /// A text, as HTML.
    Html,
    /// A text, as an image.
    Svg,
    /// Any value, as text.
    Text,
}

const EXTENSIONS: [(&str, Extension); 5] = [
    (".http", Extension::Http),
    (".json", Extension::Json),
    (".html", Extension::Html),
    (".svg", Extension::Svg),
    (".text", Extension::Text),
];

impl Extension {
    /// A name without its extension, and which that is.
    fn split(name: &str) -> (&str, Self) {
        let found =
            EXTENSIONS.iter().find_map(|(text, extension)| Some((name.strip_suffix(text)?, *extension)));
        found.unwrap_or((name, Self::Http))
    }
}

/// Which action, how its answer looks, and what is left of the path.
#[derive(Debug, PartialEq, Eq)]
pub struct WebPath<'a> {
    /// The action, as it is asked for.
    pub fqn: Fqn,
    /// How its answer looks.
    pub extension: Extension,
    /// Empty or from a slash on, still encoded.
    pub rest: &'a str,
}

impl<'a> WebPath<'a> {
    /// Takes a path apart that is still encoded; `None` if it names no action.
    pub fn parse(path: &'a str) -> Option<Self> {
        let (namespace, rest) = path.strip_prefix(WEB)?.split_once('/')?;
        let (package, rest) = rest.split_once('/')?;
        let (name, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = EntityPath::of(&parse_name(namespace)?);
        let package = parse_name(package)?;
        let path = if package.as_str() == DEFAULT { path } else { path.join(&package) };
        let name = parse_name(name)?;
        let (name, extension) = Extension::split(name.as_str());
        Some(Self { fqn: Fqn::new(path, EntityName::parse(name).ok()?), extension, rest })
    }
}

fn parse_name(segment: &str) -> Option<EntityName> {
    EntityName::parse(&decode(segment)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(rest: &str) -> Option<(String, Extension, String)> {
        let path = format!("{WEB}{rest}");
        WebPath::parse(&path).map(|path| (path.fqn.id(), path.extension, path.rest.to_owned()))
    }

    #[test]
    fn paths_name_actions() {
        use Extension::{Html, Http, Json, Svg, Text};
        for (path, id, extension, rest) in [
            ("ns/default/a", "ns/a", Http, ""),
            ("ns/default/a.json", "ns/a", Json, ""),
            ("ns/p/a.html/", "ns/p/a", Html, "/"),
            ("ns/p/a.svg/x/y", "ns/p/a", Svg, "/x/y"),
            ("ns/p/a.text/%20//b", "ns/p/a", Text, "/%20//b"),
            ("ns/p/t.wxyz.http", "ns/p/t.wxyz", Http, ""),
            ("ns/p/t.wxyz/content", "ns/p/t.wxyz", Http, "/content"),
            ("ns/p/a.json.json", "ns/p/a.json", Json, ""),
            ("n%20s/defaults/a%26b", "n s/defaults/a&b", Http, ""),
            ("_/default/a", "_/a", Http, ""),
        ] {
            assert_eq!(parsed(path), Some((id.to_owned(), extension, rest.to_owned())), "{path}");
        }
    }

    #[test]
    fn other_paths_name_none() {
        for path in [
            "",
            "a",
            "a/b",
            "a/b/",
            "a//b",
            "/a/b",
            "a/b/.json",
            "a/b/x%2Fy",
            "a/b/x%",
            "a/-/c",
            "a/b/c%20.json",
        ] {
            assert_eq!(parsed(path), None, "{path}");
        }
        assert_eq!(WebPath::parse("/api/v1/webs/a/b/c"), None);
    }

    proptest! {
        #[test]
        fn any_path_is_judged(path in "\\PC{0,40}", tail in "[a-z./%0-9]{0,20}") {
            let _ = WebPath::parse(&path);
            let _ = parsed(&tail);
            let _ = parsed(&path);
        }
    }
}
