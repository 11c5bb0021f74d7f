//! The compiler without Docker: one compilation for all, a bound on builders, what is remembered.

use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use common::clock::{Millis, VirtualClock};
use prometheus::Registry;

use super::*;
use crate::container::{Container, ContainerSpec, CreateError};

/// A runtime whose builders do what the source says: the real one is in tests/runtimes.
#[derive(Default)]
struct Builders {
    builds: AtomicUsize,
    busy: AtomicUsize,
    busiest: AtomicUsize,
}

#[async_trait]
impl ContainerRuntime for Builders {
    fn name(&self) -> &'static str {
        "builders"
    }

    fn api_host(&self) -> String {
        String::new()
    }

    async fn create(&self, spec: ContainerSpec) -> Result<Box<dyn Container>, CreateError> {
        Err(CreateError::CommandNotFound { image: spec.image })
    }

    async fn build(&self, spec: BuildSpec) -> Result<Bytes, BuildError> {
        self.builds.fetch_add(1, Ordering::SeqCst);
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        self.busiest.fetch_max(busy, Ordering::SeqCst);
        sleep(Duration::from_secs(1)).await;
        self.busy.fetch_sub(1, Ordering::SeqCst);
        match &*spec.source {
            b"bad" => Err(BuildError::Rejected("line 1: bad\n".to_owned())),
            b"slow" => Err(BuildError::TimedOut),
            b"large" => Err(BuildError::OutOfMemory),
            source => Ok(Bytes::from(format!("{} of {}", spec.main, source.len()))),
        }
    }

    async fn remove_run(&self, _run: &str) -> Result<usize, RuntimeError> {
        Ok(0)
    }

    async fn close(&self) -> Result<(), RuntimeError> {
        Ok(())
    }
}

struct World {
    builders: Arc<Builders>,
    compiler: Compiler,
    patience: Shutdown,
    directory: tempfile::TempDir,
}

fn world() -> World {
    let (builders, patience) = (Arc::new(Builders::default()), Shutdown::new());
    let directory = tempfile::tempdir().unwrap();
    let compiler = Compiler::new(Parts {
        runtime: builders.clone(),
        settings: CompilerConfig::default(),
        directory: directory.path().join("compiled"),
        prefix: "wsk0".into(),
        clock: Arc::new(VirtualClock::at(Millis(1_700_000_000_000))),
        patience: patience.clone(),
        metrics: InvokerMetrics::register(&Registry::new()).unwrap(),
    });
    World { builders, compiler, patience, directory }
}

impl World {
    fn ask(&self, source: &'static str, main: &str) -> Compilation {
        let builder = Builder { image: "b".into(), id: "1".into() };
        let order = Order {
            key: key(&builder, main, source),
            builder: builder.image,
            main: main.into(),
            fqn: "guest/a".into(),
            source: Bytes::from_static(source.as_bytes()),
        };
        Inner::compilation(&self.compiler.inner, order, None)
    }

    fn builds(&self) -> usize {
        self.builders.builds.load(Ordering::SeqCst)
    }
}

fn told(result: Result<Arc<str>, NoCode>) -> (Status, String) {
    match result.unwrap_err() {
        NoCode::Answer(Response { status, result, .. }) => (status, result.unwrap().get().to_owned()),
        NoCode::Stopping => panic!("it stops"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_wants_the_same_waits_for_one_compilation() {
    let world = world();
    let asked: Vec<_> = (0..20).map(|_| world.ask("source", "main")).collect();
    let program = STANDARD.encode("main of 6");
    for result in futures::future::join_all(asked).await {
        assert_eq!(&*result.unwrap(), program);
    }
    assert_eq!(world.builds(), 1);
    let files = std::fs::read_dir(world.directory.path().join("compiled")).unwrap().count();
    assert_eq!(files, 1, "the program is kept");
}

#[tokio::test(start_paused = true)]
async fn only_so_many_builders_run_at_once() {
    let world = world();
    let mains: Vec<String> = (0..7).map(|number| format!("main{number}")).collect();
    let asked: Vec<_> = mains.iter().map(|main| world.ask("source", main)).collect();
    assert!(futures::future::join_all(asked).await.iter().all(Result::is_ok));
    assert_eq!((world.builds(), world.builders.busiest.load(Ordering::SeqCst)), (7, 2));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_compile_is_not_tried_again_and_what_failed_is() {
    let world = world();
    for _ in 0..3 {
        let text = r#"{"error":"line 1: bad"}"#.to_owned();
        assert_eq!(told(world.ask("bad", "main").await), (Status::DeveloperError, text));
    }
    assert_eq!(world.builds(), 1);
    for (source, text) in [
        ("slow", "The action's code could not be compiled within 120000 milliseconds."),
        ("large", "The compiler exhausted its memory of 1024 MB and was aborted."),
    ] {
        for _ in 0..2 {
            let (status, result) = told(world.ask(source, "main").await);
            assert_eq!((status, result), (Status::DeveloperError, format!(r#"{{"error":"{text}"}}"#)));
        }
    }
    assert_eq!(world.builds(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_not_waited_out() {
    let world = world();
    let asked = world.ask("source", "main");
    world.patience.request();
    assert!(matches!(asked.await, Err(NoCode::Stopping)));
}

#[test]
fn long_messages_are_cut_and_none_are_replaced() {
    assert_eq!(shortened(" \n"), NO_BINARY);
    assert_eq!(shortened("a\nb\n"), "a\nb");
    let long = format!("x{}", "ü".repeat(MAX_MESSAGES));
    let cut = shortened(&long);
    assert!(cut.ends_with(&format!("ü\n… ({} bytes more)", long.len() - MAX_MESSAGES + 1)));
}
