//! Archived pages, ready to be sent.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LINK, VARY,
};
use axum::response::Response;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::Problem;
use crate::entity_tag::EntityTag;

/// A body with its headers, so that sending it is cloning both, which copies neither.
#[derive(Debug)]
pub(crate) struct Rendered {
    headers: HeaderMap,
    unchanged: HeaderMap,
    tag: Option<EntityTag>,
    body: Bytes,
}

impl Rendered {
    /// What may be kept as `cache_control` says, known by `tag`. Without a tag it has no state to be known by.
    pub(crate) fn new(
        body: Vec<u8>,
        media_type: &'static str,
        link: HeaderValue,
        cache_control: &'static str,
        tag: Option<EntityTag>,
    ) -> Self {
        let mut unchanged = HeaderMap::with_capacity(4);
        unchanged.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
        unchanged.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if let Some(tag) = &tag {
            unchanged.insert(ETAG, tag.header().clone());
        }
        let mut headers = HeaderMap::with_capacity(8);
        headers.extend(unchanged.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(CONTENT_LENGTH, body.len().into());
        headers.insert(LINK, link);
        Self {
            headers,
            unchanged,
            tag,
            body: body.into(),
        }
    }

    /// 200 with the body, or 304 without if the request has it already.
    pub(crate) fn answer(&self, request: &HeaderMap) -> Response {
        if self.is_known(request) {
            return self.not_modified();
        }
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
        response
    }

    pub(crate) fn is_known(&self, request: &HeaderMap) -> bool {
        self.tag.as_ref().is_some_and(|tag| tag.is_known(request))
    }

    fn not_modified(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.headers_mut() = self.unchanged.clone();
        response
    }
}

/// 304 for what is known by its tag alone, without having been read.
pub(crate) fn not_modified(cache_control: &'static str, tag: &EntityTag) -> Response {
    let link = HeaderValue::from_static("");
    Rendered::new(Vec::new(), "", link, cache_control, Some(tag.clone())).not_modified()
}

/// Which page, in which format, by the format's tag.
type Key = (u64, &'static str);

/// Archived pages by where they begin, bounded by their bytes. The least useful ones go first.
pub(crate) struct PageCache {
    pages: Cache<Key, Arc<Rendered>, Bytewise>,
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
        }
    }

    pub(crate) fn get(&self, low: u64, format: &'static str) -> Option<Arc<Rendered>> {
        self.pages.get(&(low, format))
    }

    /// The page, made by `make` if it is not there; by one of those who ask, while the others wait for it.
    pub(crate) async fn get_or_make(
        &self,
        low: u64,
        format: &'static str,
        make: impl Future<Output = Result<Arc<Rendered>, Problem>>,
    ) -> Result<Arc<Rendered>, Problem> {
        self.pages.get_or_insert_async(&(low, format), make).await
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
