//! A page as a resource: archived, growing or past the end; waited for, if the request prefers that.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;
use axum::response::Response;
use boxes_notification_log::{LogDescription, LogError, Section, SectionId};

use crate::Problem;
use crate::accept_encoding::AcceptedCodings;
use crate::entity_tag::EntityTag;
use crate::page_cache::{ArchivedPage, Rendered, not_modified};
use crate::representation::{self, PAGES, Representation, alternatives};
use crate::served::{GROWING, PAST_THE_END, Served};
use crate::waiting::Outcome;

impl Served {
    /// A page; the current one for `None`.
    pub(crate) async fn page(
        &self,
        wanted: Option<SectionId>,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(log, request).await?;
        let format = representation::of_page(request)?;
        let codings = AcceptedCodings::of(request)?;
        let mut known = self.describe().await?;
        if let Some(id) = wanted {
            id.on_grid(log.page_size)
                .map_err(|error| self.problem(&error.into()))?;
            let page = archived(id, &known);
            if let Some(page) = self.pages.get(page, format.tag(), &codings) {
                return Ok(page.answer(request, &codings));
            }
        }
        let mut waiting = None;
        loop {
            let last = known.last;
            let newest = SectionId::containing(last, log.page_size);
            let id = wanted.unwrap_or(newest);
            if id.high() < last {
                return self
                    .archived_page(&known, id, format, request, &codings)
                    .await;
            }
            if id != newest {
                let section = self.read(id).await?;
                return self
                    .grown(self.render(&section, format), request, &codings)
                    .await;
            }
            // Of a log in which something is redacted the page itself says how much of it is.
            let tag = (known.n_redacted == 0)
                .then(|| EntityTag::growing(log.epoch, id, last, 0, format.tag()))
                .and_then(|tag| tag.known(request, &codings, codings.plain()));
            let tag = if let Some(tag) = tag {
                tag
            } else {
                let mut growing = self.growing_page(id, &known, format).await?;
                if wanted.is_none() && growing.is_archived {
                    // Others wrote beyond it. By its own address it may be kept for ever, by this one it may not.
                    growing = self.current_page(format).await?;
                }
                let Some(tag) = growing.page.known(request, &codings) else {
                    return self.grown(growing.page, request, &codings).await;
                };
                // The store is ahead of what was known of it, and the request knows that already.
                known.last = growing.last;
                tag
            };
            match self
                .waiters
                .wait(&*self.log, &known, request, &mut waiting)
                .await
            {
                Ok(Outcome::News) => known = self.describe().await?,
                Ok(Outcome::NoNews { applied }) => {
                    let mut response = not_modified(GROWING, &tag);
                    response.headers_mut().extend(applied);
                    return Ok(response);
                }
                Err(problem) => return Err(problem),
            }
        }
    }

    async fn archived_page(
        &self,
        known: &LogDescription,
        id: SectionId,
        format: &'static dyn Representation,
        request: &HeaderMap,
        codings: &AcceptedCodings,
    ) -> Result<Response, Problem> {
        if request.contains_key(IF_NONE_MATCH) {
            let n_redacted = match known.n_redacted {
                0 => 0,
                _ => self.n_redacted_in(id).await?,
            };
            let tag = EntityTag::archived(known.log.epoch, id, n_redacted, format.tag());
            if let Some(tag) = tag.known(request, codings, codings.best()) {
                return Ok(not_modified(self.archived.clone(), &tag));
            }
        }
        let make = async {
            let section = self.read(id).await?;
            if !section.archived {
                let reason = format!("section {id} was archived, and is not any more");
                return Err(self.problem(&LogError::Garbage { reason }));
            }
            Ok(self.render(&section, format))
        };
        let (page, tag) = (archived(id, known), format.tag());
        let page = self.pages.get_or_make(page, tag, codings, make).await?;
        Ok(page.answer(request, codings))
    }

    /// A page that grows goes as it is, unless the request refuses that. It is another one with the next commit,
    /// so the work would be done for each commit, and those who wait for it would wait for that work as well.
    async fn grown(
        &self,
        page: Arc<Rendered>,
        request: &HeaderMap,
        codings: &AcceptedCodings,
    ) -> Result<Response, Problem> {
        let page = page.coded(codings.plain()).await?;
        Ok(page.answer(request, codings))
    }

    pub(crate) fn render(
        &self,
        section: &Section,
        format: &'static dyn Representation,
    ) -> Arc<Rendered> {
        let (log, id) = (&section.log, section.id);
        let n_redacted = section.n_redacted();
        let newest = section
            .last
            .map(|last| (last, SectionId::containing(last, log.page_size)));
        let (previous, next) = (section.previous.as_ref(), section.next.as_ref());
        let first = SectionId::first(log.page_size);
        let links = self.addresses.of_page(id, first, previous, next, newest);
        let links = links.with_alternates(alternatives(PAGES, format));
        let (cache_control, tag) = match newest {
            None => (
                self.archived.clone(),
                Some(EntityTag::archived(log.epoch, id, n_redacted, format.tag())),
            ),
            Some((last, newest)) if newest == id => (
                GROWING,
                Some(EntityTag::growing(
                    log.epoch,
                    id,
                    last,
                    n_redacted,
                    format.tag(),
                )),
            ),
            Some(_) => (PAST_THE_END, None),
        };
        let body = format.page(section, &links);
        let link = links.header();
        Arc::new(Rendered::in_format(body, format, link, cache_control, tag))
    }
}

/// The page in the state of the log that is known.
const fn archived(id: SectionId, known: &LogDescription) -> ArchivedPage {
    ArchivedPage {
        low: id.low(),
        n_redacted: known.n_redacted,
    }
}
