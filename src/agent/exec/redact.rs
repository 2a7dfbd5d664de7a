//! Replacing values in a stream, however it is split.
//!
//! What is written out is everything before the longest end that could still become a value. Where
//! values overlap, all of them are covered.

use super::matcher::{Found, Matcher, Progress};

/// One stream, being redacted.
pub struct Redactor<'a> {
    matcher: &'a Matcher,
    progress: Progress,
    /// The bytes that were read and not written, and their offset in the stream.
    kept: Vec<u8>,
    begin: u64,
    found: Vec<Replaced>,
}

/// A range of the stream that a replacement stands for.
struct Replaced {
    start: u64,
    end: u64,
    /// The length of the longest value in it, which gives it its name.
    length: u64,
    name: usize,
}

impl<'a> Redactor<'a> {
    /// At the beginning of a stream.
    pub fn new(matcher: &'a Matcher) -> Self {
        Self { matcher, progress: matcher.begin(), kept: Vec::new(), begin: 0, found: Vec::new() }
    }

    /// Takes the next piece; adds to `out` what can be written by now.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let found = &mut self.found;
        self.matcher.read(&mut self.progress, piece, &mut |Found { start, end, name }| {
            let mut new = Replaced { start, end, length: end - start, name };
            // Overlapping values count as one: no part of either shows.
            while let Some(last) = found.pop_if(|last| last.end > new.start) {
                new.start = new.start.min(last.start);
                if last.length >= new.length {
                    (new.length, new.name) = (last.length, last.name);
                }
            }
            found.push(new);
        });
        let end = self.begin + (self.kept.len() + piece.len()) as u64;
        self.write(piece, end - self.matcher.held(&self.progress), out);
    }

    /// How many bytes of a value that may have begun are waiting for the rest.
    pub fn held(&self) -> usize {
        if self.found.is_empty() { self.kept.len() } else { 0 }
    }

    /// Writes what is held although more may come. The rest of a value is still found; its
    /// beginning then stands before the replacement.
    pub fn release(&mut self, out: &mut Vec<u8>) {
        let end = self.begin + self.kept.len() as u64;
        self.write(&[], end, out);
    }

    /// The stream has ended: adds the rest.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.release(out);
    }

    /// Writes everything before `until`, but for a value that reaches beyond it.
    fn write(&mut self, piece: &[u8], until: u64, out: &mut Vec<u8>) {
        let mut at = self.begin;
        let mut done = 0;
        let mut stop = until;
        for found in &self.found {
            if found.end > until {
                stop = stop.min(found.start);
                break;
            }
            self.copy(piece, at, found.start.max(at), out);
            out.extend_from_slice(self.matcher.replacement(found.name));
            at = found.end;
            done += 1;
        }
        let stop = stop.max(at);
        self.copy(piece, at, stop, out);
        self.found.drain(..done);
        // Keep the rest, of what was kept and of the piece.
        let written = offset(self.begin, stop);
        if written >= self.kept.len() {
            let rest = &piece[written - self.kept.len()..];
            self.kept.clear();
            self.kept.extend_from_slice(rest);
        } else {
            self.kept.drain(..written);
            self.kept.extend_from_slice(piece);
        }
        self.begin = stop;
    }

    /// Adds a range of the stream, from what was kept and the piece after it.
    fn copy(&self, piece: &[u8], from: u64, to: u64, out: &mut Vec<u8>) {
        let (from, to) = (offset(self.begin, from), offset(self.begin, to));
        let kept = self.kept.len();
        out.extend_from_slice(&self.kept[from.min(kept)..to.min(kept)]);
        out.extend_from_slice(&piece[from.max(kept) - kept..to.max(kept) - kept]);
    }
}

impl Drop for Redactor<'_> {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.kept);
    }
}

