//! Rows of the database that were changed, removed or put back by hand.

mod absent;
mod changes;
mod columns;
mod data_keys;
mod heads;
mod hidden;
mod outbox;
mod own_keys;
mod settings;
mod sweeps;

use crate::support::{World, agent_asks, entry, runtime, tool_asks, user};
use diesel::Connection as _;
use diesel::SqliteConnection;
use diesel::connection::SimpleConnection as _;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection};
use project_vault::domain::EntryId;
use project_vault::vault::{AgentQuestion, Break, Change, Resolution, Rotation, Vault};
use secrecy::ExposeSecret as _;

/// Tables whose rows are kept and put back.
const TABLES: [&str; 9] = [
    "installation",
    "projects",
    "milestones",
    "data_keys",
    "replaced_data_keys",
    "entries",
    "versions",
    "ciphertexts",
    "audit_events",
];

/// What `builder` is answered for every name of a project: the values, or the code of the refusal.
async fn resolved(vault: &Vault) -> Result<Vec<String>, &'static str> {
    let question = AgentQuestion { names: None, ..agent_asks("builder", &[]) };
    values(vault.agents().resolve(&runtime("acme-runtime"), tool_asks(question)).await)
}

/// What `deployer` is answered for every name of the project and its milestone.
async fn resolved_on_milestone(vault: &Vault) -> Result<Vec<String>, &'static str> {
    let milestone = Some("demo-launch".to_owned());
    let question = AgentQuestion { names: None, milestone, ..agent_asks("deployer", &[]) };
    values(vault.agents().resolve(&runtime("globex-runtime"), tool_asks(question)).await)
}

/// The values of an answer by name, or the code of the refusal.
fn values(answer: project_vault::domain::Result<Resolution>) -> Result<Vec<String>, &'static str> {
    let value = |value: Option<secrecy::SecretString>| value.map(|value| value.expose_secret().to_owned());
    let answers = answer.map_err(|error| error.code().as_str())?.secrets.into_iter();
    Ok(answers.map(|one| format!("{}={}", one.name, value(one.value).unwrap_or_default())).collect())
}

/// What a verification finds wrong, as it is printed.
async fn broken_of(world: &World) -> Vec<String> {
    world.found_broken().await.iter().map(ToString::to_string).collect()
}

impl World {
    /// Runs statements as the owner of the database does: foreign keys hold up nobody.
    pub async fn by_hand(&self, sql: &str) {
        match self.url().strip_prefix("sqlite:") {
            Some(path) => {
                let mut conn = SqliteConnection::establish(path).unwrap();
                conn.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = OFF").unwrap();
                conn.batch_execute(sql).unwrap();
            }
            None => {
                let mut conn = AsyncPgConnection::establish(self.url()).await.unwrap();
                let sql = format!("SET session_replication_role = replica; {sql}");
                SimpleAsyncConnection::batch_execute(&mut conn, &sql).await.unwrap();
            }
        }
    }

    /// Keeps every row as it is now, as a backup does, under a name.
    async fn keep(&self, name: &str) {
        for table in TABLES {
            self.by_hand(&format!("CREATE TABLE {name}_{table} AS SELECT * FROM {table}")).await;
        }
    }

    /// Puts the rows of these tables back as they were kept.
    async fn put_back(&self, name: &str, tables: &[&str]) {
        for table in tables {
            self.by_hand(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM {name}_{table}")).await;
        }
    }

    /// Changes rows by hand, one way after the other; each is taken back. All of them have to
    /// change something.
    async fn each_change(&self, changes: &[&str], mut look: impl AsyncFnMut(&str)) {
        self.keep("each").await;
        for change in changes {
            assert!(self.sql(change).await.unwrap() >= 1, "{change}");
            look(change).await;
            self.put_back("each", &TABLES).await;
        }
        for table in TABLES {
            self.by_hand(&format!("DROP TABLE each_{table}")).await;
        }
    }

    async fn add(&self, name: &str, value: &str) -> EntryId {
        self.vault.entries().create(&user("bob"), entry(name, value)).await.unwrap().id
    }

    async fn rotate(&self, id: EntryId, value: &str) -> Result<(), project_vault::domain::Error> {
        let rotation =
            Rotation { id: id.to_string(), value: value.into(), expires_at: Change::Keep, expected_revision: None };
        self.vault.entries().rotate(&user("bob"), rotation).await.map(drop)
    }

    /// What a verification finds wrong.
    async fn found_broken(&self) -> Vec<Break> {
        self.another_server().verifier().verify(&[], |_| {}).await.unwrap().breaks
    }
}
