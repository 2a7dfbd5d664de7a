//! A program on a terminal, as a person sees it.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read as _, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The program, and what it has shown. Dropped, it ends as when somebody closes the window.
pub struct Screen {
    pub master: Box<dyn MasterPty + Send>,
    pub child: Box<dyn Child + Send + Sync>,
    pub keys: Box<dyn Write + Send>,
    pub pieces: Receiver<Vec<u8>>,
    pub shown: String,
}

impl Screen {
    /// Starts a program with these variables alone, on a terminal of 33 rows.
    pub fn start<S: AsRef<std::ffi::OsStr>>(
        mut command: CommandBuilder,
        variables: impl IntoIterator<Item = (S, S)>,
        columns: u16,
    ) -> Self {
        let size = PtySize { rows: 33, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        command.env_clear();
        for (name, value) in variables {
            command.env(name, value);
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

    /// Whether what it shows becomes so within some time.
    pub fn shows(&mut self, limit: Duration, is_so: impl Fn(&str) -> bool) -> bool {
        let until = Instant::now() + limit;
        while !is_so(&self.shown) {
            // Also when it shows ever more: what has come already would be received for ever.
            let left = until.checked_duration_since(Instant::now());
            let Some(Ok(piece)) = left.map(|left| self.pieces.recv_timeout(left)) else { return false };
            self.shown.push_str(&String::from_utf8_lossy(&piece));
            // All of a flood, so that it is looked at seldom.
            while let Ok(piece) = self.pieces.try_recv() {
                self.shown.push_str(&String::from_utf8_lossy(&piece));
            }
        }
        true
    }

    /// Types something.
    pub fn types(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
