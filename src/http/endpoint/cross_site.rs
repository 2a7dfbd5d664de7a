//! Refuses requests that a browser sends to another site without a preflight (CSRF).
//!
//! A POST has to be JSON, which needs a preflight, and the server grants none. A GET is accepted if
//! it has a header that needs a preflight too, or if nothing says that it comes from another site.
//! Programs other than browsers send none of the headers that would say so.

use http::HeaderMap;
use http::header::ORIGIN;

/// Headers that a browser sends to another site only after a preflight.
const PREFLIGHTED: [&str; 3] = ["authorization", "apollo-require-preflight", "x-apollo-operation-name"];

/// Whether a GET may come from a page of another site.
pub(super) fn may_be_cross_site(headers: &HeaderMap) -> bool {
    if PREFLIGHTED.iter().any(|name| headers.get(*name).is_some_and(|value| !value.is_empty())) {
        return false;
    }
    let mut sites = headers.get_all("sec-fetch-site").iter();
    // Browsers send no Origin with a same-origin GET; older ones send no Sec-Fetch-Site.
    sites.any(|site| site != "same-origin" && site != "none") || headers.contains_key(ORIGIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_get_with_a_sign_of_another_site_needs_a_header_a_browser_asks_for() {
        let foreign = |pairs: &[(&'static str, &'static str)]| {
            may_be_cross_site(
                &pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect(),
            )
        };
        for site in ["cross-site", "same-site", "?"] {
            assert!(foreign(&[("sec-fetch-site", site)]), "{site}");
            assert!(foreign(&[("sec-fetch-site", site), ("apollo-require-preflight", "")]), "{site}");
            for header in ["authorization", "apollo-require-preflight", "x-apollo-operation-name"] {
                assert!(!foreign(&[("sec-fetch-site", site), (header, "x")]), "{site} {header}");
            }
        }
        assert!(foreign(&[("origin", "https://evil.example")]));
        assert!(foreign(&[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")]));
        assert!(
            !foreign(&[]) && !foreign(&[("sec-fetch-site", "same-origin")]) && !foreign(&[("sec-fetch-site", "none")])
        );
    }
}
