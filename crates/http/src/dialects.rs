//! A notification log in the dialects of older systems.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::ALLOW;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use boxes_notification_log::{LogError, NotificationLog, Section, SectionId, SectionIdError};
use boxes_recorder::{LogIdentity, Notification, StoredEvent};
use url::Url;

use crate::accept_encoding::AcceptedCodings;
use crate::compat_eventsourcing_8::is_full;
use crate::encoded_page_id::{decoded, moved};
use crate::entity_tag::{EntityTag, n_redacted};
use crate::freshness;
use crate::log_range::LogRange;
use crate::page_cache::Rendered;
use crate::reading::METHODS;
use crate::{
    DescribedRoutes, InvalidPath, NotificationLogOptions, OpenApiPart, Problem, ProblemKind,
    compat_eventsourcing_1, compat_eventsourcing_8, compat_eventsourcing_9, compat_iddd, iddd,
    log_problem, open_api_dialects,
};

/// The topic of redacted notifications in the dialects of older systems, whose readers would stumble over one that says
/// nothing under a topic that they know. A follower that chooses topics goes over it.
pub const REDACTED_TOPIC: &str = "boxes.redacted";

/// What stands for the state of a redacted notification there.
const REDACTED_STATE: &[u8] = b"{}";

const JSON: &str = "application/json";

/// A notification log in the dialects of older systems, each on a path of its own, because their clients can't say
/// what they accept.
///
/// | below the path | gives what is understood by |
/// |---|---|
/// | `/eventsourcing-9/{first},{last}` | `get_log_section` of the Python library eventsourcing 9: at most 10 notifications, from anywhere |
/// | `/eventsourcing-9?start=&limit=&topic=&inclusive_of_start=` | `get_notifications` of the same |
/// | `/eventsourcing-8/{first},{last}/`, `/eventsourcing-8/current/`, `/eventsourcing-8/section_size/` | `RemoteNotificationLog` of the Python library eventsourcing 8: the section of the log that holds `first` |
/// | `/eventsourcing-1/{log}/{first},{last}/`, `/eventsourcing-1/{log}/current/` | what the library had in 2017: a section on the grid of the log with this name |
/// | `/iddd/notifications`, `/iddd/notifications/{low},{high}` | the `NotificationLogReader` of the `IDDD_Samples`: pages of 20, whatever the log's own are |
///
/// GET, HEAD and OPTIONS; a slash at the end may be there or not, and a section that is asked for with an encoded comma is at
/// the address with a plain one (308). `state` is what the store holds, in base64: JSON
/// as it was written, unless the box compresses or encrypts it. What is redacted has the topic [`REDACTED_TOPIC`] and
/// the state `{}`. An answer with as many notifications as were asked
/// for, or that the log has gone beyond, will never change and says so (unless streams may be
/// [deleted](Self::redactable)); one with fewer has a tag, and an empty one may not be kept. Errors are
/// [`Problem`]s: 400 `malformed-page-id` and `malformed-request` for what can't be read, and those of the log. The
/// links of `IDDD_Samples` are absolute, as its reader needs them, if there is a [public base](Self::public_base).
///
/// ```
/// # use std::sync::Arc;
/// # use boxes_notification_log::NotificationLog;
/// use boxes_http::{Dialects, unknown_path};
///
/// # fn example(log: Arc<dyn NotificationLog>) -> Result<axum::Router, boxes_http::InvalidPath> {
/// let dialects = Dialects::new(log, "/orders/compat")?;
/// Ok(axum::Router::new().merge(dialects.into_router()).fallback(unknown_path))
/// # }
/// ```
#[derive(Debug)]
pub struct Dialects {
    path: String,
    served: Served,
}

#[derive(Debug, Clone)]
struct Served {
    log: Arc<dyn NotificationLog>,
    restricted: bool,
    redactable: Option<Duration>,
    public_base: Option<Url>,
    /// Where the pages of the book's services are.
    iddd_path: String,
}

