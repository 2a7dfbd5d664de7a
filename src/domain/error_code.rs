//! The error codes of the API (`product.md`, section 7).

use super::text_enum;

text_enum! {
    /// What an error of the API tells programs, in `extensions.code`. The reason of an audit event
    /// is one of these, too.
    pub enum ErrorCode {
        /// The request has no token, or one that is not accepted.
        Unauthenticated = "UNAUTHENTICATED",
        /// The caller may see the object, but not do this.
        Forbidden = "FORBIDDEN",
        /// There is no such object, or the caller may not see it.
        NotFound = "NOT_FOUND",
        /// An input breaks a rule.
        InvalidInput = "INVALID_INPUT",
        /// The current state does not allow the change.
        Conflict = "CONFLICT",
        /// The request exceeds a limit.
        LimitExceeded = "LIMIT_EXCEEDED",
        /// The caller was refused too often.
        RateLimited = "RATE_LIMITED",
        /// A part that the answer needs cannot be reached.
        Unavailable = "UNAVAILABLE",
        /// Anything unexpected.
        Internal = "INTERNAL",
        /// The request is not GraphQL over HTTP, or a variable has another type.
        BadUserInput = "BAD_USER_INPUT",
        /// The document is not GraphQL.
        ParseFailed = "GRAPHQL_PARSE_FAILED",
        /// The document does not fit the schema.
        ValidationFailed = "GRAPHQL_VALIDATION_FAILED",
        /// The request names its document by a hash only. Clients that get this code send the whole
        /// document.
        PersistedQueryNotSupported = "PERSISTED_QUERY_NOT_SUPPORTED",
    }
}
