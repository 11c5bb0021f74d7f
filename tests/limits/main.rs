//! Every limit of a container, hit by an action in every language: how the activation ends, what it says,
//! and that the next invocation of the same action works, in the same container or in another as the limit
//! demands. (Sizes of requests, code and parameters are the API's: `tests/api/sizes.rs`.)
//!
//! The actions lie in a folder a language, one file a case, or one for all where they are compiled. They get `calm` when they are to behave, and
//! then tell where they run. A case is a test, in all languages at once, since most of it is waiting. All of it
//! is about Docker: processes have fewer limits, and `tests/contract` and `tests/platform` hold what they have.

mod cases;
mod driver;
mod site;

use std::panic::AssertUnwindSafe;

use cases::CASES;
use futures::FutureExt;
use futures::future::join_all;
use site::{LANGUAGES, Site};

/// Declares each case as a test.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $case() {
            hold(stringify!($case)).await;
        })*

        /// A case that nobody declares would never run.
        #[test]
        fn every_case_is_declared() {
            let declared = [$(stringify!($case)),*];
            assert!(CASES.iter().all(|case| declared.contains(&case.name)));
        }
    };
}

cases![
    memory,
    memory_heap,
    memory_child,
    exit,
    time,
    logs,
    result,
    pids,
    open_files,
    file_size,
    disk,
    disk_deleted,
    init_time,
    init_exit,
    init_memory,
    init_text,
];

async fn hold(name: &str) {
    let case = CASES.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
    let in_language = async |language| {
        let site = Site::of(language).await.filter(|site| site.has(name))?;
        // The others are to be heard of as well.
        let held = AssertUnwindSafe(case.hold(&site)).catch_unwind().await;
        held.err().map(|_| site.language.name)
    };
    let failed: Vec<_> = join_all(LANGUAGES.iter().map(in_language)).await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{name} does not hold in {failed:?}");
}
