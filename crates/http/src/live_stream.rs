//! What a client of the event stream is sent: what is stored, and then what comes, without a hole between them.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use boxes_notification_log::SectionId;
use boxes_recorder::LogIdentity;

use crate::event_stream::{self, EventSender, Gone, Piece, StreamRequest};
use crate::served::Served;
use crate::waiting::FALSE_ALARM_PAUSE;
use crate::{Problem, representation};

/// What came after a place in the log.
struct Read {
    piece: Option<Piece>,
    /// Whether the log has gone beyond the section that was read.
    is_archived: bool,
}

impl Served {
    pub(crate) async fn stream(self: Arc<Self>, request: &Parts) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(&request.headers).await?;
        let asked = StreamRequest::of(request)?;
        representation::accepts(&request.headers, event_stream::MEDIA_TYPE)?;
        if let Some(after) = asked.after {
            after.check(self.sections.log()).await?;
        }
        let position = match asked.after {
            Some(after) => after.id,
            None => self.last().await?,
        };
        if request.method == Method::HEAD {
            return Ok(event_stream::answer(Body::empty()));
        }
        let room = self.waiters.room()?;
        let log = log.clone();
        let (response, events) = event_stream::open(self.slow_client_timeout);
        tokio::spawn(async move {
            let shutdown = self.waiters.shutdown();
            let streaming = self.send_after(position, asked.as_messages, &log, &events);
            // A client that is gone or too slow, and a log that fails, end the stream: the client connects again,
            // and is told then what is the matter.
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = events.gone() => {}
                _ = streaming => {}
            }
            drop(room);
        });
        Ok(response)
    }

    /// Sends what comes after `position`, to the end of the stream.
    async fn send_after(
        &self,
        mut position: u64,
        as_messages: bool,
        log: &LogIdentity,
        events: &EventSender,
    ) -> Result<(), Gone> {
        events.comment().await?;
        let mut was_woken = false;
        loop {
            let read = self
                .read_after(position, as_messages, log)
                .await
                .ok_or(Gone)?;
            match read.piece {
                Some(piece) => {
                    events.send(piece.bytes).await?;
                    position = piece.newest;
                    // After a section that grows there is only what the wait tells of: to look would be to read
                    // it once for each stream.
                    if read.is_archived || !piece.is_last {
                        continue;
                    }
                }
                None if was_woken => tokio::time::sleep(FALSE_ALARM_PAUSE).await,
                None => {}
            }
            while !self.has_news(position).await? {
                events.comment().await?;
            }
            was_woken = true;
        }
    }

    /// Waits until there is something after `position`, for one heartbeat.
    async fn has_news(&self, position: u64) -> Result<bool, Gone> {
        self.sections
            .wait(position, self.heartbeat)
            .await
            .map_err(|error| {
                let log = self.identity.get().map(|log| log.name.as_str());
                tracing::warn!(log, %error, "a notification log can't be waited for");
                Gone
            })
    }

    /// What comes after `position`, if it can be read and is of this log's history. The section is let go of before anything of it is
    /// sent: a client that reads slowly holds a piece of it, and not all.
    async fn read_after(
        &self,
        position: u64,
        as_messages: bool,
        log: &LogIdentity,
    ) -> Option<Read> {
        let id = SectionId::containing(position.saturating_add(1), log.page_size);
        let _reading = self.stream_readers.acquire().await.ok()?;
        let (_, section) = self.section(id).await.ok()?;
        let ahead = section.last.is_some_and(|last| last < position);
        if section.log.epoch != log.epoch || ahead {
            return None;
        }
        Some(Read {
            piece: Piece::of(&section, position, as_messages),
            is_archived: section.archived,
        })
    }
}
