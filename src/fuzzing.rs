//! Fuzzing of what reads hostile input, without tools beside `cargo test`. A target states a
//! property, and is given mutated copies of its seeds in `tests/fuzz/TARGET/` and of the inputs that
//! it took so far.
//!
//! A test run gives each target [`INPUTS`] inputs, the same ones each time. With
//! `VAULT_FUZZ_SECONDS=60`, each gets new ones for so long. An input that breaks the property is
//! left in `target/fuzz/`; once the cause is repaired, it becomes a seed.

use std::hash::{BuildHasher as _, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Inputs of a target in a test run.
const INPUTS: usize = 2_000;
/// Maximum length of an input, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// Maximum number of inputs that mutations begin with.
const MAX_POOL: usize = 2_000;
/// Bytes at which parsers decide, tried more often than others.
const SIGNS: &[u8] = b"\0\t\n\r \"#$%'()*+,-./0:;<=>?@[\\]^_`{|}~\x7f\x80\xff\xef\xbb\xbf";

/// Random numbers, of Steele, Lea and Flood's SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap_or(0)
    }

    /// A range of a text, of up to `longest` bytes.
    fn range(&mut self, length: usize, longest: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below((length - start).min(longest) + 1)
    }

    fn byte(&mut self) -> u8 {
        match self.below(3) {
            0 => u8::try_from(self.below(256)).unwrap_or(0),
            1 => SIGNS[self.below(SIGNS.len())],
            _ => b"aAzZ059"[self.below(7)],
        }
    }
}

/// Changes a text a little; `other` gives what is spliced in.
fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(9) {
            0 => input.insert(at, random.byte()),
            1 if at < input.len() => input[at] = random.byte(),
            2 if at < input.len() => input[at] ^= 1 << random.below(8),
            3 => drop(input.drain(random.range(input.len(), 16))),
            4 => {
                let copy = input[random.range(input.len(), 64)].to_vec();
                input.splice(at..at, copy.repeat(1 + random.below(3)));
            }
            5 => drop(input.splice(at..at, other[random.range(other.len(), 256)].iter().copied())),
            6 => {
                input.truncate(at);
                input.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
            7 => input.truncate(at),
            _ => {
                let range = random.range(input.len(), 32);
                input[range].make_ascii_uppercase();
            }
        }
    }
    input.truncate(MAX_BYTES);
}

/// Gives a target inputs. `holds` panics where its property does not hold, and says whether the
/// input was taken rather than refused. `made` are seeds that cannot be in a file.
pub fn fuzz(target: &str, made: &[Vec<u8>], holds: impl Fn(&[u8]) -> bool) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pool = made.to_vec();
    if let Ok(folder) = std::fs::read_dir(root.join("tests/fuzz").join(target)) {
        let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        pool.extend(paths.iter().map(|path| std::fs::read(path).unwrap()));
    }
    assert!(!pool.is_empty(), "{target} has no seeds");
    let attempt = |input: &[u8]| {
        catch_unwind(AssertUnwindSafe(|| holds(input))).unwrap_or_else(|panic| {
            let hash = RandomState::new().hash_one(input);
            let path = root.join(format!("target/fuzz/{target}-{hash:016x}"));
            std::fs::create_dir_all(root.join("target/fuzz")).unwrap();
            std::fs::write(&path, input).unwrap();
            eprintln!("this input breaks the property: {}: {}", path.display(), input.escape_ascii());
            resume_unwind(panic)
        })
    };
    let taken = pool.iter().filter(|seed| attempt(seed)).count();
    assert!(taken > 0, "{target} takes none of its seeds, so it would test refusals only");

    let seconds = std::env::var("VAULT_FUZZ_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut random = Random(if end.is_some() { RandomState::new().hash_one(target) } else { 1 });
    let (mut given, mut taken) = (0_u64, 0_u64);
    while end.map_or(given < INPUTS as u64, |end| Instant::now() < end) {
        let mut input = pool[random.below(pool.len())].clone();
        let other = random.below(pool.len());
        mutate(&mut input, &pool[other], &mut random);
        given += 1;
        if attempt(&input) {
            taken += 1;
            if pool.len() < MAX_POOL {
                pool.push(input);
            } else if taken.is_multiple_of(16) {
                // Newer ones are further from the seeds.
                let at = made.len() + random.below(pool.len() - made.len());
                pool[at] = input;
            }
        }
    }
    if end.is_some() {
        eprintln!("{target}: {given} inputs, of which {taken} were taken");
    }
}
