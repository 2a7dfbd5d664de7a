//! The queries, written once and compiled for each backend: `backend` and `schema` are the
//! including module's.

pub mod chains;
pub mod entries;
pub mod entry_lists;
pub mod entry_writes;
pub mod events;
pub mod gauges;
pub mod installation;
pub mod keys;
pub mod notices;
pub mod outbox;
pub mod projects;
pub mod tuples;
