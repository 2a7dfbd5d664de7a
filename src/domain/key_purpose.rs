//! Purposes of the installation's own keys.

use super::text_enum;

text_enum! {
    /// The purpose of an installation key.
    pub enum KeyPurpose {
        /// Authenticates the chains of audit events.
        Audit = "AUDIT",
        /// Signs receipts and heads.
        Signing = "SIGNING",
    }
}
