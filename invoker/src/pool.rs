//! Owns all containers: carries out what [`decide`] decides, a task a container.
//!
//! The facts stand behind one short lock; what follows from a decision is done after it is released, in no certain order
//! with what follows from others.

mod containers;
pub mod decide;
mod inboxes;
pub mod keep_alive;
pub mod keeper;
pub mod stem_cells;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::entity::activation::{Response, Status};
use tokio::sync::{Notify, oneshot};
use tracing::{Instrument, info, warn};

use crate::context::Context;
use crate::job::Job;
use crate::proxy::{self, Command, Origin, activation};
use decide::{ContainerNo, Effect, PoolState, ReservationNo, Start, Wanting};
use inboxes::Inboxes;
use keeper::Keeper;

/// Upstream's words for the activation of a namespace that is locked out.
const BLOCKED: &str = "The action was not invoked due to a blacklisted namespace.";

/// How long containers may take to go at the end.
const REMOVAL: Duration = Duration::from_secs(15);

/// The containers of an invoker.
pub struct Pool {
    context: Arc<Context>,
    prefix: String,
    state: Mutex<PoolState<Job>>,
    inboxes: Mutex<Inboxes<Command>>,
    /// Who waits for a reservation.
    reserving: Mutex<HashMap<ReservationNo, oneshot::Sender<()>>>,
    numbers: AtomicU64,
    keeper: Keeper,
    draining: AtomicBool,
    /// Jobs whose actions are being found.
    arriving: AtomicUsize,
    changed: Notify,
}

/// A job that comes once its action is found.
pub struct Arriving(Arc<Pool>);

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.arriving.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

/// Memory of the pool for something else than one of its containers. It is given back on drop.
pub struct Reservation {
    pool: Arc<Pool>,
    no: ReservationNo,
    memory_mb: u64,
}

impl Reservation {
    /// How much it is: what was asked for, or all that the pool has if that is less.
    pub fn memory_mb(&self) -> u64 {
        self.memory_mb
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.pool.reserving().remove(&self.no);
        self.pool.change(|state| state.release(self.no));
    }
}

/// Why a job is not taken.
enum Refusal {
    /// Its subject is locked out.
    Blocked,
    /// It could never fit.
    TooLarge,
}

/// The pool begins nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the invoker stops")]
pub struct Stopping;

