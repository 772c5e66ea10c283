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

use crate::encoded_page_id::{decoded, moved};
use crate::reading::METHODS;
use crate::served::Served;
use crate::{
    DescribedRoutes, InvalidPath, NotificationLogOptions, OpenApiPart, Problem, log_problem,
    open_api_log,
};

/// A notification log as resources: the current page, pages, single notifications, and the log's description.
///
/// | below the path | gives |
/// |---|---|
/// | nothing | the current page |
/// | `/{low},{high}` | that page |
/// | `/{id}` | that notification |
/// | `/stream` | what comes after `Last-Event-ID` or `?after=` as server-sent events; what comes from now on without either |
/// | `/feed` | what comes after `?lastEventId=`, of a batch of `CloudEvents` whose ids are those of notifications, after `timeout` milliseconds at most: the profile of [HTTP Feeds](https://www.http-feeds.org) |
/// | `/log` | name, epoch, page size, first and last notification, formats, a template for pages |
///
/// Pages and notifications are offered as JSON, HTML, Atom (archived pages are archives of RFC 5005) and, for those who
/// name it, as a batch of `CloudEvents` or as the `IDDD_Samples` have it; the description as JSON and HTML.
///
/// GET, HEAD and OPTIONS. A page is archived exactly when the log has gone beyond it; then its bytes and headers
/// never change, but for what is redacted because its stream was deleted: a page that holds some of it, or more of it than
/// before, has another tag. A growing page can be waited for: `Prefer: wait=20` with `If-None-Match` is answered at the
/// commit that changes it, and when something of it is redacted. Archived pages and notifications that are not small are offered in zstd, br and gzip
/// (`Accept-Encoding`), with a tag for each; what grows goes as it is. A reader may send where it is with [`EPOCH_HEADER`](crate::EPOCH_HEADER) and [`POSITION_HEADER`](crate::POSITION_HEADER), and is
/// told when that is no place in this log. A page has one address: with an encoded comma (`1%2C20`) the request is sent on to
/// it (308).
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
    served: Arc<Served>,
}

/// One of the resources of a log. `open_api_log.rs` describes each of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    Current,
    /// A page or a notification, by the last segment of the path.
    ById,
    Description,
    Stream,
    Feed,
}

impl Target {
    pub(crate) const ALL: [Self; 5] = [
        Self::Current,
        Self::Description,
        Self::Stream,
        Self::Feed,
        Self::ById,
    ];

    /// Where it is, below the path of the log.
    pub(crate) const fn below(self) -> &'static str {
        match self {
            Self::Current => "",
            Self::ById => "/{page}",
            Self::Description => "/log",
            Self::Stream => "/stream",
            Self::Feed => "/feed",
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
        let path = options.path.clone();
        let served = Arc::new(Served::new(log, options)?);
        Ok(Self { path, served })
    }

    /// What the routes say of themselves to programs.
    #[must_use]
    pub fn open_api(&self) -> OpenApiPart {
        open_api_log::part(&self.path)
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
        router
    }
}

impl Served {
    async fn answer(self: Arc<Self>, target: Target, request: Parts) -> Response {
        if request.method == Method::OPTIONS {
            let allow = [(ALLOW, HeaderValue::from_static(METHODS))];
            return (StatusCode::NO_CONTENT, allow).into_response();
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            return Problem::method_not_allowed(METHODS).into_response();
        }
        let answered = match target {
            Target::Current => self.page(None, &request.headers).await,
            Target::ById => self.by_id(&request).await,
            Target::Description => self.description(&request.headers).await,
            Target::Stream => Arc::clone(&self).stream(&request).await,
            Target::Feed => self.feed(&request).await,
        };
        let response = answered.unwrap_or_else(IntoResponse::into_response);
        if request.method == Method::HEAD {
            return Response::from_parts(response.into_parts().0, Body::empty());
        }
        response
    }

    async fn by_id(&self, request: &Parts) -> Result<Response, Problem> {
        let path = request.uri.path();
        let id = path.rsplit_once('/').map_or(path, |(_, id)| id);
        let malformed = |error: SectionIdError| log_problem::to_problem(&error.into());
        if id.contains(',') {
            let id = id.parse().map_err(malformed)?;
            return self.page(Some(id), &request.headers).await;
        }
        let location = decoded(id).map(|id| self.addresses.below(&id));
        if let Some(moved) = location.and_then(|location| moved(&location)) {
            return Ok(moved);
        }
        match canonical_integer(id).map_err(malformed)? {
            0 => Err(malformed(SectionIdError::Malformed)),
            id => self.notification(id, &request.headers).await,
        }
    }
}
