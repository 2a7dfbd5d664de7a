//! `completions SHELL`: prints completions for a shell.

use super::failure::Result;
use crate::command::CommandFailure;
use clap::CommandFactory as _;
use std::io::Write as _;

/// Prints completions for a shell.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  project-vault completions bash > ~/.local/share/bash-completion/completions/project-vault
  project-vault completions zsh > \"${fpath[1]}/_project-vault\"
  project-vault completions fish > ~/.config/fish/completions/project-vault.fish")]
pub struct Completions {
    /// The shell to print completions for
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Completions {
    /// Prints the completions.
    pub fn run(self) -> Result {
        let mut command = super::Cli::command();
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, "project-vault", &mut text);
        let mut out = std::io::stdout().lock();
        Ok(out.write_all(&text).and_then(|()| out.flush()).map_err(CommandFailure::Output)?)
    }
}
