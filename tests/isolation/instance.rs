//! One instance of the platform's container runtime, and containers of it with code in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::clock::SystemClock;
use common::shutdown::Shutdown;
use common::trace::Trace;
use invoker::container::client::{Answer, ResponseLimits, RuntimeClient};
use invoker::container::docker::firewall::Isolation;
use invoker::container::docker::{DockerConfig, DockerRuntime};
use invoker::container::{Container, ContainerRuntime, ContainerSpec, Pull};
use invoker::metrics::DockerMetrics;
use serde_json::{Value, json};
use tests::place;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
const LIMITS: ResponseLimits = ResponseLimits { max: 1 << 20, truncation: 1 << 20 };

/// One instance of the container runtime.
pub struct Instance {
    /// The runtime.
    pub runtime: Arc<DockerRuntime>,
    /// The word that it is called by.
    pub word: String,
    tasks: Shutdown,
    made: AtomicU32,
}

/// A container of ours with code in it.
pub struct Live {
    /// The container.
    pub container: Box<dyn Container>,
    client: RuntimeClient,
}

impl Instance {
    /// Starts one.
    pub async fn start(change: impl FnOnce(&mut DockerConfig)) -> Self {
        let word: String = uuid::Uuid::new_v4().simple().to_string().chars().take(10).collect();
        let tasks = Shutdown::new();
        let mut config = DockerConfig::new(&word, format!("{word}r"), place::free_port());
        change(&mut config);
        let runtime =
            DockerRuntime::start(config, DockerMetrics::default(), Arc::new(SystemClock), tasks.clone())
                .await
                .unwrap();
        assert_eq!(runtime.isolation(), &Isolation::Kept);
        Self { runtime: Arc::new(runtime), word, tasks, made: AtomicU32::new(0) }
    }

    /// A container of this image; it may not listen yet.
    pub async fn create(&self, kind: &str, image: &str, name: &str) -> Live {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let spec = ContainerSpec {
            name: format!("wsk0{}_{number}_{name}", self.word),
            kind: kind.to_owned(),
            image: image.to_owned(),
            memory_mb: 512,
            cpu_shares: 256,
            env: vec![("__OW_API_HOST".to_owned(), self.runtime.api_host())],
            pull: Pull::Never,
        };
        let container = self.runtime.create(spec).await.unwrap();
        let client = RuntimeClient::new(container.address());
        Live { container, client }
    }

    /// A container of this image with this Python code in it.
    pub async fn live(&self, image: &str, name: &str, code: &str) -> Live {
        let live = self.create("python:3.13", image, name).await;
        let answer = live.init(json!({"name": "a", "main": "main", "code": code, "binary": false})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        live
    }

    /// Removes all of it.
    pub async fn close(self) {
        self.runtime.close().await.unwrap();
        assert!(self.tasks.finish(LONG).await, "a task is left");
    }
}

impl Live {
    /// Initializes it.
    pub async fn init(&self, value: Value) -> Answer {
        self.client
            .init(json!({ "value": value }).to_string().into(), LONG, LIMITS, &Trace::default())
            .await
            .unwrap()
    }

    /// Runs it; what it answers.
    pub async fn run(&self, value: &Value) -> Value {
        let body = json!({"value": value, "activation_id": "0", "deadline": "0"});
        match self.client.run(body.to_string().into(), LONG, LIMITS, &Trace::default()).await {
            Ok(answer) => serde_json::from_slice(&answer.body).unwrap(),
            Err(error) => json!({"succeeded": false, "how": format!("{error:?}")}),
        }
    }

    /// Removes it.
    pub async fn destroy(self) {
        self.client.close();
        self.container.destroy().await.unwrap();
    }
}
