//! JSON for people, as upstream prints it: members on lines of their own, indented by two; arrays on one
//! line. What is written stays as it was written: only the space between changes.

/// Members that lie deeper than this are indented no further, so that no result grows without a limit.
const DEEPEST: usize = 64;

/// Prints a valid JSON text.
pub fn pretty(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    // For each open bracket whether it is an object's.
    let mut open: Vec<bool> = Vec::new();
    let mut depth = 0;
    let mut is_fresh = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => string_length(rest),
            ' ' | '\t' | '\r' | '\n' | '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest.find([',', '}', ']', ' ', '\t', '\r', '\n', ':']).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        if matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        }
        if is_fresh && c != '}' {
            indent(&mut out, depth);
        }
        is_fresh = false;
        match c {
            '{' => {
                out.push_str("{\n");
                open.push(true);
                depth += 1;
                is_fresh = true;
            }
            '}' => {
                open.pop();
                depth = depth.saturating_sub(1);
                out.push('\n');
                indent(&mut out, depth);
                out.push('}');
            }
            '[' => {
                open.push(false);
                out.push('[');
            }
            ']' => {
                open.pop();
                out.push(']');
            }
            ',' if open.last() == Some(&true) => {
                out.push_str(",\n");
                indent(&mut out, depth);
            }
            ',' => out.push_str(", "),
            ':' => out.push_str(": "),
            _ => out.push_str(token),
        }
    }
    out
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth.min(DEEPEST) {
        out.push_str("  ");
    }
}

/// How long the string is that a text begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn objects_have_lines_and_arrays_have_none() {
        for (given, printed) in [
            (r#"{"foobar":"foobar"}"#, "{\n  \"foobar\": \"foobar\"\n}"),
            (r#"[1, "a,]\"}", {"b":null}]"#, "[1, \"a,]\\\"}\", {\n  \"b\": null\n}]"),
            (r#"{"a":{"b":[true]},"c":1.0}"#, "{\n  \"a\": {\n    \"b\": [true]\n  },\n  \"c\": 1.0\n}"),
            ("{ }", "{\n\n}"),
            ("[ ]", "[]"),
            (" 3 ", "3"),
            ("\"x y\"", "\"x y\""),
        ] {
            assert_eq!(pretty(given), printed, "{given}");
        }
    }

    #[test]
    fn depth_costs_no_more_than_it_may() {
        let deep = format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
        assert!(pretty(&deep).len() < deep.len() * 60);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,4}", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_means_the_same(value in json()) {
            let printed = pretty(&value.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), value);
        }

        #[test]
        fn any_text_ends(text in "\\PC{0,40}", marks in "[\\[\\]{}\",:\\\\ a]{0,40}") {
            let _ = pretty(&text);
            let _ = pretty(&marks);
        }
    }
}
