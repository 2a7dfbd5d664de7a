//! `schema`.

use super::failure::Result;
use super::print;

/// Prints the subgraph's SDL.
pub fn run() -> Result {
    let sdl = crate::graphql::sdl();
    print(&format!("{}\n", sdl.trim_end()))
}
