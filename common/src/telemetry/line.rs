//! A log line as upstream writes it (`common/scala/.../common/Logging.scala`), so that what people search for is where
//! they expect it: `[time] [LEVEL] [#tid_<id>] [component] message key=value …`.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The field that spans name a request's transaction by.
const TRANSID: &str = "transid=";

/// What a line of that transaction has in it.
pub(super) fn mark(transid: &str) -> String {
    format!("[#tid_{transid}]")
}

/// Formats events so.
pub(super) struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        out.write_char('[')?;
        SystemTime.format_time(&mut out)?;
        write!(out, "] [{}] ", metadata.level())?;
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<FormattedFields<N>>() else { continue };
            if let Some(transid) = value_of(fields.fields.as_str(), TRANSID) {
                write!(out, "[#tid_{transid}] ")?;
            }
        }
        write!(out, "[{}] ", metadata.target())?;
        context.format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

/// The value of a field among formatted ones; those that are looked for hold no space.
fn value_of<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    fields.split(' ').find_map(|field| field.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_names_its_transaction_and_that_above() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .event_format(Line)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let _request = tracing::info_span!("request", other = 1, transid = %"abc").entered();
            let _component = tracing::info_span!("component", transid = %"def").entered();
            tracing::warn!(number = 7, "it happened");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let (time, rest) = text.split_once("] ").unwrap();
        assert!(time.starts_with('[') && time.ends_with('Z'), "{text}");
        assert_eq!(
            rest,
            "[WARN] [#tid_abc] [#tid_def] [common::telemetry::line::tests] it happened number=7\n"
        );
        assert!(text.contains(&mark("abc")));
    }
}
