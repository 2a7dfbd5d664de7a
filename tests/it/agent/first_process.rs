//! `exec` as the first process of a container: it gets what others leave behind, and the system
//! gives it no signal that it does not ask for.

use super::served::{Ran, Served, run};
use crate::support::{Backend, World};
use std::process::Command;

/// The same command as pid 1 of process and mount namespaces of its own.
fn as_first_process(command: &Command) -> Command {
    let mut first = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        first.args(["--user", "--map-root-user"]);
    }
    first.args(["--pid", "--fork", "--mount-proc", "--"]);
    first.arg(command.get_program()).args(command.get_args()).env_clear();
    first.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    first
}

async fn ran(served: &Served, options: &[&str], script: &str) -> Ran {
    run(as_first_process(&served.exec(options, script))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_the_first_process_it_reaps_and_passes_signals_on() {
    let world = World::new(Backend::Sqlite).await;
    let served = Served::start(&world).await;
    // Of the processes that ended, none is left. The subshells leave theirs to the first process.
    let orphans = "for n in 1 2 3; do (sleep 0.1 &); done; sleep 1; grep -l '^State:.Z' /proc/[0-9]*/status; echo done";
    let is_first = ran(&served, &[], "cut -d ' ' -f 1 /proc/1/stat; tr '\\0' ' ' </proc/1/cmdline").await;
    assert!(is_first.out.starts_with("1\n") && is_first.out.contains(" exec "), "{is_first:?}");
    for (script, out, status) in [
        (orphans, "done\n", 0),
        ("exit 7", "", 7),
        ("kill -9 $$", "", 137),
        ("trap 'echo got it; exit 9' TERM; (sleep 0.3; kill -TERM 1) & sleep 5 & wait", "got it\n", 9),
        ("trap 'echo got it; exit 8' HUP; (sleep 0.3; kill -HUP 1) & sleep 5 & wait", "got it\n", 8),
    ] {
        let ran = ran(&served, &[], script).await;
        assert_eq!((ran.out.as_str(), ran.status), (out, status), "{script}: {}", ran.err);
    }
    // Without redaction the command itself is the first process.
    let alone = ran(&served, &["--no-redact"], "echo $$; exit 7").await;
    assert_eq!((alone.out.as_str(), alone.status), ("1\n", 7), "{}", alone.err);
}
