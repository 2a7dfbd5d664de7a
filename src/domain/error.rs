//! Errors in the product's terms. Only `graphql/error.rs` turns them into GraphQL errors.

use super::ErrorCode;
use std::time::Duration;

/// The path of an input field that has to change, such as `["input", "name"]`.
pub type Field = Vec<&'static str>;

/// The result of a vault operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the vault refused or failed an operation. Messages are for the caller: they say what to do
/// next and contain neither values nor internals.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An input breaks a rule; nothing was written.
    #[error("{message}")]
    InvalidInput {
        /// The input field to change.
        field: Field,
        /// What is wrong and how to fix it.
        message: String,
    },
    /// The object does not exist, or the caller may not know that it does.
    #[error("{0}")]
    NotFound(&'static str),
    /// The current state does not allow the operation.
    #[error("{0}")]
    Conflict(String),
    /// A limit of the vault is exceeded.
    #[error("{message}")]
    LimitExceeded {
        /// The input field over the limit; empty when the limit is not about an input.
        field: Field,
        /// The limit, and how to stay below it.
        message: String,
    },
    /// The caller may see the object but lacks the permission for the operation.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The caller was denied too often: this denial is only counted, and its reason is withheld. Or
    /// a runtime resolves more often than the operator allows.
    #[error("You ask, or were refused, too often; check what you ask for, and try again in {} s.", retry_after.as_secs())]
    RateLimited {
        /// How long until denials state their reason again; whole seconds, at least one.
        retry_after: Duration,
    },
    /// A service that the operation needs cannot be reached.
    #[error("{message}")]
    Unavailable {
        /// What the caller should do.
        message: &'static str,
        /// Whether the change is committed and will take effect without a retry.
        will_take_effect: bool,
    },
    /// Anything unexpected. Its text is for the log only.
    #[error("something went wrong inside the vault; report the request id to its operator")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An error for an input field that breaks a rule.
    pub fn invalid(field: &[&'static str], message: impl Into<String>) -> Self {
        Self::InvalidInput { field: field.to_vec(), message: message.into() }
    }

    /// An error for an input field that exceeds a limit.
    pub fn limit(field: &[&'static str], message: impl Into<String>) -> Self {
        Self::LimitExceeded { field: field.to_vec(), message: message.into() }
    }

    /// An unexpected error; its text is for the log only.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }

    /// An error for a service that cannot be reached; nothing was changed.
    #[must_use]
    pub const fn unavailable(message: &'static str) -> Self {
        Self::Unavailable { message, will_take_effect: false }
    }

    /// An error for a caller that was denied too often and may retry after `wait`, rounded up to
    /// whole seconds.
    #[must_use]
    pub fn rate_limited(wait: Duration) -> Self {
        let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::RateLimited { retry_after: Duration::from_secs(whole.max(1)) }
    }

    /// The error code of the API, also the reason in an audit event.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidInput { .. } => ErrorCode::InvalidInput,
            Self::NotFound(_) => ErrorCode::NotFound,
            Self::Conflict(_) => ErrorCode::Conflict,
            Self::LimitExceeded { .. } => ErrorCode::LimitExceeded,
            Self::Forbidden(_) => ErrorCode::Forbidden,
            Self::RateLimited { .. } => ErrorCode::RateLimited,
            Self::Unavailable { .. } => ErrorCode::Unavailable,
            Self::Internal(_) => ErrorCode::Internal,
        }
    }
}
