//! Each second this invoker says that it is there. While it wants no work, and at its end, it says that
//! once, and is silent. It wants none while its container daemon is away for longer than a restart takes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::bus::{MessageBus, Topic};
use common::entity::id::InvokerId;
use common::message::ping::PingMessage;
use common::shutdown::Shutdown;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::debug;

const PERIOD: Duration = Duration::from_secs(1);

/// So long a container daemon may be away while jobs wait for it.
const AWAY: Duration = Duration::from_secs(3);

/// A ping that the bus has not taken by then says nothing any more.
const LIMIT: Duration = Duration::from_secs(3);

/// Pings until it is told to stop.
pub async fn run(
    bus: Arc<dyn MessageBus>,
    name: InvokerId,
    mut enabled: watch::Receiver<bool>,
    away: watch::Receiver<Option<Instant>>,
    shutdown: Shutdown,
) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wants_work = *enabled.borrow_and_update();
    loop {
        let stop = tokio::select! {
            () = shutdown.requested() => true,
            _ = ticks.tick() => false,
            changed = enabled.changed() => changed.is_err(),
        };
        let works = away.borrow().is_none_or(|since| since.elapsed() < AWAY);
        let wanted = std::mem::replace(&mut wants_work, *enabled.borrow_and_update() && works && !stop);
        if wanted || wants_work {
            ping(&*bus, &name, wants_work).await;
        }
        if stop {
            return;
        }
    }
}

async fn ping(bus: &dyn MessageBus, name: &InvokerId, is_enabled: bool) {
    let ping = PingMessage { name: name.clone(), is_enabled };
    let bytes = Bytes::from(serde_json::to_vec(&ping).expect("our own messages serialize"));
    match timeout(LIMIT, bus.publish(&Topic::health(), bytes)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("a ping was not sent: {error}"),
        Err(_) => debug!("a ping was not taken in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::bus::Inbox;
    use common::bus::memory::MemoryBus;
    use common::entity::limits::ByteSize;

    async fn next(inbox: &mut Inbox) -> Option<bool> {
        let delivery = timeout(Duration::from_secs(5), inbox.next()).await.ok()??;
        let ping: PingMessage = serde_json::from_slice(delivery.message()).unwrap();
        delivery.accept();
        Some(ping.is_enabled)
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_heard_each_second_while_it_wants_work() {
        let (bus, shutdown) = (Arc::new(MemoryBus::default()), Shutdown::new());
        let mut inbox = Inbox::open(&*bus, &Topic::health(), "health0").await.unwrap();
        let (enable, enabled) = watch::channel(true);
        let name = InvokerId::new(0, ByteSize::from_mb(1));
        let (daemon, away) = watch::channel(None);
        shutdown.spawn("pings", run(bus.clone(), name, enabled, away, shutdown.clone()));
        assert_eq!((next(&mut inbox).await, next(&mut inbox).await), (Some(true), Some(true)));
        enable.send(false).unwrap();
        assert_eq!((next(&mut inbox).await, next(&mut inbox).await), (Some(false), None));
        enable.send(true).unwrap();
        assert_eq!((next(&mut inbox).await, next(&mut inbox).await), (Some(true), Some(true)));
        // A daemon that comes back soon is nothing to speak of.
        daemon.send_replace(Some(Instant::now()));
        assert_eq!((next(&mut inbox).await, next(&mut inbox).await), (Some(true), Some(true)));
        daemon.send_replace(Some(Instant::now() - AWAY));
        assert_eq!((next(&mut inbox).await, next(&mut inbox).await), (Some(false), None));
        daemon.send_replace(None);
        assert_eq!((next(&mut inbox).await, next(&mut inbox).await), (Some(true), Some(true)));
        shutdown.request();
        assert_eq!((next(&mut inbox).await, next(&mut inbox).await), (Some(false), None));
        assert!(shutdown.finish(Duration::from_secs(1)).await);
    }
}
