//! Settings of the commands that ask a vault on behalf of an agent.

use crate::command::{Problems, SettingReader};
use crate::domain::{AgentId, MilestoneId, ProjectId, is_loopback_host};
use clap::Args;
use reqwest::Url;
use secrecy::SecretString;
use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

/// The address of the vault that `dev` runs.
const DEFAULT_URL: &str = "http://127.0.0.1:4000/graphql";
/// Time limit for the vault's answer, retries included.
const DEFAULT_TIMEOUT_SECONDS: u64 = 30;

/// The variable that holds the token. There is no flag for it: everyone on the machine can read a
/// process's arguments.
pub const TOKEN_VARIABLE: &str = "PROJECT_VAULT_TOKEN";
/// The variable that names a file with the token instead.
pub const TOKEN_FILE_VARIABLE: &str = "PROJECT_VAULT_TOKEN_FILE";

/// The part of `--help` about the token.
pub const TOKEN_HELP: &str = "\
The token, never an argument:
  PROJECT_VAULT_TOKEN  A runtime's token; here, or in the file or pipe that --token-file names";

/// The file with the token.
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

/// The vault to ask, and the agent to ask for.
#[derive(Args, Clone, Default)]
pub struct ClientSettings {
    #[command(flatten)]
    #[allow(missing_docs, reason = "it has its own")]
    pub token: TokenSettings,
    /// The vault's address [default: http://127.0.0.1:4000/graphql]
    #[arg(long, env = "PROJECT_VAULT_URL", hide_env_values = true, value_name = "URL", help_heading = "Vault")]
    pub url: Option<OsString>,
    /// Sends the token to another machine over http, where anyone on the network can read it
    #[arg(long, help_heading = "Vault")]
    pub insecure_http: bool,
    /// How long to wait for the vault, retries included, in seconds [default: 30]
    #[arg(long, env = "PROJECT_VAULT_TIMEOUT", hide_env_values = true, value_name = "SECONDS", help_heading = "Vault")]
    pub timeout: Option<OsString>,
    /// The project [default: the one the token is narrowed to]
    #[arg(long, env = "PROJECT_VAULT_PROJECT", hide_env_values = true, value_name = "ID", help_heading = "Agent")]
    pub project: Option<OsString>,
    /// The agent [default: the one the token is narrowed to]
    #[arg(long, env = "PROJECT_VAULT_AGENT", hide_env_values = true, value_name = "ID", help_heading = "Agent")]
    pub agent: Option<OsString>,
    /// The milestone [default: the one the token is narrowed to, else none]
    #[arg(long, env = "PROJECT_VAULT_MILESTONE", hide_env_values = true, value_name = "ID", help_heading = "Agent")]
    pub milestone: Option<OsString>,
    /// The session, for the access records: 1 to 200 printable ASCII characters
    #[arg(long, env = "PROJECT_VAULT_SESSION_ID", hide_env_values = true, value_name = "ID", help_heading = "Agent")]
    pub session_id: Option<OsString>,
    /// The tool, for the access records: 1 to 200 printable ASCII characters
    #[arg(long, env = "PROJECT_VAULT_TOOL", hide_env_values = true, value_name = "NAME", help_heading = "Agent")]
    pub tool: Option<OsString>,
}

/// [`ClientSettings`], validated.
pub struct Client {
    /// The vault's address.
    pub url: Url,
    /// The bearer token.
    pub token: SecretString,
    /// Time limit for an answer, retries included.
    pub timeout: Duration,
    /// The project, if given.
    pub project: Option<ProjectId>,
    /// The agent, if given.
    pub agent: Option<AgentId>,
    /// The milestone, if given.
    pub milestone: Option<MilestoneId>,
    /// The session, for the access records.
    pub session: Option<String>,
    /// The tool, for the access records.
    pub tool: Option<String>,
}

impl Client {
    /// Validates the settings; `token` is the one in the environment.
    ///
    /// # Errors
    /// All problems.
    pub fn of(settings: &ClientSettings, token: Option<&OsString>) -> Result<Self, Problems> {
        let mut reader = SettingReader::default();
        let token = read_token(&mut reader, &settings.token, token);
        let url = reader.text("PROJECT_VAULT_URL", settings.url.as_ref());
        let url = read_url(url.as_deref().unwrap_or(DEFAULT_URL), settings.insecure_http);
        let url = url.map_err(|problem| reader.problem("PROJECT_VAULT_URL", problem)).ok();
        let timeout =
            reader.number("PROJECT_VAULT_TIMEOUT", settings.timeout.as_ref(), 1..=3_600, DEFAULT_TIMEOUT_SECONDS);
        let project = id(&mut reader, "PROJECT_VAULT_PROJECT", settings.project.as_ref());
        let agent = id(&mut reader, "PROJECT_VAULT_AGENT", settings.agent.as_ref());
        let milestone = id(&mut reader, "PROJECT_VAULT_MILESTONE", settings.milestone.as_ref());
        let session = label(&mut reader, "PROJECT_VAULT_SESSION_ID", settings.session_id.as_ref());
        let tool = label(&mut reader, "PROJECT_VAULT_TOOL", settings.tool.as_ref());
        let timeout = Duration::from_secs(timeout);
        let client = match (url, token) {
            (Some(url), Some(token)) => Some(Self { url, token, timeout, project, agent, milestone, session, tool }),
            _ => None,
        };
        reader.finish(client)
    }
}

