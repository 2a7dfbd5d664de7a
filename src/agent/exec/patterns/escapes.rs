//! Encodings that leave most characters as they are: JSON, URLs, HTML, and the quoting of shells
//! and programming languages.
//!
//! Each table has a row for every way in which common encoders differ. An encoder that is not named
//! behaves like one that is.

use super::Pattern;
use percent_encoding::percent_encode_byte;
use std::fmt::Write as _;

/// How an encoder of JSON goes beyond what RFC 8259 asks for.
struct Json {
    /// The characters it writes as `\uXXXX` besides control characters.
    escaped: &'static str,
    /// Whether it writes `\/`.
    slash: bool,
    /// Whether it writes everything beyond ASCII as `\uXXXX`, in UTF-16.
    ascii: bool,
}

impl Json {
    const fn of(escaped: &'static str, slash: bool, ascii: bool) -> Self {
        Self { escaped, slash, ascii }
    }
}

/// The hex digits of escapes are in lower or upper case, or in upper case for [`Json::escaped`]
/// alone.
const JSON: [Json; 14] = [
    // JavaScript, Rust, Jackson, Ruby, jq, Python with ensure_ascii=False.
    MINIMAL,
    // Python, jq -a, Jackson with ESCAPE_NON_ASCII, PHP with JSON_UNESCAPED_SLASHES.
    Json::of("", false, true),
    // Swift, Lua, PHP with JSON_UNESCAPED_UNICODE.
    Json::of("", true, false),
    // PHP, Boost.
    Json::of("", true, true),
    // Go, Ruby on Rails.
    Json::of("<>&\u{2028}\u{2029}", false, false),
    // Django's json_script.
    Json::of("<>&", false, true),
    // Jinja's and Flask's tojson.
    Json::of("<>&'", false, true),
    // Gson.
    Json::of("<>&='\u{2028}\u{2029}", false, false),
    // Newtonsoft's EscapeHtml.
    Json::of("<>&'\"\u{85}\u{2028}\u{2029}", false, false),
    // .NET's System.Text.Json.
    Json::of("<>&'\"+`\u{7f}", false, true),
    // PHP with JSON_HEX_TAG, JSON_HEX_AMP, JSON_HEX_APOS and JSON_HEX_QUOT.
    Json::of("<>&'\"", true, true),
    // The same with JSON_HEX_TAG alone.
    Json::of("<>", true, true),
    // serialize-javascript, and HTML-safe encoders of JavaScript.
    Json::of("<>/\u{2028}\u{2029}", false, false),
    Json::of("<>&/\u{2028}\u{2029}", false, false),
];
const MINIMAL: Json = Json::of("", false, false);

/// Whether hex digits are in upper case, those of [`Json::escaped`] and all others.
#[derive(Clone, Copy, Default)]
struct Case {
    escaped: bool,
    others: bool,
}

/// The punctuation that encoders of URLs leave as it is.
const URL_KEPT: [&str; 11] = [
    // RFC 3986: Go's QueryEscape, curl, Python's quote(safe=''), PHP's rawurlencode.
    "-_.~",
    // Python's quote.
    "-_.~/",
    // JavaScript's encodeURIComponent.
    "-_.!~*'()",
    // JavaScript's encodeURI.
    "-_.!~*'();/?:@&=+$,#",
    // Forms by the URL Standard, Java's URLEncoder.
    "-_.*",
    // PHP's urlencode.
    "-_.",
    // .NET's UrlEncode.
    "-_.!*()",
    // Go's PathEscape.
    "-_.~$&+:=@",
    // Go's URL.EscapedPath.
    "-_.~$&+,/:;=@",
    // The URL Standard's userinfo, path and query.
    "!$%&'()*+,-._~",
    "!$%&'()*+,-./:;=@[\\]^_`{|}~?",
];

/// The forms of `"` and `'` in HTML and XML; `&`, `<` and `>` have one form everywhere.
const HTML_QUOTES: [(&str, &str); 7] = [
    // Text of an element.
    ("\"", "'"),
    ("&quot;", "'"),
    // XML.
    ("&quot;", "&apos;"),
    ("&quot;", "&#39;"),
    // Python, React.
    ("&quot;", "&#x27;"),
    // PHP.
    ("&quot;", "&#039;"),
    // Go, Jinja.
    ("&#34;", "&#39;"),
];

