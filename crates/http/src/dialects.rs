//! A notification log in the dialects of older systems.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::ALLOW;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use boxes_notification_log::{
    LogDescription, LogError, NotificationLog, Section, SectionId, SectionIdError,
};
use boxes_recorder::{LogIdentity, Notification, StoredEvent};
use url::Url;

use crate::accept_encoding::AcceptedCodings;
use crate::compat_eventsourcing_8::is_full;
use crate::encoded_page_id::moved;
use crate::entity_tag::{EntityTag, n_redacted};
use crate::link::Addresses;
use crate::log_range::LogRange;
use crate::reading::METHODS;
use crate::rendered::{Caching, Rendered, not_modified};
use crate::section_cache::SectionCache;
use crate::served::{GROWING, NOT_KEPT};
use crate::{
    DescribedRoutes, InvalidPath, NotificationLogOptions, NotificationLogResource, OpenApiPart,
    Problem, ProblemKind, check_resume_point, compat_eventsourcing_1, compat_eventsourcing_8,
    compat_eventsourcing_9, compat_iddd, iddd, log_problem, open_api_dialects, precondition, query,
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
/// the state `{}`. No address here carries the epoch of the log, so every answer is asked for again by its tag, which costs no
/// reading of events; one without notifications has none and may not be kept. Errors are
/// [`Problem`]s: 400 `malformed-page-id`, `malformed-request` and `unknown-parameter` for what can't be read, and those of the log. The
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
    sections: Arc<SectionCache>,
    public_base: Option<Url>,
    /// Where the pages of the book's services are.
    addresses: Addresses,
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
enum Answer {
    /// A body, with the tag that it is known by.
    Body {
        body: Vec<u8>,
        media_type: &'static str,
        tag: Option<EntityTag>,
        /// Whether the log has gone beyond it, so that making it smaller is worth the work.
        is_final: bool,
    },
    /// The request has it already.
    Known(EntityTag),
}

/// A request, and the content codings that it takes.
struct Asked<'a> {
    headers: &'a HeaderMap,
    codings: AcceptedCodings,
}

impl Asked<'_> {
    /// The answer to a request that has what this tag names.
    fn known(&self, tag: Option<EntityTag>) -> Option<Answer> {
        let tag = tag?.known(self.headers, &self.codings, self.codings.best())?;
        Some(Answer::Known(tag))
    }
}

impl Dialects {
    /// The dialects of `log` below `path`, such as `/orders/compat`.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] if the path can't be served.
    pub fn new(
        log: Arc<dyn NotificationLog>,
        path: impl Into<String>,
    ) -> Result<Self, InvalidPath> {
        let bytes = NotificationLogOptions::DEFAULT_CACHE_BYTES;
        Self::with_sections(Arc::new(SectionCache::new(log, bytes)), path.into())
    }

    /// The dialects of the log of `resource`, below `path`: what one of them reads need not be read for the other.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] if the path can't be served.
    pub fn of(
        resource: &NotificationLogResource,
        path: impl Into<String>,
    ) -> Result<Self, InvalidPath> {
        Self::with_sections(resource.sections(), path.into())
    }

    fn with_sections(sections: Arc<SectionCache>, path: String) -> Result<Self, InvalidPath> {
        NotificationLogOptions::new(&path).check()?;
        let served = Served {
            sections,
            public_base: None,
            addresses: Addresses::new(&iddd_path(&path), None, None),
        };
        Ok(Self { path, served })
    }

    /// What stands before paths in links, such as `https://shop.example`.
    #[must_use]
    pub fn public_base(mut self, base: Option<Url>) -> Self {
        self.served.addresses = Addresses::new(&iddd_path(&self.path), base.as_ref(), None);
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
        let path = request.uri.path();
        let slash = if path.ends_with('/') { "/" } else { "" };
        if let Some(moved) = moved(self.public_base.as_ref(), path, slash) {
            return moved;
        }
        let made = self.make(dialect, &request).await;
        let response = made.unwrap_or_else(IntoResponse::into_response);
        let response = precondition::met(&request.headers, response);
        if request.method == Method::HEAD {
            return Response::from_parts(response.into_parts().0, Body::empty());
        }
        response
    }

    async fn make(&self, dialect: Dialect, request: &Parts) -> Result<Response, Problem> {
        check_resume_point(self.sections.log(), &request.headers).await?;
        let asked = Asked {
            headers: &request.headers,
            codings: AcceptedCodings::of(&request.headers)?,
        };
        let answer = self.ask(dialect, request, &asked).await?;
        self.send(answer, &asked).await
    }

