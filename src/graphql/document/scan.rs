//! The scan of the text before the parser.
//!
//! The parser recurses for every bracket before it counts any, and where the lexical grammar is broken it tries again from
//! the same place: an unterminated block string is read to the end of the text, and then once more as an empty string. The
//! scan follows the lexical grammar in one pass, so that neither can cost more than the bytes of the text.

use super::{Refusal, invalid};
use async_graphql::Pos;

/// How deep brackets of any kind may nest.
pub(super) const MAX_NESTING: usize = 64;
/// How many bytes may stand outside strings, comments, white space and commas. It bounds the number of tokens, and with it
/// everything that validation does for every token.
pub(super) const MAX_CODE: usize = 64 * 1024;

pub(super) const TOO_NESTED: &str = "Brackets nest more than 64 deep; flatten the document, or use variables.";
const TOO_LONG: &str =
    "The document has more than 64 KiB without its strings, comments and white space; pass values in variables.";

/// Refuses a text that the parser should not see.
pub(super) fn scan(text: &str) -> Result<(), Refusal> {
    let bytes = text.as_bytes();
    let (mut at, mut nesting, mut code) = (0, 0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        let mut length = 1;
        code += 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => code -= 1,
            b'#' => {
                code -= 1;
                length = bytes[at..].iter().position(|b| is_line_end(*b)).unwrap_or(bytes.len() - at);
            }
            b'"' => {
                code += 1;
                length = string(&bytes[at..]).ok_or_else(|| invalid("it cannot be read at", position(text, at)))?;
            }
            b'{' | b'[' | b'(' => {
                nesting += 1;
                if nesting > MAX_NESTING {
                    return Err(Refusal::Limit(TOO_NESTED.to_owned()));
                }
            }
            b'}' | b']' | b')' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        if code > MAX_CODE {
            return Err(Refusal::Limit(TOO_LONG.to_owned()));
        }
        at += length;
    }
    Ok(())
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// The length of the string or block string with which the bytes begin, with its quotes; none where it does not end.
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
