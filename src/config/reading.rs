//! Reading the kinds of settings that only the server has.

use crate::command::{SettingReader, read_text};
use std::ffi::OsString;
use std::path::Path;
use zeroize::Zeroizing;

impl SettingReader {
    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        setting: &str,
        given: Option<&OsString>,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(setting, given)?;
        let chosen = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if chosen.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.problem(setting, format_args!("is none of: {}", words.join(", ")));
        }
        chosen
    }

    /// A file that has to be there.
    pub(super) fn file(&mut self, setting: &str, path: &Path) -> Option<Zeroizing<String>> {
        match read_text(path) {
            Ok(text) => Some(text),
            Err(reason) => {
                self.problem(setting, format_args!("{} cannot be read: {reason}", path.display()));
                None
            }
        }
    }
}
