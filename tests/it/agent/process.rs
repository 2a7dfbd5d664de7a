//! `exec` as a process: signals, exit statuses, streams, and what other processes on the machine
//! can read of it.

use super::served::{Served, TOKEN_VALUE, run, until};
use crate::support::{Backend, World};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

async fn served() -> (World, Served) {
    let world = World::new(Backend::Sqlite).await;
    let served = Served::start(&world).await;
    (world, served)
}

/// Starts it, and waits for its first line.
async fn start(mut command: Command) -> (Child, BufReader<std::process::ChildStdout>) {
    tokio::task::spawn_blocking(move || {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        (child, out)
    })
    .await
    .unwrap()
}

fn kill(signal: &str, process: u32) {
    assert!(Command::new("sh").args(["-c", &format!("kill -s {signal} {process}")]).status().unwrap().success());
}

fn wait(mut child: Child) -> i32 {
    child.wait().unwrap().code().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_status_is_the_commands() {
    let (_world, served) = served().await;
    for (script, status) in
        [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("exit 255", 255)]
    {
        for options in [&[][..], &["--no-redact"]] {
            let ran = run(served.exec(options, script)).await;
            assert_eq!(ran.status, status, "{script} {options:?}: {}", ran.err);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not executable").unwrap();
    for (program, status) in [
        ("no-such-command", 127),
        ("/no/such/command", 127),
        (file.to_str().unwrap(), 126),
        (folder.path().to_str().unwrap(), 126),
    ] {
        for redact in [&["exec", "--"][..], &["exec", "--no-redact", "--"]] {
            let ran = run(served.program(&[redact, &[program]].concat())).await;
            assert_eq!((ran.out.as_str(), ran.status), ("", status), "{program}: {}", ran.err);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_reach_the_command() {
    let (_world, served) = served().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready").display().to_string();
    // A shell that is about to run its last command loses an INT, so that command tells when it runs.
    let told_by_the_last = format!("ulimit -c 0; echo ready >'{file}'; exec tail -f '{file}'");
    for (signal, status) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("QUIT", 131)] {
        let (child, _out) = start(served.exec(&[], &told_by_the_last)).await;
        kill(signal, child.id());
        assert_eq!(wait(child), status, "{signal}");
    }
    // A command that handles a signal ends as it likes.
    let trap = "trap 'echo got; exit 5' USR1; echo ready; while :; do sleep 0.05; done";
    let (child, mut out) = start(served.exec(&[], trap)).await;
    kill("USR1", child.id());
    assert_eq!(wait(child), 5);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "got\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_input_is_the_commands() {
    let (_world, served) = served().await;
    let mut command = served.exec(&[], "cat; echo \"$TOKEN\"");
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("typed {TOKEN_VALUE}\n").as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    assert_eq!(String::from_utf8(output.await.unwrap().stdout).unwrap(), "typed [TOKEN]\n[TOKEN]\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_leaves_running_keeps_nobody_waiting() {
    let (_world, served) = served().await;
    let began = std::time::Instant::now();
    let ran = run(served.exec(&[], "sleep 30 & echo done; seq 1 20000 | tail -n 1")).await;
    assert_eq!((ran.out.as_str(), ran.status), ("done\n20000\n", 0));
    assert!(began.elapsed().as_secs() < 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_streams_into_one_place_keep_their_order() {
    let (_world, served) = served().await;
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("out")).unwrap();
    let mut command = served.exec(&["--only", "TOKEN"], "for n in 1 2 3; do echo out$n; echo err$n >&2; done");
    command.stdout(file.try_clone().unwrap()).stderr(file);
    tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();
    let text = std::fs::read_to_string(folder.path().join("out")).unwrap();
    assert_eq!(text, "out1\nerr1\nout2\nerr2\nout3\nerr3\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_token_nor_value_stands_in_the_parents_environment() {
    let (_world, served) = served().await;
    for options in [&[][..], &["--file", "TOKEN=token"]] {
        let (child, _out) = start(served.exec(options, "echo ready; sleep 60")).await;
        let read = |what: &str| std::fs::read(format!("/proc/{}/{what}", child.id()));
        for what in ["environ", "cmdline"] {
            // Somebody who is not root may not even look.
            let bytes = read(what).unwrap_or_default();
            for secret in [served.runtime().as_bytes(), TOKEN_VALUE.as_bytes()] {
                assert!(!bytes.windows(secret.len()).any(|found| found == secret), "{what}");
            }
        }
        kill("TERM", child.id());
        assert_eq!(wait(child), 143);
    }
}

/// Another user, when the tests run as root; nobody's files are hidden from root.
const SOMEBODY: &str = "nobody";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_of_the_same_user_can_neither_read_nor_trace_it() {
    let (_world, served) = served().await;
    let folder = tempfile::Builder::new().permissions(open_to_all()).tempdir().unwrap();
    let copy = folder.path().join("project-vault");
    std::fs::copy(assert_cmd::cargo::cargo_bin("project-vault"), &copy).unwrap();
    let root = rustix::process::geteuid().is_root();
    let as_somebody = |args: &[&str]| {
        let mut command = Command::new(if root { "setpriv" } else { "env" });
        if root {
            command.args(["--reuid", SOMEBODY, "--clear-groups", "--"]);
        }
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
        command
    };
    // A program that its user may not read cannot write to its own memory through /proc either: the
    // other way of keeping the token out of the environment.
    for mode in [0o755, 0o711] {
        std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let mut command = as_somebody(&[copy.to_str().unwrap(), "exec", "--", "sh", "-c", "echo ready; sleep 60"]);
        command.env("PROJECT_VAULT_URL", &served.url).env("PROJECT_VAULT_TOKEN", served.runtime());
        command.env("PROJECT_VAULT_PROJECT", "demo").env("PROJECT_VAULT_AGENT", "builder");
        let (child, _out) = start(command).await;
        for what in ["environ", "mem", "maps", "exe"] {
            let path = format!("/proc/{}/{what}", child.id());
            let look = if what == "exe" { vec!["readlink", &path] } else { vec!["head", "-c", "1", &path] };
            let ran = run(as_somebody(&look)).await;
            assert!(ran.status != 0 && ran.out.is_empty(), "{what}: {ran:?}");
        }
        // Only root reads something here.
        let environment = std::fs::read(format!("/proc/{}/environ", child.id())).unwrap_or_default();
        let token = served.runtime();
        assert!(!environment.windows(token.len()).any(|found| found == token.as_bytes()), "{mode:o}");
        kill("TERM", child.id());
        until("the command is gone", || {
            !Path::new(&format!("/proc/{}/status", child.id())).exists() || has_ended(child.id())
        })
        .await;
        assert_eq!(wait(child), 143);
    }
}

fn has_ended(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn open_to_all() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o755)
}
