//! Plain values that are valid by construction. No I/O.

mod audit;
mod causes;
pub mod dotenv;
mod entry;
mod environment_names;
mod error;
mod error_code;
#[cfg(test)]
mod fuzz;
mod ids;
mod key_purpose;
mod loopback;
mod name;
mod pem;
mod principal;
mod reserved_names;
mod roles;
mod time;
mod token_kind;

pub use audit::{AuditAction, AuditOutcome, Purpose, SecretOutcome};
pub use causes::{root_cause, with_causes};
pub use entry::{Category, EntryStatus, Phase, Scope};
pub use environment_names::{ApprovedNames, EnvironmentNames, LeftOutReason};
pub use error::{Error, Field, Result};
pub use error_code::ErrorCode;
pub use ids::{
    AgentId, ChainId, DataKeyId, EntryId, EventId, IdError, MilestoneId, OrganizationId, ProjectId, RequestId,
    RuntimeId, ServiceId, TeamId, UserId,
};
pub use key_purpose::KeyPurpose;
pub use loopback::is_loopback_host;
pub use name::{NameError, SecretName};
pub use pem::{PemBlock, canonical_pem, pem_blocks};
pub use principal::{Actor, Narrowing, Principal};
pub use reserved_names::ReservedNames;
pub use roles::{ProjectStatus, Role};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
pub use token_kind::TokenKind;

/// Declares a field-less enum whose values have one text form, for writing and parsing.
macro_rules! text_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text form in the database, the API and the logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Parses the text form; `None` for any other text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use text_enum;
