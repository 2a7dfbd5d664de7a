//! The claims of a token. Only the vault checks signatures; nothing is decided by the claims that
//! are read here.

use crate::command::Untrusted;
use crate::domain::{AgentId, MilestoneId, ProjectId, Timestamp, TokenKind};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The claims of a token.
#[derive(Debug, PartialEq, Eq)]
pub struct Says {
    /// The principal, as far as one can tell without the vault: the issuer's prefix is missing.
    pub principal: Untrusted,
    /// The issuer.
    pub issuer: Untrusted,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// The limits of the token.
    pub narrowed_to: NarrowedTo,
}

/// The limits of a token; a claim that is missing limits nothing.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NarrowedTo {
    /// One project.
    #[serde(rename(deserialize = "vault:project"), default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Untrusted>,
    /// One agent.
    #[serde(rename(deserialize = "vault:agent"), default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Untrusted>,
    /// One milestone.
    #[serde(rename(deserialize = "vault:milestone"), default, skip_serializing_if = "Option::is_none")]
    pub milestone: Option<Untrusted>,
    /// Some names.
    #[serde(rename(deserialize = "vault:names"), default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<Untrusted>>,
}

impl NarrowedTo {
    /// The project, where it is one.
    pub fn project(&self) -> Option<ProjectId> {
        self.project.as_ref().and_then(|id| ProjectId::parse(id.as_received()).ok())
    }

    /// The agent, where it is one.
    pub fn agent(&self) -> Option<AgentId> {
        self.agent.as_ref().and_then(|id| AgentId::parse(id.as_received()).ok())
    }

    /// The milestone, where it is one.
    pub fn milestone(&self) -> Option<MilestoneId> {
        self.milestone.as_ref().and_then(|id| MilestoneId::parse(id.as_received()).ok())
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    iss: Untrusted,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    aud: Value,
    exp: Option<f64>,
    #[serde(flatten)]
    narrowed_to: NarrowedTo,
}

/// Reads a token in compact form (RFC 7519); none when it is none.
pub fn read(token: &SecretString) -> Option<Says> {
    let mut parts = token.expose_secret().split('.');
    let (_, body, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let body: Body = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
    let audiences: Vec<&str> = match &body.aud {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    };
    let kind = TokenKind::ALL.iter().find(|kind| audiences.contains(&kind.audience()));
    let kind = kind.map_or("nobody", |kind| kind.as_str());
    #[allow(clippy::cast_possible_truncation, reason = "beyond a day in the year 100,000 nobody minds a millisecond")]
    let expires = body.exp.map(|seconds| Timestamp::from_millis((seconds * 1000.0) as i64));
    let principal = Untrusted::from(format!("{kind}:{}", body.sub));
    Some(Says { principal, issuer: body.iss, expires, narrowed_to: body.narrowed_to })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(body: &str) -> SecretString {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(body)).into()
    }

    #[test]
    fn a_token_is_read_without_being_checked() {
        let body = r#"{"iss":"i","sub":"r","aud":["x","project-vault-runtime"],"exp":1.5,
            "vault:project":"p","vault:names":["A"],"other":1}"#;
        let says = read(&token(body)).unwrap();
        assert_eq!((says.principal.as_received(), says.issuer.as_received()), ("runtime:r", "i"));
        assert_eq!(says.expires, Some(Timestamp::from_millis(1500)));
        assert_eq!(says.narrowed_to.project().unwrap().as_str(), "p");
        assert_eq!(says.narrowed_to.names.as_deref(), Some(&["A".to_owned().into()][..]));
        assert_eq!(says.narrowed_to.agent, None);
    }

    #[test]
    fn what_is_no_token_says_nothing() {
        for text in ["", "a.b", "a.b.c.d", "e30.!.x", "e30.e30"] {
            assert_eq!(read(&SecretString::from(text)), None, "{text}");
        }
        assert_eq!(read(&token(r#"{"vault:names":"A"}"#)), None, "a claim of another type");
        assert!(read(&token("{}")).is_some());
    }
}
