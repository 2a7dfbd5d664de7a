//! Names of entries that would run code in somebody else's session.

use crate::agent::served::{Served, TOKEN_VALUE, run};
use crate::support::{Answer, World, agent_asks, entry, names, runtime, service, tool_asks, user};
use SecretOutcome::{Expired, ProvidedByWorkspace, Resolved};
use project_vault::domain::{EnvironmentNames, LeftOutReason, ReservedNames, SecretOutcome};
use project_vault::vault::{
    AgentQuestion, Change, EntryChanges, EnvironmentChange, Import, LeftOut, OnConflict, Vault,
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

/// The names that ran commands in another person's session, and their neighbours.
const ATTACKS: &[&str] = &[
    "MAKEFLAGS",
    "PS0",
    "PYTHONWARNINGS",
    "BROWSER",
    "LESSOPEN",
    "PERL5DB",
    "makeflags",
    "GIT_SSH_COMMAND",
    "NODE_OPTIONS",
    "FZF_DEFAULT_COMMAND",
    "AWS_ENDPOINT_URL",
];

/// The vault of a server that reserves no name, as one of an earlier release reserved fewer.
fn earlier_server(world: &World) -> Vault {
    world.server_reserving(Box::leak(Box::default()))
}

fn changes(id: String) -> EntryChanges {
    EntryChanges {
        id,
        name: Change::Keep,
        description: Change::Keep,
        category: Change::Keep,
        expires_at: Change::Keep,
        rotation_interval_days: Change::Keep,
        expected_revision: None,
    }
}

fn session(provided: &[&str]) -> AgentQuestion {
    let provided = provided.iter().map(|name| (*name).to_owned()).collect();
    AgentQuestion { names: None, provided, ..agent_asks("builder", &[]) }
}

fn left_out(names: &[(&str, LeftOutReason)]) -> Vec<LeftOut> {
    names.iter().map(|(name, reason)| LeftOut { name: (*name).to_owned(), reason: *reason }).collect()
}

async fn set(world: &World, names: EnvironmentNames, approved: Option<&[&str]>) {
    let approved = approved.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    let change = EnvironmentChange { project: "demo".to_owned(), names, approved };
    world.vault.entries().set_environment_names(&user("alice"), change).await.unwrap();
}

const SET: &str = "mutation($i: SetVaultEnvironmentNamesInput!) { setVaultEnvironmentNames(input: $i) \
    { vault { environmentNames approvedNames } userErrors { code field message } } }";

async fn set_by_api(world: &World, who: &str, names: &str, approved: Value) -> Answer {
    let mut input = json!({ "projectId": "demo", "environmentNames": names });
    if approved != Value::Null {
        input["approvedNames"] = approved;
    }
    world.ask(&user(who), SET, json!({ "i": input })).await
}

both! {
    async fn a_responsible_person_cannot_store_a_name_that_runs_code(world: World) {
        world.demo().await;
        let vault = &world.vault;
        let made = vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap().id.to_string();
        for name in ATTACKS {
            let refused = vault.entries().create(&user("bob"), entry(name, "id >/tmp/x")).await.err().unwrap();
            assert_eq!(refused.code().as_str(), "INVALID_INPUT", "{name}");
            let renamed = EntryChanges { name: Change::Set((*name).to_owned()), ..changes(made.clone()) };
            assert_eq!(vault.entries().update(&user("bob"), renamed).await.err().unwrap().code().as_str(), "INVALID_INPUT", "{name}");
            let import = Import {
                project: "demo".to_owned(),
                milestone: None,
                dotenv: format!("FINE=v\n{name}=v\n").into(),
                category: project_vault::domain::Category::Secret,
                on_conflict: OnConflict::Rotate,
            };
            let refused = vault.entries().import(&user("bob"), import).await.err().unwrap();
            assert!(refused.to_string().starts_with("Line 2: this name is reserved"), "{name}: {refused}");
        }
        assert_eq!(world.number("SELECT count(*) AS n FROM entries").await, 1);
    }

    async fn an_entry_whose_name_became_reserved_goes_on_by_name_and_reaches_no_session(world: World) {
        world.demo().await;
        let (vault, earlier) = (&world.vault, earlier_server(&world));
        let (bob, caller) = (user("bob"), runtime("acme-runtime"));
        let id = earlier.entries().create(&bob, entry("MAKEFLAGS", "--eval=x")).await.unwrap().id.to_string();
        let old = earlier.entries().create(&bob, entry("PS0", "x")).await.unwrap().id.to_string();
        let expired = EntryChanges { expires_at: Change::Set(project_vault::domain::Timestamp::from_millis(0)), ..changes(old) };
        vault.entries().update(&bob, expired).await.unwrap();
        vault.entries().create(&bob, entry("TOKEN", "v")).await.unwrap();

        let opened = vault.agents().decryptions();
        let answer = vault.agents().resolve(&caller, tool_asks(session(&[]))).await.unwrap();
        assert_eq!(names(&answer.secrets), [("TOKEN", Resolved)]);
        let reserved = LeftOutReason::ReservedName;
        assert_eq!(answer.left_out, left_out(&[("MAKEFLAGS", reserved), ("PS0", reserved)]));
        assert_eq!(vault.agents().decryptions() - opened, 1, "what is left out is not opened");
        let preview = vault.agents().preview(&bob, session(&[])).await.unwrap();
        assert_eq!((preview.secrets.len(), preview.left_out), (1, answer.left_out));

        let by_name = vault.agents().resolve(&caller, tool_asks(agent_asks("builder", &["MAKEFLAGS", "PS0"]))).await.unwrap();
        assert_eq!(names(&by_name.secrets), [("MAKEFLAGS", Resolved), ("PS0", Expired)]);
        assert_eq!(by_name.secrets[0].value.as_ref().unwrap().expose_secret(), "--eval=x");
        assert!(by_name.left_out.is_empty());
        // A workspace that has a variable of this name itself is told so, and gets nothing.
        let provided = vault.agents().resolve(&caller, tool_asks(session(&["MAKEFLAGS"]))).await.unwrap();
        assert_eq!(names(&provided.secrets), [("MAKEFLAGS", ProvidedByWorkspace), ("TOKEN", Resolved)]);

        // It can be changed, keeping its name, and renamed to one that is not reserved.
        let kept = EntryChanges {
            name: Change::Set("MAKEFLAGS".to_owned()),
            description: Change::Set("old".to_owned()),
            ..changes(id.clone())
        };
        assert_eq!(vault.entries().update(&bob, kept).await.unwrap().revision, 2);
        vault.entries().update(&bob, EntryChanges { name: Change::Set("BUILD_TOKEN".to_owned()), ..changes(id) }).await.unwrap();
        let answer = vault.agents().resolve(&caller, tool_asks(session(&[]))).await.unwrap();
        assert_eq!(names(&answer.secrets), [("BUILD_TOKEN", Resolved), ("TOKEN", Resolved)]);
    }

    async fn what_sessions_leave_out_can_be_listed(world: World) {
        world.demo().await;
        let bob = user("bob");
        earlier_server(&world).entries().create(&bob, entry("MAKEFLAGS", "x")).await.unwrap();
        for name in ["TOKEN", "DB_HOST", "API_KEY", "GONE"] {
            world.vault.entries().create(&bob, entry(name, "v")).await.unwrap();
        }
        let listed = async |who: &str, filter: &str| {
            let query = format!(
                "{{ projectVault(projectId: \"demo\") {{ entries(filter: {{ {filter} }}) \
                 {{ totalCount nodes {{ name leftOutOfSessions }} }} }} }}"
            );
            let answer = world.ask(&user(who), &query, json!({})).await;
            let entries = answer.ok("/projectVault/entries").clone();
            let nodes = entries["nodes"].as_array().unwrap();
            assert_eq!(entries["totalCount"], nodes.len());
            let shown = |node: &Value| {
                let name = node["name"].as_str().unwrap();
                node["leftOutOfSessions"].as_str().map_or_else(|| name.to_owned(), |reason| format!("{name} {reason}"))
            };
            nodes.iter().map(shown).collect::<Vec<_>>()
        };
        let out = "leftOutOfSessions: true";
        assert_eq!(listed("dave", out).await, ["MAKEFLAGS RESERVED_NAME"]);
        assert_eq!(listed("dave", "leftOutOfSessions: false").await, ["API_KEY", "DB_HOST", "GONE", "TOKEN"]);
        set(&world, EnvironmentNames::Suffixed, Some(&["TOKEN"])).await;
        let suffixed = "NAME_NOT_SUFFIXED";
        let expected =
            [format!("DB_HOST {suffixed}"), format!("GONE {suffixed}"), "MAKEFLAGS RESERVED_NAME".to_owned()];
        assert_eq!(listed("dave", out).await, expected);
        assert_eq!(listed("dave", "leftOutOfSessions: false").await, ["API_KEY", "TOKEN"]);
        assert_eq!(listed("dave", "leftOutOfSessions: true, nameContains: \"host\"").await, expected[..1]);
        // Deleted entries reach no session whatever their name is.
        let gone = world.ask(&bob, "{ projectVault(projectId: \"demo\") { entry(name: \"GONE\") { id } } }", json!({})).await;
        let gone = gone.ok("/projectVault/entry/id").as_str().unwrap().to_owned();
        world.vault.entries().delete(&user("alice"), gone).await.unwrap();
        let deleted = "leftOutOfSessions: true, statuses: [DELETED, ACTIVE]";
        assert_eq!(listed("alice", deleted).await, [expected[0].clone(), expected[2].clone()]);
        assert_eq!(listed("alice", "leftOutOfSessions: false, statuses: [DELETED]").await, [""; 0]);
    }

    async fn with_suffixed_a_session_takes_names_of_credentials_and_approved_ones_only(world: World) {
        world.demo().await;
        let (vault, caller) = (&world.vault, runtime("acme-runtime"));
        for name in ["DB_HOST", "DB_PASSWORD", "UNHEARD_OF", "unheard_of", "X_ID"] {
            vault.entries().create(&user("bob"), entry(name, "v")).await.unwrap();
        }
        let resolved = async |question| vault.agents().resolve(&caller, tool_asks(question)).await.unwrap();
        assert_eq!(resolved(session(&[])).await.secrets.len(), 5, "ANY is the default");
        set(&world, EnvironmentNames::Suffixed, Some(&["UNHEARD_OF"])).await;
        let answer = resolved(session(&[])).await;
        assert_eq!(names(&answer.secrets), [("DB_PASSWORD", Resolved), ("UNHEARD_OF", Resolved), ("X_ID", Resolved)]);
        let unfit = LeftOutReason::NameNotSuffixed;
        assert_eq!(answer.left_out, left_out(&[("DB_HOST", unfit), ("unheard_of", unfit)]));
        let by_name = resolved(agent_asks("builder", &["DB_HOST"])).await;
        assert_eq!((names(&by_name.secrets), by_name.left_out.len()), (vec![("DB_HOST", Resolved)], 0));
        // The approved names stay when only the setting changes, and go when they are replaced.
        set(&world, EnvironmentNames::Any, None).await;
        assert_eq!(resolved(session(&[])).await.left_out, []);
        set(&world, EnvironmentNames::Suffixed, None).await;
        assert_eq!(resolved(session(&[])).await.left_out.len(), 2);
        set(&world, EnvironmentNames::Suffixed, Some(&[])).await;
        assert_eq!(resolved(session(&[])).await.left_out.len(), 3);
    }

    async fn a_session_costs_no_more_statements_with_the_setting(world: World) {
        world.demo().await;
        for name in ["DB_HOST", "DB_PASSWORD"] {
            world.vault.entries().create(&user("bob"), entry(name, "v")).await.unwrap();
        }
        let caller = runtime("acme-runtime");
        let cost = async || {
            let resolve = async || world.vault.agents().resolve(&caller, tool_asks(session(&[]))).await.unwrap();
            // The first ones read what is kept for those that follow.
            for _ in 0..3 {
                resolve().await;
            }
            let (statements, batches) = (world.statements(), world.batches());
            resolve().await;
            (world.statements() - statements, world.batches() - batches)
        };
        let without = cost().await;
        set(&world, EnvironmentNames::Suffixed, Some(&["TOKEN"])).await;
        assert_eq!(cost().await, without);
    }

    async fn an_accountable_person_sets_the_names_of_sessions_and_it_is_recorded_once(world: World) {
        world.demo().await;
        earlier_server(&world).entries().create(&user("bob"), entry("MAKEFLAGS", "x")).await.unwrap();
        let events = "SELECT count(*) AS n FROM audit_events WHERE action = 'PROJECT_ENVIRONMENT_CHANGED' AND outcome = 'ALLOWED'";
        let subject = "SELECT subject AS t FROM audit_events WHERE action = 'PROJECT_ENVIRONMENT_CHANGED' AND outcome = 'ALLOWED'";
        for _ in 0..2 {
            let answer = set_by_api(&world, "alice", "SUFFIXED", json!(["B", "A", "B"])).await;
            let vault = answer.done("setVaultEnvironmentNames", "vault");
            assert_eq!(vault, &json!({ "environmentNames": "SUFFIXED", "approvedNames": ["A", "B"] }));
        }
        assert_eq!(world.number(events).await, 1, "the same again changes nothing");
        assert_eq!(world.text(subject).await, "environmentNames:SUFFIXED");
        for (approved, code) in [
            (json!(["MAKEFLAGS"]), "INVALID_INPUT"),
            (json!(["not a name"]), "INVALID_INPUT"),
            (json!((0..101).map(|number| format!("N_{number}")).collect::<Vec<_>>()), "LIMIT_EXCEEDED"),
        ] {
            let answer = set_by_api(&world, "alice", "ANY", approved).await;
            assert_eq!(answer.user_error("setVaultEnvironmentNames"), (code, &json!(["input", "approvedNames"])));
        }
        assert_eq!(set_by_api(&world, "bob", "ANY", Value::Null).await.codes(), ["FORBIDDEN"]);
        let seen = "{ projectVault(projectId: \"demo\") { environmentNames approvedNames } }";
        let kept = json!({ "environmentNames": "SUFFIXED", "approvedNames": ["A", "B"] });
        assert_eq!(world.ask(&user("dave"), seen, json!({})).await.ok("/projectVault"), &kept);
        // A viewer who may not list entries sees the setting, and no names.
        let auditor = world.ask(&user("audrey"), seen, json!({})).await;
        assert_eq!((auditor.codes(), auditor.at("/projectVault/approvedNames")), (vec!["FORBIDDEN"], &Value::Null));
        assert_eq!(auditor.at("/projectVault/environmentNames"), "SUFFIXED");
        world.vault.projects().delete(&service("platform"), "demo".to_owned()).await.unwrap();
    }

    async fn exec_leaves_out_reserved_names_with_one_warning_and_refuses_to_be_asked_for_them(world: World) {
        let served = Served::start(&world).await;
        let bob = user("bob");
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("ran");
        let earlier = earlier_server(&world);
        let command = format!("touch {}", mark.display());
        for name in ["PS4", "PYTHONWARNINGS", "BASH_ENV"] {
            earlier.entries().create(&bob, entry(name, &format!("$({command})"))).await.unwrap();
        }
        let ran = run(served.exec(&["--no-redact"], "bash -xc 'echo ${PS4@Q} ${BASH_ENV-unset} $TOKEN'")).await;
        assert_eq!((ran.out.as_str(), ran.status), (format!("'+ ' unset {TOKEN_VALUE}\n").as_str(), 0), "{}", ran.err);
        assert!(!mark.exists());
        let warning = "left out because their names are reserved (see `project-vault exec --help`): BASH_ENV, PS4, PYTHONWARNINGS\n";
        assert_eq!(ran.err.matches(warning).count(), 1, "{}", ran.err);
        let dry = run(served.program(&["exec", "--dry-run"])).await;
        assert!(dry.status == 0 && dry.err.contains(warning) && !dry.out.contains("PS4"), "{dry:?}");

        for options in [&["--only", "PS4"][..], &["--file", "BASH_ENV=x"], &["--dry-run", "--only", "PS4"]] {
            let ran = run(served.exec(options, &command)).await;
            assert!(ran.status == 2 && ran.err.contains("reserved") && ran.err.contains("--env-prefix"), "{ran:?}");
        }
        assert!(!mark.exists());
        // With a prefix it is no program's variable; and `get` gives every secret.
        let ran = run(served.exec(&["--no-redact", "--env-prefix", "ACME_", "--only", "PS4"], "printf %s \"$ACME_PS4\"")).await;
        assert_eq!((ran.out, ran.status), (format!("$({command})"), 0));
        assert_eq!(run(served.program(&["get", "PS4"])).await.out, format!("$({command})"));
        // A prefix that makes a reserved name of a harmless one.
        let ran = run(served.exec(&["--env-prefix", "LD_"], "env | grep -c ^LD_")).await;
        assert!(ran.out == "0\n" && ran.err.contains("LD_TOKEN"), "{ran:?}");
    }

    async fn exec_gives_a_file_that_is_asked_for_although_its_name_has_no_known_ending(world: World) {
        let served = Served::start(&world).await;
        set(&world, EnvironmentNames::Suffixed, None).await;
        let ran = run(served.exec(&["--no-redact", "--file", "TOKEN=t"], "cat \"$TOKEN\"; echo \" ${PASSWORD-unset}\"")).await;
        assert_eq!((ran.out, ran.status), (format!("{TOKEN_VALUE} unset\n"), 0), "{}", ran.err);
        let told = "use --only: KEY, OLD, PASSWORD, SHORT\n";
        assert!(ran.err.contains(told) && !ran.err.contains("expired"), "{}", ran.err);
        let dry = run(served.program(&["exec", "--dry-run", "--file", "TOKEN=t"])).await;
        assert!(dry.status == 0 && dry.out.contains("TOKEN     RESOLVED") && dry.err.contains(told), "{dry:?}");
    }
}

#[test]
fn an_empty_list_reserves_nothing() {
    assert!(ATTACKS.iter().all(|name| !ReservedNames::default().contains(name)));
}
