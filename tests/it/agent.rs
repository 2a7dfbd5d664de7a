//! The agent's side: the commands of the program, sealed delivery and the clients, against a real server over either backend.

mod clients;
mod delivery;
mod exec;
mod faults;
mod files;
mod get;
mod process;
mod served;
mod terminal;
