//! The runtimes manifest: which kinds there are, which image runs each, which is a family's default.
//!
//! Upstream's format (`ansible/files/runtimes.json`, `.../core/entity/ExecManifest.scala`), so that a
//! manifest of theirs can be given as it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::images::RuntimesConfig;
use crate::entity::limits::ByteSize;

/// An image as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageName {
    /// Before the slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// After the slash.
    pub name: String,
    /// After the colon; `latest` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// In front of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
}

/// A text that names no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not parse image name")]
pub struct ImageNameError;

impl ImageName {
    /// `[registry/][prefix/]name:tag`
    pub fn reference(&self) -> String {
        let parts = [self.registry.as_deref(), self.prefix.as_deref(), Some(self.name.as_str())];
        let path: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        format!("{}:{}", path.join("/"), self.tag.as_deref().unwrap_or("latest"))
    }

    /// An image that a user names, as it is called in this registry unless it names one itself.
    pub fn at_registry(image: &str, registry: &str) -> String {
        match (registry.trim_end_matches('/'), registry_of(image)) {
            ("", _) | (_, Some(_)) => image.to_owned(),
            (registry, None) => format!("{registry}/{image}"),
        }
    }

    /// Checks an image that a user names: `[registry/][prefix/]name[:tag][@digest]`. Returns it as given.
    pub fn check(text: &str) -> Result<&str, ImageNameError> {
        let part = |s: &str, more: &[char]| {
            s.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                && s.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        let segments: Vec<&str> = path.split('/').collect();
        let legal = segments.iter().enumerate().all(|(at, segment)| {
            let host = at == 0 && segments.len() > 1;
            part(segment, if host { &['.', '-', '_', ':'] } else { &['.', '-', '_'] })
                && (host || !segment.chars().any(|c| c.is_ascii_uppercase()))
        }) && tag.is_none_or(|tag| tag.len() <= 128 && part(tag, &['.', '-', '_']))
            && digest.is_none_or(|digest| digest.contains(':') && part(digest, &[':', '+', '.', '-', '_']));
        if legal { Ok(text) } else { Err(ImageNameError) }
    }
}

/// The registry that an image's name begins with, as upstream tells it from a prefix: by a dot or a port.
fn registry_of(image: &str) -> Option<&str> {
    let (first, _) = image.split_once('/')?;
    first.contains(['.', ':']).then_some(first)
}

/// All of an image's name before its last part, but for the registry.
fn prefix_of(image: &str) -> &str {
    let path = registry_of(image).map_or(image, |registry| &image[registry.len() + 1..]);
    path.rsplit_once('/').map_or("", |(prefix, _)| prefix)
}

/// Stem cells of a kind: how many containers of which memory wait for their first action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StemCell {
    /// At start.
    #[serde(alias = "count")]
    pub initial_count: u32,
    /// Of each.
    pub memory: ByteSize,
    /// How their number follows the demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactive: Option<Reactive>,
}

/// How the number of stem cells follows the cold starts that they could have spared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reactive {
    /// Never fewer.
    pub min_count: u32,
    /// Never more.
    pub max_count: u32,
    /// One that waited so long without a job is replaced.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// So many cold starts
    pub threshold: u32,
    /// make so many stem cells.
    pub increment: u32,
}

impl StemCell {
    /// What is wrong with it, in upstream's terms (`ExecManifest.scala`).
    fn contradiction(&self) -> Option<&'static str> {
        if self.initial_count == 0 {
            return Some("initialCount must be at least 1");
        }
        if self.memory.mb() == 0 {
            return Some("memory must be at least 1 MB");
        }
        let reactive = self.reactive.as_ref()?;
        let of_max = |count: u32| (1..=reactive.max_count).contains(&count);
        if reactive.max_count == 0 {
            Some("maxCount must be at least 1")
        } else if reactive.min_count > reactive.max_count {
            Some("minCount must not be more than maxCount")
        } else if reactive.ttl.is_zero() {
            Some("ttl must be longer than nothing")
        } else if !of_max(reactive.threshold) {
            Some("threshold must be from 1 to maxCount")
        } else if !of_max(reactive.increment) {
            Some("increment must be from 1 to maxCount")
        } else {
            None
        }
    }
}

