//! A single notification as a resource.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use boxes_notification_log::SectionId;

use crate::accept_encoding::AcceptedCodings;
use crate::entity_tag::EntityTag;
use crate::rendered::{Rendered, not_modified};
use crate::served::Served;
use crate::view::caching;
use crate::{Problem, ProblemKind};

impl Served {
    pub(crate) async fn notification(
        &self,
        id: u64,
        has_epoch: bool,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(request).await?;
        let view = &self.pages;
        let format = view.format(request, false)?;
        let codings = AcceptedCodings::of(request)?;
        let caching = caching(format, self.archived_at(has_epoch), false);
        let known = self.describe().await?;
        // Of a log in which something is redacted the notification itself says whether it is.
        if known.n_redacted == 0 && id <= known.last {
            let format = view.addresses.tag(format.tag());
            let tag = EntityTag::notification(log.epoch, id, false, &format);
            if let Some(tag) = tag.known(request, &codings, codings.best()) {
                return Ok(not_modified(&caching, &tag));
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
        let (_, section) = self.section(page).await?;
        let Some(found) = section.items.iter().find(|item| item.id == id) else {
            return Err(match section.last {
                Some(last) => unknown().with_member("last", last),
                None => unknown(),
            });
        };
        let is_redacted = found.event.is_redacted();
        let tag = view.addresses.tag(format.tag());
        let tag = EntityTag::notification(log.epoch, id, is_redacted, &tag);
        let links = view.addresses.of_notification(log.epoch, id, page);
        let links = view.with_alternates(links, format);
        let body = format.notification(log, found, &links);
        let made = Rendered::in_format(body, format, links.header(), Some(tag));
        let coding = codings.for_body(made.n_bytes());
        let made = Arc::new(made).coded(coding).await?;
        Ok(made.answer(request, &codings, &caching))
    }
}
