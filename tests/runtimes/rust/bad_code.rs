use serde_json::{json, Error, Value};

pub fn main(_: Value) -> Result<Value, Error> {
    Ok(json!({
