//! How far the requests of one connection are.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

/// How far the requests of one connection are.
#[derive(Debug, Default)]
pub(crate) struct ConnectionProgress {
    n_begun: AtomicUsize,
    n_under_way: AtomicUsize,
    /// Those under way of which the service waits for more of the body.
    n_unsent: AtomicUsize,
}

impl ConnectionProgress {
    /// A request whose head has come, until its answer is sent or given up.
    pub(crate) fn begin(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> (Request<ReceivedBody>, UnderWay) {
        self.n_begun.fetch_add(1, Ordering::Relaxed);
        self.n_under_way.fetch_add(1, Ordering::Relaxed);
        let unsent = Unsent(Arc::new(AtomicBool::new(false)));
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(unsent.clone());
        let body = ReceivedBody {
            body,
            unsent,
            connection: Arc::clone(self),
        };
        (Request::from_parts(parts, body), UnderWay(Arc::clone(self)))
    }

    /// Whether a client has sent the head of a request at all.
    pub(crate) fn has_begun(&self) -> bool {
        self.n_begun.load(Ordering::Relaxed) > 0
    }

    /// Whether there is something that the service works on, or sends: more than requests that are half sent.
    pub(crate) fn is_at_work(&self) -> bool {
        self.n_under_way.load(Ordering::Relaxed) > self.n_unsent.load(Ordering::Relaxed)
    }
}

/// Whether the service waits for more of a request's body: an extension of requests.
#[derive(Debug, Clone)]
pub(crate) struct Unsent(Arc<AtomicBool>);

impl Unsent {
    pub(crate) fn is_waited_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One request that is under way.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<ConnectionProgress>);

impl UnderWay {
    /// The answer, with which it ends once that is sent.
    pub(crate) fn until_sent(self, response: Response<Body>) -> Response<SentBody> {
        response.map(|body| SentBody {
            body,
            _under_way: self,
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.n_under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct ReceivedBody {
    body: Incoming,
    unsent: Unsent,
    connection: Arc<ConnectionProgress>,
}

impl ReceivedBody {
    fn is_waited_for(&self, is: bool) {
        let was = self.unsent.0.swap(is, Ordering::Relaxed);
        match (was, is) {
            (false, true) => self.connection.n_unsent.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.connection.n_unsent.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }
}

impl HttpBody for ReceivedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.is_waited_for(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ReceivedBody {
    fn drop(&mut self) {
        self.is_waited_for(false);
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct SentBody {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for SentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
