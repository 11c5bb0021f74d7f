//! Each second an invoker says on topic `health` that it is there
//! (`.../core/connector/Message.scala`, `PingMessage`). The instance stands under `name`.

use serde::{Deserialize, Serialize};

use crate::entity::id::InvokerId;

/// One sign of life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PingMessage {
    /// Who.
    pub name: InvokerId,
    /// Whether it wants work.
    #[serde(default = "enabled")]
    pub is_enabled: bool,
}

fn enabled() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::limits::ByteSize;

    #[test]
    fn the_instance_stands_under_name_and_enabled_is_the_default() {
        let ping = PingMessage { name: InvokerId::new(1, ByteSize::from_mb(1)), is_enabled: true };
        let mut json = serde_json::to_value(&ping).unwrap();
        assert_eq!(json["name"]["instance"], 1);
        json.as_object_mut().unwrap().remove("isEnabled");
        assert_eq!(serde_json::from_value::<PingMessage>(json).unwrap(), ping);
    }
}
