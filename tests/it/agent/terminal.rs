//! `exec` on a terminal.

use super::served::{Served, TOKEN_VALUE, program};
use crate::support::{Backend, World};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read as _, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A program on a terminal.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    pieces: Receiver<Vec<u8>>,
    shown: String,
}

impl Terminal {
    fn start(served: &Served, script: &str) -> Self {
        let size = PtySize { rows: 33, cols: 77, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program(&[]).get_program());
        command.args(["exec", "--only", "TOKEN", "--", "sh", "-c", script]);
        command.env_clear();
        for (name, value) in served.program(&[]).get_envs() {
            command.env(name, value.unwrap());
        }
        command.cwd("/");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let (sender, pieces) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { master: pair.master, child, keys, pieces, shown: String::new() }
    }

    /// Waits until it shows something.
    fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.shown.contains(text) {
            let left = until.saturating_duration_since(Instant::now());
            let piece = self.pieces.recv_timeout(left);
            let piece = piece.unwrap_or_else(|_| panic!("{text:?} is not in {:?}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    /// Waits for its end; gives its status.
    fn end(&mut self) -> u32 {
        let status = self.child.wait().unwrap();
        while let Ok(piece) = self.pieces.recv_timeout(Duration::from_millis(200)) {
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
        status.exit_code()
    }
}

async fn on_terminal(script: &str, test: impl FnOnce(Terminal) + Send + 'static) {
    let world = World::new(Backend::Sqlite).await;
    let served = Served::start(&world).await;
    let terminal = Terminal::start(&served, script);
    tokio::task::spawn_blocking(move || test(terminal)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_has_a_terminal_of_its_own_that_is_redacted() {
    let script = "test -t 0 && test -t 1 && test -t 2 && echo terminal; stty size; echo \"$TOKEN\"; read line; \
        echo \"got $line\"; exit 9";
    on_terminal(script, |mut terminal| {
        terminal.wait_for("[TOKEN]");
        terminal.keys.write_all(format!("typed {TOKEN_VALUE}\r").as_bytes()).unwrap();
        terminal.wait_for("got typed [TOKEN]");
        assert_eq!(terminal.end(), 9);
        assert!(terminal.shown.starts_with("terminal\r\n33 77\r\n[TOKEN]\r\n"), "{:?}", terminal.shown);
        assert!(!terminal.shown.contains(TOKEN_VALUE), "{:?}", terminal.shown);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_size_of_the_window_is_followed() {
    on_terminal("trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done", |mut terminal| {
        terminal.wait_for("ready");
        terminal.master.resize(PtySize { rows: 20, cols: 50, pixel_width: 0, pixel_height: 0 }).unwrap();
        terminal.wait_for("20 50");
        terminal.keys.write_all(b"\x03").unwrap();
        assert_eq!(terminal.end(), 130);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_the_commands_and_a_prompt_shows_at_once() {
    // The prompt ends as the value begins.
    let script = "stty -echo; printf 'Name: g'; read line; stty echo; echo; trap 'echo caught; exit 4' INT; \
        echo waiting; while :; do sleep 0.05; done";
    on_terminal(script, |mut terminal| {
        terminal.wait_for("Name: g");
        terminal.keys.write_all(b"hidden\r").unwrap();
        terminal.wait_for("waiting");
        assert!(!terminal.shown.contains("hidden"), "{:?}", terminal.shown);
        terminal.keys.write_all(b"\x03").unwrap();
        terminal.wait_for("caught");
        assert_eq!(terminal.end(), 4);
    })
    .await;
}
