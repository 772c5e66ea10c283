//! Answers on HTTP/2 that their client does not read.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

/// How many bytes of a body are handed over at a time. What comes next is asked for when the client has room for it.
const SLICE_BYTES: usize = 16 * 1024;

/// The answers of one connection that wait for their client.
///
/// On HTTP/2 a client says how much of each answer it takes. One that takes nothing holds the answer, and writing to the
/// connection goes on, so nothing is seen there. But the rest of its body is not asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnreadBodies(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: AtomicU64,
    since: Mutex<HashMap<u64, Instant>>,
}

impl UnreadBodies {
    /// Whether an answer has waited for its client for so long that it can't be reading.
    pub(crate) fn wait_longer_than(&self, patience: Duration) -> bool {
        let since = self.since();
        since.values().any(|since| since.elapsed() > patience)
    }

    /// Watches the body of an answer.
    pub(crate) async fn watch(self, request: Request, next: Next) -> Response {
        let (parts, body) = next.run(request).await.into_parts();
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let watched = Watched {
            body,
            rest: Bytes::new(),
            has_begun: false,
            id,
            unread: self,
        };
        Response::from_parts(parts, Body::new(watched))
    }

    fn since(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        // What is in there is complete after each statement.
        self.0.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body in slices, of which it is known whether the client has room for the next one.
struct Watched {
    body: Body,
    /// What is left of a piece.
    rest: Bytes,
    has_begun: bool,
    id: u64,
    unread: UnreadBodies,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // It is asked for the next slice: the client had room for the one before.
        self.unread.since().remove(&self.id);
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let n_bytes = self.rest.len().min(SLICE_BYTES);
        let slice = self.rest.split_to(n_bytes);
        self.has_begun = true;
        self.unread.since().insert(self.id, Instant::now());
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    /// Of a body that has begun only once it was asked for more than there is: so the last slice is waited for as well.
    fn is_end_stream(&self) -> bool {
        !self.has_begun && self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), u64::try_from(self.rest.len()));
        let rest = rest.unwrap_or(u64::MAX);
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.unread.since().remove(&self.id);
    }
}
