//! Signing in to the dashboard of a `dev` vault: whoever asks for one of its people gets a token.
//!
//! Every program that reaches this machine's loopback address can do so, also one that cannot read
//! the data directory, so `dev` is for trying the vault out with nothing that matters. Sign-in is
//! offered on loopback addresses only, by names of this machine only (a foreign name that
//! resolves to this machine, DNS rebinding, is refused), and to pages of this server only.

use super::settings::PeopleSignIn;
use crate::domain::{Narrowing, Timestamp, TokenKind, is_loopback_host};
use crate::http::budget::MemoryBudget;
use crate::http::endpoint::{Incoming, Refusal, is_json};
use crate::http::noted::Noted;
use crate::http::rest::Problem;
use crate::http::tokens::Claims;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// How long a token is valid.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    person: String,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedIn {
    token: String,
    expires_at: String,
}

/// Answers a person's choice with a token.
pub(super) async fn sign_in(
    State((people, requests)): State<(Arc<PeopleSignIn>, MemoryBudget)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let noted = parts.extensions.get::<Arc<Noted>>().cloned().unwrap_or_default();
    let mut body = Incoming::new(&parts.headers, body);
    match token(&people, &requests, &parts, &mut body).await {
        Ok(token) => ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], token).into_response(),
        Err(refusal) => {
            body.discard().await;
            Problem::from(refusal).respond(&noted.request_id)
        }
    }
}

/// The answer, as JSON.
async fn token(
    people: &PeopleSignIn,
    requests: &MemoryBudget,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<Vec<u8>, Refusal> {
    let host = loopback_authority(parts)
        .ok_or_else(|| Refusal::forbidden("Sign in by a name of this machine, such as localhost."))?;
    if !is_same_origin(&parts.headers, host.as_str()) {
        return Err(Refusal::forbidden("Sign in on the dashboard's own page."));
    }
    if !is_json(&parts.headers) {
        let message = "The body must be JSON in UTF-8, with the header Content-Type: application/json.";
        return Err(Refusal::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let body = body.read(true, &mut requests.reservation(None)).await?;
    let choice: Choice = serde_json::from_slice(&body)
        .map_err(|_| Refusal::bad_request("The body must be {\"person\": \"...\"}, with the id of a person."))?;
    let person = people.people.iter().find(|person| person.id == choice.person);
    let person = person.ok_or_else(|| {
        Refusal::bad_request("There is no such person; /dashboard/config.json lists those there are.")
    })?;
    let issued = people.clock.now();
    let expires = whole_seconds(issued.plus(LIFETIME));
    let token = people.signer.sign(&Claims {
        iss: people.issuer.clone(),
        kind: TokenKind::User,
        sub: person.id.to_owned(),
        issued,
        expires,
        narrowing: Narrowing::default(),
    });
    let signed_in = SignedIn { token: token.map_err(failed)?, expires_at: expires.to_rfc3339() };
    serde_json::to_vec(&signed_in).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Refusal {
    tracing::error!(%error, "a token for the dashboard cannot be signed");
    Refusal::internal()
}

/// As a token writes it.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().div_euclid(1_000) * 1_000)
}

/// The authority that a request is for, if it names this machine.
fn loopback_authority(parts: &Parts) -> Option<Authority> {
    // HTTP/2 has it in the request's target.
    let authority = if let Some(authority) = parts.uri.authority() {
        authority.clone()
    } else {
        let mut hosts = parts.headers.get_all(HOST).iter();
        let (host, None) = (hosts.next()?, hosts.next()) else { return None };
        Authority::try_from(host.as_bytes()).ok()?
    };
    is_loopback_host(authority.host()).then_some(authority)
}

/// Whether no header says that the request comes from another origin than `authority`, which is
/// served by plain HTTP. Programs other than browsers send none of them.
fn is_same_origin(headers: &HeaderMap, authority: &str) -> bool {
    let own = format!("http://{authority}");
    let is_own = |origin: &[u8]| origin.eq_ignore_ascii_case(own.as_bytes());
    headers.get_all("sec-fetch-site").iter().all(|site| site == "same-origin")
        && headers.get_all(ORIGIN).iter().all(|origin| is_own(origin.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request = headers.iter().fold(Request::post(uri), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_names_of_this_machine_are_signed_in_by() {
        let authority = |uri: &str, hosts: &[&str]| {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            loopback_authority(&parts(uri, &headers)).map(|authority| authority.to_string())
        };
        for host in ["localhost", "localhost:4000", "127.0.0.1:4000", "[::1]:4000"] {
            assert_eq!(authority("/dashboard/sign-in", &[host]).as_deref(), Some(host));
            assert_eq!(authority(&format!("http://{host}/dashboard/sign-in"), &[]).as_deref(), Some(host));
        }
        for hosts in [
            &[][..],
            &["evil.example:4000"],
            &["localhost.evil.example"],
            &["127.0.0.1.nip.io"],
            &["0.0.0.0:4000"],
            &["localhost", "localhost"],
            &["local host"],
        ] {
            assert_eq!(authority("/dashboard/sign-in", hosts), None, "{hosts:?}");
        }
        assert_eq!(authority("http://evil.example/dashboard/sign-in", &["localhost"]), None);
    }

    #[test]
    fn a_page_of_another_origin_is_recognized() {
        let same = |headers: &[(&str, &str)]| is_same_origin(&parts("/", headers).headers, "localhost:4000");
        assert!(same(&[]));
        assert!(same(&[("origin", "http://localhost:4000"), ("sec-fetch-site", "same-origin")]));
        for headers in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "http://localhost:4001")],
            &[("origin", "https://localhost:4000")],
            &[("origin", "http://localhost")],
            &[("origin", "null")],
            &[("origin", "http://localhost:4000"), ("origin", "http://evil.example")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!same(headers), "{headers:?}");
        }
    }
}
