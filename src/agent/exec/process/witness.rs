//! Telling a signal to `exec` from one to its whole process group.
//!
//! Without a terminal of its own the command is in the process group of `exec`. A signal to that
//! group reaches both, and must not be passed on a second time; the system does not say to whom a
//! signal was sent. A witness, a process of the same group that nobody else sends signals to, does.

use super::helper::Helper;
use super::signals::{Incoming, Sent, is_first_process};
use crate::agent::Result;
use crate::command::CommandFailure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::Duration;

/// A signal to a group reaches its members one after the other, without a pause.
const DELIVERY: Duration = Duration::from_millis(2);
/// How long to wait for the witness. Without its answer a signal is passed on.
const ANSWER: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
/// Ends an answer; no signal has this number.
const END: u8 = 0;
/// Asks which signals there were.
const QUESTION: u8 = b'?';
/// Names the command, whose number follows.
const COMMAND: u8 = b'c';
/// Says that the command has ended.
const ENDED: u8 = b'e';

/// The witness of this process' group.
pub struct Witness {
    process: Child,
    questions: Option<PipeWriter>,
    answers: PipeReader,
}

impl Witness {
    /// Starts it.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn start() -> io::Result<Self> {
        let (asked, questions) = io::pipe()?;
        let (answers, answer) = io::pipe()?;
        let mut command = Helper::Witness.command();
        let process = command.stdin(Stdio::from(asked)).stdout(Stdio::from(answer)).spawn()?;
        Ok(Self { process, questions: Some(questions), answers })
    }

    /// Tells it which process the command is. Should this process be killed, the witness kills the
    /// command: the kernel does not do it for one that has changed its user.
    pub fn watch(&mut self, command: Pid) {
        if let Some(questions) = &mut self.questions {
            let [a, b, c, d] = command.as_raw_nonzero().get().to_ne_bytes();
            // A witness that is gone is noticed at the next question.
            let _ = questions.write_all(&[COMMAND, a, b, c, d]);
        }
    }

    /// Takes out the signals that were sent to the group.
    pub fn sort_out(&mut self, sent: &mut Vec<Sent>) {
        std::thread::sleep(DELIVERY);
        let mut seen = self.ask().unwrap_or_default();
        sent.retain(|sent| match seen.iter().position(|number| i32::from(*number) == sent.number) {
            Some(place) => {
                seen.swap_remove(place);
                false
            }
            None => true,
        });
    }

    /// The signals that the witness was sent since the last call. Once it has failed to answer it
    /// is not asked again: late answers would be taken for those to the next question.
    fn ask(&mut self) -> io::Result<Vec<u8>> {
        let Some(mut questions) = self.questions.take() else { return Ok(Vec::new()) };
        let seen = self.ask_on(&mut questions)?;
        self.questions = Some(questions);
        Ok(seen)
    }

    fn ask_on(&mut self, questions: &mut PipeWriter) -> io::Result<Vec<u8>> {
        questions.write_all(&[QUESTION])?;
        let mut seen = Vec::new();
        loop {
            if retry_on_intr(|| poll(&mut [PollFd::new(&self.answers, PollFlags::IN)], Some(&ANSWER)))? == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut number = [0];
            self.answers.read_exact(&mut number)?;
            match number {
                [END] => return Ok(seen),
                [number] => seen.push(number),
            }
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It may not even have begun, and nobody is to wait for that. The first process of a
        // container may have waited for it already, so that its number is another's.
        if !is_first_process() {
            let _ = self.process.kill();
        } else if let Some(mut questions) = self.questions.take() {
            let _ = questions.write_all(&[ENDED]);
        }
        let _ = self.process.wait();
    }
}

/// The witness: says at each question which signals it was sent.
///
/// # Errors
/// When it cannot be asked.
pub fn witness() -> Result {
    let run = || {
        let mut incoming = Incoming::block()?;
        super::descriptors::close_inherited();
        let (mut told, mut out) = (io::stdin().lock(), io::stdout());
        let mut command = None;
        let mut letter = [0];
        while told.read(&mut letter)? == 1 {
            match letter {
                [QUESTION] => {
                    let mut seen = Vec::new();
                    while let Some(sent) = incoming.next()? {
                        seen.extend((!sent.by_kernel).then(|| u8::try_from(sent.number).ok()).flatten());
                    }
                    seen.push(END);
                    out.write_all(&seen)?;
                    out.flush()?;
                }
                [COMMAND] => {
                    let mut number = [0; 4];
                    told.read_exact(&mut number)?;
                    let process = Pid::from_raw(i32::from_ne_bytes(number));
                    command = process.and_then(|process| pidfd_open(process, PidfdFlags::empty()).ok());
                }
                _ => return Ok(()),
            }
        }
        if let Some(command) = command {
            let _ = pidfd_send_signal(command, Signal::KILL);
        }
        Ok(())
    };
    run().map_err(|error: io::Error| CommandFailure::Runtime(error).into())
}
