//! A body with its headers, ready to be sent.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    LINK, VARY,
};
use axum::response::Response;
use bytes::Bytes;

use crate::accept_encoding::AcceptedCodings;
use crate::coding::Coding;
use crate::entity_tag::EntityTag;
use crate::representation::Format;
use crate::{Problem, ProblemKind};

/// A body with its headers, so that sending it is cloning both, which copies neither.
///
/// The same body may be sent from several addresses, and from each with another [`Caching`].
#[derive(Debug)]
pub(crate) struct Rendered {
    headers: HeaderMap,
    /// Of the state as it is, whatever the body is coded as.
    tag: Option<EntityTag>,
    coding: Coding,
    body: Bytes,
}

/// What an answer tells caches.
#[derive(Debug, Clone)]
pub(crate) struct Caching {
    pub(crate) cache_control: HeaderValue,
    /// The headers of the request on which the answer depends.
    pub(crate) vary: HeaderValue,
}

impl Caching {
    fn insert_into(&self, headers: &mut HeaderMap) {
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        headers.insert(VARY, self.vary.clone());
    }
}

impl Rendered {
    /// A body known by `tag`. Without a tag it has no state to be known by; an empty `link` leads nowhere.
    pub(crate) fn new(
        body: Vec<u8>,
        content_type: &'static str,
        link: HeaderValue,
        tag: Option<EntityTag>,
    ) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        if let Some(tag) = &tag {
            headers.insert(ETAG, tag.header().clone());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CONTENT_LENGTH, body.len().into());
        if !link.is_empty() {
            headers.insert(LINK, link);
        }
        Self {
            headers,
            tag,
            coding: Coding::Identity,
            body: body.into(),
        }
    }

    /// The same in this format, with the headers that it needs.
    pub(crate) fn in_format<F: Format + ?Sized>(
        body: Vec<u8>,
        format: &F,
        link: HeaderValue,
        tag: Option<EntityTag>,
    ) -> Self {
        let mut made = Self::new(body, format.content_type(), link, tag);
        made.headers.extend(format.headers());
        made
    }

    /// The same with its body coded. What is coded already, or need not be, stays as it is.
    ///
    /// # Errors
    ///
    /// [`ProblemKind::INTERNAL`] if coding fails, which it does not for what is in memory.
    pub(crate) async fn coded(self: Arc<Self>, coding: Coding) -> Result<Arc<Self>, Problem> {
        if coding == self.coding {
            return Ok(self);
        }
        let body = coding.encode(self.body.clone()).await.map_err(|error| {
            tracing::error!(coding = coding.name(), %error, "a page can't be coded");
            Problem::new(&ProblemKind::INTERNAL)
        })?;
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        headers.insert(CONTENT_LENGTH, body.len().into());
        if let Some(tag) = &self.tag {
            headers.insert(ETAG, tag.coded(coding).header().clone());
        }
        Ok(Arc::new(Self {
            headers,
            tag: self.tag.clone(),
            coding,
            body,
        }))
    }

    /// The number of bytes of the body as it is sent.
    pub(crate) const fn n_bytes(&self) -> usize {
        self.body.len()
    }

    /// 200 with the body, or 304 without if the request has it already.
    pub(crate) fn answer(
        &self,
        request: &HeaderMap,
        codings: &AcceptedCodings,
        caching: &Caching,
    ) -> Response {
        if let Some(tag) = self.known(request, codings) {
            return not_modified(caching, &tag);
        }
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
        caching.insert_into(response.headers_mut());
        response
    }

    /// 200 with the body, for an answer that is not asked for again by its tag.
    pub(crate) fn answer_untagged(&self, caching: &Caching) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
        response.headers_mut().remove(ETAG);
        caching.insert_into(response.headers_mut());
        response
    }

    pub(crate) fn known(
        &self,
        request: &HeaderMap,
        codings: &AcceptedCodings,
    ) -> Option<EntityTag> {
        let tag = self.tag.as_ref()?;
        tag.known(request, codings, self.coding)
    }
}

/// 304 for what the request has already, by this tag.
pub(crate) fn not_modified(caching: &Caching, tag: &EntityTag) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    caching.insert_into(response.headers_mut());
    response.headers_mut().insert(ETAG, tag.header().clone());
    response
}
