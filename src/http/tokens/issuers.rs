//! The trusted issuers of tokens, and the principals each may name.

use crate::domain::{TokenKind, is_loopback_host};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Maximum length of a subject prefix, in bytes. An id has at most 200, and the subject needs room.
const MAX_PREFIX_BYTES: usize = 100;
/// The keys that an issuer's table may hold.
const FIELDS: [&str; 5] = ["iss", "jwks_url", "jwks_file", "kinds", "subject_prefix"];

/// The address of a key set, checked: `https`, or `http` on this machine, and without a user's name
/// or password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksUrl(String);

impl JwksUrl {
    /// Checks an address.
    ///
    /// # Errors
    /// Why keys must not be fetched from this address.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Ok(Self(trustworthy_url(text)?.into()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the key set is fetched without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.0.starts_with("http:")
    }
}

/// Parses a URL that keys may come from and tokens may go to: `https`, or `http` on this machine, and
/// without a user's name or password.
///
/// # Errors
/// What is wrong with it.
pub(in crate::http) fn trustworthy_url(text: &str) -> Result<reqwest::Url, &'static str> {
    let url = reqwest::Url::parse(text).map_err(|_| "is not a URL")?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user's name or password");
    }
    match url.scheme() {
        "https" => Ok(url),
        // Over plain HTTP, anybody on the path could substitute keys and read tokens.
        "http" if is_loopback_host(host) => Ok(url),
        "http" => Err("must be https; http is for loopback addresses only"),
        _ => Err("must be https"),
    }
}

/// Where an issuer's key set (RFC 7517, section 5) comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file of at most 1 MiB; re-read like an address, so that it can be replaced.
    File(PathBuf),
    /// An address; at most 1 MiB is fetched, within 5 seconds and without following redirects.
    Url(JwksUrl),
    /// A key set in memory, for development.
    Set(String),
}

/// One trusted issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerConfig {
    /// Its `iss`, compared byte by byte.
    pub iss: String,
    /// The source of its keys.
    pub keys: KeySource,
    /// The kinds of principal it may issue tokens for.
    pub kinds: BTreeSet<TokenKind>,
    /// The prefix put before its subjects, so that it cannot name another issuer's people. All
    /// issuers but one need one.
    pub subject_prefix: Option<String>,
}

/// Reads a TOML file of `[[issuer]]` tables: `iss`, `jwks_url` or `jwks_file`, `kinds` (some of
/// `user`, `service` and `runtime`) and `subject_prefix`. `check_file` says what is wrong with a
/// `jwks_file`.
///
/// # Errors
/// Every problem of the file at once, each naming its issuer, those of [`check_issuers`] among
/// them.
pub fn parse_issuers(
    toml_text: &str,
    check_file: impl Fn(&Path) -> Result<(), String>,
) -> Result<Vec<IssuerConfig>, Vec<String>> {
    let mut file: Table =
        toml_text.parse().map_err(|error: toml::de::Error| vec![format!("not TOML: {}", error.message())])?;
    let mut problems = Vec::new();
    let tables = match file.remove("issuer") {
        Some(Value::Array(tables)) => tables,
        Some(_) => {
            problems.push("issuer: write each issuer as a table under [[issuer]]".to_owned());
            Vec::new()
        }
        None => Vec::new(),
    };
    problems.extend(file.keys().map(|key| format!("{key}: unknown; the file holds [[issuer]] tables only")));
    if tables.is_empty() && problems.is_empty() {
        problems.push("the file names no issuer; add an [[issuer]] table".to_owned());
    }

    let mut issuers = Vec::new();
    for (index, table) in tables.into_iter().enumerate() {
        match table {
            Value::Table(table) => match read_issuer(&table, &check_file) {
                Ok(issuer) => issuers.push(issuer),
                Err(found) => {
                    let place = place(index, table.get("iss").and_then(Value::as_str));
                    problems.extend(found.into_iter().map(|problem| format!("{place}: {problem}")));
                }
            },
            _ => problems.push(format!("{}: is not a table", place(index, None))),
        }
    }
    problems.extend(check_issuers(&issuers));
    if problems.is_empty() { Ok(issuers) } else { Err(problems) }
}

