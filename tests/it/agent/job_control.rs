//! A command cannot tell that `exec` runs it on a terminal either: what a person does in an
//! interactive shell has the same outcome three ways.

use super::alike::{WAYS, differences, patiently, prepare};
use super::screen::Screen;
use super::served::Served;
use crate::support::{Backend, World};
use portable_pty::{CommandBuilder, PtySize};
use std::time::Duration;

/// An interactive bash on a terminal.
struct Shell(Screen);

impl Shell {
    fn start(variables: &[(String, String)]) -> Self {
        let mut command = CommandBuilder::new("bash");
        command.args(["--norc", "--noprofile", "-i"]);
        let own = [("PS1", "$ "), ("TERM", "dumb"), ("HISTFILE", "/dev/null")];
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(own);
        let mut shell = Self(Screen::start(command, variables, 177));
        assert!(shell.shows("$ "), "no prompt: {:?}", shell.0.shown);
        shell
    }

    /// Types something; what was shown before is forgotten.
    fn types(&mut self, keys: &str) {
        while self.0.pieces.try_recv().is_ok() {}
        self.0.shown.clear();
        self.0.types(keys.as_bytes());
    }

    /// Whether it shows a text within some time.
    fn shows(&mut self, text: &str) -> bool {
        self.shows_within(text, Duration::from_secs(8))
    }

    fn shows_within(&mut self, text: &str, limit: Duration) -> bool {
        self.0.shows(limit, |shown| shown.replace('\r', "").contains(text))
    }
}

