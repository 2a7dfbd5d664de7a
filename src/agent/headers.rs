//! `headers NAME`.

use super::get::resolve_one;
use super::resolve::require;
use super::settings::{ClientSettings, TOKEN_HELP};
use super::{AgentFailure, Result};
use crate::command::print_exactly;
use secrecy::ExposeSecret as _;
use serde_json::json;
use zeroize::Zeroizing;

const AUTHORIZATION: &str = "Authorization";

/// Resolves one secret for an HTTP header.
#[derive(clap::Args)]
#[command(after_help = format!("{TOKEN_HELP}\n
It prints a JSON object of the header's name and value on one line, as clients read it that take headers from a command, such as
`headersHelper` of Claude Code. The value loses a line end; what else no header can carry is refused (2), without being shown.

Examples:
  export PROJECT_VAULT_TOKEN=...   # a runtime's token, narrowed to a project and an agent
  project-vault headers GITHUB_TOKEN                            # {{\"Authorization\":\"Bearer ...\"}}
  project-vault headers STRIPE_API_KEY --header X-API-Key       # {{\"X-API-Key\":\"...\"}}
  project-vault headers REGISTRY_LOGIN --scheme Basic
  \"headersHelper\": \"project-vault headers GITHUB_TOKEN\"         # in .mcp.json

Exit status: 0 done, 2 wrong usage, 3 expired, 4 not found, 5 refused, 6 the vault cannot be reached or fails."))]
pub struct Headers {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// The header that carries the value
    #[arg(long, value_name = "HEADER", default_value = AUTHORIZATION, value_parser = header_token)]
    header: String,
    /// The word before the value, '' for none [default: Bearer in Authorization, else none]
    #[arg(long, value_name = "SCHEME", value_parser = scheme)]
    scheme: Option<String>,
    #[command(flatten)]
    client: ClientSettings,
}

impl Headers {
    /// Resolves and prints.
    ///
    /// # Errors
    /// When it cannot; [`AgentFailure::status`] is the exit status.
    pub fn run(self) -> Result {
        let secret = resolve_one(&self.client, self.name)?;
        require(std::iter::once((secret.name.clone(), secret.outcome)))?;
        let Some(value) = &secret.value else { return Ok(()) };
        let value = header_value(value.expose_secret())
            .map_err(|problem| AgentFailure::Input(format!("{}: {problem}", secret.name)))?;
        let bearer = || if self.header.eq_ignore_ascii_case(AUTHORIZATION) { "Bearer" } else { "" };
        let scheme = self.scheme.as_deref().unwrap_or_else(bearer);
        let value = Zeroizing::new(if scheme.is_empty() { value.to_owned() } else { format!("{scheme} {value}") });
        let text = Zeroizing::new(format!("{{{}:{}}}\n", json!(self.header), json!(*value)));
        Ok(print_exactly(&text)?)
    }
}

/// A header's value without the line end at its end.
fn header_value(value: &str) -> Result<&str, &'static str> {
    let value = value.strip_suffix('\n').map_or(value, |value| value.strip_suffix('\r').unwrap_or(value));
    // Other characters are written and read in different encodings.
    if !value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return Err("no header can carry this value, because it has line breaks, control characters or characters \
            beyond ASCII; use `project-vault get`");
    }
    if value.is_empty() || value.trim_matches([' ', '\t']) != value {
        return Err("no header can carry this value, because it is empty or begins or ends with a blank, which is \
            lost on the way; rotate it without");
    }
    Ok(value)
}

/// A word of RFC 9110, as the names of headers and of authentication schemes are.
fn header_token(text: &str) -> Result<String, &'static str> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err("write letters, digits and hyphens only, such as Authorization");
    }
    Ok(text.to_owned())
}

fn scheme(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Ok(String::new()) } else { header_token(text).map_err(|_| "write one word, such as Bearer") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_loses_its_line_end_and_nothing_else() {
        for (value, carried) in [("a b\tc", "a b\tc"), ("token\n", "token"), ("token\r\n", "token"), ("\"'\\", "\"'\\")]
        {
            assert_eq!(header_value(value), Ok(carried));
        }
        for value in ["a\nb", "a\r", "a\n\n", "a\0b", "\u{7f}", "p\u{e4}ss", " a", "a ", "\n", "a\u{1b}"] {
            assert!(header_value(value).is_err(), "{value:?}");
        }
    }
}
