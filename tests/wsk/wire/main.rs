//! The requests that the clients of `tests/wsk` send, without the clients: method, path with query, headers and
//! body to the letter, and of each answer the status and the parts that a client reads.
//!
//! They stand in `requests/*.toml`, a file a part of the script, and run in order in a namespace of their own.
//! They always run.

use tests::place;
use tests::requests::Requests;
use tests::whisk::Whisk;

async fn send(file: &str) {
    let whisk = Whisk::shared().await;
    let namespace = whisk.namespace().await;
    let file = place::workspace().join(format!("tests/wsk/wire/requests/{file}.toml"));
    Requests::read(&file).send(&namespace).await.unwrap_or_else(|story| panic!("{story}"));
}

#[tokio::test]
async fn a_properties() {
    send("a_properties").await;
}

#[tokio::test]
async fn c_actions() {
    send("c_actions").await;
}

#[tokio::test]
async fn d_web() {
    send("d_web").await;
}

#[tokio::test]
async fn e_activations() {
    send("e_activations").await;
}

#[tokio::test]
async fn f_packages() {
    send("f_packages").await;
}

#[tokio::test]
async fn g_triggers() {
    send("g_triggers").await;
}

#[tokio::test]
async fn j_wskdeploy() {
    send("j_wskdeploy").await;
}

#[tokio::test]
async fn k_node() {
    send("k_node").await;
}
