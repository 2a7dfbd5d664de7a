//! `src/store/schema.rs` declares the tables that `migrations/` makes.

use crate::support::Backend;

/// The columns a table has in the database, in order: `table.column Type`, with `key` behind those
/// of the primary key. PostgreSQL alone has `projects.generation`, which is declared in its folder.
const POSTGRES: &str = "
    SELECT string_agg(line, E'\\n' ORDER BY table_name, ordinal_position) AS t FROM (
        SELECT c.table_name, c.ordinal_position, c.table_name || '.' || c.column_name || ' ' ||
            CASE c.is_nullable WHEN 'YES' THEN 'Nullable<' ELSE '' END ||
            CASE c.udt_name WHEN 'text' THEN 'Text' WHEN 'int8' THEN 'BigInt' WHEN 'int4' THEN 'Integer'
                WHEN 'bool' THEN 'Bool' WHEN 'bytea' THEN 'Binary' WHEN 'uuid' THEN 'Id' ELSE c.udt_name END ||
            CASE c.is_nullable WHEN 'YES' THEN '>' ELSE '' END ||
            CASE WHEN EXISTS (
                SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                WHERE i.indisprimary AND i.indrelid = format('%I.%I', c.table_schema, c.table_name)::regclass
                    AND a.attname = c.column_name
            ) THEN ' key' ELSE '' END AS line
        FROM information_schema.columns c
        WHERE c.table_schema = current_schema() AND c.table_name NOT LIKE '\\_\\_diesel%'
            AND c.column_name <> 'generation'
    ) lines";

/// The same for SQLite, where `INTEGER PRIMARY KEY` has 64 bits. SQLite alone counts changes, so
/// that table is declared in its folder.
const SQLITE: &str = "
    SELECT group_concat(line, char(10)) AS t FROM (
        SELECT tables.name || '.' || c.name || ' ' ||
            iif(c.\"notnull\" OR c.pk, '', 'Nullable<') ||
            CASE WHEN c.type = 'TEXT' THEN 'Text' WHEN c.type = 'BIGINT' THEN 'BigInt'
                WHEN c.type = 'INTEGER' AND c.pk AND tables.keys = 1 THEN 'BigInt'
                WHEN c.type = 'INTEGER' THEN 'Integer' WHEN c.type = 'BOOLEAN' THEN 'Bool'
                WHEN c.type = 'BLOB' THEN 'Binary' ELSE c.type END ||
            iif(c.\"notnull\" OR c.pk, '', '>') || iif(c.pk, ' key', '') AS line
        FROM (
            SELECT l.name, (SELECT count(*) FROM pragma_table_xinfo(l.name) k WHERE k.pk) AS keys
            FROM pragma_table_list l
            WHERE l.schema = 'main' AND l.type = 'table' AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                AND l.name NOT LIKE '\\_\\_diesel%' ESCAPE '\\' AND l.name <> 'changes'
        ) tables, pragma_table_xinfo(tables.name) c
        ORDER BY tables.name, c.cid
    )";

/// A line for each index of TABLE: its columns, and whether all rows are in it. Whether it is unique
/// does not matter here.
const POSTGRES_INDEXES: &str = "
    SELECT string_agg(line, E'\\n' ORDER BY line) AS t FROM (
        SELECT substring(indexdef FROM ' USING .*') AS line FROM pg_indexes
        WHERE schemaname = current_schema() AND tablename = 'TABLE'
    ) lines";

/// The same for SQLite.
const SQLITE_INDEXES: &str = "
    SELECT group_concat(line, char(10)) AS t FROM (
        SELECT (SELECT group_concat(name) FROM pragma_index_info(l.name)) || iif(l.partial, ' partial', '') AS line
        FROM pragma_index_list('TABLE') l ORDER BY line
    )";

/// What the `table!` blocks of a text declare, in the form of the queries above.
fn declared(schema: &str) -> Vec<String> {
    let expanded = |body: &str, name: &str| body.replace("$table", name);
    let mut blocks: Vec<String> = Vec::new();
    for block in schema.split("diesel::table! {").skip(1) {
        let end = block.find("\n        }\n").or_else(|| block.find("\n}")).unwrap();
        let block = block[..end].split_once("use super::types::*;").unwrap().1;
        if block.contains("$table") {
            let names = schema.split("\nevents_table!(").skip(1).map(|rest| rest.split(')').next().unwrap());
            blocks.extend(names.map(|name| expanded(block, name)));
        } else {
            blocks.push(block.to_owned());
        }
    }
    let mut lines = Vec::new();
    for block in blocks {
        let (head, columns) = block.split_once('{').unwrap();
        let (table, keys) = head.trim().trim_end_matches(')').split_once(" (").unwrap();
        let keys: Vec<&str> = keys.split(", ").collect();
        for column in columns.split(',').filter(|column| column.contains("->")) {
            let (name, sql_type) = column.trim().split_once(" -> ").unwrap();
            let key = if keys.contains(&name) { " key" } else { "" };
            lines.push(format!("{table}.{name} {sql_type}{key}"));
        }
    }
    // Tables in the order of the database, columns in their own.
    lines.sort_by(|a, b| a.split('.').next().cmp(&b.split('.').next()));
    lines
}

both! {
    async fn the_tables_are_those_that_the_code_declares(world: World) {
        let schema = include_str!("../../src/store/schema.rs");
        let of_database = world.text(if world.backend == Backend::Postgres { POSTGRES } else { SQLITE }).await;
        let mut of_code = declared(schema);
        assert!(of_code.len() > 100, "the declarations cannot be read: {of_code:#?}");
        if world.backend == Backend::Sqlite {
            // SQLite has no type for ids.
            for line in &mut of_code {
                *line = line.replace(" Id", " Binary").replace("<Id>", "<Binary>");
            }
        }
        let mut of_database: Vec<&str> = of_database.lines().collect();
        of_database.sort_by(|a, b| a.split('.').next().cmp(&b.split('.').next()));
        for (code, database) in of_code.iter().zip(&of_database) {
            assert_eq!(code, database, "src/store/schema.rs (left) and the database differ");
        }
        assert_eq!(of_code.len(), of_database.len(), "{of_code:#?} {of_database:#?}");
    }

    /// Otherwise a denial of what is hidden writes more than one of what does not exist.
    async fn decoys_have_every_index_of_events(world: World) {
        let indexes = async |table: &str| {
            let query = if world.backend == Backend::Postgres { POSTGRES_INDEXES } else { SQLITE_INDEXES };
            let indexes = world.text(&query.replace("TABLE", table)).await;
            indexes.lines().map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        let of_events = indexes("audit_events").await;
        assert!(of_events.iter().any(|index| index.contains("occurred_at")) && of_events.len() > 5, "{of_events:?}");
        assert_eq!(of_events, indexes("audit_decoys").await);
    }
}
