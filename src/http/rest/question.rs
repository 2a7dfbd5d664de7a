//! The request for a secret, from its path and query string.

use super::SecretPath;
use crate::domain::Purpose;
use crate::http::endpoint::Refusal;
use crate::vault::{AgentQuestion, ResolveRequest};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query};
use http::{StatusCode, Uri};

/// Maximum length of a path with its query string, in bytes: all ids and labels fit, with every
/// character percent-encoded.
const MAX_URI_BYTES: usize = 8 * 1024;

/// Reads the request. The vault checks the ids and labels, as it does for GraphQL.
///
/// # Errors
/// When the URI is too long or not well-formed, and for a parameter that is unknown or given twice.
pub(super) fn parse(path: Result<Path<SecretPath>, PathRejection>, uri: &Uri) -> Result<ResolveRequest, Refusal> {
    if length(uri) > MAX_URI_BYTES {
        return Err(Refusal::limit(StatusCode::URI_TOO_LONG, "The URL is longer than 8 KiB; shorten it."));
    }
    let Path((project, agent, name)) =
        path.map_err(|_| Refusal::bad_request("The path is not UTF-8 in percent-encoding; correct it."))?;
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| Refusal::bad_request("The query string is not well-formed; percent-encode its values."))?;
    let (mut milestone, mut session, mut tool) = (None, None, None);
    for (parameter, value) in pairs {
        let place = match parameter.as_str() {
            "milestone" => &mut milestone,
            "sessionId" => &mut session,
            "tool" => &mut tool,
            // A misspelt one would otherwise be missing in the record.
            _ => return Err(Refusal::bad_request("The query parameters are milestone, sessionId and tool.")),
        };
        if place.replace(value).is_some() {
            return Err(Refusal::bad_request("A parameter is in the query string twice; give each one once."));
        }
    }
    let question = AgentQuestion { project, agent, milestone, names: Some(vec![name]), provided: Vec::new() };
    Ok(ResolveRequest { question, purpose: Purpose::ToolExecution, session, tool, recipient: None })
}

/// Upper bound of the memory that a request takes, in bytes: its texts, and the copies of them in
/// its record.
pub(super) fn weight(uri: &Uri) -> usize {
    2 * length(uri)
}

fn length(uri: &Uri) -> usize {
    uri.path_and_query().map_or(0, |text| text.as_str().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<ResolveRequest, (u16, &'static str)> {
        let path = Ok(Path(("p".to_owned(), "a".to_owned(), "N".to_owned())));
        parse(path, &format!("/v1/x{query}").parse().unwrap())
            .map_err(|refusal| (refusal.status.as_u16(), refusal.code.as_str()))
    }

    #[test]
    fn a_request_asks_for_one_name_for_the_use_of_a_tool() {
        let request = read("?milestone=m%2F1&sessionId=s+1&tool=eso").unwrap();
        assert_eq!(request.question.names, Some(vec!["N".to_owned()]));
        assert_eq!(request.question.milestone.as_deref(), Some("m/1"));
        assert_eq!((request.session.as_deref(), request.tool.as_deref()), (Some("s 1"), Some("eso")));
        assert_eq!(request.purpose, Purpose::ToolExecution);
        let bare = read("").unwrap();
        assert_eq!((bare.question.milestone, bare.session, bare.tool), (None, None, None));
    }

    #[test]
    fn a_parameter_that_is_unknown_or_given_twice_is_refused() {
        for query in ["?x=1", "?sessionid=s", "?access_token=t", "?tool=a&tool=b", "?tool=a&tool="] {
            assert_eq!(read(query).err(), Some((400, "BAD_USER_INPUT")), "{query}");
        }
        // The vault says what is wrong with an empty one.
        assert_eq!(read("?tool=").unwrap().tool.as_deref(), Some(""));
    }

    #[test]
    fn a_url_has_at_most_8_kib() {
        let of = |length: usize| read(&format!("?tool={}", "a".repeat(length - "/v1/x?tool=".len())));
        assert!(of(MAX_URI_BYTES).is_ok());
        assert_eq!(of(MAX_URI_BYTES + 1).err(), Some((414, "LIMIT_EXCEEDED")));
    }
}