/// What a person does.
enum Step {
    /// Types a line of bash, in which `{}` is where a command begins.
    Line(&'static str),
    /// Types keys.
    Keys(&'static str),
    /// Sees a text. Lines are echoed: a text that is typed in pieces is not taken for its result.
    Sees(&'static str),
    /// Makes the window another size.
    Resizes(u16, u16),
    /// Does not see a text for half a second.
    Never(&'static str),
    /// Waits for a third of a second.
    Waits,
}

use Step::{Keys, Line, Never, Resizes, Sees, Waits};

const SCENES: &[(&str, &[Step])] = &[
    (
        "all three streams are terminals",
        &[Line("{}sh -c 'test -t 0 && test -t 1 && test -t 2 && echo te''rminals'"), Sees("terminals")],
    ),
    (
        "so are those that are left",
        &[
            Line(
                "{}sh -c 'test -t 0; echo i''n=$? >&2; test -t 1; echo o''ut=$? >&2; test -t 2; echo e''rr=$? >&2' | cat",
            ),
            Sees("in=0"),
            Sees("out=1"),
            Sees("err=0"),
            Line("echo | {}sh -c 'test -t 0; echo i''n=$?; test -t 1; echo o''ut=$?; test -t 2; echo e''rr=$?'"),
            Sees("in=1"),
            Sees("out=0"),
            Sees("err=0"),
            Line(
                "{}sh -c 'test -t 0; echo i''n=$?; test -t 1; echo o''ut=$?; test -t 2; echo e''rr=$?' 2>/dev/null </dev/null",
            ),
            Sees("in=1"),
            Sees("out=0"),
            Sees("err=1"),
        ],
    ),
    ("the size is the window's", &[Line("{}stty size"), Sees("33 177")]),
    (
        "the window's size is followed",
        &[
            Line("{}sh -c 'trap \"stty size\" WINCH; echo rea''dy; while :; do sleep 0.05; done'"),
            Sees("ready"),
            Resizes(20, 50),
            Sees("20 50"),
            Keys("\x03"),
            Sees("$ "),
        ],
    ),
    (
        "Ctrl-C ends the command",
        &[
            Line("{}sh -c 'echo rea''dy; sleep 50'; echo st''atus=$?"),
            Sees("ready"),
            Waits,
            Keys("\x03"),
            Waits,
            Line("echo o''n"),
            Sees("on"),
        ],
    ),
    (
        "Ctrl-C can be caught",
        &[
            Line(
                "{}sh -c 'trap \"echo cau''ght; exit 4\" INT; echo rea''dy; while :; do sleep 0.05; done'; echo st''atus=$?",
            ),
            Sees("ready"),
            Waits,
            Keys("\x03"),
            Sees("caught"),
            Sees("status=4"),
        ],
    ),
    (
        "Ctrl-\\ ends the command",
        &[
            Line("ulimit -c 0; {}sh -c 'echo rea''dy; sleep 50'; echo st''atus=$?"),
            Sees("ready"),
            Waits,
            Keys("\x1c"),
            Waits,
            Line("echo o''n"),
            Sees("on"),
        ],
    ),
    (
        "Ctrl-D is the end of input",
        &[
            Line("{}cat; echo st''atus=$?"),
            Waits,
            Keys("typed\n"),
            Sees("typed\ntyped\n"),
            Keys("\x04"),
            Sees("status=0"),
        ],
    ),
    (
        "Ctrl-Z gives the shell back, fg goes on",
        &[
            Line("{}sh -c 'echo rea''dy; sleep 1; echo wo''ken; read x; echo got-$x'"),
            Sees("ready"),
            Waits,
            Keys("\x1a"),
            Sees("Stopped"),
            Line("echo ba''ck"),
            Sees("back"),
            Line("fg"),
            Sees("woken"),
            Keys("letter\n"),
            Sees("got-letter"),
        ],
    ),
    (
        "Ctrl-Z twice",
        &[
            Line("{}sh -c 'echo rea''dy; read x; echo got-$x'"),
            Sees("ready"),
            Waits,
            Keys("\x1a"),
            Sees("Stopped"),
            Line("fg"),
            Waits,
            Keys("\x1a"),
            Sees("Stopped"),
            Line("fg"),
            Waits,
            Keys("y\n"),
            Sees("got-y"),
        ],
    ),
    (
        "Ctrl-Z stops a pipeline",
        &[
            Line("{}sh -c 'echo rea''dy; sleep 1; echo wo''ken' | cat"),
            Sees("ready"),
            Waits,
            Keys("\x1a"),
            Sees("Stopped"),
            Line("echo ba''ck"),
            Sees("back"),
            Line("fg"),
            Sees("woken"),
            Sees("$ "),
        ],
    ),
    (
        "bg lets a stopped command go on",
        &[
            Line("{}sh -c 'echo rea''dy; sleep 1; echo wo''ken'"),
            Sees("ready"),
            Waits,
            Keys("\x1a"),
            Sees("Stopped"),
            Line("bg"),
            Sees("woken"),
            Line("echo ba''ck"),
            Sees("back"),
        ],
    ),
    (
        "a command in the background runs",
        &[
            Line("{}sh -c 'for n in 1 2 3; do echo nu''mber-$n; done; sleep 0.2; echo e''nd' &"),
            Sees("number-3"),
            Sees("end"),
            Line("echo ba''ck"),
            Sees("back"),
        ],
    ),
    (
        "one that reads there is stopped, and fg goes on",
        &[
            Line("{}sh -c 'echo rea''dy; read x; echo got-$x' &"),
            Sees("ready"),
            Waits,
            Line("jobs"),
            Sees("Stopped"),
            Line("fg"),
            Waits,
            Keys("letter\n"),
            Sees("got-letter"),
        ],
    ),
    (
        "a running command comes to the foreground",
        &[
            Line("{}sh -c 'sleep 1; echo as''king; read x; echo got-$x' &"),
            Waits,
            Line("fg"),
            Sees("asking"),
            Keys("letter\n"),
            Sees("got-letter"),
        ],
    ),
    (
        "input from a pipe, and a question on the terminal",
        &[
            Line("echo data | {}sh -c 'cat >/dev/null; printf \"na''me? \" >/dev/tty; read x </dev/tty; echo got-$x'"),
            Sees("name? "),
            Keys("letter\n"),
            Sees("got-letter"),
        ],
    ),
    (
        "a hidden answer",
        &[
            Line("echo data | {}bash -c 'cat >/dev/null; read -s -p \"na''me? \" x </dev/tty; echo got-${#x}'"),
            Sees("name? "),
            Waits,
            Keys("letter\n"),
            Sees("got-6"),
            Line("{}bash -c 'read -s -p \"na''me? \" x; echo got-${#x}'"),
            Sees("name? "),
            Waits,
            Keys("letter\n"),
            Sees("got-6"),
        ],
    ),
    (
        "a pager of piped input",
        &[
            Line("seq 300 | {}env TERM=xterm less -X; echo st''atus=$?"),
            Sees("\n30\n"),
            Waits,
            Keys("q"),
            Sees("status=0"),
        ],
    ),
    (
        "a pager of output",
        &[Line("{}seq 300 | TERM=xterm less -X; echo st''atus=$?"), Sees("\n30\n"), Waits, Keys("q"), Sees("status=0")],
    ),
    (
        "descriptors are inherited",
        &[
            Line("{}cat <(echo from-sub''stitution)"),
            Sees("from-substitution"),
            Line("{}sh -c 'cat <&3' 3<<<from-th''ree"),
            Sees("from-three"),
        ],
    ),
    (
        "a signal of others is passed on",
        &[
            Line("{}sh -c 'trap \"echo cau''ght; exit 5\" INT; echo rea''dy; while :; do sleep 0.05; done' & "),
            Sees("ready"),
            Line("kill -INT $!; wait $!; echo st''atus=$?"),
            Sees("caught"),
            Sees("status=5"),
        ],
    ),
    (
        "settings of the terminal stay",
        &[Line("{}stty -on''lcr; stty -a | grep -o -e -onl''cr; stty onlcr"), Sees("-onlcr")],
    ),
    (
        "what is left behind runs on",
        &[
            Line("rm -f $D/left; {}sh -c '(sleep 0.7; echo >$D/left) & echo do''ne'"),
            Sees("done"),
            Sees("$ "),
            Waits,
            Waits,
            Waits,
            Line("ls $D/le''ft && echo th''ere"),
            Sees("there"),
        ],
    ),
    (
        "what is left behind keeps nobody waiting",
        &[
            Line(
                "{}sh -c '(timeout 20 yes >/dev/tty) & echo $! >$D/yes; sleep 0.2' >/dev/null </dev/null; kill $(cat $D/yes); echo af''ter",
            ),
            Sees("after"),
        ],
    ),
    (
        "Ctrl-C ends the script around it",
        &[
            Line("bash -c '{}sh -c \"echo rea''dy; exec sleep 5\"; echo af''ter'"),
            Sees("ready"),
            Waits,
            Keys("\x03"),
            Never("after"),
            Line("echo o''n"),
            Sees("on"),
        ],
    ),
    (
        "Ctrl-Z stops the script around it",
        &[
            Line("bash -c '{}sh -c \"echo rea''dy; sleep 1; echo wo''ken\"; echo af''ter'"),
            Sees("ready"),
            Waits,
            Keys("\x1a"),
            Sees("Stopped"),
            Line("fg"),
            Sees("woken"),
            Sees("after"),
        ],
    ),
    (
        "a window that was resized meanwhile",
        &[
            Line("{}sh -c 'echo rea''dy; sleep 1; stty size'"),
            Sees("ready"),
            Waits,
            Keys("\x1a"),
            Sees("Stopped"),
            Resizes(21, 51),
            Line("fg"),
            Sees("21 51"),
        ],
    ),
    (
        "somebody stops it for a while",
        &[
            Line("{}sh -c 'echo rea''dy; sleep 0.6; echo e''nd' &"),
            Sees("ready"),
            Line("kill -STOP $!; sleep 1; kill -CONT $!; while ! wait $!; do :; done; echo go''ne-$?"),
            Sees("gone-0"),
        ],
    ),
    (
        "somebody stops it alone for a while, below a script",
        &[
            Line(
                "bash -c '(sleep 0.5; pkill -STOP -P $$ -x project-vault; sleep 0.3; pkill -CONT -P $$ -x project-vault) & \
                 {}sh -c \"echo rea''dy; sleep 1.2\"; wait'; echo canon''ical-$(stty -a | grep -c -e \" icanon\")",
            ),
            Sees("ready"),
            Sees("canonical-1"),
        ],
    ),
    (
        "an interactive shell within",
        &[
            Line("{}bash --norc --noprofile -i"),
            Waits,
            Line("sleep 50"),
            Waits,
            Keys("\x1a"),
            Sees("Stopped"),
            Line("jobs"),
            Sees("sleep 50"),
            Line("fg"),
            Waits,
            Keys("\x03"),
            Waits,
            Line("echo in''ner-$TERM"),
            Sees("inner-dumb"),
            Line("exit 6"),
            Waits,
            Line("echo st''atus=$?"),
            Sees("status=6"),
        ],
    ),
];

/// What came of a scene: for each text that was to be seen, whether it was.
fn play(variables: &[(String, String)], steps: &[Step], way: &str) -> Vec<String> {
    let mut shell = Shell::start(variables);
    let mut missed = Vec::new();
    for step in steps {
        match step {
            Line(line) => {
                // A person types the next line when they see a prompt.
                let _ = shell.shows_within("$ ", Duration::from_secs(4));
                shell.types(&format!("{}\n", line.replace("{}", way)));
            }
            Keys(keys) => shell.types(keys),
            Sees(text) => {
                if !shell.shows(text) {
                    missed.push(format!("{text:?} is not in {:?}", shell.0.shown));
                }
            }
            Resizes(rows, cols) => {
                shell.0.master.resize(PtySize { rows: *rows, cols: *cols, pixel_width: 0, pixel_height: 0 }).unwrap();
            }
            Never(text) => {
                if shell.shows_within(text, Duration::from_millis(500)) {
                    missed.push(format!("{text:?} is in {:?}", shell.0.shown));
                }
            }
            Waits => std::thread::sleep(Duration::from_millis(350)),
        }
    }
    missed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_at_a_terminal_sees_the_same_alone_and_with_exec() {
    let world = World::new(Backend::Sqlite).await;
    let served = Served::start(&world).await;
    let scenes = SCENES.iter().flat_map(|(what, steps)| WAYS.map(|way| (*what, *steps, way)));
    let played = scenes.map(|(what, steps, way)| {
        let folder = tempfile::tempdir().unwrap();
        let variables = prepare(&served, folder.path());
        move || {
            let _folder = folder;
            let missed = patiently(|| play(&variables, steps, way));
            missed.into_iter().map(|missed| format!("{what}, {way:?}: {missed}")).collect()
        }
    });
    let differences = differences(4, played).await;
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
