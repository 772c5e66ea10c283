//! A single notification as a resource.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use boxes_notification_log::SectionId;

use crate::accept_encoding::AcceptedCodings;
use crate::entity_tag::EntityTag;
use crate::page_cache::{Rendered, not_modified};
use crate::representation::{self, PAGES, alternatives};
use crate::served::Served;
use crate::{Problem, ProblemKind};

impl Served {
    pub(crate) async fn notification(
        &self,
        id: u64,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(log, request).await?;
        let format = representation::of_page(request)?;
        let codings = AcceptedCodings::of(request)?;
        let known = self.describe().await?;
        // Of a log in which something is redacted the notification itself says whether it is.
        if known.n_redacted == 0 && id <= known.last {
            let tag = EntityTag::notification(log.epoch, id, false, format.tag());
            if let Some(tag) = tag.known(request, &codings, codings.best()) {
                return Ok(not_modified(self.archived.clone(), &tag));
            }
        }
        let page = SectionId::containing(id, log.page_size);
        let unknown = || {
            Problem::new(&ProblemKind::UNKNOWN_NOTIFICATION)
                .with_detail(format!("the log has no notification {id} yet"))
        };
        if page.on_grid(log.page_size).is_err() {
            // The highest ids of all lie on no whole page.
            return Err(unknown());
        }
        let section = self.read(page).await?;
        let Some(found) = section.items.iter().find(|item| item.id == id) else {
            return Err(match section.last {
                Some(last) => unknown().with_member("last", last),
                None => unknown(),
            });
        };
        let is_redacted = found.event.is_redacted();
        let tag = EntityTag::notification(log.epoch, id, is_redacted, format.tag());
        let links = self.addresses.of_notification(id, page);
        let links = links.with_alternates(alternatives(PAGES, format));
        let body = format.notification(log, found, &links);
        let link = links.header();
        let made = Rendered::in_format(body, format, link, self.archived.clone(), Some(tag));
        let coding = codings.for_body(made.n_bytes());
        let made = Arc::new(made).coded(coding).await?;
        Ok(made.answer(request, &codings))
    }
}
