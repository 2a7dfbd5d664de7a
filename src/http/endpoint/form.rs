//! The form of a request: the GraphQL over HTTP parameters, from a JSON body or from a query string.

use super::refusal::Refusal;
use async_graphql::{Value, Variables};
use axum::extract::Query;
use http::{StatusCode, Uri};
use serde::Deserialize;

/// A query string is no longer, in bytes: what is longer belongs in a body.
const MAX_QUERY_BYTES: usize = 32 * 1024;

/// What a request asks for. It has no printed form, because secrets may stand in it.
pub(super) struct Form {
    /// The document.
    pub(super) query: String,
    /// The operation of the document that is meant.
    pub(super) operation_name: Option<String>,
    /// The values of its variables.
    pub(super) variables: Variables,
}

/// The members as they came. Other members are without effect.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Members {
    query: Option<Value>,
    operation_name: Option<Value>,
    variables: Option<Value>,
    extensions: Option<Value>,
}

impl Form {
    /// Reads a POST's body.
    pub(super) fn of_json(body: &[u8]) -> Result<Self, Refusal> {
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Refusal::limit(
                StatusCode::BAD_REQUEST,
                "A request holds one operation; send each of a batch in a request of its own.",
            ));
        }
        // What serde says quotes the text.
        let members: Members =
            serde_json::from_slice(body).map_err(|_| Refusal::form("The body is not one well-formed JSON object."))?;
        members.check()
    }

    /// Reads a GET's query string.
    pub(super) fn of_query(uri: &Uri) -> Result<Self, Refusal> {
        if uri.query().is_some_and(|query| query.len() > MAX_QUERY_BYTES) {
            return Err(Refusal::limit(StatusCode::URI_TOO_LONG, "The query string is longer than 32 KiB; use POST."));
        }
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Refusal::form("The query string cannot be read."))?;
        let mut members = Members::default();
        for (name, value) in pairs {
            let member = match name.as_str() {
                "query" => &mut members.query,
                "operationName" => &mut members.operation_name,
                "variables" => &mut members.variables,
                "extensions" => &mut members.extensions,
                _ => continue,
            };
            let value = match name.as_str() {
                // By GraphQL over HTTP, an empty operationName is none.
                "operationName" if value.is_empty() => Value::Null,
                "query" | "operationName" => Value::String(value),
                _ => serde_json::from_str(&value)
                    .map_err(|_| Refusal::form("variables and extensions are JSON in the query string."))?,
            };
            if member.replace(value).is_some() {
                return Err(Refusal::form("A parameter is in the query string twice."));
            }
        }
        members.check()
    }
}

impl Members {
    fn check(self) -> Result<Form, Refusal> {
        let query = match self.query {
            Some(Value::String(query)) => query,
            None | Some(Value::Null) => return Err(Refusal::form("The parameter query, a document, is missing.")),
            Some(_) => return Err(Refusal::form("The parameter query must be a string.")),
        };
        let operation_name = match self.operation_name {
            Some(Value::String(name)) => Some(name),
            None | Some(Value::Null) => None,
            Some(_) => return Err(Refusal::form("The parameter operationName must be a string or null.")),
        };
        let variables = match self.variables {
            Some(map @ Value::Object(_)) => Variables::from_value(map),
            None | Some(Value::Null) => Variables::default(),
            Some(_) => return Err(Refusal::form("The parameter variables must be an object or null.")),
        };
        match self.extensions {
            None | Some(Value::Null | Value::Object(_)) => Ok(Form { query, operation_name, variables }),
            Some(_) => Err(Refusal::form("The parameter extensions must be an object or null.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(refused: Result<Form, Refusal>) -> Option<(u16, &'static str)> {
        refused.err().map(|refusal| (refusal.status.as_u16(), refusal.code))
    }

    #[test]
    fn a_body_is_an_object_with_a_query() {
        let form = Form::of_json(
            br#" {"query":"{a}","operationName":"A","variables":{"x":[1,null,{"y-z":2.5}]},"extensions":{"e":1},"other":1} "#,
        );
        let form = form.ok().unwrap();
        assert_eq!((form.query.as_str(), form.operation_name.as_deref()), ("{a}", Some("A")));
        let variables = serde_json::to_value(&form.variables).unwrap();
        assert_eq!(variables, serde_json::json!({"x": [1, null, {"y-z": 2.5}]}));

        let form = Form::of_json(br#"{"query":"{a}","operationName":null,"variables":null,"extensions":null}"#);
        let form = form.ok().unwrap();
        assert!(form.operation_name.is_none() && form.variables.is_empty());
    }

    #[test]
    fn a_body_of_another_form_is_refused() {
        let bad = Some((400, "BAD_USER_INPUT"));
        for body in [
            "",
            "{",
            "null",
            "\"{a}\"",
            "{}",
            r#"{"query":null}"#,
            r#"{"query":1}"#,
            r#"{"query":["a"]}"#,
            r#"{"query":"{a}","query":"{b}"}"#,
            r#"{"query":"{a}"} x"#,
            r#"{"query":"{a}","operationName":1}"#,
            r#"{"query":"{a}","variables":"{}"}"#,
            r#"{"query":"{a}","variables":[]}"#,
            r#"{"query":"{a}","extensions":false}"#,
            "{\"query\":\"\u{1}\"}",
        ] {
            assert_eq!(code(Form::of_json(body.as_bytes())), bad, "{body}");
        }
        assert_eq!(code(Form::of_json(b"{\"query\":\"\xff\"}")), bad);
        let deep = format!(r#"{{"query":"{{a}}","variables":{{"a":{}}}}}"#, "[".repeat(100_000));
        assert_eq!(code(Form::of_json(deep.as_bytes())), bad);
        for batch in [r#"[{"query":"{a}"}]"#, " \n[]", "["] {
            assert_eq!(code(Form::of_json(batch.as_bytes())), Some((400, "LIMIT_EXCEEDED")), "{batch}");
        }
    }

    #[test]
    fn a_query_string_has_the_same_parameters() {
        let of = |query: &str| Form::of_query(&format!("/graphql?{query}").parse().unwrap());
        let form = of("query=%7Ba%7D+%23&operationName=A&variables=%7B%22x%22%3A1%7D&extensions=%7B%7D&other=1");
        let form = form.ok().unwrap();
        assert_eq!((form.query.as_str(), form.operation_name.as_deref()), ("{a} #", Some("A")));
        assert_eq!(form.variables.len(), 1);
        assert_eq!(of("query=a&operationName=").ok().unwrap().operation_name, None);

        let bad = Some((400, "BAD_USER_INPUT"));
        for query in
            ["", "query", "query=a&query=b", "query=a&variables=", "query=a&variables=x", "query=a&variables=1"]
        {
            // A name without a value is an empty document, which the parser refuses.
            let expected = if query == "query" { None } else { bad };
            assert_eq!(code(of(query)), expected, "{query}");
        }
        assert_eq!(code(Form::of_query(&"/graphql".parse().unwrap())), bad);
        assert_eq!(code(of(&format!("query={}", "a".repeat(33 * 1024)))), Some((414, "LIMIT_EXCEEDED")));
    }
}
