//! What a log says of itself, as a resource.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use boxes_notification_log::SectionId;

use crate::Problem;
use crate::accept_encoding::AcceptedCodings;
use crate::entity_tag::EntityTag;
use crate::page_cache::Rendered;
use crate::representation::{self, DESCRIPTIONS, alternatives};
use crate::served::{GROWING, Served};

impl Served {
    pub(crate) async fn description(&self, request: &HeaderMap) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(log, request).await?;
        let format = representation::of_description(request)?;
        let codings = AcceptedCodings::of(request)?;
        let description = self.describe().await?;
        let links = self
            .addresses
            .of_description(SectionId::first(log.page_size));
        let links = links.with_alternates(alternatives(DESCRIPTIONS, format));
        let body = format.description(&description, &self.addresses, &links);
        let link = links.header();
        // What it leads to may be another after a restart, while the log is the same.
        let tag = EntityTag::of_body(&body, format.tag());
        let made = Rendered::in_format(body, format, link, GROWING, Some(tag));
        let made = Arc::new(made).coded(codings.plain()).await?;
        Ok(made.answer(request, &codings))
    }
}
