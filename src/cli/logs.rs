//! The log, on standard error.

use crate::config::{Log, LogFormat};

/// Begins to log. A second time in one process, the first stays.
pub fn begin(log: Log) {
    let builder = tracing_subscriber::fmt().with_env_filter(log.filter).with_writer(std::io::stderr);
    let _ = match log.format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
