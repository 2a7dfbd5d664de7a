//! Finding patterns in a stream, at a cost that is linear in its bytes.
//!
//! An Aho-Corasick automaton looks for the first bytes of every pattern, so its size depends on the
//! number of values and hardly on their lengths. Where it finds some, a [`Follower`] compares what
//! comes after them with the patterns, by the algorithm of Knuth, Morris and Pratt: nothing is read
//! twice, and at most one follower of each pattern is under way. Patterns share a follower for as
//! long as their bytes are the same, so many values with one beginning cost no more than one.

use super::patterns::{ANCHOR, Pattern, Patterns};
use super::prefilter::Prefilter;
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::{Anchored, BuildError, dfa, nfa::contiguous};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::{Arc, LazyLock};

/// A matcher that is made when the command first writes something.
pub type LazyMatcher = Arc<LazyLock<Matcher, Box<dyn FnOnce() -> Matcher + Send>>>;

/// Up to this many bytes of anchors, the automaton has a transition for each state and byte, which
/// is fast and takes up to 512 bytes for a state. Beyond, it is a compact one.
const MAX_DENSE_BYTES: usize = 64 * 1024;
/// Maximum number of bytes that may stand between two bytes of a pattern that wraps: a line break
/// and an indentation.
const MAX_BREAK: usize = 64;

/// How many bytes the automaton reads before the prefilter is asked again. Text made to be let
/// through by it costs little more than without one.
const STEP: usize = 32;

enum Machine {
    Dense(Box<dfa::DFA>),
    Compact(Box<contiguous::NFA>),
}

/// The patterns, ready to be looked for.
pub struct Matcher {
    machine: Machine,
    start: StateID,
    /// Skips most of a text that holds no value, where that is faster. Tests compare with none.
    pub(super) prefilter: Option<Prefilter>,
    patterns: Vec<Pattern>,
    /// The patterns that begin with each anchor: those that do not wrap before those that do, each
    /// in the order of their bytes.
    by_anchor: Vec<Vec<usize>>,
    /// By state of the automaton: how many of the last bytes could still become an anchor.
    held: HashMap<StateID, usize>,
    /// Of each pattern, where to go on after a mismatch; made at first use.
    borders: Vec<OnceLock<Box<[u32]>>>,
    /// The replacement of each secret.
    replacements: Vec<String>,
}

/// A pattern that was found, in bytes of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its beginning.
    pub start: u64,
    /// Its end.
    pub end: u64,
    /// The index of the secret's name.
    pub name: usize,
}

/// How far a stream has been read.
pub struct Progress {
    state: StateID,
    /// The number of bytes read.
    at: u64,
    followers: Vec<Follower>,
    /// Empty, with room for as many.
    spare: Vec<Follower>,
}

/// Patterns whose beginning has been found.
#[derive(Clone)]
struct Follower {
    anchor: usize,
    /// Some neighbours among the patterns that begin with the anchor. They are the same for as many
    /// bytes as have been found, and longer.
    patterns: Range<usize>,
    /// The number of their bytes that have been found.
    matched: usize,
    /// Where the first of them stands.
    start: u64,
    /// Where they are broken: after how many of their bytes, and by how many others.
    breaks: Vec<(usize, usize)>,
}

