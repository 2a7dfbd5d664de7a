//! The byte patterns that give a value away in output: the value itself, and its usual encodings.
//!
//! Each encoder writes a value in one way, so each adds one pattern per value, not one per
//! combination of escaped characters. `encodings` holds those that change every byte (base64, hex,
//! dumps), `escapes` those that change some characters.

mod encodings;
mod escapes;

use secrecy::{ExposeSecret as _, SecretString};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use zeroize::Zeroizing;

/// The shortest value, or line of one, that is redacted, in characters. A shorter one would be
/// found everywhere.
pub const MIN_CHARS: usize = 6;
/// Length of an anchor in bytes: the beginning of a pattern, which the automaton looks for.
pub const ANCHOR: usize = 12;
/// Maximum number of lines of a value that are looked for one by one. Of a value with more, several
/// are looked for together.
const MAX_LINES: usize = 1_024;

/// A kind of encoding, with bounds on the patterns of all values together. What exceeds them is the
/// patterns of one value at most.
struct Encoder {
    /// The patterns of a value and its units.
    encode: fn(&str, &[&str]) -> Vec<Pattern>,
    /// Maximum total size of the patterns, in bytes.
    max_bytes: usize,
    /// Maximum number of patterns.
    max_count: usize,
}

const ENCODERS: [Encoder; 3] = [
    Encoder {
        encode: |_, units| units.iter().flat_map(|unit| escapes::of(unit)).collect(),
        max_bytes: 8 * 1024 * 1024,
        max_count: 16 * 1024,
    },
    Encoder {
        encode: |value, units| {
            let whole = std::iter::once(value).filter(|_| units != [value]);
            units.iter().copied().chain(whole).flat_map(encodings::of).collect()
        },
        max_bytes: 16 * 1024 * 1024,
        max_count: 32 * 1024,
    },
    Encoder {
        encode: |value, units| {
            let separated = units.iter().flat_map(|unit| encodings::separated_hex(unit));
            separated.chain(encodings::dumps(value)).collect()
        },
        max_bytes: 4 * 1024 * 1024,
        max_count: 32 * 1024,
    },
];

/// Some bytes that give a value away.
pub struct Pattern {
    /// The bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The index of the secret's name.
    pub name: usize,
    /// Whether line breaks and blanks may stand between the bytes, as base64 and hex are broken
    /// into lines.
    pub wraps: bool,
}

impl Pattern {
    fn exact(text: impl Into<Vec<u8>>) -> Self {
        Self { bytes: Zeroizing::new(text.into()), name: 0, wraps: false }
    }

    fn wrapping(text: impl Into<Vec<u8>>) -> Self {
        Self { wraps: true, ..Self::exact(text) }
    }
}

/// The patterns of some secrets.
#[derive(Default)]
pub struct Patterns {
    /// The patterns. No bytes occur twice.
    pub list: Vec<Pattern>,
    /// The patterns by their first [`ANCHOR`] bytes, or by all of them where there are fewer.
    pub anchors: HashMap<Vec<u8>, Vec<usize>>,
    /// The names of the secrets.
    pub names: Vec<String>,
    /// The names whose values are redacted as they are, but not line by line or not in every
    /// encoding: that would be too many patterns.
    pub incomplete: Vec<String>,
    /// The patterns by the hashes of their bytes.
    by_hash: HashMap<u64, Vec<usize>>,
    hasher: RandomState,
}

impl Patterns {
    /// The patterns of these secrets, each a name and a value.
    pub fn of<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a SecretString)>) -> Self {
        let mut patterns = Self::default();
        let mut values = Vec::new();
        for (index, (name, value)) in secrets.into_iter().enumerate() {
            patterns.names.push(name.to_owned());
            let value = value.expose_secret();
            let units = units(value);
            for unit in &units.texts {
                patterns.add(index, Pattern::exact(*unit));
                if unit.contains('\n') {
                    // As a terminal shows it.
                    patterns.add(index, Pattern::exact(unit.replace('\n', "\r\n")));
                }
            }
            if !units.are_lines {
                patterns.incomplete.push(name.to_owned());
            }
            values.push((index, value, units.texts));
        }
        for Encoder { encode, max_bytes, max_count } in ENCODERS {
            let (mut bytes, first) = (0, patterns.list.len());
            for (index, value, units) in values.iter().filter(|(_, _, units)| !units.is_empty()) {
                if bytes >= max_bytes || patterns.list.len() - first >= max_count {
                    let name = &patterns.names[*index];
                    if !patterns.incomplete.contains(name) {
                        patterns.incomplete.push(name.clone());
                    }
                    continue;
                }
                for pattern in encode(value, units) {
                    bytes += patterns.add(*index, pattern);
                }
            }
        }
        patterns
    }

    /// Adds a pattern unless it is there already; gives the number of bytes added.
    fn add(&mut self, name: usize, pattern: Pattern) -> usize {
        let Self { list, anchors, by_hash, hasher, .. } = self;
        let bytes = &pattern.bytes;
        let length = bytes.len();
        if length < MIN_CHARS {
            return 0;
        }
        // Very many may begin alike, so none is compared with all of those.
        let same_hash = by_hash.entry(hasher.hash_one(bytes.as_slice())).or_default();
        if same_hash.iter().any(|index| list[*index].bytes == *bytes) {
            return 0;
        }
        same_hash.push(list.len());
        anchors.entry(bytes[..length.min(ANCHOR)].to_vec()).or_default().push(list.len());
        list.push(Pattern { name, ..pattern });
        length
    }
}

