//! Media types: which are text, which JSON, and how a content type is written.
//!
//! The table is that of upstream's HTTP library (`MediaTypes` of pekko-http), since it decides what reaches
//! an action as text and what as base64, and what of an action's result is decoded. A type that the table
//! does not have is binary, unless it is given with a charset.

/// Texts of which the charset is said.
const OPEN_APPLICATION: &str = "atom+xml base64 javascript problem+xml rss+xml soap+xml \
    vnd.google-earth.kml+xml x-latex x-vrml xhtml+xml xml xml-dtd";

/// Texts that are always UTF-8.
const FIXED_APPLICATION: &str = "json json-patch+json merge-patch+json problem+json vnd.api+json \
    x-www-form-urlencoded";

/// Well-known ones that stay binary even with a charset.
const BINARY_APPLICATION: &str = "cbor gnutar grpc+proto octet-stream pdf x-gzip x-tar zip";

/// Texts of which the charset is said.
const OPEN_TEXT: &str = "asp cache-manifest calendar css csv html markdown mcf plain richtext \
    tab-separated-values uri-list vnd.wap.wml vnd.wap.wmlscript x-asm x-c x-component x-h x-java-source \
    x-pascal x-script x-scriptcsh x-scriptelisp x-scriptksh x-scriptlisp x-scriptperl x-scriptperl-module \
    x-scriptphyton x-scriptrexx x-scriptscheme x-scriptsh x-scripttcl x-scripttcsh x-scriptzsh \
    x-server-parsed-html x-setext x-sgml x-speech x-uuencode x-vcalendar x-vcard xml";

fn lists(list: &str, sub: &str) -> bool {
    list.split(' ').any(|listed| listed == sub)
}

/// How the characters of a type are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// It has none: the type is binary.
    Binary,
    /// Always UTF-8, which is not said.
    Fixed,
    /// UTF-8, which is said.
    Open,
}

/// A media type, in small letters, with its parameters other than the charset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// Such as `text`.
    pub main: String,
    /// Such as `html`.
    pub sub: String,
    parameters: Vec<(String, String)>,
    has_charset: bool,
}

impl MediaType {
    /// A type that we name ourselves.
    pub fn new(main: &str, sub: &str) -> Self {
        Self { main: main.to_owned(), sub: sub.to_owned(), parameters: Vec::new(), has_charset: false }
    }

