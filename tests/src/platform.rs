//! A platform of a test's own in the form that is under test: `OXWHISK_TEST_FORM` is `embedded` (the
//! default) or `distributed`.

use crate::deployment::{self, Pair, Site};
use crate::server::{self, Home, Options, Server};
use crate::whisk::Whisk;

/// A running platform.
#[derive(Debug)]
pub enum Platform {
    /// One process.
    Embedded(Box<Server>),
    /// A controller and an invoker.
    Distributed(Box<Pair>),
}

/// A platform that was stopped; what it stored is there.
#[derive(Debug)]
pub enum Stopped {
    /// One process.
    Embedded(Home),
    /// A controller and an invoker.
    Distributed(Site),
}

/// What keeps a platform alive that nobody stops by hand.
#[derive(Debug)]
pub enum Left {
    /// One process.
    Embedded(Box<server::Left>),
    /// A controller and an invoker.
    Distributed(Box<deployment::Left>),
}

/// Whether the distributed form is under test.
pub fn is_distributed() -> bool {
    std::env::var("OXWHISK_TEST_FORM").is_ok_and(|form| form == "distributed")
}

impl Platform {
    /// Starts one with these options.
    pub async fn start(options: Options) -> Self {
        match is_distributed() {
            true => Self::Distributed(Box::new(Pair::start(options).await)),
            false => Self::Embedded(Box::new(Server::start(options).await)),
        }
    }

    /// The platform, for tests that do not care whose it is.
    pub fn whisk(&self) -> Whisk {
        match self {
            Self::Embedded(server) => server.whisk(),
            Self::Distributed(pair) => pair.whisk(),
        }
    }

    /// Stops it in good order.
    pub async fn stop(self) -> Stopped {
        match self {
            Self::Embedded(server) => Stopped::Embedded(server.stop().await),
            Self::Distributed(pair) => Stopped::Distributed(pair.stop().await),
        }
    }

    /// Leaves it to its guards: it ends when this process does.
    pub fn leave_to_guard(self) -> Left {
        match self {
            Self::Embedded(server) => Left::Embedded(Box::new(server.leave_to_guard())),
            Self::Distributed(pair) => Left::Distributed(Box::new(pair.leave_to_guards())),
        }
    }
}

impl Stopped {
    /// The same with other options for the next start.
    pub fn with(self, change: impl FnOnce(&mut Options)) -> Self {
        match self {
            Self::Embedded(home) => Self::Embedded(home.with(change)),
            Self::Distributed(site) => Self::Distributed(site.with(change)),
        }
    }

    /// Starts it again.
    pub async fn start(self) -> Platform {
        match self {
            Self::Embedded(home) => Platform::Embedded(Box::new(home.start().await)),
            Self::Distributed(site) => Platform::Distributed(Box::new(Pair::start_on(site).await)),
        }
    }
}
