//! The agent's side: the commands of the program, sealed delivery and the clients, against a real
//! server over either backend.

mod alike;
mod clients;
mod delivery;
mod env_file;
mod exec;
pub mod faults;
mod files;
mod first_process;
mod get;
mod headers;
mod job_control;
mod mcp;
mod process;
mod screen;
pub mod served;
mod small_program;
mod terminal;
mod tokens;
