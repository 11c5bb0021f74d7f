//! The collector's waiting, in paused time.

use bytes::Bytes;
use common::clock::{Millis, VirtualClock};
use tokio::sync::mpsc::Sender;

use super::*;
use crate::container::LogChunk;

const LIMIT: u64 = 10 << 20;

fn id(n: u8) -> ActivationId {
    ActivationId::from_bytes([n; 16])
}

struct Fixture {
    output: Option<Sender<LogChunk>>,
    collector: Arc<LogCollector>,
    tasks: Shutdown,
}

fn fixture(framing: LogFraming) -> Fixture {
    let (output, source) = LogSource::channel();
    let tasks = Shutdown::new();
    let clock = Arc::new(VirtualClock::at(Millis(1_767_225_600_000)));
    let collector = Arc::new(LogCollector::new(source, framing, clock, &tasks));
    Fixture { output: Some(output), collector, tasks }
}

impl Fixture {
    async fn write(&self, stream: LogStream, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.output.as_ref().unwrap().send(LogChunk { stream, at_nanos: 0, bytes }).await.unwrap();
    }

    async fn collect(&self, ending: Ending) -> CollectedLogs {
        self.collect_of(id(1), ending).await
    }

    async fn collect_of(&self, activation: ActivationId, ending: Ending) -> CollectedLogs {
        let request = CollectRequest { activation, limit_bytes: LIMIT, ending, developer_error: false };
        self.collector.collect(request).await
    }
}

