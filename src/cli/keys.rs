//! `keys`: makes, replaces and retires keys, and shows which are in use.

use super::failure::{Failure, Result};
use super::open::{self, DataLocation};
use super::private_file;
use super::progress::Progress;
use crate::command::{Output, print, print_exactly, print_json};
use crate::config::{KeyringSource, SECRETS_HELP};
use crate::crypto::{Keyring, KeyringError};
use crate::domain::{EntryId, ProjectId};
use crate::permission::Operator;
use crate::vault::{DataKeysReplaced, KeyStatus, MasterKeyUse, Vault};
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Makes, replaces and retires keys, and shows which are in use.
#[derive(clap::Args)]
pub struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Prints a new keyring, or adds a key to one and prints the key's id
    Generate {
        /// A keyring file to add a key to instead; the new key becomes the current one. Send
        /// servers SIGHUP afterwards
        #[arg(long, value_name = "FILE")]
        add: Option<PathBuf>,
    },
    /// Shows how many keys each master key wraps, and how much data keys have been used
    #[command(after_help = SECRETS_HELP)]
    Status(Box<Status>),
    /// Wraps every data key with the current master key, or replaces data keys
    ///
    /// Servers, and other runs of this command, may be running; an interrupted run is resumed by
    /// the next. Only replacing data keys touches values: each entry is then decrypted and
    /// encrypted anew.
    #[command(after_help = SECRETS_HELP)]
    Rotate(Box<Rotate>),
    /// Removes a key from a keyring file; refused while the key wraps anything
    ///
    /// Run `keys rotate` first, and send every server SIGHUP, so that none wraps with the old key
    /// any more.
    #[command(after_help = SECRETS_HELP)]
    Retire(Box<Retire>),
}

#[derive(clap::Args)]
struct Status {
    /// The format of the output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    location: DataLocation,
}

#[derive(clap::Args)]
struct Rotate {
    /// Instead gives this project a new data key, and re-encrypts all its values with it
    #[arg(long, value_name = "PROJECT", value_parser = |id: &str| ProjectId::parse(id))]
    data: Option<ProjectId>,
    /// Instead gives every project a new data key, and re-encrypts all values
    #[arg(long, conflicts_with = "data")]
    data_all: bool,
    #[command(flatten)]
    location: DataLocation,
}

#[derive(clap::Args)]
struct Retire {
    /// The id of the key, as `keys status` shows it
    id: String,
    /// The keyring file [default: VAULT_KEYRING_FILE, or the data directory's]
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    #[command(flatten)]
    location: DataLocation,
}

impl Keys {
    /// Runs the command.
    pub async fn run(self) -> Result {
        match self.command {
            Command::Generate { add: None } => Ok(print_exactly(Keyring::generate()?.to_text().expose_secret())?),
            Command::Generate { add: Some(path) } => Ok(print(&format!("{}\n", add(&path)?))?),
            Command::Status(status) => status.run().await,
            Command::Rotate(rotate) => rotate.run().await,
            Command::Retire(retire) => retire.run().await,
        }
    }
}

/// Adds a key to a keyring file; gives its id.
fn add(path: &Path) -> Result<String> {
    let (file, _lock) = locked(path)?;
    let mut keyring = Keyring::read_file(&file)?;
    let id = keyring.add_key()?;
    private_file::replace(&file, &keyring.to_text())?;
    Ok(id)
}

/// Locks a keyring file against concurrent changes; gives its resolved path. Changes replace the
/// file, so the lock is on its folder.
fn locked(path: &Path) -> Result<(PathBuf, File)> {
    // Resolves a symbolic link, so that replacing the file keeps the link.
    let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = private_file::folder(&file);
    let lock = File::open(folder).and_then(|folder| folder.lock().map(|()| folder)).map_err(Failure::file(folder))?;
    Ok((file, lock))
}

impl Status {
    async fn run(self) -> Result {
        let (vault, _) = self.location.open_without_authorizer().await?;
        let status = vault.rotation().status().await?;
        match self.output {
            Output::Text => Ok(print(&as_text(&status))?),
            Output::Json => Ok(print_json(&format!("{}\n", as_json(&status)))?),
        }
    }
}

fn as_json(status: &KeyStatus) -> serde_json::Value {
    let master_keys: Vec<_> = status
        .master_keys
        .iter()
        .map(|key| {
            json!({
                "id": key.id,
                "current": key.current,
                "present": key.present,
                "dataKeys": key.data_keys,
                "installationKeys": key.installation_keys.iter().map(|purpose| purpose.as_str()).collect::<Vec<_>>(),
            })
        })
        .collect();
    let data_keys = status.data_keys;
    json!({
        "masterKeys": master_keys,
        "dataKeys": {
            "count": data_keys.count,
            "outgoing": data_keys.outgoing,
            "older": data_keys.older,
            "mostSealed": data_keys.most_sealed,
            "bound": status.bound,
            "pastBound": data_keys.past_bound,
        },
    })
}

