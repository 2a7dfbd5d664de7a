//! The integration tests: one binary, every test of the vault's behaviour on SQLite with the
//! embedded authorizer and on PostgreSQL with OpenFGA. `scripts/test` starts the servers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where something is not as it should be")]
#![allow(clippy::pedantic, reason = "a test is to be read, not to be fast or public")]

#[macro_use]
mod support;

mod agent;
mod attack;
mod audit;
mod authz;
mod backups;
mod cli;
mod compile_fail;
mod connections;
mod cost;
mod dashboard;
mod database_tls;
mod decision_age;
mod entries;
mod exposures;
mod faults;
mod graphql;
mod hanging;
mod hostile;
mod http;
mod keyring;
mod keys;
mod layers;
mod lifecycle;
mod lists;
mod locale;
mod notices;
mod openfga;
mod outbox;
mod permission_first;
mod queues;
mod recording;
mod remembered;
mod resolve_limit;
mod resolving;
mod roles;
mod schema;
mod schema_of_database;
mod serve;
mod spellings;
mod store;
mod tampering;
mod upgrade;
mod vault;
mod watching;
