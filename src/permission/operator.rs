//! Operators, which need no permission of the model: at a shell, an operator has the database and
//! the master keys.

use super::{Authorized, ChangesEntries};
use crate::domain::ProjectId;

/// The proof that a command runs with the database and the master keys. Only commands make one;
/// code that answers requests must not.
pub struct Operator(());

impl Operator {
    /// The operator that runs this command.
    #[must_use]
    pub const fn at_the_shell() -> Self {
        Self(())
    }

    /// The proof for moving a project's entries to another data key.
    #[must_use]
    pub fn rekeying(&self, project: &ProjectId) -> Rekeying {
        Rekeying { project: project.clone() }
    }
}

/// The proof for moving a project's entries to another data key without changing their content. It
/// follows from an [`Operator`], or from a permission to change entries. Only this module makes
/// one.
pub struct Rekeying {
    project: ProjectId,
}

impl Rekeying {
    /// The project it holds for.
    #[must_use]
    pub const fn project(&self) -> &ProjectId {
        &self.project
    }
}

impl<P: ChangesEntries> From<&Authorized<P>> for Rekeying {
    fn from(by: &Authorized<P>) -> Self {
        Self { project: by.project().clone() }
    }
}
