//! Encodings that change every byte: base64, hex, and the dumps of `xxd`, `od` and `hexdump`.

use super::{MIN_CHARS, Pattern, frames_pem};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use data_encoding::{HEXLOWER, HEXUPPER};
use std::ops::Range;
use zeroize::Zeroizing;

/// The patterns of a text in base64 and hex, on one line or on several.
pub fn of(text: &str) -> Vec<Pattern> {
    let bytes = text.as_bytes();
    let mut patterns = vec![Pattern::wrapping(HEXLOWER.encode(bytes)), Pattern::wrapping(HEXUPPER.encode(bytes))];
    // Alone, the encoding has its end too.
    patterns.extend(
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .map(|engine| engine.encode(bytes))
            .map(Pattern::wrapping),
    );
    for offset in 0..3 {
        patterns.extend(inner_base64(bytes, offset).map(Pattern::wrapping));
    }
    patterns
}

/// The patterns of a text in hex with something between the bytes.
pub fn separated_hex(text: &str) -> Vec<Pattern> {
    let hex = HEXLOWER.encode(text.as_bytes());
    let pairs: Vec<&str> = (0..text.len()).filter_map(|at| hex.get(at * 2..at * 2 + 2)).collect();
    let separated = [pairs.join(" "), pairs.join(":")];
    separated.into_iter().flat_map(|text| [Pattern::exact(text.to_ascii_uppercase()), Pattern::exact(text)]).collect()
}

/// What the base64 of a longer text has of a part that begins `offset` bytes (modulo 3) into it:
/// the characters that hold bits of the part only.
fn inner_base64(bytes: &[u8], offset: usize) -> [String; 2] {
    let padded = Zeroizing::new([&[0_u8; 2][..offset], bytes].concat());
    // 8 bits a byte before, 6 bits a character: the ones that begin with bits of another part.
    let front = (offset * 8).div_ceil(6);
    let back = usize::from(padded.len() % 3 != 0);
    [STANDARD_NO_PAD.encode(&*padded), URL_SAFE_NO_PAD.encode(&*padded)].map(|text| {
        let end = text.len() - back;
        text.get(front..end).unwrap_or_default().to_owned()
    })
}

/// How a tool dumps bytes, in lines.
struct Dump {
    /// The number of bytes in a line.
    width: usize,
    /// The text before a line, by its offset in bytes; there may be several forms.
    offsets: &'static [fn(usize) -> String],
    /// The digits of a line.
    digits: fn(&[u8]) -> String,
    /// The text from the digits to the end of the line.
    rest: fn(&[u8], &str) -> String,
    /// Whether the last line has that as well.
    ends_alike: bool,
}

impl Dump {
    /// A dump of `od`, or of `hexdump` with the same lines.
    const fn od(digits: fn(&[u8]) -> String) -> Self {
        Self { width: 16, offsets: OD_OFFSETS, digits, rest: |_, _| String::new(), ends_alike: true }
    }
}

/// In octal, hex, decimal and none, as `od -A` has it; and those of `hexdump`.
const OD_OFFSETS: &[fn(usize) -> String] = &[
    |at| format!("{at:07o} "),
    |at| format!("{at:06x} "),
    |at| format!("{at:07} "),
    |_| " ".to_owned(),
    |at| format!("{at:07x} "),
];

const DUMPS: [Dump; 8] = [
    // od -t x1
    Dump::od(|line| groups(line, 1, " ", hex)),
    // od -x, hexdump
    Dump::od(|line| groups(line, 2, " ", |bytes| format!("{:04x}", little_endian(bytes)))),
    // od
    Dump::od(|line| groups(line, 2, " ", |bytes| format!("{:06o}", little_endian(bytes)))),
    // od -b, hexdump -b
    Dump::od(|line| groups(line, 1, " ", octal)),
    // od -c, hexdump -c
    Dump::od(|line| groups(line, 1, " ", character)),
    // hexdump -C
    Dump {
        width: 16,
        offsets: &[|at| format!("{at:08x}  ")],
        digits: |line| {
            let halves: Vec<String> = line.chunks(8).map(|half| groups(half, 1, " ", hex)).collect();
            halves.join("  ")
        },
        rest: |line, digits| {
            format!("{:blanks$}  |{}|", "", column(line), blanks = 48_usize.saturating_sub(digits.len()))
        },
        ends_alike: true,
    },
    // xxd
    Dump {
        width: 16,
        offsets: &[|at| format!("{at:08x}: ")],
        digits: |line| groups(line, 2, " ", hex),
        rest: |line, digits| {
            format!("{:blanks$}  {}", "", column(line), blanks = 39_usize.saturating_sub(digits.len()))
        },
        ends_alike: true,
    },
    // xxd -i
    Dump {
        width: 12,
        offsets: &[|_| "  ".to_owned()],
        digits: |line| groups(line, 1, ", ", |bytes| format!("0x{}", hex(bytes))),
        rest: |_, _| ",".to_owned(),
        ends_alike: false,
    },
];

