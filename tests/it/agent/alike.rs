//! A command cannot tell that `exec` runs it: each line is run three ways and has to do the same,
//! between pipes and in the background here, on a terminal in `job_control.rs`.

use super::served::{Served, program};
use crate::support::{Backend, World};
use futures::StreamExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a line begins its command with: nothing, then `exec` with and without redaction.
pub const WAYS: [&str; 3] = ["", "\"$V\" exec --only TOKEN -- ", "\"$V\" exec --no-redact --only TOKEN -- "];

/// Lines of bash. `{}` is where a command begins.
const LINES: &[(&str, &str)] = &[
    ("the exit status is the command's", "{}sh -c 'echo out; echo err >&2; exit 7'"),
    ("so is the signal that ended it", "{}sh -c 'kill -TERM $$'; echo $?"),
    ("arguments stay as they are", "{}printf '<%s>' a '' 'b c' '*' $'\\n'"),
    ("the name is what was typed", "{}sh -c 'tr \"\\0\" \" \" </proc/$$/cmdline'"),
    ("a script without #! is run by sh", "cd $D; {}./plain x; {}$D/plain x; PATH=$D:$PATH; {}plain x"),
    ("so is no program of another machine", "cd $D; {}./foreign 2>/dev/null; echo $?"),
    ("ignored signals stay ignored", "trap '' HUP INT QUIT TERM USR1; {}grep SigIgn /proc/self/status"),
    ("SIGPIPE stays ignored", "trap '' PIPE; {}grep SigIgn /proc/self/status"),
    ("SIGPIPE stays as it comes", "{}grep SigIgn /proc/self/status"),
    ("nothing is caught", "{}grep SigCgt /proc/self/status"),
    ("blocked signals stay blocked", "$D/blocking {}grep SigBlk /proc/self/status"),
    ("none is blocked otherwise", "{}grep SigBlk /proc/self/status"),
    (
        "a parent may ignore SIGCHLD",
        "$D/childless {}sh -c 'sh -c \"exit 4\"; grep SigIgn /proc/self/status; exit 3'; echo $?",
    ),
    ("nohup", "nohup {}grep SigIgn /proc/self/status 2>/dev/null"),
    ("background of a script", "sh -c '\"$@\" & wait' sh {}grep SigIgn /proc/self/status"),
    ("an open file is inherited", "{}sh -c 'cat <&3' 3<$D/plain"),
    ("process substitution", "{}cat <(echo from-substitution)"),
    (
        "descriptors are the command's alone",
        "{}sh -c 'exec 3>&-; sleep 1; echo late >$D/late' 3> >(cat; [ -e $D/late ] || echo end; sleep 0.2); sleep 1; rm -f $D/late",
    ),
    ("no other descriptor is open", "{}ls /proc/self/fd | tr '\\n' ' '"),
    (
        "a service manager's descriptors",
        "export LISTEN_FDS=1; sh -c 'LISTEN_PID=$$ exec \"$@\"' sh {}sh -c '[ $LISTEN_PID = $$ ] && echo mine'",
    ),
    ("standard input is the command's", "echo typed | {}sh -c 'read line; echo \"got $line\"'"),
    ("who fills standard input sees it closed", "yes | {}head -n 1; echo ${PIPESTATUS[@]}"),
    ("who stops reading ends the command", "{}yes | head -n 1; echo ${PIPESTATUS[0]}"),
    (
        "one that writes no more is not waited for",
        "{}sh -c 'echo a; exec >&- 2>&-; sleep 3' 2>/dev/null | (cat; date +%s >$D/end); [ $(($(date +%s) - $(cat $D/end))) -ge 2 ] && echo early",
    ),
    (
        "what is left behind keeps nobody waiting",
        "s=$(date +%s); {}sh -c '(exec sleep 8 2>/dev/null) & echo done' | head -n 1; [ $(($(date +%s) - s)) -lt 6 ] && echo soon",
    ),
    (
        "the process group is the caller's",
        "g=$(ps -o pgid= -p $$); {}sh -c 'ps -o pgid= -p $$' | grep -qx \"$g\" && echo same",
    ),
    ("the session is the caller's", "g=$(ps -o sid= -p $$); {}sh -c 'ps -o sid= -p $$' | grep -qx \"$g\" && echo same"),
    ("an alarm reaches the command", "$D/alarm {}sleep 8; echo $?"),
    (
        "the priority, the mask and the directory are inherited",
        "umask 27; cd /usr; nice -n 3 {}sh -c 'umask; pwd; nice'",
    ),
    ("limits are inherited", "ulimit -n 123; ulimit -c 0; {}sh -c 'ulimit -n; ulimit -c'"),
    (
        "what others send is passed on",
        "for s in INT HUP USR1 WINCH ALRM CONT TSTP RTMIN+3; do rm -f $D/up; {}$D/catcher $s & until [ -e $D/up ]; do sleep 0.02; done; kill -$s $!; wait $!; done",
    ),
    (
        "a signal to the group comes once",
        "for s in INT TERM USR1 CONT; do rm -f $D/up; set -m; {}$D/catcher $s & set +m; until [ -e $D/up ]; do sleep 0.02; done; sleep 0.3; kill -$s -- -$!; wait $!; done",
    ),
    (
        "a stopped command goes on",
        "set -m; {}sh -c 'kill -TSTP $$; echo on; exit 2' & set +m; p=$!; until ps -o stat= -p $p | grep -q T; do sleep 0.02; done; kill -CONT -- -$p; wait $p; wait $p; echo $?",
    ),
    (
        "whoever kills the group kills the command",
        "set -m; {}sh -c 'echo $$ >$D/pid; sleep 50' & set +m; until [ -s $D/pid ]; do sleep 0.02; done; sleep 0.3; kill -KILL -- -$!; wait $! 2>/dev/null; sleep 0.2; grep -q '^State:.[^Z]' /proc/$(cat $D/pid)/status 2>/dev/null || echo gone; rm $D/pid",
    ),
    (
        "whoever kills it kills the command",
        "{}sh -c 'echo $$ >$D/pid; exec sleep 50' & until [ -s $D/pid ]; do sleep 0.02; done; sleep 0.3; kill -KILL $!; wait $! 2>/dev/null; sleep 0.2; grep -q '^State:.[^Z]' /proc/$(cat $D/pid)/status 2>/dev/null || echo gone; rm $D/pid",
    ),
    ("timeout ends it", "timeout 0.7 {}sleep 20; echo $?"),
    ("both streams of one place keep their order", "{}sh -c 'for n in 1 2 3; do echo o$n; echo e$n >&2; done' 2>&1"),
    (
        "what cannot be written is told",
        "{}sh -c 'echo x 2>/dev/null' >/dev/full 2>/dev/null; [ $? != 0 ] && echo failed",
    ),
    (
        "closed streams stay closed",
        "{}sh -c 'echo x' >&- 2>/dev/null; echo $?; {}sh -c 'read x' <&- 2>/dev/null; echo $?",
    ),
    (
        "it ends while its reader takes its time",
        "s=$(date +%s); timeout 1 {}yes | sleep 4; [ $(($(date +%s) - s)) -lt 6 ] && echo ended",
    ),
    ("two megabytes come through", "{}head -c 2000000 /dev/zero | cksum"),
    (
        "no variable is added",
        "env -i PATH=$PATH V=$V PROJECT_VAULT_URL=$PROJECT_VAULT_URL PROJECT_VAULT_PROJECT=demo PROJECT_VAULT_AGENT=builder PROJECT_VAULT_TOKEN=$PROJECT_VAULT_TOKEN TOKEN=x {}env | grep -v PROJECT_VAULT_TOKEN | sort",
    ),
];

