//! Media types: which one to answer in (RFC 9110, section 12.5.1, and GraphQL over HTTP, "Accept"),
//! and whether a request is JSON.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};

const RESPONSE: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

/// The media types of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/graphql-response+json`: a request that was not executed gets an error status.
    Response,
    /// `application/json`: errors in the document are answered with status 200.
    Json,
}

impl Media {
    /// The media type that the client prefers by its Accept header; `None` when it accepts neither.
    /// Without the header it is `application/json`.
    pub(super) fn preferred(headers: &HeaderMap) -> Option<Self> {
        let ranges: Vec<&str> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|range| !range.is_empty())
            .collect();
        if ranges.is_empty() {
            return Some(Self::Json);
        }
        let response = Preference::of(RESPONSE, &ranges);
        let json = Preference::of(JSON, &ranges);
        let named = response.specificity == FULL_NAME;
        if response.quality > json.quality || (named && response.quality > 0 && response.quality == json.quality) {
            Some(Self::Response)
        } else {
            (json.quality > 0).then_some(Self::Json)
        }
    }

    /// The value of `Content-Type`.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Response => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }
}

/// The specificity of a range that names the type in full; the most specific matching range
/// decides.
const FULL_NAME: u8 = 3;

/// The client's preference for a media type.
#[derive(Default)]
struct Preference {
    specificity: u8,
    /// The weight `q`, in thousandths; zero means not acceptable.
    quality: u16,
}

impl Preference {
    fn of(media: &str, ranges: &[&str]) -> Self {
        let mut preference = Self::default();
        for range in ranges {
            let mut parts = range.split(';').map(str::trim);
            let specificity = match parts.next().unwrap_or_default() {
                name if name.eq_ignore_ascii_case(media) => FULL_NAME,
                name if name.eq_ignore_ascii_case("application/*") => 2,
                "*/*" => 1,
                _ => continue,
            };
            let quality = parts.find_map(quality).unwrap_or(1000);
            if (specificity, quality) > (preference.specificity, preference.quality) {
                preference = Self { specificity, quality };
            }
        }
        preference
    }
}

/// Reads the weight of a parameter such as `q=0.5`; `None` for other parameters and invalid
/// weights.
pub(in crate::http) fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, rest) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if rest.len() > 3 || !rest.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match whole {
        "0" => format!("{rest:0<3}").parse().ok(),
        "1" => Some(1000),
        _ => None,
    }
}

/// Whether the body of a request is JSON in UTF-8, which a browser sends to other sites only after
/// a preflight.
pub(in crate::http) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next().and_then(|value| value.to_str().ok()), types.next()) else { return false };
    let mut parts = only.split(';').map(str::trim);
    let json = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(JSON));
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    json && utf8
}

/// The encoding of a request's body if it has one (RFC 9110, section 8.4), for messages: what is no
/// name of an encoding is not repeated.
pub(super) fn encoding(headers: &HeaderMap) -> Option<&str> {
    const UNKNOWN: &str = "that Content-Encoding names";
    let is_name = |name: &str| name.len() <= 20 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or(UNKNOWN).split(','))
        .map(str::trim)
        .find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
        .map(|coding| if is_name(coding) { coding } else { UNKNOWN })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect()
    }

    #[test]
    fn the_answer_has_the_type_the_client_likes_best() {
        let (response, json) = (Some(Media::Response), Some(Media::Json));
        for (accept, wanted) in [
            (&[][..], json),
            (&[""], json),
            (&["*/*"], json),
            (&["application/*"], json),
            (&["application/json"], json),
            (&["APPLICATION/JSON; charset=utf-8"], json),
            (&["application/graphql-response+json"], response),
            (&["Application/GraphQL-Response+JSON; charset=utf-8"], response),
            (&["application/graphql-response+json, application/json"], response),
            (&["application/json, application/graphql-response+json"], response),
            (&["application/json", "application/graphql-response+json"], response),
            (&["application/graphql-response+json, application/json;q=0.9"], response),
            (&["application/graphql-response+json;q=0.5, application/json;q=0.9"], json),
            (&["application/graphql-response+json;q=0.5, */*"], json),
            (&["application/graphql-response+json, */*;q=0.1"], response),
            (&["application/json, */*"], json),
            (&["application/json;q=0, */*"], response),
            (&["*/*;q=0.001"], json),
            (&["text/html, */*;q=0.8"], json),
            (&["text/html"], None),
            (&["*/*;q=0"], None),
            (&["application/json; q=0, application/graphql-response+json; Q=0.000"], None),
            (&["application/json;q=2"], json),
            (&["ü"], json),
        ] {
            assert_eq!(Media::preferred(&headers(&ACCEPT, accept)), wanted, "{accept:?}");
        }
    }

    #[test]
    fn only_json_in_utf8_is_read() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; profile=x",
        ] {
            assert!(is_json(&headers(&CONTENT_TYPE, &[good])), "{good}");
        }
        for bad in [
            &[][..],
            &[""],
            &["text/plain"],
            &["application/jsonp"],
            &["text/plain; application/json"],
            &["application/json; charset=latin1"],
            &["application/graphql"],
            &["multipart/form-data; boundary=x"],
            &["application/x-www-form-urlencoded"],
            &["application/json", "text/plain"],
        ] {
            assert!(!is_json(&headers(&CONTENT_TYPE, bad)), "{bad:?}");
        }
    }

    #[test]
    fn a_body_has_an_encoding_unless_it_is_the_identity() {
        for (values, expected) in [
            (&[][..], None),
            (&[""], None),
            (&["identity"], None),
            (&["Identity, identity"], None),
            (&["gzip"], Some("gzip")),
            (&["identity, br"], Some("br")),
            (&["identity", "x-gzip"], Some("x-gzip")),
            (&["a b"], Some("that Content-Encoding names")),
            (&["ü"], Some("that Content-Encoding names")),
            (&["123456789012345678901"], Some("that Content-Encoding names")),
        ] {
            assert_eq!(encoding(&headers(&CONTENT_ENCODING, values)), expected, "{values:?}");
        }
    }
}