fn place(index: usize, iss: Option<&str>) -> String {
    iss.map_or_else(|| format!("issuer {}", index + 1), |iss| format!("issuer {} ({iss:?})", index + 1))
}

fn read_issuer(table: &Table, check_file: impl Fn(&Path) -> Result<(), String>) -> Result<IssuerConfig, Vec<String>> {
    let mut problems: Vec<String> = table
        .keys()
        .filter(|key| !FIELDS.contains(&key.as_str()))
        .map(|key| format!("{key}: unknown; an issuer has {}", FIELDS.join(", ")))
        .collect();
    let mut text = |field: &str| match table.get(field)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => {
            problems.push(format!("{field}: must be a string that is not empty"));
            None
        }
    };
    let (iss, url, path) = (text("iss"), text("jwks_url"), text("jwks_file"));
    let subject_prefix = text("subject_prefix");

    if !table.contains_key("iss") {
        problems.push("iss: is missing".to_owned());
    }
    let keys = match (table.contains_key("jwks_url"), table.contains_key("jwks_file")) {
        (true, false) => url.and_then(|url| match JwksUrl::parse(&url) {
            Ok(url) => Some(KeySource::Url(url)),
            Err(problem) => {
                problems.push(format!("jwks_url: {problem}"));
                None
            }
        }),
        (false, true) => path.map(|path| {
            problems.extend(check_file(Path::new(&path)).err().map(|problem| format!("jwks_file: {problem}")));
            KeySource::File(path.into())
        }),
        (true, true) => {
            problems.push("jwks_url and jwks_file: give one of them only".to_owned());
            None
        }
        (false, false) => {
            problems.push("jwks_url: is missing; give it or jwks_file".to_owned());
            None
        }
    };
    let kinds = read_kinds(table.get("kinds")).unwrap_or_else(|problem| {
        problems.push(problem);
        BTreeSet::new()
    });
    match (iss, keys) {
        (Some(iss), Some(keys)) if problems.is_empty() => Ok(IssuerConfig { iss, keys, kinds, subject_prefix }),
        _ => Err(problems),
    }
}

fn read_kinds(value: Option<&Value>) -> Result<BTreeSet<TokenKind>, String> {
    const FORM: &str = "kinds: must be a list of \"user\", \"service\" and \"runtime\" that is not empty";
    let list = match value {
        None => return Err("kinds: is missing".to_owned()),
        Some(Value::Array(list)) if !list.is_empty() => list,
        Some(_) => return Err(FORM.to_owned()),
    };
    list.iter().map(|kind| kind.as_str().and_then(TokenKind::parse).ok_or_else(|| FORM.to_owned())).collect()
}

/// Checks that issuers are safe together; gives each problem as text. Two issuers must not share an
/// `iss`, at most one may lack a prefix, and no prefix may begin with another, since one issuer
/// could then name another's people.
#[must_use]
pub fn check_issuers(issuers: &[IssuerConfig]) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, issuer) in issuers.iter().enumerate() {
        let iss = &issuer.iss;
        if iss.is_empty() {
            problems.push(format!("{}: iss is empty", place(index, None)));
        }
        if issuer.kinds.is_empty() {
            problems.push(format!("issuer {iss:?}: kinds is empty"));
        }
        if let Some(prefix) = &issuer.subject_prefix {
            let fits = (1..=MAX_PREFIX_BYTES).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_graphic());
            if !fits {
                problems.push(format!("issuer {iss:?}: subject_prefix must be 1 to 100 visible ASCII characters"));
            }
        }
        for other in &issuers[..index] {
            let other_iss = &other.iss;
            if iss == other_iss {
                problems.push(format!("issuer {iss:?}: is there twice"));
            }
            match (&issuer.subject_prefix, &other.subject_prefix) {
                (None, None) => problems.push(format!(
                    "issuers {other_iss:?} and {iss:?}: neither has a subject_prefix; one at most goes without"
                )),
                (Some(a), Some(b)) if a.starts_with(b.as_str()) || b.starts_with(a.as_str()) => {
                    problems.push(format!(
                        "issuers {other_iss:?} and {iss:?}: one subject_prefix begins with the other; make them differ"
                    ));
                }
                _ => {}
            }
        }
    }
    problems
}
