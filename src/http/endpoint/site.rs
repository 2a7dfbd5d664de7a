//! Requests that a browser sends to another site without asking it first are refused.
//!
//! A POST is JSON, for which a browser asks by a preflight, and none is ever granted. A GET is let
//! through when it has a header for which a browser would have asked too, or no sign of another
//! site: programs send none of those headers.

use http::HeaderMap;
use http::header::ORIGIN;

/// A browser asks before it sends one of these to another site.
const ASKED_FOR: [&str; 3] = ["authorization", "apollo-require-preflight", "x-apollo-operation-name"];

/// Whether a GET may come from another site's page.
pub(super) fn may_be_foreign(headers: &HeaderMap) -> bool {
    if ASKED_FOR.iter().any(|name| headers.get(*name).is_some_and(|value| !value.is_empty())) {
        return false;
    }
    let mut sites = headers.get_all("sec-fetch-site").iter();
    // A page of this site sends no Origin with a GET; older browsers send nothing else that tells.
    sites.any(|site| site != "same-origin" && site != "none") || headers.contains_key(ORIGIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_get_with_a_sign_of_another_site_needs_a_header_a_browser_asks_for() {
        let foreign = |pairs: &[(&'static str, &'static str)]| {
            may_be_foreign(
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
