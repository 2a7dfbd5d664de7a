//! `exec` on a terminal.

use super::screen::Screen;
use super::served::{Served, TOKEN_VALUE, program};
use crate::support::{Backend, World};
use portable_pty::{CommandBuilder, PtySize};
use std::time::Duration;

/// `exec` on a terminal.
struct Terminal(Screen);

impl Terminal {
    fn start(served: &Served, script: &str) -> Self {
        let mut command = CommandBuilder::new(program(&[]).get_program());
        command.args(["exec", "--only", "TOKEN", "--", "sh", "-c", script]);
        let client = served.program(&[]);
        let variables = client.get_envs().map(|(name, value)| (name, value.unwrap()));
        Self(Screen::start(command, variables, 77))
    }

    /// Waits until it shows something.
    fn wait_for(&mut self, text: &str) {
        let is_there = self.0.shows(Duration::from_secs(20), |shown| shown.contains(text));
        assert!(is_there, "{text:?} is not in {:?}", self.0.shown);
    }

    /// Waits for its end; gives its status.
    fn end(&mut self) -> u32 {
        let status = self.0.child.wait().unwrap();
        while let Ok(piece) = self.0.pieces.recv_timeout(Duration::from_millis(200)) {
            self.0.shown.push_str(&String::from_utf8_lossy(&piece));
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
        terminal.0.types(format!("typed {TOKEN_VALUE}\r").as_bytes());
        terminal.wait_for("got typed [TOKEN]");
        assert_eq!(terminal.end(), 9);
        assert!(terminal.0.shown.starts_with("terminal\r\n33 77\r\n[TOKEN]\r\n"), "{:?}", terminal.0.shown);
        assert!(!terminal.0.shown.contains(TOKEN_VALUE), "{:?}", terminal.0.shown);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_size_of_the_window_is_followed() {
    on_terminal("trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done", |mut terminal| {
        terminal.wait_for("ready");
        terminal.0.master.resize(PtySize { rows: 20, cols: 50, pixel_width: 0, pixel_height: 0 }).unwrap();
        terminal.wait_for("20 50");
        terminal.0.types(b"\x03");
        // As the command did, so that a script around it ends as well.
        let status = terminal.0.child.wait().unwrap();
        assert_eq!(status.signal(), Some("Interrupt"), "{status:?}");
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
        terminal.0.types(b"hidden\r");
        terminal.wait_for("waiting");
        assert!(!terminal.0.shown.contains("hidden"), "{:?}", terminal.0.shown);
        terminal.0.types(b"\x03");
        terminal.wait_for("caught");
        assert_eq!(terminal.end(), 4);
    })
    .await;
}
