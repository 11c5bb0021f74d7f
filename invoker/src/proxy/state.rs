//! The life of one container, as a pure machine: what it does next, whatever happens.
//!
//! Upstream's machine (`core/invoker/.../containerpool/ContainerProxy.scala`) with its rules: a failed
//! `/init` answers the jobs that wait for it with the same fault; a failed `/run` sends waiting jobs back
//! and lets running ones end; a container that refuses its first run after being idle sends that job back
//! too; a container that goes takes no job any more.

use std::fmt::Debug;

/// Where a container is in its life. `J` is a job, `F` a fault.
#[derive(Debug, PartialEq, Eq)]
pub enum State<J> {
    /// Being made, for the jobs that wait for it; the first one forced it. Without any it becomes a stem cell.
    Creating(Vec<J>),
    /// A stem cell: it has an image but no owner, and waits for its first job.
    Prewarmed,
    /// `/init` runs for a job that the driver holds; others wait.
    Initializing(Vec<J>),
    /// Initialized, and so many runs go on.
    Running(u32),
    /// As `Running`, but one of them failed: it goes when the others have ended.
    Doomed(u32),
    /// Warm and idle; the grace runs.
    Ready,
    /// Being paused.
    Pausing,
    /// Paused; the idle time runs.
    Paused,
    /// Being resumed for these jobs.
    Resuming(Vec<J>),
    /// Being destroyed.
    Removing,
    /// Gone.
    Gone,
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<J, F> {
    /// The pool gives it a job.
    Assigned(J),
    /// It is made.
    Created,
    /// It could not be made.
    CreateFailed(F),
    /// It was to be a stem cell and could not be made.
    NotPrewarmed,
    /// It is initialized; the job that forced it comes back to be run.
    Initialized(J),
    /// `/init` failed; that job is answered already.
    InitFailed(F),
    /// A run has ended and is answered; whether the container may go on.
    Ended(Keep),
    /// It refused the job before the job could run.
    Refused(J),
    /// The grace after the last run is over.
    GraceElapsed,
    /// It is paused, or not.
    Suspended(Result<(), ()>),
    /// It runs again, or not.
    Resumed(Result<(), ()>),
    /// It was idle for long enough.
    IdleElapsed,
    /// The pool wants its room.
    Remove,
    /// It is gone.
    Destroyed,
}

/// Whether a container may go on after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is as good as before.
    Yes,
    /// It must not run anything more.
    No,
}

/// What the driver must do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<J, F> {
    /// Initialize it for this job.
    Init(J),
    /// Run this job. `fresh` if it was idle before: then a refusal sends the job elsewhere.
    Run(J, After),
    /// Answer a job that never ran.
    Answer(J, F),
    /// Send a job back to the pool.
    Return(J),
    /// Tell the pool that it is a stem cell.
    TellPrewarmed,
    /// Tell the pool that it is warm.
    TellWarm,
    /// Tell the pool that one job has ended.
    TellEnded,
    /// Tell the pool that it takes no more jobs.
    TellDying,
    /// Tell the pool that it is no stem cell.
    TellUnmade,
    /// Tell the pool that it is gone.
    TellRemoved,
    /// Start the grace.
    StartGrace,
    /// Stop the timer.
    StopTimer,
    /// Pause it.
    Suspend,
    /// Start the idle time.
    StartIdle,
    /// Resume it.
    Resume,
    /// Destroy it.
    Destroy,
}

/// What a container did before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It was just initialized or already at work.
    Work,
    /// It was idle.
    Idleness,
}

