//! Every limit of a container, hit by an action in every language: how the activation ends, what it says,
//! and that the next invocation of the same action works, in the same container or in another as the limit
//! demands. (Sizes of requests, code and parameters are the API's: `tests/api/sizes.rs`.)
//!
//! The actions lie in a folder a language, one file a case. They get `calm` when they are to behave, and
//! then tell where they run. All of it is about Docker: processes have fewer limits, and `tests/contract` and
//! `tests/platform` hold what they have.

mod cases;
mod site;

use cases::{CASES, Case};
use site::Site;

/// Declares each case as a test of each language.
macro_rules! languages {
    ($($language:ident),*) => { $(mod $language {
        languages! { @cases $language: memory, memory_heap, memory_child, exit, time, logs, result, pids,
            open_files, file_size, disk, disk_deleted, init_time, init_exit, init_memory, init_text }
    })* };
    (@cases $language:ident: $($case:ident),*) => {
        $(#[tokio::test]
        async fn $case() {
            super::run(stringify!($language), stringify!($case)).await;
        })*
    };
}

languages!(nodejs, php, python, ruby);

async fn run(language: &str, name: &str) {
    let Some(site) = Site::of(language).await else { return };
    let case = CASES.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
    case.hold(&site).await;
}

/// A case that nobody declares would never run.
#[test]
fn every_case_is_declared() {
    let declared = include_str!("main.rs");
    for Case { name, .. } in CASES {
        assert!(declared.contains(&format!(" {name}")), "{name}");
    }
}
