//! Masking: what is shown of a value (`product.md`, section 3).

use crate::domain::Category;

/// Replaces what is hidden of a value, whatever its length; alone, it stands for all of it.
pub const HIDDEN: &str = "****";
/// Minimum length of a value that shows anything, in Unicode scalar values. Six characters of a
/// shorter value would be too large a part.
const SHORTEST_SHOWN: usize = 20;
const SHOWN_EACH_SIDE: usize = 3;

const fn shows_nothing(category: Category) -> bool {
    matches!(category, Category::Password | Category::Certificate)
}

/// Masks a value. One of 20 Unicode scalar values or more shows the first three and the last three,
/// with `****` between. A shorter value, a PASSWORD and a CERTIFICATE show only `****`. The result
/// reveals nothing of the length except whether it is below 20.
#[must_use]
pub fn mask(value: &str, category: Category) -> String {
    if shows_nothing(category) || value.chars().count() < SHORTEST_SHOWN {
        return HIDDEN.to_owned();
    }
    let first = value.char_indices().nth(SHOWN_EACH_SIDE).map_or(0, |(at, _)| at);
    let last = value.char_indices().nth_back(SHOWN_EACH_SIDE - 1).map_or(value.len(), |(at, _)| at);
    [&value[..first], HIDDEN, &value[last..]].concat()
}

/// What is shown of a masked value under the entry's current category: only `****` for PASSWORD and
/// CERTIFICATE, else the masked value as it was written. So a later change of category may hide
/// more but never reveals more.
#[must_use]
pub fn shown(masked: &str, category: Category) -> String {
    if shows_nothing(category) { HIDDEN.to_owned() } else { masked.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_value_shows_its_first_and_last_three_characters() {
        assert_eq!(mask("sk-live-0123456789abc", Category::ApiKey), "sk-****abc");
        assert_eq!(mask(&"ü€😀".repeat(7), Category::Secret), "ü€😀****ü€😀");
    }

    #[test]
    fn twenty_characters_are_the_fewest_that_show_any() {
        assert_eq!(mask("01234567890123456789", Category::Secret), "012****789");
        assert_eq!(mask("0123456789012345678", Category::Secret), "****");
        assert_eq!(mask("", Category::Secret), "****");
        // Nineteen characters are short, however many bytes they take.
        assert_eq!(mask(&"😀".repeat(19), Category::Secret), "****");
    }

    #[test]
    fn passwords_and_certificates_show_nothing_at_any_length() {
        for category in [Category::Password, Category::Certificate] {
            assert_eq!(mask(&"x".repeat(5_000), category), "****");
            assert_eq!(shown("abc****xyz", category), "****");
        }
    }

    #[test]
    fn a_change_of_category_hides_but_never_reveals() {
        assert_eq!(shown("abc****xyz", Category::ApiKey), "abc****xyz");
        assert_eq!(shown(&mask(&"x".repeat(50), Category::Password), Category::ApiKey), "****");
    }

    fn category() -> impl Strategy<Value = Category> {
        proptest::sample::select(Category::ALL)
    }

    proptest! {
        #[test]
        fn at_most_six_characters_are_revealed(value in "[^*]{0,60}", category in category()) {
            let masked = mask(&value, category);
            prop_assert!(masked.contains(HIDDEN));
            prop_assert!(masked.chars().filter(|c| *c != '*').count() <= 6);
            let (first, last) = masked.split_once(HIDDEN).unwrap();
            prop_assert!(value.starts_with(first) && value.ends_with(last));
        }

        #[test]
        fn a_short_value_reveals_nothing(value in ".{0,19}", category in category()) {
            prop_assert_eq!(mask(&value, category), HIDDEN);
        }

        #[test]
        fn the_middle_of_a_value_never_changes_what_is_shown(
            first in ".{3}", one in ".{14,40}", other in ".{14,40}", last in ".{3}", category in category(),
        ) {
            let masked = |middle: &str| mask(&[&first, middle, &last].concat(), category);
            prop_assert_eq!(masked(&one), masked(&other));
        }
    }
}
