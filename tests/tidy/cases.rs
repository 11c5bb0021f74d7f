//! The numbered cases of the REST API: each is proven by a test that carries its number.

use std::collections::BTreeSet;
use std::io::Write;

use regex::Regex;

use crate::tree;

/// The highest number.
const LAST: u16 = 459;

/// Of the playground of upstream's standalone server, which is not there.
const NOT_YET: [u16; 1] = [459];

/// The numbers that there are: one in eight was never given.
fn numbers() -> BTreeSet<u16> {
    (1..=LAST).filter(|number| number % 8 != 5).collect()
}

#[test]
fn every_numbered_case_has_a_test() {
    let name = Regex::new(r"fn cases?_((?:\d{3}_)+)").expect("it is an expression");
    let files = tree::rust_files();
    let names = files.iter().flat_map(|file| name.captures_iter(&file.text));
    let proven: BTreeSet<u16> = names
        .flat_map(|found| found[1].split('_').filter_map(|n| n.parse().ok()).collect::<Vec<_>>())
        .collect();
    let numbers = numbers();
    let missing: Vec<_> = numbers.difference(&proven).filter(|number| !NOT_YET.contains(number)).collect();
    assert!(missing.is_empty(), "no test carries the numbers {missing:?}");
    let unknown: Vec<_> = proven.difference(&numbers).collect();
    assert!(unknown.is_empty(), "there are no cases {unknown:?}");
    // Written past the capture of tests: the count is for whoever reads the log.
    let told =
        format!("{} of {} numbered cases have tests; not yet: {NOT_YET:?}\n", proven.len(), numbers.len());
    std::io::stdout().write_all(told.as_bytes()).expect("somebody listens");
}