    async fn ask(
        &self,
        dialect: Dialect,
        request: &Parts,
        asked: &Asked<'_>,
    ) -> Result<Answer, Problem> {
        let path = request.uri.path().trim_end_matches('/');
        let (above, segment) = path.rsplit_once('/').unwrap_or(("", path));
        if !matches!(dialect, Dialect::Eventsourcing9Query) {
            query::none(request.uri.query())?;
        }
        match dialect {
            Dialect::Eventsourcing9Section => {
                let range = compat_eventsourcing_9::section_range(segment)?;
                self.range(range, asked, compat_eventsourcing_9::section)
                    .await
            }
            Dialect::Eventsourcing9Query => {
                let range = compat_eventsourcing_9::query_range(request.uri.query())?;
                self.range(range, asked, |items, _| compat_eventsourcing_9::list(items))
                    .await
            }
            Dialect::Eventsourcing8 => {
                let target = compat_eventsourcing_8::Target::of(segment)?;
                self.eventsourcing_8(target, asked).await
            }
            Dialect::Eventsourcing1 => {
                let name = above.rsplit_once('/').map_or(above, |(_, name)| name);
                let target = compat_eventsourcing_1::Target::of(segment)?;
                self.eventsourcing_1(name, target, asked).await
            }
            Dialect::IdddCurrent => self.iddd(None, asked).await,
            Dialect::IdddPage => self.iddd(compat_iddd::target(Some(segment))?, asked).await,
        }
    }

    /// A part of the log from anywhere, in a body that `write` makes of it and of how much was asked for.
    async fn range(
        &self,
        range: LogRange,
        asked: &Asked<'_>,
        write: impl FnOnce(&[Notification], usize) -> Vec<u8>,
    ) -> Result<Answer, Problem> {
        const FORMAT: &str = "eventsourcing-9";
        let known = self.describe().await?;
        // Which notifications of some topics there are is seen by reading alone.
        if range.topics.is_empty() {
            let limit = u64::try_from(range.limit).unwrap_or(u64::MAX);
            let high = range.from.saturating_add(limit).saturating_sub(1);
            let tag = unread(&known, range.from, high, FORMAT);
            if let Some(answer) = asked.known(tag) {
                return Ok(answer);
            }
        }
        let read = range.read(&self.sections, known.log.page_size).await;
        let items = read.map_err(|error| problem(&known.log, &error))?;
        Ok(Answer::Body {
            body: write(&items, range.limit),
            media_type: JSON,
            tag: EntityTag::range(known.log.epoch, &items, FORMAT),
            is_final: !items.is_empty() && items.len() == range.limit,
        })
    }

    async fn eventsourcing_8(
        &self,
        target: compat_eventsourcing_8::Target,
        asked: &Asked<'_>,
    ) -> Result<Answer, Problem> {
        use compat_eventsourcing_8::{Target, section, section_size};
        const FORMAT: &str = "eventsourcing-8";
        let known = self.describe().await?;
        let log = &known.log;
        let id = match target {
            Target::SectionSize => {
                return Ok(Answer::Body {
                    body: section_size(log.page_size),
                    media_type: JSON,
                    tag: None,
                    is_final: false,
                });
            }
            Target::Holding(first) => SectionId::containing(first, log.page_size),
            Target::Current => self.section_to_come(log).await?,
        };
        // The highest ids of all lie in no whole section.
        if id.on_grid(log.page_size).is_err() {
            return Err(problem(log, &SectionIdError::Malformed.into()));
        }
        if let Some(answer) = asked.known(unread(&known, id.low(), id.high(), FORMAT)) {
            return Ok(answer);
        }
        let read = self.read(log, id).await?;
        Ok(Answer::Body {
            body: section(&read),
            media_type: JSON,
            tag: EntityTag::range(log.epoch, &read.items, FORMAT),
            is_final: is_full(&read),
        })
    }