/// A way in which an older system asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dialect {
    Eventsourcing9Section,
    Eventsourcing9Query,
    Eventsourcing8,
    Eventsourcing1,
    IdddCurrent,
    IdddPage,
}

impl Dialect {
    /// All routes, by what comes after the path. `open_api_dialects.rs` describes them.
    pub(crate) const ROUTES: &[(&str, Self)] = &[
        ("/eventsourcing-9", Self::Eventsourcing9Query),
        ("/eventsourcing-9/", Self::Eventsourcing9Query),
        ("/eventsourcing-9/{section}", Self::Eventsourcing9Section),
        ("/eventsourcing-9/{section}/", Self::Eventsourcing9Section),
        ("/eventsourcing-8/{section}", Self::Eventsourcing8),
        ("/eventsourcing-8/{section}/", Self::Eventsourcing8),
        ("/eventsourcing-1/{log}/{section}", Self::Eventsourcing1),
        ("/eventsourcing-1/{log}/{section}/", Self::Eventsourcing1),
        ("/iddd/notifications", Self::IdddCurrent),
        ("/iddd/notifications/", Self::IdddCurrent),
        ("/iddd/notifications/{page}", Self::IdddPage),
        ("/iddd/notifications/{page}/", Self::IdddPage),
    ];
}

/// What a dialect makes of a part of the log.
struct Answer {
    body: Vec<u8>,
    media_type: &'static str,
    tag: Option<EntityTag>,
    is_final: bool,
}

impl Dialects {
    /// The dialects of `log` below `path`, such as `/orders/compat`; for everyone.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] if the path can't be served.
    pub fn new(
        log: Arc<dyn NotificationLog>,
        path: impl Into<String>,
    ) -> Result<Self, InvalidPath> {
        let path = path.into();
        NotificationLogOptions::new(&path).check()?;
        let served = Served {
            log,
            restricted: false,
            redactable: None,
            public_base: None,
            iddd_path: format!("{path}/iddd/notifications"),
        };
        Ok(Self { path, served })
    }

    /// Whether access depends on who asks, so that shared caches must not keep answers.
    #[must_use]
    pub const fn restricted(mut self, restricted: bool) -> Self {
        self.served.restricted = restricted;
        self
    }

    /// How long caches may keep what is final before they ask again, if streams may be deleted from the log; as
    /// [`NotificationLogOptions::redactable`].
    #[must_use]
    pub const fn redactable(mut self, max_age: Option<Duration>) -> Self {
        self.served.redactable = max_age;
        self
    }

    /// What stands before paths in links, such as `https://shop.example`.
    #[must_use]
    pub fn public_base(mut self, base: Option<Url>) -> Self {
        self.served.public_base = base;
        self
    }

    /// What the routes say of themselves to programs.
    #[must_use]
    pub fn open_api(&self) -> OpenApiPart {
        open_api_dialects::part(&self.path)
    }

    /// The routes with what they say of themselves.
    pub fn into_described_routes<S>(self) -> DescribedRoutes<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let described = self.open_api();
        DescribedRoutes::of(self.into_router(), described)
    }

    /// The routes, to be merged into the server's. They answer every method.
    pub fn into_router<S>(self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let mut router = Router::new();
        for (below, dialect) in Dialect::ROUTES {
            let dialect = *dialect;
            let served = self.served.clone();
            let answer = any(move |request: Request| {
                let served = served.clone();
                async move { served.answer(dialect, request.into_parts().0).await }
            });
            router = router.route(&format!("{}{below}", self.path), answer);
        }
        router
    }
}

impl Served {
    async fn answer(&self, dialect: Dialect, request: Parts) -> Response {
        if request.method == Method::OPTIONS {
            let allow = [(ALLOW, HeaderValue::from_static(METHODS))];
            return (StatusCode::NO_CONTENT, allow).into_response();
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            return Problem::method_not_allowed(METHODS).into_response();
        }
        if let Some(moved) = self.moved(request.uri.path()) {
            return moved;
        }
        let made = match self.make(dialect, &request).await {
            Ok(answer) => self.send(answer, &request.headers).await,
            Err(problem) => Err(problem),
        };
        let response = made.unwrap_or_else(IntoResponse::into_response);
        if request.method == Method::HEAD {
            return Response::from_parts(response.into_parts().0, Body::empty());
        }
        response
    }

