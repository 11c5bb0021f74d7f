use serde_json::Value;

pub fn main(_: Value) -> Result<Value, String> {
    Err("nooooo".to_owned())
}
