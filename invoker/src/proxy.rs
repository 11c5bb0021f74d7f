//! One container's task: it carries out what [`state`] decides, for the life of the container.
//!
//! Whatever takes time (making the container, `/init`, `/run`, pausing) goes on beside the task's inbox,
//! and comes back as an event. Nothing is cut off half-way: the task ends when its container is gone.

pub mod activation;
pub mod shell;
pub mod state;

use std::sync::Arc;

use common::entity::activation::Response;
use common::telemetry::span::System;
use common::trace::Open;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, Span, info, warn};

use crate::context::Context;
use crate::job::Job;
use crate::pool::Pool;
use crate::pool::decide::{ContainerNo, Owner, Wanting};
use crate::pool::keeper::Plan;
use crate::response;
use shell::{Request, Shell};
use state::{Effect, State};

/// What the pool tells a container.
#[derive(Debug)]
pub enum Command {
    /// Run this.
    Assign(Box<Job>),
    /// Go.
    Remove,
}

/// What a container is made for.
#[derive(Debug)]
pub enum Origin {
    /// This job, which came when there was none for it.
    Job(Job),
    /// Whichever job comes first: it is a stem cell.
    StemCell(Plan),
}

type Event = state::Event<Job, Response>;

struct Driver {
    no: ContainerNo,
    name: String,
    /// Whose it is; a stem cell is nobody's.
    owner: Option<Owner>,
    context: Arc<Context>,
    pool: Arc<Pool>,
    shell: Option<Arc<Shell>>,
    work: FuturesUnordered<BoxFuture<'static, (Event, Option<Arc<Shell>>)>>,
    timer: Option<(Instant, Timer)>,
}

#[derive(Clone, Copy)]
enum Timer {
    Grace,
    Idle,
}

/// Makes a container and looks after it until it is gone.
pub async fn run(
    no: ContainerNo,
    name: String,
    origin: Origin,
    context: Arc<Context>,
    pool: Arc<Pool>,
    mut inbox: mpsc::Receiver<Command>,
) {
    let mut driver = Driver {
        no,
        name,
        owner: None,
        context,
        pool,
        shell: None,
        work: FuturesUnordered::new(),
        timer: None,
    };
    let mut state = driver.create(origin);
    while !matches!(state, State::Gone) {
        let idle = matches!(state, State::Ready | State::Paused | State::Prewarmed);
        let event = driver.next(&mut inbox, idle).await;
        let (next, effects) = state.on(event);
        state = next;
        for effect in effects {
            driver.carry_out(effect);
        }
    }
    // What was sent to it in its last moment goes back.
    inbox.close();
    while let Some(command) = inbox.recv().await {
        if let Command::Assign(job) = command {
            driver.pool.returned(*job);
        }
    }
}

