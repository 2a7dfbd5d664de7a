//! `VAULT_AUTHZ_MAX_AGE_MS`: allowing decisions may be reused for that long; denials never are.

use crate::support::{World, user};
use project_vault::authz::{Authorizer, Question, Tuple, TupleChange};
use project_vault::domain::{Role, UserId};
use project_vault::permission::{CanList, Held as _};
use std::time::Duration;

/// Longer than the test takes, since a memory forgets by the time of day as well.
const AGE: Duration = Duration::from_secs(600);

fn remembering(world: &World) -> Authorizer {
    world.authorizer.clone().with_max_age(AGE, world.clock.clone())
}

fn may_list(person: &str) -> Question {
    Question::on_project(&user(person).principal, CanList::PERMISSION, Some(&World::project()))
}

/// The answer, and whether the engine was asked for it.
async fn ask(authorizer: &Authorizer, person: &str) -> (bool, bool) {
    let before = authorizer.batches();
    let decisions = authorizer.decide(&[may_list(person)]).await.unwrap();
    (decisions[0].is_allowed(), authorizer.batches() > before)
}

async fn set_role(world: &World, by: &Authorizer, person: &str, held: bool) {
    let tuples = vec![Tuple::role(&World::project(), Role::Informed, &UserId::parse(person).unwrap())];
    let change = match held {
        true => TupleChange { write: tuples, delete: vec![] },
        false => TupleChange { write: vec![], delete: tuples },
    };
    let mut tx = world.store.begin().await.unwrap();
    by.apply(&mut tx, &change).await.unwrap();
    tx.commit().await.unwrap();
}

both! {
    async fn a_decision_is_used_again_until_its_age_and_not_longer(world: World) {
        world.demo().await;
        let authorizer = remembering(&world);
        assert_eq!(ask(&authorizer, "dave").await, (true, true));
        world.clock.advance(AGE - Duration::from_millis(1));
        assert_eq!(ask(&authorizer, "dave").await, (true, false), "used again, which does not make it younger");
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(ask(&authorizer, "dave").await, (true, true));
    }

    async fn what_another_server_took_away_is_gone_within_the_age(world: World) {
        world.demo().await;
        let authorizer = remembering(&world);
        assert_eq!(ask(&authorizer, "dave").await, (true, true));
        set_role(&world, &world.authorizer, "dave", false).await;
        assert_eq!(ask(&authorizer, "dave").await, (true, false));
        world.clock.advance(AGE);
        assert_eq!(ask(&authorizer, "dave").await, (false, true));
    }

    async fn what_the_server_itself_took_away_is_gone_at_once(world: World) {
        world.demo().await;
        let authorizer = remembering(&world);
        assert_eq!(ask(&authorizer, "dave").await, (true, true));
        set_role(&world, &authorizer, "dave", false).await;
        assert_eq!(ask(&authorizer, "dave").await, (false, true));
    }

    async fn a_denial_is_not_kept(world: World) {
        world.demo().await;
        let authorizer = remembering(&world);
        assert_eq!(ask(&authorizer, "mallory").await, (false, true));
        assert_eq!(ask(&authorizer, "mallory").await, (false, true));
        set_role(&world, &world.authorizer, "mallory", true).await;
        assert_eq!(ask(&authorizer, "mallory").await, (true, true));
    }

    async fn a_decision_under_a_lock_is_never_an_old_one(world: World) {
        world.demo().await;
        let authorizer = remembering(&world);
        assert_eq!(ask(&authorizer, "dave").await, (true, true));
        set_role(&world, &world.authorizer, "dave", false).await;
        let mut tx = world.store.begin().await.unwrap();
        let decisions = authorizer.decide_in(&mut tx, &[may_list("dave")]).await.unwrap();
        assert!(!decisions[0].is_allowed());
        tx.rollback().await.unwrap();
    }

    async fn by_default_every_call_asks(world: World) {
        world.demo().await;
        let authorizer = world.authorizer.clone().with_max_age(Duration::ZERO, world.clock.clone());
        assert_eq!(ask(&authorizer, "dave").await, (true, true));
        assert_eq!(ask(&authorizer, "dave").await, (true, true));
    }
}