/// Programs that the lines use.
const TOOLS: &[(&str, &str)] = &[
    ("plain", "echo ran \"$0\" \"$1\"\n"),
    (
        "blocking",
        "#!/usr/bin/env python3\nimport os, signal, sys\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, \
         signal.SIGTERM])\nos.execvp(sys.argv[1], sys.argv[1:])\n",
    ),
    (
        "childless",
        "#!/usr/bin/env python3\nimport os, signal, sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
         os.execvp(sys.argv[1], sys.argv[1:])\n",
    ),
    (
        "alarm",
        "#!/usr/bin/env python3\nimport os, signal, sys\nsignal.setitimer(signal.ITIMER_REAL, 0.7)\n\
         os.execvp(sys.argv[1], sys.argv[1:])\n",
    ),
    // Says how often it was sent a signal within a third of a second after the first.
    (
        "catcher",
        "#!/usr/bin/env python3\nimport os, signal, sys, time\nname = sys.argv[1]\nnumber = signal.SIGRTMIN + \
         int(name[5:] or 0) if name.startswith('RTMIN') else getattr(signal, 'SIG' + name)\nseen = []\n\
         signal.signal(number, lambda number, frame: seen.append(number))\nopen(os.environ['D'] + '/up', 'w')\n\
         until = time.time() + 5\nwhile not seen and time.time() < until:\n    time.sleep(0.01)\ntime.sleep(0.3)\n\
         print(name, len(seen), flush=True)\n",
    ),
];