impl<J: Debug> State<J> {
    /// The one place where a container changes state.
    pub fn on<F: Clone + Debug>(self, event: Event<J, F>) -> (State<J>, Vec<Effect<J, F>>) {
        match (self, event) {
            // Creating => Initializing, for the first job that waits.
            (State::Creating(mut waiting), Event::Created) if !waiting.is_empty() => {
                let first = waiting.remove(0);
                (State::Initializing(waiting), vec![Effect::Init(first)])
            }
            // Creating => Prewarmed => Initializing: its first job makes it its owner's.
            (State::Creating(_), Event::Created) => (State::Prewarmed, vec![Effect::TellPrewarmed]),
            (State::Prewarmed, Event::Assigned(job)) => {
                (State::Initializing(vec![]), vec![Effect::Init(job)])
            }
            // Prewarmed => Removing: its time is over, its room is wanted, or it died.
            (State::Prewarmed, Event::Remove) => (State::Removing, vec![Effect::TellDying, Effect::Destroy]),
            // Creating => Gone: everybody who waits is answered.
            (State::Creating(waiting), Event::CreateFailed(fault)) => {
                let mut effects = vec![Effect::TellDying];
                effects.extend(waiting.into_iter().map(|job| Effect::Answer(job, fault.clone())));
                effects.push(Effect::TellRemoved);
                (State::Gone, effects)
            }
            // Creating => Gone: it was made for nobody, so whoever waits may still get another.
            (State::Creating(waiting), Event::NotPrewarmed) => {
                let mut effects = vec![Effect::TellUnmade];
                effects.extend(waiting.into_iter().map(Effect::Return));
                effects.push(Effect::TellRemoved);
                (State::Gone, effects)
            }
            (State::Creating(mut waiting), Event::Assigned(job)) => {
                waiting.push(job);
                (State::Creating(waiting), vec![])
            }
            (State::Initializing(mut waiting), Event::Assigned(job)) => {
                waiting.push(job);
                (State::Initializing(waiting), vec![])
            }
            // Initializing => Running: the first job and those that waited.
            (State::Initializing(waiting), Event::Initialized(first)) => {
                let running = 1 + waiting.len() as u32;
                let mut effects = vec![Effect::TellWarm, Effect::Run(first, After::Work)];
                effects.extend(waiting.into_iter().map(|job| Effect::Run(job, After::Work)));
                (State::Running(running), effects)
            }
            // Initializing => Removing: those that waited get the same fault.
            (State::Initializing(waiting), Event::InitFailed(fault)) => {
                let mut effects = vec![Effect::TellDying];
                effects.extend(waiting.into_iter().map(|job| Effect::Answer(job, fault.clone())));
                effects.push(Effect::Destroy);
                (State::Removing, effects)
            }
            // A container whose server says that it cannot yet or no longer initialize.
            (State::Initializing(waiting), Event::Refused(job)) => {
                let mut effects = vec![Effect::TellDying, Effect::Return(job)];
                effects.extend(waiting.into_iter().map(Effect::Return));
                effects.push(Effect::Destroy);
                (State::Removing, effects)
            }
            (State::Running(n), Event::Assigned(job)) => {
                (State::Running(n + 1), vec![Effect::Run(job, After::Work)])
            }
            // Running => Ready when the last run has ended.
            (State::Running(1), Event::Ended(Keep::Yes)) => {
                (State::Ready, vec![Effect::StartGrace, Effect::TellEnded])
            }
            (State::Running(n), Event::Ended(Keep::Yes)) => (State::Running(n - 1), vec![Effect::TellEnded]),
            (State::Running(1), Event::Ended(Keep::No)) => {
                (State::Removing, vec![Effect::TellDying, Effect::TellEnded, Effect::Destroy])
            }
            // The others end first.
            (State::Running(n), Event::Ended(Keep::No)) => {
                (State::Doomed(n - 1), vec![Effect::TellDying, Effect::TellEnded])
            }
            (State::Running(1), Event::Refused(job)) => {
                let effects =
                    vec![Effect::TellDying, Effect::TellEnded, Effect::Return(job), Effect::Destroy];
                (State::Removing, effects)
            }
            (State::Running(n), Event::Refused(job)) => {
                (State::Doomed(n - 1), vec![Effect::TellDying, Effect::TellEnded, Effect::Return(job)])
            }
            (State::Doomed(1), Event::Ended(_)) => {
                (State::Removing, vec![Effect::TellEnded, Effect::Destroy])
            }
            (State::Doomed(n), Event::Ended(_)) => (State::Doomed(n - 1), vec![Effect::TellEnded]),
            (State::Doomed(1), Event::Refused(job)) => {
                (State::Removing, vec![Effect::TellEnded, Effect::Return(job), Effect::Destroy])
            }
            (State::Doomed(n), Event::Refused(job)) => {
                (State::Doomed(n - 1), vec![Effect::TellEnded, Effect::Return(job)])
            }
            // Ready => Running, within the grace: neither paused nor resumed.
            (State::Ready, Event::Assigned(job)) => {
                (State::Running(1), vec![Effect::StopTimer, Effect::Run(job, After::Idleness)])
            }
            (State::Ready, Event::GraceElapsed) => (State::Pausing, vec![Effect::Suspend]),
            (State::Pausing, Event::Suspended(Ok(()))) => (State::Paused, vec![Effect::StartIdle]),
            (State::Pausing, Event::Suspended(Err(()))) => {
                (State::Removing, vec![Effect::TellDying, Effect::Destroy])
            }
            // A job while it is being paused: resume it, whichever of the two comes first.
            (State::Pausing, Event::Assigned(job)) => (State::Resuming(vec![job]), vec![Effect::Resume]),
            // Paused => Resuming => Running, without another init.
            (State::Paused, Event::Assigned(job)) => {
                (State::Resuming(vec![job]), vec![Effect::StopTimer, Effect::Resume])
            }
            (State::Resuming(mut waiting), Event::Assigned(job)) => {
                waiting.push(job);
                (State::Resuming(waiting), vec![])
            }
            (state @ State::Resuming(_), Event::Suspended(_)) => (state, vec![]),
            (State::Resuming(waiting), Event::Resumed(Ok(()))) => {
                let running = waiting.len() as u32;
                let runs = waiting.into_iter().map(|job| Effect::Run(job, After::Idleness));
                (State::Running(running), runs.collect())
            }
            (State::Resuming(waiting), Event::Resumed(Err(()))) => {
                let mut effects = vec![Effect::TellDying];
                effects.extend(waiting.into_iter().map(Effect::Return));
                effects.push(Effect::Destroy);
                (State::Removing, effects)
            }
            (State::Paused, Event::IdleElapsed) => {
                (State::Removing, vec![Effect::TellDying, Effect::Destroy])
            }
            // The pool wants its room: at once if it is idle, else after what it has.
            (State::Ready | State::Paused, Event::Remove) => {
                (State::Removing, vec![Effect::StopTimer, Effect::TellDying, Effect::Destroy])
            }
            (State::Pausing, Event::Remove) => (State::Removing, vec![Effect::TellDying, Effect::Destroy]),
            (State::Running(n), Event::Remove) => (State::Doomed(n), vec![Effect::TellDying]),
            (
                State::Creating(waiting) | State::Initializing(waiting) | State::Resuming(waiting),
                Event::Remove,
            ) => {
                // Only at the end of the process: what waits goes back, what runs is cut off.
                let mut effects = vec![Effect::TellDying];
                effects.extend(waiting.into_iter().map(Effect::Return));
                effects.push(Effect::Destroy);
                (State::Removing, effects)
            }
            (State::Doomed(n), Event::Remove) => (State::Doomed(n), vec![]),
            // Whatever comes to a container that goes: jobs go back, the rest is late.
            (state @ (State::Doomed(_) | State::Removing | State::Gone), Event::Assigned(job)) => {
                (state, vec![Effect::Return(job)])
            }
            (State::Removing, Event::Initialized(job) | Event::Refused(job)) => {
                (State::Removing, vec![Effect::Return(job)])
            }
            (State::Removing, Event::Created) => (State::Removing, vec![Effect::Destroy]),
            (State::Removing, Event::CreateFailed(_) | Event::NotPrewarmed) => {
                (State::Gone, vec![Effect::TellRemoved])
            }
            (State::Removing, Event::Destroyed) => (State::Gone, vec![Effect::TellRemoved]),
            (state @ (State::Removing | State::Gone), _) => (state, vec![]),
            // Timers that lost against a job: harmless.
            (state, Event::GraceElapsed | Event::IdleElapsed) => (state, vec![]),
            // A bug, loudly: the container goes, and the jobs that it holds go back.
            (state, event) => {
                tracing::error!(?state, ?event, "impossible transition of a container");
                debug_assert!(false, "impossible transition of a container: {state:?}, {event:?}");
                let mut effects = vec![Effect::TellDying];
                if let Event::Initialized(job) | Event::Refused(job) = event {
                    effects.push(Effect::Return(job));
                }
                if let State::Creating(waiting) | State::Initializing(waiting) | State::Resuming(waiting) =
                    state
                {
                    effects.extend(waiting.into_iter().map(Effect::Return));
                }
                effects.push(Effect::Destroy);
                (State::Removing, effects)
            }
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
