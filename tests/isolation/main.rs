//! What a hostile action may try, and that it does not succeed.
//!
//! Each attack of the table ([`attacks`]) first runs in an unrestricted container, where it must succeed: that
//! proves that its code works and that its target is there. Then it runs in containers that the platform makes:
//! in our Python image, which has no right at all, and as root in somebody's own image, which keeps a few. There
//! it must be refused, in a way that the table names. What is attacked is a decoy that the suite puts up on this
//! machine; no packet leaves it. docs/security.md lists the attacks for operators, and is held to it.
#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod archives;
mod attacks;
mod beyond;
mod decoys;
mod floods;
mod ground;
mod instance;
mod tenants;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use futures::future::join_all;
use invoker::container::docker::daemon;
use tests::daemon::{NODEJS, PYTHON};

use self::attacks::{ATTACKS, Outcome};
use self::ground::Ground;

/// Whether there is a Docker daemon to test with.
async fn is_possible() -> bool {
    let possible = daemon::has_images(None, &[PYTHON, NODEJS]).await;
    if !possible {
        let missing = format!("no Docker daemon with the images {PYTHON} and {NODEJS}");
        assert_ne!(std::env::var("OXWHISK_TEST_DOCKER").as_deref(), Ok("required"), "{missing}");
        eprintln!("SKIPPED, NOT TESTED: {missing}");
    }
    possible
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_succeeds_elsewhere_and_fails_here() {
    if !is_possible().await {
        return;
    }
    let ground = Ground::prepare().await;
    let all = async {
        let outcomes = carry_out(&ground).await;
        ground.is_unharmed().await;
        outcomes
    };
    let outcomes = AssertUnwindSafe(all).catch_unwind().await;
    ground.close().await;
    let (free, ours) = outcomes.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
    let mut failures = Vec::new();
    for attack in ATTACKS {
        let name = attack.name;
        let elsewhere = &free[name];
        if !elsewhere.succeeded {
            failures.push(format!("{name} does not even work from an unrestricted container: {elsewhere:?}"));
        }
        let here: Vec<_> = ours.iter().map(|outcomes| &outcomes[name]).collect();
        let is_refused =
            |outcome: &&Outcome| !outcome.succeeded && attack.refused.contains(&outcome.how.as_str());
        if !here.iter().all(is_refused) {
            failures.push(format!("{name}: {here:?}, expected one of {:?}", attack.refused));
        }
        let how: String = elsewhere.how.lines().next().unwrap_or_default().chars().take(50).collect();
        println!("{name:<18} elsewhere: {how:<50} here: {}, {}", here[0].how, here[1].how);
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

type Outcomes = BTreeMap<String, Outcome>;

/// All of them: from unrestricted containers, and from ours of two images.
async fn carry_out(ground: &Ground) -> (Outcomes, Vec<Outcomes>) {
    let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for attack in ATTACKS {
        kinds.entry(attack.free).or_default().push(attack);
    }
    let free = join_all(kinds.iter().map(|(free, attacks)| ground.carry_out_elsewhere(*free, attacks)));
    let ours = join_all(ground.images().iter().map(|image| ground.carry_out_here(image)));
    let (free, ours) = tokio::join!(free, ours);
    (free.into_iter().flatten().collect(), ours)
}

/// Every attack, also those that are no row of the table.
fn all_names() -> BTreeSet<&'static str> {
    let others = [archives::NAMES, floods::NAMES, ground::NAMES, tenants::NAMES].concat();
    ATTACKS.iter().map(|attack| attack.name).chain(others).collect()
}

#[test]
fn the_document_names_the_same_attacks() {
    let document = include_str!("../../docs/security.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let is_name = |name: &&str| !name.contains([' ', '`', '/']);
    let named: BTreeSet<_> = rows.map(|(name, _)| name).filter(is_name).collect();
    let suite = all_names();
    assert!(suite.len() >= 25, "{}", suite.len());
    assert_eq!(named, suite, "docs/security.md and the suite differ");
}

#[test]
fn what_the_document_says_of_containers_names_attacks_that_are_there() {
    let document = include_str!("../../docs/security.md");
    let (_, rest) = document.split_once("## What a container is given").unwrap();
    let (table, _) = rest.split_once("\n## ").unwrap();
    let proofs = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let proofs = proofs.filter_map(|line| line.trim_end_matches([' ', '|']).rsplit_once('|'));
    let words = proofs.flat_map(|(_, proof)| proof.split('`').skip(1).step_by(2)).collect::<Vec<_>>();
    let suite = all_names();
    let unknown: Vec<_> = words.iter().filter(|word| !word.contains('/') && !suite.contains(*word)).collect();
    assert!(words.len() > 10 && unknown.is_empty(), "{unknown:?} of {words:?}");
}