/// One form of a value to look for.
struct Units<'a> {
    texts: Vec<&'a str>,
    /// Whether each line stands alone.
    are_lines: bool,
}

/// Each line of a value that is long enough, but for the lines that frame PEM, which are public. Of
/// a value of short lines only, the whole.
fn units(value: &str) -> Units<'_> {
    let is_one_line = !value.contains('\n');
    let is_secret = |line: &&str| is_long(line) && (is_one_line || !frames_pem(line));
    let lines = || value.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).filter(is_secret);
    let count = lines().count();
    if count == 0 {
        return Units { texts: Some(value).filter(|value| is_long(value)).into_iter().collect(), are_lines: true };
    }
    if count <= MAX_LINES {
        return Units { texts: lines().collect(), are_lines: true };
    }
    let lines: Vec<&str> = value.split_inclusive('\n').collect();
    let mut rest = value;
    let blocks = lines.chunks(lines.len().div_ceil(MAX_LINES)).map(|block| {
        let (first, after) = rest.split_at(block.iter().map(|line| line.len()).sum());
        rest = after;
        first.trim_end_matches(['\n', '\r'])
    });
    Units { texts: blocks.filter(|block| is_long(block)).collect(), are_lines: false }
}

/// Whether a text is long enough to be redacted.
pub fn is_long(text: &str) -> bool {
    text.chars().count() >= MIN_CHARS
}

fn frames_pem(line: &str) -> bool {
    line.starts_with("-----BEGIN ") || line.starts_with("-----END ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(name: &str, value: &str) -> Patterns {
        Patterns::of([(name, &SecretString::from(value))])
    }

    #[test]
    fn of_several_lines_each_long_one_is_looked_for() {
        let patterns = patterns("KEY", "-----BEGIN KEY-----\nfirst line\r\nabc\nsecond line\n-----END KEY-----\n");
        let has = |text: &str| patterns.list.iter().any(|pattern| **pattern.bytes == *text.as_bytes());
        assert!(has("first line") && has("second line"));
        assert!(!has("abc") && !has("-----BEGIN KEY-----"));
    }

    #[test]
    fn short_values_are_left_alone() {
        for value in ["12345", "\u{fc}\u{fc}\u{fc}"] {
            assert!(patterns("SHORT", value).list.is_empty() && !is_long(value));
        }
        let of_lines = patterns("LINES", "ab\ncd\nef");
        for shown in ["ab\ncd\nef", "ab\r\ncd\r\nef"] {
            assert!(of_lines.list.iter().any(|pattern| **pattern.bytes == *shown.as_bytes()));
        }
    }

    #[test]
    fn equal_patterns_are_kept_once() {
        let value = SecretString::from("0123456789abcdef");
        let patterns = Patterns::of([("A", &value), ("B", &value)]);
        assert!(patterns.list.iter().all(|pattern| pattern.name == 0));
        let mut bytes: Vec<&[u8]> = patterns.list.iter().map(|pattern| pattern.bytes.as_slice()).collect();
        let count = bytes.len();
        bytes.sort_unstable();
        bytes.dedup();
        assert_eq!(bytes.len(), count);
    }

    /// Some values that are as large as a value can be.
    fn large(count: usize, value: impl Fn(usize) -> String) -> (Vec<String>, Vec<SecretString>) {
        (0..count).map(|n| (format!("N{n}"), SecretString::from(value(n)))).unzip()
    }

    #[test]
    fn large_values_are_looked_for_as_they_are_at_least_and_in_bounded_memory() {
        let letters: String =
            (0..65_532_u32).map(|n| char::from(b'a' + u8::try_from(n.wrapping_mul(n) % 26).unwrap())).collect();
        let (names, values) = large(20, |n| format!("{n:04}{letters}"));
        let patterns = Patterns::of(names.iter().map(String::as_str).zip(&values));
        assert!(!patterns.incomplete.is_empty());
        let encoded: usize = patterns.list.iter().skip(values.len()).map(|pattern| pattern.bytes.len()).sum();
        assert!(encoded <= ENCODERS.iter().map(|encoder| encoder.max_bytes).sum::<usize>() + 64 * 65_536, "{encoded}");
        for (index, value) in values.iter().enumerate() {
            let plain = &patterns.list[index];
            assert!(plain.name == index && **plain.bytes == *value.expose_secret().as_bytes());
        }
    }

    #[test]
    fn of_very_many_lines_several_are_looked_for_together() {
        let (names, values) = large(4, |n| (0..9_362).map(|line| format!("{:06}\n", n * 10_000 + line)).collect());
        let patterns = Patterns::of(names.iter().map(String::as_str).zip(&values));
        assert_eq!(patterns.incomplete, names);
        let plain: Vec<&Pattern> = patterns.list.iter().take_while(|pattern| pattern.name < 1).collect();
        assert!(plain.len() <= 2 * MAX_LINES && patterns.anchors.len() < 128 * 1024, "{}", patterns.anchors.len());
        let mut rest = values[0].expose_secret().to_owned();
        for pattern in plain {
            rest = rest.replace(std::str::from_utf8(&pattern.bytes).unwrap(), "");
        }
        assert_eq!(rest.trim(), "");
    }
}
