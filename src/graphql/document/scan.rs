//! The scan of the text before the parser.
//!
//! The parser recurses for every bracket before it counts any, and where the lexical grammar is
//! broken it tries again from the same place: an unterminated block string is read to the end of
//! the text, and then once more as an empty string. The scan follows the lexical grammar in one
//! pass, so that neither can cost more than the bytes of the text.

use super::{DocumentError, invalid};
use async_graphql::Pos;

/// How deep brackets of any kind may nest.
pub(super) const MAX_NESTING: usize = 64;
/// Maximum length of a document, in bytes. Strings, comments, white space and commas cost the
/// parser up to 0.3 microseconds a byte, and line ends 12 bytes of memory each.
pub(super) const MAX_TEXT: usize = 256 * 1024;
/// Maximum number of bytes outside strings, comments, white space and commas: the length of names
/// and numbers, which messages of validation repeat.
const MAX_CODE: usize = 64 * 1024;
/// Maximum number of lexical tokens. Each costs the parser up to 3 microseconds and 700 bytes of
/// memory, and it bounds what validation does for every token.
const MAX_TOKENS: usize = 15_000;

pub(super) const TOO_NESTED: &str = "Brackets nest more than 64 deep; flatten the document, or use variables.";
const TOO_LONG: &str = "The document has more than 256 KiB; pass values in variables.";
const TOO_MUCH_CODE: &str =
    "The document has more than 64 KiB without its strings, comments and white space; pass values in variables.";
const TOO_MANY_TOKENS: &str = "The document has more than 15,000 tokens; pass values in variables.";

/// Refuses a text that the parser should not see. Gives its number of lexical tokens.
pub(super) fn scan(text: &str) -> Result<usize, DocumentError> {
    let limit = |message: &str| Err(DocumentError::Limit(message.to_owned()));
    if text.len() > MAX_TEXT {
        return limit(TOO_LONG);
    }
    let bytes = text.as_bytes();
    let (mut at, mut nesting, mut code, mut tokens) = (0, 0_usize, 0, 0);
    // The kind of token that the byte before belongs to, where the token may continue.
    let mut before = Run::None;
    while let Some(&byte) = bytes.get(at) {
        let (mut length, mut ignored) = (1, false);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => ignored = true,
            b'#' => {
                ignored = true;
                length = bytes[at..].iter().position(|b| is_line_end(*b)).unwrap_or(bytes.len() - at);
            }
            b'"' => {
                code += 1;
                length = string(&bytes[at..]).ok_or_else(|| invalid("it cannot be read at", position(text, at)))?;
            }
            b'{' | b'[' | b'(' => {
                nesting += 1;
                if nesting > MAX_NESTING {
                    return limit(TOO_NESTED);
                }
            }
            b'}' | b']' | b')' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        let run = Run::of(byte);
        if !ignored {
            code += 1;
            tokens += usize::from(run == Run::None || run != before);
        }
        before = run;
        if code > MAX_CODE {
            return limit(TOO_MUCH_CODE);
        }
        if tokens > MAX_TOKENS {
            return limit(TOO_MANY_TOKENS);
        }
        at += length;
    }
    Ok(tokens)
}

/// Bytes that make up one token together with the same kind of bytes before them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    /// A byte that is a token, or none, by itself.
    None,
    /// Of a name or a number.
    Word,
    /// Of an ellipsis.
    Dots,
}

impl Run {
    const fn of(byte: u8) -> Self {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'+' => Self::Word,
            b'.' => Self::Dots,
            _ => Self::None,
        }
    }
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// The length of the string or block string with which the bytes begin, with its quotes; none where
/// it does not end.
fn string(bytes: &[u8]) -> Option<usize> {
    const BLOCK: &[u8] = b"\"\"\"";
    let block = bytes.starts_with(BLOCK);
    let mut at = if block { 3 } else { 1 };
    loop {
        let rest = bytes.get(at..)?;
        at += match rest.first()? {
            b'"' if !block => return Some(at + 1),
            b'"' if rest.starts_with(BLOCK) => return Some(at + 3),
            b'\\' if block && rest[1..].starts_with(BLOCK) => 4,
            b'\\' if !block && rest.get(1).is_some_and(|next| !is_line_end(*next)) => 2,
            byte if !block && is_line_end(*byte) => return None,
            _ => 1,
        };
    }
}

/// The place of a byte at which a character begins, counted as the parser counts.
fn position(text: &str, at: usize) -> Pos {
    let before = &text[..at];
    let line = before.rsplit('\n').next().unwrap_or_default();
    Pos { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
}
