//! The parts that the command line programs share: parsing arguments, reading settings, printing,
//! and failing.

mod failure;
mod printable;
mod setting_reader;

pub use failure::{CommandFailure, report};
pub use printable::{OneLine, Printable, Untrusted, printable_json};
pub use setting_reader::{Problems, SettingReader, read_text};

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

/// The format of what a command prints.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// For people and shells.
    Text,
    /// For programs.
    Json,
}

/// Parses this process' arguments.
///
/// # Errors
/// When they are wrong, or ask for help or the version: what there is to say has been printed, and
/// the process exits with this status.
pub fn parse_arguments<C: clap::Parser>() -> Result<C, ExitCode> {
    C::try_parse().map_err(|error| {
        let text = error.render().to_string();
        let shown = without_tokens(Printable(&text).to_string(), std::env::args_os().skip(1));
        // The message repeats arguments, which somebody else may have composed. Help needs no
        // escaping and keeps its colours. A failure to print even this has nowhere to be reported.
        let _ = if shown == text { error.print() } else { std::io::stderr().lock().write_all(shown.as_bytes()) };
        u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
    })
}

/// A message about arguments without those that look like tokens (RFC 7515, section 7.1), which
/// somebody gave although no argument takes one.
fn without_tokens(text: String, arguments: impl Iterator<Item = OsString>) -> String {
    let is_token = |text: &str| text.starts_with("eyJ") && text.split('.').count() >= 3;
    arguments.filter_map(|argument| argument.into_string().ok()).fold(text, |text, argument| {
        let value = argument.split_once('=').map_or(argument.as_str(), |(_, value)| value);
        if is_token(value) { text.replace(value, "[token]") } else { text }
    })
}

/// Runs work on this thread alone: commands that wait for one answer start no others.
///
/// # Errors
/// When the process gets no event queue.
pub fn in_one_thread<T>(work: impl Future<Output = T>) -> Result<T, CommandFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(CommandFailure::Runtime)?.block_on(work))
}

/// Prints to standard output, for people: characters that steer a terminal are escaped.
///
/// # Errors
/// When standard output cannot be written; the same for the functions below.
pub fn print(text: &str) -> Result<(), CommandFailure> {
    print_exactly(&Printable(text).to_string())
}

/// Prints JSON to standard output.
#[allow(clippy::missing_errors_doc, reason = "see `print`")]
pub fn print_json(json: &str) -> Result<(), CommandFailure> {
    print_exactly(&printable_json(json))
}

/// Prints to standard output byte for byte: a secret that was asked for.
#[allow(clippy::missing_errors_doc, reason = "see `print`")]
pub fn print_exactly(text: &str) -> Result<(), CommandFailure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CommandFailure::Output)
}

/// Prints a notice to standard error. A notice that cannot be printed is dropped.
pub fn notice(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "project-vault: {}", Printable(text));
}
