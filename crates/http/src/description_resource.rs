//! What a log says of itself, as a resource.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;

use crate::Problem;
use crate::accept_encoding::AcceptedCodings;
use crate::entity_tag::EntityTag;
use crate::rendered::{Caching, Rendered};
use crate::representation::{self, DESCRIPTIONS, alternatives};
use crate::served::{GROWING, Served};

impl Served {
    pub(crate) async fn description(&self, request: &HeaderMap) -> Result<Response, Problem> {
        self.check_resume_point(request).await?;
        let format = representation::of_description(request)?;
        let codings = AcceptedCodings::of(request)?;
        let description = self.describe().await?;
        let addresses = &self.pages.addresses;
        let links = addresses.of_description(&description.log);
        let links = links.with_alternates(alternatives(DESCRIPTIONS, format));
        let body = format.description(&description, addresses, &links);
        // What it leads to may be another after a restart, while the log is the same.
        let tag = EntityTag::of_body(&body, format.tag());
        let made = Rendered::in_format(body, format, links.header(), Some(tag));
        let made = Arc::new(made).coded(codings.plain()).await?;
        let caching = Caching {
            cache_control: GROWING,
            vary: format.vary(false),
        };
        Ok(made.answer(request, &codings, &caching))
    }
}
