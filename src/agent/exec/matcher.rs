//! Finding patterns in a stream, at a cost that is linear in its bytes.
//!
//! An Aho-Corasick automaton looks for the first bytes of every pattern, so its size depends on the
//! number of values and hardly on their lengths. Where it finds some, a [`Follower`] compares what
//! comes after them with the pattern, by the algorithm of Knuth, Morris and Pratt: nothing is read
//! twice, and at most one follower of each pattern is under way.

use super::patterns::{ANCHOR, Pattern, Patterns};
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::{Anchored, BuildError, dfa, nfa::contiguous};
use std::collections::HashMap;
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

enum Machine {
    Dense(Box<dfa::DFA>),
    Compact(Box<contiguous::NFA>),
}

/// The patterns, ready to be looked for.
pub struct Matcher {
    machine: Machine,
    start: StateID,
    patterns: Vec<Pattern>,
    /// The patterns that begin with each anchor.
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
}

/// A pattern whose beginning has been found.
struct Follower {
    pattern: usize,
    /// The number of its bytes that have been found.
    matched: usize,
    /// Where the first of them stands.
    start: u64,
    /// Where it is broken: after how many of its bytes, and by how many others.
    breaks: Vec<(usize, usize)>,
}

impl Matcher {
    /// Builds the automaton.
    ///
    /// # Errors
    /// When there are more patterns than an automaton can have.
    pub fn new(patterns: Patterns) -> Result<Self, BuildError> {
        let Patterns { list, anchors, names, .. } = patterns;
        let (anchors, by_anchor): (Vec<Vec<u8>>, Vec<Vec<usize>>) = anchors.into_iter().unzip();
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
        Ok(Self { machine, start, patterns: list, by_anchor, held, borders, replacements })
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
        Progress { state: self.start, at: 0, followers: Vec::new() }
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

    #[inline]
    fn scan(&self, machine: &impl Automaton, progress: &mut Progress, bytes: &[u8], found: &mut impl FnMut(Found)) {
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
        for pattern in self.by_anchor[anchor].iter().copied() {
            let Pattern { bytes, name, .. } = &self.patterns[pattern];
            let length = bytes.len().min(ANCHOR);
            let start = progress.at - length as u64;
            if bytes.len() <= ANCHOR {
                found(Found { start, end: progress.at, name: *name });
            } else if progress.followers.iter().all(|follower| follower.pattern != pattern) {
                // One that is under way has found this beginning too, as the end of what it has
                // matched.
                progress.followers.push(Follower { pattern, matched: length, start, breaks: Vec::new() });
            }
        }
    }

    /// Every follower takes the byte before `progress.at`.
    #[cold]
    fn advance(&self, progress: &mut Progress, byte: u8, found: &mut impl FnMut(Found)) {
        let end = progress.at;
        progress.followers.retain_mut(|follower| {
            let pattern = &self.patterns[follower.pattern];
            if pattern.wraps && matches!(byte, b'\n' | b'\r' | b' ' | b'\t') {
                return follower.break_off();
            }
            let borders = &self.borders[follower.pattern];
            let border_of =
                |matched: usize| borders.get_or_init(|| self::borders(&pattern.bytes))[matched - 1] as usize;
            while pattern.bytes[follower.matched] != byte {
                if follower.matched <= ANCHOR {
                    return false;
                }
                follower.shift(border_of(follower.matched));
            }
            follower.matched += 1;
            if follower.matched == pattern.bytes.len() {
                found(Found { start: follower.start, end, name: pattern.name });
                follower.shift(border_of(follower.matched));
            }
            // A shorter beginning is the automaton's to find.
            follower.matched >= ANCHOR
        });
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