/// The characters that a shell or a language puts a backslash before, inside its own quotes.
const BACKSLASHED: [&str; 5] = [
    // bash's declare -p and export -p, and other double quotes of shells.
    "\\\"$`",
    // bash's printf %q.
    " \t'\"\\|&;()<>!{}*[]?^$`,",
    // repr of Python, inspect of Node.js.
    "\\",
    "\\'",
    "\\\"",
];

/// The patterns of a text that is one line, or one value, as encoders of these kinds write it.
pub fn of(unit: &str) -> Vec<Pattern> {
    if unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Vec::new();
    }
    let mut texts: Vec<String> = Vec::new();
    for case in [
        Case { escaped: false, others: false },
        Case { escaped: true, others: true },
        Case { escaped: true, others: false },
    ] {
        texts.extend(JSON.iter().map(|style| json(unit, style, case)));
    }
    // JSON inside a string of JSON, as in structured logs.
    let nested: Vec<String> = texts.iter().map(|text| json(text, &MINIMAL, Case::default())).collect();
    texts.extend(nested);
    for kept in URL_KEPT {
        let text = percent_encoded(unit, kept);
        texts.push(text.replace("%20", "+"));
        texts.push(with_lower_hex(&text));
        texts.push(with_lower_hex(&text).replace("%20", "+"));
        texts.push(text);
    }
    for (double, single) in HTML_QUOTES {
        let text = unit.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        texts.push(text.replace('"', double).replace('\'', single));
    }
    texts.extend(BACKSLASHED.iter().map(|special| backslashed(unit, special)));
    // Single quotes of shells: POSIX, and what Python's shlex and dash write.
    texts.push(unit.replace('\'', "'\\''"));
    texts.push(unit.replace('\'', "'\"'\"'"));
    texts.push(ansi_c(unit));
    texts.into_iter().filter(|text| text != unit).map(Pattern::exact).collect()
}

fn percent_encoded(unit: &str, kept: &str) -> String {
    let mut text = String::with_capacity(unit.len());
    for byte in unit.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(percent_encode_byte(byte));
        }
    }
    text
}

/// The text as it stands in a JSON string.
fn json(unit: &str, style: &Json, case: Case) -> String {
    let mut text = String::with_capacity(unit.len());
    for c in unit.chars() {
        let short = match c {
            '\u{8}' => Some("\\b"),
            '\t' => Some("\\t"),
            '\n' => Some("\\n"),
            '\u{c}' => Some("\\f"),
            '\r' => Some("\\r"),
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '/' if style.slash => Some("\\/"),
            _ => None,
        };
        let escaped = style.escaped.contains(c);
        let upper = if escaped { case.escaped } else { case.others };
        if escaped || (short.is_none() && (c < ' ' || (style.ascii && c > '~'))) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = if upper { write!(text, "\\u{unit:04X}") } else { write!(text, "\\u{unit:04x}") };
            }
        } else if let Some(short) = short {
            text.push_str(short);
        } else {
            text.push(c);
        }
    }
    text
}

