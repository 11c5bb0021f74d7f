//! One activation inside its container: `/init`, `/run`, outcome, acknowledgement, logs, record.
//!
//! `started` is in the journal before the first byte goes to the container, the outcome before anybody
//! is told of it. The caller is answered before the logs are gathered; where there is nothing to gather,
//! result and completion go in one message.

use std::time::Duration;

use bytes::Bytes;
use common::clock::Millis;
use common::entity::activation::{Activation, Response, Status};
use common::message::event::EventOwner;
use tracing::{debug, error, warn};

use super::shell::Shell;
use super::state::{After, Event, Keep};
use crate::container::EndCause;
use crate::container::client::{Answer, CallError, ResponseLimits};
use crate::context::Context;
use crate::job::{Arguments, Initialization, Job};
use crate::logs::{CollectRequest, CollectedLogs, Ending};
use crate::response::{self, ABNORMAL_RUN, Call};
use common::record::{self, Times};
use common::trace::Open;

/// A parameter was sealed with a key that this installation does not have any more.
const SEALED: &str = "A parameter of the action could not be decrypted.";

/// Initializes the container for this job. A failure answers the job.
pub async fn init(context: &Context, shell: &Shell, mut job: Job) -> Event<Job, Response> {
    let start = context.clock.now();
    job.traced.is_served();
    let code = match context.compiler.code(&context.actions, &job.executable, None).await {
        Ok(code) => code,
        Err(no_code) => {
            let response = no_code.response();
            answer_uncompiled(context, &job, start, response.clone()).await;
            return Event::InitFailed(response);
        }
    };
    let environment = match arguments(context, &job) {
        Ok(Arguments { environment, .. }) => environment,
        Err(response) => {
            answer_unrun(context, &job, response.clone()).await;
            return Event::InitFailed(response);
        }
    };
    // A stem cell that has died meanwhile ran nothing of the job.
    if shell.is_stem_cell && shell.logs.has_ended() {
        return Event::Refused(job);
    }
    if let Err(response) = journal_start(context, &job) {
        answer_unrun(context, &job, response.clone()).await;
        return Event::InitFailed(response);
    }
    let limit = job.executable.time_limit();
    // Upstream: the system's maxima, not the namespace's.
    let payload = &context.config.activation.payload;
    let sizes = ResponseLimits { max: payload.max.bytes(), truncation: payload.truncation.bytes() };
    let token = shell.mark_logs(&job.executable);
    let body = job.init_body(code.as_ref(), environment, deadline(start, limit), token.as_deref());
    let body = Bytes::from(body);
    drop(code);
    shell.logs.begin(job.message.activation_id);
    let calling = call_span(shell, &job, "POST /init");
    let trace = calling.trace();
    let begun = context.metrics.init.start();
    let outcome = tokio::select! {
        outcome = async {
            match shell.is_stem_cell {
                true => shell.client.init_listening(body.clone(), limit, sizes, trace).await,
                false => shell.client.init(body.clone(), limit, sizes, trace).await,
            }
        } => outcome,
        () = shell.ended() =>
            Err(CallError::Lost(anyhow::anyhow!("the container ended before it answered"))),
    };
    let elapsed = begun.elapsed();
    context.metrics.init.end(begun, &outcome);
    end_call(calling, &outcome);
    let stale = shell.is_stem_cell && matches!(outcome, Err(CallError::Refused(_)));
    if stale || response::refuses(&outcome) {
        return refused(context, shell, job);
    }
    let end = end_of(shell, &outcome, elapsed < limit).await;
    let call = Call { elapsed, limit, sizes, end };
    let took = elapsed.as_millis() as u64;
    let log_bytes = outcome.as_ref().ok().and_then(|answer| answer.log_bytes);
    match response::of_init(&outcome, &call) {
        Ok(()) => {
            job.initialization = Some(Initialization { start, took, log_bytes });
            Event::Initialized(job)
        }
        Err(response) => {
            let timed_out = call.timed_out() || matches!(outcome, Err(CallError::Timeout));
            let times = Times { start, end: Millis(start.0 + took), init: Some(took), timed_out };
            finish(context, shell, &job, times, response.clone(), log_bytes).await;
            Event::InitFailed(response)
        }
    }
}

