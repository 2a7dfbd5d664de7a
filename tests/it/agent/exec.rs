//! `exec`: the command's environment, and its output.

use super::served::{KEY_VALUE, PASSWORD_VALUE, Served, TOKEN_VALUE, run};
use crate::support::World;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

both! {
    async fn the_command_gets_what_the_workspace_leaves_open_and_no_token(world: World) {
        let served = Served::start(&world).await;
        let opened = world.vault.agents().decryptions();
        let mut command = served.exec(&["--no-redact"], "env -0 | sort -z | tr '\\0' '\\n'");
        command.env("TOKEN", "own").env("SHORT", "").env("OTHER", "x");
        let ran = run(command).await;
        assert_eq!(ran.status, 0, "{}", ran.err);
        let has = |line: &str| ran.out.lines().any(|found| found == line);
        assert!(has("TOKEN=own") && has("SHORT=") && has("OTHER=x"), "{}", ran.out);
        assert!(has(&format!("PASSWORD={PASSWORD_VALUE}")) && ran.out.contains(&format!("KEY={KEY_VALUE}")), "{}", ran.out);
        assert!(!ran.out.contains("PROJECT_VAULT_TOKEN") && !ran.out.contains("OLD=") && !ran.out.contains("LAUNCH="));
        assert_eq!(ran.err, "project-vault: expired, so not set: OLD\n");
        assert_eq!(world.vault.agents().decryptions() - opened, 2, "what the workspace provides is not opened");
        let recorded = "SELECT count(*) AS n FROM audit_events WHERE purpose = 'CODING_SESSION' AND outcome = 'ALLOWED'";
        assert_eq!(world.number(recorded).await, 2);
    }

    async fn only_takes_names_and_a_prefix_goes_before_all(world: World) {
        let served = Served::start(&world).await;
        let script = "echo \"$TOKEN,$APP_TOKEN,${PASSWORD-unset},${APP_PASSWORD-unset}\"";
        let ran = run(served.exec(&["--no-redact", "--only", "TOKEN"], script)).await;
        assert_eq!((ran.out, ran.err.as_str()), (format!("{TOKEN_VALUE},,unset,unset\n"), ""));
        let mut command = served.exec(&["--no-redact", "--env-prefix", "APP_", "--only", "TOKEN", "--only", "PASSWORD"], script);
        command.env("APP_PASSWORD", "own").env("TOKEN", "other");
        assert_eq!(run(command).await.out, format!("other,{TOKEN_VALUE},unset,own\n"));
        let ran = run(served.exec(&["--env-prefix", "LD_", "--only", "TOKEN"], "true")).await;
        assert!(ran.status == 2 && ran.err.contains("LD_TOKEN"), "{ran:?}");
    }

    async fn what_is_missing_is_told_before_anything_starts(world: World) {
        let served = Served::start(&world).await;
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("started");
        let script = format!("touch {}", mark.display());
        for (options, status, says) in [
            (&["--only", "TOKEN", "--only", "OLD"][..], 3, "OLD"),
            (&["--only", "NOWHERE", "--only", "OLD"], 4, "NOWHERE"),
            (&["--file", "NOWHERE=x"], 4, "NOWHERE"),
            (&["--agent", "deployer"], 5, "refuses"),
            (&["--url", "http://127.0.0.1:1/", "--timeout", "1"], 6, "cannot be reached"),
            (&["--session-id", "\u{fc}"], 2, "PROJECT_VAULT_SESSION_ID"),
            (&["--file", "../x"], 2, "NAME=PATH"),
        ] {
            let ran = run(served.exec(options, &script)).await;
            assert!(ran.status == status && ran.err.contains(says), "{options:?}: {ran:?}");
        }
        assert!(!mark.exists());
    }

    async fn a_dry_run_shows_where_things_come_from_and_starts_nothing(world: World) {
        let served = Served::start(&world).await;
        let opened = world.vault.agents().decryptions();
        let mut command = served.program(&["exec", "--dry-run"]);
        command.env("TOKEN", "own");
        let ran = run(command).await;
        let table = "\
            VARIABLE  OUTCOME                SOURCE       EXPIRES\n\
            KEY       RESOLVED               project      never\n\
            OLD       EXPIRED                project      2030-01-01T00:00:00.000Z\n\
            PASSWORD  RESOLVED               project      never\n\
            SHORT     RESOLVED               project      never\n\
            TOKEN     PROVIDED_BY_WORKSPACE  environment  -\n";
        assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.status), (table, "", 0));
        let ran = run(served.program(&["exec", "--dry-run", "--only", "NOWHERE", "--", "false"])).await;
        assert!(ran.status == 4 && ran.out.contains("NOWHERE   NOT_FOUND"), "{ran:?}");
        let mut person = served.program(&["exec", "--dry-run", "--agent", "nobody"]);
        person.env("PROJECT_VAULT_TOKEN", served.token(
            project_vault::domain::TokenKind::User,
            "bob",
            project_vault::domain::Narrowing::default(),
        ));
        let ran = run(person).await;
        assert!(ran.status == 5 && ran.err.contains("AGENT_NOT_ASSIGNED"), "{ran:?}");
        assert_eq!(world.vault.agents().decryptions(), opened);
    }

    async fn output_is_redacted_on_both_streams_in_every_form(world: World) {
        let served = Served::start(&world).await;
        let script = r#"
            echo "$TOKEN"; echo "$TOKEN" >&2
            printf gh-7Qm2x; sleep 0.2; printf 'Vt9Lw4Zr8+/Kd1'; sleep 0.2; echo Bn6
            printf %s "$TOKEN" | base64; printf %s "a$TOKEN" | base64; printf %s "ab$TOKEN" | base64
            printf %s "$TOKEN" | od -An -tx1 | tr -d ' \n'; echo
            printf 'gh-7Qm2xVt9Lw4Zr8%%2B%%2FKd1Bn6 {"p": "p%bss \\"w%brd\\" & more"}\n' '\0303\0244' '\0303\0266'
            printf %s "$KEY"
            echo "$SHORT"
        "#;
        let ran = run(served.exec(&[], script)).await;
        let base64 = |text: &str| STANDARD.encode(text);
        for secret in [TOKEN_VALUE, PASSWORD_VALUE, "first0line1of2it", "second3line4of5it"] {
            for shown in [&ran.out, &ran.err] {
                assert!(!shown.contains(secret), "{secret} in {shown}");
                assert!(!shown.contains(&base64(secret)[..secret.len() / 2]), "base64 of {secret} in {shown}");
            }
        }
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!(&lines[..3], ["[TOKEN]", "[TOKEN]", "[TOKEN]"]);
        assert!(lines[3].contains("[TOKEN]") && lines[4].contains("[TOKEN]") && lines[5] == "[TOKEN]", "{}", ran.out);
        assert_eq!(&lines[6..8], ["[TOKEN] {\"p\": \"[PASSWORD]\"}", "-----BEGIN KEY-----"]);
        assert_eq!(&lines[8..], ["[KEY]", "short", "[KEY]", "-----END KEY-----", "12345"]);
        assert!(ran.err.contains("[TOKEN]\n"), "{}", ran.err);
        assert_eq!(ran.err.matches("not redacted in the output: SHORT\n").count(), 1, "{}", ran.err);
        let ran = run(served.exec(&["--no-redact"], "echo \"$TOKEN\"")).await;
        assert_eq!(ran.out, format!("{TOKEN_VALUE}\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_output_passes_unharmed() {
    let world = World::new(crate::support::Backend::Sqlite).await;
    let served = Served::start(&world).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes");
    let mut bytes = vec![0; 3_000_000];
    getrandom::fill(&mut bytes).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let mut command = served.program(&["exec", "--", "cat", path.to_str().unwrap()]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
}
