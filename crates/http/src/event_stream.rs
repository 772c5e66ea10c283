//! Notifications as server-sent events (WHATWG HTML, 9.2).

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use boxes_notification_log::{Section, canonical_integer};
use bytes::Bytes;
use futures::stream;
use tokio::sync::mpsc;

use crate::json_page;
use crate::{Problem, ProblemKind};

/// How a stream is asked for, and labelled.
pub(crate) const MEDIA_TYPE: &str = "text/event-stream";
/// What a client sends that connects again: the `id:` of the last event that it has had.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells proxies of nginx's kind to pass on each event as it comes.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
/// How many pieces wait for a client that reads slowly; each holds the events of at most one section.
const BUFFERED_PIECES: usize = 1;
/// The bytes of an event besides what it holds: about, for one allocation.
const EVENT_OVERHEAD: usize = 512;

/// A line that is no event.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// The events of a stream go in here.
#[derive(Debug)]
pub(crate) struct EventSender {
    pieces: mpsc::Sender<Bytes>,
    patience: Duration,
}

/// The client has gone away, or has not read for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl EventSender {
    /// The events of the section after `position`.
    pub(crate) async fn send(&self, section: &Section, position: u64) -> Result<(), Gone> {
        let new = section.items.iter().filter(|item| item.id > position);
        let sizes = new
            .clone()
            .map(|item| EVENT_OVERHEAD + item.event.state.len());
        let mut piece = Vec::with_capacity(sizes.sum());
        for item in new {
            piece.extend_from_slice(format!("id: {}\nevent: ", item.id).as_bytes());
            on_one_line(&mut piece, item.event.topic.as_bytes());
            piece.extend_from_slice(b"\ndata: ");
            on_one_line(&mut piece, &json_page::item(item));
            piece.extend_from_slice(b"\n\n");
        }
        self.piece(piece.into()).await
    }

    /// Something that is no event, so that the client, and proxies on the way, see that the stream is alive.
    pub(crate) async fn comment(&self) -> Result<(), Gone> {
        self.piece(COMMENT).await
    }

    async fn piece(&self, piece: Bytes) -> Result<(), Gone> {
        let sent = tokio::time::timeout(self.patience, self.pieces.send(piece)).await;
        sent.map_err(|_| Gone)?.map_err(|_| Gone)
    }

    /// Comes back when the client has gone away.
    pub(crate) async fn gone(&self) {
        self.pieces.closed().await;
    }
}

/// Between members line ends are space, and within strings JSON has none.
fn on_one_line(piece: &mut Vec<u8>, text: &[u8]) {
    let is_end = |byte: u8| matches!(byte, b'\n' | b'\r');
    piece.extend(
        text.iter()
            .map(|byte| if is_end(*byte) { b' ' } else { *byte }),
    );
}

/// An answer, and where its events go. A client that does not take one for as long as `patience` is given up.
pub(crate) fn open(patience: Duration) -> (Response, EventSender) {
    let (pieces, waiting) = mpsc::channel(BUFFERED_PIECES);
    let events = stream::unfold(waiting, |mut waiting| async {
        let piece = waiting.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), waiting))
    });
    let response = answer(Body::from_stream(events));
    (response, EventSender { pieces, patience })
}

/// The head of a stream, with this body.
pub(crate) fn answer(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    response
}

/// The notification after which the request would have events: by `Last-Event-ID`, or else by `?after=`.
///
/// The header counts more, because a browser that connects again repeats the query that it began with. `None` if
/// the request names neither.
///
/// # Errors
///
/// 400 if it is no integer from 0, without sign or leading zero.
pub(crate) fn resume_point(request: &Parts) -> Result<Option<u64>, Problem> {
    let by_query = request.uri.query().and_then(|query| {
        let mut pairs = query.split('&');
        pairs.find_map(|pair| pair.strip_prefix("after="))
    });
    let by_header = last_event_id(&request.headers)?;
    let Some(text) = by_header.or(by_query) else {
        return Ok(None);
    };
    canonical_integer(text)
        .map(Some)
        .map_err(|_| Problem::new(&ProblemKind::MALFORMED_RESUME_POINT))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let id = headers.get(LAST_EVENT_ID).map(HeaderValue::to_str);
    id.transpose()
        .map_err(|_| Problem::new(&ProblemKind::MALFORMED_RESUME_POINT))
}
