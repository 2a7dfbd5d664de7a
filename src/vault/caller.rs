//! The caller of an operation: its principal and its request.

use crate::domain::{Error, Principal, RequestId, Result, UserId};

/// The principal that calls the vault, and the request it calls in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The principal that the token names.
    pub principal: Principal,
    /// The request's id, which appears in answers, logs and events.
    pub request_id: RequestId,
}

impl Caller {
    /// The calling person.
    ///
    /// # Errors
    /// INTERNAL for a service or a runtime. The authorizer allows neither of them to change
    /// entries.
    pub(super) fn person(&self) -> Result<&UserId> {
        match &self.principal {
            Principal::User(id) => Ok(id),
            Principal::Service(_) | Principal::Runtime(..) => {
                Err(Error::internal("a principal that is no person was about to change an entry"))
            }
        }
    }
}
