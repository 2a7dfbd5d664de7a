//! The texts in which a value shows up before anything encodes it: the value, its lines, without
//! what stands around it, and the secrets in it where it is a JSON document.

use super::{document, is_long};
use zeroize::Zeroizing;

/// Maximum number of lines of a value that are looked for one by one. Of a value with more, several
/// are looked for together.
pub const MAX_LINES: usize = 1_024;

/// Maximum size of the texts of a value together, in bytes, beside twice its own: each is looked for
/// in some hundred encodings, and whoever writes a value must not fill the memory of all sessions.
const MAX_EXTRA: usize = 4 * 1024;

/// The texts of a value to look for, each in every encoding.
pub struct Units {
    /// The texts, each once.
    pub texts: Vec<Zeroizing<String>>,
    /// How many bytes of texts there may still be.
    left: usize,
    /// Whether each line, and each secret of a document, is among them.
    pub are_complete: bool,
}

impl Units {
    /// Of a value.
    ///
    /// Quotes around it are no part of the secret, and are not looked for: replaced, they would be
    /// missing where they are those of a JSON string around the value.
    pub fn of(value: &str) -> Self {
        let mut units = Self { texts: Vec::new(), left: 2 * value.len() + MAX_EXTRA, are_complete: true };
        let unquoted = without_quotes(value);
        units.add(unquoted);
        // A value in double quotes can be a string of JSON, and one in any quotes can hold JSON.
        let documents = [Some(value.trim()), Some(unquoted).filter(|text| *text != value)];
        for document in documents.into_iter().flatten() {
            let (secrets, are_all) = document::secrets(document);
            units.are_complete &= are_all;
            for secret in &secrets {
                if units.texts.len() >= 2 * MAX_LINES {
                    units.are_complete = false;
                    break;
                }
                if secret.as_str() != unquoted {
                    units.add(secret);
                }
            }
        }
        units
    }

    fn add(&mut self, text: &str) {
        if text.contains('\n') {
            return self.add_lines(text);
        }
        let trimmed = [text, text.trim_end(), text.trim_start(), text.trim()];
        for (index, variant) in trimmed.iter().enumerate() {
            if !trimmed[..index].contains(variant) {
                self.push(variant);
            }
        }
    }

    /// Adds each line that is long enough without the white space around it, but for the lines that
    /// frame PEM, which are public. Of a text of short lines only, adds the whole.
    fn add_lines(&mut self, text: &str) {
        let lines = || text.split('\n').map(str::trim).filter(|line| is_long(line) && !frames_pem(line));
        let count = lines().count();
        if count > MAX_LINES {
            return self.add_blocks(text);
        }
        lines().for_each(|line| self.push(line));
        if count == 0 {
            // A pattern that begins with a line break would hold back the end of every line.
            let whole = Some(text.trim()).filter(|whole| is_long(whole)).unwrap_or(text);
            self.push(whole);
            if whole.contains('\r') {
                self.push(&Zeroizing::new(whole.replace("\r\n", "\n")));
            }
        }
    }

    fn add_blocks(&mut self, text: &str) {
        self.are_complete = false;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut rest = text;
        for block in lines.chunks(lines.len().div_ceil(MAX_LINES)) {
            let (first, after) = rest.split_at(block.iter().map(|line| line.len()).sum());
            rest = after;
            let block = first.trim_end_matches(['\n', '\r']);
            if is_long(block) {
                self.keep(block);
            }
        }
    }

    /// Adds a text, and what a shell makes of it that splits it into words (`echo $VALUE`).
    fn push(&mut self, text: &str) {
        if !is_long(text) {
            return;
        }
        let words: Vec<&str> = text.split([' ', '\t', '\n']).filter(|word| !word.is_empty()).collect();
        let joined = Zeroizing::new(words.join(" "));
        self.keep(text);
        // Without white space at its ends, the text is looked for already.
        if joined.as_str() != text.trim_matches([' ', '\t', '\n']) && is_long(&joined) {
            self.keep(&joined);
        }
    }

