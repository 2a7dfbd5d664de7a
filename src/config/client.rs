//! The settings of the commands that ask a vault on behalf of an agent.

use super::problems::{Problems, Reader};
use crate::domain::{AgentId, MilestoneId, ProjectId, is_loopback_host};
use clap::Args;
use reqwest::Url;
use secrecy::SecretString;
use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

/// Where the vault of `dev` answers.
const DEFAULT_URL: &str = "http://127.0.0.1:4000/graphql";
/// How long a command waits for the vault, retries included.
const DEFAULT_TIMEOUT_SECONDS: u64 = 30;

/// The variable that holds the token. It is no flag: the arguments of a process are there for everybody to see.
pub const TOKEN_VARIABLE: &str = "PROJECT_VAULT_TOKEN";
/// The variable that names a file with the token instead.
pub const TOKEN_FILE_VARIABLE: &str = "PROJECT_VAULT_TOKEN_FILE";

/// What `--help` says of the token.
pub const TOKEN_HELP: &str = "\
The token, never an argument:
  PROJECT_VAULT_TOKEN  A runtime's token; here, or in the file or pipe that --token-file names";

/// Which file has the token.
#[derive(Args, Clone, Default)]
pub struct TokenSettings {
    /// A file or pipe that holds the token, such as `<(mint-token)`; it is read once
    #[arg(
        long,
        env = TOKEN_FILE_VARIABLE,
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Vault"
    )]
    pub token_file: Option<OsString>,
}

/// Which vault is asked, about what.
#[derive(Args, Clone, Default)]
pub struct ClientSettings {
    #[command(flatten)]
    #[allow(missing_docs, reason = "it has its own")]
    pub token: TokenSettings,
    /// The vault's address [default: http://127.0.0.1:4000/graphql]
    #[arg(long, env = "PROJECT_VAULT_URL", hide_env_values = true, value_name = "URL", help_heading = "Vault")]
    pub url: Option<OsString>,
    /// Sends the token over http to another machine, where everybody on the way can read it
    #[arg(long, help_heading = "Vault")]
    pub insecure_http: bool,
    /// How long to wait for the vault, retries included, in seconds [default: 30]
    #[arg(long, env = "PROJECT_VAULT_TIMEOUT", hide_env_values = true, value_name = "SECONDS", help_heading = "Vault")]
    pub timeout: Option<OsString>,
    /// Of which project [default: the one the token is narrowed to]
    #[arg(long, env = "PROJECT_VAULT_PROJECT", hide_env_values = true, value_name = "ID", help_heading = "Agent")]
    pub project: Option<OsString>,
    /// For which agent [default: the one the token is narrowed to]
    #[arg(long, env = "PROJECT_VAULT_AGENT", hide_env_values = true, value_name = "ID", help_heading = "Agent")]
    pub agent: Option<OsString>,
    /// On which milestone [default: the one the token is narrowed to, else none]
    #[arg(long, env = "PROJECT_VAULT_MILESTONE", hide_env_values = true, value_name = "ID", help_heading = "Agent")]
    pub milestone: Option<OsString>,
    /// The session, for the access records: 1 to 200 printable ASCII characters
    #[arg(long, env = "PROJECT_VAULT_SESSION_ID", hide_env_values = true, value_name = "ID", help_heading = "Agent")]
    pub session_id: Option<OsString>,
    /// The tool, for the access records: 1 to 200 printable ASCII characters
    #[arg(long, env = "PROJECT_VAULT_TOOL", hide_env_values = true, value_name = "NAME", help_heading = "Agent")]
    pub tool: Option<OsString>,
}

/// The same, validated.
pub struct Client {
    /// The vault's address.
    pub url: Url,
    /// What opens it.
    pub token: SecretString,
    /// How long to wait for an answer, retries included.
    pub patience: Duration,
    /// Of which project, where it was said.
    pub project: Option<ProjectId>,
    /// For which agent, where it was said.
    pub agent: Option<AgentId>,
    /// On which milestone.
    pub milestone: Option<MilestoneId>,
    /// The session, for the records.
    pub session: Option<String>,
    /// The tool, for the records.
    pub tool: Option<String>,
}

impl Client {
    /// Validates what was given; `token` is what the environment holds.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn of(settings: &ClientSettings, token: Option<&OsString>) -> Result<Self, Problems> {
        let mut reader = Reader::default();
        let token = read_token(&mut reader, &settings.token, token);
        let url = reader.text("PROJECT_VAULT_URL", settings.url.as_ref());
        let url = read_url(url.as_deref().unwrap_or(DEFAULT_URL), settings.insecure_http);
        let url = url.map_err(|problem| reader.problem("PROJECT_VAULT_URL", problem)).ok();
        let patience =
            reader.number("PROJECT_VAULT_TIMEOUT", settings.timeout.as_ref(), 1..=3_600, DEFAULT_TIMEOUT_SECONDS);
        let project = id(&mut reader, "PROJECT_VAULT_PROJECT", settings.project.as_ref());
        let agent = id(&mut reader, "PROJECT_VAULT_AGENT", settings.agent.as_ref());
        let milestone = id(&mut reader, "PROJECT_VAULT_MILESTONE", settings.milestone.as_ref());
        let session = label(&mut reader, "PROJECT_VAULT_SESSION_ID", settings.session_id.as_ref());
        let tool = label(&mut reader, "PROJECT_VAULT_TOOL", settings.tool.as_ref());
        let patience = Duration::from_secs(patience);
        let client = match (url, token) {
            (Some(url), Some(token)) => Some(Self { url, token, patience, project, agent, milestone, session, tool }),
            _ => None,
        };
        reader.finish(client)
    }
}