impl Driver {
    async fn next(&mut self, inbox: &mut mpsc::Receiver<Command>, idle: bool) -> Event {
        let timer = self.timer;
        let watched = self.shell.clone().filter(|_| idle);
        tokio::select! {
            biased;
            Some((event, shell)) = self.work.next() => {
                if shell.is_some() {
                    self.shell = shell;
                }
                event
            }
            command = inbox.recv() => match command {
                Some(Command::Assign(job)) => Event::Assigned(*job),
                // A pool that is gone wants nothing to stay.
                Some(Command::Remove) | None => Event::Remove,
            },
            // It died in its sleep: better found now than by the next job.
            () = async {
                match watched {
                    Some(shell) => shell.logs.ended().await,
                    None => std::future::pending().await,
                }
            } => Event::Remove,
            () = async {
                match timer {
                    Some((at, _)) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            } => {
                self.timer = None;
                match timer {
                    Some((_, Timer::Idle)) => Event::IdleElapsed,
                    _ => Event::GraceElapsed,
                }
            }
        }
    }

    fn create(&mut self, origin: Origin) -> State<Job> {
        let (context, name) = (self.context.clone(), self.name.clone());
        let (request, waiting) = match origin {
            Origin::Job(job) => (Request::of_job(&job), vec![job]),
            Origin::StemCell(plan) => (Request::of_stem_cell(&plan), vec![]),
        };
        let is_stem_cell = waiting.is_empty();
        let mut making = waiting.first().map_or_else(Open::default, |job| {
            job.traced.is_served();
            job.traced.trace().span("create container")
        });
        if let Some(span) = making.recorded() {
            span.set("container.image.name", request.image().to_owned());
        }
        let span = waiting.first().map_or_else(|| System::InvokerWarmup.span(), |job| job.span.clone());
        let work = async move {
            let begun = Instant::now();
            match shell::create(&context, &name, request).await {
                Ok(shell) => {
                    drop(making);
                    let took = begun.elapsed();
                    context.metrics.creation.observe(took.as_secs_f64());
                    let duration_ms = took.as_millis() as u64;
                    info!(container.name = name, duration_ms, "made container {name} in {duration_ms} ms");
                    (Event::Created, Some(Arc::new(shell)))
                }
                Err(error) => {
                    context.metrics.creation_failed.inc();
                    let response = response::of_create(&error);
                    let error = anyhow::Error::from(error);
                    making.fail("the container could not be made");
                    warn!(container.name = name, "container {name} could not be made: {error:#}");
                    match is_stem_cell {
                        true => (Event::NotPrewarmed, None),
                        false => (Event::CreateFailed(response), None),
                    }
                }
            }
        };
        self.work.push(Box::pin(work.instrument(span)));
        State::Creating(waiting)
    }

    fn carry_out(&mut self, effect: Effect<Job, Response>) {
        let context = self.context.clone();
        match effect {
            Effect::Init(job) => {
                self.owner = Some(job.want().owner.clone());
                let (no, pool) = (self.no, self.pool.clone());
                self.with_shell(job.span.clone(), async move |shell| {
                    match shell.adopt(&context, &job).await {
                        Ok(None) => {}
                        Ok(Some(memory_mb)) => pool.shrunk(no, memory_mb),
                        Err(()) => {
                            pool.cannot_shrink();
                            return Event::Refused(job);
                        }
                    }
                    activation::init(&context, &shell, job).await
                });
            }
            Effect::Run(job, after) => {
                let span = job.span.clone();
                self.with_shell(span, async move |shell| activation::run(&context, &shell, job, after).await);
            }
            Effect::Answer(job, response) => {
                let (tasks, span) = (context.tasks.clone(), job.span.clone());
                let work = async move { activation::answer_unrun(&context, &job, response).await };
                tasks.spawn("answer", work.instrument(span));
            }
            Effect::Return(job) => self.pool.returned(job),
            Effect::TellPrewarmed => self.pool.prewarmed(self.no),
            Effect::TellWarm => self.pool.warmed(self.no),
            Effect::TellEnded => self.pool.ended(self.no),
            Effect::TellUnmade => self.pool.unmade(self.no),
            Effect::TellDying => self.pool.dying(self.no),
            Effect::TellRemoved => self.pool.removed(self.no),
            Effect::StartGrace => {
                let after = self.owner.as_ref().map(|owner| self.context.keep_alive.pause_after(owner));
                self.timer = after.map(|after| (Instant::now() + after, Timer::Grace));
            }
            Effect::StartIdle => {
                let after = self.owner.as_ref().map(|owner| self.context.keep_alive.remove_after(owner));
                self.timer = after.map(|after| (Instant::now() + after, Timer::Idle));
            }
            Effect::StopTimer => self.timer = None,
            Effect::Suspend => {
                self.with_shell(nanny(), async |shell| Event::Suspended(shell.suspend().await));
            }
            Effect::Resume => {
                self.with_shell(nanny(), async |shell| Event::Resumed(shell.resume().await));
            }
            Effect::Destroy => {
                self.timer = None;
                // One that is still being made is destroyed when it is.
                if self.shell.is_some() {
                    self.with_shell(nanny(), async move |shell| {
                        shell.destroy(&context).await;
                        Event::Destroyed
                    });
                }
            }
        }
    }

    fn with_shell<F, W>(&mut self, span: Span, work: F)
    where
        F: FnOnce(Arc<Shell>) -> W,
        W: Future<Output = Event> + Send + 'static,
    {
        let Some(shell) = self.shell.clone() else { return };
        let work = work(shell);
        self.work.push(Box::pin(async move { (work.await, None) }.instrument(span)));
    }
}

/// What a container does for nobody's activation.
fn nanny() -> Span {
    System::InvokerNanny.span()
}
