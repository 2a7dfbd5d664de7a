//! Opens the master keys of a configuration. The keyring may be the output of a command, such as
//! the client of a KMS or HSM.

use crate::config::{KeyConfig, KeyringSource, Provider, SECRET_VARIABLES};
use crate::crypto::{Keyring, KeyringError};
use crate::kms::{KeyProvider, KeyringLoader, KeyringProvider, MasterKeys, Transit};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long the command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a keyring, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Why a command gave no keyring. The texts do not quote the command, which may hold a secret.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(
        "VAULT_KEYRING_COMMAND: it cannot be run: {0}; give a program with its arguments, which no shell interprets"
    )]
    Run(#[from] io::Error),
    #[error("VAULT_KEYRING_COMMAND: it did not end within {} seconds; make it faster, or use VAULT_KEYRING_FILE", .0.as_secs())]
    Slow(Duration),
    #[error("VAULT_KEYRING_COMMAND: it failed ({0}); run it by hand to see why")]
    Failed(std::process::ExitStatus),
    #[error("VAULT_KEYRING_COMMAND: it prints more than 1 MiB; make it print a keyring and nothing else")]
    TooLarge,
    #[error("VAULT_KEYRING_COMMAND: its output is not UTF-8; make it print a keyring and nothing else")]
    NotText,
}

impl From<CommandError> for KeyringError {
    fn from(error: CommandError) -> Self {
        Self::Source(Box::new(error))
    }
}

/// The master keys of a configuration; reads no keyring and connects to nothing yet.
pub fn master_keys(keys: &KeyConfig) -> Result<MasterKeys, KeyringError> {
    let keyring = keys.keyring.as_ref().map(|source| Box::new(KeyringProvider::new(key_source(source))) as Box<_>);
    let transit = match &keys.transit {
        Some(config) => Some(Box::new(Transit::new(config)?) as Box<dyn KeyProvider>),
        None => None,
    };
    let (provider, older) = match keys.provider {
        Provider::Keyring => (keyring, transit),
        Provider::Transit => (transit, keyring),
    };
    Ok(MasterKeys::with_older(provider.ok_or(KeyringError::NoCurrent)?, older))
}

/// A source that reads the configured keyring each time it is called.
fn key_source(source: &KeyringSource) -> KeyringLoader {
    match source.clone() {
        KeyringSource::File(path) => Arc::new(move || Keyring::read_file(&path)),
        KeyringSource::Command(words) => Arc::new(move || Keyring::parse(&run(&words, COMMAND_TIMEOUT)?)),
    }
}

fn run(words: &[String], time_limit: Duration) -> Result<Zeroizing<String>, CommandError> {
    let began = Instant::now();
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput).map_err(io::Error::from)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    for name in SECRET_VARIABLES {
        command.env_remove(name);
    }
    let mut child = command.spawn()?;
    let Some(stdout) = child.stdout.take() else { return Err(CommandError::NotText) };
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        // A buffer of full size never grows, so it leaves no copies of keys behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
        let read = stdout.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
        // After a timeout, nobody receives it.
        let _ = sender.send(read.map(|_| bytes));
    });
    let read = receiver.recv_timeout(time_limit);
    let status = match &read {
        Ok(Ok(bytes)) if bytes.len() <= MAX_BYTES => ended(&mut child, began + time_limit)?,
        _ => None,
    };
    if status.is_none() {
        kill(&mut child);
    }
    let bytes = match (read, status) {
        (Ok(Err(error)), _) => return Err(error.into()),
        (Ok(Ok(bytes)), _) if bytes.len() > MAX_BYTES => return Err(CommandError::TooLarge),
        (Ok(Ok(bytes)), Some(status)) if status.success() => bytes,
        (Ok(Ok(_)), Some(status)) => return Err(CommandError::Failed(status)),
        (Ok(Ok(_)), None) | (Err(_), _) => return Err(CommandError::Slow(time_limit)),
    };
    std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| CommandError::NotText)
}

/// Waits for a process that has closed its output; `None` if it does not exit in time.
fn ended(child: &mut Child, until: Instant) -> io::Result<Option<std::process::ExitStatus>> {
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() >= until {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills a running process and those it started. Errors are ignored.
fn kill(child: &mut Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    fn words(command: &str) -> Vec<String> {
        shlex::split(command).unwrap()
    }

    fn refusal(command: &str) -> String {
        let error = run(&words(command), Duration::from_secs(5)).err().unwrap();
        crate::domain::with_causes(&KeyringError::from(error))
    }

    #[test]
    fn a_keyring_is_what_the_command_prints() {
        let ring = Keyring::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my ring");
        std::fs::write(&path, ring.to_text().expose_secret()).unwrap();
        let source = key_source(&KeyringSource::Command(words(&format!("cat '{}'", path.display()))));
        assert_eq!(source().ok().unwrap().current_id(), ring.current_id());
    }

    #[test]
    fn no_shell_reads_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let mark = mark.to_str().unwrap();
        for command in [format!("echo $(touch {mark})"), format!("echo a; touch {mark}"), format!("echo a > {mark}")] {
            let printed = run(&words(&command), Duration::from_secs(5)).ok().unwrap();
            assert!(printed.contains(mark), "{command}");
        }
        assert!(!std::path::Path::new(mark).exists());
        assert!(refusal("exit 3").contains("no shell"));
    }

    #[test]
    fn a_command_that_fails_is_told_without_being_repeated() {
        let said = refusal("sh -c 'echo s3cret >&2; echo s3cret; exit 3'");
        assert!(said.contains("VAULT_KEYRING_COMMAND") && said.contains("exit status: 3"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
        assert!(!refusal("/no/such/s3cret").contains("s3cret"));
    }

    #[test]
    fn a_command_that_prints_too_much_is_stopped() {
        assert!(refusal("yes").contains("1 MiB"));
        assert!(refusal(r"printf '\377'").contains("UTF-8"));
    }

    #[test]
    fn a_command_that_takes_too_long_is_stopped_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let command = format!("sh -c '(sleep 2; touch {}) & wait'", mark.display());
        let began = Instant::now();
        let error = run(&words(&command), Duration::from_millis(200)).err().unwrap();
        assert!(matches!(error, CommandError::Slow(_)) && began.elapsed() < Duration::from_millis(1800));
        std::thread::sleep(Duration::from_millis(2200));
        assert!(!mark.exists());
    }
}