/// Runs the job. It is answered unless the container refused it.
pub async fn run(context: &Context, shell: &Shell, job: Job, after: After) -> Event<Job, Response> {
    job.traced.is_served();
    let arguments = match arguments(context, &job) {
        Ok(Arguments { run, .. }) => run,
        Err(response) => {
            answer_unrun(context, &job, response).await;
            return Event::Ended(Keep::Yes);
        }
    };
    // An initialization has told the journal already.
    if job.initialization.is_none()
        && let Err(response) = journal_start(context, &job)
    {
        answer_unrun(context, &job, response).await;
        return Event::Ended(Keep::Yes);
    }
    let limit = job.executable.time_limit();
    let sizes = context.response_limits(&job.message.user.limits);
    let start = context.clock.now();
    let body = Bytes::from(job.run_body(&arguments, deadline(start, limit)));
    drop(arguments);
    shell.logs.begin(job.message.activation_id);
    let calling = call_span(shell, &job, "POST /run");
    let begun = context.metrics.run.start();
    let outcome = shell.client.run(body, limit, sizes, calling.trace()).await;
    let elapsed = begun.elapsed();
    context.metrics.run.end(begun, &outcome);
    end_call(calling, &outcome);
    let stale = after == After::Idleness && matches!(outcome, Err(CallError::Refused(_)));
    if stale || response::refuses(&outcome) {
        return refused(context, shell, job);
    }
    let end = end_of(shell, &outcome, elapsed < limit).await;
    let call = Call { elapsed, limit, sizes, end };
    let response = response::of_run(&outcome, &call);
    let took = elapsed.as_millis() as u64;
    let ran_until = Millis(start.0 + took);
    let timed_out = call.timed_out() || matches!(outcome, Err(CallError::Timeout));
    let of_run = outcome.as_ref().ok().and_then(|answer| answer.log_bytes);
    let (times, log_bytes) = match job.initialization {
        None => (Times { start, end: ran_until, init: None, timed_out }, of_run),
        Some(init) => {
            // The initialization lies inside of start and end.
            let start = Millis(start.0.saturating_sub(init.took));
            let both = match (init.log_bytes, of_run) {
                (Some(a), Some(b)) => Some((a.0 + b.0, a.1 + b.1)),
                _ => None,
            };
            (Times { start, end: ran_until, init: Some(init.took), timed_out }, both)
        }
    };
    Event::Ended(finish(context, shell, &job, times, response, log_bytes).await)
}

/// Answers a job that never ran: its container could not be made or initialized.
pub async fn answer_unrun(context: &Context, job: &Job, response: Response) {
    answer_with(context, job, Times::never_ran(context.clock.now()), response).await;
}

/// Answers a job whose code could not be compiled. Upstream's proxies compile in `/init`, so that its time is an
/// initialization's.
pub async fn answer_uncompiled(context: &Context, job: &Job, start: Millis, response: Response) {
    let end = context.clock.now();
    let times = Times { start, end, init: Some(end.0.saturating_sub(start.0)), timed_out: false };
    answer_with(context, job, times, response).await;
}

async fn answer_with(context: &Context, job: &Job, times: Times, response: Response) {
    let record = of_job(job, times, response);
    conclude(context, job, &record);
    context.acks.combined(&job.message, &record, job.traced.trace());
    context.events.ended(&record, EventOwner::of(&job.message.user));
    context.metrics.ended(record.response.status);
    store(context, job, record).await;
}

/// Begins the span of a call to the container.
fn call_span(shell: &Shell, job: &Job, name: &'static str) -> Open {
    let mut span = job.traced.trace().client(name);
    if let Some(span) = span.recorded() {
        let address = shell.client.address();
        let path = name.rsplit(' ').next().unwrap_or_default();
        span.set("http.request.method", "POST")
            .set("url.full", format!("http://{address}{path}"))
            .set("server.address", address.ip().to_string())
            .set("server.port", i64::from(address.port()));
    }
    span
}

fn end_call(mut span: Open, outcome: &Result<Answer, CallError>) {
    let Some(span) = span.recorded() else { return };
    match outcome {
        Ok(answer) => {
            span.set("http.response.status_code", i64::from(answer.status));
            if answer.status >= 400 {
                span.set("error.type", answer.status.to_string()).fail("");
            }
        }
        Err(error) => {
            span.fail(error.to_string());
        }
    }
}

fn of_job(job: &Job, times: Times, response: Response) -> Activation {
    let action = &job.executable.action;
    let mut record = record::of_run(&job.message, action.exec.kind(), &action.limits, times, response);
    record.head.version = action.version;
    record
}

fn deadline(start: Millis, limit: Duration) -> u64 {
    start.0 + limit.as_millis() as u64
}

