//! Actions that need no permission of the model: an operator at the shell holds the database and
//! the master keys anyway.

use super::{Authorized, ChangesEntries};
use crate::domain::ProjectId;

/// Somebody who runs a command with the database and the master keys. Only commands make one;
/// nothing that answers a request does.
pub struct Operator(());

impl Operator {
    /// The one who runs this command.
    #[must_use]
    pub const fn at_the_shell() -> Self {
        Self(())
    }

    /// May put a project's entries under another data key.
    #[must_use]
    pub fn rekeying(&self, project: &ProjectId) -> Rekeying {
        Rekeying { project: project.clone() }
    }
}

/// The proof that a project's entries may be put under another data key, where they say what they
/// said before. An operator has it, and whoever may change entries. Nothing outside this module
/// makes one.
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