impl Pool {
    /// An empty pool. Names of containers begin with `prefix`.
    pub fn new(context: Arc<Context>, prefix: String) -> Arc<Self> {
        let settings = &context.config.container_pool;
        let keeper = Keeper::new(&context.manifest, settings);
        keeper.announce(&context.metrics);
        let state = PoolState::new(settings.user_memory.mb(), keeper.cells(&*context.keep_alive));
        Arc::new(Self {
            context,
            prefix,
            state: Mutex::new(state),
            keeper,
            inboxes: Mutex::default(),
            reserving: Mutex::default(),
            numbers: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            arriving: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    /// Counts a job that comes later.
    pub fn arriving(self: &Arc<Self>) -> Arriving {
        self.arriving.fetch_add(1, Ordering::SeqCst);
        Arriving(self.clone())
    }

    /// Runs a job, now or when there is room. One that comes when no more are begun stays in the journal.
    pub fn submit(self: &Arc<Self>, job: Job) {
        if self.draining.load(Ordering::SeqCst) {
            return;
        }
        job.traced.waits();
        let (refused, effects) = self.decide(|state| {
            // With the lock: whoever is blocked later is looked for among those that wait.
            if self.is_blocked(&job) {
                return (Some((job, Refusal::Blocked)), Vec::new());
            }
            match state.submit(job) {
                Ok(effects) => (None, effects),
                Err(job) => (Some((job, Refusal::TooLarge)), Vec::new()),
            }
        });
        match refused {
            None => self.carry_out(effects),
            Some((job, Refusal::Blocked)) => self.refuse(vec![job]),
            Some((job, Refusal::TooLarge)) => {
                let memory = job.want().memory_mb;
                warn!(action.fqn = %job.message.action, "an action of {memory} MB is larger than the whole pool");
                let text = "Failed to provision resources to run the action.";
                self.answer(vec![job], Response::error(Status::WhiskError, text));
            }
        }
    }

    /// Ends the jobs that wait of subjects that are blocked by now.
    pub fn refuse_blocked(self: &Arc<Self>) {
        let mut refused = Vec::new();
        self.change(|state| {
            let (jobs, effects) = state.take_out(|job| self.is_blocked(job));
            refused = jobs;
            effects
        });
        self.refuse(refused);
    }

    fn is_blocked(&self, job: &Job) -> bool {
        self.context.blocked.contains(&job.message.user.subject)
    }

    fn refuse(&self, jobs: Vec<Job>) {
        for job in &jobs {
            let (id, subject) = (job.message.activation_id, &job.message.user.subject);
            job.span
                .in_scope(|| info!(activation.id = %id, "{id} is not run: its subject {subject} is blocked"));
        }
        self.answer(jobs, Response::error(Status::ApplicationError, BLOCKED));
    }

    /// Answers jobs that are not run.
    fn answer(&self, jobs: Vec<Job>, response: Response) {
        if jobs.is_empty() {
            return;
        }
        let context = self.context.clone();
        self.context.tasks.spawn("answer", async move {
            for job in jobs {
                let answering = activation::answer_unrun(&context, &job, response.clone());
                answering.instrument(job.span.clone()).await;
            }
        });
    }

    /// Waits, behind the jobs that came before, for memory that is not for a container of the pool. Idle
    /// containers make room as they do for a job. Cancel safe. Whoever waits must not hold a container:
    /// if all containers waited, none would ever make room.
    pub async fn reserve(self: &Arc<Self>, memory_mb: u64) -> Result<Reservation, Stopping> {
        let (granted, grant) = oneshot::channel();
        let (reservation, effects) = self.decide(|state| {
            if self.draining.load(Ordering::SeqCst) {
                return (Err(Stopping), Vec::new());
            }
            let (no, memory_mb, effects) = state.reserve(memory_mb);
            self.reserving().insert(no, granted);
            (Ok(Reservation { pool: self.clone(), no, memory_mb }), effects)
        });
        let reservation = reservation?;
        self.carry_out(effects);
        grant.await.map(|()| reservation).map_err(|_| Stopping)
    }

    /// A job comes back from a container that could not run it.
    pub fn returned(self: &Arc<Self>, job: Job) {
        self.context.metrics.rescheduled.inc();
        job.traced.waits();
        self.change(|state| state.returned(job));
    }

    /// A stem cell is made.
    pub fn prewarmed(self: &Arc<Self>, no: ContainerNo) {
        let now = self.context.clock.now();
        self.change(|state| state.prewarmed(no, now));
    }

    /// A stem cell was made as small as its first job asks.
    pub fn shrunk(self: &Arc<Self>, no: ContainerNo, memory_mb: u64) {
        self.change(|state| state.shrunk(no, memory_mb));
    }

    /// A stem cell could not be made smaller.
    pub fn cannot_shrink(&self) {
        warn!(
            "the memory of containers cannot be changed here: stem cells serve only actions of their very size"
        );
        self.state().cannot_shrink();
    }

    /// A container is initialized.
    pub fn warmed(&self, no: ContainerNo) {
        self.state().warmed(no);
    }

    /// One job of a container has ended.
    pub fn ended(self: &Arc<Self>, no: ContainerNo) {
        self.change(|state| state.ended(no));
    }

    /// A container takes no more jobs.
    pub fn dying(self: &Arc<Self>, no: ContainerNo) {
        self.change(|state| state.dying(no));
    }

    /// A container was to be a stem cell and could not be made.
    pub fn unmade(self: &Arc<Self>, no: ContainerNo) {
        self.change(|state| state.unmade(no));
    }

    /// A container is gone.
    pub fn removed(self: &Arc<Self>, no: ContainerNo) {
        self.inboxes().close(no);
        self.change(|state| state.removed(no));
    }

    /// How many jobs wait for their action or for room.
    pub fn waiting(&self) -> usize {
        self.state().waiting() + self.arriving.load(Ordering::SeqCst)
    }

    /// Memory of all containers and reservations, MB.
    pub fn used_mb(&self) -> u64 {
        self.state().used_mb()
    }

    /// Waits until no job runs and none waits, at most `grace`. Returns whether that is so.
    pub async fn settle(&self, grace: Duration) -> bool {
        let arriving = || self.arriving.load(Ordering::SeqCst);
        self.wait_until(grace, |state| state.active() == 0 && state.waiting() == 0 && arriving() == 0).await
    }

    /// Lets what runs end, for at most `grace`, then removes all containers. Jobs that have no container
    /// yet stay in the journal for the next start. Returns whether all is gone in order.
    pub async fn drain(self: &Arc<Self>, grace: Duration) -> bool {
        self.draining.store(true, Ordering::SeqCst);
        let left = {
            let mut state = self.state();
            state.make_stem_cells(false);
            state.drain_waiting().len()
        };
        self.reserving().clear();
        if left > 0 {
            info!(jobs = left, "{left} activations wait for the next start");
        }
        let ended = self.wait_until(grace, |state| state.active() == 0).await;
        if !ended {
            warn!("activations that outlast the grace are cut off; the next start gives them a record");
        }
        let living = self.state().close();
        for no in living {
            // One that is gone already need not be told.
            let _ = self.inboxes().send(no, Command::Remove);
        }
        self.wait_until(REMOVAL, |state| state.standing().containers == 0).await && ended
    }

    async fn wait_until(&self, limit: Duration, condition: impl Fn(&PoolState<Job>) -> bool) -> bool {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if condition(&self.state()) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    fn state(&self) -> MutexGuard<'_, PoolState<Job>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inboxes(&self) -> MutexGuard<'_, Inboxes<Command>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserving(&self) -> MutexGuard<'_, HashMap<ReservationNo, oneshot::Sender<()>>> {
        self.reserving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(self: &Arc<Self>, change: impl FnOnce(&mut PoolState<Job>) -> Vec<Effect<Job>>) {
        let ((), effects) = self.decide(|state| {
            let effects = change(state);
            if self.draining.load(Ordering::SeqCst) {
                // What came back or waited stays in the journal.
                state.drain_waiting();
            }
            ((), effects)
        });
        self.carry_out(effects);
    }

    /// Decides something; what is to be made can be told things from then on, whoever carries it out and when.
    fn decide<T>(
        &self,
        decision: impl FnOnce(&mut PoolState<Job>) -> (T, Vec<Effect<Job>>),
    ) -> (T, Vec<Effect<Job>>) {
        let mut state = self.state();
        let (outcome, effects) = decision(&mut state);
        for effect in &effects {
            let (no, jobs) = match effect {
                Effect::Create(no, job, _) => (*no, u64::from(job.want().max_concurrent)),
                // Whose it will be is not known: as many as the system allows.
                Effect::Prewarm(no, _) => (*no, self.context.config.concurrency_limit.max),
                _ => continue,
            };
            self.inboxes().open(no, jobs as usize + 2);
        }
        (outcome, effects)
    }

    fn carry_out(self: &Arc<Self>, mut effects: Vec<Effect<Job>>) {
        while !effects.is_empty() {
            let mut further = Vec::new();
            for effect in effects {
                further.extend(self.perform(effect));
            }
            effects = further;
        }
        {
            // With the lock, so that an older standing is never shown after a newer one.
            let state = self.state();
            self.context.metrics.pool(&state.standing());
        }
        self.changed.notify_waiters();
    }

    /// Returns what follows: a job goes back if its container went in the same moment.
    fn perform(self: &Arc<Self>, effect: Effect<Job>) -> Vec<Effect<Job>> {
        match effect {
            Effect::Create(no, job, start) => {
                self.placed(&job, start);
                let action = &job.message.action;
                let name = self.name(job.message.user.namespace.name.as_str(), action.name.as_str());
                self.start(no, name, Origin::Job(job));
            }
            Effect::Prewarm(no, cell) => {
                if let Some(plan) = self.keeper.plan(cell) {
                    let name = self.name("prewarm", &plan.kind.replace(':', ""));
                    self.start(no, name, Origin::StemCell(plan.clone()));
                }
            }
            Effect::Assign(no, job, start) => {
                self.placed(&job, start);
                if start == Start::Prewarmed {
                    self.keeper.served();
                }
                let told = self.inboxes().send(no, Command::Assign(Box::new(job)));
                if let Err(Command::Assign(job)) = told {
                    return self.decide(|state| ((), state.returned(*job))).1;
                }
            }
            Effect::Missed(cell) => return self.missed(cell),
            Effect::Expired(cell) => {
                if let Some(plan) = self.keeper.plan(cell) {
                    self.context.metrics.prewarm_expired(&plan.kind, plan.memory_mb);
                }
            }
            Effect::Failed(cell) => {
                self.keeper.failed(cell);
            }
            Effect::Grant(no) => {
                // Who has gone meanwhile gives it back by its guard.
                if let Some(granted) = self.reserving().remove(&no) {
                    let _ = granted.send(());
                }
            }
            Effect::Remove(no) => {
                // One that is gone already need not be told.
                let _ = self.inboxes().send(no, Command::Remove);
            }
        }
        Vec::new()
    }

    fn placed(&self, job: &Job, start: Start) {
        self.context.metrics.started(start);
        self.context.metrics.pool_wait.observe(job.arrived.elapsed().as_secs_f64());
    }

    fn start(self: &Arc<Self>, no: ContainerNo, name: String, origin: Origin) {
        let inbox = self.inboxes().begin(no).expect("a container is decided on, and then started once");
        let run = proxy::run(no, name, origin, self.context.clone(), self.clone(), inbox);
        self.context.tasks.spawn("container", run);
    }

    /// `<prefix>_<number>_<namespace>_<action>`, of the characters that Docker takes.
    fn name(&self, namespace: &str, action: &str) -> String {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let plain = |text: &str| -> String {
            text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect()
        };
        format!("{}_{number}_{}_{}", self.prefix, plain(namespace), plain(action))
    }
}
