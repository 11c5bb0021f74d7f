//! Where images come from: pulled as their tags say, from the registries of the settings, with credentials.

use serde_json::{Value, json};
use tests::daemon::Recipe;
use tests::namespace::Namespace;
use tests::server::Server;
use tests::services::registry::{ACCOUNT, Registry};

use crate::{Shelf, blackbox, failure, is_possible, server, start, upstream};

/// An image that tells its version, with a layer of its own that is worth a line in the log.
fn version(number: u8) -> Recipe {
    let Recipe { script, command, .. } = server("plain");
    let version = ["env".to_owned(), format!("VERSION={number}")];
    Recipe {
        script: format!("{script}; head -c 3000000 /dev/urandom > /srv/weight"),
        command: version.into_iter().chain(command).collect(),
        ..server("plain")
    }
}

/// What a new action of an image tells as its version.
async fn told(namespace: &Namespace, image: &str) -> Value {
    let name = blackbox(namespace, image, None).await;
    namespace.result(&name, &json!({})).await["version"].clone()
}

/// A registry that knows one account, and what was put in it.
struct Library {
    registry: Registry,
    shelf: Shelf,
    one: String,
    two: String,
}

impl Library {
    /// The whole name of an image.
    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.registry.name())
    }

    /// Puts an image into the registry; nothing of that name stays here.
    async fn publish(&self, image: &str, name: &str) {
        let name = self.name(name);
        self.shelf.daemon.tag(image, &name).await;
        self.shelf.daemon.push(&name, Some(ACCOUNT)).await;
        self.shelf.daemon.forget(&name).await;
    }

    /// Settings with all images in this registry, and perhaps who we are there.
    fn settings(&self, account: Option<(&str, &str)>) -> String {
        let credentials = account.map_or(String::new(), |(user, password)| {
            format!("credentials = {{ user = \"{user}\", password = \"{password}\" }}\n")
        });
        let registry = |key: &str| {
            format!("[whisk.container-factory.{key}]\nurl = \"{}/\"\n{credentials}", self.registry.name())
        };
        registry("runtimes-registry") + &registry("user-images-registry")
    }

    /// Whoever is nobody there is refused, and the log says why.
    async fn refuses_strangers(&self) {
        let server = start(|options| options.config = Some(self.settings(None))).await;
        let namespace = server.whisk().namespace().await;
        let (status, error) = failure(&namespace, "me/greeter:1").await;
        assert_eq!(status, "action developer error");
        assert_eq!(error, format!("Failed to pull container image '{}'.", self.name("me/greeter:1")));
        let output = server.output();
        assert!(output.contains("no basic auth credentials"), "{output}");
        server.stop().await;
    }

    /// A latest one is always the latest, another may be old.
    async fn follows_tags(&mut self, server: &Server, namespace: &Namespace) {
        let [latest, tagged] = ["me/greeter:latest", "me/greeter:1"].map(|name| self.name(name));
        assert_eq!(told(namespace, "me/greeter:latest").await, json!("1"));
        // While the old one is here under that name, the registry gets a new one, and both names are asked for.
        self.publish(&self.two, "me/greeter:latest").await;
        self.shelf.daemon.tag(&self.one, &latest).await;
        assert_eq!(told(namespace, "me/greeter").await, json!("2"));
        assert_eq!(told(namespace, "me/greeter:1").await, json!("1"));
        self.registry.stop();
        assert_eq!(told(namespace, "me/greeter:1").await, json!("1"));
        for image in ["me/greeter", "me/greeter:latest"] {
            let (status, error) = failure(namespace, image).await;
            assert_eq!(status, "action developer error");
            assert_eq!(error, format!("Failed to pull container image '{}'.", self.name(image)));
        }
        let output = server.output();
        assert!(output.contains(&format!("the image {tagged} is used as it lies here")), "{output}");
        self.registry.start_again().await;
        assert_eq!(told(namespace, "me/greeter").await, json!("2"));
        self.shelf.made.extend([latest, tagged]);
    }

    /// Two cold starts at once pull once, and the log tells how.
    async fn tells_of_pulls(&mut self, server: &Server, namespace: &Namespace) {
        let whole = self.name("me/heavy:1");
        let heavy = self.shelf.derive("heavy", version(3)).await;
        self.publish(&heavy, "me/heavy:1").await;
        // Its own layer is nowhere else on this machine now.
        self.shelf.daemon.forget(&heavy).await;
        self.shelf.made.retain(|image| *image != heavy);
        let names = [blackbox(namespace, &whole, None).await, blackbox(namespace, "me/heavy:1", None).await];
        let nothing = json!({});
        let runs = names.iter().map(|name| namespace.result(name, &nothing));
        for result in futures::future::join_all(runs).await {
            assert_eq!(result["version"], json!("3"));
        }
        let output = server.output();
        let lines: Vec<_> = output.lines().filter(|line| line.contains(&whole)).collect();
        let with =
            |words: &str| lines.iter().filter(|line| line.contains(words)).copied().collect::<Vec<_>>();
        assert!(!with(&format!("pulling {whole}")).is_empty(), "{lines:#?}");
        let last = with(&format!("pulled {whole} in "));
        assert!(matches!(last[..], [line] if line.contains("3.0 of 3.0 MB, 1 of 1 layers")), "{lines:#?}");
        self.shelf.made.push(whole);
    }

    /// A managed image that is not here is fetched from its own registry.
    async fn has_managed_images(&mut self, namespace: &Namespace) {
        self.publish(&self.one, "openwhisk/action-php-v8.1:nightly").await;
        let body = json!({"exec": {"kind": "php:default", "code": "whatever"}, "limits": {"memory": 128}});
        let name = namespace.create("managed", &body).await;
        assert_eq!(namespace.result(&name, &json!({})).await["version"], json!("1"));
        self.shelf.made.push(self.name("openwhisk/action-php-v8.1:nightly"));
        // One that is nowhere is the platform's fault.
        let body = json!({"exec": {"kind": "ruby:default", "code": "whatever"}, "limits": {"memory": 128}});
        let name = namespace.create("absent", &body).await;
        let record = namespace.record_of(&name, &json!({})).await;
        assert_eq!(record["response"]["status"], json!("whisk internal error"), "{record}");
        let error = &record["response"]["result"]["error"];
        assert_eq!(error, "Failed to provision resources to run the action.", "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_come_from_the_registries_of_the_settings() {
    if !is_possible().await {
        return;
    }
    let Some(registry) = Registry::start_with_account().await else {
        eprintln!(
            "SKIPPED, NOT TESTED: pulling images; cargo xtask test fetches Debian's docker-registry for it"
        );
        return;
    };
    let mut shelf = Shelf::open().await;
    let one = shelf.derive("one", version(1)).await;
    let two = shelf.derive("two", version(2)).await;
    let mut library = Library { registry, shelf, one, two };
    for name in ["me/greeter:latest", "me/greeter:1"] {
        library.publish(&library.one, name).await;
    }
    library.refuses_strangers().await;
    let server = start(|options| {
        options.config = Some(library.settings(Some(ACCOUNT)));
        options.manifest = Some(upstream::without_stem_cells());
    });
    let server = server.await;
    let namespace = server.whisk().namespace().await;
    library.follows_tags(&server, &namespace).await;
    library.tells_of_pulls(&server, &namespace).await;
    library.has_managed_images(&namespace).await;
    let output = server.output();
    assert!(!output.contains(ACCOUNT.1), "the password is told");
    assert!(output.contains("manifest unknown"), "the registry's reason is in the log:\n{output}");
    server.stop().await;
    library.shelf.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_images_are_not_pulled_if_the_settings_say_so() {
    if !is_possible().await {
        return;
    }
    let mut shelf = Shelf::open().await;
    let image = shelf.derive("local", server("plain")).await;
    // Untagged: to pull it would be a must, and would fail.
    let name = format!("{}/whisk/local", crate::NOWHERE);
    shelf.tag(&image, &format!("{name}:latest")).await;
    let server = start(|options| {
        options.config = Some("[whisk.runtimes]\nbypass-pull-for-local-images = true\n".to_owned());
    });
    let server = server.await;
    let namespace = server.whisk().namespace().await;
    let action = blackbox(&namespace, &name, None).await;
    let record = namespace.record_of(&action, &json!({"name": "you"})).await;
    assert_eq!(record["response"]["result"]["greeting"], json!("hello you"), "{record}");
    server.stop().await;
    shelf.clear().await;
}