impl Matcher {
    /// Builds the automaton.
    ///
    /// # Errors
    /// When there are more patterns than an automaton can have.
    pub fn new(patterns: Patterns) -> Result<Self, BuildError> {
        let Patterns { list, anchors, names, .. } = patterns;
        let (anchors, mut by_anchor): (Vec<Vec<u8>>, Vec<Vec<usize>>) = anchors.into_iter().unzip();
        for patterns in &mut by_anchor {
            patterns.sort_unstable_by_key(|pattern| (list[*pattern].wraps, list[*pattern].bytes.as_slice()));
        }
        let bytes: usize = anchors.iter().map(Vec::len).sum();
        let machine = if bytes <= MAX_DENSE_BYTES {
            // Every match counts, so nothing may be skipped.
            let machine =
                dfa::DFA::builder().prefilter(false).start_kind(aho_corasick::StartKind::Unanchored).build(&anchors)?;
            Machine::Dense(Box::new(machine))
        } else {
            Machine::Compact(Box::new(contiguous::NFA::builder().prefilter(false).build(&anchors)?))
        };
        let (start, held) = match &machine {
            Machine::Dense(machine) => held(&**machine, &anchors),
            Machine::Compact(machine) => held(&**machine, &anchors),
        };
        let borders = list.iter().map(|_| OnceLock::new()).collect();
        let replacements = names.iter().map(|name| format!("[{name}]")).collect();
        let prefilter = Prefilter::new(&anchors);
        Ok(Self { machine, start, prefilter, patterns: list, by_anchor, held, borders, replacements })
    }

    #[cfg(test)]
    pub fn is_dense(&self) -> bool {
        matches!(self.machine, Machine::Dense(_))
    }

    /// The replacement of a secret.
    pub fn replacement(&self, name: usize) -> &[u8] {
        self.replacements[name].as_bytes()
    }

    /// At the beginning of a stream.
    pub fn begin(&self) -> Progress {
        Progress { state: self.start, at: 0, followers: Vec::new(), spare: Vec::new() }
    }

    /// Reads the next bytes of a stream; gives the patterns that end in them, by their ends.
    pub fn read(&self, progress: &mut Progress, bytes: &[u8], found: &mut impl FnMut(Found)) {
        match &self.machine {
            Machine::Dense(machine) => self.scan(&**machine, progress, bytes, found),
            Machine::Compact(machine) => self.scan(&**machine, progress, bytes, found),
        }
    }

    /// How many of the bytes read last could still become a pattern.
    pub fn held(&self, progress: &Progress) -> u64 {
        let of_anchor = self.held.get(&progress.state).map_or(0, |held| *held as u64);
        let of_followers = progress.followers.iter().map(|follower| progress.at - follower.start);
        of_followers.max().unwrap_or_default().max(of_anchor)
    }

    fn scan(&self, machine: &impl Automaton, progress: &mut Progress, bytes: &[u8], found: &mut impl FnMut(Found)) {
        let Some(prefilter) = &self.prefilter else { return self.step(machine, progress, bytes, found) };
        let mut rest = bytes;
        while !rest.is_empty() {
            if progress.state == self.start && progress.followers.is_empty() {
                // No anchor has begun, so what follows alone tells the state after the bytes that
                // are skipped.
                let skipped = prefilter.skip(rest);
                progress.at += skipped as u64;
                rest = &rest[skipped..];
            }
            let (next, after) = rest.split_at(STEP.min(rest.len()));
            self.step(machine, progress, next, found);
            rest = after;
        }
    }

    #[inline]
    fn step(&self, machine: &impl Automaton, progress: &mut Progress, bytes: &[u8], found: &mut impl FnMut(Found)) {
        let mut state = progress.state;
        let begin = progress.at;
        for (index, byte) in bytes.iter().enumerate() {
            state = machine.next_state(Anchored::No, state, *byte);
            if !progress.followers.is_empty() {
                progress.at = begin + index as u64 + 1;
                self.advance(progress, *byte, found);
            }
            if machine.is_special(state) && machine.is_match(state) {
                progress.at = begin + index as u64 + 1;
                for index in 0..machine.match_len(state) {
                    self.follow(progress, machine.match_pattern(state, index).as_usize(), found);
                }
            }
        }
        progress.state = state;
        progress.at = begin + bytes.len() as u64;
    }

