//! `keys`.

use super::failure::{Failure, Result};
use super::{print, private_file};
use crate::crypto::Keyring;
use secrecy::ExposeSecret as _;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Makes master keys.
#[derive(clap::Args)]
pub struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Prints a new keyring, or adds a key to one and prints the key's id
    Generate {
        /// Adds a key to this keyring instead, and makes it the one that encrypts; send servers SIGHUP then
        #[arg(long, value_name = "FILE")]
        add: Option<PathBuf>,
    },
}

impl Keys {
    /// Runs the command.
    pub fn run(self) -> Result {
        match self.command {
            Command::Generate { add: None } => print(Keyring::generate()?.to_text().expose_secret()),
            Command::Generate { add: Some(path) } => print(&format!("{}\n", add(&path)?)),
        }
    }
}

/// Adds a key; gives its id.
fn add(path: &Path) -> Result<String> {
    // A link stays a link.
    let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // Of two additions at once, neither is to be lost. The file itself is replaced, so the lock is on its folder.
    let folder = private_file::folder(&file);
    let _lock = File::open(folder).and_then(|folder| folder.lock().map(|()| folder)).map_err(Failure::file(folder))?;
    let mut keyring = Keyring::read_file(&file)?;
    let id = keyring.add_key()?;
    private_file::replace(&file, &keyring.to_text())?;
    Ok(id)
}
