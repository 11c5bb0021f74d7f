//! The examples of docs/actions.md: what is shown of a compiled language is what tests/runtimes runs.

use crate::tree;

#[test]
fn the_examples_of_compiled_languages_are_run() {
    let document = tree::text("docs/actions.md");
    for (language, extension) in [("go", "go"), ("java", "java"), ("rust", "rs"), ("swift", "swift")] {
        let example = tree::text(&format!("tests/runtimes/{language}/hello.{extension}"));
        assert!(
            document.contains(&example),
            "docs/actions.md does not show tests/runtimes/{language}/hello.{extension} as it is"
        );
    }
}
