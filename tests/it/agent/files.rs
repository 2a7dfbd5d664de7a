//! Secrets as files; none stays behind.

use super::served::{KEY_VALUE, Served, run, until};
use crate::support::{Backend, World};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

async fn served() -> (World, Served) {
    let world = World::new(Backend::Sqlite).await;
    let served = Served::start(&world).await;
    (world, served)
}

/// A directory in memory, for one test's files.
fn in_memory() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o700)).tempdir_in("/dev/shm").unwrap()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

/// Starts a command that writes its file's path; gives both.
async fn start(mut command: Command) -> (Child, PathBuf) {
    tokio::task::spawn_blocking(move || {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, PathBuf::from(line.trim_end()))
    })
    .await
    .unwrap()
}

fn kill(what: &str) {
    assert!(Command::new("sh").args(["-c", &format!("kill {what}")]).status().unwrap().success(), "{what}");
}

both! {
    async fn a_file_is_its_owners_alone_in_memory_and_gone_at_the_end(world: World) {
        let served = Served::start(&world).await;
        let memory = in_memory();
        let script = "stat -c '%a %F' \"$KEY\" \"$(dirname \"$KEY\")\" \"$(dirname \"$(dirname \"$KEY\")\")\"; \
            stat -f -c %T \"$KEY\"; cat \"$KEY\"; echo \"${TOKEN-unset}\"; exit 3";
        for options in [&["--only", "KEY"][..], &["--only", "KEY", "--no-redact"]] {
            let mut command = served.exec(&[options, &["--file", "KEY=tls/key.pem"]].concat(), script);
            command.env("XDG_RUNTIME_DIR", memory.path());
            let ran = run(command).await;
            let head = "600 regular file\n700 directory\n700 directory\ntmpfs\n-----BEGIN KEY-----\n";
            assert!(ran.out.starts_with(head) && ran.out.ends_with("-----END KEY-----\nunset\n"), "{ran:?}");
            assert_eq!(ran.out.contains("first0line1of2it"), options.len() == 3);
            assert_eq!(ran.status, 3);
            assert!(is_empty(memory.path()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_is_left_however_the_command_ends() {
    let (_world, served) = served().await;
    let script = "echo \"$KEY\"; sleep 60";
    for signal in ["TERM", "INT", "HUP", "QUIT", "KILL"] {
        let memory = in_memory();
        let mut command = served.exec(&["--file", "KEY=key"], script);
        command.env("XDG_RUNTIME_DIR", memory.path());
        let (mut child, path) = start(command).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), KEY_VALUE, "{signal}");
        kill(&format!("-s {signal} {}", child.id()));
        child.wait().unwrap();
        until(signal, || is_empty(memory.path())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_is_left_when_the_whole_group_is_killed_at_once() {
    let (_world, served) = served().await;
    let memory = in_memory();
    let mut command = served.exec(&["--file", "KEY=key"], "echo \"$KEY\"; sleep 60");
    command.env("XDG_RUNTIME_DIR", memory.path()).process_group(0);
    let (mut child, path) = start(command).await;
    assert!(path.exists());
    kill(&format!("-s KILL -- -{}", child.id()));
    child.wait().unwrap();
    until("the files are gone", || is_empty(memory.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_is_left_when_it_is_killed_at_any_moment() {
    let (_world, served) = served().await;
    for milliseconds in (0..20).map(|n| n * 15) {
        let memory = in_memory();
        let mut command = served.exec(&["--file", "KEY=a/key", "--file", "TOKEN=b/token"], "sleep 60");
        command.env("XDG_RUNTIME_DIR", memory.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        until("the files are gone", || is_empty(memory.path())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_is_left_when_the_guardian_is_killed_first() {
    let (_world, served) = served().await;
    let memory = in_memory();
    let mut command = served.exec(&["--file", "KEY=key"], "echo \"$KEY\"; sleep 1");
    command.env("XDG_RUNTIME_DIR", memory.path());
    let (mut child, path) = start(command).await;
    assert!(path.exists());
    let guardian = format!("/proc/{0}/task/{0}/children", child.id());
    let children = std::fs::read_to_string(guardian).unwrap();
    let is_guardian =
        |id: &&str| std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.ends_with(b"guard-files\0"));
    kill(&format!("-s KILL {}", children.split_whitespace().find(is_guardian).unwrap()));
    child.wait().unwrap();
    assert!(is_empty(memory.path()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_and_a_place_open_to_others_are_refused() {
    let (_world, served) = served().await;
    let private = std::fs::Permissions::from_mode(0o700);
    let (memory, disk) = (in_memory(), tempfile::Builder::new().permissions(private).tempdir().unwrap());
    let file_in = |folder: &Path| format!("KEY={}", folder.join("key").display());
    let ran = run(served.exec(&["--file", &file_in(memory.path())], "cat \"$KEY\" | wc -l; echo \"$KEY\"")).await;
    assert_eq!(ran.out, format!("5\n{}\n", memory.path().join("key").display()));
    assert!(is_empty(memory.path()));

    std::fs::set_permissions(memory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let ran = run(served.exec(&["--file", &file_in(memory.path())], "true")).await;
    assert!(ran.status == 2 && ran.err.contains("chmod 700"), "{ran:?}");

    let on_tmpfs =
        Command::new("stat").args(["-f", "-c", "%T"]).arg(disk.path()).output().unwrap().stdout == b"tmpfs\n";
    if !on_tmpfs {
        let ran = run(served.exec(&["--file", &file_in(disk.path())], "true")).await;
        assert!(ran.status == 2 && ran.err.contains("--allow-disk"), "{ran:?}");
    }
    let ran = run(served.exec(&["--allow-disk", "--file", &file_in(disk.path())], "cat \"$KEY\" | wc -l")).await;
    assert_eq!((ran.out.as_str(), ran.status), ("5\n", 0), "{}", ran.err);
    assert!(is_empty(disk.path()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_already_is_neither_written_nor_removed() {
    let (_world, served) = served().await;
    let memory = in_memory();
    let path = memory.path().join("key");
    std::fs::write(&path, "mine").unwrap();
    let ran = run(served.exec(&["--file", &format!("KEY={}", path.display())], "true")).await;
    assert!(ran.status != 0 && ran.err.contains("exists"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    let mut command = served.exec(&["--file", "KEY=key"], "echo \"$KEY\"");
    command.env("KEY", "own");
    let ran = run(command).await;
    assert!(ran.out == "own\n" && ran.err.contains("KEY is set already"), "{ran:?}");
}
