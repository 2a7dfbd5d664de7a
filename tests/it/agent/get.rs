//! `get`, `whoami` and `completions`.

use super::served::{PASSWORD_VALUE, Served, TOKEN_VALUE, program, run};
use project_vault::domain::{AgentId, MilestoneId, Narrowing, ProjectId, TokenKind};
use serde_json::{Value, json};

both! {
    async fn get_writes_the_value_and_nothing_else(world: World) {
        let served = Served::start(&world).await;
        let ran = run(served.program(&["get", "PASSWORD"])).await;
        assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.status), (PASSWORD_VALUE, "", 0));
        let recorded = "SELECT count(*) AS n FROM audit_events WHERE purpose = 'TOOL_EXECUTION' AND tool = 'git push' \
            AND session_id = 's 1' AND outcome = 'ALLOWED'";
        let mut with_labels = served.program(&["get", "TOKEN", "--tool", "git push"]);
        with_labels.env("PROJECT_VAULT_SESSION_ID", "s 1");
        assert_eq!(run(with_labels).await.out, TOKEN_VALUE);
        assert_eq!(world.number(recorded).await, 1);
    }

    async fn get_exits_by_what_went_wrong(world: World) {
        let served = Served::start(&world).await;
        for (args, status, says) in [
            (&["get", "OLD"][..], 3, "expired"),
            (&["get", "NOWHERE"], 4, "not found"),
            (&["get", "not a name"], 4, "not found"),
            (&["get", "LAUNCH"], 4, "not found"),
            (&["get", "TOKEN", "--agent", "deployer"], 5, "refuses"),
            (&["get", "TOKEN", "--milestone", "demo-launch"], 5, "refuses"),
            (&["get", "TOKEN", "--project", "no project"], 2, "PROJECT_VAULT_PROJECT"),
            (&["get", "TOKEN", "--url", "http://vault.example/"], 2, "--insecure-http"),
            (&["get", "TOKEN", "--url", "http://127.0.0.1:1/", "--timeout", "1"], 6, "cannot be reached"),
            (&["get"], 2, "NAME"),
        ] {
            let ran = run(served.program(args)).await;
            assert_eq!((ran.out.as_str(), ran.status), ("", status), "{args:?} {}", ran.err);
            assert!(ran.err.contains(says), "{args:?} {}", ran.err);
        }
        let mut bad = served.program(&["get", "TOKEN"]);
        bad.env("PROJECT_VAULT_TOKEN", "abc.def.ghi");
        assert_eq!(run(bad).await.status, 5);
        let mut none = served.program(&["get", "TOKEN"]);
        none.env_remove("PROJECT_VAULT_TOKEN");
        let ran = run(none).await;
        assert!(ran.status == 2 && ran.err.contains("PROJECT_VAULT_TOKEN"), "{ran:?}");
    }

    async fn json_has_the_value_only_when_it_is_asked_for(world: World) {
        let served = Served::start(&world).await;
        let read = async |args: &[&str], status: i32| -> Value {
            let ran = run(served.program(args)).await;
            assert_eq!(ran.status, status, "{ran:?}");
            serde_json::from_str(&ran.out).unwrap()
        };
        let shown = read(&["get", "TOKEN", "--output", "json"], 0).await;
        assert_eq!((&shown["outcome"], &shown["version"], &shown["scope"]), (&json!("RESOLVED"), &json!(1), &json!("PROJECT")));
        assert!(shown.get("value").is_none());
        assert_eq!(read(&["get", "TOKEN", "--output", "json", "--reveal"], 0).await["value"], TOKEN_VALUE);
        assert_eq!(read(&["get", "OLD", "--output", "json", "--reveal"], 3).await["value"], Value::Null);
    }

    async fn a_narrowed_token_needs_no_arguments_and_opens_nothing_else(world: World) {
        let served = Served::start(&world).await;
        let narrowing = Narrowing {
            project: ProjectId::parse("demo").ok(),
            agent: AgentId::parse("deployer").ok(),
            milestone: MilestoneId::parse("demo-launch").ok(),
            names: Some(["LAUNCH".to_owned(), "OLD".to_owned()].into()),
        };
        let token = served.token(TokenKind::Runtime, "globex-runtime", narrowing);
        let with_token = |args: &[&str]| {
            let mut command = program(args);
            command.env("PROJECT_VAULT_URL", &served.url).env("PROJECT_VAULT_TOKEN", &token);
            command
        };
        assert_eq!(run(with_token(&["get", "LAUNCH"])).await.out, "launch-value");
        assert_eq!(run(with_token(&["get", "TOKEN"])).await.status, 5);
        let shown: Value = serde_json::from_str(&run(with_token(&["whoami", "--output", "json"])).await.out).unwrap();
        assert_eq!(shown, json!({
            "principal": "runtime:globex-runtime",
            "issuer": "https://id.example",
            "expiresAt": "2030-01-01T01:00:00.000Z",
            "expired": false,
            "narrowedTo": {
                "project": "demo", "agent": "deployer", "milestone": "demo-launch", "names": ["LAUNCH", "OLD"],
            },
            "verified": false,
        }));
        let text = run(with_token(&["whoami"])).await.out;
        for part in ["runtime:globex-runtime", "to project demo", "to agent deployer", "to names LAUNCH, OLD", "signature"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[tokio::test]
async fn whoami_asks_nobody_and_refuses_what_is_no_token() {
    let with = |token: &str| {
        let mut command = program(&["whoami"]);
        command.env("PROJECT_VAULT_TOKEN", token);
        command
    };
    // {"sub":"\u001b[31mred","exp":0}
    let ran = run(with("e30.eyJzdWIiOiJcdTAwMWJbMzFtcmVkIiwiZXhwIjowfQ.c2ln")).await;
    assert!(ran.status == 0 && ran.out.contains("it has ended") && !ran.out.contains('\u{1b}'), "{ran:?}");
    assert_eq!(run(with("no token")).await.status, 2);
}

#[tokio::test]
async fn every_command_has_help_with_examples_and_completions() {
    for command in ["get", "headers", "exec", "whoami", "completions"] {
        let ran = run(program(&[command, "--help"])).await;
        assert!(ran.status == 0 && ran.out.contains("Examples:"), "{command}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(program(&["completions", shell])).await;
        assert!(ran.status == 0 && ran.out.contains("env-prefix"), "{shell}");
    }
    assert!(!run(program(&["--help"])).await.out.contains("guard-files"));
}