fn groups(line: &[u8], size: usize, between: &str, digits: fn(&[u8]) -> String) -> String {
    let groups: Vec<String> = line.chunks(size).map(digits).collect();
    groups.join(between)
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn octal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:03o}")).collect()
}

fn little_endian(bytes: &[u8]) -> u16 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u16::from(*byte))
}

/// A byte in three columns, as `od -c` writes it.
fn character(bytes: &[u8]) -> String {
    match bytes {
        b"\n" => " \\n".to_owned(),
        b"\r" => " \\r".to_owned(),
        b"\t" => " \\t".to_owned(),
        b"\x07" => " \\a".to_owned(),
        b"\x08" => " \\b".to_owned(),
        b"\x0b" => " \\v".to_owned(),
        b"\x0c" => " \\f".to_owned(),
        [byte @ b' '..=b'~'] => format!("  {}", char::from(*byte)),
        other => octal(other),
    }
}

/// The characters of a line, as dumps show them beside the digits.
fn column(line: &[u8]) -> String {
    line.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' }).collect()
}

/// The lines that tools dump a value in which is all of their input, or all but a line break at its
/// end. A line that shows fewer than [`MIN_CHARS`] bytes of it is looked for together with the line
/// before.
pub fn dumps(value: &str) -> Vec<Pattern> {
    let public = public_ranges(value);
    let is_public = |range: &Range<usize>| public.iter().any(|line| line.start <= range.start && range.end <= line.end);
    let with_end = Zeroizing::new([value.as_bytes(), b"\n"].concat());
    let mut patterns = Vec::new();
    for text in [value.as_bytes(), &**with_end] {
        for dump in &DUMPS {
            for start in (0..value.len()).step_by(dump.width) {
                let range = start..value.len().min(start + dump.width);
                if is_public(&range) {
                    continue;
                }
                let line = &text[start..text.len().min(start + dump.width)];
                let digits = (dump.digits)(line);
                if range.len() >= MIN_CHARS {
                    let rest = (dump.rest)(line, &digits);
                    // The characters beside the digits are the value too; alone they would be found
                    // in other texts that begin alike.
                    patterns.push(Pattern::exact(format!("{digits}{rest}").trim_start()));
                    patterns.push(Pattern::exact(digits.trim_start()));
                } else if let Some(before) = start.checked_sub(dump.width) {
                    let before = &text[before..start];
                    let before_digits = (dump.digits)(before);
                    let before_rest = (dump.rest)(before, &before_digits);
                    let rest = if dump.ends_alike { (dump.rest)(line, &digits) } else { String::new() };
                    for offset in dump.offsets {
                        let offset = offset(start);
                        let whole = format!("{before_digits}{before_rest}\n{offset}{digits}{rest}");
                        patterns.push(Pattern::exact(whole));
                    }
                }
            }
        }
    }
    patterns
}

