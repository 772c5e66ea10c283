//! A part of a log in one answer, for those who work with data.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use axum::response::Response;
use boxes_notification_log::{SectionId, canonical_integer};
use boxes_recorder::LogIdentity;

use crate::event_stream::{EventSender, Gone, PIECE_BYTES, sliced};
use crate::resume_point::ResumePoint;
use crate::served::{NOT_KEPT, Served};
use crate::{Problem, ProblemKind, ndjson, query, representation};

/// What is exported: the notifications after one place, up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExportRequest {
    pub(crate) after: ResumePoint,
    /// The last one; `None` for the newest one when the export begins.
    pub(crate) until: Option<u64>,
}

impl ExportRequest {
    /// Its parameters.
    pub(crate) const PARAMETERS: &[&str] = &["after", "until"];

    /// # Errors
    ///
    /// 400 `malformed-resume-point` or `malformed-request` for what can't be read, `unknown-parameter` for other parameters.
    pub(crate) fn of(query: Option<&str>) -> Result<Self, Problem> {
        let mut asked = Self {
            after: ResumePoint { id: 0, epoch: None },
            until: None,
        };
        for (name, value) in query::parameters(query, Self::PARAMETERS)? {
            if name == "after" {
                asked.after = value.parse()?;
            } else {
                let until = canonical_integer(&value).map_err(|_| {
                    Problem::new(&ProblemKind::MALFORMED_REQUEST)
                        .with_detail("until is the id of a notification, such as 1000")
                })?;
                asked.until = Some(until);
            }
        }
        Ok(asked)
    }
}

impl Served {
    /// One notification on each line, from after one place up to another, or to the head as it is now.
    ///
    /// An export that fails on its way breaks off, so that what came is not taken for all of it.
    pub(crate) async fn export(self: Arc<Self>, request: &Parts) -> Result<Response, Problem> {
        let log = self.identity().await?.clone();
        self.check_resume_point(&request.headers).await?;
        let asked = ExportRequest::of(request.uri.query())?;
        representation::accepts(&request.headers, ndjson::MEDIA_TYPE)?;
        asked.after.check(self.sections.log()).await?;
        let last = self.last().await?;
        let until = asked.until.map_or(last, |until| until.min(last));
        if request.method == Method::HEAD {
            return Ok(answer(Body::empty()));
        }
        let room = self.waiters.room()?;
        let (body, lines) = sliced(self.slow_client_timeout);
        tokio::spawn(async move {
            let shutdown = self.waiters.shutdown().clone();
            let exporting = self.send_lines(asked.after.id, until, &log, &lines);
            let is_whole = tokio::select! {
                () = shutdown.cancelled() => false,
                () = lines.gone() => false,
                sent = exporting => sent.is_ok(),
            };
            if !is_whole {
                lines
                    .break_off(io::Error::other("the export is not whole"))
                    .await;
            }
            drop(room);
        });
        Ok(answer(body))
    }

    async fn send_lines(
        &self,
        mut position: u64,
        until: u64,
        log: &LogIdentity,
        lines: &EventSender,
    ) -> Result<(), Gone> {
        while position < until {
            let piece = self.lines_after(position, until, log).await.ok_or(Gone)?;
            position = piece.1;
            lines.send(piece.0.into()).await?;
        }
        Ok(())
    }

    /// Some lines after `position`, and the last notification in them. The section is let go of before they are sent.
    async fn lines_after(
        &self,
        position: u64,
        until: u64,
        log: &LogIdentity,
    ) -> Option<(Vec<u8>, u64)> {
        let id = SectionId::containing(position.saturating_add(1), log.page_size);
        let _reading = self.stream_readers.acquire().await.ok()?;
        let (_, section) = self.section(id).await.ok()?;
        let (mut lines, mut newest) = (Vec::new(), None);
        let wanted = section.items.iter();
        for item in wanted.filter(|item| position < item.id && item.id <= until) {
            if newest.is_some() && lines.len() > PIECE_BYTES {
                break;
            }
            ndjson::write_line(&mut lines, item);
            newest = Some(item.id);
        }
        (section.log.epoch == log.epoch).then_some(())?;
        Some((lines, newest?))
    }
}

fn answer(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(ndjson::MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, NOT_KEPT);
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    response
}
