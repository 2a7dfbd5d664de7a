//! Shows the progress of a command on standard error: a bar on a terminal, lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of progress lines where there is no terminal.
const LINES: u64 = 20;

/// The progress of a command.
pub struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    /// The last part reported in lines; none if only a bar is shown.
    told: Option<AtomicU64>,
}

impl Progress {
    /// Progress of work on `what`, a plural such as "entries"; without a terminal, in lines.
    pub fn of(what: &'static str) -> Self {
        let mut progress = Self::on_a_terminal(what);
        progress.told = Some(AtomicU64::new(0));
        progress
    }

    /// As [`Self::of`], but shows nothing without a terminal.
    pub fn on_a_terminal(what: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} {msg}, {eta} to go") {
                bar.set_style(style);
            }
            bar.set_message(what);
            bar
        });
        Self { bar, what, told: None }
    }

    /// Reports how many are done.
    pub fn report(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            return;
        }
        let part = (done * LINES).checked_div(total).unwrap_or_default();
        if let Some(told) = &self.told
            && part > told.swap(part, Ordering::Relaxed)
        {
            // Progress that cannot be written is not an error.
            let _ = writeln!(std::io::stderr().lock(), "{done} of {total} {}", self.what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
