//! How far a command is: a bar on a terminal, lines elsewhere, on standard error.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of progress lines where there is no terminal.
const LINES: u64 = 20;

/// How far a command is.
pub struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    /// Up to which part it has been told, elsewhere than on a terminal; none where it is not.
    told: Option<AtomicU64>,
}

impl Progress {
    /// Of work on these things.
    pub fn of(what: &'static str) -> Self {
        let mut progress = Self::on_a_terminal(what);
        progress.told = Some(AtomicU64::new(0));
        progress
    }

    /// The same, which tells nothing elsewhere than on a terminal.
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
            // Nobody has to listen.
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