    /// An anchor has been found: so have patterns that are no longer than it, and the others begin.
    #[cold]
    fn follow(&self, progress: &mut Progress, anchor: usize, found: &mut impl FnMut(Found)) {
        let patterns = &self.by_anchor[anchor];
        let wrapping = patterns.partition_point(|pattern| !self.patterns[*pattern].wraps);
        for Range { start: mut first, end } in [0..wrapping, wrapping..patterns.len()] {
            // The shortest is the first.
            let Some(Pattern { bytes, name, .. }) = patterns[first..end].first().map(|first| &self.patterns[*first])
            else {
                continue;
            };
            let length = bytes.len().min(ANCHOR);
            let start = progress.at - length as u64;
            if bytes.len() <= ANCHOR {
                found(Found { start, end: progress.at, name: *name });
                first += 1;
            }
            // Those under way have found this beginning too, as the end of what they have matched.
            let mut under_way: Vec<Range<usize>> = progress
                .followers
                .iter()
                .filter(|follower| follower.anchor == anchor && (first..end).contains(&follower.patterns.start))
                .map(|follower| follower.patterns.clone())
                .collect();
            under_way.sort_unstable_by_key(|patterns| patterns.start);
            for others in under_way.into_iter().chain(std::iter::once(end..end)) {
                if first < others.start {
                    let patterns = first..others.start;
                    progress.followers.push(Follower { anchor, patterns, matched: length, start, breaks: Vec::new() });
                }
                first = others.end;
            }
        }
    }

    /// Every follower takes the byte before `progress.at`.
    #[cold]
    fn advance(&self, progress: &mut Progress, byte: u8, found: &mut impl FnMut(Found)) {
        let Progress { followers, spare, at, .. } = progress;
        std::mem::swap(followers, spare);
        for mut follower in spare.drain(..) {
            let patterns = &self.by_anchor[follower.anchor];
            let Range { start, end } = follower.patterns;
            let matched = follower.matched;
            if self.patterns[patterns[start]].wraps && matches!(byte, b'\n' | b'\r' | b' ' | b'\t') {
                if follower.break_off() {
                    followers.push(follower);
                }
                continue;
            }
            let next = |pattern: &usize| self.patterns[*pattern].bytes[matched];
            let (least, most) = (next(&patterns[start]), next(&patterns[end - 1]));
            let (low, high) = if least == most {
                // Where they are all the same, two looks are enough.
                (start, if least == byte { end } else { start })
            } else {
                let low = start + patterns[start..end].partition_point(|pattern| next(pattern) < byte);
                (low, low + patterns[low..end].partition_point(|pattern| next(pattern) == byte))
            };
            if low == high {
                if self.fall_back(&mut follower, byte) {
                    followers.push(follower);
                }
                continue;
            }
            for others in [start..low, high..end] {
                if !others.is_empty() {
                    let mut others = Follower { patterns: others, ..follower.clone() };
                    if self.fall_back(&mut others, byte) {
                        followers.push(others);
                    }
                }
            }
            follower.patterns = low..high;
            follower.matched += 1;
            let shortest = &self.patterns[patterns[low]];
            if shortest.bytes.len() == follower.matched {
                found(Found { start: follower.start, end: *at, name: shortest.name });
                follower.patterns.start += 1;
                let mut whole = Follower { patterns: low..low + 1, ..follower.clone() };
                whole.shift(self.border(&whole));
                // A shorter beginning is the automaton's to find.
                if whole.matched >= ANCHOR {
                    followers.push(whole);
                }
            }
            if !follower.patterns.is_empty() {
                followers.push(follower);
            }
        }
    }

    /// Takes a byte that is not the next one of any of these patterns: goes on with a shorter
    /// beginning, unless the automaton is to find it.
    fn fall_back(&self, follower: &mut Follower, byte: u8) -> bool {
        let pattern = self.by_anchor[follower.anchor][follower.patterns.start];
        while self.patterns[pattern].bytes[follower.matched] != byte {
            if follower.matched <= ANCHOR {
                return false;
            }
            follower.shift(self.border(follower));
        }
        follower.matched += 1;
        follower.matched >= ANCHOR
    }

