//! `exec` between a client of MCP and a server that speaks it on its standard streams: one frame of
//! JSON-RPC a line.

use super::served::{KEY_VALUE, PASSWORD_VALUE, Served, TOKEN_VALUE, run};
use crate::support::{Backend, World};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FRAMES: usize = 10_000;

/// A server that answers each frame with the same.
const ECHO: &str = "
import sys
for frame in sys.stdin.buffer:
    sys.stdout.buffer.write(frame)
    sys.stdout.buffer.flush()
";

/// A server that answers with the values of its variables, in a result, in a text that is JSON, and
/// in a text of that.
const TELL: &str = "
import json, os
password, key, token = (os.environ[name] for name in ['PASSWORD', 'KEY', 'TOKEN'])
for is_ascii in [True, False]:
    dump = lambda value: json.dumps(value, ensure_ascii=is_ascii)
    text = dump({'password': password, 'key': key, 'token': token})
    for result in [password, key, token, {'all': [password + key]}, {'text': text}, {'text': dump({'text': text})}]:
        print(dump({'jsonrpc': '2.0', 'id': 1, 'result': result}), flush=True)
";

/// Frames of many sizes, with text of all kinds.
fn frame(number: usize) -> String {
    let text = "it's \"quoted\" \\ \u{fc}\u{1f511} \u{1b}[0m\n".repeat(if number.is_multiple_of(500) {
        5_000
    } else {
        number % 40
    });
    let mut frame = json!({ "jsonrpc": "2.0", "id": number, "method": "echo", "params": { "text": text } }).to_string();
    frame.push('\n');
    frame
}

/// Sends each frame when the one before has come back; gives the time that half of them took at
/// most.
fn exchange(mut server: Command) -> Duration {
    let mut server = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut requests = server.stdin.take().unwrap();
    let mut answers = BufReader::new(server.stdout.take().unwrap());
    let mut times = Vec::new();
    for number in 0..FRAMES {
        let frame = frame(number);
        let began = Instant::now();
        let sender = std::thread::scope(|scope| {
            let sent = scope.spawn(|| requests.write_all(frame.as_bytes()));
            let mut answer = String::new();
            answers.read_line(&mut answer).unwrap();
            times.push(began.elapsed());
            assert!(answer == frame, "frame {number} came back as {answer}");
            sent.join().unwrap()
        });
        sender.unwrap();
    }
    drop(requests);
    assert!(server.wait().unwrap().success());
    times.sort_unstable();
    times[FRAMES / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_pass_byte_for_byte_and_none_waits_for_the_next() {
    let world = World::new(Backend::Sqlite).await;
    let served = Served::start(&world).await;
    let command = served.program(&["exec", "--", "python3", "-c", ECHO]);
    let median = tokio::task::spawn_blocking(move || exchange(command)).await.unwrap();
    // Its part is far below; a wait for more to come would be above.
    assert!(median < Duration::from_millis(20), "{median:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redacted_frame_is_still_json() {
    let world = World::new(Backend::Sqlite).await;
    let served = Served::start(&world).await;
    let ran = run(served.program(&["exec", "--", "python3", "-c", TELL])).await;
    let frames: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(frames.len(), 12, "{ran:?}");
    let key = "-----BEGIN KEY-----\n[KEY]\nshort\n[KEY]\n-----END KEY-----\n";
    for frames in frames.chunks(6) {
        let results: Vec<&Value> = frames.iter().map(|frame| &frame["result"]).collect();
        assert_eq!(
            results[..4],
            [&json!("[PASSWORD]"), &json!(key), &json!("[TOKEN]"), &json!({ "all": [format!("[PASSWORD]{key}")] })]
        );
        let text = results[4]["text"].as_str().unwrap();
        let told = json!({ "password": "[PASSWORD]", "key": key, "token": "[TOKEN]" });
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), told);
        let deeper: Value = serde_json::from_str(results[5]["text"].as_str().unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(deeper["text"].as_str().unwrap()).unwrap(), told);
    }
    for secret in [TOKEN_VALUE, PASSWORD_VALUE, KEY_VALUE.lines().nth(1).unwrap()] {
        assert!(!ran.out.contains(secret));
    }
}
