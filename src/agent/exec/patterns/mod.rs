//! The byte patterns that give a value away in output: the value itself, and its usual encodings.
//!
//! Each encoder writes a value in one way, so each adds one pattern per value, not one per
//! combination of escaped characters. `units` says which texts are encoded: a value, its lines, the
//! secrets in a JSON document. `encodings` holds the encodings that change every byte (base64, hex,
//! dumps), `escapes` those that change some characters.

mod document;
mod encodings;
mod escapes;
#[cfg(test)]
mod tools;
mod units;

use secrecy::{ExposeSecret as _, SecretString};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use units::{Units, frames_pem};
use zeroize::Zeroizing;

/// The shortest value, or line of one, that is redacted, in characters. A shorter one would be
/// found everywhere.
pub const MIN_CHARS: usize = 6;
/// Length of an anchor in bytes: the beginning of a pattern, which the automaton looks for.
pub const ANCHOR: usize = 12;
/// Patterns, made one after the other.
type Encoded<'a> = Box<dyn Iterator<Item = Pattern> + 'a>;

/// A kind of encoding, with bounds on the patterns of all values together.
struct Encoder {
    /// The patterns of a value and its units, made one unit after the other.
    encode: for<'a> fn(&'a str, &'a [Zeroizing<String>]) -> Encoded<'a>,
    /// Maximum total size of the patterns, in bytes.
    max_bytes: usize,
    /// Maximum number of patterns.
    max_count: usize,
}

const ENCODERS: [Encoder; 3] = [
    Encoder {
        encode: |_, units| Box::new(units.iter().flat_map(|unit| escapes::of(unit))),
        max_bytes: 8 * 1024 * 1024,
        max_count: 16 * 1024,
    },
    Encoder {
        encode: |value, units| {
            let is_unit = units.iter().any(|unit| unit.as_str() == value);
            let whole = Some(value).filter(|_| !is_unit);
            Box::new(units.iter().map(|unit| unit.as_str()).chain(whole).flat_map(encodings::of))
        },
        max_bytes: 16 * 1024 * 1024,
        max_count: 32 * 1024,
    },
    Encoder {
        encode: |value, units| {
            let separated = units.iter().flat_map(|unit| encodings::separated_hex(unit));
            Box::new(separated.chain(encodings::dumps(value)))
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
            let units = Units::of(value);
            for unit in &units.texts {
                patterns.add_with_terminal(index, Pattern::exact(unit.as_str()));
            }
            if !units.are_complete {
                patterns.incomplete.push(name.to_owned());
            }
            values.push((index, value, units.texts));
        }
        // So that a large value takes nothing from the others.
        values.sort_by_key(|(_, value, _)| value.len());
        for Encoder { encode, max_bytes, max_count } in ENCODERS {
            let (mut bytes, first) = (0, patterns.list.len());
            for (index, value, units) in values.iter().filter(|(_, _, units)| !units.is_empty()) {
                for pattern in encode(value, units) {
                    if bytes >= max_bytes || patterns.list.len() - first >= max_count {
                        let name = &patterns.names[*index];
                        if !patterns.incomplete.contains(name) {
                            patterns.incomplete.push(name.clone());
                        }
                        break;
                    }
                    bytes += patterns.add_with_terminal(*index, pattern);
                }
            }
        }
        patterns
    }

    /// Adds a pattern, and what a terminal makes of its line breaks; gives the number of bytes
    /// added.
    fn add_with_terminal(&mut self, name: usize, pattern: Pattern) -> usize {
        let shown = Some(&pattern).filter(|pattern| pattern.bytes.contains(&b'\n')).map(|pattern| {
            let lines: Vec<&[u8]> = pattern.bytes.split(|byte| *byte == b'\n').collect();
            Pattern::exact(lines.join(b"\r\n".as_slice()))
        });
        let bytes = self.add(name, pattern);
        bytes + shown.map_or(0, |shown| self.add(name, shown))
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

/// Whether a text is long enough to be redacted.
pub fn is_long(text: &str) -> bool {
    text.chars().count() >= MIN_CHARS
}

#[cfg(test)]
mod tests {
    use super::units::MAX_LINES;
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
