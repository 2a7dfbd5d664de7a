//! The program.

/// Gives memory back to the system soon after a flood of requests, which glibc's allocator does
/// not: `scripts/test attack::bodies` measures it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    project_vault::cli::main()
}