fn as_text(status: &KeyStatus) -> String {
    let width = status.master_keys.iter().map(|key| key.id.len()).max().unwrap_or_default().max("MASTER KEY".len());
    let mut lines = vec![format!("{:width$}  {:>9}  {:13}  STATE", "MASTER KEY", "DATA KEYS", "OWN KEYS")];
    for key in &status.master_keys {
        let own: Vec<_> = key.installation_keys.iter().map(|purpose| purpose.as_str()).collect();
        let own = if own.is_empty() { "-".to_owned() } else { own.join(",") };
        lines.push(format!("{:width$}  {:>9}  {own:13}  {}", key.id, key.data_keys, state(key)));
    }
    let keys = status.data_keys;
    lines.push(String::new());
    lines.push(format!(
        "{} data keys; the most used has sealed {} of {} values.",
        keys.count, keys.most_sealed, status.bound
    ));
    for (count, what) in [
        (
            keys.outgoing,
            "are being replaced; run `project-vault keys rotate` with --data or --data-all again to finish",
        ),
        (keys.older, "encrypt nothing any more, and only decrypt older values; `keys rotate --data` replaces them"),
        (keys.past_bound, "have sealed the maximum number of values; the next value gets a new data key"),
    ] {
        if count > 0 {
            lines.push(format!("{count} of them {what}."));
        }
    }
    lines.join("\n") + "\n"
}

fn state(key: &MasterKeyUse) -> &'static str {
    match (key.current, key.present, key.is_used()) {
        (true, ..) => "current",
        (false, true, true) => "unwraps only; `keys rotate` rewraps its keys with the current one",
        (false, true, false) => "unused; `keys retire` removes it",
        (false, false, _) => "MISSING: the keys it wraps cannot be opened; put it back",
    }
}

impl Rotate {
    async fn run(self) -> Result {
        let (vault, _) = self.location.open_without_authorizer().await?;
        open::recorded(&vault, self.rotate(&vault).await).await
    }

    async fn rotate(&self, vault: &Vault) -> Result {
        let operator = Operator::at_the_shell();
        if let Some(project) = &self.data {
            let progress = Progress::of("entries");
            let replaced =
                vault.rotation().replace_data_keys(&operator, project, &|done, of| progress.report(done, of)).await?;
            drop(progress);
            return tell_replaced(&replaced);
        }
        if self.data_all {
            let progress = Progress::of("projects");
            let replaced =
                vault.rotation().replace_all_data_keys(&operator, &|done, of| progress.report(done, of)).await?;
            drop(progress);
            return tell_replaced(&replaced);
        }
        let progress = Progress::of("data keys");
        let done = vault.rotation().rewrap(&operator, &|done, of| progress.report(done, of)).await?;
        drop(progress);
        print(&format!(
            "{} data keys and {} keys of the installation are now wrapped with {}\n",
            done.data_keys, done.installation_keys, done.master_key
        ))?;
        if done.problems.is_empty() {
            return Ok(());
        }
        let problems: Vec<&str> = done.problems.iter().map(String::as_str).collect();
        Err(Failure::Incomplete(format!("{} data keys are left as they are: {}", done.left, problems.join("; "))))
    }
}

fn tell_replaced(replaced: &DataKeysReplaced) -> Result {
    let DataKeysReplaced { projects, entries, erased, left } = replaced;
    print(&format!("{entries} entries of {projects} projects were re-encrypted, {erased} old data keys erased\n"))?;
    if left.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = left.iter().map(EntryId::to_string).collect();
    Err(Failure::Incomplete(format!(
        "these entries fail authentication and are left under their old data keys, which stay: {}",
        ids.join(", ")
    )))
}

impl Retire {
    async fn run(self) -> Result {
        let (vault, keys) = self.location.open_without_authorizer().await?;
        let configured = match keys.keyring {
            Some(KeyringSource::File(path)) => Some(path),
            Some(KeyringSource::Command(_)) | None => None,
        };
        let path = self.keyring.or(configured);
        let path = path.ok_or_else(|| Failure::Usage("name the keyring file with --keyring".to_owned()))?;
        let (file, _lock) = locked(&path)?;
        let mut keyring = Keyring::read_file(&file)?;
        keyring.remove_key(&self.id).map_err(|error| match error {
            KeyringError::UnknownKey(id) => {
                Failure::Incomplete(format!("there is no key {id:?} in {}", file.display()))
            }
            error => error.into(),
        })?;
        vault.rotation().retire_master_key(&Operator::at_the_shell(), &self.id).await?;
        private_file::replace(&file, &keyring.to_text())?;
        Ok(print(&format!("{} is not in {} any more; send servers SIGHUP\n", self.id, file.display()))?)
    }
}
