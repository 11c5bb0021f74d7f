extern crate serde_json;
use serde_json::{Error, Value};

pub fn niam(args: Value) -> Result<Value, Error> {
    Ok(args)
}
