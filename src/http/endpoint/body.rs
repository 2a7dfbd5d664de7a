//! Reading a request's body within bounds of size and time, whatever its headers say of it.

use super::super::budget::ReservedBytes;
use super::super::connections::NoPermit;
use super::refusal::Refusal;
use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, StatusCode};
use std::time::Duration;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// A body is no larger, in bytes: 2 MiB.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Without a token a body is no larger: what anybody may ask is short, and nobody's memory is spent
/// on more.
const MAX_ANONYMOUS: usize = 16 * 1024;
/// Bytes reserved for a body before more of it has arrived; afterwards, at most twice as much as
/// has.
const FIRST_BUFFER: usize = 4 * 1024;
/// Maximum time to read a body.
const READ: Duration = Duration::from_secs(10);
/// Maximum number of bytes of a refused body that are read and discarded: a client that is still
/// sending when the connection closes may never see the answer.
const MAX_DISCARDED: usize = 8 * 1024 * 1024;
/// Maximum time spent on discarding them.
const DISCARD: Duration = Duration::from_secs(2);

/// The body of one request.
pub(super) struct Incoming {
    stream: BodyDataStream,
    announced: Option<usize>,
    /// The client waits to be asked for it (RFC 9110, section 10.1.1).
    expects: bool,
}

impl Incoming {
    pub(super) fn new(headers: &HeaderMap, body: Body) -> Self {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        Self {
            stream: body.into_data_stream(),
            announced: length.and_then(|length| length.parse().ok()),
            expects: headers.contains_key(EXPECT),
        }
    }

    /// Reads it; `held` grows with its buffer. What is too large for a caller without a token needs
    /// one, as what only callers with one are answered. It may hold values, so it is overwritten
    /// when it is dropped.
    pub(super) async fn read(
        &mut self,
        anonymous: bool,
        held: &mut ReservedBytes,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        if self.announced.is_some_and(|length| length > MAX_BYTES) {
            return Err(too_large());
        }
        let (most, refusal): (_, fn() -> Refusal) =
            if anonymous { (MAX_ANONYMOUS, Refusal::no_token) } else { (MAX_BYTES, too_large) };
        match timeout(READ, self.collect(most, refusal, held)).await {
            Ok(read) => read,
            Err(_) => Err(Refusal::http(
                StatusCode::REQUEST_TIMEOUT,
                "The body did not arrive within 10 seconds; send it again.",
            )),
        }
    }

    async fn collect(
        &mut self,
        most: usize,
        refusal: fn() -> Refusal,
        held: &mut ReservedBytes,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        if self.announced.is_some_and(|length| length > most) {
            return Err(refusal());
        }
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = self.stream.next().await {
            let chunk = chunk.map_err(|error| {
                let is_refused = error.into_inner().is::<NoPermit>();
                if is_refused { Refusal::busy() } else { Refusal::form("The body ended before its end.") }
            })?;
            let length = body.len() + chunk.len();
            if length > most {
                return Err(refusal());
            }
            if length > body.capacity() {
                let capacity = match self.announced {
                    Some(announced) if announced >= length => announced.min(FIRST_BUFFER.max(2 * length)),
                    _ => most.min(FIRST_BUFFER.max(2 * length)),
                };
                held.resize(capacity).await?;
                // A buffer that grows by itself leaves its old content behind.
                let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
                larger.extend_from_slice(&body);
                body = larger;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Throws the rest away.
    pub(super) async fn discard(&mut self) {
        if self.expects || self.announced.is_some_and(|length| length > MAX_DISCARDED) {
            return;
        }
        let rest = async {
            let mut read = 0;
            while let Some(Ok(chunk)) = self.stream.next().await {
                read += chunk.len();
                if read > MAX_DISCARDED {
                    break;
                }
            }
        };
        // However it ends, the answer follows.
        let _ = timeout(DISCARD, rest).await;
    }
}

fn too_large() -> Refusal {
    Refusal::limit(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 2 MiB; send less at once.")
}
