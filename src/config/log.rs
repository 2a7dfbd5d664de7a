//! The settings of the log.

use super::settings::LogSettings;
use crate::command::{Problems, SettingReader};
use tracing_subscriber::EnvFilter;

/// The settings of the log.
#[derive(Debug)]
pub struct Log {
    /// Which events.
    pub filter: EnvFilter,
    /// In which form.
    pub format: LogFormat,
}

/// The form of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object of JSON each.
    Json,
}

impl Log {
    /// Validates what is to be logged; `default` holds where nothing is said.
    ///
    /// # Errors
    /// Every problem there is.
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
        reader.problem("RUST_LOG", "is no filter; write a level, or levels by module: warn,project_vault=debug");
    }
    Some(Log { filter: filter?, format })
}