    /// The way to the address of a section that was asked for with an encoded comma.
    fn moved(&self, path: &str) -> Option<Response> {
        let whole = path.strip_suffix('/').unwrap_or(path);
        let (above, segment) = whole.rsplit_once('/')?;
        let slash = if whole == path { "" } else { "/" };
        let base = self.public_base.as_ref().map_or("", Url::as_str);
        let base = base.trim_end_matches('/');
        moved(&format!("{base}{above}/{}{slash}", decoded(segment)?))
    }

    async fn make(&self, dialect: Dialect, request: &Parts) -> Result<Answer, Problem> {
        let path = request.uri.path().trim_end_matches('/');
        let (above, segment) = path.rsplit_once('/').unwrap_or(("", path));
        match dialect {
            Dialect::Eventsourcing9Section => {
                let range = compat_eventsourcing_9::section_range(segment)?;
                self.range(range, compat_eventsourcing_9::section).await
            }
            Dialect::Eventsourcing9Query => {
                let query = request.uri.query().unwrap_or_default();
                let range = compat_eventsourcing_9::query_range(query)?;
                self.range(range, |items, _| compat_eventsourcing_9::list(items))
                    .await
            }
            Dialect::Eventsourcing8 => {
                let target = compat_eventsourcing_8::Target::of(segment)?;
                self.eventsourcing_8(target).await
            }
            Dialect::Eventsourcing1 => {
                let name = above.rsplit_once('/').map_or(above, |(_, name)| name);
                let target = compat_eventsourcing_1::Target::of(segment)?;
                self.eventsourcing_1(name, target).await
            }
            Dialect::IdddCurrent => self.iddd(None).await,
            Dialect::IdddPage => self.iddd(compat_iddd::target(Some(segment))?).await,
        }
    }

    /// A part of the log from anywhere, in a body that `write` makes of it and of how much was asked for.
    async fn range(
        &self,
        range: LogRange,
        write: impl FnOnce(&[Notification], usize) -> Vec<u8>,
    ) -> Result<Answer, Problem> {
        let log = self.identity().await?;
        let read = range.read(&*self.log, log.page_size).await;
        let items = read.map_err(|error| problem(&log, &error))?;
        let tag = EntityTag::range(log.epoch, &items, "eventsourcing-9");
        Ok(Answer {
            body: write(&items, range.limit),
            media_type: JSON,
            tag,
            is_final: !items.is_empty() && items.len() == range.limit,
        })
    }

    async fn eventsourcing_8(
        &self,
        target: compat_eventsourcing_8::Target,
    ) -> Result<Answer, Problem> {
        use compat_eventsourcing_8::{Target, section, section_size};
        let log = self.identity().await?;
        let id = match target {
            Target::SectionSize => {
                return Ok(Answer {
                    body: section_size(log.page_size),
                    media_type: JSON,
                    tag: None,
                    is_final: false,
                });
            }
            Target::Holding(first) => SectionId::containing(first, log.page_size),
            Target::Current => self.section_to_come(&log).await?,
        };
        // The highest ids of all lie in no whole section.
        if id.on_grid(log.page_size).is_err() {
            return Err(problem(&log, &SectionIdError::Malformed.into()));
        }
        let read = self.read(&log, id).await?;
        let tag = EntityTag::range(log.epoch, &read.items, "eventsourcing-8");
        Ok(Answer {
            body: section(&read),
            media_type: JSON,
            tag,
            // The current section is another one soon, by the same name.
            is_final: is_full(&read) && target != Target::Current,
        })
    }

