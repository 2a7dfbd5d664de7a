//! Replacing values in a stream, however it is split.
//!
//! An Aho-Corasick automaton reads every byte once; its state goes on from one piece to the next. What is written out is
//! everything before the longest end that could still become a value. Where values overlap, all of them are covered.

use super::forms::Forms;
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::{Anchored, BuildError, dfa, nfa::contiguous};
use std::collections::HashMap;

/// Up to so many bytes of patterns there is a state for each and every next byte, which is fast and takes up to 512 bytes a
/// byte; beyond, a compact automaton.
const MAX_DENSE: usize = 32 * 1024;

enum Machine {
    Dense(Box<dfa::DFA>),
    Compact(Box<contiguous::NFA>),
}

/// What is looked for, ready to look.
pub struct Matcher {
    machine: Machine,
    start: StateID,
    /// The replacement of each pattern.
    replacements: Vec<String>,
    of_pattern: Vec<usize>,
    /// By state: how many of the last bytes could still become a value.
    held: HashMap<StateID, usize>,
}

impl Matcher {
    /// Gets ready to look for some forms.
    pub fn new(forms: &Forms) -> Result<Self, BuildError> {
        let patterns = || forms.patterns.iter().map(|(form, _)| form.as_slice());
        let bytes: usize = patterns().map(<[u8]>::len).sum();
        let machine = if bytes <= MAX_DENSE {
            // Every match counts, so nothing may be skipped.
            let machine = dfa::DFA::builder()
                .prefilter(false)
                .start_kind(aho_corasick::StartKind::Unanchored)
                .build(patterns())?;
            Machine::Dense(Box::new(machine))
        } else {
            Machine::Compact(Box::new(contiguous::NFA::builder().prefilter(false).build(patterns())?))
        };
        let start = match &machine {
            Machine::Dense(machine) => machine.start_state(Anchored::No),
            Machine::Compact(machine) => machine.start_state(Anchored::No),
        };
        let mut matcher = Self {
            machine,
            start: start.unwrap_or_default(),
            replacements: forms.names.iter().map(|name| format!("[{name}]")).collect(),
            of_pattern: forms.patterns.iter().map(|(_, name)| *name).collect(),
            held: HashMap::new(),
        };
        matcher.held = match &matcher.machine {
            Machine::Dense(machine) => held(&**machine, matcher.start, patterns),
            Machine::Compact(machine) => held(&**machine, matcher.start, patterns),
        };
        Ok(matcher)
    }

    fn scan(&self, state: StateID, bytes: &[u8], found: &mut impl FnMut(usize, usize, usize)) -> StateID {
        match &self.machine {
            Machine::Dense(machine) => scan(&**machine, state, bytes, found),
            Machine::Compact(machine) => scan(&**machine, state, bytes, found),
        }
    }
}

/// Gives the end, length and pattern of the longest match at each place.
#[inline]
fn scan(
    machine: &impl Automaton,
    mut state: StateID,
    bytes: &[u8],
    found: &mut impl FnMut(usize, usize, usize),
) -> StateID {
    for (index, byte) in bytes.iter().enumerate() {
        state = machine.next_state(Anchored::No, state, *byte);
        if machine.is_special(state) && machine.is_match(state) {
            let matches = (0..machine.match_len(state)).map(|index| machine.match_pattern(state, index));
            if let Some(longest) = matches.max_by_key(|pattern| machine.pattern_len(*pattern)) {
                found(index + 1, machine.pattern_len(longest), longest.as_usize());
            }
        }
    }
    state
}

/// A state stands for the longest end of what was read that begins a pattern. One that no pattern goes on from holds only what
/// its own ends begin.
fn held<'a, P: Iterator<Item = &'a [u8]>>(
    machine: &impl Automaton,
    start: StateID,
    patterns: impl Fn() -> P,
) -> HashMap<StateID, usize> {
    let walk = |bytes: &[u8]| bytes.iter().fold(start, |state, byte| machine.next_state(Anchored::No, state, *byte));
    let mut depths = HashMap::new();
    let mut held = HashMap::new();
    for pattern in patterns() {
        let mut state = start;
        for (index, byte) in pattern.iter().enumerate() {
            state = machine.next_state(Anchored::No, state, *byte);
            depths.insert(state, index + 1);
            if index + 1 < pattern.len() {
                held.insert(state, index + 1);
            }
        }
    }
    for pattern in patterns() {
        let whole = walk(pattern);
        let mut state = whole;
        while !held.contains_key(&whole) {
            let Some(depth) = depths.get(&state) else { break };
            state = walk(&pattern[pattern.len() - depth + 1..]);
            if let Some(depth) = held.get(&state).copied() {
                held.insert(whole, depth);
            }
        }
    }
    held
}

