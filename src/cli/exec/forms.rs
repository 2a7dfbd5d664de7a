//! The forms in which a value shows up in output: as it is, and as programs usually encode it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use data_encoding::{HEXLOWER, HEXUPPER};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::HashSet;
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// A shorter value, or line of one, is left alone: it would be found everywhere. In characters.
pub const SHORTEST: usize = 6;
/// So many bytes of forms are looked for at most; plain ones go first.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// The widths at which base64 is broken into lines: by coreutils and MIME (RFC 2045), and by PEM (RFC 7468).
const WIDTHS: [usize; 2] = [76, 64];

/// What RFC 3986 leaves as it is, and what common libraries leave besides.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const WITH_SLASH: &AsciiSet = &STRICT.remove(b'/');
const COMPONENT: &AsciiSet = &STRICT.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');

/// What is looked for.
#[derive(Default)]
pub struct Forms {
    /// The bytes, and the index of the name that replaces them. No bytes are there twice.
    pub patterns: Vec<(Zeroizing<Vec<u8>>, usize)>,
    /// The names, as values were added.
    pub names: Vec<String>,
    /// The names whose value is too short to be looked for.
    pub short: Vec<String>,
    /// The names of which some encoded form is left out, being too long.
    pub partly: Vec<String>,
}

impl Forms {
    /// The forms of some values.
    pub fn of<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a SecretString)>) -> Self {
        let mut forms = Self::default();
        let mut all: [Vec<(Zeroizing<Vec<u8>>, usize)>; 2] = [Vec::new(), Vec::new()];
        for (name, value) in secrets {
            let index = forms.names.len();
            forms.names.push(name.to_owned());
            let value = value.expose_secret();
            let units = units(value);
            if units.is_empty() {
                forms.short.push(name.to_owned());
            }
            for unit in units {
                all[0].push((Zeroizing::new(unit.as_bytes().to_vec()), index));
                all[1].extend(encoded(unit).into_iter().map(|form| (form, index)));
            }
            all[1].extend(broken(value).into_iter().map(|form| (form, index)));
        }
        let mut taken: HashSet<Vec<u8>> = HashSet::new();
        let mut bytes = 0;
        for (form, index) in all.into_iter().flatten() {
            if form.len() < SHORTEST || taken.contains(&**form) {
                continue;
            }
            if bytes + form.len() > MAX_BYTES {
                let name = &forms.names[index];
                if !forms.partly.contains(name) {
                    forms.partly.push(name.clone());
                }
                continue;
            }
            bytes += form.len();
            taken.insert(form.to_vec());
            forms.patterns.push((form, index));
        }
        for mut form in taken {
            zeroize::Zeroize::zeroize(&mut form);
        }
        forms
    }
}

/// What is looked for of a value: the value, or each of its lines. The lines that frame PEM are everybody's.
fn units(value: &str) -> Vec<&str> {
    let long = |text: &&str| text.chars().count() >= SHORTEST;
    let public = |line: &&str| line.starts_with("-----BEGIN ") || line.starts_with("-----END ");
    let lines: Vec<&str> = value.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let units: Vec<&str> =
        lines.iter().copied().filter(long).filter(|line| lines.len() == 1 || !public(line)).collect();
    // Of a value of short lines only, the whole is long enough.
    if units.is_empty() { Some(value).filter(long).into_iter().collect() } else { units }
}

fn encoded(unit: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let bytes = unit.as_bytes();
    let mut forms: Vec<String> = vec![HEXLOWER.encode(bytes), HEXUPPER.encode(bytes)];
    // Alone, the encoding has its end too.
    forms.extend([STANDARD.encode(bytes), STANDARD_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)]);
    for offset in 0..3 {
        forms.extend(inner_base64(bytes, offset));
    }
    for set in [STRICT, WITH_SLASH, COMPONENT] {
        let form = utf8_percent_encode(unit, set).to_string();
        forms.push(form.replace("%20", "+"));
        forms.push(lower_hex(&form));
        forms.push(form);
    }
    let json = json_text(unit);
    forms.push(json.replace('/', "\\/"));
    forms.push(ascii_json(&json));
    forms.push(json);
    forms.into_iter().map(|form| Zeroizing::new(form.into_bytes())).collect()
}

/// What base64 of a longer text certainly has of a part of it that begins `offset` bytes (modulo 3) into it: the characters that
/// hold bits of the part only.
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

/// The lines of a value's base64 where it is broken into lines: of the value alone, and of the value with more behind it, such as
/// the end of a line, which changes the last characters.
fn broken(value: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let [going_on, _] = inner_base64(value.as_bytes(), 0);
    let texts = [Zeroizing::new(STANDARD.encode(value)), Zeroizing::new(going_on)];
    let lines = |text: &Zeroizing<String>| -> Vec<Zeroizing<Vec<u8>>> {
        let widths = WIDTHS.into_iter().filter(|width| text.len() > *width);
        widths.flat_map(|width| text.as_bytes().chunks(width)).map(|line| Zeroizing::new(line.to_vec())).collect()
    };
    texts.iter().flat_map(lines).collect()
}

