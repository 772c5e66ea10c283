//! What a client of the event stream is sent: what is stored, and then what comes, without a hole between them.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use boxes_notification_log::{Section, SectionId};
use boxes_recorder::LogIdentity;

use crate::event_stream::{self, EventSender, Gone};
use crate::served::Served;
use crate::waiting::FALSE_ALARM_PAUSE;
use crate::{Problem, representation};

/// What streams of events have read last.
#[derive(Debug)]
pub(crate) struct Streamed {
    /// Of the whole log, when it was asked for.
    n_redacted: u64,
    section: Arc<Section>,
}

impl Served {
    pub(crate) async fn stream(self: Arc<Self>, request: &Parts) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(log, &request.headers).await?;
        representation::accepts(&request.headers, event_stream::MEDIA_TYPE)?;
        let last = self.last().await?;
        let position = event_stream::resume_point(request)?.unwrap_or(last);
        if position > last {
            self.check_ahead(log, position).await?;
        }
        if request.method == Method::HEAD {
            return Ok(event_stream::answer(Body::empty()));
        }
        let room = self.waiters.room()?;
        let log = log.clone();
        let (response, events) = event_stream::open(self.slow_client_timeout);
        tokio::spawn(async move {
            let shutdown = self.waiters.shutdown();
            let streaming = self.send_after(position, &log, &events);
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
        log: &LogIdentity,
        events: &EventSender,
    ) -> Result<(), Gone> {
        events.comment().await?;
        let mut was_woken = false;
        loop {
            let section = self.streamed_section(position, log).await.ok_or(Gone)?;
            match section.items.last() {
                Some(newest) if newest.id > position => {
                    events.send(&section, position).await?;
                    position = newest.id;
                    // After a section that grows there is only what the wait tells of: to look would be to read
                    // it once for each stream.
                    if section.archived {
                        continue;
                    }
                }
                _ if was_woken => tokio::time::sleep(FALSE_ALARM_PAUSE).await,
                _ => {}
            }
            while !self.has_news(position).await? {
                events.comment().await?;
            }
            was_woken = true;
        }
    }

    /// Waits until there is something after `position`, for one heartbeat.
    async fn has_news(&self, position: u64) -> Result<bool, Gone> {
        self.log
            .wait(position, self.heartbeat)
            .await
            .map_err(|error| {
                let log = self.identity.get().map(|log| log.name.as_str());
                tracing::warn!(log, %error, "a notification log can't be waited for");
                Gone
            })
    }

    /// The section that holds what comes after `position`, if it can be read and is of this log's history.
    async fn streamed_section(&self, position: u64, log: &LogIdentity) -> Option<Arc<Section>> {
        let id = SectionId::containing(position.saturating_add(1), log.page_size);
        let n_redacted = self.log.describe().await.ok()?.n_redacted;
        let mut streamed = self.streamed.lock().await;
        if let Some(Streamed {
            n_redacted: of,
            section,
        }) = &*streamed
            && *of == n_redacted
            && section.id == id
            && section.items.last().is_some_and(|item| item.id > position)
        {
            return Some(Arc::clone(section));
        }
        let section = Arc::new(self.read(id).await.ok()?);
        let ahead = section.last.is_some_and(|last| last < position);
        if section.log.epoch != log.epoch || ahead {
            return None;
        }
        *streamed = Some(Streamed {
            n_redacted,
            section: Arc::clone(&section),
        });
        Some(section)
    }
}
