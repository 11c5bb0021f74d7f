//! Tables of what arrives and what becomes of it; the numbers are upstream's traps 70 to 73.

use super::*;
use crate::container::LogStream::{Stderr, Stdout};

const AT: u64 = 1_767_225_600_123_456_789;
const LOTS: u64 = 1 << 20;
const END: &str = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n";

fn cutter(framing: LogFraming, output: &[(LogStream, &str)]) -> Cutter {
    let mut cutter = Cutter::new(framing, LOTS);
    feed(&mut cutter, output);
    cutter
}

fn feed(cutter: &mut Cutter, output: &[(LogStream, &str)]) {
    for (stream, text) in output {
        cutter.push(*stream, AT, text.as_bytes());
    }
}

/// The lines without their times: `o:text`, `e:text`.
fn short(piece: &Piece) -> Vec<String> {
    let text = |(_, line): &(u64, String)| line[31..].replacen("std", "", 1);
    let first =
        |line: String| format!("{}{}", &line[..1], &line[line.find(':').unwrap()..]).replacen(": ", ":", 1);
    piece.lines.iter().map(|line| first(text(line))).collect()
}

#[test]
fn counted_output_is_cut_at_bytes() {
    for (output, (out, err), lines, next) in [
        (vec![(Stdout, "a\nb\n")], (4, 0), vec!["o:a", "o:b"], vec![]),
        (vec![(Stdout, "a\nb\n")], (2, 0), vec!["o:a"], vec!["o:b"]),
        (vec![(Stdout, "a\nb\n")], (0, 0), vec![], vec!["o:a", "o:b"]),
        (vec![(Stdout, "a\n"), (Stderr, "x\n"), (Stdout, "b\n")], (4, 2), vec!["o:a", "e:x", "o:b"], vec![]),
        (vec![(Stdout, "a\n"), (Stderr, "x\n"), (Stdout, "b\n")], (2, 2), vec!["o:a", "e:x"], vec!["o:b"]),
        // A line without its newline is the activation's; the rest of it is the next one's.
        (vec![(Stdout, "abcdef")], (3, 0), vec!["o:abc"], vec!["o:def"]),
        (vec![(Stdout, "abcdef\ng\n")], (3, 0), vec!["o:abc"], vec!["o:def", "o:g"]),
        (vec![(Stdout, "abc\n")], (3, 0), vec!["o:abc"], vec!["o:"]),
        (vec![(Stdout, "\n\n")], (2, 0), vec!["o:", "o:"], vec![]),
        (vec![(Stdout, END)], (38, 0), vec![&*format!("o:{}", END.trim_end())], vec![]),
    ] {
        let mut cutter = cutter(LogFraming::Counted, &output);
        let cut = Cut::Bytes(out, err);
        assert!(cutter.is_complete(cut), "{output:?}");
        let piece = cutter.cut(cut, LOTS);
        assert_eq!(short(&piece), lines, "{output:?}");
        assert!(piece.ended && !piece.truncated);
        assert_eq!(short(&cutter.cut(Cut::Here, LOTS)), next, "{output:?}");
    }
}

#[test]
fn counted_output_that_has_not_come_is_counted_all_the_same() {
    let mut cutter = cutter(LogFraming::Counted, &[(Stdout, "a\n")]);
    assert!(!cutter.is_complete(Cut::Bytes(4, 0)));
    let piece = cutter.cut(Cut::Bytes(4, 0), LOTS);
    assert!(!piece.ended);
    assert_eq!(short(&piece), ["o:a"]);
    feed(&mut cutter, &[(Stdout, "b\n")]);
    assert!(!cutter.is_complete(Cut::Bytes(2, 0)), "the late line was the last activation's");
    feed(&mut cutter, &[(Stdout, "c\n")]);
    assert!(cutter.is_complete(Cut::Bytes(2, 0)));
}

#[test]
fn sentinels_end_an_activation_and_are_dropped() {
    let mut cutter = cutter(
        LogFraming::Sentinels,
        &[(Stdout, "a\n"), (Stdout, END), (Stderr, "x\n"), (Stderr, END), (Stdout, "later\n")],
    );
    assert!(cutter.is_complete(Cut::Sentinels));
    assert_eq!(short(&cutter.cut(Cut::Sentinels, LOTS)), ["o:a", "e:x"]);
    assert!(!cutter.is_complete(Cut::Sentinels));
    // Background output is the next activation's; any two sentinels end it, whatever their stream.
    feed(&mut cutter, &[(Stderr, "y\nlost"), (Stderr, END), (Stderr, END)]);
    assert_eq!(short(&cutter.cut(Cut::Sentinels, LOTS)), ["o:later", "e:y"]);
}

#[test]
fn without_sentinels_all_that_is_here_is_taken() {
    for cut in [Cut::Sentinels, Cut::Here] {
        let mut cutter =
            cutter(LogFraming::Sentinels, &[(Stdout, "a\n"), (Stdout, END), (Stdout, "b\npart")]);
        let piece = cutter.cut(cut, LOTS);
        assert!(!piece.ended);
        assert_eq!(short(&piece), ["o:a", "o:b", "o:part"]);
    }
}

