//! A log line as upstream writes it (`common/scala/.../common/Logging.scala`), so that what people search for is where
//! they expect it: `[time] [LEVEL] [#tid_<id>] [component] message key=value …`.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The field that spans name a transaction by, and that of the topmost one above it.
const TRANSID: &str = "transid=";
const ROOT: &str = "transid.root=";

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
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<FormattedFields<N>>() else { continue };
            let fields = fields.fields.as_str();
            let Some(transid) = value_of(fields, TRANSID) else { continue };
            for id in value_of(fields, ROOT).into_iter().chain([transid]) {
                write!(out, "{} ", mark(id))?;
            }
            break;
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
pub(crate) mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::clock::Millis;
    use crate::entity::id::{ActivationId, TransactionId};
    use crate::entity::name::Fqn;
    use crate::telemetry::span;

    /// What was written.
    #[derive(Clone, Default)]
    pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_names_its_transaction_and_the_topmost_one() {
        let (transid, kept) = (TransactionId::enter(Some("abc"), Millis(1), false), Kept::default());
        let (below, fqn) = (transid.child(Millis(2)).child(Millis(3)), Fqn::parse("ns/a").unwrap());
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .event_format(Line)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let _request = span::transaction(&transid).entered();
            tracing::warn!(number = 7, "it happened");
            // As a task's, which says nothing of transactions.
            let _within = tracing::info_span!("task", task = "x").entered();
            tracing::warn!("within");
            let _component = span::activation(&below, ActivationId::generate(), &fqn).entered();
            tracing::warn!("below");
            let _ours = span::System::Invoker.span().entered();
            tracing::warn!("of its own");
        });
        let text = kept.text();
        let lines = text.lines().map(|line| line.split_once("] ").unwrap());
        let (times, rest): (Vec<_>, Vec<_>) = lines.unzip();
        assert!(times.iter().all(|time| time.starts_with('[') && time.ends_with('Z')), "{text}");
        let place = "[common::telemetry::line::tests]";
        assert_eq!(
            rest,
            [
                format!("[WARN] [#tid_abc] {place} it happened number=7"),
                format!("[WARN] [#tid_abc] {place} within"),
                format!("[WARN] [#tid_abc] [#tid_{below}] {place} below"),
                format!("[WARN] [#tid_sid_invoker] {place} of its own"),
            ]
        );
    }
}
