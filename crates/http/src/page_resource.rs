//! A page as a resource: archived, growing or past the end; waited for, if the request prefers that.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;
use axum::response::Response;
use boxes_notification_log::{LogDescription, LogError, Section, SectionId, canonical_integer};
use tokio::time::Instant;

use crate::accept_encoding::AcceptedCodings;
use crate::coding::Coding;
use crate::entity_tag::EntityTag;
use crate::rendered::{Caching, Rendered, not_modified};
use crate::representation::Representation;
use crate::resume_point::ResumePoint;
use crate::section_cache::SectionState;
use crate::served::{GROWING, NOT_KEPT, Served};
use crate::view::{View, caching, is_newest};
use crate::waiting::{Outcome, Waiting};
use crate::{MAX_WAIT, Problem, ProblemKind};

/// Where a page is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PageAddress {
    /// Where the current page is, whichever it is.
    Current,
    /// The page of this id; with the epoch in its address it is the same for ever.
    Page { id: SectionId, has_epoch: bool },
}

impl PageAddress {
    const fn id(self) -> Option<SectionId> {
        match self {
            Self::Current => None,
            Self::Page { id, .. } => Some(id),
        }
    }

    const fn has_epoch(self) -> bool {
        matches!(
            self,
            Self::Page {
                has_epoch: true,
                ..
            }
        )
    }
}

/// What is asked for with `?after=…&wait=…`: the page that holds what comes after a notification, once it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextPage {
    pub(crate) after: ResumePoint,
    pub(crate) wait: Duration,
}

impl NextPage {
    /// Its parameters.
    pub(crate) const PARAMETERS: &[&str] = &["after", "wait"];

    /// What the parameters ask for; `None` without any.
    ///
    /// # Errors
    ///
    /// 400 `malformed-resume-point` or `malformed-request` for what can't be read, or is there twice.
    pub(crate) fn of(
        pairs: &[(impl AsRef<str>, impl AsRef<str>)],
    ) -> Result<Option<Self>, Problem> {
        let refused = |detail| Problem::new(&ProblemKind::MALFORMED_REQUEST).with_detail(detail);
        let (mut after, mut wait) = (None, None);
        for (name, value) in pairs {
            let value = value.as_ref();
            let is_second = if name.as_ref() == "after" {
                after.replace(value.parse::<ResumePoint>()?).is_some()
            } else {
                let seconds = canonical_integer(value)
                    .map_err(|_| refused("wait is a number of seconds, such as 20"))?;
                wait.replace(seconds).is_some()
            };
            if is_second {
                return Err(refused("a parameter is there twice"));
            }
        }
        match (after, wait) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(refused("to wait, say after which notification: after=…")),
            (Some(after), wait) => Ok(Some(Self {
                after,
                wait: Duration::from_secs(wait.unwrap_or(0)).min(MAX_WAIT),
            })),
        }
    }
}

impl Served {
    /// A page.
    pub(crate) async fn page(
        &self,
        view: &View,
        address: PageAddress,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(request).await?;
        let wanted = address.id();
        let format = view.format(request, wanted.is_none())?;
        let codings = AcceptedCodings::of(request)?;
        if let Some(id) = wanted {
            id.on_grid(log.page_size)
                .map_err(|error| self.problem(&error.into()))?;
        }
        let mut known = self.describe().await?;
        let mut waiting = None;
        loop {
            let last = known.last;
            let newest = SectionId::containing(last, log.page_size);
            let id = wanted.unwrap_or(newest);
            if id.high() < last {
                let archived = caching(format, self.archived_at(address.has_epoch()), false);
                let asked = (request, &codings);
                return self
                    .archived_page(view, &known, id, format, asked, &archived)
                    .await;
            }
            let growing = caching(format, GROWING, true);
            if id != newest {
                let (state, section) = self.section(id).await?;
                let page = self.rendered(view, state, &section, format, |_| codings.plain());
                let caching = self.caching_of(&section, address, format);
                return Ok(page.await?.answer(request, &codings, &caching));
            }
            // Of a log in which something is redacted the page itself says how much of it is.
            let tag = (known.n_redacted == 0)
                .then(|| {
                    EntityTag::growing(log.epoch, id, last, 0, &view.addresses.tag(format.tag()))
                })
                .and_then(|tag| tag.known(request, &codings, codings.plain()));
            let tag = if let Some(tag) = tag {
                tag
            } else {
                let (mut state, mut section) = self.section(id).await?;
                if wanted.is_none() && section.archived {
                    // Others wrote beyond it. By its own address it may be kept for ever, by this one it may not.
                    (state, section) = self.current_section().await?;
                }
                // A page that grows goes as it is, unless the request refuses that. It is another one with the next commit, so
                // the work would be done for each commit, and those who wait for it would wait for that work as well.
                let page = self.rendered(view, state, &section, format, |_| codings.plain());
                let page = page.await?;
                let Some(tag) = page.known(request, &codings) else {
                    let caching = self.caching_of(&section, address, format);
                    let mut response = page.answer(request, &codings, &caching);
                    let applied = waiting.as_ref().map(Waiting::applied);
                    response.headers_mut().extend(applied);
                    return Ok(response);
                };
                // The store is ahead of what was known of it, and the request knows that already.
                known.last = last_of(&section);
                tag
            };
            match self
                .waiters
                .wait(self.sections.log(), &known, request, &mut waiting)
                .await?
            {
                Outcome::News => known = self.describe().await?,
                Outcome::NoNews { applied } => {
                    let mut response = not_modified(&growing, &tag);
                    response.headers_mut().extend(applied);
                    return Ok(response);
                }
            }
        }
    }

