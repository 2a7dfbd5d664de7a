//! Parses .env text in one small, strict dialect.
//!
//! - A line is `[export] NAME=VALUE` and ends with LF or CRLF. A byte order mark at the beginning
//!   is ignored. Blank lines and lines that begin with `#`, after white space or not, are skipped.
//!   White space may surround the `=`.
//! - A value without quotes is trimmed and ends before white space followed by `#`: `A=x#y` is
//!   `x#y`.
//! - Single quotes and backticks are literal and may span lines.
//! - Double quotes may span lines and know `\n`, `\r`, `\t`, `\"`, `\\` and `\$`.
//! - After a closing quote only white space and a comment may follow.
//! - Nothing is substituted: a `$` is a `$`.
//!
//! Every other line is rejected with its number, and so is an empty value, a NUL in a value, a name
//! that no entry may bear, and a duplicate name. A carriage return outside quotes that does not end
//! a line is rejected too: read as text, it would hide the following lines of a file with such line
//! ends in one value or comment. Line ends within quotes are kept. White space is ASCII white
//! space.

use super::SecretName;
use secrecy::SecretString;
use std::collections::HashMap;
use zeroize::Zeroizing;

const NO_ASSIGNMENT: &str = "write NAME=VALUE, or start the line with '#' to make it a comment";
const EMPTY: &str = "the value is empty; give a value, or leave the line out";
const NUL: &str = "the value has a NUL character, which no environment variable can hold; remove it";
const CARRIAGE_RETURN: &str =
    "the line contains a carriage return; end lines with LF or CRLF, or write \\r in double quotes";
const UNTERMINATED: &str = "the quote that starts here is never closed; close it with the same character";
const ESCAPE: &str =
    "double quotes know only \\n, \\r, \\t, \\\", \\\\ and \\$; write \\\\ for a backslash, or use single quotes";
const AFTER_QUOTE: &str =
    "only white space and a '#' comment may follow a closing quote; quote the whole value, or escape the quote in it";

/// One assignment of a .env text. It cannot be printed, because its value is a secret.
pub struct Line {
    /// The physical line on which the assignment begins, counted from 1.
    pub line: usize,
    /// The name that is assigned.
    pub name: SecretName,
    /// The value, without NUL. One that is to become an entry's is not empty.
    pub value: SecretString,
}

/// Why a line is rejected. It contains neither the name nor the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct DotenvError {
    /// The physical line on which the bad assignment begins, counted from 1.
    pub line: usize,
    /// What is wrong and how to fix it.
    pub message: String,
}

/// What the assignments are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To become entries.
    Entries,
    /// To become the variables of a process.
    Variables,
}

/// Parses all lines in order, in time linear in the length of the text. A text without assignments
/// gives an empty list.
///
/// # Errors
/// The first line that is rejected.
pub fn parse(text: &str) -> Result<Vec<Line>, DotenvError> {
    assignments(text, Purpose::Entries)
}

/// Parses the variables of a process in the same way, with two differences: a value may be empty,
/// and a name may be reserved.
///
/// # Errors
/// The first line that is rejected.
pub fn parse_variables(text: &str) -> Result<Vec<Line>, DotenvError> {
    assignments(text, Purpose::Variables)
}

/// Parses all lines in order, as [`parse`], and goes on after one that is rejected: with the next
/// physical line, even where a value that spans lines was meant.
pub fn parse_each(text: &str) -> impl Iterator<Item = Result<Line, DotenvError>> {
    Assignments::of(text, Purpose::Entries)
}

fn assignments(text: &str, purpose: Purpose) -> Result<Vec<Line>, DotenvError> {
    Assignments::of(text, purpose).collect()
}

/// The assignments of a text that are not read yet. Each quote is searched for its end once, so all
/// of them are read in time linear in the length of the text.
struct Assignments<'a> {
    rest: &'a str,
    /// The physical line on which `rest` begins.
    line: usize,
    /// The names so far, with their lines.
    seen: HashMap<SecretName, usize>,
    purpose: Purpose,
}

impl<'a> Assignments<'a> {
    fn of(text: &'a str, purpose: Purpose) -> Self {
        let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { rest, line: 1, seen: HashMap::new(), purpose }
    }

    fn advance(&mut self, length: usize) {
        let (done, rest) = self.rest.split_at(length);
        self.line += done.matches('\n').count();
        self.rest = rest;
    }
}

