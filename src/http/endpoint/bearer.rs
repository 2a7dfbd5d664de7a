//! The bearer token of a request (RFC 6750, section 2.1). It is read from the header Authorization
//! only, since URLs end up in logs.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The credentials of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bearer<'a> {
    /// No header Authorization.
    None,
    /// A token, not verified yet.
    Token(&'a str),
    /// A header that is not `Bearer` and one token, or several headers.
    Bad,
}

impl<'a> Bearer<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Self::None };
        if values.next().is_some() {
            return Self::Bad;
        }
        let token = value.to_str().ok().and_then(|text| text.split_once(' ')).and_then(|(scheme, token)| {
            let token = token.trim_matches(' ');
            let fits = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains([' ', '\t', ',']);
            fits.then_some(token)
        });
        token.map_or(Self::Bad, Self::Token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_token_comes_in_one_header_of_the_bearer_scheme() {
        let read = |values: &[&'static str]| {
            let headers: HeaderMap = values
                .iter()
                .map(|value| (AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap()))
                .collect();
            match Bearer::of(&headers) {
                Bearer::None => "none".to_owned(),
                Bearer::Token(token) => format!("token {token}"),
                Bearer::Bad => "bad".to_owned(),
            }
        };
        assert_eq!(read(&[]), "none");
        for good in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c"] {
            assert_eq!(read(&[good]), "token a.b.c", "{good}");
        }
        for bad in ["", "Bearer", "Bearer ", "a.b.c", "Basic YTpi", "Bearer a b", "Bearer a, Bearer b", "Bearer ü"] {
            assert_eq!(read(&[bad]), "bad", "{bad}");
        }
        assert_eq!(read(&["Bearer a", "Bearer a"]), "bad");
    }
}