fn offset(begin: u64, at: u64) -> usize {
    // A stream keeps less than memory holds.
    usize::try_from(at - begin).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::patterns::Patterns;
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use secrecy::SecretString;

    fn matcher(values: &[(&str, &str)]) -> Matcher {
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, SecretString::from(*value))).collect();
        Matcher::new(Patterns::of(values.iter().map(|(name, value)| (*name, value)))).unwrap()
    }

    fn redacted(matcher: &Matcher, pieces: &[&[u8]]) -> String {
        let mut redactor = Redactor::new(matcher);
        let mut out = Vec::new();
        for piece in pieces {
            redactor.push(piece, &mut out);
        }
        redactor.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[track_caller]
    fn assert_redacted_however_split(matcher: &Matcher, text: &str, expected: &str) {
        let bytes = text.as_bytes();
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(redacted(matcher, &pieces), expected, "{first} {second}");
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(redacted(matcher, &single), expected);
    }

    #[test]
    fn a_value_is_replaced_however_it_is_split() {
        let matcher = matcher(&[("TOKEN", "s3cr3t-value"), ("OTHER", "another-one-that-is-longer")]);
        assert_redacted_however_split(
            &matcher,
            "a s3cr3t-value b another-one-that-is-longer, another-one-that-is, s3cr3t-valu s3cr3t-values3cr3t-value.",
            "a [TOKEN] b [OTHER], another-one-that-is, s3cr3t-valu [TOKEN][TOKEN].",
        );
    }

    #[test]
    fn base64_and_hex_are_found_wherever_their_lines_break() {
        let value = "gh-7Qm2xVt9Lw4Zr8+/Kd1Bn6";
        let matcher = matcher(&[("TOKEN", value)]);
        for (before, after) in [("", ""), ("user:", ""), ("a", "\n"), ("tok", " and more")] {
            let encoded = STANDARD.encode(format!("{before}{value}{after}"));
            let begin = (before.len() * 8).div_ceil(6);
            // A break in the first twelve characters of the value is not found.
            for width in begin + 12..encoded.len() {
                for end in ["\n", "\r\n", "\n      "] {
                    let lines: Vec<&str> =
                        encoded.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
                    let shown = redacted(&matcher, &[lines.join(end).as_bytes()]);
                    assert!(
                        shown.contains("[TOKEN]") && shown.len() < before.len() * 2 + after.len() * 2 + 20,
                        "{shown}"
                    );
                }
            }
        }
        let hex = data_encoding::HEXLOWER.encode(value.as_bytes());
        assert_redacted_however_split(
            &matcher,
            &format!("<{}\n{}\n{}\n>", &hex[..20], &hex[20..40], &hex[40..]),
            "<[TOKEN]\n>",
        );
    }

    #[test]
    fn a_break_is_not_waited_for_for_ever() {
        let matcher = matcher(&[("TOKEN", "gh-7Qm2xVt9Lw4Zr8+/Kd1Bn6")]);
        let mut redactor = Redactor::new(&matcher);
        let mut out = Vec::new();
        redactor.push(b"67682d37516d3278", &mut out);
        for _ in 0..1_000 {
            redactor.push(&[b'\n'; 1_000], &mut out);
            assert!(redactor.held() <= 128);
        }
        redactor.finish(&mut out);
        assert_eq!(out.len(), 1_000_016);
    }

    #[test]
    fn what_is_held_is_bounded_by_the_longest_pattern_however_long_a_line_is() {
        let value = "x1y2z3w4".repeat(1_000);
        let matcher = matcher(&[("BIG", &value), ("SAME", &"=".repeat(1_000))]);
        let mut redactor = Redactor::new(&matcher);
        let mut out = Vec::new();
        for round in 0..200_u32 {
            // Beginnings of values, cut off, that nothing ends.
            let length = usize::try_from(round).unwrap() * 37 % value.len();
            redactor.push(&value.as_bytes()[..length], &mut out);
            redactor.push(&b"=".repeat(999), &mut out);
            redactor.push(&[b'.'; 10_000], &mut out);
            assert!(redactor.held() <= 6 * value.len() && redactor.kept.capacity() <= 64 * value.len());
            out.clear();
        }
    }

    #[test]
    fn a_value_that_repeats_itself_costs_no_more() {
        let value = "-".repeat(10_000);
        let matcher = matcher(&[("DASHES", &value)]);
        let began = std::time::Instant::now();
        let text = "-".repeat(200_000);
        assert!(!redacted(&matcher, &[text.as_bytes(), b"."]).contains("--"));
        // By comparing at every place it would take the product of both lengths: minutes.
        assert!(began.elapsed().as_secs() < 20);
    }

    #[test]
    fn overlapping_values_are_covered_whole() {
        let matcher = matcher(&[("A", "abcdefXYZ123"), ("B", "XYZ123hello!"), ("C", "defXYZ")]);
        assert_eq!(redacted(&matcher, &[b"-abcdefXYZ123hello!-"]), "-[A]-");
        assert_eq!(redacted(&matcher, &[b"-abcdefXYZ12-"]), "-abc[C]12-");
        let nested = self::matcher(&[("SHORT", "secret"), ("LONG", "secretary-general")]);
        assert_eq!(redacted(&nested, &[b"secretary-", b"general secretary-secret"]), "[LONG] [SHORT]ary-[SHORT]");
    }

    #[test]
    fn a_whole_value_is_not_held_back() {
        let matcher = matcher(&[("TOKEN", "s3cr3t-value")]);
        let mut redactor = Redactor::new(&matcher);
        let mut out = Vec::new();
        redactor.push(b"Name: s3cr3t-value", &mut out);
        assert_eq!(out, b"Name: [TOKEN]");
        redactor.push(b"s3", &mut out);
        assert_eq!((out.as_slice(), redactor.held()), (&b"Name: [TOKEN]"[..], 2));
        redactor.release(&mut out);
        redactor.push(b"cr3t-value.", &mut out);
        redactor.finish(&mut out);
        assert_eq!(out, b"Name: [TOKEN]s3[TOKEN].");
    }

    #[test]
    fn what_was_shown_before_its_end_came_is_not_shown_twice() {
        let matcher = matcher(&[("TOKEN", "gh-7Qm2xVt9Lw4Zr8+/Kd1Bn6")]);
        let mut redactor = Redactor::new(&matcher);
        let mut out = Vec::new();
        redactor.push(b"<gh-7Qm2xVt9Lw4", &mut out);
        redactor.release(&mut out);
        redactor.push(b"Zr8+/Kd1Bn6>", &mut out);
        redactor.finish(&mut out);
        assert_eq!(out, b"<gh-7Qm2xVt9Lw4[TOKEN]>");
    }

    #[test]
    fn many_values_are_found_by_a_compact_automaton() {
        let values: Vec<(String, String)> =
            (0..400).map(|n| (format!("N{n}"), format!("{n:03}-value-{n:03}-{}", "x".repeat(n)))).collect();
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let matcher = matcher(&values);
        assert!(!matcher.is_dense());
        for (name, value) in values {
            let text = format!("<{value}> {}", STANDARD.encode(value));
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(7).collect();
            assert_eq!(redacted(&matcher, &pieces), format!("<[{name}]> [{name}]"));
        }
    }

    #[test]
    fn without_values_nothing_is_touched() {
        let matcher = matcher(&[("SHORT", "12345")]);
        assert_eq!(redacted(&matcher, &[b"12345", b"67890"]), "1234567890");
    }

    proptest! {
        #[test]
        fn bytes_without_a_value_pass_unharmed(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), at in 1..100_usize) {
            let matcher = matcher(&[("TOKEN", "\u{1}no\u{2}such\u{3}value\u{4}"), ("OTHER", "aaaaaaab")]);
            let mut redactor = Redactor::new(&matcher);
            let mut out = Vec::new();
            bytes.chunks(at).for_each(|piece| redactor.push(piece, &mut out));
            redactor.finish(&mut out);
            prop_assert_eq!(out, bytes);
        }

        /// Values shorter and longer than an anchor, in a text where their beginnings overlap
        /// everywhere.
        #[test]
        fn splitting_changes_nothing_and_no_value_is_left(
            text in "[ab]{0,90}",
            again in proptest::collection::vec(0..6_usize, 0..6),
            splits in proptest::collection::vec(1..7_usize, 1..40),
        ) {
            let values = ["aababa", "bababab", "abbaabba", "aabbaabbaabbaab", "abababababababababa", "aaaaaaaaaaaaaaaaaa"];
            let names = ["A", "B", "C", "D", "E", "F"];
            let matcher = matcher(&names.into_iter().zip(values).collect::<Vec<_>>());
            let text = again.iter().fold(text, |text, value| text + values[*value]);
            let whole = redacted(&matcher, &[text.as_bytes()]);
            let mut rest = text.as_bytes();
            let mut pieces = Vec::new();
            for split in splits {
                let (piece, after) = rest.split_at(split.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(&redacted(&matcher, &pieces), &whole);
            // Against the obvious way: mark what every occurrence covers.
            let mut covered = vec![false; text.len()];
            for value in values {
                for at in (0..text.len()).filter(|at| text[*at..].starts_with(value)) {
                    covered[at..at + value.len()].fill(true);
                }
            }
            let expected: String = text.chars().zip(&covered).filter(|(_, covered)| !**covered).map(|(c, _)| c).collect();
            let left: String = whole.chars().filter(char::is_ascii_lowercase).collect();
            prop_assert_eq!(left, expected);
        }
    }

    /// The first byte of an input says where its text is split.
    #[test]
    fn fuzz_redaction() {
        let values =
            ["s3cr3t-value", "gh-7Qm2xVt9Lw4Zr8+/Kd1Bn6", "line one\nline \"two\"\\", "aaaaaaaaaaaaaaaaaaaaaaaa"];
        let matcher = matcher(&[("A", values[0]), ("B", values[1]), ("C", values[2]), ("D", values[3])]);
        let made: Vec<Vec<u8>> = values
            .iter()
            .flat_map(|value| [(*value).to_owned(), STANDARD.encode(value), format!("{value:?}")])
            .map(|text| format!("\u{7}before {text} after").into_bytes())
            .collect();
        crate::fuzzing::fuzz("redaction", &made, |input| {
            let Some((first, text)) = input.split_first() else { return false };
            let whole = redacted(&matcher, &[text]);
            let pieces: Vec<&[u8]> = text.chunks(usize::from(*first).max(1)).collect();
            assert_eq!(redacted(&matcher, &pieces), whole, "however it is split");
            for value in values {
                assert!(!whole.contains(value), "{value:?} is shown");
                assert!(!whole.contains(&STANDARD.encode(value)), "{value:?} is shown in base64");
            }
            let mut redactor = Redactor::new(&matcher);
            let mut out = Vec::new();
            redactor.push(text, &mut out);
            assert!(redactor.held() <= text.len() && out.len() <= text.len(), "it is never longer than what came");
            whole.as_bytes() != text
        });
    }
}
