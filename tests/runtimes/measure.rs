//! The figures of a language's image: how large it is, and how long its first and its later answers take. They are
//! measured for the table of docs/runtimes.md and judged by nobody here.

use std::time::Duration;

use anyhow::Context;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures::StreamExt;
use serde_json::json;
use tokio::time::Instant;

use crate::container::{self, PATIENCE, Start};
use crate::language::Language;
use crate::session::Session;

/// How many containers are made for a figure, of which the middle one counts.
const CONTAINERS: usize = 5;
const WARM_RUNS: usize = 200;

/// What was measured.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Megabytes of the image, the base that all share included.
    pub size: i64,
    /// From making a container until the interpreter alone has printed a line in it.
    pub bare: Option<Duration>,
    /// From making a container until its first run is answered.
    pub cold: Duration,
    /// From `/init` in a container that has been waiting until its first run is answered.
    pub waiting: Duration,
    /// A later run.
    pub warm: Duration,
}

/// Measures; nothing else should go on meanwhile.
pub async fn measure(docker: &Docker, language: &Language) -> anyhow::Result<Figures> {
    let size = docker.inspect_image(&language.image).await?.size.unwrap_or_default() / 1_000_000;
    let (mut bare, mut cold, mut waiting, mut warm) = (vec![], vec![], vec![], vec![]);
    // Whatever has to be compiled is, before anything is measured.
    let mut session = Session::start(docker, language).await?;
    session.init("hello").await?;
    session.end().await?;
    for _ in 0..CONTAINERS {
        if !language.bare.is_empty() {
            bare.push(first_line(docker, language).await?);
        }
        let begun = Instant::now();
        let mut session = Session::start(docker, language).await?;
        session.init("hello").await?;
        session.run(json!({})).await?;
        cold.push(begun.elapsed());
        for _ in 0..WARM_RUNS {
            let begun = Instant::now();
            session.run(json!({})).await?;
            warm.push(begun.elapsed());
        }
        session.end().await?;

        let mut session = Session::start(docker, language).await?;
        // As long as stem cells wait at least, in which whatever goes on by itself has come to rest.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        session.init("hello").await?;
        session.run(json!({})).await?;
        waiting.push(begun.elapsed());
        session.end().await?;
    }
    let bare = (!bare.is_empty()).then(|| middle(bare));
    Ok(Figures { size, bare, cold: middle(cold), waiting: middle(waiting), warm: middle(warm) })
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// From making a container until the bare interpreter's first line is here.
async fn first_line(docker: &Docker, language: &Language) -> anyhow::Result<Duration> {
    let start =
        Start { image: language.image.clone(), command: Some(language.bare.clone()), ..Default::default() };
    let begun = Instant::now();
    let id = container::create(docker, &start, false).await?;
    let options = AttachContainerOptionsBuilder::new().stream(true).stdout(true).build();
    let mut output = docker.attach_container(&id, Some(options)).await?.output;
    docker.start_container(&id, None).await?;
    let line = tokio::time::timeout(PATIENCE, output.next()).await?.context("it printed nothing")?;
    let taken = begun.elapsed();
    anyhow::ensure!(matches!(line?, LogOutput::StdOut { .. }), "it printed something else");
    container::remove(docker, &id).await?;
    Ok(taken)
}
