//! Counts the statements that a store sends.

use diesel::connection::{Instrumentation, InstrumentationEvent};
use project_vault::store::Instrument;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What opens, closes or sets up; it is no statement in the counts that the project promises.
const UNCOUNTED: &[&str] = &["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "SET "];

/// Running totals of statements: the vault's own, and apart from them the embedded authorizer's.
#[derive(Default)]
pub struct Counter {
    statements: AtomicU64,
    of_authorizer: AtomicU64,
    connections: AtomicU64,
}

impl Counter {
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::SeqCst)
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
        let sql = query.to_string().to_uppercase();
        let counter = if UNCOUNTED.iter().any(|word| sql.starts_with(word)) {
            return;
        } else if sql.contains("TUPLES") {
            &self.0.of_authorizer
        } else {
            &self.0.statements
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}
