//! Conditional requests (RFC 9110, section 13): whether a client has the answer already.

use http::HeaderValue;

/// Whether the caller knows this ETag, by its headers If-None-Match (RFC 9110, section 13.1.2). Tags
/// of others may hold commas; cut there, they still differ from ours.
pub(super) fn knows<'a>(known: impl IntoIterator<Item = &'a HeaderValue>, etag: &HeaderValue) -> bool {
    let Ok(etag) = etag.to_str() else { return false };
    known
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tag_is_found_in_any_form_of_the_header() {
        let tag = HeaderValue::from_static("\"abc\"");
        let known = |values: &[&'static str]| {
            knows(&values.iter().map(|value| HeaderValue::from_static(value)).collect::<Vec<_>>(), &tag)
        };
        for values in [&["\"abc\""][..], &["W/\"abc\""], &["\"x\", \"abc\""], &["\"x\"", "\"abc\""], &["*"]] {
            assert!(known(values), "{values:?}");
        }
        for values in [&[][..], &["\"abd\""], &["abc"], &["\"ABC\""], &["w/\"abc\""], &["\"x,abc\""], &[""]] {
            assert!(!known(values), "{values:?}");
        }
    }
}