    /// The longest border of what has been found. It is the same for all of these patterns.
    fn border(&self, follower: &Follower) -> usize {
        let pattern = self.by_anchor[follower.anchor][follower.patterns.start];
        let borders = self.borders[pattern].get_or_init(|| borders(&self.patterns[pattern].bytes));
        borders[follower.matched - 1] as usize
    }
}

impl Follower {
    /// Goes on with the longest end of what has been found that is a beginning of the pattern as
    /// well.
    fn shift(&mut self, border: usize) {
        let left = self.matched - border;
        let skipped: usize = self.breaks.iter().filter(|(after, _)| *after <= left).map(|(_, width)| width).sum();
        self.start += (left + skipped) as u64;
        self.breaks.retain_mut(|(after, _)| {
            let stays = *after > left;
            *after = after.saturating_sub(left);
            stays
        });
        self.matched = border;
    }

    /// Takes a byte that stands between two of the pattern, unless there are too many of them.
    fn break_off(&mut self) -> bool {
        match self.breaks.last_mut() {
            Some((after, width)) if *after == self.matched => {
                *width += 1;
                *width <= MAX_BREAK
            }
            _ => {
                self.breaks.push((self.matched, 1));
                true
            }
        }
    }
}

/// For each beginning of a pattern, the length of its longest border: the proper beginning that is
/// its end as well.
fn borders(pattern: &[u8]) -> Box<[u32]> {
    let mut borders = vec![0_u32; pattern.len()];
    let mut border = 0;
    for end in 1..pattern.len() {
        while border > 0 && pattern[border] != pattern[end] {
            border = borders[border - 1] as usize;
        }
        if pattern[border] == pattern[end] {
            border += 1;
        }
        // No answer of a vault, and so no pattern, has 4 GiB.
        borders[end] = u32::try_from(border).unwrap_or_default();
    }
    borders.into_boxed_slice()
}

/// The state at the beginning, and how many bytes each state holds. A state stands for the longest
/// end of what was read that begins an anchor. One that no anchor goes on from holds only what its
/// own ends begin.
fn held(machine: &impl Automaton, anchors: &[Vec<u8>]) -> (StateID, HashMap<StateID, usize>) {
    let start = machine.start_state(Anchored::No).unwrap_or_default();
    let walk = |bytes: &[u8]| bytes.iter().fold(start, |state, byte| machine.next_state(Anchored::No, state, *byte));
    let mut depths = HashMap::new();
    let mut held = HashMap::new();
    for anchor in anchors {
        let mut state = start;
        for (index, byte) in anchor.iter().enumerate() {
            state = machine.next_state(Anchored::No, state, *byte);
            depths.insert(state, index + 1);
            if index + 1 < anchor.len() {
                held.insert(state, index + 1);
            }
        }
    }
    for anchor in anchors {
        let whole = walk(anchor);
        let mut state = whole;
        while !held.contains_key(&whole) {
            let Some(depth) = depths.get(&state) else { break };
            state = walk(&anchor[anchor.len() - depth + 1..]);
            if let Some(depth) = held.get(&state).copied() {
                held.insert(whole, depth);
            }
        }
    }
    (start, held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    #[test]
    fn many_values_with_one_beginning_are_followed_as_one() {
        let common = "one-beginning-for-all-of-them-".repeat(4);
        let values: Vec<SecretString> =
            (0..200).map(|n| SecretString::from(format!("{common}{n:03}-and-more"))).collect();
        let matcher = Matcher::new(Patterns::of(values.iter().map(|value| ("N", value)))).unwrap();
        let mut progress = matcher.begin();
        let mut count = 0;
        for text in [common.as_str(), "123-", "and-mor", "e ", &common, &common, "199-and-more"] {
            for byte in text.as_bytes() {
                matcher.read(&mut progress, &[*byte], &mut |_| count += 1);
                // Four of its repetitions have begun; by one value of 200, the others divide in
                // two.
                assert!(progress.followers.len() <= 12, "{}", progress.followers.len());
            }
        }
        assert_eq!(count, 2);
    }
}
