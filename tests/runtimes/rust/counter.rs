use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Error, Value};

static COUNT: AtomicU64 = AtomicU64::new(0);

pub fn main(_: Value) -> Result<Value, Error> {
    Ok(json!({ "count": COUNT.fetch_add(1, Ordering::SeqCst) + 1 }))
}