impl Iterator for Assignments<'_> {
    type Item = Result<Line, DotenvError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let line = self.line;
            let (assignment, length) = match statement(self.rest, self.purpose) {
                Ok(read) => read,
                Err(message) => {
                    self.advance(physical_line(self.rest).1);
                    return Some(Err(DotenvError { line, message }));
                }
            };
            self.advance(length);
            let Some((name, value)) = assignment else { continue };
            if let Some(first) = self.seen.get(&name) {
                let message = format!("this name already stands in line {first}; keep one of the two lines");
                return Some(Err(DotenvError { line, message }));
            }
            self.seen.insert(name.clone(), line);
            return Some(Ok(Line { line, name, value }));
        }
        None
    }
}

/// The first statement of the text, and its length in bytes with its line end. The statement is an
/// assignment, or `None` for a comment or blank line.
fn statement(text: &str, purpose: Purpose) -> Result<(Option<(SecretName, SecretString)>, usize), String> {
    let (line, length) = physical_line(text);
    let trimmed = line.trim_ascii();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        no_carriage_return(trimmed)?;
        return Ok((None, length));
    }
    let equals = line.find('=').ok_or(NO_ASSIGNMENT)?;
    let name = without_export(line[..equals].trim_ascii());
    let name = match purpose {
        Purpose::Entries => SecretName::parse(name),
        Purpose::Variables => SecretName::existing(name),
    };
    let name = name.map_err(|error| error.to_string())?;

    let raw = &line[equals + 1..];
    let start = equals + 1 + (raw.len() - raw.trim_ascii_start().len());
    let Some(quote) = text[start..].chars().next().filter(|c| matches!(c, '\'' | '`' | '"')) else {
        no_carriage_return(raw.trim_ascii())?;
        return Ok((Some((name, secret(unquoted(raw), purpose)?)), length));
    };
    let (value, end) = quoted(&text[start..], quote, purpose)?;
    let (tail, tail_length) = physical_line(&text[start + end..]);
    let tail = tail.trim_ascii();
    if !(tail.is_empty() || tail.starts_with('#')) {
        return Err(AFTER_QUOTE.to_owned());
    }
    no_carriage_return(tail)?;
    Ok((Some((name, value)), start + end + tail_length))
}

/// The text up to its first line end, and its length in bytes with that line end.
fn physical_line(text: &str) -> (&str, usize) {
    match text.split_once('\n') {
        Some((line, _)) => (line, line.len() + 1),
        None => (text, text.len()),
    }
}

fn no_carriage_return(text: &str) -> Result<(), String> {
    if text.contains('\r') { Err(CARRIAGE_RETURN.to_owned()) } else { Ok(()) }
}

fn without_export(name: &str) -> &str {
    match name.strip_prefix("export") {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_whitespace()) => rest.trim_ascii_start(),
        _ => name,
    }
}

/// The value in the text after the `=`: a `#` begins a comment only after white space.
fn unquoted(raw: &str) -> &str {
    let comment = raw.as_bytes().windows(2).position(|pair| pair[0].is_ascii_whitespace() && pair[1] == b'#');
    comment.map_or(raw, |at| &raw[..at]).trim_ascii()
}

/// The value of a text that begins with this quote, and its length in bytes with both quotes.
fn quoted(text: &str, quote: char, purpose: Purpose) -> Result<(SecretString, usize), String> {
    let content = &text[1..];
    if quote != '"' {
        let end = content.find(quote).ok_or(UNTERMINATED)?;
        return Ok((secret(&content[..end], purpose)?, end + 2));
    }
    let mut escaped = false;
    let end = content
        .bytes()
        .position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        })
        .ok_or(UNTERMINATED)?;
    let value = unescaped(&content[..end])?;
    Ok((secret(&value, purpose)?, end + 2))
}

/// Allocates room for the whole value at once: a buffer that grew would leave copies behind.
fn unescaped(content: &str) -> Result<Zeroizing<String>, String> {
    let mut value = Zeroizing::new(String::with_capacity(content.len()));
    let mut chars = content.chars();
    while let Some(c) = chars.next() {
        let meant = match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(same @ ('"' | '\\' | '$')) => same,
                _ => return Err(ESCAPE.to_owned()),
            },
            other => other,
        };
        value.push(meant);
    }
    Ok(value)
}

