//! Formats an error with its causes in one line.

use std::error::Error;

/// Joins an error and its causes with colons, outermost first. Skips a cause whose text the line
/// already ends with.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    causes(error).fold(error.to_string(), |line, cause| {
        let text = cause.to_string();
        if line.ends_with(&text) { line } else { format!("{line}: {text}") }
    })
}

/// The innermost cause of an error, or the error itself when it has none.
#[must_use]
pub fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    causes(error).last().unwrap_or(error)
}

fn causes<'a>(error: &'a (dyn Error + 'a)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failed {
        #[error("the answer cannot be read")]
        Outer(#[source] std::num::ParseIntError),
        #[error("the answer cannot be read: {0}")]
        TellsItsCause(#[source] std::num::ParseIntError),
    }

    fn cause() -> std::num::ParseIntError {
        "x".parse::<i32>().unwrap_err()
    }

    #[test]
    fn causes_follow_the_error_each_once() {
        let expected = "the answer cannot be read: invalid digit found in string";
        assert_eq!(with_causes(&Failed::Outer(cause())), expected);
        assert_eq!(with_causes(&Failed::TellsItsCause(cause())), expected);
        assert_eq!(with_causes(&cause()), "invalid digit found in string");
        assert_eq!(root_cause(&Failed::Outer(cause())).to_string(), "invalid digit found in string");
    }
}
