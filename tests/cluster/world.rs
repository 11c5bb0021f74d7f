//! Two controllers and three invokers.

use std::sync::Arc;

use futures::future::join_all;
use tests::deployment::{Node, Role, Site};
use tests::namespace::Namespace;
use tests::server::Options;
use tests::whisk::Whisk;

/// A running cluster.
pub struct World {
    pub site: Arc<Site>,
    pub controllers: Vec<Node>,
    pub invokers: Vec<Node>,
}

impl World {
    /// Starts one, each invoker with memory for four small actions.
    pub async fn start() -> Self {
        Self::with(Options { user_memory: "512m".to_owned(), ..Options::default() }).await
    }

    /// Starts one with these options.
    pub async fn with(options: Options) -> Self {
        let site = Arc::new(Site::shared(options).await);
        let start = |role, count| join_all((0..count).map(|_| site.start(role)).collect::<Vec<_>>());
        let (controllers, invokers) = tokio::join!(start(Role::Controller, 2), start(Role::Invoker, 3));
        let world = Self { site: site.clone(), controllers, invokers };
        world.wait_for_invokers(3).await;
        world
    }

    /// Waits until every controller uses so many invokers.
    pub async fn wait_for_invokers(&self, count: usize) {
        for controller in &self.controllers {
            controller.wait_for_invokers(count).await;
        }
    }

    /// The platform as one of its controllers shows it.
    pub fn whisk(&self, controller: usize) -> Whisk {
        Whisk::of_our_own(self.controllers[controller].url(), self.site.admin())
    }

    /// The same namespace at every controller.
    pub async fn namespace(&self) -> Vec<Namespace> {
        let first = self.whisk(0).namespace().await;
        let mut all = vec![first];
        for controller in 1..self.controllers.len() {
            all.push(self.whisk(controller).sign_in(&all[0].auth).await);
        }
        all
    }

    /// Stops all in good order.
    pub async fn stop(self) {
        join_all(self.invokers.into_iter().map(Node::stop)).await;
        join_all(self.controllers.into_iter().map(Node::stop)).await;
        self.site.expect_no_journals();
    }
}