/// Validates the token alone.
///
/// # Errors
/// When there is no token, or the text is not one.
pub fn client_token(settings: &TokenSettings, token: Option<&OsString>) -> Result<SecretString, Problems> {
    let mut reader = SettingReader::default();
    let token = read_token(&mut reader, settings, token);
    reader.finish(token)
}

fn read_token(reader: &mut SettingReader, settings: &TokenSettings, token: Option<&OsString>) -> Option<SecretString> {
    use secrecy::ExposeSecret as _;
    // The command line takes precedence over the environment.
    let given = token.filter(|_| settings.token_file.as_ref().is_none_or(|file| file.is_empty()));
    let given_any = given.or(settings.token_file.as_ref()).is_some_and(|given| !given.is_empty());
    let token = reader.secret(TOKEN_VARIABLE, given, settings.token_file.as_ref());
    match &token {
        None if !given_any => {
            reader.problem(TOKEN_VARIABLE, "is not set; put a runtime's token there, or name a file with --token-file");
        }
        // A header cannot carry anything else. The message does not repeat it.
        Some(token) if !token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) => {
            reader.problem(TOKEN_VARIABLE, "is no token; a token is one line of visible ASCII");
        }
        _ => {}
    }
    token
}

fn id<T: TryFromId>(reader: &mut SettingReader, setting: &str, given: Option<&OsString>) -> Option<T> {
    let text = reader.text(setting, given)?;
    T::of(text).map_err(|problem| reader.problem(setting, format_args!("is not an id: {problem}"))).ok()
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

fn label(reader: &mut SettingReader, setting: &str, given: Option<&OsString>) -> Option<String> {
    let text = reader.text(setting, given)?;
    if text.len() > 200 || !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        reader.problem(
            setting,
            "is longer than 200 characters or not printable ASCII; give 1 to 200 printable ASCII characters",
        );
    }
    Some(text)
}

/// Errors do not repeat the address, which may contain a password.
fn read_url(text: &str, insecure: bool) -> Result<Url, &'static str> {
    let url = Url::from_str(text).map_err(|_| "is not a URL; write one such as https://vault.example/graphql")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a user or password; remove it, the vault takes only the token");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if insecure || is_loopback_host(url.host_str().unwrap_or_default()) => Ok(url),
        "http" => {
            Err("is http, over which anyone on the network can read the token; use https, or pass --insecure-http")
        }
        _ => Err("is neither https nor http; use https"),
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
    fn a_token_is_read_however_it_was_saved_and_is_in_no_refusal() {
        use secrecy::ExposeSecret as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let settings = TokenSettings { token_file: Some(file.clone().into()) };
        let in_variable = |text: &str| client_token(&TokenSettings::default(), Some(&text.into()));
        let in_file = |text: &str| {
            std::fs::write(&file, text).unwrap();
            client_token(&settings, None)
        };
        for text in ["a.b.c\n", "a.b.c\r\n", "\u{feff}a.b.c", "\u{feff}a.b.c\r\n\n", "\n\t a.b.c \u{feff}", "a.b.c"] {
            for read in [in_variable(text), in_file(text)] {
                assert_eq!(read.unwrap().expose_secret(), "a.b.c", "{text:?}");
            }
        }
        for text in ["s3c\nret", "s3c\rret", "s3c ret", "Bearer s3cret", "s3cr\u{e4}t", "s3c\u{7f}ret", "s3c\tret"] {
            for read in [in_variable(text), in_file(text)] {
                let Problems(problems) = read.err().unwrap();
                assert!(problems.len() == 1 && !problems[0].contains("s3c"), "{problems:?}");
            }
        }
        for text in ["", "\r\n", " \u{feff}\t"] {
            assert_eq!(in_file(text).err().unwrap().0.len(), 1, "{text:?}");
            assert_eq!(in_variable(text).err().unwrap().0.len(), 1, "{text:?}");
        }
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
