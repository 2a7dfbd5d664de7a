//! The parameters of a request by GraphQL over HTTP, from a JSON body or a query string.
//!
//! Parsing builds only the values that are used, and only within limits. It skips `extensions` and
//! unknown members: they have to be well-formed JSON, and become no values.

use super::extensions::Extensions;
use super::refusal::Refusal;
use super::variables::{Bounded, Fault, Read, TOKEN_MEMORY};
use async_graphql::Variables;
use axum::extract::Query;
use http::{StatusCode, Uri};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::collections::HashSet;
use std::fmt;
use zeroize::Zeroizing;

/// Maximum length of a query string, in bytes; a longer one belongs in a body.
const MAX_QUERY_BYTES: usize = 32 * 1024;

/// The names of the parameters.
const PARAMETER_NAMES: [&str; 4] = ["query", "operationName", "variables", "extensions"];

/// The parameters of a request. It has no `Debug`, because it may hold secrets.
pub(super) struct Parameters {
    /// The GraphQL document.
    pub(super) query: Zeroizing<String>,
    /// The name of the operation to execute.
    pub(super) operation_name: Option<String>,
    /// The values of the operation's variables.
    pub(super) variables: Variables,
    /// Upper bound of the memory that the variables take, in bytes.
    pub(super) weight: usize,
}

/// The parameters before they are checked. Other members have no effect.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawParameters {
    query: Option<Parameter>,
    operation_name: Option<Parameter>,
    variables: Option<Read>,
    extensions: Option<Extensions>,
}

/// A parameter that should be a string.
enum Parameter {
    Text(Zeroizing<String>),
    Other,
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParameterVisitor)
    }
}

struct ParameterVisitor;

