//! The clients for tool authors, against the real server. Each opens sealed values with an HPKE that is not ours.

use super::served::{Served, run};
use crate::support::setting;
use std::process::Command;

/// A client's tests, with the settings of `builder`.
async fn passes(served: &Served, program: &str, args: &[&str]) {
    let mut command = Command::new(program);
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear();
    for (name, value) in served.program(&[]).get_envs() {
        command.env(name, value.unwrap());
    }
    command.env("PYTHONPATH", "clients/python").env("PYTHONDONTWRITEBYTECODE", "1");
    let ran = run(command).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
}

both! {
    async fn the_typescript_client_works(world: World) {
        let served = Served::start(&world).await;
        passes(&served, &setting("VAULT_TEST_NODE"), &["--test", "clients/typescript/test/client.test.mjs"]).await;
    }

    async fn the_python_client_works(world: World) {
        let served = Served::start(&world).await;
        passes(&served, &setting("VAULT_TEST_PYTHON"), &["-m", "unittest", "discover", "-s", "clients/python/tests"]).await;
    }
}
