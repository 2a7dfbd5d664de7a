//! Skipping the bytes at which no anchor can begin, most of them unread.
//!
//! The method is Wu and Manber's ("A fast algorithm for multi-pattern searching", 1994). A window
//! as long as the shortest anchor moves over the text. Its last three bytes tell how far it can
//! move, because no anchor has them further to the left; where it cannot move, its other bytes tell
//! whether an anchor may begin there.

/// The number of bytes that tell how far the window can move.
const BLOCK: usize = 3;
/// Binary logarithm of the number of shifts. They fit in a core's first or second cache.
const SHIFTS_LOG: u32 = 15;
/// Binary logarithm of the number of bits that stand for beginnings of anchors.
const BEGINNINGS_LOG: u32 = 16;
/// Minimum mean shift. With shorter ones, reading every byte in the automaton is faster.
const MIN_MEAN_SHIFT: usize = 3;

/// What is known of the beginnings of all anchors: enough to rule most of a text out.
pub struct Prefilter {
    /// Length of the window: that of the shortest anchor.
    window: usize,
    /// By the hash of the window's last bytes: how far it can move.
    shifts: Vec<u8>,
    /// A bit for each hash of a window in which an anchor begins.
    beginnings: Vec<u64>,
}

impl Prefilter {
    /// A prefilter for these anchors, if one is faster than none.
    pub fn new(anchors: &[Vec<u8>]) -> Option<Self> {
        let window = anchors.iter().map(Vec::len).min().filter(|window| *window > BLOCK)?;
        let furthest = window - BLOCK + 1;
        let mut shifts = vec![u8::try_from(furthest).ok()?; 1 << SHIFTS_LOG];
        let mut beginnings = vec![0; 1 << (BEGINNINGS_LOG - 6)];
        for anchor in anchors {
            for (start, block) in anchor[..window].windows(BLOCK).enumerate() {
                let shift = &mut shifts[hash([0, block[0], block[1], block[2]])];
                *shift = (*shift).min(u8::try_from(window - BLOCK - start).ok()?);
            }
            let (word, bit) = beginning_hash(&anchor[..window])?;
            beginnings[word] |= bit;
        }
        let sum: usize = shifts.iter().map(|shift| usize::from(*shift)).sum();
        (sum >= MIN_MEAN_SHIFT << SHIFTS_LOG).then_some(Self { window, shifts, beginnings })
    }

    /// The number of bytes before which no anchor begins, not even one that goes on in bytes to
    /// come.
    pub fn skip(&self, bytes: &[u8]) -> usize {
        let mut end = self.window;
        while let Some(hash) = block_hash(bytes, end) {
            let shift = usize::from(self.shifts[hash]);
            end += if shift > 0 {
                shift
            } else if self.may_begin(&bytes[end - self.window..end]) {
                break;
            } else {
                1
            };
        }
        end - self.window
    }

    #[inline]
    fn may_begin(&self, window: &[u8]) -> bool {
        beginning_hash(window).is_none_or(|(word, bit)| self.beginnings[word] & bit != 0)
    }
}

/// The hash of the [`BLOCK`] bytes before `end`; none when `end` is beyond the last byte.
#[inline]
fn block_hash(bytes: &[u8], end: usize) -> Option<usize> {
    // One load of four bytes is faster than three of one.
    Some(hash(*bytes.get(..end)?.last_chunk()?))
}

/// The hash of all of these bytes but the first.
#[inline]
fn hash(bytes: [u8; 4]) -> usize {
    ((u32::from_le_bytes(bytes) >> 8).wrapping_mul(0x9E37_79B1) >> (32 - SHIFTS_LOG)) as usize
}

/// The word and the bit of a window's first and last four bytes.
#[inline]
fn beginning_hash(window: &[u8]) -> Option<(usize, u64)> {
    let first = u32::from_le_bytes(*window.first_chunk()?);
    let last = u32::from_le_bytes(*window.last_chunk()?);
    let hash = (u64::from(first) << 32 | u64::from(last)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - BEGINNINGS_LOG);
    Some(((hash >> 6) as usize, 1 << (hash & 63)))
}

#[cfg(test)]
mod tests {
    use super::super::matcher::Matcher;
    use super::super::patterns::Patterns;
    use super::super::redact::Redactor;
    use super::*;
    use proptest::prelude::*;
    use secrecy::SecretString;

    /// The shortest of them sets the length of the window.
    const VALUES: [&[&str]; 4] = [
        &["aababa", "bababab", "abbaabba", "aabbaabbaabbaab"],
        &[
            "gh-7Qm2xVt9Lw4Zr",
            "gh-7Qm2xVt9Lw4Zr8+/Kd1Bn6",
            "gh-7Qm2xVt9Lw5",
            "aaaaaaaaaaaaaaaaaa",
            "abababababababababa",
        ],
        &["0123456789abcdef0123456789abcdef", "0123456789ab", "0123456789abcdef01234567"],
        &["p\u{e4}ss/w\u{f6}rd\"s3cr3t", "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}"],
    ];

