use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{json, Value};

pub fn main(_: Value) -> Result<Value, Box<dyn Error>> {
    let deadline: i64 = std::env::var("__OW_DEADLINE")?.parse()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    Ok(json!({ "left": deadline - now }))
}
