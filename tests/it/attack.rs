//! Attacks that once worked, or that must not: `scripts/test attack` runs them all.

mod answers;
mod bodies;
mod clients;
mod denials;
mod metrics;
mod names;
mod output;
mod peers;
mod rows;
mod slots;
mod timing;
mod waiting;
