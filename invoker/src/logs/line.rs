//! A log line as the record holds it, and its size as Docker's json-file driver would count it.
//!
//! Upstream measures its log limit on that driver's file: one JSON object a line, Go's escapes, times
//! without trailing zeros. There is no such file here, but the same output must reach the limit at the
//! same line (upstream's `DockerToActivationLogStore.scala`, moby's `daemon/logger/jsonfilelog/jsonlog`).

use std::fmt::Write;

use common::clock::civil;

use crate::container::LogStream;

/// `{"log":"` to `"}` and the newline, without the text, its own newline, the time, and with the stream.
const FRAME: usize = 39;

/// `time` left-justified to 30 columns, a space, the stream, `: `, the text.
pub fn format(stream: LogStream, at_nanos: u64, text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut line = String::with_capacity(40 + text.len());
    time(&mut line, at_nanos);
    while line.len() < 30 {
        line.push(' ');
    }
    line.push(' ');
    line.push_str(stream.as_str());
    line.push_str(": ");
    line.push_str(&text);
    line
}

/// The line's length in the driver's file, its newline included.
pub fn size(at_nanos: u64, text: &[u8], newline: bool) -> u64 {
    let mut rest = text;
    let mut escaped = if newline { 2 } else { 0 };
    while !rest.is_empty() {
        let (valid, invalid) = match std::str::from_utf8(rest) {
            Ok(valid) => (valid, 0),
            Err(error) => {
                let (valid, _) = rest.split_at(error.valid_up_to());
                // Go replaces each byte of a broken sequence on its own.
                (std::str::from_utf8(valid).unwrap_or_default(), 1)
            }
        };
        escaped += valid.chars().map(escaped_length).sum::<usize>() + invalid * r"\ufffd".len();
        rest = &rest[valid.len() + invalid..];
    }
    (FRAME + escaped + time_length(at_nanos)) as u64
}

fn escaped_length(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' => 2,
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

/// RFC 3339 in UTC, the fraction without trailing zeros.
fn time(out: &mut String, at_nanos: u64) {
    let (seconds, mut fraction) = (at_nanos / 1_000_000_000, at_nanos % 1_000_000_000);
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    // Writing to a string cannot fail.
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if fraction > 0 {
        let mut digits = 9;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            digits -= 1;
        }
        let _ = write!(out, ".{fraction:0digits$}");
    }
    out.push('Z');
}

fn time_length(at_nanos: u64) -> usize {
    let mut fraction = at_nanos % 1_000_000_000;
    if fraction == 0 {
        return 20;
    }
    let mut length = 30;
    while fraction.is_multiple_of(10) {
        fraction /= 10;
        length -= 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_padded_to_thirty_columns() {
        for (at, expected) in [
            (1_767_225_600_123_456_789, "2026-01-01T00:00:00.123456789Z stdout: hello"),
            (1_767_225_600_123_456_000, "2026-01-01T00:00:00.123456Z    stdout: hello"),
            (1_767_225_600_000_000_000, "2026-01-01T00:00:00Z           stdout: hello"),
            (1_709_251_199_000_000_001, "2024-02-29T23:59:59.000000001Z stdout: hello"),
            (0, "1970-01-01T00:00:00Z           stdout: hello"),
        ] {
            assert_eq!(format(LogStream::Stdout, at, b"hello"), expected);
        }
        assert!(format(LogStream::Stderr, 1, b"a\xffb").ends_with(" stderr: a\u{fffd}b"));
    }

    #[test]
    fn sizes_are_the_drivers() {
        let at = 1_767_225_600_123_456_789;
        for (text, newline, file) in [
            (
                &b"text"[..],
                true,
                r#"{"log":"text\n","stream":"stdout","time":"2026-01-01T00:00:00.123456789Z"}"#,
            ),
            (b"", false, r#"{"log":"","stream":"stdout","time":"2026-01-01T00:00:00.123456789Z"}"#),
            (
                b"\t\"<\\",
                false,
                r#"{"log":"\u0009\"\u003c\\","stream":"stdout","time":"2026-01-01T00:00:00.123456789Z"}"#,
            ),
            (
                b"\r\x7f",
                false,
                "{\"log\":\"\\r\x7f\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00.123456789Z\"}",
            ),
            (
                "é\u{2028}".as_bytes(),
                false,
                r#"{"log":"é\u2028","stream":"stdout","time":"2026-01-01T00:00:00.123456789Z"}"#,
            ),
            (
                b"\xe2\x82|",
                false,
                r#"{"log":"\ufffd\ufffd|","stream":"stdout","time":"2026-01-01T00:00:00.123456789Z"}"#,
            ),
        ] {
            assert_eq!(size(at, text, newline), file.len() as u64 + 1, "{file}");
        }
        for at in [0, 1, 10, 1_500_000_000, 1_000_000_000, 123_456_780] {
            let mut text = String::new();
            time(&mut text, at);
            assert_eq!(text.len(), time_length(at), "{text}");
        }
    }
}
