//! Kafka as a place for the bus, and what only it promises: what was accepted outlives processes, what was
//! refused is held, and a broker may go away.

mod lag;
mod loss;
mod memory;
mod topics;

use std::sync::Arc;

use async_trait::async_trait;
use common::bus::MessageBus;
use common::bus::kafka::KafkaBus;
use common::bus::memory::MAX_MESSAGE;
use common::config::kafka::KafkaConfig;
use common::metrics::shared::SharedMetrics;
use common::shutdown::Shutdown;
use tests::services::kafka::Kafka;

use super::{Place, soon};

/// Topics of the shared broker that nobody else has.
pub(super) struct Broker {
    config: KafkaConfig,
}

impl Broker {
    /// A process that begins.
    async fn connect(&self) -> KafkaBus {
        connect(&self.config).await
    }
}

#[async_trait]
impl Place for Broker {
    async fn new() -> Self {
        Self { config: Kafka::shared().await.settings() }
    }

    async fn bus(&self) -> Arc<dyn MessageBus> {
        Arc::new(self.connect().await)
    }

    fn hears_owners(&self) -> bool {
        false
    }
}

async fn connect(config: &KafkaConfig) -> KafkaBus {
    soon(KafkaBus::connect(config, MAX_MESSAGE, &SharedMetrics::default().bus, &Shutdown::new(), drop))
        .await
        .unwrap()
}
