//! How the databases find the rows of the hot operations.

use crate::support::{Backend, World, hot, user};
use diesel::QueryableByName;
use diesel::sql_types::{Array, Json, Text};
use diesel_async::RunQueryDsl as _;
use project_vault::store::Conn;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The tables that grow with the installation: no statement of a hot operation may read all of one.
/// PostgreSQL may read all of `replaced_data_keys` while it is smaller than a page of entries.
const TABLES: &[&str] = &[
    "entries",
    "versions",
    "ciphertexts",
    "entry_usage",
    "audit_events",
    "audit_decoys",
    "audit_heads",
    "data_keys",
    "tuples",
    "milestones",
    "projects",
];

/// What may be scanned on SQLite: lists of parameters, a table of one row, and the numbered entries
/// of the lists that are read.
const SCANNED: &[&str] = &[
    "SCAN json_each VIRTUAL TABLE",
    "SCAN used VIRTUAL TABLE",
    "SCAN changes",
    "SCAN CONSTANT ROW",
    "SCAN places",
    "SCAN (subquery",
];

#[derive(QueryableByName)]
struct Prepared {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    statement: String,
    #[diesel(sql_type = Array<Text>)]
    types: Vec<String>,
}

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Json, column_name = "QUERY PLAN")]
    plan: Value,
}

/// The statements that the hot operations send.
async fn statements(world: &World) -> BTreeSet<String> {
    world.hot(20).await;
    let api = world.api();
    let mut all = BTreeSet::new();
    for hot in &hot(&[20]) {
        // The first time asks the authorizer, and the second time sends what is sent ever after.
        for _ in 0..2 {
            let (sent, answer) = world.watched(hot.ask(&api)).await;
            hot.check(&answer);
            all.extend(sent.into_iter().filter(|one| one.is_counted()).map(|one| one.sql));
        }
    }
    for document in BEHIND_DASHBOARDS {
        for _ in 0..2 {
            let (sent, answer) = world.watched(world.ask(&user("dave"), document, json!({}))).await;
            // Dave is Informed in the demo.
            assert!(answer.codes().iter().all(|code| *code == "FORBIDDEN"), "{document}: {answer:?}");
            assert!(!answer.0["data"].as_object().unwrap().values().any(Value::is_null), "{document}: {answer:?}");
            all.extend(sent.into_iter().filter(|one| one.is_counted()).map(|one| one.sql));
        }
    }
    all
}

/// What a dashboard asks, of its own projects.
const BEHIND_DASHBOARDS: &[&str] = &[
    "{ vaultProjects(first: 20) { totalCount nodes { status viewer { role } \
       summary { active deleted expiring rotationDue neverUsed leftOutOfSessions } } } }",
    "{ projectVault(projectId: \"p0\") { entries(filter: { rotationDueBefore: \"2031-01-01T00:00:00Z\" }) \
       { totalCount nodes { name } } } }",
    "{ projectVault(projectId: \"p0\") { entries(filter: { neverResolved: true }) { totalCount nodes { name } } } }",
    "{ projectVault(projectId: \"p0\") { auditEvents(filter: { actors: [\"user:dave\"] }) { nodes { id } } } }",
    "mutation { previewVaultImport(input: { projectId: \"p0\", onConflict: ROTATE, \
       dotenv: \"NAME_1=value number 1 of many\\nNEW=x\" }) { lines { change } } }",
];

/// The steps of a plan on SQLite that read all of something.
fn scans_on_sqlite(world: &World, statements: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for sql in statements {
        for step in world.sqlite_plan(sql) {
            let reads_all = step.starts_with("SCAN") && !SCANNED.iter().any(|allowed| step.starts_with(allowed));
            // SQLite materializes for every row of the outer query, and makes an automatic index of
            // a whole table for one run of the statement.
            let materializes = step.starts_with("MATERIALIZE") && step != "MATERIALIZE places";
            if reads_all || materializes || step.contains("AUTOMATIC") {
                found.push(format!("{step}\n    {sql}"));
            }
        }
    }
    found
}

/// The nodes of a plan on PostgreSQL that read all of a table, or of an index. `table` is that of
/// the node above, which a bitmap's node does not name.
fn scans(node: &Value, table: &str, found: &mut Vec<String>) {
    let kind = node["Node Type"].as_str().unwrap_or_default();
    let table = node["Relation Name"].as_str().unwrap_or(table);
    let by_index = matches!(kind, "Index Scan" | "Index Only Scan" | "Bitmap Index Scan");
    let reads_all = kind == "Seq Scan" || (by_index && node["Index Cond"].is_null());
    if reads_all && TABLES.contains(&table) {
        found.push(format!("{kind} of {table}"));
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        scans(child, table, found);
    }
}

/// Explains the statements that the store's connections keep, as they keep them. The store sets its
/// connections so that PostgreSQL scans a table only where no index serves the statement.
async fn scans_on_postgres(world: &World, statements: &BTreeSet<String>) -> Vec<String> {
    let mut open = statements.clone();
    let mut found = Vec::new();
    // Held until the end, so that the pool gives another one each time.
    let mut held = Vec::new();
    for _ in 0..world.connections() {
        let Conn::Postgres(mut conn) = world.store.conn().await.unwrap() else { unreachable!("a store on PostgreSQL") };
        let kept: Vec<Prepared> = diesel::sql_query(
            "SELECT name, statement, parameter_types::text[] AS types FROM pg_prepared_statements WHERE NOT from_sql",
        )
        .load(conn.asked().unwrap().0)
        .await
        .unwrap();
        for Prepared { name, statement, types } in kept {
            if !open.remove(&statement) {
                continue;
            }
            let nulls = vec!["NULL"; types.len()].join(", ");
            let nulls = if nulls.is_empty() { nulls } else { format!("({nulls})") };
            let explain = diesel::sql_query(format!("EXPLAIN (FORMAT JSON) EXECUTE \"{name}\"{nulls}"));
            let plan: Plan = explain.get_result(conn.asked().unwrap().0).await.unwrap();
            let mut of_this = Vec::new();
            scans(&plan.plan[0]["Plan"], "", &mut of_this);
            found.extend(of_this.into_iter().map(|scan| format!("{scan}\n    {statement}")));
        }
        held.push(conn);
    }
    assert!(open.is_empty(), "no connection keeps these prepared:\n{open:#?}");
    found
}

both! {
    async fn a_hot_operation_finds_its_rows_by_an_index(world: World) {
        let statements = statements(&world).await;
        let found = match world.backend {
            Backend::Sqlite => scans_on_sqlite(&world, &statements),
            Backend::Postgres => scans_on_postgres(&world, &statements).await,
        };
        assert!(found.is_empty(), "these read all of a table:\n{}", found.join("\n"));
    }
}
