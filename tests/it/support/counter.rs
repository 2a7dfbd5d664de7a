//! Counts the statements that a store sends.

use diesel::connection::{Instrumentation, InstrumentationEvent};
use parking_lot::Mutex;
use project_vault::store::Instrument;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What opens, closes or sets up; it is no statement in the counts that the project promises.
const UNCOUNTED: &[&str] = &["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "SET "];

/// The embedded database's count of changes, which tells whether what is kept in memory holds. It
/// is asked beside what is counted.
const COUNT_OF_CHANGES: &str = "FROM `CHANGES`";

/// Running totals of statements: the vault's own, and apart from them the embedded authorizer's.
#[derive(Default)]
pub struct Counter {
    statements: Mutex<Vec<String>>,
    of_authorizer: AtomicU64,
    connections: AtomicU64,
    log: Mutex<Log>,
}

/// The statements sent while somebody watches.
#[derive(Default)]
struct Log {
    /// The statements with their connections; `None` while nobody watches.
    sent: Option<Vec<(u64, String)>>,
    /// The statements that each connection keeps prepared.
    kept: HashSet<(u64, String)>,
}

/// A statement that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its text, without the values of its parameters.
    pub sql: String,
    /// Whether its connection keeps it prepared. If not, it is parsed and planned on every call.
    pub is_kept: bool,
    /// Whether it commits: it is COMMIT, or writes outside a transaction.
    pub is_commit: bool,
}

impl Sent {
    /// Whether it is a statement in the counts that the project promises.
    pub fn is_counted(&self) -> bool {
        is_counted(&self.sql)
    }

    /// Whether it is the embedded authorizer's.
    pub fn is_of_authorizer(&self) -> bool {
        is_of_authorizer(&self.sql)
    }
}

fn is_counted(sql: &str) -> bool {
    let upper = sql.to_uppercase();
    !UNCOUNTED.iter().any(|word| upper.starts_with(word)) && !upper.contains(COUNT_OF_CHANGES)
}

fn writes(sql: &str) -> bool {
    ["INSERT", "UPDATE", "DELETE"].iter().any(|verb| sql.starts_with(verb)) || sql.contains("INSERT INTO")
}

fn is_of_authorizer(sql: &str) -> bool {
    sql.to_uppercase().contains("TUPLES")
}

impl Counter {
    pub fn statements(&self) -> u64 {
        self.statements.lock().len() as u64
    }

    /// The texts of the vault's own statements, in their order.
    pub fn texts(&self) -> Vec<String> {
        self.statements.lock().clone()
    }

    pub fn of_authorizer(&self) -> u64 {
        self.of_authorizer.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Notes the statements that are sent from now on.
    pub fn watch(&self) {
        self.log.lock().sent = Some(Vec::new());
    }

    /// The statements sent since [`Self::watch`], in their order.
    pub fn watched(&self) -> Vec<Sent> {
        let mut log = self.log.lock();
        let sent = log.sent.take().unwrap_or_default();
        let mut in_transaction = HashSet::new();
        let mut commits = |connection: u64, sql: &str| {
            if sql.starts_with("BEGIN") {
                in_transaction.insert(connection);
                false
            } else if sql == "COMMIT" || sql == "ROLLBACK" {
                in_transaction.remove(&connection);
                sql == "COMMIT"
            } else {
                writes(sql) && !in_transaction.contains(&connection)
            }
        };
        sent.into_iter()
            .map(|one| Sent { is_kept: log.kept.contains(&one), is_commit: commits(one.0, &one.1), sql: one.1 })
            .collect()
    }

    /// Counts what a connection does.
    pub fn instrument(self: &Arc<Self>) -> Instrument {
        let counter = self.clone();
        Arc::new(move || {
            let connection = counter.connections.fetch_add(1, Ordering::SeqCst);
            Box::new(Tap { counter: counter.clone(), connection })
        })
    }
}

struct Tap {
    counter: Arc<Counter>,
    connection: u64,
}

impl Instrumentation for Tap {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { query, .. } => {
                let text = query.to_string();
                let sql = text.split(" -- binds:").next().unwrap_or_default();
                if let Some(sent) = &mut self.counter.log.lock().sent {
                    sent.push((self.connection, sql.to_owned()));
                }
                if !is_counted(sql) {
                } else if is_of_authorizer(sql) {
                    self.counter.of_authorizer.fetch_add(1, Ordering::SeqCst);
                } else {
                    let mut statements = self.counter.statements.lock();
                    // SQLite executes one prepared statement for each event of a call.
                    let is_repeated = sql.starts_with("INSERT INTO audit_")
                        && statements.last().is_some_and(|last| last.starts_with(sql));
                    if !is_repeated {
                        statements.push(text.clone());
                    }
                }
            }
            InstrumentationEvent::CacheQuery { sql, .. } => {
                self.counter.log.lock().kept.insert((self.connection, sql.to_owned()));
            }
            _ => {}
        }
    }
}
