//! Errors, in the product's terms.

use super::ErrorCode;
use std::time::Duration;

/// The path of an input field that has to change, such as `["input", "name"]`.
pub type Field = Vec<&'static str>;

/// The result of everything the vault does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the vault did not do what it was asked. Messages are for the caller: they say what to do next and repeat neither
/// values nor internals.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An input breaks a rule; nothing was written.
    #[error("{message}")]
    InvalidInput {
        /// Which one.
        field: Field,
        /// How to mend it.
        message: String,
    },
    /// There is no such thing, or the caller may not know of it.
    #[error("{0}")]
    NotFound(&'static str),
    /// The state of things forbids it now.
    #[error("{0}")]
    Conflict(String),
    /// More than the vault takes.
    #[error("{message}")]
    LimitExceeded {
        /// Which input, where it is one.
        field: Field,
        /// The limit, and how to stay below it.
        message: String,
    },
    /// The caller may see the thing but not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The caller was refused too often: this refusal is only counted, and its reason is not told.
    #[error("You were refused too often; check what you ask for, and try again in {} s.", retry_after.as_secs())]
    RateLimited {
        /// Until the next refusal is answered with its reason again; whole seconds, at least one.
        retry_after: Duration,
    },
    /// A part that the answer needs cannot be reached.
    #[error("{message}")]
    Unavailable {
        /// The problem, and what to do.
        message: &'static str,
        /// The change is committed and will take effect without being asked for again.
        will_take_effect: bool,
    },
    /// Anything unexpected. Its text is for the log only.
    #[error("something went wrong inside the vault; report the request id to its operator")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An input that breaks a rule.
    pub fn invalid(field: &[&'static str], message: impl Into<String>) -> Self {
        Self::InvalidInput { field: field.to_vec(), message: message.into() }
    }

    /// An input beyond a limit.
    pub fn limit(field: &[&'static str], message: impl Into<String>) -> Self {
        Self::LimitExceeded { field: field.to_vec(), message: message.into() }
    }

    /// Something unexpected, with a text for the log.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }

    /// A part cannot be reached, and nothing happened.
    #[must_use]
    pub const fn unavailable(message: &'static str) -> Self {
        Self::Unavailable { message, will_take_effect: false }
    }

    /// Refused too often; to be tried again after `wait`, rounded up to whole seconds.
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
