use serde_json::{json, Error, Value};

pub fn main(args: Value) -> Result<Value, Error> {
    let delimiter = args["delimiter"].as_str().unwrap_or_default();
    let winter = format!("{delimiter} ☃ {delimiter}");
    println!("{winter}");
    Ok(json!({ "winter": winter }))
}