#[test]
fn long_lines_are_split_as_docker_does() {
    let long = "x".repeat(PIECE);
    for (text, lengths) in [
        (format!("{}\n", &long[1..]), vec![PIECE - 1]),
        (format!("{long}\n"), vec![PIECE, 0]),
        (format!("{long}{long}y\n"), vec![PIECE, PIECE, 1]),
    ] {
        let mut cutter = Cutter::new(LogFraming::Counted, LOTS);
        // In uneven pieces, which must not matter.
        for piece in text.as_bytes().chunks(1000) {
            cutter.push(Stdout, AT, piece);
        }
        let piece = cutter.cut(Cut::Bytes(text.len() as u64, 0), LOTS);
        let found: Vec<_> =
            piece.lines.iter().map(|(_, line)| line.len() - "time stdout: ".len() - 26).collect();
        assert_eq!(found, lengths);
    }
}

#[test]
fn the_limit_counts_the_drivers_bytes_and_drops_the_line_that_overflows() {
    let one = line::size(AT, b"abc", true);
    let sentinel = line::size(AT, END.trim_end().as_bytes(), true);
    let output = [(Stdout, "abc\n"), (Stderr, "abc\n"), (Stdout, "abc\n"), (Stdout, END), (Stderr, END)];
    for (limit, count, truncated) in [
        (3 * one + 2 * sentinel, 3, false),
        (3 * one + 2 * sentinel - 1, 3, true),
        (3 * one, 3, true),
        (3 * one - 1, 2, true),
        (one, 1, true),
        (1, 0, true),
    ] {
        // Whether the limit is known when the output comes, or only later.
        for hold in [limit, LOTS] {
            let mut cutter = Cutter::new(LogFraming::Sentinels, hold);
            feed(&mut cutter, &output);
            let piece = cutter.cut(Cut::Sentinels, limit);
            assert_eq!(
                (piece.lines.len(), piece.truncated, piece.ended),
                (count, truncated, true),
                "{limit}"
            );
            // The next activation starts behind all that.
            cutter.hold(LOTS);
            feed(&mut cutter, &[(Stdout, "d\n"), (Stdout, END), (Stderr, END)]);
            let piece = cutter.cut(Cut::Sentinels, LOTS);
            assert_eq!((short(&piece), piece.truncated), (vec!["o:d".to_owned()], false), "{limit}");
        }
    }
}

#[test]
fn a_flood_is_held_up_to_the_limit() {
    for framing in [LogFraming::Counted, LogFraming::Sentinels] {
        let mut cutter = Cutter::new(framing, 10_000);
        for _ in 0..100_000 {
            cutter.push(Stdout, AT, b"flood\n");
        }
        assert!(cutter.held_size <= 10_000);
        feed(&mut cutter, &[(Stdout, END), (Stderr, END)]);
        let cut = match framing {
            LogFraming::Counted => Cut::Bytes(600_038, 38),
            LogFraming::Sentinels => Cut::Sentinels,
        };
        let piece = cutter.cut(cut, 10_000);
        assert!(piece.truncated && piece.ended);
        assert_eq!(piece.lines.len(), 10_000 / usize::try_from(line::size(AT, b"flood", true)).unwrap());
        feed(&mut cutter, &[(Stdout, "calm\n"), (Stdout, END), (Stderr, END)]);
        let cut = if framing == LogFraming::Counted { Cut::Bytes(5, 0) } else { cut };
        let piece = cutter.cut(cut, 10_000);
        assert_eq!((short(&piece), piece.truncated), (vec!["o:calm".to_owned()], false));
    }
}

#[test]
fn a_flood_between_activations_is_the_next_ones() {
    for framing in [LogFraming::Counted, LogFraming::Sentinels] {
        let mut cutter = Cutter::new(framing, 10_000);
        feed(&mut cutter, &[(Stdout, "a\n"), (Stdout, END), (Stderr, END)]);
        for _ in 0..1_000 {
            cutter.push(Stdout, AT, b"flood\n");
        }
        let (first, second) = match framing {
            LogFraming::Counted => (Cut::Bytes(40, 38), Cut::Bytes(6_002, 0)),
            LogFraming::Sentinels => (Cut::Sentinels, Cut::Sentinels),
        };
        let piece = cutter.cut(first, 10_000);
        assert_eq!((short(&piece)[0].as_str(), piece.truncated), ("o:a", false));
        feed(&mut cutter, &[(Stdout, "b\n"), (Stdout, END), (Stderr, END)]);
        assert!(cutter.cut(second, 10_000).truncated);
    }
}

#[test]
fn discarding_keeps_count() {
    let mut cutter = cutter(LogFraming::Counted, &[(Stdout, "a\nb")]);
    cutter.discard(Cut::Bytes(3, 0));
    feed(&mut cutter, &[(Stdout, "c\n")]);
    assert!(cutter.is_complete(Cut::Bytes(2, 0)));
    assert_eq!(short(&cutter.cut(Cut::Bytes(2, 0), LOTS)), ["o:c"]);
}