    /// What a content type says; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (essence, mut rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        let (main, sub) = essence.trim_end().split_once('/')?;
        if !is_token(main) || !is_token(sub) {
            return None;
        }
        let mut parsed = Self::new(&main.to_ascii_lowercase(), &sub.to_ascii_lowercase());
        while let Some(parameter) = rest.strip_prefix(';') {
            let parameter = parameter.trim_start();
            // A semicolon too many is nothing to refuse.
            if parameter.is_empty() {
                return Some(parsed);
            }
            let (key, value) = parameter.split_once('=')?;
            let (value, after) = take_value(value)?;
            let key = key.trim();
            if !is_token(key) {
                return None;
            }
            if key.eq_ignore_ascii_case("charset") {
                parsed.has_charset = true;
            } else {
                parsed.parameters.push((key.to_ascii_lowercase(), value));
            }
            rest = after.trim_start();
        }
        rest.is_empty().then_some(parsed)
    }

    /// Whether it is that of a plain JSON document.
    pub fn is_plain_json(&self) -> bool {
        self.is("application", "json")
    }

    /// Whether documents of it are JSON.
    pub fn is_json(&self) -> bool {
        self.is_plain_json() || self.sub.ends_with("+json")
    }

    /// Whether it is that of an HTML form.
    pub fn is_form(&self) -> bool {
        self.is("application", "x-www-form-urlencoded")
    }

    fn is(&self, main: &str, sub: &str) -> bool {
        self.main == main && self.sub == sub
    }

    /// How it is encoded.
    pub fn charset(&self) -> Charset {
        let sub = self.sub.as_str();
        match self.main.as_str() {
            "application" if lists(FIXED_APPLICATION, sub) => Charset::Fixed,
            "text" if sub == "event-stream" => Charset::Fixed,
            "application" if lists(OPEN_APPLICATION, sub) => Charset::Open,
            "text" if lists(OPEN_TEXT, sub) => Charset::Open,
            // What is in the table no charset changes.
            "image" | "audio" | "video" | "font" | "multipart" | "message" => Charset::Binary,
            "application" if lists(BINARY_APPLICATION, sub) => Charset::Binary,
            _ if self.has_charset => Charset::Open,
            _ => Charset::Binary,
        }
    }

    /// As a `Content-Type` says it of something encoded so.
    pub fn written(&self, charset: Charset) -> String {
        let mut text = format!("{}/{}", self.main, self.sub);
        for (key, value) in &self.parameters {
            text.push_str("; ");
            text.push_str(key);
            text.push('=');
            if is_token(value) {
                text.push_str(value);
            } else {
                text.push('"');
                for c in value.chars() {
                    if matches!(c, '"' | '\\') {
                        text.push('\\');
                    }
                    text.push(c);
                }
                text.push('"');
            }
        }
        if charset == Charset::Open {
            text.push_str("; charset=UTF-8");
        }
        text
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A parameter's value, quoted or not, and what follows it; none if a quote is open or it has control
/// characters.
fn take_value(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        return is_token(value.trim_end()).then(|| (value.trim_end().to_owned(), rest));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if c.is_control() => return None,
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &quoted[at + 1..])),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn charset(text: &str) -> Charset {
        MediaType::parse(text).unwrap().charset()
    }

    #[test]
    fn text_is_told_from_binary() {
        for text in ["text/html", "TEXT/Plain", "application/xml", "text/css; charset=latin1"] {
            assert_eq!(charset(text), Charset::Open, "{text}");
        }
        for text in ["application/json", "application/json; charset=UTF-8", "application/problem+json"] {
            assert_eq!(charset(text), Charset::Fixed, "{text}");
        }
        for text in [
            "image/png",
            "image/svg+xml; charset=utf-8",
            "application/octet-stream",
            "application/pdf; charset=utf-8",
            "multipart/form-data; boundary=x",
            "application/hal+json",
            "application/cloudevents+json",
            "text/unheard-of",
        ] {
            assert_eq!(charset(text), Charset::Binary, "{text}");
        }
        for text in ["application/hal+json; charset=utf-8", "text/unheard-of;charset=\"utf-8\""] {
            assert_eq!(charset(text), Charset::Open, "{text}");
        }
    }

    #[test]
    fn json_has_a_family() {
        for (text, is_json) in [
            ("application/json", true),
            ("application/cloudevents+json; charset=UTF-8", true),
            ("application/vnd.api+json", true),
            ("text/json", false),
            ("application/jsonp", false),
        ] {
            assert_eq!(MediaType::parse(text).unwrap().is_json(), is_json, "{text}");
        }
        assert!(MediaType::parse("application/x-www-form-urlencoded; charset=utf-8").unwrap().is_form());
    }

    #[test]
    fn types_are_written_with_what_they_need() {
        for (given, written) in [
            ("text/html", "text/html; charset=UTF-8"),
            ("Text/HTML ; Charset=iso-8859-1", "text/html; charset=UTF-8"),
            ("application/json;charset=utf-8", "application/json"),
            ("text/html; level=1", "text/html; level=1; charset=UTF-8"),
            ("image/png", "image/png"),
            ("application/ld+json; profile=\"a \\\"b\\\"\"", "application/ld+json; profile=\"a \\\"b\\\"\""),
            ("text/plain;", "text/plain; charset=UTF-8"),
        ] {
            let parsed = MediaType::parse(given).unwrap();
            assert_eq!(parsed.written(parsed.charset()), written, "{given}");
        }
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in
            ["", "xyzbar", "/", "a/", "/b", "a b/c", "a/b; x", "a/b; x=\"y", "a/b; =y", "a/b; x=\"\u{1}\""]
        {
            assert_eq!(MediaType::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_and_what_is_written_reads_back(text in "\\PC{0,40}", tail in "[;=a\"\\\\ ]{0,12}") {
            for text in [text, format!("a/b{tail}")] {
                if let Some(parsed) = MediaType::parse(&text) {
                    let again = MediaType::parse(&parsed.written(Charset::Binary)).unwrap();
                    prop_assert_eq!((again.main, again.parameters), (parsed.main, parsed.parameters));
                }
            }
        }
    }
}
