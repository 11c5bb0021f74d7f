use serde_json::{Error, Map, Value};

const NAMES: [&str; 8] = ["api_host", "api_key", "namespace", "action_name", "action_version", "activation_id",
    "transaction_id", "deadline"];

pub fn main(_: Value) -> Result<Map<String, Value>, Error> {
    let variable = |name: &str| std::env::var(format!("__OW_{}", name.to_uppercase())).ok();
    Ok(NAMES.iter().map(|name| (name.to_string(), variable(name).into())).collect())
}