impl<'de> Visitor<'de> for ParameterVisitor {
    type Value = Parameter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Parameter, E> {
        Ok(Parameter::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Parameter, E> {
        Ok(Parameter::Other)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Parameter, E> {
        Ok(Parameter::Other)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Parameter, E> {
        Ok(Parameter::Other)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Parameter, E> {
        Ok(Parameter::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Parameter, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Parameter::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Parameter, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Parameter::Other)
    }
}

impl Parameters {
    /// Reads the body of a POST.
    pub(super) fn from_json(body: &[u8]) -> Result<Self, Refusal> {
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Refusal::limit(
                StatusCode::BAD_REQUEST,
                "A request holds one operation; send each of a batch in a request of its own.",
            ));
        }
        // Serde's error would quote the text. UTF-8 is checked first, since serde does not check
        // what it skips.
        let members: Option<RawParameters> = str::from_utf8(body).ok().and_then(|body| serde_json::from_str(body).ok());
        let members = members.ok_or(Refusal::bad_request("The body must be one well-formed JSON object."))?;
        members.check(body.len())
    }

    /// Reads the query string of a GET.
    pub(super) fn from_query(uri: &Uri) -> Result<Self, Refusal> {
        if uri.query().is_some_and(|query| query.len() > MAX_QUERY_BYTES) {
            return Err(Refusal::limit(StatusCode::URI_TOO_LONG, "The query string is longer than 32 KiB; use POST."));
        }
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Refusal::bad_request("The query string is not well-formed; percent-encode its values."))?;
        let (mut members, mut given, mut length) = (RawParameters::default(), HashSet::new(), 0);
        for (name, value) in pairs {
            let Some(name) = PARAMETER_NAMES.into_iter().find(|known| *known == name) else { continue };
            if !given.insert(name) {
                return Err(Refusal::bad_request("A parameter is in the query string twice; give each one once."));
            }
            let value = Zeroizing::new(value);
            length += value.len();
            match name {
                "query" => members.query = Some(Parameter::Text(value)),
                // By GraphQL over HTTP, an empty operationName counts as absent.
                "operationName" => {
                    members.operation_name = (!value.is_empty()).then_some(Parameter::Text(value));
                }
                "variables" => members.variables = parse_json(&value)?,
                _ => members.extensions = parse_json(&value)?,
            }
        }
        members.check(length)
    }
}

/// Reads a JSON parameter of a query string.
fn parse_json<'de, T: Deserialize<'de>>(text: &'de str) -> Result<Option<T>, Refusal> {
    serde_json::from_str(text)
        .map_err(|_| Refusal::bad_request("variables and extensions must be JSON in the query string."))
}

impl RawParameters {
    /// Checks the parameters; `length` is that of the text they came from, in bytes.
    fn check(self, length: usize) -> Result<Parameters, Refusal> {
        let is_hash_alone = match (&self.query, &self.extensions) {
            (None, Some(Extensions::Object { has_hash })) => *has_hash,
            (Some(Parameter::Text(query)), Some(Extensions::Object { has_hash })) => *has_hash && query.is_empty(),
            _ => false,
        };
        if is_hash_alone {
            return Err(Refusal::persisted_query());
        }
        let query = match self.query {
            Some(Parameter::Text(query)) => query,
            None => return Err(Refusal::bad_request("The parameter query is missing; give the GraphQL document.")),
            Some(_) => return Err(Refusal::bad_request("The parameter query must be a string.")),
        };
        let operation_name = match self.operation_name {
            Some(Parameter::Text(name)) => Some(name.to_string()),
            None => None,
            Some(_) => return Err(Refusal::bad_request("The parameter operationName must be a string or null.")),
        };
        let Bounded { variables, tokens } = match self.variables {
            None => Bounded { variables: Variables::default(), tokens: 0 },
            Some(Read(read)) => read.map_err(refused)?,
        };
        // Strings take no more bytes than they did in JSON.
        let weight = tokens * TOKEN_MEMORY + length;
        match self.extensions {
            None | Some(Extensions::Object { .. }) => Ok(Parameters { query, operation_name, variables, weight }),
            Some(Extensions::Other) => Err(Refusal::bad_request("The parameter extensions must be an object or null.")),
        }
    }
}

fn refused(fault: Fault) -> Refusal {
    let limit = |message| Refusal::limit(StatusCode::BAD_REQUEST, message);
    match fault {
        Fault::NotAnObject => Refusal::bad_request("The parameter variables must be an object or null."),
        Fault::Duplicate => {
            Refusal::bad_request("An object in variables has two members of one name; give each name once.")
        }
        Fault::TooMany => limit("variables hold more than 30,000 values and names of members; send several requests."),
        Fault::TooDeep => limit("variables nest more than 64 deep; flatten them."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(refused: Result<Parameters, Refusal>) -> Option<(u16, &'static str)> {
        refused.err().map(|refusal| (refusal.status.as_u16(), refusal.code.as_str()))
    }

    #[test]
    fn a_body_is_an_object_with_a_query() {
        let parameters = Parameters::from_json(
            br#" {"query":"{a}","operationName":"A","variables":{"x":[1,null,{"y-z":2.5}]},"extensions":{"e":1},"other":1} "#,
        );
        let parameters = parameters.ok().unwrap();
        assert_eq!((parameters.query.as_str(), parameters.operation_name.as_deref()), ("{a}", Some("A")));
        let variables = serde_json::to_value(&parameters.variables).unwrap();
        assert_eq!(variables, serde_json::json!({"x": [1, null, {"y-z": 2.5}]}));

        let parameters =
            Parameters::from_json(br#"{"query":"{a}","operationName":null,"variables":null,"extensions":null}"#);
        let parameters = parameters.ok().unwrap();
        assert!(parameters.operation_name.is_none() && parameters.variables.is_empty());
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
            assert_eq!(code(Parameters::from_json(body.as_bytes())), bad, "{body}");
        }
        assert_eq!(code(Parameters::from_json(b"{\"query\":\"\xff\"}")), bad);
        let deep = format!(r#"{{"query":"{{a}}","variables":{{"a":{}}}}}"#, "[".repeat(100_000));
        assert_eq!(code(Parameters::from_json(deep.as_bytes())), bad);
        for batch in [r#"[{"query":"{a}"}]"#, " \n[]", "["] {
            assert_eq!(code(Parameters::from_json(batch.as_bytes())), Some((400, "LIMIT_EXCEEDED")), "{batch}");
        }
    }

    /// A body with these variables.
    fn with_variables(json: &str) -> Result<Parameters, Refusal> {
        Parameters::from_json(format!(r#"{{"query":"{{a}}","variables":{json}}}"#).as_bytes())
    }

    /// A list of this many equal elements.
    fn list(of: &str, count: usize) -> String {
        format!("[{}{of}]", format!("{of},").repeat(count - 1))
    }

    #[test]
    fn variables_have_at_most_30_000_tokens() {
        // The object, its member's name and the list count as three tokens.
        for (element, tokens) in [("0", 1), ("[]", 1), ("\"x\"", 1), ("null", 1), ("{\"\":0}", 3), ("[[true]]", 3)] {
            let of = |count| with_variables(&format!(r#"{{"v":{}}}"#, list(element, count)));
            let most = (super::super::variables::MAX_TOKENS - 3) / tokens;
            let parameters = of(most).ok().unwrap();
            assert!(parameters.weight > most * tokens * TOKEN_MEMORY, "{element}");
            let refused = of(most + 1).err().unwrap();
            assert_eq!((refused.status.as_u16(), refused.code.as_str()), (400, "LIMIT_EXCEEDED"), "{element}");
            assert!(format!("{refused:?}").contains("30,000"), "{refused:?}");
        }
        // A truncated text is malformed JSON, whatever it contains.
        let cut = format!(r#"{{"query":"{{a}}","variables":{{"v":[{}"#, "0,".repeat(40_000));
        assert_eq!(code(Parameters::from_json(cut.as_bytes())), Some((400, "BAD_USER_INPUT")));
    }

    #[test]
    fn variables_nest_at_most_64_deep() {
        let nested = |levels: usize| {
            let halves = levels / 2;
            let (open, close) = ("[{\"a\":".repeat(halves), "}]".repeat(halves));
            with_variables(&format!(r#"{{"v":{open}0{close}}}"#))
        };
        assert!(nested(62).is_ok());
        assert_eq!(code(nested(64)), Some((400, "LIMIT_EXCEEDED")));
        assert_eq!(code(nested(20_000)), Some((400, "LIMIT_EXCEEDED")));
        let deepest = |levels: usize| format!(r#"{{"v":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(with_variables(&deepest(64)).is_ok());
        assert_eq!(code(with_variables(&deepest(65))), Some((400, "LIMIT_EXCEEDED")));
    }

    #[test]
    fn an_object_with_two_members_of_one_name_is_refused() {
        let bad = Some((400, "BAD_USER_INPUT"));
        for json in [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":2,"a":null}"#, r#"{"v":[{"a":1,"\u0061":2}]}"#, r#"{"":1,"":2}"#]
        {
            assert_eq!(code(with_variables(json)), bad, "{json}");
        }
        for json in [r#"{"a":{"a":1},"b":{"a":1}}"#, r#"{"a":1,"A":1}"#] {
            assert!(with_variables(json).is_ok(), "{json}");
        }
        assert_eq!(code(Parameters::from_json(br#"{"query":"{a}","variables":{},"variables":{}}"#)), bad);
    }

    #[test]
    fn what_nobody_reads_is_skipped_and_has_to_be_json() {
        let bad = Some((400, "BAD_USER_INPUT"));
        for member in ["extensions", "other"] {
            let with =
                |json: &str| Parameters::from_json(format!(r#"{{"query":"{{a}}","{member}":{json}}}"#).as_bytes());
            let many = format!(r#"{{"v":{}}}"#, list("{\"\":0}", 200_000));
            let parameters = with(&many).ok().unwrap();
            assert_eq!(parameters.weight, many.len() + r#"{"query":"{a}","":}"#.len() + member.len());
            let deep = format!(r#"{{"v":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
            assert!(with(&deep).is_ok());
            assert!(with(r#"{"a":1,"a":2}"#).is_ok());
            for broken in [r#"{"v":[}"#, r#"{"v":01}"#, r#"{"v":nul}"#, "{\"v\":\"\u{1}\"}", r#"{"v":"\x"}"#, "{v:1}"] {
                assert_eq!(code(with(broken)), bad, "{broken}");
            }
        }
        assert_eq!(code(Parameters::from_json(b"{\"query\":\"{a}\",\"other\":\"\xff\"}")), bad);
    }

    #[test]
    fn a_hash_does_not_stand_for_a_document() {
        let unsupported = Some((400, "PERSISTED_QUERY_NOT_SUPPORTED"));
        let hash = r#""extensions":{"persistedQuery":{"version":1,"sha256Hash":"e3b0"}}"#;
        for rest in ["", r#","query":null"#, r#","query":"""#, r#","variables":{"a":1},"operationName":"A""#] {
            assert_eq!(code(Parameters::from_json(format!("{{{hash}{rest}}}").as_bytes())), unsupported, "{rest}");
        }
        let with_document = Parameters::from_json(format!(r#"{{"query":"{{a}}",{hash}}}"#).as_bytes());
        assert_eq!(with_document.ok().unwrap().query.as_str(), "{a}");
        for none in [r#"{"extensions":{"persistedQuery":{}}}"#, r#"{"extensions":{}}"#, r#"{"extensions":null}"#] {
            assert_eq!(code(Parameters::from_json(none.as_bytes())), Some((400, "BAD_USER_INPUT")), "{none}");
        }
        let by_get = "/graphql?extensions=%7B%22persistedQuery%22:%7B%22sha256Hash%22:%22e3b0%22%7D%7D";
        assert_eq!(code(Parameters::from_query(&by_get.parse().unwrap())), unsupported);
    }

    #[test]
    fn a_query_string_has_the_same_parameters() {
        let of = |query: &str| Parameters::from_query(&format!("/graphql?{query}").parse().unwrap());
        let parameters = of("query=%7Ba%7D+%23&operationName=A&variables=%7B%22x%22%3A1%7D&extensions=%7B%7D&other=1");
        let parameters = parameters.ok().unwrap();
        assert_eq!((parameters.query.as_str(), parameters.operation_name.as_deref()), ("{a} #", Some("A")));
        assert_eq!(parameters.variables.len(), 1);
        assert_eq!(of("query=a&operationName=").ok().unwrap().operation_name, None);
        let many = format!("query=a&variables=%7B%22v%22:[{}0]%7D", "0,".repeat(15_000));
        assert!(of(&many).is_ok());
        let nested = format!("query=a&variables=%7B%22v%22:{}{}%7D", "[".repeat(65), "]".repeat(65));
        assert_eq!(code(of(&nested)), Some((400, "LIMIT_EXCEEDED")));

        let bad = Some((400, "BAD_USER_INPUT"));
        for query in [
            "",
            "query",
            "query=a&query=b",
            "query=a&variables=null&variables=null",
            "query=a&variables=",
            "query=a&variables=x",
            "query=a&variables=1",
        ] {
            // A name without a value is an empty document, which the parser refuses.
            let expected = if query == "query" { None } else { bad };
            assert_eq!(code(of(query)), expected, "{query}");
        }
        assert_eq!(code(Parameters::from_query(&"/graphql".parse().unwrap())), bad);
        assert_eq!(code(of(&format!("query={}", "a".repeat(33 * 1024)))), Some((414, "LIMIT_EXCEEDED")));
    }
}
