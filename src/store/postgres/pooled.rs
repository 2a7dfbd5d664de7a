//! A connection of the pool, on which no statement waits for ever.

use super::backend::Connection;
use crate::store::Error;
use diesel::QueryResult;
use diesel_async::pooled_connection::deadpool::Object;
use std::time::Duration;
use tokio::time::error::Elapsed;

/// Maximum time for a statement of a request. The server cancels it then; where the server does not
/// do even that, because it hangs or cannot be reached, the connection is given up a little later.
pub const STATEMENT_LIMIT: Duration = Duration::from_secs(10);
/// The same for the commands of operators, which may wait for a busy database.
pub const PATIENT_LIMIT: Duration = Duration::from_secs(120);
/// How much later than the server should have cancelled a statement its connection is given up.
const GRACE: Duration = Duration::from_secs(3);

/// A connection of the pool.
pub struct PooledConnection {
    /// Only dropped while it is none.
    object: Option<Object<Connection>>,
    limit: Duration,
    /// Whether a statement was abandoned: the connection would first wait for its answer.
    is_abandoned: bool,
}

impl PooledConnection {
    pub(in crate::store) fn new(object: Object<Connection>, limit: Duration) -> Self {
        Self { object: Some(object), limit, is_abandoned: false }
    }

    /// Lets statements take longer, until the connection goes back to the pool.
    pub(in crate::store) fn be_patient(&mut self, limit: Duration) {
        self.limit = self.limit.max(limit);
    }

    /// The connection, and the time within which its answer has to come, for a call of
    /// [`Self::answered`].
    ///
    /// # Errors
    /// When it is closed.
    pub fn asked(&mut self) -> Result<(&mut Connection, Duration), Error> {
        let limit = self.limit + GRACE;
        let object = self.object.as_mut().filter(|_| !self.is_abandoned);
        object
            .map(|object| (&mut **object, limit))
            .ok_or_else(|| Error::Unavailable("the connection was closed".to_owned()))
    }

    /// The answer to a statement. Where none came in time, the connection is of no more use.
    ///
    /// # Errors
    /// When the database refuses, or did not answer in time.
    pub(in crate::store) fn answered<T>(&mut self, answer: Result<QueryResult<T>, Elapsed>) -> Result<T, Error> {
        if let Ok(result) = answer {
            return result.map_err(Error::of_postgres);
        }
        self.is_abandoned = true;
        let limit = self.limit + GRACE;
        Err(Error::Unavailable(format!("the database gave no answer within {} seconds", limit.as_secs())))
    }

    /// Rolls its transaction back; false when that does not work in time.
    pub(in crate::store) async fn rolls_back_within(&mut self, limit: Duration) -> bool {
        let Ok((open, _)) = self.asked() else { return false };
        matches!(tokio::time::timeout(limit, super::rollback(open)).await, Ok(Ok(())))
    }

    /// Closes the connection instead of giving it back to the pool.
    pub(in crate::store) fn close(mut self) {
        self.is_abandoned = true;
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if self.is_abandoned {
            drop(self.object.take().map(Object::take));
        }
    }
}