fn backslashed(unit: &str, special: &str) -> String {
    let mut text = String::with_capacity(unit.len());
    for c in unit.chars() {
        if special.contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// The text between `$'` and `'`, as bash writes what its locale cannot print.
fn ansi_c(unit: &str) -> String {
    let mut text = String::with_capacity(unit.len());
    for byte in unit.bytes() {
        match byte {
            b'\\' | b'\'' => text.extend(['\\', char::from(byte)]),
            b'\t' => text.push_str("\\t"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b' '..=b'~' => text.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(text, "\\{byte:03o}")),
        }
    }
    text
}

/// With the hex digits of `%XX` in lower case.
fn with_lower_hex(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_found(value: &str, text: &str) {
        let patterns = of(value);
        let found = patterns.iter().any(|pattern| text.contains(std::str::from_utf8(&pattern.bytes).unwrap()));
        assert!(found, "{text}");
    }

    #[test]
    fn json_is_found_as_each_encoder_writes_it() {
        // The output of each for this value.
        let value = "a\u{e4}/<b>&'c'=\"+`\\\u{1f511}";
        for (encoder, text) in [
            ("JavaScript", r#"aä/<b>&'c'=\"+`\\🔑"#),
            ("Python", r#"a\u00e4/<b>&'c'=\"+`\\\ud83d\udd11"#),
            ("Jackson, ESCAPE_NON_ASCII", r#"a\u00E4/<b>&'c'=\"+`\\\uD83D\uDD11"#),
            ("PHP", r#"a\u00e4\/<b>&'c'=\"+`\\\ud83d\udd11"#),
            ("PHP, JSON_UNESCAPED_UNICODE", r#"aä\/<b>&'c'=\"+`\\🔑"#),
            ("PHP, JSON_HEX_*", r"a\u00e4\/\u003Cb\u003E\u0026\u0027c\u0027=\u0022+`\\\ud83d\udd11"),
            ("Go", r#"aä/\u003cb\u003e\u0026'c'=\"+`\\🔑"#),
            ("Django, json_script", r#"a\u00e4/\u003Cb\u003E\u0026'c'=\"+`\\\ud83d\udd11"#),
            ("Jinja", r#"a\u00e4/\u003cb\u003e\u0026\u0027c\u0027=\"+`\\\ud83d\udd11"#),
            ("Gson", r#"aä/\u003cb\u003e\u0026\u0027c\u0027\u003d\"+`\\🔑"#),
            ("Newtonsoft, EscapeHtml", r"aä/\u003cb\u003e\u0026\u0027c\u0027=\u0022+`\\🔑"),
            (".NET", r"a\u00E4/\u003Cb\u003E\u0026\u0027c\u0027=\u0022\u002B\u0060\\\uD83D\uDD11"),
            ("serialize-javascript", r#"aä\u002F\u003Cb\u003E&'c'=\"+`\\🔑"#),
            ("JSON in JSON", r#"aä/\\u003cb\\u003e\\u0026'c'=\\\"+`\\\\🔑"#),
        ] {
            println!("{encoder}");
            assert_found(value, text);
        }
        assert_found("a\u{1}b\u{1f}c\td\u{7f}", "a\\u0001b\\u001fc\\td\u{7f}");
        assert_found("a\u{1}b\u{1f}c\td\u{7f}", r"a\u0001b\u001Fc\td\u007F");
    }

    #[test]
    fn urls_are_found_as_each_encoder_writes_them() {
        let value = "p\u{e4}ss w\u{f6}rd/\"\\&=%~*(!')$,:@";
        for text in [
            "p%C3%A4ss%20w%C3%B6rd%2F%22%5C%26%3D%25~%2A%28%21%27%29%24%2C%3A%40",
            "p%c3%a4ss%20w%c3%b6rd%2f%22%5c%26%3d%25~%2a%28%21%27%29%24%2c%3a%40",
            "p%C3%A4ss+w%C3%B6rd%2F%22%5C%26%3D%25~%2A%28%21%27%29%24%2C%3A%40",
            "p%C3%A4ss%20w%C3%B6rd/%22%5C%26%3D%25~%2A%28%21%27%29%24%2C%3A%40",
            "p%C3%A4ss%20w%C3%B6rd%2F%22%5C%26%3D%25~*(!')%24%2C%3A%40",
            "p%C3%A4ss%20w%C3%B6rd/%22%5C&=%25~*(!')$,:@",
            "p%C3%A4ss+w%C3%B6rd%2F%22%5C%26%3D%25%7E*%28%21%27%29%24%2C%3A%40",
            "p%C3%A4ss+w%C3%B6rd%2F%22%5C%26%3D%25%7E%2A%28%21%27%29%24%2C%3A%40",
            "p%c3%a4ss+w%c3%b6rd%2f%22%5c%26%3d%25%7e*(!%27)%24%2c%3a%40",
            "p%C3%A4ss%20w%C3%B6rd%2F%22%5C&=%25~%2A%28%21%27%29$%2C:@",
        ] {
            assert_found(value, text);
        }
    }

    #[test]
    fn html_and_quoting_are_found() {
        let value = "it's <a> \"b\" & $c`\\";
        for text in [
            "it's &lt;a&gt; \"b\" &amp; $c`\\",
            "it&apos;s &lt;a&gt; &quot;b&quot; &amp; $c`\\",
            "it&#x27;s &lt;a&gt; &quot;b&quot; &amp; $c`\\",
            "it&#39;s &lt;a&gt; &#34;b&#34; &amp; $c`\\",
            "it'\\''s <a> \"b\" & $c`\\",
            "it'\"'\"'s <a> \"b\" & $c`\\",
            "it's <a> \\\"b\\\" & \\$c\\`\\\\",
            "it\\'s\\ \\<a\\>\\ \\\"b\\\"\\ \\&\\ \\$c\\`\\\\",
            "it\\'s <a> \"b\" & $c`\\\\",
        ] {
            assert_found(value, text);
        }
        assert_found("p\u{e4}'ss", "p\\303\\244\\'ss");
    }

    #[test]
    fn a_value_without_special_characters_has_no_other_pattern() {
        assert_eq!(of("sk_live_0123456789abcdef").len(), 0);
    }
}
