//! The program.

fn main() -> std::process::ExitCode {
    project_vault::cli::main()
}