fn arguments(context: &Context, job: &Job) -> Result<Arguments, Response> {
    job.arguments(&context.ciphers).map_err(|error| {
        error!(activation.id = %job.message.activation_id, action.fqn = %job.message.action, "{error}");
        Response::error(Status::WhiskError, SEALED)
    })
}

fn journal_start(context: &Context, job: &Job) -> Result<(), Response> {
    context.journal.started(job.message.activation_id).map_err(|error| {
        error!(activation.id = %job.message.activation_id, "the journal cannot be written: {error}");
        Response::error(Status::WhiskError, ABNORMAL_RUN)
    })
}

fn refused(context: &Context, shell: &Shell, mut job: Job) -> Event<Job, Response> {
    let id = job.message.activation_id;
    shell.logs.forget(id);
    debug!(activation.id = %id, "the container refused the activation before it ran: it goes elsewhere");
    if let Err(error) = context.journal.retracted(id) {
        warn!(activation.id = %id, "the journal cannot be written: {error}");
    }
    job.initialization = None;
    Event::Refused(job)
}

async fn end_of(shell: &Shell, outcome: &Result<Answer, CallError>, in_time: bool) -> EndCause {
    match outcome {
        Err(CallError::Lost(_) | CallError::Refused(_)) if in_time => shell.cause_of_end().await,
        _ => EndCause::Running,
    }
}

/// Tells journal, caller, balancer and store how it ended. Returns whether the container may go on.
async fn finish(
    context: &Context,
    shell: &Shell,
    job: &Job,
    times: Times,
    response: Response,
    log_bytes: Option<(u64, u64)>,
) -> Keep {
    let (message, executable, trace) = (&*job.message, &*job.executable, job.traced.trace());
    let status = response.status;
    let mut record = of_job(job, times, response);
    conclude(context, job, &record);
    let limit_bytes = executable.log_limit();
    let developer_error = status == Status::DeveloperError;
    let ending = match shell.logs.ending(log_bytes) {
        Ending::Sentinels if developer_error || !executable.waits_for_sentinels => Ending::Settled,
        ending => ending,
    };
    let activation = message.activation_id;
    let request = CollectRequest { activation, limit_bytes, ending, developer_error };
    let nothing_to_wait_for = limit_bytes == 0 || ending == Ending::Bytes(0, 0);
    let logs = if nothing_to_wait_for {
        let logs = collect(context, shell, request).await;
        if message.blocking {
            context.acks.combined(message, &record, trace);
        } else {
            context.acks.completion(message, status, trace);
        }
        logs
    } else {
        if message.blocking {
            context.acks.result(message, &record, trace);
        }
        let collecting = trace.span("collect logs");
        let logs = collect(context, shell, request).await;
        drop(collecting);
        context.acks.completion(message, status, trace);
        logs
    };
    debug!(activation.id = %activation, "{activation} of {} has ended: {}", message.action, status.as_str());
    let keep = status <= Status::ApplicationError && !logs.failed;
    context.events.ended(&record, EventOwner::of(&message.user));
    record.logs = logs.lines;
    context.metrics.ended(status);
    store(context, job, record).await;
    if keep { Keep::Yes } else { Keep::No }
}

async fn collect(context: &Context, shell: &Shell, request: CollectRequest) -> CollectedLogs {
    let begun = context.metrics.logs.start();
    let logs = shell.logs.collect(request).await;
    match logs.failed {
        false => context.metrics.logs.finish(begun),
        true => context.metrics.logs.fail(begun),
    }
    logs
}

fn conclude(context: &Context, job: &Job, record: &Activation) {
    let id = job.message.activation_id;
    job.traced.ended(record.response.status, job.initialization.is_some());
    let text = serde_json::to_vec(record).expect("a record serializes");
    if let Err(error) = context.journal.outcome(id, Bytes::from(text)) {
        error!(activation.id = %id, "the journal cannot be written: {error}");
    }
    if record.response.status == Status::WhiskError {
        let text = record.response.result.as_ref().map_or("", |result| result.get());
        let shown: String = text.chars().take(1024).collect();
        error!(activation.id = %id, action.fqn = %job.message.action, "whisk error of {}: {shown}", job.message.action);
    }
}

async fn store(context: &Context, job: &Job, record: Activation) {
    if record::is_stored(&job.message, record.response.status, &context.config.activation) {
        context.records.store(record, job.traced.trace()).await;
    } else {
        context.records.skip(job.message.activation_id).await;
    }
}
