//! The log, on standard error.

use crate::config::{Log, LogFormat};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Filter, Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Our own part of the log.
const OWN: &str = "project_vault";

/// Begins to log. A second time in one process, the first stays.
pub fn begin(log: Log) {
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry();
    let _ = match log.format {
        LogFormat::Text => {
            let layer = layer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
            registry.with(layer.with_filter(without_data(log.filter))).try_init()
        }
        LogFormat::Json => registry.with(layer.json().with_filter(without_data(log.filter))).try_init(),
    };
}

/// What an operator asked for, but nothing that others than we log below `info`: PostgreSQL's driver writes the parameters of
/// statements there, HTTP's the frames, TLS' the messages. Only of our own part is it known that it holds no data.
fn without_data<S: tracing::Subscriber + for<'a> LookupSpan<'a>>(asked: EnvFilter) -> impl Filter<S> {
    asked.and(filter_fn(holds_no_data))
}

fn holds_no_data(what: &Metadata<'_>) -> bool {
    let own = what.target().strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    own || *what.level() <= Level::INFO
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::Registry;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of each crate's events under a filter.
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
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
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
