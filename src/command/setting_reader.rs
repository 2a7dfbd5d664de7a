//! Reads single settings and collects their problems. A problem names its setting and says how to
//! fix it. It never repeats a value, which may be a secret in the wrong setting.

use secrecy::SecretString;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// Maximum size of a file that a setting names, in bytes. Key sets and keyrings are read elsewhere.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// All problems of a configuration, one per line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);

/// Reads settings. It notes a problem and continues.
#[derive(Default)]
pub struct SettingReader {
    problems: Vec<String>,
}

impl SettingReader {
    pub fn problem(&mut self, setting: &str, what: impl std::fmt::Display) {
        self.problems.push(format!("{setting}: {what}"));
    }

    /// The number of problems so far.
    #[cfg(feature = "server")]
    pub const fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// The problems that were noted.
    #[cfg(feature = "server")]
    pub fn into_problems(self) -> Problems {
        Problems(self.problems)
    }

    /// The value, if no setting had a problem.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(Problems(self.problems)),
        }
    }

    pub fn text(&mut self, setting: &str, given: Option<&OsString>) -> Option<String> {
        let given = given.filter(|given| !given.is_empty())?;
        let text = given.to_str().map(str::to_owned);
        if text.is_none() {
            self.problem(setting, "is not UTF-8; write it in UTF-8");
        }
        text
    }

    /// Paths need not be UTF-8.
    pub fn path(given: Option<&OsString>) -> Option<PathBuf> {
        given.filter(|given| !given.is_empty()).map(PathBuf::from)
    }

    pub fn parsed<T: FromStr>(&mut self, setting: &str, given: Option<&OsString>, form: &str) -> Option<T> {
        let value = self.text(setting, given)?.trim().parse().ok();
        if value.is_none() {
            self.problem(setting, form);
        }
        value
    }

    pub fn number(
        &mut self,
        setting: &str,
        given: Option<&OsString>,
        range: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let form = format!("is not a whole number from {} to {}", range.start(), range.end());
        match self.parsed(setting, given, &form) {
            Some(number) if !range.contains(&number) => {
                self.problem(setting, form);
                default
            }
            Some(number) => number,
            None => default,
        }
    }

    /// A secret, from its variable or the file that `NAME_FILE` names, without white space and byte
    /// order marks around it: mounted secrets end with a line's end, and some editors add the mark.
    pub fn secret(&mut self, setting: &str, given: Option<&OsString>, file: Option<&OsString>) -> Option<SecretString> {
        let file_setting = format!("{setting}_FILE");
        let own = self.text(setting, given).map(Zeroizing::new);
        let path = Self::path(file);
        if own.is_some() && path.is_some() {
            self.problem(setting, format_args!("is given, and {file_setting} as well; give one of the two"));
            return None;
        }
        let from_file = path.is_some();
        let text = match path {
            None => own?,
            Some(path) => match read_text(&path) {
                Ok(text) => text,
                // The error does not repeat the path, which could be the secret itself in the wrong
                // variable.
                Err(reason) => {
                    self.problem(&file_setting, format_args!("the file it names cannot be read: {reason}"));
                    return None;
                }
            },
        };
        let secret = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if secret.is_empty() && from_file {
            self.problem(&file_setting, "the file it names is empty; put the secret into it");
            return None;
        }
        if secret.is_empty() {
            self.problem(setting, "holds white space only; give the secret");
            return None;
        }
        Some(SecretString::from(secret))
    }
}

/// Reads a text file of at most 1 MiB; says why it cannot.
pub fn read_text(path: &Path) -> Result<Zeroizing<String>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_or(0, |metadata| metadata.len()).min(MAX_FILE_BYTES);
    // The buffer has room for the whole file, so it does not grow and leave a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(length).unwrap_or_default() + 1));
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err("it is larger than 1 MiB".to_owned());
    }
    Ok(text)
}
