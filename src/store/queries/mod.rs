//! The queries, written once and compiled for each backend: `backend` and `schema` are the
//! including module's.

pub mod chains;
pub mod entries;
pub mod entry_lists;
pub mod entry_writes;
pub mod events;
pub mod installation;
pub mod keys;
pub mod outbox;
pub mod projects;
pub mod tuples;
