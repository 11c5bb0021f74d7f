use serde_json::{json, Value};

pub fn greet(name: &Value) -> Value {
    json!({ "greeting": format!("Hello {}!", name.as_str().unwrap_or("stranger")) })
}
