//! Settings of the log.

use super::settings::LogSettings;
use crate::command::{Problems, SettingReader};
use tracing_subscriber::EnvFilter;

/// The log's filter and format.
#[derive(Debug)]
pub struct Log {
    /// The events to log.
    pub filter: EnvFilter,
    /// The format of a line.
    pub format: LogFormat,
}

/// The format of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

impl Log {
    /// Validates the settings; `default` is the filter when none is given.
    ///
    /// # Errors
    /// All problems.
    pub fn of(settings: &LogSettings, default: &str) -> Result<Self, Problems> {
        let mut reader = SettingReader::default();
        let log = read(&mut reader, settings, default);
        reader.finish(log)
    }
}

pub(super) fn read(reader: &mut SettingReader, settings: &LogSettings, default: &str) -> Option<Log> {
    let filter = reader.text("RUST_LOG", settings.log.as_ref()).unwrap_or_else(|| default.to_owned());
    let words = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = reader.choice("VAULT_LOG_FORMAT", settings.log_format.as_ref(), &words).unwrap_or_default();
    let filter = EnvFilter::try_new(filter).ok();
    if filter.is_none() {
        reader.problem("RUST_LOG", "is not a filter; write a level, or levels by module: warn,project_vault=debug");
    }
    Some(Log { filter: filter?, format })
}
