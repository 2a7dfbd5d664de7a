//! The records: every event is in a chain, and changes made by hand are detected.

mod backup;
mod chains;
mod export;
mod killed;
mod receipts;
mod retention;
mod rollback;
mod sentinel;
mod tampering;
mod unreadable;

use crate::support::{World, agent_asks, entry, runtime, tool_asks, user};
use project_vault::vault::{Break, Verification};

impl World {
    /// What a verification finds, against these heads that were kept elsewhere.
    async fn verified_against(&self, kept: &[String]) -> Verification {
        self.vault.verifier().verify(kept, |_| {}).await.unwrap()
    }

    /// What a verification finds wrong.
    async fn breaks(&self) -> Vec<Break> {
        self.verified_against(&[]).await.breaks
    }

    async fn events_there(&self) -> i64 {
        self.number("SELECT count(*) AS n FROM audit_events").await
    }

    /// The demo with an entry that was used, changed and asked for in vain.
    async fn used_demo(&self) {
        self.demo().await;
        self.vault.entries().create(&user("bob"), entry("TOKEN", "the value of the token")).await.unwrap();
        let acme = runtime("acme-runtime");
        self.vault.agents().resolve(&acme, tool_asks(agent_asks("builder", &["TOKEN", "NONE"]))).await.unwrap();
        self.vault.agents().resolve(&acme, tool_asks(agent_asks("deployer", &["TOKEN"]))).await.err().unwrap();
    }
}
