//! Replacing keys while servers work: no request fails.

use super::{EVENTS, Ringed, demo, operator, rotate, value};
use crate::support::{entry, user};
use project_vault::vault::{Rollback, Vault};
use std::sync::atomic::{AtomicBool, Ordering};

/// What a server does meanwhile, until it is told to stop; how often.
async fn at_work(vault: &Vault, number: usize, stop: &AtomicBool) -> usize {
    let bob = user("bob");
    let name = format!("MOVING_{number}");
    let id = vault.entries().create(&bob, entry(&name, "value 0")).await.unwrap().id.to_string();
    let (mut turn, mut version) = (0, 1);
    while !stop.load(Ordering::SeqCst) {
        turn += 1;
        let before = value(vault, &name).await;
        rotate(vault, &id, &format!("value {turn}")).await.unwrap();
        assert_eq!(value(vault, &name).await, format!("value {turn}"));
        let back = Rollback { id: id.clone(), version, expected_revision: None };
        vault.entries().roll_back(&bob, back).await.unwrap();
        assert_eq!(value(vault, &name).await, before);
        version += 2;
        assert_eq!(value(vault, "STILL").await, "as it was");
    }
    turn
}

both! {
    async fn servers_go_on_resolving_rotating_and_rolling_back_while_keys_are_replaced(world: World) {
        let ringed = Ringed::with(world, &[("STILL", "as it was")]).await;
        let servers = [ringed.server(), ringed.server()];
        let stop = AtomicBool::new(false);
        let work = servers.iter().enumerate().map(|(number, server)| at_work(server, number, &stop));
        let replacing = async {
            for _ in 0..3 {
                ringed.add_key();
                for server in &servers {
                    server.installation().reload_keyring().await.unwrap();
                }
                let one = ringed.server();
                let other = ringed.server();
                let by = operator();
                let project = demo();
                let (master, data, as_well) = futures::join!(
                    one.rotation().rewrap(&by, &|_, _| {}),
                    other.rotation().replace_data_keys(&by, &project, &|_, _| {}),
                    one.rotation().replace_data_keys(&by, &project, &|_, _| {}),
                );
                master.unwrap();
                assert!(data.unwrap().left.is_empty() && as_well.unwrap().left.is_empty());
            }
            stop.store(true, Ordering::SeqCst);
        };
        let (turns, ()) = futures::join!(futures::future::join_all(work), replacing);
        assert!(turns.iter().all(|turns| *turns > 0), "{turns:?}");
        assert!(ringed.world.number(EVENTS).await >= 3);
        ringed.server().rotation().replace_data_keys(&operator(), &demo(), &|_, _| {}).await.unwrap();
        assert_eq!(ringed.world.number("SELECT count(*) AS n FROM data_keys").await, 1);
        assert_eq!(value(&ringed.server(), "STILL").await, "as it was");
    }
}
