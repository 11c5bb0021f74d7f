//! The platform a test runs against: one server a test binary, shared by its tests, or a server that
//! somebody else started (`OXWHISK_URL`, `OXWHISK_AUTH`, and `OXWHISK_AUTH_2` for a second namespace).
//!
//! What a foreign server cannot offer (an operator, other settings, a second namespace) comes as an
//! `Option`; a `None` has been told on standard error, with the number of the case.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::admin::Admin;
use crate::client::Client;
use crate::namespace::Namespace;
use crate::place;
use crate::platform::{Left, Platform, is_distributed};
use crate::server::{GUEST, Options};
use crate::wait;

/// A new subject is visible to a running server within a second; this is the patience of the harness.
const VISIBLE: Duration = Duration::from_secs(10);

/// A platform.
#[derive(Clone, Debug)]
pub struct Whisk {
    url: String,
    owner: Owner,
}

/// Whose server it is.
#[derive(Clone, Debug)]
enum Owner {
    Us(Admin),
    Others { auth: String, second: Option<String> },
}

/// A server that the tests of one binary share.
struct Shared {
    whisk: Whisk,
    _left: Left,
}

type SharedCell = OnceCell<Result<Shared, String>>;

impl Whisk {
    /// The platform that the tests of this binary share; no throttle holds.
    pub async fn shared() -> Self {
        static SHARED: SharedCell = OnceCell::const_new();
        Self::foreign_or(&SHARED, Options::default()).await
    }

    /// The same with upstream's throttles, for tests that count.
    pub async fn throttled() -> Self {
        static THROTTLED: SharedCell = OnceCell::const_new();
        Self::foreign_or(&THROTTLED, Options { throttled: true, ..Options::default() }).await
    }

    /// A platform of the test's own, or `None` where the suite runs against a foreign one.
    pub async fn own_server(case: u16, options: Options) -> Option<Platform> {
        if Self::foreign().is_some() {
            not_applicable(case);
            return None;
        }
        Some(Platform::start(options).await)
    }

    /// The platform that a server of our own is.
    pub fn of_our_own(url: &str, admin: Admin) -> Self {
        Self { url: url.to_owned(), owner: Owner::Us(admin) }
    }

    fn foreign() -> Option<Self> {
        let url = std::env::var("OXWHISK_URL").ok()?;
        let auth = std::env::var("OXWHISK_AUTH").unwrap_or_else(|_| GUEST.to_owned());
        Some(Self { url, owner: Owner::Others { auth, second: std::env::var("OXWHISK_AUTH_2").ok() } })
    }

    async fn foreign_or(cell: &SharedCell, options: Options) -> Self {
        if let Some(foreign) = Self::foreign() {
            return foreign;
        }
        let started = cell.get_or_init(|| async {
            // A start that failed fails every test, but waits only once.
            let start = async {
                let platform = Platform::start(options).await;
                Shared { whisk: platform.whisk(), _left: platform.leave_to_guard() }
            };
            let guarded = std::panic::AssertUnwindSafe(start);
            futures::FutureExt::catch_unwind(guarded).await.map_err(|cause| told(cause.as_ref()))
        });
        match started.await {
            Ok(shared) => shared.whisk.clone(),
            Err(story) => panic!("the shared server does not start: {story}"),
        }
    }

    /// A namespace for one test: fresh on a server of our own, else the one of `OXWHISK_AUTH`.
    pub async fn namespace(&self) -> Namespace {
        match &self.owner {
            Owner::Us(admin) => self.create_namespace(admin).await,
            Owner::Others { auth, .. } => self.sign_in(auth).await,
        }
    }

    /// A namespace in which nothing was ever made, with the operator who can set its limits.
    pub async fn fresh(&self, case: u16) -> Option<(Namespace, Admin)> {
        match &self.owner {
            Owner::Us(admin) => Some((self.create_namespace(admin).await, admin.clone())),
            Owner::Others { .. } => {
                not_applicable(case);
                None
            }
        }
    }

    /// A second namespace, with other credentials.
    pub async fn other(&self, case: u16) -> Option<Namespace> {
        match &self.owner {
            Owner::Us(admin) => Some(self.create_namespace(admin).await),
            Owner::Others { second: Some(auth), .. } => Some(self.sign_in(auth).await),
            Owner::Others { second: None, .. } => {
                not_applicable(case);
                None
            }
        }
    }

    /// The namespace `guest` of the embedded form; the distributed form has none.
    pub async fn guest(&self) -> Option<Namespace> {
        if is_distributed() {
            Client::new(&self.url, Some(GUEST)).get("/api/v1/namespaces").await.expect(401);
            return None;
        }
        Some(self.sign_in(GUEST).await)
    }

    /// The namespace `guest` with its well-known key, made where the platform comes without it.
    pub async fn make_guest(&self) -> Namespace {
        if let Owner::Us(admin) = &self.owner
            && is_distributed()
        {
            admin.run(&["user", "create", "guest", "-u", GUEST]).await;
        }
        self.sign_in(GUEST).await
    }

    /// Whether the server is ours, so that its defaults are known.
    pub fn is_ours(&self) -> bool {
        matches!(self.owner, Owner::Us(_))
    }

    /// A client without credentials.
    pub fn anonymous(&self) -> Client {
        Client::new(&self.url, None)
    }

    /// The address of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn create_namespace(&self, admin: &Admin) -> Namespace {
        let name = place::unique("tester");
        let auth = admin.create_user(&name).await;
        let namespace = self.sign_in(&auth).await;
        assert_eq!(namespace.name, name, "a new subject's namespace has its name");
        namespace
    }

    /// The namespace that these credentials select, once the server knows them.
    pub async fn sign_in(&self, auth: &str) -> Namespace {
        let client = Client::new(&self.url, Some(auth));
        let names = wait::until("new credentials are accepted", VISIBLE, || async {
            let answer = client.get("/api/v1/namespaces").await;
            (answer.status == 200).then(|| answer.json())
        })
        .await;
        let name = names[0].as_str().expect("a list of namespaces has one name");
        Namespace::new(name, auth, client.clone())
    }
}

/// Says that a case is left out. It goes past the capture of the test runner, so that it is seen.
fn not_applicable(case: u16) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let line = format!("case {case}: not applicable against a foreign URL ({count} left out so far)\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn told(cause: &(dyn std::any::Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("for no reason").to_owned()
}
