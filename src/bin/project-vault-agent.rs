//! The agent's commands alone, for sandboxes: `cargo build --release --no-default-features --bin
//! project-vault-agent`.

fn main() -> std::process::ExitCode {
    project_vault::agent::main()
}
