//! Tables of upstream's rules (`tests/.../containerpool/test/ContainerProxyTests.scala`).

use super::*;

type S = State<u32>;
type E = Event<u32, &'static str>;
type X = Effect<u32, &'static str>;

fn walk(mut state: S, events: Vec<E>) -> (S, Vec<X>) {
    let mut all = Vec::new();
    for event in events {
        let (next, effects) = state.on(event);
        state = next;
        all.extend(effects);
    }
    (state, all)
}

#[test]
fn a_cold_start_runs_its_job_and_falls_idle() {
    let (state, effects) =
        walk(S::Creating(vec![1]), vec![E::Created, E::Initialized(1), E::Ended(Keep::Yes)]);
    assert_eq!(state, S::Ready);
    assert_eq!(effects, [X::Init(1), X::TellWarm, X::Run(1, After::Work), X::StartGrace, X::TellEnded]);
}

#[test]
fn a_stem_cell_waits_for_its_first_job() {
    let (state, effects) = walk(S::Creating(vec![]), vec![E::Created]);
    assert_eq!((state, effects), (S::Prewarmed, vec![X::TellPrewarmed]));
    let (state, effects) = walk(S::Prewarmed, vec![E::Assigned(1), E::Assigned(2), E::Initialized(1)]);
    assert_eq!(state, S::Running(2));
    assert_eq!(effects, [X::Init(1), X::TellWarm, X::Run(1, After::Work), X::Run(2, After::Work)]);
    // One that is still made takes a job too, and is then like any other.
    let (state, effects) = walk(S::Creating(vec![]), vec![E::Assigned(1), E::Created]);
    assert_eq!((state, effects), (S::Initializing(vec![]), vec![X::Init(1)]));
    let (state, effects) = walk(S::Prewarmed, vec![E::Remove, E::Assigned(1), E::Destroyed]);
    assert_eq!(state, S::Gone);
    assert_eq!(effects, [X::TellDying, X::Destroy, X::Return(1), X::TellRemoved]);
    // Whoever waits for one that cannot be made gets another.
    let (state, effects) = walk(S::Creating(vec![]), vec![E::Assigned(1), E::NotPrewarmed]);
    assert_eq!((state, effects), (S::Gone, vec![X::TellUnmade, X::Return(1), X::TellRemoved]));
}

#[test]
fn within_the_grace_nothing_is_paused() {
    let (state, effects) = walk(S::Ready, vec![E::Assigned(2), E::GraceElapsed]);
    assert_eq!((state, effects), (S::Running(1), vec![X::StopTimer, X::Run(2, After::Idleness)]));
}

#[test]
fn a_paused_container_is_resumed_and_not_initialized_again() {
    let (state, effects) = walk(
        S::Ready,
        vec![E::GraceElapsed, E::Suspended(Ok(())), E::Assigned(2), E::Assigned(3), E::Resumed(Ok(()))],
    );
    assert_eq!(state, S::Running(2));
    assert_eq!(
        effects,
        [
            X::Suspend,
            X::StartIdle,
            X::StopTimer,
            X::Resume,
            X::Run(2, After::Idleness),
            X::Run(3, After::Idleness)
        ]
    );
}

#[test]
fn a_job_while_pausing_is_run_after_a_resume() {
    let (state, effects) = walk(S::Pausing, vec![E::Assigned(2), E::Suspended(Ok(())), E::Resumed(Ok(()))]);
    assert_eq!((state, effects), (S::Running(1), vec![X::Resume, X::Run(2, After::Idleness)]));
}

#[test]
fn faults_answer_or_return_every_job() {
    let table: Vec<(S, E, S, Vec<X>)> = vec![
        (
            S::Creating(vec![1, 2]),
            E::CreateFailed("no"),
            S::Gone,
            vec![X::TellDying, X::Answer(1, "no"), X::Answer(2, "no"), X::TellRemoved],
        ),
        (
            S::Initializing(vec![2]),
            E::InitFailed("syntax"),
            S::Removing,
            vec![X::TellDying, X::Answer(2, "syntax"), X::Destroy],
        ),
        (
            S::Initializing(vec![2]),
            E::Refused(1),
            S::Removing,
            vec![X::TellDying, X::Return(1), X::Return(2), X::Destroy],
        ),
        (
            S::Running(1),
            E::Refused(1),
            S::Removing,
            vec![X::TellDying, X::TellEnded, X::Return(1), X::Destroy],
        ),
        (
            S::Resuming(vec![1]),
            E::Resumed(Err(())),
            S::Removing,
            vec![X::TellDying, X::Return(1), X::Destroy],
        ),
        (S::Pausing, E::Suspended(Err(())), S::Removing, vec![X::TellDying, X::Destroy]),
        (S::Removing, E::Assigned(7), S::Removing, vec![X::Return(7)]),
        (S::Doomed(1), E::Assigned(7), S::Doomed(1), vec![X::Return(7)]),
        (S::Gone, E::Assigned(7), S::Gone, vec![X::Return(7)]),
    ];
    for (state, event, then, effects) in table {
        let shown = format!("{state:?} on {event:?}");
        assert_eq!(state.on(event), (then, effects), "{shown}");
    }
}

#[test]
fn a_failed_run_lets_the_others_end() {
    let (state, effects) = walk(
        S::Running(3),
        vec![E::Ended(Keep::No), E::Assigned(9), E::Ended(Keep::Yes), E::Ended(Keep::Yes), E::Destroyed],
    );
    assert_eq!(state, S::Gone);
    assert_eq!(
        effects,
        [X::TellDying, X::TellEnded, X::Return(9), X::TellEnded, X::TellEnded, X::Destroy, X::TellRemoved]
    );
}

#[test]
fn a_removal_waits_for_the_run() {
    let (state, effects) = walk(S::Running(1), vec![E::Remove, E::Ended(Keep::Yes)]);
    assert_eq!((state, effects), (S::Removing, vec![X::TellDying, X::TellEnded, X::Destroy]));
    let (state, effects) = walk(S::Paused, vec![E::Remove, E::IdleElapsed, E::Destroyed]);
    assert_eq!(state, S::Gone);
    assert_eq!(effects, [X::StopTimer, X::TellDying, X::Destroy, X::TellRemoved]);
}

#[test]
fn the_end_of_the_process_cuts_off_what_starts() {
    let (state, effects) = walk(S::Creating(vec![1]), vec![E::Remove, E::Created, E::Destroyed]);
    assert_eq!(state, S::Gone);
    assert_eq!(effects, [X::TellDying, X::Return(1), X::Destroy, X::Destroy, X::TellRemoved]);
}
