//! Text from elsewhere, shown so that it cannot steer a terminal or pass for other lines.
//!
//! What a server, a token or a database says is held as [`Untrusted`], which can be displayed in
//! one way only: escaped, on one line, and not without end. All other output goes through
//! [`Printable`] on its way out, so that text which nobody thought of does no harm either.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::{self, Display, Write};

/// Maximum number of characters that are shown of one text from elsewhere.
const MAX_SHOWN: usize = 1_000;

/// A text that came from elsewhere. Displayed, control characters and invisible ones are escaped,
/// line breaks included.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    /// The text as it came: to compare it, or to compute with it. Never to show it.
    pub fn as_received(&self) -> &str {
        &self.0
    }
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.chars();
        for c in rest.by_ref().take(MAX_SHOWN) {
            write_escaped(f, c, is_harmful(c))?;
        }
        if rest.next().is_some() { f.write_str("...") } else { Ok(()) }
    }
}

// As it is displayed: a derived one would show what it holds.
impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Shows something with every control or invisible character escaped, but for the ends of lines and
/// tabs.
pub struct Printable<T>(pub T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping { to: f, lines: true }, "{}", self.0)
    }
}

/// Shows something on one line, with every control or invisible character escaped.
pub struct OneLine<T>(pub T);

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping { to: f, lines: false }, "{}", self.0)
    }
}

struct Escaping<'a, 'b> {
    to: &'a mut fmt::Formatter<'b>,
    /// Whether ends of lines and tabs stay.
    lines: bool,
}

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| {
            let stays = self.lines && matches!(c, '\n' | '\t');
            write_escaped(self.to, c, is_harmful(c) && !stays)
        })
    }
}

fn write_escaped(to: &mut impl Write, c: char, escape: bool) -> fmt::Result {
    if escape { write!(to, "{}", c.escape_unicode()) } else { to.write_char(c) }
}

/// JSON in which strings hold no control or invisible character as it is. What it says is the same.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    // White space between tokens is the writer's; in strings, it has escaped it.
    let harmful = |c: char| is_harmful(c) && !matches!(c, '\n' | '\t');
    if !json.contains(harmful) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if harmful(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

/// Whether a character steers a terminal, or changes how the text around it looks: the control
/// characters (Unicode's category Cc), the format characters (Cf), which reorder text or cannot be
/// seen, and the separators of lines and paragraphs (Zl, Zp).
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets a title, clears the screen, overwrites the line, adds one, in C0 and C1; reorders,
    /// hides.
    const HOSTILE: &str = "a\u{1b}]0;pwned\u{7}\u{1b}[2J\rb\nc\t\u{9b}31m\u{7f}\u{202e}d\u{200b}\u{feff}\u{e0041}";

    #[test]
    fn text_from_elsewhere_is_one_line_that_steers_nothing() {
        let shown = "a\\u{1b}]0;pwned\\u{7}\\u{1b}[2J\\u{d}b\\u{a}c\\u{9}\\u{9b}31m\\u{7f}\\u{202e}d\\u{200b}\\u{feff}\\u{e0041}";
        assert_eq!(Untrusted::from(HOSTILE.to_owned()).to_string(), shown);
        assert_eq!(OneLine(HOSTILE).to_string(), shown);
        assert_eq!(format!("{:?}", Untrusted::from(HOSTILE.to_owned())), format!("\"{shown}\""));
        assert!(!Printable(HOSTILE).to_string().contains(|c: char| c.is_control() && !"\n\t".contains(c)));
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in [
            "p\u{e4}ss w\u{f6}rd \u{1f511} \u{4f60}\u{597d} \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{915}\u{94d}\u{937} e\u{301}",
            "\\ \" '",
            "",
        ] {
            assert_eq!(Untrusted::from(text.to_owned()).to_string(), text);
            assert_eq!(Printable(text).to_string(), text);
        }
        assert_eq!(Printable("one\n\ttwo\n").to_string(), "one\n\ttwo\n");
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let text = Untrusted::from("\u{1b}".repeat(1_000_000));
        assert_eq!(text.to_string().len(), MAX_SHOWN * "\\u{1b}".len() + 3);
        assert_eq!(text.as_received().len(), 1_000_000);
    }

    #[test]
    fn json_says_the_same_without_a_control_character() {
        let value = serde_json::json!({ "a": HOSTILE, HOSTILE: [1, null] });
        let text = format!("{value:#}");
        let shown = printable_json(&text);
        assert!(!shown.chars().any(|c| is_harmful(c) && c != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert!(matches!(printable_json("{\n  \"a\": \"\u{e4}\"\n}"), Cow::Borrowed(_)));
    }
}
