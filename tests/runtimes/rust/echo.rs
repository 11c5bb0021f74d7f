use serde_json::{Error, Value};

pub fn main(args: Value) -> Result<Value, Error> {
    println!("hello stdout");
    eprintln!("hello stderr");
    Ok(args)
}
