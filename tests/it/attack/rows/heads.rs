//! Signed heads deleted by hand, in order to cut off the ends of chains.

use crate::support::{Backend, Installation, World};
use project_vault::vault::Break;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The demo with an entry, whose chains are signed.
async fn signed(world: &World) {
    world.demo().await;
    world.add("TOKEN", "a value").await;
    world.vault.audit().sign_head().await.unwrap();
}

both! {
    async fn heads_that_are_gone_are_missed(world: World) {
        signed(&world).await;
        let last = world.number("SELECT max(seq) AS n FROM audit_events").await;
        world.clock.advance(MINUTE * 11);
        assert_eq!(world.found_broken().await, [], "old events that a head covers");
        world.by_hand("DELETE FROM audit_heads").await;
        world.by_hand(&format!("DELETE FROM audit_events WHERE seq > {last} - 2")).await;
        let broken = world.found_broken().await;
        assert!(
            broken.iter().any(|one| matches!(one, Break::Unsigned { from: 1, to, .. } if *to == last - 2)),
            "{broken:?}"
        );
        let told = broken.iter().map(ToString::to_string).collect::<String>();
        assert!(told.contains("audit verify --head FILE"), "{told}");
    }

    async fn events_are_not_missed_in_a_head_before_ten_minutes_have_passed(world: World) {
        signed(&world).await;
        world.clock.advance(MINUTE * 11);
        world.add("LATER", "a value").await;
        world.clock.advance(MINUTE * 9);
        assert_eq!(world.found_broken().await, []);
        world.clock.advance(MINUTE * 2);
        assert!(matches!(world.found_broken().await[..], [Break::Unsigned { .. }]));
        // A server that starts signs at once.
        world.another_server().audit().sign_head().await.unwrap();
        assert_eq!(world.found_broken().await, []);
    }

    async fn a_head_that_is_kept_elsewhere_covers_as_well(world: World) {
        signed(&world).await;
        let kept = world.vault.audit().sign_head().await.unwrap();
        world.clock.advance(MINUTE * 11);
        world.by_hand("DELETE FROM audit_heads").await;
        assert_ne!(world.found_broken().await, []);
        assert_eq!(world.another_server().verifier().verify(&[kept], |_| {}).await.unwrap().breaks, []);
    }

    async fn a_server_signs_again_what_it_signed_before(world: World) {
        signed(&world).await;
        let last = world.number("SELECT max(seq) AS n FROM audit_events").await;
        for removal in ["DELETE FROM audit_heads", "UPDATE audit_heads SET statement = 'forged'"] {
            world.by_hand(removal).await;
            world.by_hand(&format!("DELETE FROM audit_events WHERE seq > {last} - 2")).await;
            world.vault.audit().sign_head().await.unwrap();
            let broken = world.found_broken().await;
            let shows = |one: &Break| matches!(one, Break::Truncated { named, .. } if *named == last);
            assert!(broken.iter().any(shows), "{removal}: {broken:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_record_without_a_server_sign_heads() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let it = Installation::new(backend).await;
        let commands = [&["registrar", "add", "ci"][..], &["auditor", "add", "service:siem"], &["keys", "rotate"]];
        for args in commands {
            it.database.sql("DELETE FROM audit_heads").await.unwrap();
            it.done(args).await;
            assert_eq!(it.database.number("SELECT count(*) AS n FROM audit_heads").await, 1, "{args:?}");
        }
        assert!(it.done(&["audit", "verify"]).await.contains("as they were recorded"));
    }
}
