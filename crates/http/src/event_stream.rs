//! Notifications as server-sent events (WHATWG HTML, 9.2).

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use boxes_notification_log::Section;
use boxes_recorder::Notification;
use bytes::Bytes;
use futures::stream;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::ndjson::on_one_line;
use crate::resume_point::ResumePoint;
use crate::{Problem, ProblemKind, json_page, query};

/// How a stream is asked for, and labelled.
pub(crate) const MEDIA_TYPE: &str = "text/event-stream";
/// What a client sends that connects again: the `id:` of the last event that it has had.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells proxies of nginx's kind to pass on each event as it comes.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
/// About how many bytes of events are made at a time for one client; a single event may have more.
pub(crate) const PIECE_BYTES: usize = 256 * 1024;
/// How many bytes are handed to a connection at a time: it takes the next ones when the client has read.
const SLICE_BYTES: usize = 64 * 1024;
/// How many slices wait for a client that reads slowly.
const BUFFERED_SLICES: usize = 1;
/// The bytes of an event besides what it holds: about, for one allocation.
const EVENT_OVERHEAD: usize = 512;

/// A line that is no event.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// What a client asks a stream for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamRequest {
    /// After which notification it begins; `None` for what comes from now on.
    pub(crate) after: Option<ResumePoint>,
    /// Whether every event has the default name, so that one handler of an `EventSource` takes all of them.
    pub(crate) as_messages: bool,
}

impl StreamRequest {
    /// Its parameters.
    pub(crate) const PARAMETERS: &[&str] = &["after", "event"];

    /// By `Last-Event-ID`, or else by `?after=`: the header counts more, because a browser that connects again repeats the query that
    /// it began with. And by `?event=message`.
    ///
    /// # Errors
    ///
    /// 400 `malformed-resume-point` for what is no place in a log, `malformed-request` for another name of events,
    /// `unknown-parameter` for another parameter.
    pub(crate) fn of(request: &Parts) -> Result<Self, Problem> {
        let mut asked = Self {
            after: None,
            as_messages: false,
        };
        for (name, value) in query::parameters(request.uri.query(), Self::PARAMETERS)? {
            if name == "after" {
                asked.after = Some(value.parse()?);
            } else if value == "message" {
                asked.as_messages = true;
            } else {
                return Err(Problem::new(&ProblemKind::MALFORMED_REQUEST).with_detail(
                    "event is message, for all events under the default name, or absent",
                ));
            }
        }
        if let Some(id) = request.headers.get(LAST_EVENT_ID) {
            let id = id.to_str();
            let id = id.map_err(|_| Problem::new(&ProblemKind::MALFORMED_RESUME_POINT))?;
            asked.after = Some(id.parse()?);
        }
        Ok(asked)
    }
}

/// Events of one section, as they are sent.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    /// The last notification in it.
    pub(crate) newest: u64,
    /// Whether it goes to the end of the section.
    pub(crate) is_last: bool,
}

impl Piece {
    /// The events of the section after `position`, as many as fit into a piece and at least one; `None` if there are none.
    pub(crate) fn of(section: &Section, position: u64, as_messages: bool) -> Option<Self> {
        let mut new = section
            .items
            .iter()
            .filter(|item| item.id > position)
            .peekable();
        let (mut bytes, mut newest) = (Vec::new(), None);
        while let Some(item) = new.peek() {
            let size = EVENT_OVERHEAD + item.event.state.len() + item.event.metadata.len();
            if newest.is_some() && bytes.len().saturating_add(size) > PIECE_BYTES {
                break;
            }
            bytes.reserve(size);
            write_event(&mut bytes, item, section.log.epoch, as_messages);
            newest = Some(item.id);
            new.next();
        }
        Some(Self {
            bytes: bytes.into(),
            newest: newest?,
            is_last: new.peek().is_none(),
        })
    }
}

