//! Errors of the database.

use crate::domain;
use diesel::result::{DatabaseErrorKind, Error as Diesel};

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A uniqueness constraint was violated; its name, or the database's message.
    #[error("the database refused a second row: {0}")]
    Unique(String),
    /// The database cannot be reached, is busy, or is full. Nothing was written.
    #[error("the database cannot answer: {0}")]
    Unavailable(String),
    /// The database became unreachable during a commit, so the changes may or may not be there.
    #[error("the database went away during a commit: {0}")]
    Unknown(String),
    /// The URL names no database, or the database is set up so that commits could be lost. The text
    /// says which.
    #[error("{0}")]
    Refused(&'static str),
    /// A newer program applied the migrations of these versions, which this one does not know.
    #[error(
        "the database was brought up to date by a newer program (migrations {}); run that program or a newer one, or restore the \
         backup from before the upgrade", .0.join(", ")
    )]
    Newer(Vec<String>),
    /// A row was found and cannot be read: a column holds no value of its type.
    #[error("a row cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else.
    #[error("the database failed")]
    Unexpected(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    pub(super) fn unexpected(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unexpected(source.into())
    }

    /// The same error, for another caller that it meets.
    pub(super) fn for_another(&self) -> Self {
        match self {
            Self::Unavailable(reason) => Self::Unavailable(reason.clone()),
            Self::Refused(reason) => Self::Refused(reason),
            other => Self::unexpected(other.to_string()),
        }
    }

    /// The kind of error, for traces.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Unique(_) => "unique",
            Self::Unavailable(_) => "unavailable",
            Self::Unknown(_) => "unknown_commit",
            Self::Refused(_) => "refused",
            Self::Newer(_) => "newer",
            Self::Unreadable(_) => "unreadable",
            Self::Unexpected(_) => "unexpected",
        }
    }

    pub(super) fn unreachable(source: &impl std::fmt::Display) -> Self {
        Self::Unavailable(source.to_string())
    }
}

/// Parts of the messages of SQLite when it cannot continue. `diesel` passes its codes on only as
/// text, which SQLite has in one language.
const CANNOT_GO_ON: &[&str] = &[
    "database is locked",
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
    "attempt to write a readonly database",
];

impl Error {
    /// From an error of PostgreSQL. Its messages are in the language of the server, and `diesel`
    /// passes on no SQLSTATE. But a fault of a statement has a position in it, or breaks a
    /// constraint, which has a kind of its own; what remains are conditions of the server:
    /// shutdown, full disk, cancelled statement, deadlock, too many connections.
    pub(super) fn of_postgres(error: Diesel) -> Self {
        match &error {
            Diesel::DatabaseError(DatabaseErrorKind::Unknown, info) if info.statement_position().is_none() => {
                Self::Unavailable(info.message().to_owned())
            }
            _ => error.into(),
        }
    }
}

impl From<Diesel> for Error {
    fn from(error: Diesel) -> Self {
        match &error {
            Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
                Self::Unique(info.constraint_name().unwrap_or_else(|| info.message()).to_owned())
            }
            Diesel::DatabaseError(
                DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::ReadOnlyTransaction,
                info,
            ) => Self::Unavailable(info.message().to_owned()),
            Diesel::DatabaseError(_, info) if CANNOT_GO_ON.iter().any(|part| info.message().contains(part)) => {
                Self::Unavailable(info.message().to_owned())
            }
            Diesel::DeserializationError(_) => Self::Unreadable(error.into()),
            Diesel::BrokenTransactionManager => Self::Unavailable(error.to_string()),
            _ => Self::unexpected(error),
        }
    }
}

impl From<Error> for domain::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(reason) => {
                tracing::warn!(%reason, "the database cannot answer");
                Self::unavailable("The vault's database cannot answer now; nothing was changed. Try again.")
            }
            Error::Unknown(reason) => {
                tracing::error!(%reason, "the database went away during a commit");
                Self::unavailable(
                    "The vault's database went away while this was being saved; check whether it was saved before you try again.",
                )
            }
            Error::Unique(_) => {
                Self::Conflict("Something with this id or name exists already; choose another one.".to_owned())
            }
            Error::Refused(reason) => {
                tracing::error!(reason, "the database cannot be used with its present settings");
                Self::unavailable("The vault's database cannot be used now; nothing was changed.")
            }
            Error::Newer(_) | Error::Unreadable(_) | Error::Unexpected(_) => Self::internal(error),
        }
    }
}