/// One kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeKind {
    /// Such as `nodejs:20`.
    pub kind: String,
    /// What runs it.
    pub image: ImageName,
    /// Whether it is what `<family>:default` means.
    #[serde(default)]
    pub default: bool,
    /// Whether it can no longer be created, changed or invoked.
    #[serde(default)]
    pub deprecated: bool,
    /// Whether an action of it must name its main.
    #[serde(default)]
    pub require_main: bool,
    /// Whether its image ends the logs of an activation with sentinels.
    #[serde(default = "yes")]
    pub sentinelled_logs: bool,
    /// Upstream's mark that code is stored apart; all code is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<serde_json::Value>,
    /// Containers that wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stem_cells: Vec<StemCell>,
}

fn yes() -> bool {
    true
}

/// All kinds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    runtimes: BTreeMap<String, Vec<RuntimeKind>>,
    #[serde(default)]
    blackboxes: Vec<ImageName>,
    /// Users' images with this prefix count as the platform's own; a setting, no part of the file.
    #[serde(skip)]
    local_prefix: Option<String>,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON of that form.
    #[error("the runtimes manifest cannot be read: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Several kinds and not exactly one default.
    #[error("runtimes manifest: family '{0}' has several kinds and needs exactly one with \"default\": true")]
    Default(String),
    /// The same kind twice.
    #[error("runtimes manifest: kind '{0}' stands in it twice")]
    Duplicate(String),
    /// Stem cells that cannot be.
    #[error("runtimes manifest: stem cells of kind '{kind}': {problem}")]
    StemCells {
        /// Whose.
        kind: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// No kind at all.
    #[error("runtimes manifest: family '{0}' has no kind")]
    Empty(String),
}

/// The manifest that is built in.
const BUILT_IN: &str = include_str!("../../runtimes/runtimes.json");

