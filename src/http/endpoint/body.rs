//! Reads a request's body within limits of size and time, whatever its headers announce.

use super::refusal::Refusal;
use crate::http::budget::Reservation;
use crate::http::connections::NoPermit;
use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, StatusCode};
use std::time::Duration;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Maximum size of a body, in bytes.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Maximum size of a body without a token, in bytes: the operations open to anybody are short.
const MAX_ANONYMOUS: usize = 16 * 1024;
/// Size of the first buffer for a body, in bytes. Later buffers have at most twice the size of what
/// has arrived.
const FIRST_BUFFER: usize = 4 * 1024;
/// How long a body may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of bytes of a refused body that are read and discarded: a client that is still
/// sending when the connection closes may never see the answer.
const MAX_DISCARDED: usize = 8 * 1024 * 1024;
/// How long discarding them may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// The body of one request.
pub(in crate::http) struct Incoming {
    stream: BodyDataStream,
    announced: Option<usize>,
    /// Whether the client waits for 100 Continue (RFC 9110, section 10.1.1).
    expects: bool,
}

impl Incoming {
    pub(in crate::http) fn new(headers: &HeaderMap, body: Body) -> Self {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        Self {
            stream: body.into_data_stream(),
            announced: length.and_then(|length| length.parse().ok()),
            expects: headers.contains_key(EXPECT),
        }
    }

    /// Reads the body; `reservation` grows with its buffer. The body may hold secret values, so it
    /// is overwritten when dropped.
    ///
    /// # Errors
    /// When the body is too large, too slow or cut off, or memory is short. An anonymous caller
    /// with too large a body is asked for a token.
    pub(in crate::http) async fn read(
        &mut self,
        anonymous: bool,
        reservation: &mut Reservation,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        if self.announced.is_some_and(|length| length > MAX_BYTES) {
            return Err(too_large());
        }
        let (most, refusal): (_, fn() -> Refusal) =
            if anonymous { (MAX_ANONYMOUS, Refusal::no_token) } else { (MAX_BYTES, too_large) };
        match timeout(READ_TIMEOUT, self.collect(most, refusal, reservation)).await {
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
        reservation: &mut Reservation,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        if self.announced.is_some_and(|length| length > most) {
            return Err(refusal());
        }
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = self.stream.next().await {
            let chunk = chunk.map_err(|error| {
                let is_refused = error.into_inner().is::<NoPermit>();
                if is_refused { Refusal::busy() } else { Refusal::bad_request("The body was cut off; send it again.") }
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
                reservation.resize(capacity).await?;
                // A buffer that grows by itself leaves its old content behind.
                let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
                larger.extend_from_slice(&body);
                body = larger;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Reads and discards the rest, so that the client gets to read the answer.
    pub(in crate::http) async fn discard(&mut self) {
        if self.expects || self.announced.is_some_and(|length| length > MAX_DISCARDED) {
            return;
        }
        // The answer follows in any case.
        let _ = timeout(DISCARD_TIMEOUT, self.discard_rest()).await;
    }

    async fn discard_rest(&mut self) {
        let mut read = 0;
        while let Some(Ok(chunk)) = self.stream.next().await {
            read += chunk.len();
            if read > MAX_DISCARDED {
                break;
            }
        }
    }
}

fn too_large() -> Refusal {
    Refusal::limit(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 2 MiB; send less at once.")
}