/// A folder with the tools, and what a shell has to know.
pub fn prepare(served: &Served, folder: &Path) -> Vec<(String, String)> {
    use std::os::unix::fs::PermissionsExt as _;
    let write = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    for (name, content) in TOOLS {
        write(name, content.as_bytes());
    }
    write("foreign", b"\x7fELF\0\0of another machine");
    let named = |name: &std::ffi::OsStr| name.to_str().unwrap().to_owned();
    let client = served.program(&[]);
    let mut variables: Vec<_> = client.get_envs().map(|(name, value)| (named(name), named(value.unwrap()))).collect();
    variables.push(("V".to_owned(), named(program(&[]).get_program())));
    variables.push(("D".to_owned(), folder.to_str().unwrap().to_owned()));
    variables
}

/// What a line writes, and its status.
fn run(way: &str, line: &str, variables: &[(String, String)]) -> (String, i32, String) {
    let mut bash = Command::new("timeout");
    bash.args(["--foreground", "-k", "1", "25", "bash", "-c", &line.replace("{}", way)])
        .env_clear()
        .envs(variables.iter().cloned())
        .stdin(Stdio::null());
    let output = bash.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap();
    (text(&output.stdout), status, text(&output.stderr))
}

/// Runs work on threads, a few at a time; gives all differences that it finds.
pub async fn differences<W>(at_once: usize, work: impl IntoIterator<Item = W>) -> Vec<String>
where
    W: FnOnce() -> Vec<String> + Send + 'static,
{
    let running = work.into_iter().map(|work| async { tokio::task::spawn_blocking(work).await.unwrap() });
    futures::stream::iter(running).buffer_unordered(at_once).concat().await
}

/// The differences of the last of three tries, or none. On a busy machine even a command alone may be
/// late: what is so is so in one of three.
pub fn patiently(find: impl Fn() -> Vec<String>) -> Vec<String> {
    let mut found = find();
    for _ in 0..2 {
        if !found.is_empty() {
            found = find();
        }
    }
    found
}

/// Where a line does something else with `exec` than alone.
fn compare(what: &str, line: &str, variables: &[(String, String)]) -> Vec<String> {
    let [alone, others @ ..] = WAYS.map(|way| run(way, line, variables));
    let is_other = |(_, other): &(&&str, &(String, i32, String))| (&other.0, other.1) != (&alone.0, alone.1);
    let different = WAYS[1..].iter().zip(&others).filter(is_other);
    different.map(|(way, other)| format!("{what}: {line}\n  alone: {alone:?}\n  {way}: {other:?}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_does_the_same_alone_and_with_exec() {
    let world = World::new(Backend::Sqlite).await;
    let served = Served::start(&world).await;
    let compared = LINES.iter().map(|(what, line)| {
        let folder = tempfile::tempdir().unwrap();
        let variables = prepare(&served, folder.path());
        move || {
            let _folder = folder;
            patiently(|| compare(what, line, &variables))
        }
    });
    let differences = differences(3, compared).await;
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
