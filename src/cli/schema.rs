//! `schema`: prints the subgraph's SDL.

use super::failure::Result;
use crate::command::print;

/// Prints the subgraph's SDL.
pub fn run() -> Result {
    let sdl = crate::graphql::sdl();
    Ok(print(&format!("{}\n", sdl.trim_end()))?)
}
