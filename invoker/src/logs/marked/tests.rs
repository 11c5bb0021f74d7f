//! What overlapping runs print, and who gets it.

use proptest::prelude::*;

use super::*;
use crate::container::LogStream::{Stderr, Stdout};
use crate::logs::line;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const AT: u64 = 1_767_225_600_123_456_789;
const LOTS: u64 = 1 << 20;

fn id(n: u8) -> ActivationId {
    ActivationId::from_bytes([n; 16])
}

/// A marked piece of run `n`, or of nobody with 0.
fn piece_with(token: &str, n: u8, bytes: &[u8]) -> Vec<u8> {
    let mut piece = vec![MARK];
    piece.extend_from_slice(format!("{token}{}{:04x}\n", id(n), bytes.len()).as_bytes());
    piece.extend_from_slice(bytes);
    piece
}

fn piece(n: u8, text: &str) -> Vec<u8> {
    piece_with(TOKEN, n, text.as_bytes())
}

/// With runs 1 to 3 at work.
fn marked(limit: u64) -> Marked {
    let mut marked = Marked::new(TOKEN, Cutter::new(LogFraming::Counted, limit), limit);
    (1..=3).for_each(|n| marked.begin(id(n)));
    marked
}

fn texts(share: &Share) -> Vec<String> {
    share.piece.lines.iter().map(|(_, line)| line[31..].to_owned()).collect()
}

fn take(marked: &mut Marked, n: u8, out: u64, err: u64) -> Vec<String> {
    assert!(marked.is_complete(id(n), Cut::Bytes(out, err)), "run {n}");
    let share = marked.cut(id(n), Cut::Bytes(out, err), LOTS);
    assert!(share.piece.ended && !share.piece.truncated && !share.squeezed);
    texts(&share)
}

#[test]
fn each_run_gets_its_own_lines_in_order_also_those_written_in_parts() {
    let mut marked = marked(LOTS);
    for (n, stream, text) in [
        (1, Stdout, "one "),
        (2, Stdout, "two "),
        (1, Stderr, "e1\n"),
        (2, Stdout, "and more\nsecond"),
        (1, Stdout, "and more\n"),
        (3, Stdout, "three\n"),
        (2, Stderr, "e2\n"),
        (2, Stdout, " line\nno end"),
    ] {
        marked.push(stream, AT, &piece(n, text));
    }
    assert!(!marked.is_complete(id(2), Cut::Bytes(32, 3)));
    assert_eq!(
        take(&mut marked, 2, 31, 3),
        ["stdout: two and more", "stderr: e2", "stdout: second line", "stdout: no end"]
    );
    assert_eq!(take(&mut marked, 1, 13, 3), ["stderr: e1", "stdout: one and more"]);
    assert_eq!(take(&mut marked, 3, 6, 0), ["stdout: three"]);
    assert_eq!((marked.held, marked.runs.len()), (0, 0));
}

#[test]
fn what_comes_after_its_runs_end_is_nobodys() {
    let mut marked = marked(LOTS);
    marked.push(Stdout, AT, &piece(1, "in time\nlate\n"));
    assert_eq!(take(&mut marked, 1, 8, 0), ["stdout: in time"]);
    marked.push(Stdout, AT, &piece(1, "later\n"));
    marked.push(Stdout, AT, &piece(2, "x\n"));
    assert_eq!(take(&mut marked, 2, 2, 0), ["stdout: x"]);
    assert_eq!(take(&mut marked, 3, 0, 0), [""; 0]);
    assert!(marked.is_complete(id(9), Cut::Bytes(0, 0)) && !marked.is_complete(id(9), Cut::Bytes(1, 0)));
}

#[test]
fn what_is_nobodys_goes_to_the_run_that_ends_next_where_it_came() {
    let mut before = Cutter::new(LogFraming::Counted, LOTS);
    before.push(Stderr, AT, b"starting\n");
    let mut marked = Marked::new(TOKEN, before, LOTS);
    marked.begin(id(1));
    marked.begin(id(2));
    marked.push(Stdout, AT + 1, &piece(1, "a\n"));
    marked.push(Stdout, AT + 2, b"native\nhalf a");
    marked.push(Stdout, AT + 3, &piece(0, "timer\n"));
    marked.push(Stdout, AT + 4, &piece(1, "b\n"));
    assert_eq!(
        take(&mut marked, 1, 4, 0),
        ["stderr: starting", "stdout: a", "stdout: native", "stdout: half atimer", "stdout: b"]
    );
    // A line without its end stays, unless the container has died.
    marked.push(Stderr, AT + 5, b"Fatal error");
    assert_eq!(take(&mut marked, 2, 0, 0), [""; 0]);
    marked.begin(id(3));
    assert_eq!(texts(&marked.cut(id(3), Cut::Here, LOTS)), ["stderr: Fatal error"]);
}

