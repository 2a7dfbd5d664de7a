//! `exec --env-file FILE`: the command's variables in a .env file, where `KEY=vault:NAME` stands
//! for a secret.

use super::environment::Environment;
use crate::agent::resolve::Secret;
use crate::agent::{AgentFailure, Result, hiding};
use crate::command::read_text;
use crate::domain::{SecretName, dotenv};
use secrecy::{ExposeSecret as _, SecretString};
use std::ffi::OsStr;
use std::path::Path;

/// What stands before the name of a secret.
const PREFIX: &str = "vault:";
const NO_NAME: &str = "after `vault:` comes the name of a secret: letters, digits and '_'; write KEY=vault:NAME";
const TOKEN: &str = "this variable is for the vault's token, which the command does not get; remove the line";

/// The variables of a file that name secrets, in the file's order.
#[derive(Default)]
pub struct References(Vec<Reference>);

struct Reference {
    variable: String,
    secret: String,
}

impl References {
    /// Reads a file: adds its plain variables to the environment, and keeps its references. Of
    /// both, variables that are set already win.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is wrong; its values are not repeated.
    pub fn read(path: &Path, environment: &mut Environment) -> Result<Self> {
        let problem = |problem: String| AgentFailure::Input(format!("--env-file {}: {problem}", path.display()));
        let text = read_text(path).map_err(|reason| problem(format!("it cannot be read: {reason}")))?;
        let lines = parse(&text).map_err(|error| problem(error.to_string()))?;
        let mut references = Self::default();
        for (variable, content) in lines {
            if environment.is_set(&variable) {
                continue;
            }
            match content {
                Content::Plain(value) => environment.set(&variable, value.expose_secret()),
                Content::Secret(secret) => references.0.push(Reference { variable, secret }),
            }
        }
        Ok(references)
    }

    /// The names of the secrets.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|reference| &reference.secret)
    }

    /// The variables that a secret becomes.
    pub fn variables<'a>(&'a self, secret: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |reference| reference.secret == secret).map(|reference| reference.variable.as_str())
    }

    /// Adds the variables of these secrets.
    pub fn set(&self, secrets: &[Secret], environment: &mut Environment) {
        for secret in secrets {
            let Some(value) = &secret.value else { continue };
            for variable in self.variables(&secret.name) {
                environment.set(variable, value.expose_secret());
            }
        }
    }
}

enum Content {
    Plain(SecretString),
    /// The name of a secret.
    Secret(String),
}

fn parse(text: &str) -> Result<Vec<(String, Content)>, dotenv::DotenvError> {
    let lines = dotenv::parse_variables(text)?.into_iter().map(|dotenv::Line { line, name, value }| {
        let bad = |message: String| dotenv::DotenvError { line, message };
        let Some(secret) = value.expose_secret().strip_prefix(PREFIX) else {
            if hiding::is_of_token(OsStr::new(name.as_str())) {
                return Err(bad(TOKEN.to_owned()));
            }
            return Ok((name.to_string(), Content::Plain(value)));
        };
        // Somebody else can write what the variable will hold.
        SecretName::parse(name.as_str()).map_err(|error| bad(error.to_string()))?;
        if !SecretName::has_form(secret) {
            return Err(bad(NO_NAME.to_owned()));
        }
        Ok((name.to_string(), Content::Secret(secret.to_owned())))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_plain_values_are_told_apart() {
        let lines =
            parse("# tokens\nexport A=vault:B\nC='vault:A' # the same\nPATH=/bin\nD=\nE=the vault:B\n").unwrap();
        let told: Vec<String> = lines
            .iter()
            .map(|(variable, content)| match content {
                Content::Plain(value) => format!("{variable}={}", value.expose_secret()),
                Content::Secret(name) => format!("{variable}<{name}"),
            })
            .collect();
        assert_eq!(told, ["A<B", "C<A", "PATH=/bin", "D=", "E=the vault:B"]);
    }

    #[test]
    fn wrong_lines_are_told_by_number_and_without_their_values() {
        for (text, line, says) in [
            ("A=1\nPATH=vault:SECRET", 2, "reserved"),
            ("A=vault:s3cret-name", 1, "KEY=vault:NAME"),
            ("A=vault:", 1, "KEY=vault:NAME"),
            ("PROJECT_VAULT_TOKEN=s3cret", 1, "token"),
            ("A=1\nA=vault:B", 2, "line 1"),
            ("s3cret", 1, "NAME=VALUE"),
        ] {
            let error = parse(text).err().unwrap();
            assert!(error.line == line && error.message.contains(says), "{text}: {error}");
            assert!(!error.message.contains("s3cret"), "{error}");
        }
    }
}
