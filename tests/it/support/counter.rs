//! Counts the statements that a store sends.

use diesel::connection::{Instrumentation, InstrumentationEvent};
use project_vault::store::Instrument;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What opens, closes or sets up; it is no statement in the counts that the project promises.
const UNCOUNTED: &[&str] = &["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "SET "];

/// The embedded database's count of changes, which tells whether what is kept in memory holds. It is
/// asked beside what is counted.
const COUNT_OF_CHANGES: &str = "FROM `CHANGES`";

/// Running totals of statements: the vault's own, and apart from them the embedded authorizer's.
#[derive(Default)]
pub struct Counter {
    statements: Mutex<Vec<String>>,
    of_authorizer: AtomicU64,
    connections: AtomicU64,
}

impl Counter {
    pub fn statements(&self) -> u64 {
        self.statements.lock().unwrap().len() as u64
    }

    /// The texts of the vault's own statements, in their order.
    pub fn texts(&self) -> Vec<String> {
        self.statements.lock().unwrap().clone()
    }

    pub fn of_authorizer(&self) -> u64 {
        self.of_authorizer.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Counts what a connection does.
    pub fn instrument(self: &Arc<Self>) -> Instrument {
        let counter = self.clone();
        Arc::new(move || {
            counter.connections.fetch_add(1, Ordering::SeqCst);
            Box::new(Tap(counter.clone()))
        })
    }
}

struct Tap(Arc<Counter>);

impl Instrumentation for Tap {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        let InstrumentationEvent::StartQuery { query, .. } = event else { return };
        let text = query.to_string();
        let sql = text.to_uppercase();
        if UNCOUNTED.iter().any(|word| sql.starts_with(word)) || sql.contains(COUNT_OF_CHANGES) {
        } else if sql.contains("TUPLES") {
            self.0.of_authorizer.fetch_add(1, Ordering::SeqCst);
        } else {
            self.0.statements.lock().unwrap().push(text);
        }
    }
}