    fn keep(&mut self, text: &str) {
        if self.texts.iter().any(|known| known.as_str() == text) {
            return;
        }
        match self.left.checked_sub(text.len()) {
            Some(left) => {
                self.left = left;
                self.texts.push(Zeroizing::new(text.to_owned()));
            }
            None => self.are_complete = false,
        }
    }
}

/// The text between the quotes that a value is stored with, if enough of it remains; else the
/// value.
fn without_quotes(value: &str) -> &str {
    let trimmed = value.trim();
    let within = |quote| trimmed.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let unquoted = within('"').or_else(|| within('\''));
    unquoted.filter(|text| is_long(text)).unwrap_or(value)
}

/// Whether a line is one of those around PEM, which everybody's keys and certificates share.
pub fn frames_pem(line: &str) -> bool {
    line.starts_with("-----BEGIN ") || line.starts_with("-----END ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(value: &str) -> Vec<String> {
        Units::of(value).texts.iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn white_space_and_quotes_around_a_value_are_no_part_of_it() {
        assert_eq!(texts("s3cr3t-1"), ["s3cr3t-1"]);
        assert_eq!(texts(" s3cr3t-1\t"), [" s3cr3t-1\t", " s3cr3t-1", "s3cr3t-1\t", "s3cr3t-1"]);
        assert_eq!(texts("s3cr3t-1\n"), ["s3cr3t-1"]);
        assert_eq!(texts("\"s3cr3t-1\""), ["s3cr3t-1"]);
        assert_eq!(texts("'s3cr3t 1'\n"), ["s3cr3t 1"]);
        // What would remain is too short to be looked for.
        assert_eq!(texts("\"12345\""), ["\"12345\""]);
        assert_eq!(texts(" 12345 "), [" 12345 ", " 12345", "12345 "]);
        assert_eq!(texts("\"s3cr3t-1'"), ["\"s3cr3t-1'"]);
    }

    #[test]
    fn of_lines_the_white_space_around_them_does_not_count() {
        assert_eq!(texts("  first-line\r\n      }\n\tsecond-line \n"), ["first-line", "second-line"]);
        assert_eq!(texts("\nab\ncd\nef\n"), ["ab\ncd\nef", "ab cd ef"]);
        assert_eq!(texts("ab\r\ncd\r\nef"), ["ab\r\ncd\r\nef", "ab\r cd\r ef", "ab\ncd\nef", "ab cd ef"]);
    }

    #[test]
    fn blanks_are_also_looked_for_as_a_shell_joins_words() {
        assert_eq!(texts("two  words\tmore"), ["two  words\tmore", "two words more"]);
        assert_eq!(texts("two words"), ["two words"]);
    }

    #[test]
    fn a_value_has_texts_of_twice_its_size_at_most() {
        let filling = format!("{}  {}", "&".repeat(10_000), "&".repeat(10_000));
        let nested = serde_json::json!({ "token": format!(" {filling} ") }).to_string();
        for value in [format!(" {filling} "), serde_json::json!({ "secret": format!(" {nested} ") }).to_string()] {
            let units = Units::of(&value);
            let bytes: usize = units.texts.iter().map(|text| text.len()).sum();
            assert!(bytes <= 2 * value.len() + MAX_EXTRA && !units.are_complete, "{bytes} of {}", value.len());
            assert_eq!(units.texts[0].as_str(), value);
        }
    }

    #[test]
    fn a_string_of_json_is_looked_for_as_what_it_means() {
        assert_eq!(texts(r#""it \"is\" one""#), [r#"it \"is\" one"#, r#"it "is" one"#]);
        assert_eq!(texts(r#"'{"password":"hunter-2"}'"#), [r#"{"password":"hunter-2"}"#, "hunter-2"]);
    }
}
