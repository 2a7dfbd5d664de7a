//! The agent's side: the commands of the program, sealed delivery and the clients, against a real
//! server over either backend.

mod clients;
mod delivery;
mod exec;
pub mod faults;
mod files;
mod get;
mod process;
pub mod served;
mod small_program;
mod terminal;
