//! Logging to standard error.

use crate::command::{OneLine, printable_json};
use crate::config::{Log, LogFormat};
use crate::trace::{self, TraceLayer};
use std::fmt;
use std::io::{self, Write};
use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::{MakeVisitor, VisitFmt, VisitOutput};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::{Filter, Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The target prefix of the vault's own log events.
const OWN: &str = "project_vault";

/// Begins to log, and to hand spans to `traces` if they are exported. A second call in a process has no
/// effect.
pub fn begin(log: Log, traces: Option<TraceLayer>) {
    let layer = tracing_subscriber::fmt::layer();
    let registry = tracing_subscriber::registry().with(traces);
    let _ = match log.format {
        LogFormat::Text => {
            let layer = layer.with_writer(io::stderr).with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
            let layer = layer.fmt_fields(PrintableFields);
            registry.with(layer.with_filter(without_data(log.filter))).try_init()
        }
        LogFormat::Json => {
            let layer = layer.with_writer(|| PrintableJson(io::stderr())).json();
            registry.with(layer.with_filter(without_data(log.filter))).try_init()
        }
    };
}

/// Formats the fields of an event or span as text, escaped: text from callers or other servers
/// stays on its line and cannot control a terminal. The library's own formatter escapes only some
/// characters, and only in messages.
struct PrintableFields;

impl<'a> MakeVisitor<Writer<'a>> for PrintableFields {
    type Visitor = PrintableVisitor<'a>;

    fn make_visitor(&self, writer: Writer<'a>) -> Self::Visitor {
        PrintableVisitor { writer, is_first: true, result: Ok(()) }
    }
}

struct PrintableVisitor<'a> {
    writer: Writer<'a>,
    is_first: bool,
    result: fmt::Result,
}

impl Visit for PrintableVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Fields of the `log` crate, which the line shows elsewhere.
        if self.result.is_err() || field.name().starts_with("log.") {
            return;
        }
        let space = if self.is_first { "" } else { " " };
        self.is_first = false;
        let value = OneLine(format_args!("{value:?}"));
        self.result = match field.name().trim_start_matches("r#") {
            "message" => write!(self.writer, "{space}{value}"),
            name => write!(self.writer, "{space}{name}={value}"),
        };
    }
}

impl VisitOutput<fmt::Result> for PrintableVisitor<'_> {
    fn finish(self) -> fmt::Result {
        self.result
    }
}

impl VisitFmt for PrintableVisitor<'_> {
    fn writer(&mut self) -> &mut dyn fmt::Write {
        &mut self.writer
    }
}

/// Writes JSON events, escaped; each event comes in one write.
struct PrintableJson<W>(W);

impl<W: Write> Write for PrintableJson<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(event) {
            Ok(json) => self.0.write_all(printable_json(json).as_bytes())?,
            Err(_) => self.0.write_all(event)?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The operator's filter, but without exported spans, and without events of other crates below
/// `info`: there PostgreSQL's driver logs the parameters of statements, HTTP libraries frames, and
/// TLS libraries messages. Only the vault's own events are known to hold no data.
fn without_data<S: tracing::Subscriber + for<'a> LookupSpan<'a>>(asked: EnvFilter) -> impl Filter<S> {
    // Without the hint, nothing would be known of the whole, and every event of any level be asked about.
    asked.and(filter_fn(holds_no_data).with_max_level_hint(LevelFilter::TRACE))
}

fn holds_no_data(what: &Metadata<'_>) -> bool {
    let own = what.target().strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    (own || *what.level() <= Level::INFO) && what.target() != trace::TARGET
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::Registry;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The events of each crate that are logged under a filter.
    fn logged(filter: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let filter = without_data::<Registry>(EnvFilter::new(filter));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer.with_filter(filter)), || {
            tracing::trace!(target: "project_vault::vault", "ours");
            tracing::info!(target: "tokio_postgres", "theirs to tell");
            tracing::debug!(target: "tokio_postgres::query", "a parameter");
            tracing::trace!(target: "h2::codec", "a frame");
            tracing::trace!(target: "project_vaults", "another's");
        });
        lines.text()
    }

    /// What a caller may put into a header, or an issuer into its name: a title, a cleared screen,
    /// a line overwritten, another line.
    const HOSTILE: &str = "x\u{1b}]0;pwned\u{7}\u{1b}[2J\r\nERROR forged\u{9b}31m\u{202e}";

    fn logs_hostile(subscriber: impl tracing::Subscriber + Send + Sync) {
        tracing::subscriber::with_default(subscriber, || {
            let error: &(dyn std::error::Error + 'static) = &io::Error::other(HOSTILE);
            let _span = tracing::info_span!("request", issuer = %HOSTILE, kind = HOSTILE).entered();
            tracing::warn!(header = %HOSTILE, text = HOSTILE, error, r#type = ?HOSTILE, "a message with {HOSTILE}");
        });
    }

    fn steers_nothing(logged: &str) -> bool {
        logged.ends_with('\n') && !logged.trim_end().contains(|c: char| c.is_control() || c == '\u{202e}')
    }

    #[test]
    fn what_callers_say_stays_on_its_line_and_steers_no_terminal() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).fmt_fields(PrintableFields);
        logs_hostile(tracing_subscriber::registry().with(layer.with_writer(move || writer.clone())));
        let logged = lines.text();
        assert!(steers_nothing(&logged), "{logged:?}");
        assert_eq!(logged.matches("\\u{1b}]0;pwned").count(), 7, "{logged}");
        for field in [
            " WARN request{issuer=x",
            " kind=\"x",
            ": a message with x",
            " header=x",
            " text=\"x",
            " error=x",
            " type=\"x",
        ] {
            assert!(logged.contains(field), "{field} in {logged}");
        }
    }

    #[test]
    fn json_lines_hold_what_callers_say_in_full_and_steer_no_terminal() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().json();
        logs_hostile(tracing_subscriber::registry().with(layer.with_writer(move || PrintableJson(writer.clone()))));
        let logged = lines.text();
        assert!(steers_nothing(&logged), "{logged:?}");
        let event: serde_json::Value = serde_json::from_str(&logged).unwrap();
        assert_eq!((&event["fields"]["text"], &event["span"]["kind"]), (&HOSTILE.into(), &HOSTILE.into()));
    }

    #[test]
    fn what_others_log_below_info_is_never_shown() {
        for filter in
            ["trace", "warn,project_vault=trace,tokio_postgres=trace", "trace,tokio_postgres::query=trace,h2=trace"]
        {
            let logged = logged(filter);
            assert!(logged.contains("ours") && logged.contains("theirs to tell"), "{filter}: {logged}");
            for data in ["a parameter", "a frame", "another's"] {
                assert!(!logged.contains(data), "{filter}: {logged}");
            }
        }
        assert!(!logged("error").contains("theirs"));
    }
}
