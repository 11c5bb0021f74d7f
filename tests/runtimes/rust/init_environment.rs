use std::env;

use serde_json::{json, Error, Value};

pub fn main(_: Value) -> Result<Value, Error> {
    let some = env::var("SOME_VAR").ok();
    Ok(json!({ "at_load": some, "SOME_VAR": some, "ANOTHER_VAR": env::var("ANOTHER_VAR").ok() }))
}
