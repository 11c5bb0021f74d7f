//! Which answers a caller takes: the `Accept` headers against the one type that an answer has.
//!
//! As in upstream's HTTP library: the most specific range decides, a range with quality 0 refuses, and
//! without any range everything is taken. What is no range is passed over.

use super::media::MediaType;

#[derive(Debug, PartialEq)]
struct Range {
    /// None for `*/*`.
    main: Option<String>,
    /// None for `main/*`.
    sub: Option<String>,
    quality: f32,
}

/// What a caller takes.
#[derive(Debug, Default, PartialEq)]
pub struct Accept(Vec<Range>);

impl Accept {
    /// What these headers say together.
    pub fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Self {
        let ranges = headers.into_iter().flat_map(|header| header.split(','));
        let mut ranges: Vec<Range> = ranges.filter_map(Range::parse).collect();
        // The most specific first, and of those the most wanted.
        ranges.sort_by(|a, b| {
            let order = |range: &Range| (range.main.is_none(), range.sub.is_none());
            order(a).cmp(&order(b)).then(b.quality.total_cmp(&a.quality))
        });
        Self(ranges)
    }

    /// Whether an answer of that type is taken.
    pub fn takes(&self, media: &MediaType) -> bool {
        let first = self.0.iter().find(|range| range.covers(media));
        self.0.is_empty() || first.is_some_and(|range| range.quality > 0.0)
    }
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (main, sub) = match parts.next()? {
            "*" => ("*", "*"),
            essence => essence.split_once('/')?,
        };
        let named = |word: &str| (word != "*").then(|| word.to_ascii_lowercase());
        if main.is_empty() || sub.is_empty() || (main == "*" && sub != "*") {
            return None;
        }
        let quality = parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim_end().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().ok())?
        });
        Some(Self { main: named(main), sub: named(sub), quality: quality.unwrap_or(1.0) })
    }

    fn covers(&self, media: &MediaType) -> bool {
        self.main.as_ref().is_none_or(|main| *main == media.main)
            && self.sub.as_ref().is_none_or(|sub| *sub == media.sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_most_specific_range_decides() {
        let html = MediaType::new("text", "html");
        for (accept, taken) in [
            ("text/html", true),
            ("TEXT/html;level=1", true),
            ("text/*", true),
            ("*/*", true),
            ("*", true),
            ("image/gif, *; q=.2", true),
            ("application/json", false),
            ("application/json, text/xml", false),
            ("text/html;q=0, text/*", false),
            ("text/*;q=0, */*", false),
            ("*/*;q=0", false),
            ("*/*;q=0, text/html;q=0.1", true),
            ("nonsense", true),
            ("", true),
        ] {
            assert_eq!(Accept::parse([accept]).takes(&html), taken, "{accept}");
        }
        assert!(Accept::parse([]).takes(&html));
        assert!(Accept::parse(["text/xml", "text/html"]).takes(&html));
    }

    proptest! {
        #[test]
        fn any_header_is_judged(header in "\\PC{0,60}", plain in "[a-z*/;,=q.0-9 ]{0,60}") {
            for header in [header, plain] {
                let _ = Accept::parse([header.as_str()]).takes(&MediaType::new("text", "html"));
            }
        }
    }
}