#[test]
fn nothing_that_an_action_prints_passes_for_a_mark() {
    let mut marked = marked(LOTS);
    // Inside a marked piece not even the right head is one.
    let forged = [piece(2, "for two\n"), b"\x1e\x1e\n".to_vec()].concat();
    marked.push(Stdout, AT, &piece_with(TOKEN, 1, &forged));
    // Outside of one, by native code, the token is not known.
    let guess = TOKEN.replace('0', "f");
    marked.push(Stdout, AT, &piece_with(&guess, 2, b"guessed\n"));
    marked.push(Stdout, AT, b"\x1e0123");
    marked.push(Stdout, AT, b"\n\x1e");
    marked.push(Stdout, AT, &piece(2, "two\n"));
    assert_eq!(take(&mut marked, 2, 4, 0)[0], "stdout: two");
    let own = take(&mut marked, 1, forged.len() as u64, 0);
    assert_eq!(own.len(), 3, "{own:?}");
    assert!(own[1].ends_with("for two"), "{own:?}");
}

#[test]
fn each_run_has_the_whole_limit() {
    let one = line::size(AT, b"abc", true);
    let mut marked = marked(2 * one);
    for n in [1, 2, 1, 2, 1, 3, 1] {
        marked.push(Stdout, AT, &piece(n, "abc\n"));
    }
    for (n, bytes, lines, truncated) in [(1, 16, 2, true), (2, 8, 2, false), (3, 4, 1, false)] {
        let share = marked.cut(id(n), Cut::Bytes(bytes, 0), 2 * one);
        assert_eq!(
            (share.piece.lines.len(), share.piece.truncated, share.squeezed),
            (lines, truncated, false)
        );
        assert!(share.piece.ended);
    }
}

#[test]
fn a_flood_of_many_runs_is_held_up_to_a_bound() {
    const LIMIT: u64 = 10 << 20;
    let mut marked = Marked::new(TOKEN, Cutter::new(LogFraming::Counted, LIMIT), LIMIT);
    let text = "x".repeat(15).replace('x', "0123456789abcdef") + "\n";
    let flood = piece_with(TOKEN, 1, text.repeat(16).as_bytes());
    let bytes = text.len() as u64 * 16;
    (1..=8).for_each(|n| marked.begin(id(n)));
    let rounds = LIMIT / bytes;
    for _ in 0..rounds {
        for n in 1..=8_u8 {
            let mut piece = flood.clone();
            piece[PREFIX..PREFIX + DIGITS].copy_from_slice(id(n).to_string().as_bytes());
            marked.push(Stdout, AT, &piece);
        }
    }
    assert!(marked.held <= TOGETHER, "{}", marked.held);
    for n in 1..=8 {
        let share = marked.cut(id(n), Cut::Bytes(rounds * bytes, 0), LIMIT);
        assert!(share.piece.ended && share.squeezed && !share.piece.lines.is_empty());
    }
    assert_eq!(marked.held, 0);
    // With the room back, all is as before.
    marked.begin(id(1));
    marked.push(Stdout, AT, &piece(1, "calm\n"));
    assert_eq!(take(&mut marked, 1, 5, 0), ["stdout: calm"]);
}

#[test]
fn a_run_that_was_refused_leaves_nothing() {
    let mut marked = marked(LOTS);
    marked.push(Stdout, AT, &piece(1, "x\n"));
    marked.forget(id(1));
    assert_eq!((marked.held, marked.runs.len()), (0, 2));
}

proptest! {
    /// However the stream is chopped up, and whatever lies between the pieces.
    #[test]
    fn pieces_are_found_in_any_noise_and_any_chunks(
        parts in prop::collection::vec((0_u8..4, prop::collection::vec(any::<u8>(), 1..40)), 1..40),
        chunk in 1_usize..100,
    ) {
        let mut stream = Vec::new();
        let mut expected: [Vec<u8>; 4] = Default::default();
        for (n, bytes) in &parts {
            let own = match n {
                0 => bytes.clone(),
                n => piece_with(TOKEN, *n, bytes),
            };
            stream.extend_from_slice(&own);
            expected[*n as usize].extend_from_slice(bytes);
        }
        let mut marked = marked(LOTS);
        for bytes in stream.chunks(chunk) {
            marked.push(Stdout, AT, bytes);
        }
        // Nobody's is taken first, so that what follows is each run's own.
        marked.begin(id(9));
        marked.cut(id(9), Cut::Here, LOTS);
        for n in 1..=3_u8 {
            let own = &expected[n as usize];
            let mut alone = Cutter::new(LogFraming::Counted, LOTS);
            alone.push(Stdout, AT, own);
            let cut = Cut::Bytes(own.len() as u64, 0);
            prop_assert!(marked.is_complete(id(n), cut));
            prop_assert_eq!(marked.cut(id(n), cut, LOTS).piece.lines, alone.cut(cut, LOTS).lines);
        }
    }
}