    async fn archived_page(
        &self,
        view: &View,
        known: &LogDescription,
        id: SectionId,
        format: &'static dyn Representation,
        (request, codings): (&HeaderMap, &AcceptedCodings),
        caching: &Caching,
    ) -> Result<Response, Problem> {
        if let Some(page) = self.sections.page(id, known, format.tag(), codings) {
            return Ok(page.answer(request, codings, caching));
        }
        if request.contains_key(IF_NONE_MATCH) {
            let n_redacted = self.sections.n_redacted_in(id, known).await;
            let n_redacted = n_redacted.map_err(|error| self.problem(&error))?;
            let format = view.addresses.tag(format.tag());
            let tag = EntityTag::archived(known.log.epoch, id, n_redacted, &format);
            if let Some(tag) = tag.known(request, codings, codings.best()) {
                return Ok(not_modified(caching, &tag));
            }
        }
        let (state, section) = self.section(id).await?;
        if !section.archived {
            let reason = format!("section {id} was archived, and is not any more");
            return Err(self.problem(&LogError::Garbage { reason }));
        }
        let page = self.rendered(view, state, &section, format, |n| codings.for_body(n));
        Ok(page.await?.answer(request, codings, caching))
    }

    /// The page that holds what comes after a notification, once it is there, or when the wait is over: it may be empty then.
    ///
    /// It has no tag and is not kept, so nothing that stands between can answer it from memory.
    pub(crate) async fn next_page(
        &self,
        view: &View,
        next: NextPage,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(request).await?;
        next.after.check(self.sections.log()).await?;
        let format = view.format(request, false)?;
        let codings = AcceptedCodings::of(request)?;
        let after = next.after.id;
        let id = SectionId::containing(after.saturating_add(1), log.page_size);
        id.on_grid(log.page_size)
            .map_err(|error| self.problem(&error.into()))?;
        let until = Instant::now() + next.wait;
        let mut room = None;
        let mut is_over = next.wait.is_zero();
        loop {
            if is_over || self.describe().await?.last > after {
                let (state, section) = self.section(id).await?;
                let has_come = section.items.last().is_some_and(|item| item.id > after);
                if is_over || has_come {
                    let page = self.rendered(view, state, &section, format, |_| codings.plain());
                    return Ok(page
                        .await?
                        .answer_untagged(&caching(format, NOT_KEPT, false)));
                }
            }
            let waiting = self
                .waiters
                .wait_until(self.sections.log(), after, until, &mut room);
            is_over = !waiting.await?;
        }
    }

    /// A section as a page of the view, made by one of those who ask for it.
    pub(crate) async fn rendered(
        &self,
        view: &View,
        state: SectionState,
        section: &Section,
        format: &'static dyn Representation,
        coding: impl FnOnce(usize) -> Coding,
    ) -> Result<Arc<Rendered>, Problem> {
        let render = || view.render(section, format);
        if section.last.is_some() && !is_newest(section) {
            // Past the end there is nothing to keep.
            let page = Arc::new(render());
            let coding = coding(page.n_bytes());
            return page.coded(coding).await;
        }
        self.sections
            .page_of(state, format.tag(), render, coding)
            .await
    }

    /// What an answer with this section tells caches.
    fn caching_of(
        &self,
        section: &Section,
        address: PageAddress,
        format: &'static dyn Representation,
    ) -> Caching {
        if section.archived {
            caching(format, self.archived_at(address.has_epoch()), false)
        } else if is_newest(section) {
            caching(format, GROWING, true)
        } else {
            caching(format, NOT_KEPT, false)
        }
    }
}

/// The newest one that the section tells of: its last one, if it is archived.
fn last_of(section: &Section) -> u64 {
    section.last.unwrap_or(section.id.high())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Option<Option<(u64, u64)>> {
        let asked = NextPage::of(pairs).ok()?;
        Some(asked.map(|next| (next.after.id, next.wait.as_secs())))
    }

    #[test]
    fn what_comes_next_is_asked_for_with_a_place_and_a_time() {
        assert_eq!(asked(&[]), Some(None));
        assert_eq!(asked(&[("after", "5")]), Some(Some((5, 0))));
        assert_eq!(
            asked(&[("wait", "20"), ("after", "0")]),
            Some(Some((0, 20)))
        );
        assert_eq!(
            asked(&[("after", "5"), ("wait", "999")]),
            Some(Some((5, 30)))
        );
        for pairs in [
            &[("wait", "20")][..],
            &[("after", "x")],
            &[("after", "")],
            &[("after", "5"), ("wait", "")],
            &[("after", "5"), ("wait", "-1")],
            &[("after", "5"), ("after", "5")],
        ] {
            assert_eq!(asked(pairs), None, "{pairs:?}");
        }
    }
}
