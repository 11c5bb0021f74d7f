use serde_json::{Error, Value};

pub fn main(_: Value) -> Result<Value, Error> {
    std::process::exit(3)
}