fn texts(logs: &CollectedLogs) -> Vec<&str> {
    logs.lines.iter().map(|line| &line[31..]).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_written_means_nothing_to_wait_for() {
    let fixture = fixture(LogFraming::Counted);
    let start = Instant::now();
    assert_eq!(fixture.collect(Ending::Bytes(0, 0)).await, CollectedLogs::default());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn counted_output_is_waited_for() {
    let fixture = fixture(LogFraming::Counted);
    let collector = fixture.collector.clone();
    let request = CollectRequest {
        activation: id(1),
        limit_bytes: LIMIT,
        ending: Ending::Bytes(6, 0),
        developer_error: true,
    };
    let logs = fixture.tasks.spawn("collect", async move { collector.collect(request).await });
    for text in ["a", "b", "c\nd\n"] {
        tokio::time::sleep(Duration::from_millis(400)).await;
        fixture.write(LogStream::Stdout, text).await;
    }
    let logs = logs.await.unwrap();
    assert_eq!(texts(&logs), ["stdout: abc", "stdout: d", &format!("stderr: {DEVELOPER_ERROR}")]);
    assert!(!logs.failed && !logs.truncated);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_waiting_with_the_failure_line() {
    for (framing, ending) in
        [(LogFraming::Counted, Ending::Bytes(100, 0)), (LogFraming::Sentinels, Ending::Sentinels)]
    {
        let fixture = fixture(framing);
        fixture.write(LogStream::Stdout, "half\n").await;
        let start = Instant::now();
        let logs = fixture.collect(ending).await;
        assert_eq!(texts(&logs), ["stdout: half", &format!("stderr: {FAILURE}")]);
        assert!(logs.failed);
        assert_eq!(start.elapsed().as_millis() / 10, 50);
    }
}

#[tokio::test(start_paused = true)]
async fn endless_output_without_sentinels_ends_too() {
    let fixture = Arc::new(fixture(LogFraming::Sentinels));
    let writer = fixture.clone();
    let writing = fixture.tasks.spawn("writer", async move {
        loop {
            writer.write(LogStream::Stdout, "more\n").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let start = Instant::now();
    assert!(fixture.collect(Ending::Sentinels).await.failed);
    assert_eq!(start.elapsed().as_secs(), 20, "twice the limit in MB");
    writing.abort();
}

#[tokio::test(start_paused = true)]
async fn the_containers_end_is_the_end_of_waiting() {
    let mut fixture = fixture(LogFraming::Sentinels);
    fixture.write(LogStream::Stderr, "Traceback\n  boom").await;
    fixture.output = None;
    let start = Instant::now();
    fixture.collector.ended().await;
    let logs = fixture.collect(Ending::Settled).await;
    assert_eq!(texts(&logs), ["stderr: Traceback", "stderr:   boom"]);
    assert!(!logs.failed);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(fixture.tasks.finish(Duration::from_secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn without_waiting_a_moment_is_enough() {
    let fixture = fixture(LogFraming::Sentinels);
    fixture.write(LogStream::Stdout, "a\n").await;
    let start = Instant::now();
    assert_eq!(texts(&fixture.collect(Ending::Settled).await), ["stdout: a"]);
    assert!(start.elapsed() <= SETTLE + Duration::from_millis(2), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_container_that_has_printed_a_sentinel_is_given_time_to_do_so_again() {
    let fixture = fixture(LogFraming::Sentinels);
    let end = format!("{}\n", String::from_utf8_lossy(cut::SENTINEL));
    fixture.write(LogStream::Stdout, &format!("a\n{end}")).await;
    let late = async {
        sleep_until(Instant::now() + SETTLE * 5).await;
        fixture.write(LogStream::Stderr, &format!("late\n{end}")).await;
    };
    let (logs, ()) = tokio::join!(fixture.collect(Ending::Settled), late);
    assert_eq!(texts(&logs), ["stdout: a", "stderr: late"]);
    // It promised nothing, so that it has broken nothing if none comes.
    fixture.write(LogStream::Stdout, "b\n").await;
    let logs = fixture.collect(Ending::Settled).await;
    assert_eq!((texts(&logs), logs.failed), (vec!["stdout: b"], false));
}

#[tokio::test(start_paused = true)]
async fn a_cut_log_says_so_and_its_container_may_be_kept() {
    let fixture = fixture(LogFraming::Counted);
    fixture.write(LogStream::Stdout, &"x\n".repeat(100)).await;
    let request = CollectRequest {
        activation: id(1),
        limit_bytes: 200,
        ending: Ending::Bytes(200, 0),
        developer_error: false,
    };
    let logs = fixture.collector.collect(request).await;
    assert!(logs.truncated && !logs.failed);
    let last = "2026-01-01T00:00:00Z           stderr: \
        Logs were truncated because the total bytes size exceeds the limit of 200 bytes.";
    assert_eq!(logs.lines.last().unwrap(), last);
}

#[tokio::test(start_paused = true)]
async fn with_a_limit_of_zero_nothing_is_collected_and_nobody_waits() {
    let fixture = fixture(LogFraming::Counted);
    fixture.write(LogStream::Stdout, "a\n").await;
    let request = CollectRequest {
        activation: id(1),
        limit_bytes: 0,
        ending: Ending::Bytes(100, 0),
        developer_error: true,
    };
    assert_eq!(fixture.collector.collect(request).await, CollectedLogs::default());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_collector_ends_the_reading() {
    let fixture = fixture(LogFraming::Counted);
    drop(fixture.collector);
    fixture.output.as_ref().unwrap().closed().await;
    assert!(fixture.tasks.finish(Duration::from_secs(1)).await);
}

/// A piece as the Node image marks it.
fn marked(token: &str, whose: u8, text: &str) -> String {
    format!("\x1e{token}{}{:04x}\n{text}", id(whose), text.len())
}

#[tokio::test(start_paused = true)]
async fn overlapping_runs_wait_for_their_own_output_alone() {
    let fixture = fixture(LogFraming::Counted);
    let token = fixture.collector.mark(LIMIT);
    for run in [1, 2, 3] {
        fixture.collector.begin(id(run));
    }
    let slow = fixture.collector.clone();
    let request = CollectRequest {
        activation: id(1),
        limit_bytes: LIMIT,
        ending: Ending::Bytes(4, 0),
        developer_error: false,
    };
    let slow = fixture.tasks.spawn("collect", async move { slow.collect(request).await });
    tokio::task::yield_now().await;
    let start = Instant::now();
    assert_eq!(fixture.collect_of(id(3), Ending::Bytes(0, 0)).await, CollectedLogs::default());
    fixture.write(LogStream::Stdout, &marked(&token, 2, "b\n")).await;
    fixture.write(LogStream::Stdout, &marked(&token, 1, "a1")).await;
    assert_eq!(texts(&fixture.collect_of(id(2), Ending::Bytes(2, 0)).await), ["stdout: b"]);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(!slow.is_finished());
    fixture.write(LogStream::Stdout, &marked(&token, 1, "2\n")).await;
    assert_eq!(texts(&slow.await.unwrap()), ["stdout: a12"]);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_output_does_not_come_fails_alone() {
    let fixture = fixture(LogFraming::Counted);
    let token = fixture.collector.mark(LIMIT);
    fixture.collector.begin(id(1));
    fixture.collector.begin(id(2));
    fixture.write(LogStream::Stderr, &marked(&token, 1, "half")).await;
    let logs = fixture.collect_of(id(1), Ending::Bytes(0, 100)).await;
    assert_eq!(texts(&logs), ["stderr: half", &format!("stderr: {FAILURE}")]);
    assert!(logs.failed);
    fixture.write(LogStream::Stderr, &marked(&token, 2, "x\n")).await;
    assert_eq!(texts(&fixture.collect_of(id(2), Ending::Bytes(0, 2)).await), ["stderr: x"]);
}
