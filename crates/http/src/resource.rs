//! A notification log as resources.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::ALLOW;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use boxes_notification_log::{NotificationLog, SectionIdError, canonical_integer};
use uuid::Uuid;

use crate::encoded_page_id::moved;
use crate::page_address::check_epoch_segment;
use crate::page_resource::{NextPage, PageAddress};
use crate::reading::METHODS;
use crate::section_cache::SectionCache;
use crate::served::Served;
use crate::view::View;
use crate::{
    DescribedRoutes, InvalidPath, NotificationLogOptions, OpenApiPart, Problem, ProblemKind,
    log_problem, open_api_log, precondition, query,
};

/// A notification log as resources: the current page, pages, single notifications, and the log's description.
///
/// | below the path | gives |
/// |---|---|
/// | nothing | the current page |
/// | nothing, with `?after=…&wait=…` | the page that holds what comes after that notification, once it is there or the wait is over |
/// | `/{epoch}/{low},{high}` | that page, for ever |
/// | `/{epoch}/{id}` | that notification, for ever |
/// | `/{low},{high}`, `/{id}` | the same, asked for again each time |
/// | `/stream` | what comes after `Last-Event-ID` or `?after=` as server-sent events; what comes from now on without either |
/// | `/feed` | what comes after `?lastEventId=`, of a batch of `CloudEvents` whose ids are those of notifications, after `timeout` milliseconds at most: the profile of [HTTP Feeds](https://www.http-feeds.org) |
/// | `/export` | what comes after `?after=`, up to `?until=` or to the head, one notification on each line |
/// | `/log` | name, epoch, page size, first and last notification, formats, a template for pages |
///
/// Pages and notifications are offered as JSON, HTML, Atom (archived pages are archives of RFC 5005) and, for those who
/// name it, as a batch of `CloudEvents` or as the `IDDD_Samples` have it; the description as JSON and HTML.
///
/// GET, HEAD and OPTIONS. A page is archived exactly when the log has gone beyond it; then its bytes and headers
/// never change, but for what is redacted because its stream was deleted: a page that holds some of it, or more of it than
/// before, has another tag. Only an address that carries the epoch may be kept without asking: after a restore the same ids may name
/// other events, under another epoch. With the epoch of another history the answer is 409.
///
/// A growing page can be waited for: `Prefer: wait=20` with `If-None-Match` is answered at the
/// commit that changes it, and when something of it is redacted. Archived pages and notifications that are not small are offered in zstd, br and gzip
/// (`Accept-Encoding`), with a tag for each; what grows goes as it is. A reader may send where it is with [`EPOCH_HEADER`](crate::EPOCH_HEADER) and [`POSITION_HEADER`](crate::POSITION_HEADER), and is
/// told when that is no place in this log. A page has one address: with an encoded comma (`1%2C20`) the request is sent on to
/// it (308), and a query that the resource does not have is refused. With [`NotificationLogOptions::atom`] the pages are Atom feeds below
/// another path, for readers that can't say what they accept.
///
/// ```
/// # use std::sync::Arc;
/// # use boxes_notification_log::NotificationLog;
/// use boxes_http::{NotificationLogOptions, NotificationLogResource, unknown_path};
///
/// # fn example(log: Arc<dyn NotificationLog>) -> Result<axum::Router, boxes_http::InvalidPath> {
/// let options = NotificationLogOptions::new("/orders/notifications");
/// let resource = NotificationLogResource::new(log, options)?;
/// Ok(axum::Router::new().merge(resource.into_router()).fallback(unknown_path))
/// # }
/// ```
#[derive(Debug)]
pub struct NotificationLogResource {
    path: String,
    atom: Option<String>,
    served: Arc<Served>,
}

/// One of the resources of a log. `open_api_log.rs` describes each of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    Current,
    /// A page or a notification, by the last segment of the path.
    ById,
    /// The same, by the last segment after that of the epoch.
    ByEpochAndId,
    Description,
    Stream,
    Feed,
    Export,
}

impl Target {
    pub(crate) const ALL: [Self; 7] = [
        Self::Current,
        Self::Description,
        Self::Stream,
        Self::Feed,
        Self::Export,
        Self::ById,
        Self::ByEpochAndId,
    ];

    /// Where it is, below the path of the log.
    pub(crate) const fn below(self) -> &'static str {
        match self {
            Self::Current => "",
            Self::ById => "/{page}",
            Self::ByEpochAndId => "/{epoch}/{page}",
            Self::Description => "/log",
            Self::Stream => "/stream",
            Self::Feed => "/feed",
            Self::Export => "/export",
        }
    }
}

/// One of the resources of the log as an Atom feed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AtomTarget {
    Current,
    ById,
    ByEpochAndId,
}

impl AtomTarget {
    pub(crate) const ALL: [Self; 3] = [Self::Current, Self::ById, Self::ByEpochAndId];

    /// Where it is, below the path of the feed.
    pub(crate) const fn below(self) -> &'static str {
        match self {
            Self::Current => "",
            Self::ById => "/{page}",
            Self::ByEpochAndId => "/{epoch}/{page}",
        }
    }
}

impl NotificationLogResource {
    /// The resources of `log`.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] if a path of the options can't be served.
    pub fn new(
        log: Arc<dyn NotificationLog>,
        options: NotificationLogOptions,
    ) -> Result<Self, InvalidPath> {
        let (path, atom) = (options.path.clone(), options.atom.clone());
        let served = Arc::new(Served::new(log, options)?);
        Ok(Self { path, atom, served })
    }

    /// What is read of the log, for others that serve it.
    pub(crate) fn sections(&self) -> Arc<SectionCache> {
        Arc::clone(&self.served.sections)
    }

