//! Every column of every table, with another value by hand: a server that starts now refuses to
//! release anything, or `audit verify` names it, or it changes nothing that matters.

use super::{broken_of, resolved_on_milestone};
use crate::support::{Backend, World, entry, new_project, service, user};
use project_vault::permission::Operator;
use project_vault::vault::NewEntry;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a change of a column comes to.
#[derive(Clone, Copy)]
enum Shows {
    /// A resolve is answered INTERNAL.
    Refused,
    /// A verification finds it.
    Named,
    /// The answers stay as they were and nothing is found, because of this.
    Harmless(&'static str),
    /// It is not tried here, because of this.
    Elsewhere(&'static str),
}

use Shows::{Elsewhere, Harmless, Named, Refused};

/// A table with the rows that are changed, and its columns with their other values. `$bytes` stands
/// for one byte, `$id` for an id that nothing has.
type Table = (&'static str, &'static str, &'static [(&'static str, &'static str, Shows)]);

const SHOWN: Shows = Harmless("people read it, and nothing is decided by it");
const STATISTICS: Shows = Harmless("it counts uses, and decides nothing");
const NOTICES: Shows = Elsewhere("it says what people are told, and decides nothing: notices");
const UNREAD: Shows = Harmless("nothing reads it");
const TUPLES: Shows = Elsewhere(
    "whoever writes to the embedded authorizer's database decides who may do what (docs/security.md); with OpenFGA the \
     table is empty",
);
const OUTBOX: Shows = Elsewhere("a change of tuples is applied with its MAC alone: attack::rows::outbox");

/// Tables of which a resolve, or what it stands on, is read.
const RESOLVED: &[Table] = &[
    (
        "projects",
        "id = 'demo'",
        &[
            ("id", "'another'", Named),
            ("status", "'COMPLETED'", Refused),
            ("registered_at", "registered_at + 1", Refused),
            ("environment_names", "'SUFFIXED'", Refused),
            ("approved_names", "' TOKEN '", Refused),
            ("revision", "revision + 1", Refused),
            ("mac", "$bytes", Refused),
            ("listing", "$bytes", Refused),
        ],
    ),
    (
        "milestones",
        "id = 'demo-launch'",
        &[
            ("id", "'another'", Refused),
            ("project_id", "'other'", Refused),
            ("opens_at", "5", Refused),
            ("closes_at", "5", Refused),
            ("closed", "NOT closed", Refused),
            ("revision", "revision + 1", Refused),
            ("mac", "$bytes", Refused),
        ],
    ),
    (
        "deleted_projects",
        "id = 'gone'",
        &[
            (
                "id",
                "'another'",
                Harmless("the platform alone registers projects; one that is registered again is named"),
            ),
            ("deleted_at", "5", UNREAD),
            ("receipt", "'x'", Harmless("it is signed, so whoever verifies it notices")),
        ],
    ),
    (
        "data_keys",
        "project_id = 'demo'",
        &[
            ("id", "$id", Refused),
            ("project_id", "'elsewhere'", Refused),
            ("master_key", "'k-00000000'", Refused),
            ("wrapped", "$bytes", Refused),
            ("encrypting", "FALSE", Refused),
            ("sealed", "0", Harmless("a key is replaced later than its bound asks for (docs/security.md)")),
            ("outgoing", "TRUE", Refused),
            ("created_at", "5", UNREAD),
            ("mac", "$bytes", Refused),
        ],
    ),
    (
        "replaced_data_keys",
        "project_id = 'demo'",
        &[
            ("id", "$id", Named),
            ("project_id", "'other'", Named),
            ("replaced_at", "5", Named),
            ("mac", "$bytes", Named),
        ],
    ),
    (
        "installation_keys",
        "purpose = 'AUDIT'",
        &[
            ("purpose", "'SIGNING'", Elsewhere("it is the key: attack::rows::own_keys removes the row")),
            ("master_key", "'k-00000000'", Refused),
            ("wrapped", "$bytes", Refused),
            ("created_at", "5", UNREAD),
        ],
    ),
    (
        "installation",
        "name = 'project-macs'",
        &[("name", "'another'", Named), ("value", "'2'", Named), ("mac", "$bytes", Named)],
    ),
];

/// Tables of entries.
const ENTRIES: &[Table] = &[
    (
        "entries",
        "name = 'TOKEN'",
        &[
            ("id", "$id", Refused),
            ("project_id", "'other'", Refused),
            ("milestone_id", "'demo-launch'", Refused),
            ("name", "'RENAMED'", Refused),
            ("description", "'x'", SHOWN),
            ("category", "'PASSWORD'", Refused),
            ("expires_at", "5", Refused),
            ("disabled", "NOT disabled", Refused),
            ("deleted_at", "5", Refused),
            ("current_version", "1", Refused),
            ("revision", "revision - 1", Refused),
            ("rotation_interval_days", "7", SHOWN),
            ("created_at", "5", SHOWN),
            ("created_by", "'mallory'", SHOWN),
            ("updated_at", "5", SHOWN),
            ("updated_by", "'mallory'", SHOWN),
            ("data_key_id", "$id", Refused),
            ("mac", "$bytes", Refused),
        ],
    ),
    (
        "versions",
        "version = 2",
        &[
            ("entry_id", "$id", Refused),
            ("version", "9", Refused),
            ("ciphertext_version", "1", Refused),
            ("restored_from", "1", Refused),
            ("not_after", "5", Refused),
            ("created_at", "5", SHOWN),
            ("created_by", "'mallory'", SHOWN),
            ("mac", "$bytes", Refused),
        ],
    ),
    (
        "ciphertexts",
        "version = 2",
        &[
            ("entry_id", "$id", Refused),
            ("version", "9", Refused),
            ("data_key_id", "$id", Refused),
            ("value", "$bytes", Refused),
            ("hint", "$bytes", Harmless("a page shows an error in its place: tampering::a_hint_of_another_entry")),
        ],
    ),
    (
        "entry_usage",
        "resolve_count >= 0",
        &[
            ("entry_id", "entry_id", STATISTICS),
            ("resolve_count", "7", STATISTICS),
            ("last_resolved_at", "5", STATISTICS),
        ],
    ),
    // The resolves of the tables above made its rows.
    (
        "exposures",
        "received >= 0",
        &[
            ("entry_id", "entry_id", SHOWN),
            ("version", "version", SHOWN),
            ("agent_id", "'mallory'", SHOWN),
            ("first_at", "5", SHOWN),
            ("last_at", "5", SHOWN),
            ("received", "7", STATISTICS),
        ],
    ),
];

/// The columns of an event.
const EVENT: &[(&str, &str)] = &[
    ("id", "$id"),
    ("occurred_at", "occurred_at + 1"),
    ("project_id", "'other'"),
    ("action", "'ENTRY_DELETED'"),
    ("outcome", "'DENIED'"),
    ("reason", "'EXPIRED'"),
    ("count", "2"),
    ("actor", "'user:mallory'"),
    ("subject", "'user:mallory'"),
    ("role", "'INFORMED'"),
    ("agent_id", "'deployer'"),
    ("entry_id", "NULL"),
    ("entry_name", "'OTHER'"),
    ("entry_version", "7"),
    ("entry_revision", "NULL"),
    ("milestone_id", "'demo-launch'"),
    ("purpose", "'CODING_SESSION'"),
    ("session_id", "'s'"),
    ("tool", "'t'"),
    ("request_id", "'r'"),
    ("chain_id", "$id"),
    ("seq", "seq + 1000"),
    ("prev", "mac"),
    ("mac", "prev"),
];

/// Tables of records, of which no resolve reads.
const RECORDS: &[Table] = &[
    (
        "audit_chains",
        "id IN (SELECT id FROM audit_chains WHERE anchor_chain IS NOT NULL ORDER BY id LIMIT 1)",
        &[
            ("id", "$id", Named),
            ("opened_at", "5", UNREAD),
            ("anchor_chain", "$id", Named),
            ("anchor_seq", "anchor_seq + 1000", Named),
            ("anchor_mac", "$bytes", Named),
            ("released", "NOT released", Harmless("it says who appends next; a place in a chain is given once")),
            ("lease_until", "5", Harmless("it says when another server may append; a place in a chain is given once")),
        ],
    ),
    (
        "audit_heads",
        "seq > 0",
        &[
            ("seq", "", Elsewhere("it orders the heads, each of which is signed: attack::rows::heads")),
            ("signed_at", "5", UNREAD),
            ("statement", "'x'", Named),
        ],
    ),
];

/// The rest of `audit_chains`, once retention has cut the chains.
const CUTS: &[Table] = &[(
    "audit_chains",
    "cut_seq > 0",
    &[("cut_seq", "cut_seq + 1", Named), ("cut_event_mac", "$bytes", Named), ("cut_mac", "$bytes", Named)],
)];

/// Tables that are not tried here.
const REST: &[Table] = &[
    (
        "outbox",
        "",
        &[
            ("seq", "", OUTBOX),
            ("lane", "", OUTBOX),
            ("change", "", OUTBOX),
            ("mac", "", OUTBOX),
            ("created_at", "", OUTBOX),
            ("set_aside_at", "", OUTBOX),
            ("set_aside_reason", "", OUTBOX),
        ],
    ),
    (
        "notices",
        "",
        &[
            ("id", "", NOTICES),
            ("kind", "", NOTICES),
            ("subject", "", NOTICES),
            ("due_at", "", NOTICES),
            ("threshold_days", "", NOTICES),
            ("count", "", NOTICES),
            ("created_at", "", NOTICES),
            ("attempts", "", NOTICES),
            ("next_attempt_at", "", NOTICES),
        ],
    ),
    ("tuples", "", &[("object", "", TUPLES), ("relation", "", TUPLES), ("subject", "", TUPLES)]),
];

/// What one of the two databases has alone.
const OF_POSTGRES: &[&str] = &["projects.generation"];
const OF_SQLITE: &[&str] = &["changes.id", "changes.count"];

/// The columns of the database, as `table.column`.
async fn columns(world: &World) -> BTreeSet<String> {
    let sql = match world.backend {
        Backend::Postgres => {
            "SELECT string_agg(table_name || '.' || column_name, E'\\n') AS t FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name NOT LIKE '\\_\\_diesel%'"
        }
        Backend::Sqlite => {
            "SELECT group_concat(l.name || '.' || c.name, char(10)) AS t FROM pragma_table_list l, pragma_table_xinfo(l.name) c \
             WHERE l.schema = 'main' AND l.type = 'table' AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             AND l.name NOT LIKE '\\_\\_diesel%' ESCAPE '\\'"
        }
    };
    world.text(sql).await.lines().map(str::to_owned).collect()
}

/// The demo with a key that was replaced, a deleted project, and an entry of each scope.
async fn scene(world: &World) {
    world.demo().await;
    let token = world.add("TOKEN", "the leaked value").await;
    world.rotate(token, "the new value").await.unwrap();
    let phased = NewEntry { milestone: Some("demo-launch".to_owned()), ..entry("PHASED", "the milestone's") };
    world.vault.entries().create(&user("bob"), phased).await.unwrap();
    let operator = Operator::at_the_shell();
    world.vault.rotation().replace_data_keys(&operator, &World::project(), &|_, _| {}).await.unwrap();
    let platform = service("platform");
    for id in ["other", "gone"] {
        world.vault.projects().register(&platform, new_project(id, "zoe")).await.unwrap();
    }
    world.vault.projects().delete(&platform, "gone".to_owned()).await.unwrap();
}

const WHOLE: [&str; 2] = ["PHASED=the milestone's", "TOKEN=the new value"];

/// Changes each column of these tables, and takes it back.
async fn attack(world: &World, tables: &[Table], reads: bool) {
    let bytes = if world.backend == Backend::Sqlite { "x'00'" } else { "'\\x00'::bytea" };
    for (table, rows, columns) in tables {
        let there = world.number(&format!("SELECT count(*) AS n FROM {table} WHERE {rows}")).await;
        assert!(there >= 1, "nothing of {table} is {rows}");
        world.by_hand(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
        for (column, to, shows) in *columns {
            let to = to.replace("$bytes", bytes).replace("$id", &world.id(uuid::Uuid::now_v7()));
            let what = format!("UPDATE {table} SET {column} = {to} WHERE {rows}");
            if let Elsewhere(why) = shows {
                assert!(!why.is_empty(), "{what} is not tried without a reason");
                continue;
            }
            world.by_hand(&what).await;
            match shows {
                Refused => {
                    assert_eq!(resolved_on_milestone(&world.another_server()).await, Err("INTERNAL"), "{what}");
                }
                Named => assert_ne!(broken_of(world).await, [] as [String; 0], "{what}"),
                Harmless(why) => {
                    assert_eq!(broken_of(world).await, [] as [String; 0], "{what}: {why}");
                    if reads {
                        let whole = Ok(WHOLE.map(str::to_owned).to_vec());
                        assert_eq!(resolved_on_milestone(&world.another_server()).await, whole, "{what}: {why}");
                    }
                }
                Elsewhere(_) => {}
            }
            let identity = if world.backend == Backend::Postgres { "OVERRIDING SYSTEM VALUE" } else { "" };
            world.by_hand(&format!("DELETE FROM {table}; INSERT INTO {table} {identity} SELECT * FROM kept")).await;
        }
        world.by_hand("DROP TABLE kept").await;
    }
    assert_eq!(broken_of(world).await, [] as [String; 0], "taken back");
}

both! {
    async fn every_column_of_every_table_is_attacked(world: World) {
        let mut known = BTreeSet::new();
        for (table, _, columns) in [RESOLVED, ENTRIES, RECORDS, CUTS, REST].into_iter().flatten() {
            known.extend(columns.iter().map(|(column, ..)| format!("{table}.{column}")));
        }
        // Decoys have the columns of events, and nothing reads them.
        for table in ["audit_events", "audit_decoys"] {
            known.extend(EVENT.iter().map(|(column, _)| format!("{table}.{column}")));
        }
        let alone = if world.backend == Backend::Postgres { OF_POSTGRES } else { OF_SQLITE };
        // They say when a server reads anew, and nothing else: remembered.
        known.extend(alone.iter().map(|column| (*column).to_owned()));
        let columns = columns(&world).await;
        let missing: Vec<_> = columns.difference(&known).collect();
        assert!(missing.is_empty(), "add these columns to tests/it/attack/rows/columns.rs: {missing:?}");
        let gone: Vec<_> = known.difference(&columns).collect();
        assert!(gone.is_empty(), "these columns are no longer there: {gone:?}");
    }

    async fn a_column_of_a_project_or_a_key_that_is_changed_is_refused_or_named(world: World) {
        scene(&world).await;
        attack(&world, RESOLVED, true).await;
    }

    async fn a_column_of_an_entry_that_is_changed_is_refused_or_named(world: World) {
        scene(&world).await;
        attack(&world, ENTRIES, true).await;
    }

    async fn a_column_of_an_event_that_is_changed_is_named(world: World) {
        scene(&world).await;
        let of_event: Vec<_> = EVENT.iter().map(|(column, to)| (*column, *to, Named)).collect();
        let columns: &'static [_] = of_event.leak();
        attack(&world, &[("audit_events", "action = 'ENTRY_ROTATED'", columns)], false).await;
        let of_decoy: Vec<_> = EVENT.iter().map(|(column, to)| (*column, *to, UNREAD)).collect();
        let columns: &'static [_] = of_decoy.leak();
        world.by_hand("INSERT INTO audit_decoys SELECT * FROM audit_events WHERE action = 'ENTRY_ROTATED'").await;
        attack(&world, &[("audit_decoys", "action = 'ENTRY_ROTATED' OR TRUE", columns)], false).await;
    }

    async fn a_column_of_a_chain_or_head_that_is_changed_is_named(world: World) {
        scene(&world).await;
        // Another server's chain names an event of the first one's.
        world.another_server().entries().create(&user("bob"), entry("A", "v")).await.unwrap();
        world.vault.audit().sign_head().await.unwrap();
        attack(&world, RECORDS, false).await;
        world.clock.advance(Duration::from_secs(40 * 24 * 60 * 60));
        world.vault.audit().sweep(Duration::from_secs(30 * 24 * 60 * 60)).await.unwrap();
        attack(&world, CUTS, false).await;
    }
}