/// Where the lines stand that frame PEM, and that everybody's keys and certificates share.
fn public_ranges(value: &str) -> Vec<Range<usize>> {
    let mut at = 0;
    let ranges = value.split_inclusive('\n').map(|line| {
        at += line.len();
        (line, at - line.len()..at)
    });
    ranges.filter(|(line, _)| line.ends_with('\n') && frames_pem(line)).map(|(_, range)| range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(patterns: &[Pattern], text: &str) -> bool {
        patterns.iter().any(|pattern| text.contains(std::str::from_utf8(&pattern.bytes).unwrap()))
    }

    #[test]
    fn base64_is_found_wherever_the_value_begins() {
        for value in ["s3cr3t", "s3cr3t+", "s3cr3t/?", "\u{fc}\u{ff}~>>>???"] {
            let patterns = of(value);
            for before in ["", "a", "ab", "abc", "user:", "tok"] {
                for after in ["", "a", "ab", "abc", "\n"] {
                    let text = format!("{before}{value}{after}");
                    for engine in [STANDARD, URL_SAFE_NO_PAD] {
                        assert!(has(&patterns, &engine.encode(&text)), "{text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn hex_is_found_in_either_case_and_with_separators() {
        let text = "p\u{e4}ss w\u{f6}rd";
        let patterns: Vec<Pattern> = of(text).into_iter().chain(separated_hex(text)).collect();
        for text in [
            "70c3a473732077c3b67264",
            "70C3A473732077C3B67264",
            "70 c3 a4 73 73 20 77 c3 b6 72 64",
            "70:C3:A4:73:73:20:77:C3:B6:72:64",
        ] {
            assert!(has(&patterns, text), "{text}");
        }
    }

    /// The output of `printf %s 'gh-7Qm2xVt9Lw4Zr8+/' | TOOL`.
    const DUMPED: [&str; 10] = [
        "0000000 67 68 2d 37 51 6d 32 78 56 74 39 4c 77 34 5a 72\n0000020 38 2b 2f\n0000023\n",
        "000000 67 68 2d 37 51 6d 32 78 56 74 39 4c 77 34 5a 72\n000010 38 2b 2f\n000013\n",
        " 67 68 2d 37 51 6d 32 78 56 74 39 4c 77 34 5a 72\n 38 2b 2f\n",
        "0000000 064147 033455 066521 074062 072126 046071 032167 071132\n0000020 025470 000057\n0000023\n",
        "0000000 6867 372d 6d51 7832 7456 4c39 3477 725a\n0000020 2b38 002f\n0000023\n",
        "0000000 147 150 055 067 121 155 062 170 126 164 071 114 167 064 132 162\n0000020 070 053 057\n0000023\n",
        "0000000   g   h   -   7   Q   m   2   x   V   t   9   L   w   4   Z   r\n0000020   8   +   /\n0000023\n",
        "00000000  67 68 2d 37 51 6d 32 78  56 74 39 4c 77 34 5a 72  |gh-7Qm2xVt9Lw4Zr|\n\
         00000010  38 2b 2f                                          |8+/|\n00000013\n",
        "00000000: 6768 2d37 516d 3278 5674 394c 7734 5a72  gh-7Qm2xVt9Lw4Zr\n\
         00000010: 382b 2f                                  8+/\n",
        "  0x67, 0x68, 0x2d, 0x37, 0x51, 0x6d, 0x32, 0x78, 0x56, 0x74, 0x39, 0x4c,\n\
        \x20 0x77, 0x34, 0x5a, 0x72, 0x38, 0x2b, 0x2f\n",
    ];

    /// Every byte of a dump that is a digit or character of the value is covered by some pattern.
    #[test]
    fn dumps_are_found_with_their_last_line() {
        let patterns = dumps("gh-7Qm2xVt9Lw4Zr8+/");
        for dump in DUMPED {
            let mut shown = dump.to_owned();
            let mut found: Vec<&str> =
                patterns.iter().map(|pattern| std::str::from_utf8(&pattern.bytes).unwrap()).collect();
            // As where patterns overlap, the longest covers.
            found.sort_by_key(|text| std::cmp::Reverse(text.len()));
            for text in found {
                shown = shown.replace(text, "[X]");
            }
            let left: Vec<&str> = shown.split(['\n', ' ', '|', ',']).filter(|part| !part.is_empty()).collect();
            let is_offset = |part: &&str| {
                part.len() >= 6 && part.trim_end_matches(':').bytes().all(|byte| byte.is_ascii_hexdigit())
            };
            assert!(left.iter().all(|part| *part == "[X]" || is_offset(part)), "{dump}{shown}");
        }
    }

    #[test]
    fn dumps_of_a_value_with_a_line_break_behind_it_are_found() {
        assert!(has(&dumps("s3cr3t!"), "0000000 3373 7263 7433 0a21\n0000010\n"));
        let patterns = dumps("gh-7Qm2xVt9Lw4Zr8+/");
        for dump in [
            "6867 372d 6d51 7832 7456 4c39 3477 725a\n0000020 2b38 0a2f\n0000024\n",
            "5674 394c 7734 5a72  gh-7Qm2xVt9Lw4Zr\n00000010: 382b 2f0a                                8+/.\n",
        ] {
            let found = patterns.iter().any(|pattern| {
                let text = std::str::from_utf8(&pattern.bytes).unwrap();
                text.contains('\n') && dump.find(text).or_else(|| text.find(dump.trim_end())).is_some()
            });
            assert!(found, "{dump}");
        }
    }

    #[test]
    fn the_frame_of_pem_is_nobodys_secret() {
        let patterns = dumps("-----BEGIN CERTIFICATE-----\nMIIBsecretsecretsecret\n-----END CERTIFICATE-----\n");
        assert!(!has(&patterns, &groups(b"-----BEGIN CERTI", 1, " ", hex)));
        assert!(has(&patterns, &groups(b"secretsecretsecr", 1, " ", hex)));
    }
}
