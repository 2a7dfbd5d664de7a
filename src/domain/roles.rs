//! RACI roles and the state of a project.

use super::text_enum;

text_enum! {
    /// A RACI role in a project. `model.fga` defines what it allows.
    pub enum Role {
        /// Does the work: creates and changes entries.
        Responsible = "RESPONSIBLE",
        /// Answers for the project: administers it.
        Accountable = "ACCOUNTABLE",
        /// Is asked: sees masked values.
        Consulted = "CONSULTED",
        /// Is informed: lists entries.
        Informed = "INFORMED",
    }
}

text_enum! {
    /// The platform's state of a project. Agents receive values only while it is ACTIVE.
    pub enum ProjectStatus {
        /// Not begun.
        Planning = "PLANNING",
        /// Being worked on.
        Active = "ACTIVE",
        /// Interrupted.
        Paused = "PAUSED",
        /// Done.
        Completed = "COMPLETED",
        /// Given up.
        Cancelled = "CANCELLED",
    }
}
