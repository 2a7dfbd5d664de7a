//! `exec [--] COMMAND ARG...`.

mod env_file;
mod environment;
pub mod files;
mod matcher;
mod patterns;
mod prefilter;
mod preview;
mod process;
mod redact;

pub use process::{Inheritance, Program, run_as_helper};

use crate::agent::left_out::{LeftOut, Why, notices};
use crate::agent::resolve::{ResolvedSecrets, Secret, View, require};
use crate::agent::settings::{Client, ClientSettings, TOKEN_HELP};
use crate::agent::wanted::Wanted;
use crate::agent::{AgentFailure, Result, hiding};
use crate::command::{in_one_thread, notice};
use crate::domain::{NameError, SecretName, SecretOutcome};
use env_file::References;
use environment::Environment;
use files::{FileOf, Files};
use matcher::{LazyMatcher, Matcher};
use patterns::Patterns;
use process::{Mode, Waiting};
use redact::Redactor;
use secrecy::{ExposeSecret as _, SecretString};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, LazyLock};

/// Runs a command with the project's secrets in its environment.
#[derive(clap::Args)]
#[command(after_help = format!("{TOKEN_HELP}\n
Variables that are set already win: the vault does not even open its own. The command gets the secrets, not the token. What it
writes passes through with each value of 6 or more characters replaced by [NAME], and so are the value's base64, URL-encoded,
JSON-escaped, HTML-escaped, shell-quoted and hexadecimal forms, its lines, and the secrets in a value that is a JSON document.

Names by which programs find, configure or run code, or that say where data goes, are reserved: PATH, LD_PRELOAD, GIT_SSH_COMMAND,
MAKEFLAGS and their like. They are left out with a warning, and refused (2) with --only. Where organizations that do not know
each other work on one project, ask for what the command needs with --only, or keep all variables apart with --env-prefix.

Examples:
  export PROJECT_VAULT_TOKEN=...   # a runtime's token, narrowed to a project and an agent
  project-vault exec -- bash
  project-vault exec --only GITHUB_TOKEN -- git push
  project-vault exec --env-file .env -- npm start          # with lines such as GITHUB_TOKEN=vault:DEPLOY_TOKEN
  project-vault exec --env-prefix ACME_ -- make deploy     # each secret NAME as ACME_NAME
  project-vault exec --file TLS_KEY=tls/key.pem -- sh -c 'openssl pkey -noout -in \"$TLS_KEY\"'
  project-vault exec --token-file <(mint-token) -- make     # a token that is in no environment
  project-vault exec --only GITHUB_PERSONAL_ACCESS_TOKEN -- npx -y @modelcontextprotocol/server-github   # MCP
  project-vault exec --dry-run     # what it would get, from where, until when; no value

Exit status: the command's, 128+n for signal n, 126 when it cannot be run, 127 when there is none; before it starts: 2 wrong
usage, 3 a name of --only has expired, 4 is not found, 5 refused, 6 the vault cannot be reached or fails."))]
pub struct Exec {
    /// Only this secret; can be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// A prefix for the name of each secret's variable
    #[arg(long, value_name = "PREFIX", default_value = "")]
    env_prefix: String,
    /// A .env file with variables of the command; KEY=vault:NAME stands for a secret
    ///
    /// Of the secrets, only those that the file names are asked for, and those of --only and
    /// --file. Variables that are set already win; --env-prefix does not go before those of the
    /// file.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Gives a secret as a file, whose path its variable holds; can be repeated
    ///
    /// A relative PATH is below a private directory of this call, in memory. An absolute one has to
    /// be in a private directory in memory. The file has mode 0600 and is gone when the command
    /// ends, however it ends.
    #[arg(long, value_name = "NAME=PATH", value_parser = FileOf::parse)]
    file: Vec<FileOf>,
    /// Lets --file write to a disk, where a file that was removed may still be found
    #[arg(long)]
    allow_disk: bool,
    /// Does not redact the command's output
    #[arg(long)]
    no_redact: bool,
    /// Starts nothing; says what the command would get, from where, and until when
    #[arg(long)]
    dry_run: bool,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required_unless_present = "dry_run")]
    command: Vec<OsString>,
    #[command(flatten)]
    client: ClientSettings,
}

