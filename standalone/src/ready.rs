//! What stands on standard output once the API answers: where it is, who may use it, and what to type.

use std::net::SocketAddr;

use crate::containers::Choice;
use crate::subjects::GUEST_KEY;

/// The lines.
pub fn lines(scheme: &str, address: SocketAddr, choice: &Choice, guest: bool, unthrottled: bool) -> String {
    let url = format!("{scheme}://{address}");
    let key = if guest { format!(" guest key {GUEST_KEY},") } else { " no guest key,".to_owned() };
    let throttles = if unthrottled { ", unthrottled" } else { "" };
    let mut text =
        format!("oxwhisk is ready: {url},{key} containers by {}{throttles}\n", choice.explanation());
    if guest {
        text.push_str(&format!("  wsk property set --apihost {url} --auth {GUEST_KEY}\n"));
        text.push_str(&format!(
            "  curl -su {GUEST_KEY} -X PUT '{url}/api/v1/namespaces/_/actions/hello?overwrite=true' -H 'Content-Type: application/json' \
             -d '{{\"exec\":{{\"kind\":\"nodejs:default\",\"code\":\"const main = ({{name}}) => ({{greeting: `Hello ${{name}}!`}})\"}}}}' -o /dev/null && \
             curl -su {GUEST_KEY} '{url}/api/v1/namespaces/_/actions/hello?blocking=true&result=true' -H 'Content-Type: application/json' -d '{{\"name\":\"Ada\"}}'\n"
        ));
    } else {
        text.push_str("  wskadmin user create <subject>   # prints the key to sign in with\n");
        text.push_str(&format!("  wsk property set --apihost {url} --auth <key>\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_all_and_two_more_can_be_pasted() {
        let choice = Choice::process("Docker does not answer".to_owned());
        let text = lines("http", "127.0.0.1:3233".parse().unwrap(), &choice, true, true);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        for part in ["http://127.0.0.1:3233", GUEST_KEY, "process", "Docker does not answer", "unthrottled"] {
            assert!(lines[0].contains(part), "{part} in {}", lines[0]);
        }
        assert!(
            lines[1].trim_start().starts_with("wsk property set --apihost http://127.0.0.1:3233 --auth ")
        );
        assert!(lines[2].trim_start().starts_with("curl -su "));
    }
}
