//! The clients for tool authors, against the real server. Each opens sealed values with an HPKE
//! that is not ours.

use super::served::{Served, program, run};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_work_with_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let dev = super::served::Dev::start(data).await;
    let narrow = ["--project", "demo", "--agent", "builder"];
    let token = run(program(&[&["token", "--data-dir", data, "runtime:acme-runtime"], &narrow[..]].concat())).await.out;
    let example = |name: &str| {
        let mut command = Command::new(name);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("PROJECT_VAULT_URL", &dev.url).env("PROJECT_VAULT_TOKEN", token.trim_end());
        command.env("PYTHONPATH", "clients/python").env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("PROJECT_VAULT_PROGRAM", assert_cmd::cargo::cargo_bin("project-vault"));
        command.stdin(std::process::Stdio::null());
        command
    };
    let mut tool = example(&setting("VAULT_TEST_PYTHON"));
    tool.args(["examples/sign_webhook.py", "WEBHOOK_SECRET"]);
    let ran = run(tool).await;
    // HMAC-SHA256 of nothing under the demo's secret.
    let signature = {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let mac = Hmac::<sha2::Sha256>::new_from_slice(b"wh-demo-c3f81e5a9d7042b6").unwrap();
        data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
    };
    assert_eq!((ran.out, ran.err.as_str()), (format!("sha256={signature}\n"), ""));

    let ran = run(example("examples/session")).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    for part in [
        "narrowed    to agent builder",
        "LEGACY_API_KEY  EXPIRED",
        "a file of mode 600, in memory: tmpfs",
        "Bearer [STRIPE_API_KEY]",
        "token: not here",
    ] {
        assert!(ran.out.contains(part), "{part} in {}", ran.out);
    }
    assert!(!ran.out.contains("sk-demo"), "{}", ran.out);
}