fn write_event(bytes: &mut Vec<u8>, item: &Notification, epoch: Uuid, as_message: bool) {
    bytes.extend_from_slice(format!("id: {}@{epoch}\n", item.id).as_bytes());
    if !as_message {
        bytes.extend_from_slice(b"event: ");
        on_one_line(bytes, item.event.topic.as_bytes());
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(b"data: ");
    on_one_line(bytes, &json_page::item(item));
    bytes.extend_from_slice(b"\n\n");
}

/// The events of a stream go in here.
#[derive(Debug)]
pub(crate) struct EventSender {
    slices: mpsc::Sender<io::Result<Bytes>>,
    patience: Duration,
}

/// The client has gone away, or has not read for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl EventSender {
    /// Sends events, a slice at a time, so that a client that reads slowly holds only what is made for it.
    pub(crate) async fn send(&self, mut events: Bytes) -> Result<(), Gone> {
        while !events.is_empty() {
            let slice = events.split_to(events.len().min(SLICE_BYTES));
            self.slice(slice).await?;
        }
        Ok(())
    }

    /// Something that is no event, so that the client, and proxies on the way, see that the stream is alive.
    pub(crate) async fn comment(&self) -> Result<(), Gone> {
        self.slice(COMMENT).await
    }

    async fn slice(&self, slice: Bytes) -> Result<(), Gone> {
        let sent = tokio::time::timeout(self.patience, self.slices.send(Ok(slice))).await;
        sent.map_err(|_| Gone)?.map_err(|_| Gone)
    }

    /// Breaks the answer off, so that no one takes what was sent for all of it.
    pub(crate) async fn break_off(&self, error: io::Error) {
        // A client that has gone away has noticed.
        let _gone = tokio::time::timeout(self.patience, self.slices.send(Err(error))).await;
    }

    /// Comes back when the client has gone away.
    pub(crate) async fn gone(&self) {
        self.slices.closed().await;
    }
}

/// An answer, and where its events go. A client that does not take one for as long as `patience` is given up.
pub(crate) fn open(patience: Duration) -> (Response, EventSender) {
    let (body, sender) = sliced(patience);
    (answer(body), sender)
}

/// A body, and where its slices go; likewise.
pub(crate) fn sliced(patience: Duration) -> (Body, EventSender) {
    let (slices, waiting) = mpsc::channel(BUFFERED_SLICES);
    let body = stream::unfold(waiting, |mut waiting| async {
        let slice = waiting.recv().await?;
        Some((slice, waiting))
    });
    (Body::from_stream(body), EventSender { slices, patience })
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use boxes_notification_log::SectionId;
    use boxes_recorder::LogIdentity;
    use boxes_testing::log_fixture::small_event;

    use super::*;

    /// A section of twenty events of so many bytes.
    fn section(state_bytes: usize) -> Section {
        let log = LogIdentity {
            name: "orders".to_owned(),
            epoch: Uuid::from_u128(7),
            page_size: NonZeroU32::new(20).unwrap(),
        };
        let id = SectionId::first(log.page_size);
        let items = (1..=20).map(|id| {
            let mut event = small_event(id);
            event.state = format!("\"{}\"", "x".repeat(state_bytes)).into();
            Notification { id, event }
        });
        Section::new(log, id, items.collect(), 20).unwrap()
    }

    /// The last notification of each piece, and the bytes of the largest one.
    fn pieces(section: &Section) -> (Vec<u64>, usize) {
        let (mut newest, mut largest) = (vec![0], 0);
        while let Some(piece) = Piece::of(section, *newest.last().unwrap(), false) {
            assert_eq!(piece.is_last, piece.newest == 20);
            largest = largest.max(piece.bytes.len());
            newest.push(piece.newest);
        }
        (newest, largest)
    }

    #[test]
    fn what_is_made_for_a_client_at_a_time_is_bounded_by_bytes_and_not_by_sections() {
        let (newest, largest) = pieces(&section(10));
        assert_eq!(newest, [0, 20]);
        assert!(largest < PIECE_BYTES);
        let (newest, largest) = pieces(&section(100_000));
        assert_eq!(newest, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
        assert!(largest < PIECE_BYTES, "{largest}");
        // An event is sent as a whole, however large it is.
        let (newest, largest) = pieces(&section(1_000_000));
        assert_eq!(newest, Vec::from_iter(0..=20));
        assert!(largest < 1_001_000, "{largest}");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_holds_up_the_next_slice() {
        let patience = Duration::from_millis(50);
        let (body, sender) = sliced(patience);
        let events = Bytes::from(vec![b'x'; 10 * SLICE_BYTES]);
        assert_eq!(sender.send(events).await, Err(Gone), "no one reads");
        drop(body);
    }
}