/// Where a value was found, in bytes of the stream.
struct Found {
    start: u64,
    end: u64,
    length: usize,
    replacement: usize,
}

/// One stream, being redacted.
pub struct Redactor<'a> {
    matcher: &'a Matcher,
    state: StateID,
    /// What was read and not written, and where in the stream it begins.
    kept: Vec<u8>,
    begin: u64,
    found: Vec<Found>,
}

impl<'a> Redactor<'a> {
    /// At the beginning of a stream.
    pub fn new(matcher: &'a Matcher) -> Self {
        Self { matcher, state: matcher.start, kept: Vec::new(), begin: 0, found: Vec::new() }
    }

    /// Takes the next piece; adds to `out` what can be written by now.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let at = self.begin + self.kept.len() as u64;
        let found = &mut self.found;
        let matcher = self.matcher;
        self.state = matcher.scan(self.state, piece, &mut |end, length, pattern| {
            let end = at + end as u64;
            let mut new = Found { start: end - length as u64, end, length, replacement: matcher.of_pattern[pattern] };
            // What overlaps is one: no part of either shows.
            while let Some(last) = found.pop_if(|last| last.end > new.start) {
                new.start = new.start.min(last.start);
                if last.length >= new.length {
                    (new.length, new.replacement) = (last.length, last.replacement);
                }
            }
            found.push(new);
        });
        let end = at + piece.len() as u64;
        let held = self.matcher.held.get(&self.state).copied().unwrap_or(0);
        self.write(piece, end - held as u64, out);
    }

    /// How many bytes of a value that may have begun are waiting for the rest.
    pub fn held(&self) -> usize {
        if self.found.is_empty() { self.kept.len() } else { 0 }
    }

    /// Writes what is held although more may come. The rest of a value is still found; its beginning then stands before the
    /// replacement.
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
            out.extend_from_slice(self.matcher.replacements[found.replacement].as_bytes());
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
    use super::*;
    use proptest::prelude::*;
    use secrecy::SecretString;

    fn matcher(values: &[(&str, &str)]) -> Matcher {
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, SecretString::from(*value))).collect();
        Matcher::new(&Forms::of(values.iter().map(|(name, value)| (*name, value)))).unwrap()
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

    #[test]
    fn a_value_is_replaced_however_it_is_split() {
        let matcher = matcher(&[("TOKEN", "s3cr3t-value"), ("OTHER", "another-one")]);
        let text = b"a s3cr3t-value b another-one, s3cr3t-valu and s3cr3t-values3cr3t-value.";
        let expected = "a [TOKEN] b [OTHER], s3cr3t-valu and [TOKEN][TOKEN].";
        for first in 0..text.len() {
            for second in first..text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(redacted(&matcher, &pieces), expected, "{first} {second}");
            }
        }
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(redacted(&matcher, &single), expected);
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
    fn a_compact_automaton_finds_the_same() {
        let value = "x1y2z3".repeat(3_000);
        let matcher = matcher(&[("BIG", value.as_str()), ("TOKEN", "s3cr3t-value")]);
        assert!(matches!(matcher.machine, Machine::Compact(_)));
        let text = format!("<{value}> s3cr3t-value {}", &value[..500]);
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(1_000).collect();
        assert_eq!(redacted(&matcher, &pieces), format!("<[BIG]> [TOKEN] {}", &value[..500]));
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

        /// Against the obvious way: look at the whole text at once.
        #[test]
        fn splitting_changes_nothing(text in "[ab]{0,60}", splits in proptest::collection::vec(1..7_usize, 1..30)) {
            let matcher = matcher(&[("A", "aababa"), ("B", "bababab"), ("C", "abbaabba"), ("D", "babaaba")]);
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
            for value in ["aababa", "bababab", "abbaabba", "babaaba"] {
                prop_assert!(!whole.contains(value));
            }
        }
    }
}
