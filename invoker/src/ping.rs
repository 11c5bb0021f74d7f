//! Each second this invoker says that it is there; at its end, that it takes no more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::bus::{MessageBus, Topic};
use common::entity::id::InvokerId;
use common::message::ping::PingMessage;
use common::shutdown::Shutdown;
use tracing::debug;

const PERIOD: Duration = Duration::from_secs(1);

/// Pings until it is told to stop, then says so once.
pub async fn run(bus: Arc<dyn MessageBus>, name: InvokerId, shutdown: Shutdown) {
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        let is_enabled = tokio::select! {
            () = shutdown.requested() => false,
            _ = ticks.tick() => true,
        };
        let ping = PingMessage { name: name.clone(), is_enabled };
        let bytes = Bytes::from(serde_json::to_vec(&ping).expect("our own messages serialize"));
        if let Err(error) = bus.publish(&Topic::health(), bytes).await {
            debug!("a ping was not sent: {error}");
        }
        if !is_enabled {
            return;
        }
    }
}