impl Exec {
    /// Runs the command; gives its exit status.
    ///
    /// # Errors
    /// When it cannot; [`AgentFailure::status`] is the exit status.
    pub fn run(self) -> Result<ExitCode> {
        let token = hiding::take_token();
        let agent = View::of(Client::of(&self.client, token.as_ref())?)?;
        drop(token);
        let mut environment = Environment::of_process(self.env_prefix.clone());
        let references = match &self.env_file {
            Some(path) => References::read(path, &mut environment)?,
            None => References::default(),
        };
        for name in self.asked().iter().filter(|name| SecretName::has_form(name)) {
            environment.check(name).map_err(|problem| environment.refused(name, problem))?;
        }
        self.check_against(&references, &environment)?;
        let asked = self.asked_with(&references);
        let names = (!self.only.is_empty() || self.env_file.is_some()).then(|| asked.clone());
        let mut provided = environment.provided();
        // A secret that another variable is to hold.
        provided.retain(|name| !references.names().any(|referred| referred == name));
        let wanted = Wanted { names: names.as_deref(), provided: &provided, purpose: "CODING_SESSION" };
        if self.dry_run {
            let mut preview = in_one_thread(agent.preview(&wanted))??;
            let by_name = self.left_out_but_asked(&mut preview.left_out);
            if !by_name.is_empty() {
                let wanted = Wanted { names: Some(&by_name), ..wanted };
                preview.secrets.extend(in_one_thread(agent.preview(&wanted))??.secrets);
            }
            preview.left_out.extend(self.left_out_by_prefix(&mut preview.secrets, |secret| &secret.name, &environment));
            tell(&preview.left_out);
            let variables = |name: &str| {
                let direct = Some(name).filter(|name| self.takes_its_name(name)).map(|name| environment.variable(name));
                direct.into_iter().chain(references.variables(name).map(str::to_owned)).collect()
            };
            return preview::print(&preview, &asked, variables).map(|()| ExitCode::SUCCESS);
        }
        let command = Waiting::start(&self.command, &environment, self.mode())?;
        let ResolvedSecrets { mut secrets, mut left_out } = in_one_thread(agent.resolve(&wanted))??;
        let by_name = self.left_out_but_asked(&mut left_out);
        if !by_name.is_empty() {
            let more = in_one_thread(agent.resolve(&Wanted { names: Some(&by_name), ..wanted }))??;
            secrets.extend(more.secrets);
            left_out.extend(more.left_out);
        }
        drop(agent);
        left_out.extend(self.left_out_by_prefix(&mut secrets, |secret| &secret.name, &environment));
        tell(&left_out);
        self.check(&secrets, &asked)?;
        references.set(&secrets, &mut environment);
        let code = self.start(command, &secrets, environment)?;
        Ok(ExitCode::from(code))
    }