    async fn eventsourcing_1(
        &self,
        name: &str,
        target: compat_eventsourcing_1::Target,
    ) -> Result<Answer, Problem> {
        use compat_eventsourcing_1::{Target, section};
        let log = self.identity().await?;
        // A log beside the box's own has the box's name before its own, with a slash.
        if log.name.rsplit('/').next() != Some(name) {
            let detail = format!("the log of this box is named {}", log.name);
            return Err(Problem::new(&ProblemKind::UNKNOWN_PATH).with_detail(detail));
        }
        let id = match target {
            Target::Section(id) => id,
            Target::Current => self.section_to_come(&log).await?,
        };
        let read = self.read(&log, id).await?;
        Ok(Answer {
            body: section(&read),
            media_type: JSON,
            tag: page_tag(&log, id, read.archived, &read.items, "eventsourcing-1"),
            is_final: read.archived && target != Target::Current,
        })
    }

    async fn iddd(&self, wanted: Option<SectionId>) -> Result<Answer, Problem> {
        let log = self.identity().await?;
        let read = compat_iddd::Page::read(wanted, &*self.log, log.page_size).await;
        let page = read.map_err(|error| problem(&log, &error))?;
        Ok(Answer {
            body: page.body(&self.iddd_path, self.public_base.as_ref()),
            media_type: iddd::MEDIA_TYPE,
            tag: page_tag(&log, page.id, page.archived, &page.items, "iddd-20"),
            is_final: page.archived,
        })
    }

    /// The section that the next notification will be in.
    async fn section_to_come(&self, log: &LogIdentity) -> Result<SectionId, Problem> {
        let current = self.log.current().await;
        let current = current.map_err(|error| problem(log, &error))?;
        if is_full(&current) {
            Ok(current.id.next())
        } else {
            Ok(current.id)
        }
    }

    async fn read(&self, log: &LogIdentity, id: SectionId) -> Result<Section, Problem> {
        let read = self.log.section(&id.into()).await;
        read.map_err(|error| problem(log, &error))
    }

    async fn identity(&self) -> Result<LogIdentity, Problem> {
        match self.log.describe().await {
            Ok(description) => Ok(description.log),
            Err(error) => {
                tracing::warn!(%error, "a notification log does not answer");
                Err(log_problem::to_problem(&error))
            }
        }
    }

    async fn send(&self, answer: Answer, request: &HeaderMap) -> Result<Response, Problem> {
        let codings = AcceptedCodings::of(request)?;
        let cache_control = match (&answer.tag, answer.is_final) {
            (None, _) => HeaderValue::from_static("no-store"),
            (Some(_), false) => HeaderValue::from_static("no-cache"),
            (Some(_), true) => freshness::of_archived(self.restricted, self.redactable),
        };
        let no_link = HeaderValue::from_static("");
        let made = Rendered::new(
            answer.body,
            answer.media_type,
            no_link,
            cache_control,
            answer.tag,
        );
        let coding = if answer.is_final {
            codings.for_body(made.n_bytes())
        } else {
            codings.plain()
        };
        let made = Arc::new(made).coded(coding).await?;
        Ok(made.answer(request, &codings))
    }
}

/// Of a page that says whether the log has gone beyond it; none of one in which there is nothing yet.
fn page_tag(
    log: &LogIdentity,
    id: SectionId,
    archived: bool,
    items: &[Notification],
    format: &str,
) -> Option<EntityTag> {
    let last = items.last()?.id;
    let n_redacted = n_redacted(items);
    Some(if archived {
        EntityTag::archived(log.epoch, id, n_redacted, format)
    } else {
        EntityTag::growing(log.epoch, id, last, n_redacted, format)
    })
}

fn problem(log: &LogIdentity, error: &LogError) -> Problem {
    let problem = log_problem::to_problem(error);
    if problem.status().is_server_error() {
        tracing::warn!(log = log.name, %error, "a notification log can't be read");
    }
    problem
}

/// The topic and the state of an event, as readers of older systems get them.
pub(crate) fn told(event: &StoredEvent) -> (&str, &[u8]) {
    if event.is_redacted() {
        (REDACTED_TOPIC, REDACTED_STATE)
    } else {
        (&event.topic, &event.state)
    }
}
