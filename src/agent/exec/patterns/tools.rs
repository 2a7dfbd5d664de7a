//! Whether values are found in what tools really write: shells, Python and jq.

use super::super::matcher::Matcher;
use super::super::redact::Redactor;
use super::Patterns;
use proptest::prelude::*;
use secrecy::SecretString;
use std::process::Command;

/// Letters of values, which no output here has otherwise.
const LETTERS: [char; 5] = ['Q', 'Z', 'J', 'K', '\u{e9}'];

fn matcher(value: &str) -> Matcher {
    Matcher::new(Patterns::of([("N", &SecretString::from(value))])).unwrap()
}

fn redacted(matcher: &Matcher, output: &str) -> String {
    let mut redactor = Redactor::new(matcher);
    let mut out = Vec::new();
    output.as_bytes().chunks(5).for_each(|piece| redactor.push(piece, &mut out));
    redactor.finish(&mut out);
    String::from_utf8(out).unwrap()
}

/// Runs a script with these arguments; gives what it writes, split at NUL.
fn run(program: &str, options: &[&str], script: &str, locale: &str, arguments: &[String]) -> Vec<String> {
    let mut command = Command::new(program);
    command.args(options).args(["-c", script]);
    command.args((program != "python3").then_some("script")).args(arguments);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LC_ALL", locale).current_dir("/");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Nothing of the values is left in what a script writes about them, so many texts for each.
fn assert_none_left(values: &[String], outputs: &[String], each: usize) {
    assert_eq!(outputs.len(), values.len() * each);
    for (value, outputs) in values.iter().zip(outputs.chunks(each)) {
        let matcher = matcher(value);
        for output in outputs {
            let shown = redacted(&matcher, output);
            assert!(!shown.replace("[N]", "").contains(LETTERS), "{value:?} in {output:?} is shown as {shown:?}");
        }
    }
}

/// Values of one line: quotes, blanks, characters that shells, JSON and HTML know.
fn value() -> impl Strategy<Value = String> {
    let line = "[QZJK\u{e9}'\"\\\\$`!#~&<> \t=:,;{}()*?^|%+/@.-]{1,24}";
    let with_controls = "[QZJK'\"\\\\\u{1}\u{7}\u{8}\u{b}\u{c}\u{1b}\u{7f} \t]{6,20}";
    prop_oneof![
        4 => line.prop_map(|line| format!("QZJ{line}KZQ")),
        2 => line.prop_map(|line| format!("{line}QZJKQZJK{line}")),
        1 => with_controls.prop_map(|line| format!("QZJ{line}KZQ")),
    ]
}

/// Values of several lines, all of which are looked for one by one, or as a whole.
fn lines() -> impl Strategy<Value = String> {
    let long = proptest::collection::vec(value(), 2..5).prop_map(|lines| lines.join("\n"));
    let short = proptest::collection::vec("[QZJK'\"&$]{2,5}", 3..6).prop_map(|lines| lines.join("\n"));
    prop_oneof![long, short, "[QZJK]{8}".prop_map(|line| format!("{line}\n"))]
}

fn values() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(prop_oneof![3 => value(), 1 => lines()], 24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn as_bash_quotes(values in values(), is_utf8 in any::<bool>()) {
        let script = r#"for v; do
            export X=$v
            export -p; printf '\0'
            declare -p X; printf '\0'
            printf '%q\0' "$X"
            printf '%s\0' "${X@Q}"
            { set -x; : "$X"; { set +x; } 2> /dev/null; } 2>&1; printf '\0'
            set -f; echo $X; printf '\0'; set +f
            alias a="$X"; alias a; printf '\0'
        done"#;
        let outputs = run("bash", &["--norc"], script, if is_utf8 { "C.UTF-8" } else { "C" }, &values);
        assert_none_left(&values, &outputs, 7);
    }

    #[test]
    fn as_dash_quotes(values in values()) {
        let script = r#"for v; do
            export X="$v"
            export -p; printf '\0'
            { set -x; : "$X"; { set +x; } 2> /dev/null; } 2>&1; printf '\0'
            set | grep -a . ; printf '\0'
        done"#;
        let outputs = run("dash", &[], script, "C", &values);
        assert_none_left(&values, &outputs, 3);
    }

    #[test]
    fn as_python_escapes(values in values()) {
        let script = r"
import html, json, re, shlex, sys, urllib.parse, xml.sax.saxutils
for value in sys.argv[1:]:
    plain = json.dumps(value, ensure_ascii=False)
    for text in [
        html.escape(value), html.escape(value, quote=False),
        html.escape(value).encode('ascii', 'xmlcharrefreplace').decode(),
        xml.sax.saxutils.escape(value), xml.sax.saxutils.quoteattr(value),
        json.dumps(value), plain, json.dumps(json.dumps(value)), json.dumps(plain), json.dumps(plain, ensure_ascii=False),
        json.dumps(json.dumps(json.dumps({'a': value}))), json.dumps({'a': value}, indent=1),
        repr(value), shlex.quote(value), urllib.parse.quote(value), urllib.parse.quote_plus(value),
        value.strip(), value.replace('\n', '\r\n'), re.sub('[ \t\n]+', ' ', value).strip(' '),
    ]:
        sys.stdout.write(text + '\0')
";
        let outputs = run("python3", &[], script, "C.UTF-8", &values);
        assert_none_left(&values, &outputs, 19);
    }

    #[test]
    fn without_its_quotes(value in value(), quote in prop_oneof![Just('"'), Just('\'')]) {
        let quoted = format!("{quote}{value}{quote}\n");
        let matcher = matcher(&quoted);
        let shown = redacted(&matcher, &format!("{value}; {quoted}"));
        prop_assert!(!shown.replace("[N]", "").contains(LETTERS), "{}", shown);
        // What is around a value in JSON is no part of it.
        let frame = redacted(&matcher, &serde_json::json!({ "a": value.trim() }).to_string());
        prop_assert!(serde_json::from_str::<serde_json::Value>(&frame).is_ok(), "{}", frame);
    }
}

/// As `jq -r` prints the key of a service account, and as terminals show it.
#[test]
fn a_key_in_a_document_is_found_when_it_is_taken_out() {
    let key = "-----BEGIN PRIVATE KEY-----\nQZJKQZJKQZJK\nKZQJKZQJKZQJ\nQZJKQZ==\n-----END PRIVATE KEY-----\n";
    let account = serde_json::json!({ "type": "service_account", "project_id": "p-1", "private_key": key });
    for value in [account.to_string(), format!("{account:#}"), format!("'{account}'")] {
        let document = value.trim_matches('\'');
        let jq = Command::new("jq").args(["-rn", "--argjson", "a", document, "$a.private_key, $a"]).output();
        // Where there is no jq, what it prints.
        let printed = jq.map_or_else(|_| format!("{key}\n{account:#}\n"), |out| String::from_utf8(out.stdout).unwrap());
        assert!(printed.contains("QZJKQZ==\n"), "{printed}");
        let matcher = matcher(&value);
        for output in [printed.clone(), printed.replace('\n', "\r\n")] {
            let shown = redacted(&matcher, &output);
            assert!(!shown.contains(['Q', 'Z', 'J']) && shown.contains("-----BEGIN PRIVATE KEY-----"), "{shown}");
        }
    }
    let compact = account.to_string();
    // What is in the document and no secret is left alone.
    let text = "service_account of p-1; \"type\": \"service_account\"";
    assert_eq!(redacted(&matcher(&compact), text), text);
}

#[test]
fn a_value_of_short_lines_is_found_on_a_terminal() {
    for value in ["QZ\nJK\n'Z'", "\nQZ\nJK\n<K>\n", "QZ\r\nJK\r\nKQ"] {
        let lines = value.trim().replace('\r', "");
        for text in [lines.clone(), lines.replace('\n', "\r\n"), lines.replace('<', "&lt;").replace('>', "&gt;")] {
            let shown = redacted(&matcher(value), &format!("<{text}>\n"));
            assert_eq!(shown, "<[N]>\n", "{value:?}");
        }
    }
}
