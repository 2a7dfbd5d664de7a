//! Hostile names, .env texts and PEM.

use super::dotenv::{self, Line};
use super::{SecretName, canonical_pem, pem_blocks};
use crate::fuzzing::fuzz;
use secrecy::ExposeSecret as _;
use std::collections::HashSet;

#[test]
fn fuzz_names() {
    fuzz("names", &[], |input| {
        let text = String::from_utf8_lossy(input);
        let mut chars = text.chars();
        let starts = chars.next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic());
        let by_rule = starts && chars.all(|c| c == '_' || c.is_ascii_alphanumeric()) && text.len() <= 128;
        let name = SecretName::existing(&*text);
        assert_eq!(name.is_ok(), by_rule);
        assert!(name.as_ref().is_ok_and(|name| name.as_str() == text) || !by_rule);
        let is_free = |text: &str| SecretName::parse(text).is_ok();
        let cases = [&*text, &text.to_ascii_uppercase(), &text.to_ascii_lowercase()].map(is_free);
        assert!(cases == [cases[0]; 3], "a name is reserved in any letter case");
        assert!(by_rule || !cases[0]);
        by_rule
    });
}

/// Lines in the form in which every value can be written.
fn printed(lines: &[Line]) -> String {
    let value = |line: &Line| -> String {
        let escaped = |c| match c {
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            '"' | '\\' | '$' => format!("\\{c}"),
            _ => String::from(c),
        };
        line.value.expose_secret().chars().map(escaped).collect()
    };
    lines.iter().map(|line| format!("{}=\"{}\"\n", line.name, value(line))).collect()
}

#[test]
fn fuzz_dotenv() {
    let exposed = |lines: &[Line]| -> Vec<(String, String)> {
        lines.iter().map(|line| (line.name.to_string(), line.value.expose_secret().to_owned())).collect()
    };
    fuzz("dotenv", &[], |input| {
        let text = String::from_utf8_lossy(input);
        let line_count = text.matches('\n').count() + 1;
        let lines = match dotenv::parse(&text) {
            Ok(lines) => lines,
            Err(error) => {
                assert!((1..=line_count).contains(&error.line), "{error}");
                return false;
            }
        };
        let found = exposed(&lines);
        assert!(lines.is_sorted_by(|one, other| one.line < other.line));
        assert!(lines.iter().all(|line| line.line <= line_count && SecretName::parse(line.name.as_str()).is_ok()));
        assert!(found.iter().all(|(_, value)| !value.is_empty() && !value.contains('\0')));
        assert!(found.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= text.len());
        assert_eq!(found.iter().map(|(name, _)| name).collect::<HashSet<_>>().len(), found.len());
        let read = |text: &str| dotenv::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(exposed(&read(&printed(&lines))), found, "what is printed is read back");
        let variables = dotenv::parse_variables(&text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(exposed(&variables), found);
        !lines.is_empty()
    });
}

#[test]
fn fuzz_pem() {
    fuzz("pem", &[], |input| {
        let text = String::from_utf8_lossy(input);
        let (Some(blocks), Some(canonical)) = (pem_blocks(&text), canonical_pem(&text)) else { return false };
        assert!(canonical.len() <= 2 * text.len(), "it does not grow beyond its buffer");
        let again = canonical_pem(&canonical).unwrap_or_else(|| panic!("{:?} is no PEM", *canonical));
        assert_eq!(*again, *canonical, "the canonical form is its own");
        let same = pem_blocks(&canonical).unwrap_or_default();
        assert_eq!(same.len(), blocks.len());
        for (one, other) in blocks.iter().zip(&same) {
            assert_eq!(one.is_certificate(), other.is_certificate());
            assert_eq!(one.decode(), other.decode());
        }
        !blocks.is_empty()
    });
}
