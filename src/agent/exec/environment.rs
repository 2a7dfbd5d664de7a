//! The variables of the command: this process' own, and those of secrets.

use crate::agent::{AgentFailure, hiding};
use crate::domain::{NameError, SecretName};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

/// The variables that are set already, and what is put before a secret's name.
pub struct Environment {
    own: Vec<(OsString, OsString)>,
    prefix: String,
}

impl Environment {
    /// Of this process, but for its way to the vault's token.
    pub fn of_process(prefix: String) -> Self {
        let own = std::env::vars_os().filter(|(name, _)| !hiding::is_of_token(name)).collect();
        Self { own, prefix }
    }

    /// The variable that a secret becomes.
    pub fn variable(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether a variable is set; set but empty counts.
    pub fn is_set(&self, variable: &str) -> bool {
        self.own.iter().any(|(own, _)| own.as_os_str() == OsStr::new(variable))
    }

    /// Sets a variable, whatever its name. One that is set wins.
    pub fn set(&mut self, variable: &str, value: impl Into<OsString>) {
        if !self.is_set(variable) {
            self.own.push((variable.into(), value.into()));
        }
    }

    /// The names of secrets whose variables are set: those that a vault could hold.
    pub fn provided(&self) -> Vec<String> {
        let names = self.own.iter().filter_map(|(own, _)| own.to_str()?.strip_prefix(&self.prefix));
        let names = names.filter(|name| SecretName::parse(*name).is_ok());
        names.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether a secret may become its variable.
    ///
    /// # Errors
    /// When the variable is reserved, or no variable.
    pub fn check(&self, name: &str) -> Result<(), NameError> {
        SecretName::parse(self.variable(name)).map(drop)
    }

    /// Adds a secret's variable. One that is set wins.
    ///
    /// # Errors
    /// By [`Self::check`].
    pub fn add(&mut self, name: &str, value: impl Into<OsString>) -> Result<(), AgentFailure> {
        self.check(name).map_err(|problem| self.refused(name, problem))?;
        self.set(&self.variable(name), value);
        Ok(())
    }

    /// The failure of a call that asks for a secret that may not become its variable.
    pub fn refused(&self, name: &str, problem: NameError) -> AgentFailure {
        AgentFailure::Input(format!(
            "{}: {problem}. Put another prefix before it with --env-prefix, or use `project-vault get {name}`",
            self.variable(name)
        ))
    }

    /// All of them.
    pub fn variables(&self) -> &[(OsString, OsString)] {
        &self.own
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.own.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_os_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(prefix: &str, own: &[(&str, &str)]) -> Environment {
        let own = own.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Environment { own, prefix: prefix.to_owned() }
    }

    #[test]
    fn what_is_set_is_provided_when_a_vault_could_hold_it() {
        let own = [("B", ""), ("A", "x"), ("PATH", "/bin"), ("http_proxy", "x"), ("not a name", "x"), ("1A", "x")];
        assert_eq!(environment("", &own).provided(), ["A", "B"]);
        let own = [("APP_B", ""), ("APP_PATH", "x"), ("A", "x"), ("APP_", "x")];
        assert_eq!(environment("APP_", &own).provided(), ["B"]);
    }

    #[test]
    fn what_is_set_wins_and_reserved_variables_are_refused() {
        let mut own = environment("", &[("A", "")]);
        own.add("A", "vault's").unwrap();
        own.add("B", "vault's").unwrap();
        assert_eq!((own.get("A"), own.get("B")), (Some(OsStr::new("")), Some(OsStr::new("vault's"))));
        assert!(own.add("LD_PRELOAD", "x").is_err());
        assert!(environment("LD_", &[]).add("PRELOAD", "x").is_err());
        assert!(environment("1", &[]).add("A", "x").is_err());
        assert!(environment("APP_", &[]).check("BASH_ENV").is_ok());
        // A family of endings holds behind every prefix.
        assert_eq!(environment("APP_", &[]).check("MAKEFLAGS"), Err(NameError::Reserved));
        assert_eq!(environment("MAKE", &[]).check("FLAGS"), Err(NameError::Reserved));
    }
}
