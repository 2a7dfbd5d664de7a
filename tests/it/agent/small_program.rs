//! `project-vault-agent`: the agent's commands without the server.

use super::served::{Ran, Served, program, run};
use std::process::{Command, Stdio};

/// The same call of the small program.
fn of_small_program(command: &Command) -> Command {
    let mut small = Command::new(assert_cmd::cargo::cargo_bin("project-vault-agent"));
    small.args(command.get_args()).env_clear().stdin(Stdio::null());
    small.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    small
}

/// Two calls differ in nothing else.
fn without_request_id(mut ran: Ran) -> Ran {
    if let Some((text, _)) = ran.err.split_once(" (request ") {
        ran.err = text.to_owned();
    }
    ran
}

both! {
    async fn the_small_program_does_what_the_large_one_does(world: World) {
        let served = Served::start(&world).await;
        for args in [
            &["get", "PASSWORD"][..],
            &["get", "TOKEN", "--output", "json"],
            &["get", "OLD"],
            &["get", "NOWHERE"],
            &["get", "TOKEN", "--agent", "deployer"],
            &["get", "TOKEN", "--timeout", "long"],
            &["headers", "TOKEN"],
            &["headers", "KEY"],
            &["whoami"],
            &["whoami", "--output", "json"],
            &["exec", "--dry-run"],
            &["exec", "--", "sh", "-c", "echo $TOKEN $PASSWORD; env | grep -c PROJECT_VAULT_TOKEN; exit 7"],
            &["exec", "--no-redact", "--only", "TOKEN", "--", "sh", "-c", "echo $TOKEN"],
            &["exec", "--file", "PASSWORD=password", "--", "sh", "-c", "cat $PASSWORD; stat -c %a $PASSWORD"],
            &["exec", "--", "no-such-command"],
            &["exec", "--only", "PATH", "--", "true"],
        ] {
            let small = run(of_small_program(&served.program(args))).await;
            assert_eq!(without_request_id(small), without_request_id(run(served.program(args)).await), "{args:?}");
        }
    }
}

#[tokio::test]
async fn the_small_program_has_no_command_of_the_server() {
    for command in ["serve", "dev", "migrate", "keys", "audit"] {
        let ran = run(of_small_program(&program(&[command]))).await;
        assert_eq!(ran.status, 2, "{command}: {ran:?}");
    }
}