impl Manifest {
    /// The manifest in that file, or the built-in one, under these settings.
    pub fn load(file: Option<&Path>, settings: &RuntimesConfig) -> anyhow::Result<Self> {
        let manifest = match file {
            None => Self::parse(BUILT_IN)?,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("--runtimes {} cannot be read", path.display()))?;
                Self::parse(&text).with_context(|| format!("--runtimes {}", path.display()))?
            }
        };
        let local_prefix = settings.bypass_pull_for_local_images.then(|| settings.local_image_prefix.clone());
        Ok(Self { local_prefix, ..manifest })
    }

    /// The same manifest with its images in this registry, but for those that name one themselves.
    #[must_use]
    pub fn at_registry(&self, registry: &str) -> Self {
        let mut moved = self.clone();
        let registry = registry.trim_end_matches('/');
        if !registry.is_empty() {
            for kind in moved.runtimes.values_mut().flatten() {
                kind.image.registry.get_or_insert_with(|| registry.to_owned());
            }
        }
        moved
    }

    /// Reads and checks a manifest.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut manifest: Self = serde_json::from_str(text)?;
        let mut seen = std::collections::HashSet::new();
        for (family, kinds) in &mut manifest.runtimes {
            match kinds.as_mut_slice() {
                [] => return Err(ManifestError::Empty(family.clone())),
                [only] => only.default = true,
                several if several.iter().filter(|kind| kind.default).count() != 1 => {
                    return Err(ManifestError::Default(family.clone()));
                }
                _ => {}
            }
            for kind in kinds {
                if !seen.insert(kind.kind.clone()) {
                    return Err(ManifestError::Duplicate(kind.kind.clone()));
                }
                let mut sizes = std::collections::HashSet::new();
                let twice = |cell: &StemCell| {
                    (!sizes.insert(cell.memory.mb())).then_some("the same memory stands there twice")
                };
                let problem = kind.stem_cells.iter().find_map(StemCell::contradiction);
                if let Some(problem) = problem.or_else(|| kind.stem_cells.iter().find_map(twice)) {
                    return Err(ManifestError::StemCells { kind: kind.kind.clone(), problem });
                }
            }
        }
        Ok(manifest)
    }

    /// The kind that a text names: trimmed, in lower case, `<family>:default` resolved.
    pub fn resolve(&self, kind: &str) -> Option<&RuntimeKind> {
        let kind = kind.trim().to_lowercase();
        if let Some(family) = kind.strip_suffix(":default") {
            return self.runtimes.get(family)?.iter().find(|kind| kind.default);
        }
        self.kinds().find(|known| known.kind == kind)
    }

    /// The family of a kind, such as `nodejs`.
    pub fn family(&self, kind: &str) -> Option<&str> {
        let holds = |kinds: &Vec<RuntimeKind>| kinds.iter().any(|known| known.kind == kind);
        self.runtimes.iter().find(|(_, kinds)| holds(kinds)).map(|(family, _)| family.as_str())
    }

    /// Every kind.
    pub fn kinds(&self) -> impl Iterator<Item = &RuntimeKind> {
        self.runtimes.values().flatten()
    }

    /// Families and their kinds, as the API's front page lists them.
    pub fn families(&self) -> &BTreeMap<String, Vec<RuntimeKind>> {
        &self.runtimes
    }

    /// Whether a user's image is one of the platform's own: not pulled, and it writes sentinels.
    pub fn is_native(&self, image: &str) -> bool {
        let is_listed = |own: &ImageName| {
            let reference = own.reference();
            reference == image || reference.strip_suffix(":latest") == Some(image)
        };
        self.blackboxes.iter().any(is_listed) || self.local_prefix.as_deref() == Some(prefix_of(image))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"runtimes":{
        "nodejs":[{"kind":"nodejs:18","image":{"prefix":"openwhisk","name":"action-nodejs-v18","tag":"nightly"}},
                  {"kind":"nodejs:20","default":true,"image":{"name":"n"},"stemCells":[{"count":2,"memory":"256 MB"}]}],
        "java":[{"kind":"java:8","requireMain":true,"deprecated":false,"image":{"name":"java8action"}}]},
        "blackboxes":[{"prefix":"openwhisk","name":"dockerskeleton","tag":"nightly"}]}"#;

    #[test]
    fn kinds_and_defaults_are_found() {
        let manifest = Manifest::parse(TEXT).unwrap();
        assert_eq!(manifest.resolve(" NodeJS:default ").unwrap().kind, "nodejs:20");
        assert_eq!(manifest.resolve("java:default").unwrap().kind, "java:8");
        assert!(manifest.resolve("nodejs").is_none() && manifest.resolve("x:default").is_none());
        assert_eq!(manifest.family("nodejs:18"), Some("nodejs"));
        assert_eq!(
            manifest.resolve("nodejs:18").unwrap().image.reference(),
            "openwhisk/action-nodejs-v18:nightly"
        );
        assert_eq!(manifest.resolve("nodejs:20").unwrap().stem_cells[0].initial_count, 2);
        assert!(manifest.is_native("openwhisk/dockerskeleton:nightly") && !manifest.is_native("a/b"));
    }

    #[test]
    fn a_manifest_that_contradicts_itself_is_refused() {
        let two = TEXT.replace("\"default\":true,", "");
        assert!(matches!(Manifest::parse(&two), Err(ManifestError::Default(family)) if family == "nodejs"));
        let twice = TEXT.replace("nodejs:18", "nodejs:20");
        assert!(matches!(Manifest::parse(&twice), Err(ManifestError::Duplicate(_))));
    }

    #[test]
    fn stem_cells_are_upstreams_and_must_make_sense() {
        let with = |cells: &str| {
            Manifest::parse(&TEXT.replace(r#"[{"count":2,"memory":"256 MB"}]"#, &format!("[{cells}]")))
        };
        let reactive = |members: &str| {
            let members = members.replace(' ', "");
            with(&format!(r#"{{"initialCount":2,"memory":"256 MB","reactive":{{{members}}}}}"#))
        };
        let theirs = r#""minCount":1,"maxCount":4,"ttl":"2minutes","threshold":1,"increment":1"#;
        let manifest = reactive(theirs).unwrap();
        let cell = &manifest.resolve("nodejs:20").unwrap().stem_cells[0];
        let expected = Reactive {
            min_count: 1,
            max_count: 4,
            ttl: Duration::from_secs(120),
            threshold: 1,
            increment: 1,
        };
        assert_eq!((cell.initial_count, cell.memory.mb(), &cell.reactive), (2, 256, &Some(expected)));
        let shipped = Manifest::load(None, &RuntimesConfig::default()).unwrap();
        assert_eq!(shipped.resolve("nodejs:default").unwrap().stem_cells.first(), Some(cell));
        let one = r#"{"count":1,"memory":"256 MB"}"#;
        for (parsed, problem) in [
            (with(&one.replace(":1", ":0")), "initialCount must be at least 1"),
            (with(&one.replace("256 MB", "0 B")), "memory must be at least 1 MB"),
            (with(&format!("{one},{one}")), "the same memory stands there twice"),
            (reactive(&theirs.replace(":4", ":0")), "maxCount must be at least 1"),
            (
                reactive(&theirs.replace(r#"minCount":1"#, r#"minCount":5"#)),
                "minCount must not be more than maxCount",
            ),
            (reactive(&theirs.replace("2m", "0m")), "ttl must be longer than nothing"),
            (
                reactive(&theirs.replace(r#"threshold":1"#, r#"threshold":5"#)),
                "threshold must be from 1 to maxCount",
            ),
            (
                reactive(&theirs.replace(r#"increment":1"#, r#"increment":0"#)),
                "increment must be from 1 to maxCount",
            ),
        ] {
            let error = parsed.unwrap_err().to_string();
            assert_eq!(error, format!("runtimes manifest: stem cells of kind 'nodejs:20': {problem}"));
        }
    }

    #[test]
    fn images_are_found_in_the_registry_of_the_settings() {
        let manifest = Manifest::parse(TEXT).unwrap().at_registry("registry:5000/");
        let image = |kind: &str| manifest.resolve(kind).unwrap().image.reference();
        assert_eq!(image("nodejs:18"), "registry:5000/openwhisk/action-nodejs-v18:nightly");
        assert_eq!(image("java:8"), "registry:5000/java8action:latest");
        // It is a user who names it, and as before.
        assert!(manifest.is_native("openwhisk/dockerskeleton:nightly"));
        for (image, registry, expected) in [
            ("me/a", "", "me/a"),
            ("me/a:1", "registry:5000", "registry:5000/me/a:1"),
            ("a", "example.org/team/", "example.org/team/a"),
            ("other:5000/a", "registry:5000", "other:5000/a"),
            ("example.org/a", "registry:5000", "example.org/a"),
        ] {
            assert_eq!(ImageName::at_registry(image, registry), expected);
        }
    }

    #[test]
    fn local_images_are_native_only_if_the_settings_say_so() {
        let local = |bypass, prefix: &str| {
            let settings = RuntimesConfig {
                bypass_pull_for_local_images: bypass,
                local_image_prefix: prefix.to_owned(),
                ..Default::default()
            };
            Manifest::load(None, &settings).unwrap()
        };
        for image in ["whisk/a", "whisk/a:1", "registry:5000/whisk/a"] {
            assert!(local(true, "whisk").is_native(image), "{image}");
            assert!(!local(false, "whisk").is_native(image), "{image}");
        }
        for image in ["a", "whiskers/a", "whisk/more/a", "whisk"] {
            assert!(!local(true, "whisk").is_native(image), "{image}");
        }
    }

    #[test]
    fn image_names_are_checked() {
        for legal in
            ["a", "openwhisk/dockerskeleton", "localhost:5000/a/b:1.0", "a@sha256:0f", "a/b_c-d:latest"]
        {
            assert!(ImageName::check(legal).is_ok(), "{legal}");
        }
        for illegal in ["", "a b", "/a", "a:", "a/B", "a@x", "a//b"] {
            assert!(ImageName::check(illegal).is_err(), "{illegal}");
        }
    }
}