/// The token alone.
///
/// # Errors
/// When there is none, or one that is no token.
pub fn client_token(settings: &TokenSettings, token: Option<&OsString>) -> Result<SecretString, Problems> {
    let mut reader = Reader::default();
    let token = read_token(&mut reader, settings, token);
    reader.finish(token)
}

fn read_token(reader: &mut Reader, settings: &TokenSettings, token: Option<&OsString>) -> Option<SecretString> {
    use secrecy::ExposeSecret as _;
    // The command line is nearer than the environment.
    let given = token.filter(|_| settings.token_file.as_ref().is_none_or(|file| file.is_empty()));
    let given_any = given.or(settings.token_file.as_ref()).is_some_and(|given| !given.is_empty());
    let token = reader.secret(TOKEN_VARIABLE, given, settings.token_file.as_ref());
    let token = token.map(|token| SecretString::from(token.expose_secret().trim()));
    match &token {
        None if !given_any => {
            reader.problem(TOKEN_VARIABLE, "is not set; put a runtime's token there, or name a file with --token-file");
        }
        // A header takes nothing else.
        Some(token) if !token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) => {
            reader.problem(TOKEN_VARIABLE, "is no token; a token is one line of visible ASCII");
        }
        _ => {}
    }
    token
}

fn id<T: TryFromId>(reader: &mut Reader, setting: &str, given: Option<&OsString>) -> Option<T> {
    let text = reader.text(setting, given)?;
    T::of(text).map_err(|problem| reader.problem(setting, format_args!("is no id: {problem}"))).ok()
}

trait TryFromId: Sized {
    fn of(text: String) -> Result<Self, crate::domain::IdError>;
}
impl TryFromId for ProjectId {
    fn of(text: String) -> Result<Self, crate::domain::IdError> {
        Self::parse(text)
    }
}
impl TryFromId for AgentId {
    fn of(text: String) -> Result<Self, crate::domain::IdError> {
        Self::parse(text)
    }
}
impl TryFromId for MilestoneId {
    fn of(text: String) -> Result<Self, crate::domain::IdError> {
        Self::parse(text)
    }
}

fn label(reader: &mut Reader, setting: &str, given: Option<&OsString>) -> Option<String> {
    let text = reader.text(setting, given)?;
    if text.len() > 200 || !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        reader.problem(setting, "has more than 200 characters, or other ones than printable ASCII");
    }
    Some(text)
}

/// The address is not repeated: it may hold a password.
fn read_url(text: &str, insecure: bool) -> Result<Url, &'static str> {
    let url = Url::from_str(text).map_err(|_| "is no URL; write one such as https://vault.example/graphql")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or password; the token is all that the vault takes");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if insecure || is_loopback_host(url.host_str().unwrap_or_default()) => Ok(url),
        "http" => Err("is http, over which everybody on the way can read the token; use https, or say --insecure-http"),
        _ => Err("is neither https nor http"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_for_this_machine_alone_unless_it_is_asked_for() {
        for url in ["https://vault.example/graphql", "http://127.0.0.1:4000/", "http://[::1]/", "http://localhost:1/"] {
            assert!(read_url(url, false).is_ok(), "{url}");
        }
        for url in ["http://vault.example/", "http://10.0.0.1/", "http://127.0.0.1.example/", "http://localhost.evil/"]
        {
            assert!(read_url(url, false).is_err(), "{url}");
            assert!(read_url(url, true).is_ok(), "{url}");
        }
        for url in ["ftp://127.0.0.1/", "nowhere", "https://user:pass@vault.example/", "file:///etc/passwd"] {
            assert!(read_url(url, true).is_err(), "{url}");
        }
    }

    #[test]
    fn every_problem_is_told_without_what_was_given() {
        let given = |text: &str| Some(OsString::from(text));
        let settings = ClientSettings {
            url: given("http://s3cret.example"),
            project: given("s3cret project"),
            session_id: given("s3cret ü"),
            timeout: given("s3cret"),
            ..ClientSettings::default()
        };
        let Problems(problems) = Client::of(&settings, given("s3cret\ttoken").as_ref()).err().unwrap();
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(problems.iter().all(|problem| !problem.contains("s3cret")), "{problems:?}");
    }

    #[test]
    fn a_token_file_goes_before_the_environment() {
        use secrecy::ExposeSecret as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "of-file\n").unwrap();
        let settings = TokenSettings { token_file: Some(file.into()) };
        let token = client_token(&settings, Some(&"of-environment".into())).unwrap();
        assert_eq!(token.expose_secret(), "of-file");
        let token = client_token(&TokenSettings::default(), Some(&"of-environment".into())).unwrap();
        assert_eq!(token.expose_secret(), "of-environment");
        assert!(client_token(&TokenSettings::default(), Some(&OsString::new())).is_err());
    }
}