    /// What the routes say of themselves to programs.
    #[must_use]
    pub fn open_api(&self) -> OpenApiPart {
        open_api_log::part(&self.path, self.atom.as_deref())
    }

    /// The routes with what they say of themselves.
    pub fn into_described_routes<S>(self) -> DescribedRoutes<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let described = self.open_api();
        DescribedRoutes::of(self.into_router(), described)
    }

    /// The routes, to be merged into the server's. They answer every method; what is not below the path is left
    /// to the server's fallback, see [`unknown_path`](crate::unknown_path).
    pub fn into_router<S>(self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let answer = |target: Target| {
            let served = Arc::clone(&self.served);
            any(move |request: Request| {
                let served = Arc::clone(&served);
                async move { served.answer(target, request.into_parts().0).await }
            })
        };
        let mut router = Router::new();
        for target in Target::ALL {
            router = router.route(&format!("{}{}", self.path, target.below()), answer(target));
        }
        for target in self.atom.iter().flat_map(|_| AtomTarget::ALL) {
            let served = Arc::clone(&self.served);
            let answer = any(move |request: Request| {
                let served = Arc::clone(&served);
                async move { served.answer_atom(target, request.into_parts().0).await }
            });
            let atom = self.atom.as_deref().unwrap_or_default();
            router = router.route(&format!("{atom}{}", target.below()), answer);
        }
        router
    }
}

impl Served {
    async fn answer(self: Arc<Self>, target: Target, request: Parts) -> Response {
        let answered = match refused(&request) {
            Some(response) => return response,
            None => match target {
                Target::Current => self.current(&self.pages, &request).await,
                Target::ById => self.by_id(&request, None).await,
                Target::ByEpochAndId => match self.check_address(&request).await {
                    Ok(epoch) => self.by_id(&request, Some(epoch)).await,
                    Err(problem) => Err(problem),
                },
                Target::Description => match query::none(request.uri.query()) {
                    Ok(()) => self.description(&request.headers).await,
                    Err(problem) => Err(problem),
                },
                Target::Stream => Arc::clone(&self).stream(&request).await,
                Target::Feed => self.feed(&request).await,
                Target::Export => Arc::clone(&self).export(&request).await,
            },
        };
        finished(answered, &request)
    }

    async fn answer_atom(self: Arc<Self>, target: AtomTarget, request: Parts) -> Response {
        let Some(view) = &self.feed_of_pages else {
            return Problem::new(&ProblemKind::UNKNOWN_PATH).into_response();
        };
        let answered = match refused(&request) {
            Some(response) => return response,
            None => match target {
                AtomTarget::Current => self.current(view, &request).await,
                AtomTarget::ById => self.page_by_id(view, &request, None).await,
                AtomTarget::ByEpochAndId => match self.check_address(&request).await {
                    Ok(epoch) => self.page_by_id(view, &request, Some(epoch)).await,
                    Err(problem) => Err(problem),
                },
            },
        };
        finished(answered, &request)
    }

    /// The current page, or the one that holds what comes next.
    async fn current(&self, view: &View, request: &Parts) -> Result<Response, Problem> {
        let pairs = query::parameters(request.uri.query(), NextPage::PARAMETERS)?;
        match NextPage::of(&pairs)? {
            Some(next) => self.next_page(view, next, &request.headers).await,
            None => {
                self.page(view, PageAddress::Current, &request.headers)
                    .await
            }
        }
    }

    async fn by_id(&self, request: &Parts, epoch: Option<Uuid>) -> Result<Response, Problem> {
        let segment = last_segment(request.uri.path());
        if segment.contains(',') || segment.contains('%') {
            return self.page_by_id(&self.pages, request, epoch).await;
        }
        query::none(request.uri.query())?;
        match canonical_integer(segment).map_err(malformed)? {
            0 => Err(malformed(SectionIdError::Malformed)),
            id => {
                self.notification(id, epoch.is_some(), &request.headers)
                    .await
            }
        }
    }

    async fn page_by_id(
        &self,
        view: &View,
        request: &Parts,
        epoch: Option<Uuid>,
    ) -> Result<Response, Problem> {
        query::none(request.uri.query())?;
        let path = request.uri.path();
        if let Some(moved) = moved(self.public_base.as_ref(), path, "") {
            return Ok(moved);
        }
        let id = last_segment(path).parse().map_err(malformed)?;
        let has_epoch = epoch.is_some();
        let address = PageAddress::Page { id, has_epoch };
        self.page(view, address, &request.headers).await
    }

    /// The epoch in the address, if it is the log's.
    async fn check_address(&self, request: &Parts) -> Result<Uuid, Problem> {
        let epoch = request.uri.path().rsplit('/').nth(1).unwrap_or_default();
        let log = self.identity().await?;
        check_epoch_segment(log, epoch)
    }
}

fn last_segment(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, segment)| segment)
}

fn malformed(error: SectionIdError) -> Problem {
    log_problem::to_problem(&error.into())
}

/// The answer to a method that reads nothing; `None` for one that does.
fn refused(request: &Parts) -> Option<Response> {
    if request.method == Method::OPTIONS {
        let allow = [(ALLOW, HeaderValue::from_static(METHODS))];
        return Some((StatusCode::NO_CONTENT, allow).into_response());
    }
    let reads = request.method == Method::GET || request.method == Method::HEAD;
    (!reads).then(|| Problem::method_not_allowed(METHODS).into_response())
}

/// The answer to GET, or its head.
fn finished(answered: Result<Response, Problem>, request: &Parts) -> Response {
    let response = answered.unwrap_or_else(IntoResponse::into_response);
    let response = precondition::met(&request.headers, response);
    if request.method == Method::HEAD {
        return Response::from_parts(response.into_parts().0, Body::empty());
    }
    response
}
