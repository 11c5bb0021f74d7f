use serde_json::{json, Error, Value};

pub fn main(args: Value) -> Result<Value, Error> {
    let text = "x".repeat(90);
    for _ in 0..args["lines"].as_u64().unwrap_or_default() {
        println!("out {text}");
        eprintln!("err {text}");
    }
    Ok(json!({ "lines": args["lines"] }))
}
