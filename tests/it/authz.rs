//! Both authorizers give the same answers, and neither says yes when it does not know.

mod agreement;
mod corpus;
mod edges;

use crate::support::World;
use project_vault::authz::{Authorizer, Question, Tuple, TupleChange};
use project_vault::domain::Result;
use project_vault::permission::Permission;
use project_vault::store::Store;

const PERMISSIONS: &[Permission] = &[
    Permission::CanSee,
    Permission::CanList,
    Permission::CanViewMasked,
    Permission::CanWrite,
    Permission::CanPreview,
    Permission::CanViewAgents,
    Permission::CanAdminister,
    Permission::CanManageAgents,
    Permission::CanCloseMilestones,
    Permission::CanManageMembers,
    Permission::CanAudit,
    Permission::CanManageProjects,
    Permission::CanResolve,
    Permission::CanActThrough,
];

/// The permission that asks for a relation of the model.
fn permission(relation: &str) -> Permission {
    let found = PERMISSIONS.iter().find(|permission| permission.relation() == relation);
    *found.unwrap_or_else(|| panic!("no permission asks for the relation {relation}"))
}

async fn ask(authorizer: &Authorizer, questions: &[Question]) -> Result<Vec<bool>> {
    let decisions = authorizer.decide(questions).await?;
    Ok(decisions.iter().map(project_vault::authz::Decision::is_allowed).collect())
}

/// Applies a change in a transaction of its own.
async fn apply(authorizer: &Authorizer, store: &Store, write: &[Tuple], delete: &[Tuple]) -> Result<()> {
    let mut tx = store.begin().await?;
    authorizer.apply(&mut tx, &TupleChange { write: write.to_vec(), delete: delete.to_vec() }).await?;
    Ok(tx.commit().await?)
}

impl World {
    async fn write(&self, tuples: &[Tuple]) {
        apply(&self.authorizer, &self.store, tuples, &[]).await.unwrap();
    }

    async fn delete(&self, tuples: &[Tuple]) {
        apply(&self.authorizer, &self.store, &[], tuples).await.unwrap();
    }
}
