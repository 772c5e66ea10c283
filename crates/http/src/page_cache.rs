//! Archived pages, ready to be sent.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    LINK, VARY,
};
use axum::response::Response;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::accept_encoding::AcceptedCodings;
use crate::coding::Coding;
use crate::entity_tag::EntityTag;
use crate::representation::Format;
use crate::{Problem, ProblemKind};

/// A body with its headers, so that sending it is cloning both, which copies neither.
#[derive(Debug)]
pub(crate) struct Rendered {
    headers: HeaderMap,
    /// Of 304; without the tag, which says what the request has.
    unchanged: HeaderMap,
    /// Of the state as it is, whatever the body is coded as.
    tag: Option<EntityTag>,
    coding: Coding,
    body: Bytes,
}

impl Rendered {
    /// What may be kept as `cache_control` says, known by `tag`. Without a tag it has no state to be known by; an
    /// empty `link` leads nowhere.
    pub(crate) fn new(
        body: Vec<u8>,
        content_type: &'static str,
        link: HeaderValue,
        cache_control: HeaderValue,
        tag: Option<EntityTag>,
    ) -> Self {
        let mut unchanged = HeaderMap::with_capacity(4);
        unchanged.insert(CACHE_CONTROL, cache_control);
        unchanged.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        let mut headers = HeaderMap::with_capacity(8);
        headers.extend(unchanged.clone());
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
            unchanged,
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
        cache_control: HeaderValue,
        tag: Option<EntityTag>,
    ) -> Self {
        let mut made = Self::new(body, format.content_type(), link, cache_control, tag);
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
            unchanged: self.unchanged.clone(),
            tag: self.tag.clone(),
            coding,
            body,
        }))
    }

    /// How many bytes the body has as it is sent.
    pub(crate) const fn n_bytes(&self) -> usize {
        self.body.len()
    }

    /// 200 with the body, or 304 without if the request has it already.
    pub(crate) fn answer(&self, request: &HeaderMap, codings: &AcceptedCodings) -> Response {
        if let Some(tag) = self.known(request, codings) {
            return self.not_modified(&tag);
        }
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
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

    fn not_modified(&self, tag: &EntityTag) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.headers_mut() = self.unchanged.clone();
        response.headers_mut().insert(ETAG, tag.header().clone());
        response
    }
}

/// 304 for what is known by its tag alone, without having been read.
pub(crate) fn not_modified(cache_control: HeaderValue, tag: &EntityTag) -> Response {
    let link = HeaderValue::from_static("");
    Rendered::new(Vec::new(), "", link, cache_control, None).not_modified(tag)
}

/// Which page, in which format, by the format's tag, and how it is coded.
type Key = (ArchivedPage, &'static str, Coding);

/// An archived page in a state of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ArchivedPage {
    /// Where it begins.
    pub(crate) low: u64,
    /// How many notifications of the whole log are redacted, as far as is known: while that stays the same, so does the
    /// page.
    pub(crate) n_redacted: u64,
}

/// Archived pages, bounded by their bytes. The least useful ones go first; all of them do when something is redacted.
pub(crate) struct PageCache {
    pages: Cache<Key, Arc<Rendered>, Bytewise>,
    /// How many notifications were redacted in the newest state of the log that was asked for.
    n_redacted: AtomicU64,
}

#[derive(Clone)]
struct Bytewise;

/// What a page takes besides its body: headers, links, its place in the cache.
const PAGE_OVERHEAD: u64 = 1_024;
/// About, to size the cache's tables.
const TYPICAL_PAGE_BYTES: u64 = 8 * 1024;

impl Weighter<Key, Arc<Rendered>> for Bytewise {
    fn weight(&self, _: &Key, page: &Arc<Rendered>) -> u64 {
        u64::try_from(page.body.len())
            .unwrap_or(u64::MAX)
            .saturating_add(PAGE_OVERHEAD)
    }
}

impl PageCache {
    pub(crate) fn new(max_bytes: u64) -> Self {
        let items = usize::try_from(max_bytes / TYPICAL_PAGE_BYTES).unwrap_or(usize::MAX);
        Self {
            pages: Cache::with_weighter(items, max_bytes, Bytewise),
            n_redacted: AtomicU64::new(0),
        }
    }

    /// The page as the request would have it, if it is there.
    pub(crate) fn get(
        &self,
        page: ArchivedPage,
        format: &'static str,
        codings: &AcceptedCodings,
    ) -> Option<Arc<Rendered>> {
        if self.n_redacted.fetch_max(page.n_redacted, Ordering::AcqRel) < page.n_redacted {
            // Nobody asks for the older states again, and what they hold is to be forgotten.
            self.pages.clear();
        }
        let best = codings.best();
        if let Some(made) = self.pages.get(&(page, format, best)) {
            return Some(made);
        }
        if best == Coding::Identity {
            return None;
        }
        // A small one is kept as it is only.
        let made = self.pages.get(&(page, format, Coding::Identity))?;
        (codings.for_body(made.n_bytes()) == Coding::Identity).then_some(made)
    }

    /// The page as the request would have it, made by `make` and coded if it is not there; by one of those who
    /// ask, while the others wait for it.
    pub(crate) async fn get_or_make(
        &self,
        page: ArchivedPage,
        format: &'static str,
        codings: &AcceptedCodings,
        make: impl Future<Output = Result<Arc<Rendered>, Problem>>,
    ) -> Result<Arc<Rendered>, Problem> {
        let plain = (page, format, Coding::Identity);
        let made = self.pages.get_or_insert_async(&plain, make).await?;
        let coding = codings.for_body(made.n_bytes());
        if coding == Coding::Identity {
            return Ok(made);
        }
        let coded = (page, format, coding);
        self.pages
            .get_or_insert_async(&coded, made.coded(coding))
            .await
    }
}

impl fmt::Debug for PageCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageCache")
            .field("pages", &self.pages.len())
            .field("weight", &self.pages.weight())
            .finish_non_exhaustive()
    }
}
