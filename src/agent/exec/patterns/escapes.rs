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

/// How an encoder of HTML or XML writes what stands for something else there.
struct Html {
    /// `&`, `<` and `>`.
    markup: [&'static str; 3],
    /// `"` and `'`.
    quotes: [&'static str; 2],
    /// Other characters that it escapes.
    others: &'static [(char, &'static str)],
    /// How it writes characters beyond ASCII.
    beyond_ascii: BeyondAscii,
}

#[derive(Clone, Copy)]
enum BeyondAscii {
    /// As they are.
    Kept,
    /// `&#228;`
    Decimal,
    /// `&#xE4;`
    Hex,
}

impl Html {
    const fn of(quotes: [&'static str; 2], others: &'static [(char, &'static str)]) -> Self {
        Self { markup: ["&amp;", "&lt;", "&gt;"], quotes, others, beyond_ascii: BeyondAscii::Kept }
    }

    const fn beyond_ascii(self, beyond_ascii: BeyondAscii) -> Self {
        Self { beyond_ascii, ..self }
    }
}

const HTML: [Html; 22] = [
    // Text of an element.
    Html::of(["\"", "'"], &[]),
    Html::of(["\"", "'"], &[]).beyond_ascii(BeyondAscii::Decimal),
    // Attributes; PHP.
    Html::of(["&quot;", "'"], &[]),
    Html::of(["&quot;", "'"], &[]).beyond_ascii(BeyondAscii::Decimal),
    Html::of(["&quot;", "'"], &[('\n', "&#10;"), ('\r', "&#13;"), ('\t', "&#9;")]),
    Html::of(["\"", "'"], &[('\n', "&#10;"), ('\r', "&#13;"), ('\t', "&#9;")]),
    Html { markup: ["&amp;", "<", ">"], ..Html::of(["&quot;", "'"], &[]) },
    Html { markup: ["&amp;", "&lt;", ">"], ..Html::of(["&quot;", "'"], &[]) },
    Html { markup: ["&amp;", "&lt;", ">"], ..Html::of(["\"", "'"], &[]) },
    // XML.
    Html::of(["&quot;", "&apos;"], &[]),
    Html::of(["&quot;", "&#39;"], &[]),
    // .NET's WebUtility, for characters up to U+00FF.
    Html::of(["&quot;", "&#39;"], &[]).beyond_ascii(BeyondAscii::Decimal),
    // Python, React.
    Html::of(["&quot;", "&#x27;"], &[]),
    Html::of(["&quot;", "&#x27;"], &[]).beyond_ascii(BeyondAscii::Decimal),
    // PHP.
    Html::of(["&quot;", "&#039;"], &[]),
    // Go, Jinja; encoding/xml, html/template.
    Html::of(["&#34;", "&#39;"], &[('\n', "&#xA;"), ('\r', "&#xD;"), ('\t', "&#x9;")]),
    Html::of(["&#34;", "&#39;"], &[('+', "&#43;")]),
    // Askama, PHP's filter_var.
    Html { markup: ["&#38;", "&#60;", "&#62;"], ..Html::of(["&#34;", "&#39;"], &[]) },
    // Mustache, Handlebars, and what OWASP recommends.
    Html::of(["&quot;", "&#39;"], &[('/', "&#x2F;"), ('`', "&#x60;"), ('=', "&#x3D;")]),
    Html::of(["&quot;", "&#x27;"], &[('`', "&#x60;"), ('=', "&#x3D;")]),
    Html::of(["&quot;", "&#x27;"], &[('/', "&#x2F;")]),
    // .NET's HtmlEncoder.
    Html::of(["&quot;", "&#x27;"], &[('+', "&#x2B;"), ('`', "&#x60;")]).beyond_ascii(BeyondAscii::Hex),
];

/// The characters that bash's `declare -p` and `export -p` put a backslash before, and other double
/// quotes of shells.
const DOUBLE_QUOTED: &str = "\\\"$`";
/// The characters that bash's `printf %q` puts a backslash before.
const SHELL_SPECIAL: &str = " \t'\"\\|&;()<>!{}*[]?^$`,";
/// The characters that a language puts a backslash before, inside its own quotes: `repr` of Python,
/// `inspect` of Node.js.
const LANGUAGE_QUOTED: [&str; 3] = ["\\", "\\'", "\\\""];

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
    // JSON inside a string of JSON, as in structured logs and in the text of MCP's results: of any
    // encoder in the plainest one's, and the other way around. Deeper, only the first two.
    let plain = json(unit, &MINIMAL, Case::default());
    let mut nested: Vec<String> = texts.iter().map(|text| json(text, &MINIMAL, Case::default())).collect();
    nested.extend(JSON.iter().map(|style| json(&plain, style, Case::default())));
    let deeper: Vec<String> = nested[..2].iter().map(|text| json(text, &MINIMAL, Case::default())).collect();
    nested.extend(deeper);
    texts.extend(nested);
    for kept in URL_KEPT {
        let text = percent_encoded(unit, kept);
        texts.push(text.replace("%20", "+"));
        texts.push(with_lower_hex(&text));
        texts.push(with_lower_hex(&text).replace("%20", "+"));
        texts.push(text);
    }
    texts.extend(HTML.iter().map(|style| html(unit, style)));
    texts.extend(LANGUAGE_QUOTED.iter().map(|special| language_quoted(unit, special)));
    texts.push(backslashed(unit, |_, c| DOUBLE_QUOTED.contains(c)));
    texts.push(backslashed(unit, |before, c| match c {
        '#' => before.is_none(),
        '~' => before.is_none_or(|before| before == '=' || before == ':'),
        _ => SHELL_SPECIAL.contains(c),
    }));
    // Single quotes of shells: bash's, those of Python's shlex, and dash's.
    texts.push(unit.replace('\'', "'\\''"));
    texts.push(single_quoted(unit, |quotes| vec!["\"'\""; quotes].join("''")));
    let grouped = single_quoted(unit, |quotes| format!("\"{}\"", "'".repeat(quotes)));
    // More quotes, around a value that was stored with them, are in the same group.
    let open = grouped.strip_prefix('"').filter(|_| unit.starts_with('\'')).unwrap_or(&grouped);
    let open = open.strip_suffix('"').filter(|_| unit.ends_with('\'')).unwrap_or(open);
    texts.extend((open != grouped).then(|| open.to_owned()));
    texts.push(grouped);
    texts.push(ansi_c(unit, true));
    texts.push(ansi_c(unit, false));
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

/// The text as it stands in HTML or XML.
fn html(unit: &str, style: &Html) -> String {
    let mut text = String::with_capacity(unit.len());
    for c in unit.chars() {
        let other = || style.others.iter().find(|(other, _)| *other == c).map(|(_, escape)| *escape);
        match c {
            '&' => text.push_str(style.markup[0]),
            '<' => text.push_str(style.markup[1]),
            '>' => text.push_str(style.markup[2]),
            '"' => text.push_str(style.quotes[0]),
            '\'' => text.push_str(style.quotes[1]),
            _ => match (other(), style.beyond_ascii) {
                (Some(escape), _) => text.push_str(escape),
                // Writing to a string does not fail.
                (None, BeyondAscii::Decimal) if !c.is_ascii() => drop(write!(text, "&#{};", u32::from(c))),
                (None, BeyondAscii::Hex) if !c.is_ascii() => drop(write!(text, "&#x{:X};", u32::from(c))),
                _ => text.push(c),
            },
        }
    }
    text
}

/// The text with a backslash before some characters, which also depend on the one before.
fn backslashed(unit: &str, is_special: impl Fn(Option<char>, char) -> bool) -> String {
    let mut text = String::with_capacity(unit.len());
    let mut before = None;
    for c in unit.chars() {
        if is_special(before, c) {
            text.push('\\');
        }
        text.push(c);
        before = Some(c);
    }
    text
}

/// The text between a language's quotes.
fn language_quoted(unit: &str, special: &str) -> String {
    let mut text = String::with_capacity(unit.len());
    for c in unit.chars() {
        match c {
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            // Writing to a string does not fail.
            _ if c.is_ascii_control() => drop(write!(text, "\\x{:02x}", u32::from(c))),
            _ => {
                text.extend(special.contains(c).then_some('\\'));
                text.push(c);
            }
        }
    }
    text
}

/// The text between a shell's single quotes, which end before quotes in the text and begin again
/// after them. At the ends of the text, shells differ in whether there are any.
fn single_quoted(unit: &str, escape: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(unit.len());
    let mut rest = unit;
    while let Some(at) = rest.find('\'') {
        let (before, quotes) = rest.split_at(at);
        text.push_str(before);
        rest = quotes.trim_start_matches('\'');
        text.extend((!text.is_empty()).then_some('\''));
        text.push_str(&escape(quotes.len() - rest.len()));
        text.extend((!rest.is_empty()).then_some('\''));
    }
    text.push_str(rest);
    text
}

/// The text between `$'` and `'`, as bash writes what is not printed; where its locale is not
/// UTF-8, that is everything beyond ASCII.
fn ansi_c(unit: &str, is_utf8: bool) -> String {
    let mut text = String::with_capacity(unit.len());
    for c in unit.chars() {
        match c {
            '\\' | '\'' => text.extend(['\\', c]),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{b}' => text.push_str("\\v"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            '\u{1b}' => text.push_str("\\E"),
            ' '..='~' => text.push(c),
            _ if is_utf8 && !c.is_control() => text.push(c),
            _ => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a string does not fail.
                    let _ = write!(text, "\\{byte:03o}");
                }
            }
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
        assert_found("p\u{e4}'ss\u{1b}", "p\u{e4}\\'ss\\E");
    }

    #[test]
    fn a_value_without_special_characters_has_no_other_pattern() {
        assert_eq!(of("sk_live_0123456789abcdef").len(), 0);
    }
}
