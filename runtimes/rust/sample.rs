//! What is compiled once while the image is built, so that what every action needs is there.

use serde_derive::{Deserialize, Serialize};
use serde_json::{Error, Value};

#[derive(Serialize, Deserialize)]
struct Arguments {
    name: Option<String>,
}

pub fn main(arguments: Value) -> Result<Value, Error> {
    serde_json::to_value(serde_json::from_value::<Arguments>(arguments)?)
}