    async fn eventsourcing_1(
        &self,
        name: &str,
        target: compat_eventsourcing_1::Target,
        asked: &Asked<'_>,
    ) -> Result<Answer, Problem> {
        use compat_eventsourcing_1::{Target, section};
        const FORMAT: &str = "eventsourcing-1";
        let known = self.describe().await?;
        let log = &known.log;
        // A log alongside the box's own has the box's name before its own, with a slash.
        if log.name.rsplit('/').next() != Some(name) {
            let detail = format!("the log of this box is named {}", log.name);
            return Err(Problem::new(&ProblemKind::UNKNOWN_PATH).with_detail(detail));
        }
        let id = match target {
            Target::Section(id) => id
                .on_grid(log.page_size)
                .map_err(|error| problem(log, &error.into()))?,
            Target::Current => self.section_to_come(log).await?,
        };
        if let Some(answer) = asked.known(unread_page(&known, id, FORMAT)) {
            return Ok(answer);
        }
        let read = self.read(log, id).await?;
        Ok(Answer::Body {
            body: section(&read),
            media_type: JSON,
            tag: page_tag(log, id, read.archived, &read.items, FORMAT),
            is_final: read.archived,
        })
    }

    async fn iddd(&self, wanted: Option<SectionId>, asked: &Asked<'_>) -> Result<Answer, Problem> {
        let format = self.addresses.tag("iddd-20");
        let known = self.describe().await?;
        let expected = wanted.unwrap_or_else(|| compat_iddd::holding(known.last));
        if let Some(answer) = asked.known(unread_page(&known, expected, &format)) {
            return Ok(answer);
        }
        let log = &known.log;
        let read = compat_iddd::Page::read(wanted, &self.sections, log.page_size).await;
        let page = read.map_err(|error| problem(log, &error))?;
        Ok(Answer::Body {
            body: page.body(&self.addresses),
            media_type: iddd::MEDIA_TYPE,
            tag: page_tag(log, page.id, page.archived, &page.items, &format),
            is_final: page.archived,
        })
    }

    /// The section that the next notification will be in.
    async fn section_to_come(&self, log: &LogIdentity) -> Result<SectionId, Problem> {
        let current = self.sections.current().await;
        let (_, current) = current.map_err(|error| problem(log, &error))?;
        if is_full(&current) {
            Ok(current.id.next())
        } else {
            Ok(current.id)
        }
    }

    async fn read(&self, log: &LogIdentity, id: SectionId) -> Result<Arc<Section>, Problem> {
        let read = self.sections.section(id).await;
        read.map(|(_, section)| section)
            .map_err(|error| problem(log, &error))
    }

    async fn describe(&self) -> Result<LogDescription, Problem> {
        let described = self.sections.describe().await;
        described.map_err(|error| {
            tracing::warn!(%error, "a notification log does not answer");
            log_problem::to_problem(&error)
        })
    }

    async fn send(&self, answer: Answer, asked: &Asked<'_>) -> Result<Response, Problem> {
        let caching = |cache_control| Caching {
            cache_control,
            vary: HeaderValue::from_static("Accept-Encoding"),
        };
        let (body, media_type, tag, is_final) = match answer {
            Answer::Known(tag) => return Ok(not_modified(&caching(GROWING), &tag)),
            Answer::Body {
                body,
                media_type,
                tag,
                is_final,
            } => (body, media_type, tag, is_final),
        };
        let caching = caching(if tag.is_some() { GROWING } else { NOT_KEPT });
        let made = Rendered::new(body, media_type, HeaderValue::from_static(""), tag);
        let coding = if is_final {
            asked.codings.for_body(made.n_bytes())
        } else {
            asked.codings.plain()
        };
        let made = Arc::new(made).coded(coding).await?;
        Ok(made.answer(asked.headers, &asked.codings, &caching))
    }
}

fn iddd_path(path: &str) -> String {
    format!("{path}/iddd/notifications")
}

/// The tag of the notifications from `low` to `high`, as far as the log goes, where it is known without reading them: while nothing
/// of the log is redacted.
fn unread(known: &LogDescription, low: u64, high: u64, format: &str) -> Option<EntityTag> {
    let high = high.min(known.last);
    (known.n_redacted == 0 && low <= high)
        .then(|| EntityTag::whole_range(known.log.epoch, low, high, format))
}

/// The same of a page that says whether the log has gone beyond it.
fn unread_page(known: &LogDescription, id: SectionId, format: &str) -> Option<EntityTag> {
    if known.n_redacted > 0 || id.low() > known.last {
        return None;
    }
    Some(if id.high() < known.last {
        EntityTag::archived(known.log.epoch, id, 0, format)
    } else {
        EntityTag::growing(known.log.epoch, id, known.last, 0, format)
    })
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
