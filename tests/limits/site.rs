//! The server that all cases share, with limits that are soon reached, and the languages.

use invoker::container::docker::daemon;
use serde_json::{Value, json};
use tests::namespace::Namespace;
use tests::place;
use tests::platform::{Left, Platform};
use tests::server::Options;
use tests::whisk::Whisk;
use tokio::sync::OnceCell;

/// Processes and threads of a container; the runtimes themselves have some.
pub const PIDS: u64 = 128;
/// Open files of a process.
pub const OPEN_FILES: u64 = 256;
/// The largest file, in bytes.
pub const FILE_SIZE: u64 = 16 << 20;

/// What the limits are set to.
pub const SETTINGS: &str = "
[whisk.docker]
pids = 128
open-files = 256
file-size = '16 MB'
disk = '64 MB'
";

/// A language, with the kind and image that run it.
pub struct Language {
    /// The folder of its actions.
    pub name: &'static str,
    extension: &'static str,
    kind: &'static str,
    image: &'static str,
    /// It has one program for all cases, `all`, since each is compiled; and it leaves cases out.
    compiled: Option<&'static [&'static str]>,
}

const fn language(
    name: &'static str,
    extension: &'static str,
    kind: &'static str,
    image: &'static str,
) -> Language {
    Language { name, extension, kind, image, compiled: None }
}

const fn compiled(
    name: &'static str,
    kind: &'static str,
    image: &'static str,
    without: &'static [&'static str],
) -> Language {
    Language { compiled: Some(without), ..language(name, name, kind, image) }
}

/// All of them.
pub const LANGUAGES: &[Language] = &[
    // Programs that do not start say so in a few words only; Go needs threads of its own to run out of processes.
    compiled("go", "go:default", "oxwhisk/action-golang-v1.24:latest", &["init_text", "pids"]),
    compiled("java", "java:default", "oxwhisk/action-java-v21:latest", &["init_text"]),
    language("nodejs", "js", "nodejs:default", "oxwhisk/action-nodejs-v20:latest"),
    language("php", "php", "php:default", "oxwhisk/action-php-v8.4:latest"),
    language("python", "py", "python:default", "oxwhisk/action-python-v3.13:latest"),
    language("ruby", "rb", "ruby:default", "oxwhisk/action-ruby-v3.3:latest"),
];

/// Those that are tried in the short run: of one that has its server in the image, and one behind the proxy.
const USUAL: [&str; 2] = ["nodejs", "python"];

/// A namespace, and the language that its actions are written in.
pub struct Site {
    pub me: Namespace,
    pub language: &'static Language,
}

impl Site {
    /// Nothing, said loudly, where there is no Docker or no image.
    pub async fn of(language: &'static Language) -> Option<Self> {
        let image = language.image;
        let are_all = std::env::var("OXWHISK_TEST_IMAGES").is_ok_and(|which| which == "all");
        if !are_all && !USUAL.contains(&language.name) {
            eprintln!("SKIPPED, NOT TESTED: limits in {}, with OXWHISK_TEST_IMAGES=all", language.name);
            return None;
        }
        let is_docker = std::env::var("OXWHISK_TEST_RUNTIME").map_or(true, |runtime| runtime != "process");
        if !is_docker || !daemon::has_images(None, &[image]).await {
            let missing = format!("no Docker daemon with the image {image}");
            assert_ne!(std::env::var("OXWHISK_TEST_DOCKER").as_deref(), Ok("required"), "{missing}");
            eprintln!("SKIPPED, NOT TESTED: {missing}");
            return None;
        }
        let me = shared().await.namespace().await;
        Some(Self { me, language })
    }

    /// Whether the case is one in this language.
    pub fn has(&self, case: &str) -> bool {
        !self.language.compiled.is_some_and(|without| without.contains(&case))
    }

    /// Makes the action of a case, whose file is this or the language's only one.
    pub async fn put(&self, case: &str, file: &str, limits: &Value) -> String {
        let Language { name, extension, kind, compiled, .. } = self.language;
        let file = if compiled.is_some() { "all" } else { file };
        let path = place::workspace().join("tests/limits").join(name).join(format!("{file}.{extension}"));
        let code =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut body = json!({
            "exec": { "kind": kind, "code": code },
            "limits": limits,
            "parameters": [{ "key": "TROUBLE", "value": "", "init": true }, { "key": "case", "value": case }],
        });
        if *name == "java" {
            body["exec"]["main"] = json!("Main");
        }
        self.me.create(&case.replace('_', "-"), &body).await
    }
}

async fn shared() -> Whisk {
    static SHARED: OnceCell<(Whisk, Left)> = OnceCell::const_new();
    let start = async || {
        let options = Options {
            container_runtime: "docker".to_owned(),
            config: Some(SETTINGS.to_owned()),
            // Compilers take some.
            user_memory: "3g".to_owned(),
            ..Options::default()
        };
        let platform = Platform::start(options).await;
        (platform.whisk(), platform.leave_to_guard())
    };
    SHARED.get_or_init(start).await.0.clone()
}