    /// The names that the arguments ask for one by one.
    fn asked(&self) -> Vec<String> {
        let mut names = Vec::new();
        for name in self.only.iter().chain(self.file.iter().map(|file| &file.name)) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Refuses a variable that is to hold two secrets: by the file of variables another one than by
    /// the arguments.
    fn check_against(&self, references: &References, environment: &Environment) -> Result {
        for name in self.asked() {
            let variable = environment.variable(&name);
            let holds = |other: &&String| {
                (**other != name || self.file_of(&name).is_some())
                    && references.variables(other).any(|of_file| of_file == variable)
            };
            if let Some(other) = references.names().find(holds) {
                return Err(AgentFailure::Input(format!(
                    "{variable}: the file of --env-file gives it {other}, and the arguments {name}; leave one out"
                )));
            }
        }
        Ok(())
    }

    /// The names that the arguments and the file of variables ask for.
    fn asked_with(&self, references: &References) -> Vec<String> {
        let mut names = self.asked();
        for name in references.names() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Whether a secret is to be in the variable of its own name, not only in those of a file.
    fn takes_its_name(&self, name: &str) -> bool {
        self.env_file.is_none() || self.only.iter().any(|only| only == name) || self.file_of(name).is_some()
    }

    fn file_of(&self, name: &str) -> Option<&FileOf> {
        self.file.iter().find(|file| file.name == name)
    }

    /// Takes out the names of `--file` that a session leaves out because of their endings: they are
    /// asked for by name.
    fn left_out_but_asked(&self, left_out: &mut Vec<LeftOut>) -> Vec<String> {
        let asked = self.asked();
        let taken =
            left_out.extract_if(.., |left_out| left_out.why == Why::NameNotSuffixed && asked.contains(&left_out.name));
        taken.map(|left_out| left_out.name).collect()
    }

    /// Checks that every secret asked for by name is there. Of the others, expired ones are
    /// reported.
    fn check(&self, secrets: &[Secret], asked: &[String]) -> Result {
        let outcome = |name: &String| secrets.iter().find(|secret| secret.name == *name).map(|secret| secret.outcome);
        require(asked.iter().map(|name| (name.clone(), outcome(name).unwrap_or(SecretOutcome::NotFound))))?;
        let expired: Vec<&str> = secrets
            .iter()
            .filter(|secret| secret.outcome == SecretOutcome::Expired)
            .map(|secret| secret.name.as_str())
            .collect();
        if !expired.is_empty() {
            notice(&format!("expired, so not set: {}", expired.join(", ")));
        }
        for file in &self.file {
            if outcome(&file.name) == Some(SecretOutcome::ProvidedByWorkspace) {
                notice(&format!("{} is set already and wins; no file is written for it", file.name));
            }
        }
        Ok(())
    }

    fn mode(&self) -> Mode {
        match (self.no_redact, self.file.is_empty()) {
            (false, _) => Mode::Redacted,
            (true, false) => Mode::Beside,
            (true, true) => Mode::InPlace,
        }
    }

    /// Takes out what would become a reserved variable, or none, with the prefix before its name.
    fn left_out_by_prefix<T>(
        &self,
        answers: &mut Vec<T>,
        name: impl Fn(&T) -> &str,
        environment: &Environment,
    ) -> Vec<LeftOut> {
        let mut left_out = Vec::new();
        answers.retain(|answer| {
            let name = name(answer);
            if !self.takes_its_name(name) {
                return true;
            }
            let why = match environment.check(name) {
                Err(NameError::Reserved) => Why::ReservedName,
                // Something that is no name is still asked for: the vault answers NOT_FOUND.
                Err(NameError::Form) if SecretName::has_form(name) => Why::Form,
                Err(NameError::Form) | Ok(()) => return true,
            };
            left_out.push(LeftOut { name: environment.variable(name), why });
            false
        });
        left_out
    }

    fn start(&self, command: Waiting, secrets: &[Secret], mut environment: Environment) -> Result<u8> {
        let mut files = if self.file.is_empty() { None } else { Some(Files::begin(self.allow_disk)?) };
        for secret in secrets {
            let Some(value) = secret.value.as_ref().filter(|_| self.takes_its_name(&secret.name)) else { continue };
            if let (Some(file), Some(files)) = (self.file_of(&secret.name), &mut files) {
                environment.add(&secret.name, files.write(file, value)?)?;
            } else {
                environment.add(&secret.name, value.expose_secret())?;
            }
        }
        command.run(environment, || matcher(secrets))
    }
}

/// Gets ready to look for the values. The automaton is made when the command first writes.
fn matcher(secrets: &[Secret]) -> LazyMatcher {
    let values = secrets.iter().filter_map(|secret| Some((secret.name.clone(), secret.value.clone()?)));
    let (long, short): (Vec<_>, Vec<_>) = values.partition(|(_, value)| patterns::is_long(value.expose_secret()));
    if !short.is_empty() {
        let names: Vec<&str> = short.iter().map(|(name, _)| name.as_str()).collect();
        let least = patterns::MIN_CHARS;
        notice(&format!("shorter than {least} characters, so not redacted in the output: {}", names.join(", ")));
    }
    let make = move || {
        let patterns = Patterns::of(long.iter().map(|(name, value)| (name.as_str(), value)));
        if !patterns.incomplete.is_empty() {
            let names = patterns.incomplete.join(", ");
            notice(&format!("too large to be redacted in every encoding, or line by line: {names}"));
        }
        Matcher::new(patterns).unwrap_or_else(|_| {
            // Without one, nothing may be shown at all.
            notice("the output cannot be redacted, so it is not shown; use --no-redact to see it");
            std::process::exit(i32::from(AgentFailure::Unreachable(String::new()).status()))
        })
    };
    Arc::new(LazyLock::new(Box::new(make)))
}

/// Replaces these values in a command's output, as a whole; for benchmarks. `None` when there are
/// more than an automaton can have.
#[doc(hidden)]
#[must_use]
pub fn redaction(values: &[(&str, SecretString)]) -> Option<impl Fn(&[u8]) -> Vec<u8> + use<>> {
    let matcher = Matcher::new(Patterns::of(values.iter().map(|(name, value)| (*name, value)))).ok()?;
    Some(move |output: &[u8]| {
        let (mut redactor, mut shown) = (Redactor::new(&matcher), Vec::with_capacity(output.len()));
        redactor.push(output, &mut shown);
        redactor.finish(&mut shown);
        shown
    })
}

fn tell(left_out: &[LeftOut]) {
    for line in notices(left_out) {
        notice(&line);
    }
}
