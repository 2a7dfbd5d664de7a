//! What the installation's own keys are for.

use super::text_enum;

text_enum! {
    /// What a key of the installation is for.
    pub enum KeyPurpose {
        /// Authenticates the chains of audit events.
        Audit = "AUDIT",
        /// Signs receipts and heads.
        Signing = "SIGNING",
    }
}