    fn patterns(values: &[&str]) -> Patterns {
        let values: Vec<SecretString> = values.iter().map(|value| SecretString::from(*value)).collect();
        Patterns::of(values.iter().map(|value| ("N", value)))
    }

    /// What the redactor writes out after each piece and at the end.
    fn redacted<'a>(matcher: &Matcher, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let mut redactor = Redactor::new(matcher);
        let mut outs: Vec<Vec<u8>> = pieces
            .map(|piece| {
                let mut out = Vec::new();
                redactor.push(piece, &mut out);
                out
            })
            .collect();
        let mut out = Vec::new();
        redactor.finish(&mut out);
        outs.push(out);
        outs
    }

    /// The obvious way: every occurrence of every pattern, those that overlap together.
    fn redacted_naively(patterns: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let (mut at, mut end) = (0, 0);
        for start in 0..text.len() {
            let longest = patterns.iter().filter(|pattern| text[start..].starts_with(pattern)).map(Vec::len).max();
            if let Some(length) = longest {
                if start >= end {
                    out.extend_from_slice(&text[at..start]);
                    out.extend_from_slice(b"[N]");
                }
                end = end.max(start + length);
                at = end;
            }
        }
        out.extend_from_slice(&text[at..]);
        out
    }

    /// Beginnings of patterns, whole ones, and others. Nothing breaks the patterns that wrap.
    fn texts(patterns: &[Vec<u8>], parts: &[(prop::sample::Index, usize, Vec<u8>)]) -> Vec<u8> {
        let mut text = Vec::new();
        for (pattern, length, others) in parts {
            let pattern = pattern.get(patterns);
            text.extend_from_slice(&pattern[..pattern.len().min(*length)]);
            text.extend_from_slice(others);
        }
        text.retain(|byte| !byte.is_ascii_whitespace());
        text
    }

    proptest! {
        #[test]
        fn it_changes_nothing_however_the_text_is_split(
            values in 0..VALUES.len(),
            parts in proptest::collection::vec(
                (any::<prop::sample::Index>(), 0..60_usize, prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..40),
                    "[ab]{0,40}".prop_map(String::into_bytes),
                    "[0-9a-f]{0,40}".prop_map(String::into_bytes),
                ]),
                0..12,
            ),
            splits in proptest::collection::vec(1..200_usize, 1..8),
        ) {
            let list = patterns(VALUES[values]);
            let all: Vec<Vec<u8>> = list.list.iter().map(|pattern| pattern.bytes.to_vec()).collect();
            let text = texts(&all, &parts);
            let mut matcher = Matcher::new(list).unwrap();
            prop_assert!(matcher.prefilter.is_some());
            let mut rest = text.as_slice();
            let pieces: Vec<&[u8]> = splits.iter().cycle().map_while(|length| {
                let (piece, after) = rest.split_at((*length).min(rest.len()));
                rest = after;
                Some(piece).filter(|piece| !piece.is_empty())
            }).collect();
            let filtered = redacted(&matcher, pieces.iter().copied());
            matcher.prefilter = None;
            prop_assert_eq!(&filtered, &redacted(&matcher, pieces.into_iter()));
            prop_assert_eq!(filtered.concat(), redacted_naively(&all, &text));
        }
    }

    #[test]
    fn most_of_a_text_is_skipped_up_to_the_first_value() {
        let anchors = [b"s3cr3t-value".to_vec(), b"another-one-".to_vec()];
        let prefilter = Prefilter::new(&anchors).unwrap();
        let text = [&b"neither is in here, ".repeat(100), b"s3cr3t-value".as_slice()].concat();
        assert_eq!(prefilter.skip(&text), 2_000);
        // The last bytes could still become one.
        for end in 2_000..text.len() {
            assert!((1_980..=2_000).contains(&prefilter.skip(&text[..end])), "{end}");
        }
        for short in 0..12 {
            assert_eq!(prefilter.skip(&text[..short]), 0);
        }
    }

    #[test]
    fn with_very_many_anchors_every_byte_is_read() {
        let anchors: Vec<Vec<u8>> =
            (0..30_000_u32).map(|n| n.wrapping_mul(0x9E37_79B1).to_le_bytes().repeat(3)).collect();
        assert!(Prefilter::new(&anchors[..100]).is_some() && Prefilter::new(&anchors).is_none());
        assert!(Prefilter::new(&[]).is_none());
    }
}
