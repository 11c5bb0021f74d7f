//! Images that are not ours: they run as their authors built them, come from where the settings say, and what is
//! wrong with them is told in upstream's words.
#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod images;
mod manners;
mod upstream;

use std::path::Path;

use invoker::container::docker::daemon;
use serde_json::{Value, json};
use tests::daemon::{Daemon, NODEJS, PYTHON, Recipe};
use tests::namespace::Namespace;
use tests::server::{Options, Server};

/// A registry that is not there: whoever asks it is refused at once.
const NOWHERE: &str = "127.0.0.1:9";

/// Whether there is a Docker daemon to test with.
async fn is_possible() -> bool {
    let possible = daemon::has_images(None, &[PYTHON, NODEJS]).await;
    if !possible {
        let missing = format!("no Docker daemon with the images {PYTHON} and {NODEJS}");
        assert_ne!(std::env::var("OXWHISK_TEST_DOCKER").as_deref(), Ok("required"), "{missing}");
        eprintln!("SKIPPED, NOT TESTED: {missing}");
    }
    possible
}

/// A platform with containers by Docker.
async fn start(change: impl FnOnce(&mut Options)) -> Server {
    let mut options = Options { container_runtime: "docker".to_owned(), ..Options::default() };
    change(&mut options);
    Server::start(options).await
}

/// An image with our odd server in it, which behaves in this manner.
fn server(manner: &str) -> Recipe {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign");
    Recipe {
        script: "cp /in/server.py /srv/server.py".to_owned(),
        binds: vec![format!("{}:/in:ro", folder.display())],
        command: ["python3", "-u", "/srv/server.py", manner].map(str::to_owned).to_vec(),
        user: "0".to_owned(),
        framing: "no",
    }
}

/// Creates an action of an image and returns its name.
async fn blackbox(namespace: &Namespace, image: &str, code: Option<&str>) -> String {
    let mut body = json!({"exec": {"kind": "blackbox", "image": image}, "limits": {"memory": 128}});
    if let Some(code) = code {
        body["exec"]["code"] = json!(code);
    }
    namespace.create("blackbox", &body).await
}

/// Status and error of a run that fails.
async fn failure(namespace: &Namespace, image: &str) -> (String, String) {
    let name = blackbox(namespace, image, None).await;
    let record = namespace.record_of(&name, &json!({})).await;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    (text(&record["response"]["status"]), text(&record["response"]["result"]["error"]))
}

/// The text of a record's log.
fn log_of(record: &Value) -> Vec<&str> {
    record["logs"].as_array().unwrap().iter().map(|line| &line.as_str().unwrap()[31..]).collect()
}

/// Images of one test.
struct Shelf {
    daemon: Daemon,
    tag: String,
    made: Vec<String>,
}

impl Shelf {
    async fn open() -> Self {
        let tag = uuid::Uuid::new_v4().simple().to_string();
        Self { daemon: Daemon::connect().await, tag, made: Vec::new() }
    }

    /// Makes an image and returns its name, under which nobody can pull it.
    async fn derive(&mut self, name: &str, recipe: Recipe) -> String {
        let image = format!("{NOWHERE}/foreign/{name}:{}", self.tag);
        self.daemon.derive(&image, recipe).await;
        self.made.push(image.clone());
        image
    }

    /// Gives an image another name.
    async fn tag(&mut self, image: &str, name: &str) {
        self.daemon.tag(image, name).await;
        self.made.push(name.to_owned());
    }

    async fn clear(self) {
        for image in &self.made {
            self.daemon.forget(image).await;
        }
        self.daemon.clear().await;
    }
}