fn secret(value: &str, purpose: Purpose) -> Result<SecretString, String> {
    if value.is_empty() && purpose == Purpose::Entries {
        return Err(EMPTY.to_owned());
    }
    if value.contains('\0') {
        return Err(NUL.to_owned());
    }
    Ok(SecretString::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    fn read(text: &str) -> Result<Vec<(usize, String, String)>, DotenvError> {
        let tuple = |line: Line| (line.line, line.name.to_string(), line.value.expose_secret().to_owned());
        Ok(parse(text)?.into_iter().map(tuple).collect())
    }

    /// Asserts that each text is one line with this value of `A`.
    fn values(cases: &[(&str, &str)]) {
        for (text, value) in cases {
            assert_eq!(read(text), Ok(vec![(1, "A".to_owned(), (*value).to_owned())]), "{text:?}");
        }
    }

    /// Asserts that each text is refused at this line with this message.
    fn bad(message: &str, cases: &[(&str, usize)]) {
        for (text, line) in cases {
            assert_eq!(read(text), Err(DotenvError { line: *line, message: message.to_owned() }), "{text:?}");
        }
    }

    #[test]
    fn variables_may_be_empty_and_have_reserved_names() {
        let lines = parse_variables("PATH=/bin\nA=\nB=''\nC=\"\"").unwrap();
        let told: Vec<(&str, &str)> =
            lines.iter().map(|line| (line.name.as_str(), line.value.expose_secret())).collect();
        assert_eq!(told, [("PATH", "/bin"), ("A", ""), ("B", ""), ("C", "")]);
        assert_eq!(parse_variables("A=1\n1A=x").err().map(|error| error.line), Some(2));
    }

    #[test]
    fn every_rejected_line_is_reported() {
        let text = "A=1\nB=\n1C=x\nD='two\nlines'\nA=2\nE=\"open\nF=6";
        let told: Vec<(usize, Result<String, ()>)> = parse_each(text)
            .map(|line| match line {
                Ok(line) => (line.line, Ok(line.name.to_string())),
                Err(error) => (error.line, Err(())),
            })
            .collect();
        let ok = |name: &str| Ok(name.to_owned());
        assert_eq!(
            told,
            [(1, ok("A")), (2, Err(())), (3, Err(())), (4, ok("D")), (6, Err(())), (7, Err(())), (8, ok("F"))]
        );
    }

    #[test]
    fn blank_lines_and_comments_are_skipped_but_counted() {
        for empty in ["", "\n", "\u{feff}", "  \t\r\n# A=x\n \t# it's \"B\"\n", "#", "\r\n"] {
            assert_eq!(read(empty), Ok(vec![]), "{empty:?}");
        }
        let lines = read("\u{feff}\n# one\r\nA=x\n\n  B=y").unwrap();
        assert_eq!(lines, [(3, "A".into(), "x".into()), (5, "B".into(), "y".into())]);
    }

    #[test]
    fn a_value_without_quotes_is_trimmed_and_ends_before_a_comment() {
        values(&[
            ("A=x", "x"),
            ("A=x#y", "x#y"),
            ("A=#x", "#x"),
            ("A=two words", "two words"),
            ("A=two  words \t# three", "two  words"),
            ("A=x\r\n", "x"),
            ("A=x\r", "x"),
            (" \tA \t= \t x \t", "x"),
            ("A=x=y==", "x=y=="),
            ("A=it's", "it's"),
            ("A=x\\n", "x\\n"),
            ("A=ä\u{a0}ö", "ä\u{a0}ö"),
            ("\u{feff}A=x", "x"),
        ]);
    }

    #[test]
    fn export_may_stand_before_a_name() {
        values(&[("export A=x", "x"), ("\texport\t A = x", "x")]);
        assert_eq!(read("export=x"), Ok(vec![(1, "export".into(), "x".into())]));
        assert_eq!(read("exportA=x"), Ok(vec![(1, "exportA".into(), "x".into())]));
        bad(NO_ASSIGNMENT, &[("export A", 1), ("export", 1)]);
    }

    #[test]
    fn single_quotes_and_backticks_are_literal_and_may_span_lines() {
        values(&[
            ("A='x'", "x"),
            ("A=' x # y '", " x # y "),
            ("A='\\n\\q$B\"`'", "\\n\\q$B\"`"),
            ("A=`it's \"x\"`", "it's \"x\""),
            ("A='x\n\ny' # z", "x\n\ny"),
            ("A=`x\r\ny`\r\n", "x\r\ny"),
        ]);
    }

    #[test]
    fn double_quotes_know_six_escapes_and_may_span_lines() {
        values(&[
            ("A=\"x\"", "x"),
            ("A=\"\\n\\r\\t\\\"\\\\\\$\"", "\n\r\t\"\\$"),
            ("A=\"x\\\\\" # \"", "x\\"),
            ("A=\"x\ny\"", "x\ny"),
            ("A=\"it's `x`\"", "it's `x`"),
        ]);
        bad(ESCAPE, &[("A=\"\\x\"", 1), ("\nA=\"x\n\\\ny\"", 2), ("A=\"\\ä\"", 1), ("A=\"\\'\"", 1)]);
    }

    #[test]
    fn nothing_is_substituted() {
        values(&[("A=$B", "$B"), ("A=${B:-c}", "${B:-c}"), ("A=\"$B\"", "$B"), ("A=\"$(id)\"", "$(id)")]);
    }

    #[test]
    fn only_white_space_and_a_comment_follow_a_closing_quote() {
        values(&[("A='x' \t\r\n", "x"), ("A='x' # y", "x"), ("A=\"x\"#y", "x")]);
        bad(AFTER_QUOTE, &[("A='x'y", 1), ("A='it''s'", 1), ("\nA=\"x\n\" y", 2), ("A=`x` 'y'", 1)]);
    }

    #[test]
    fn an_empty_value_is_refused() {
        bad(EMPTY, &[("A=", 1), ("A=\"\"", 1), ("A=''", 1), ("A=``", 1), ("A= # c", 1), ("B=x\nA= \t\r\n", 2)]);
    }

    #[test]
    fn a_name_that_no_entry_may_bear_is_refused_with_the_reason() {
        let form = super::super::NameError::Form.to_string();
        bad(&form, &[("1A=x", 1), ("=x", 1), ("A B=x", 1), ("\nA-B=x", 2), ("Ä=x", 1), ("\"A\"=x", 1)]);
        bad(&super::super::NameError::Reserved.to_string(), &[("PATH=x", 1), ("B=y\nexport ld_preload=x", 2)]);
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_the_second_line() {
        bad("this name already stands in line 2; keep one of the two lines", &[("\nA='x\ny'\nB=x\nexport A=y", 5)]);
        assert_eq!(read("A=x\na=y").map(|lines| lines.len()), Ok(2));
    }

    #[test]
    fn a_quote_that_is_never_closed_is_refused_at_its_first_line() {
        bad(
            UNTERMINATED,
            &[("A='x", 1), ("B=y\nA=\"x\n\ny", 2), ("A=`", 1), ("A=\"x\\\"", 1), ("A=\"x\\", 1), ("A='x\"`\nB=y", 1)],
        );
    }

    #[test]
    fn a_line_without_an_assignment_is_refused() {
        bad(NO_ASSIGNMENT, &[("A", 1), ("A=x\n\nB # c", 3), ("'x'", 1)]);
    }

    #[test]
    fn a_nul_in_a_value_is_refused() {
        bad(NUL, &[("A=x\0y", 1), ("A='\0'", 1), ("A=\"x\n\0\"", 1)]);
    }

    #[test]
    fn a_carriage_return_that_ends_no_line_is_refused_outside_quotes() {
        bad(CARRIAGE_RETURN, &[("A=x\rB=y", 1), ("# c\rA=x", 1), ("A='x' # c\rB=y", 1), ("A=x # c\rB=y", 1)]);
        values(&[("A='x\ry'", "x\ry")]);
    }

    #[test]
    fn an_error_repeats_neither_name_nor_value() {
        for text in
            ["hunter2 x=y", "PATH=hunter2", "A=\"hunter2\\q\"", "A='hunter2'x", "A='hunter2", "hunter2", "hunter2="]
        {
            let error = parse(text).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
        }
    }

    fn quoted_line(name: &str, value: &str, raw: bool) -> String {
        let mut line = format!("{name}=\"");
        for c in value.chars() {
            match c {
                '\n' if !raw => line.push_str("\\n"),
                '\r' if !raw => line.push_str("\\r"),
                '\t' if !raw => line.push_str("\\t"),
                '$' if raw => line.push('$'),
                '"' | '\\' | '$' => line.extend(['\\', c]),
                _ => line.push(c),
            }
        }
        line + "\"\n"
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>(), near in "(?s)[A-B=\"'`#\\\\\\$ \t\r\nn\u{feff}\0ä]{0,40}") {
            let _ = parse(&text);
            if let Err(error) = parse(&near) {
                prop_assert!((1..=near.matches('\n').count() + 1).contains(&error.line));
            }
        }

        #[test]
        fn what_was_quoted_is_read_back(
            entries in proptest::collection::btree_map("[A-Za-z_][A-Za-z0-9_]{0,20}", "(?s)[^\0]{1,40}", 0..8),
            raw in any::<bool>(),
        ) {
            let mut text = String::new();
            let mut expected = Vec::new();
            for (name, value) in entries.into_iter().filter(|(name, _)| SecretName::parse(name.as_str()).is_ok()) {
                expected.push((text.matches('\n').count() + 1, name.clone(), value.clone()));
                text += &quoted_line(&name, &value, raw);
            }
            prop_assert_eq!(read(&text), Ok(expected));
        }
    }
}