/// With the hex digits of escapes in lower case.
fn lower_hex(text: &str) -> String {
    let mut digits = 0;
    let lower = |c: char| {
        if c == '%' {
            digits = 2;
            c
        } else if digits > 0 {
            digits -= 1;
            c.to_ascii_lowercase()
        } else {
            c
        }
    };
    text.chars().map(lower).collect()
}

/// A text inside a JSON string, as most libraries write it.
fn json_text(unit: &str) -> String {
    let quoted = serde_json::Value::from(unit).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The same with everything beyond ASCII escaped.
fn ascii_json(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &str, text: &str) -> bool {
        let value = SecretString::from(value);
        let forms = Forms::of([("N", &value)]);
        forms.patterns.iter().any(|(form, _)| text.contains(std::str::from_utf8(form).unwrap()))
    }

    #[test]
    fn base64_is_found_wherever_the_value_begins() {
        for value in ["s3cr3t", "s3cr3t+", "s3cr3t/?", "\u{fc}\u{ff}~>>>???"] {
            for before in ["", "a", "ab", "abc", "user:", "tok"] {
                for after in ["", "a", "ab", "abc", "\n"] {
                    let text = format!("{before}{value}{after}");
                    assert!(found(value, &STANDARD.encode(&text)), "{text:?}");
                    assert!(found(value, &URL_SAFE_NO_PAD.encode(&text)), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn usual_encodings_are_found() {
        let value = "p\u{e4}ss w\u{f6}rd/\"\\&=%";
        for text in [
            "p%C3%A4ss%20w%C3%B6rd%2F%22%5C%26%3D%25",
            "p%c3%a4ss%20w%c3%b6rd%2f%22%5c%26%3d%25",
            "p%C3%A4ss+w%C3%B6rd%2F%22%5C%26%3D%25",
            "p%C3%A4ss%20w%C3%B6rd/%22%5C%26%3D%25",
            "{\"v\":\"p\u{e4}ss w\u{f6}rd/\\\"\\\\&=%\"}",
            "{\"v\":\"p\u{e4}ss w\u{f6}rd\\/\\\"\\\\&=%\"}",
            "{\"v\":\"p\\u00e4ss w\\u00f6rd/\\\"\\\\&=%\"}",
            "70c3a473732077c3b672642f225c263d25",
            "70C3A473732077C3B672642F225C263D25",
        ] {
            assert!(found(value, text), "{text}");
        }
    }

    #[test]
    fn of_several_lines_each_long_one_is_looked_for() {
        let value = SecretString::from("-----BEGIN KEY-----\nfirst line\r\nabc\nsecond line\n-----END KEY-----\n");
        let forms = Forms::of([("KEY", &value)]);
        let has = |text: &str| forms.patterns.iter().any(|(form, _)| ***form == *text.as_bytes());
        assert!(has("first line") && has("second line") && forms.short.is_empty());
        assert!(!has("abc") && !has("-----BEGIN KEY-----"));
    }

    #[test]
    fn what_is_short_is_left_alone() {
        let (short, umlauts, lines) =
            (SecretString::from("12345"), SecretString::from("\u{fc}\u{fc}\u{fc}"), SecretString::from("ab\ncd\nef"));
        let forms = Forms::of([("SHORT", &short), ("UMLAUTS", &umlauts), ("LINES", &lines)]);
        assert_eq!(forms.short, ["SHORT", "UMLAUTS"]);
        assert!(forms.patterns.iter().all(|(_, index)| *index == 2));
    }

    #[test]
    fn broken_base64_is_found_line_by_line() {
        let value: String = (0..200_u8).map(|n| char::from(b'a' + n.wrapping_mul(7) % 26)).collect();
        for line in STANDARD.encode(format!("{value}\n")).as_bytes().chunks(76).take(3) {
            assert!(found(&value, std::str::from_utf8(line).unwrap()));
        }
    }

    #[test]
    fn large_values_are_looked_for_as_they_are_at_least() {
        let value: String =
            (0..60_000_u32).map(|n| char::from(b'a' + u8::try_from(n.wrapping_mul(n) % 26).unwrap())).collect();
        let values: Vec<SecretString> = (0..10).map(|n| SecretString::from(format!("{n}{value}"))).collect();
        let names: Vec<String> = (0..10).map(|n| format!("N{n}")).collect();
        let forms = Forms::of(names.iter().map(String::as_str).zip(&values));
        assert!(!forms.partly.is_empty());
        assert!(forms.patterns.iter().map(|(form, _)| form.len()).sum::<usize>() <= MAX_BYTES);
        for (index, value) in values.iter().enumerate() {
            assert!(
                forms.patterns.iter().any(|(form, of)| *of == index && ***form == *value.expose_secret().as_bytes())
            );
        }
    }
}
