//! A notification log as resources.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ALLOW, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use boxes_notification_log::{
    LogDescription, LogError, NotificationLog, Section, SectionId, SectionIdError,
    canonical_integer,
};
use boxes_recorder::LogIdentity;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;
use uuid::Uuid;

use crate::accept_encoding::AcceptedCodings;
use crate::cloud_events::{self, CloudEventsBatch, EventId};
use crate::entity_tag::EntityTag;
use crate::event_stream::{self, EventSender, Gone};
use crate::feed::FeedRequest;
use crate::freshness;
use crate::link::Addresses;
use crate::page_cache::{ArchivedPage, PageCache, Rendered, not_modified};
use crate::representation::{self, DESCRIPTIONS, PAGES, Representation, alternatives};
use crate::waiting::{FALSE_ALARM_PAUSE, Outcome, Waiters};
use crate::{
    InvalidPath, NotificationLogOptions, OpenApiPart, Problem, ProblemKind, log_problem,
    open_api_log,
};

/// The epoch that a reader follows, a UUID: sent with a request, it is answered with 409 `epoch-changed` if the
/// log has another.
pub const EPOCH_HEADER: HeaderName = HeaderName::from_static("notification-log-epoch");
/// The id of the last notification that a reader has read, 0 for none: sent with a request, it is answered with
/// 409 `ahead-of-log` if the log ends before it.
pub const POSITION_HEADER: HeaderName = HeaderName::from_static("notification-log-position");

const METHODS: &str = "GET, HEAD, OPTIONS";
const GROWING: HeaderValue = HeaderValue::from_static("no-cache");
const PAST_THE_END: HeaderValue = HeaderValue::from_static("no-store");

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
/// commit that changes it. Archived pages and notifications that are not small are offered in zstd, br and gzip
/// (`Accept-Encoding`), with a tag for each; what grows goes as it is. A reader may send where it is with [`EPOCH_HEADER`] and [`POSITION_HEADER`], and is
/// told when that is no place in this log.
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

#[derive(Debug)]
struct Served {
    log: Arc<dyn NotificationLog>,
    /// Asked for with the first request, so that a store that is down does not keep the server from starting.
    identity: OnceCell<LogIdentity>,
    addresses: Addresses,
    archived: HeaderValue,
    pages: PageCache,
    /// The newest page that grows, in the formats that were asked for: made by one of those who wait for it, and
    /// sent to all of them.
    growing: Mutex<Option<GrowingSection>>,
    waiters: Waiters,
    /// What streams of events have read last: read by one of those who wait for it, and sent by all of them.
    streamed: Mutex<Option<Streamed>>,
    heartbeat: Duration,
    slow_client_timeout: Duration,
}

/// What the newest page was when it was read, and what was made of it: at most one page for each format.
#[derive(Debug)]
struct GrowingSection {
    section: Section,
    last: u64,
    /// Of the whole log, when it was asked for.
    n_redacted: u64,
    pages: Vec<(&'static str, Arc<Rendered>)>,
}

/// The newest page in one format.
#[derive(Debug)]
struct Growing {
    last: u64,
    /// Others wrote beyond it before it was read.
    is_archived: bool,
    page: Arc<Rendered>,
}

#[derive(Debug)]
struct Streamed {
    /// Of the whole log, when it was asked for.
    n_redacted: u64,
    section: Arc<Section>,
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

/// The page in the state of the log that is known.
const fn archived(id: SectionId, known: &LogDescription) -> ArchivedPage {
    ArchivedPage {
        low: id.low(),
        n_redacted: known.n_redacted,
    }
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
        options.check()?;
        let NotificationLogOptions {
            path,
            public_base,
            restricted,
            redactable,
            cache_bytes,
            max_waiters,
            heartbeat,
            slow_client_timeout,
            shutdown,
            service_description,
            topics,
        } = options;
        let served = Served {
            log,
            identity: OnceCell::new(),
            addresses: Addresses::new(&path, public_base.as_ref(), service_description)
                .with_topics(topics, public_base.as_ref()),
            archived: freshness::of_archived(restricted, redactable),
            pages: PageCache::new(cache_bytes),
            growing: Mutex::default(),
            waiters: Waiters::new(max_waiters, shutdown),
            streamed: Mutex::default(),
            heartbeat,
            slow_client_timeout,
        };
        Ok(Self {
            path,
            served: Arc::new(served),
        })
    }

    /// What the routes say of themselves to programs.
    #[must_use]
    pub fn open_api(&self) -> OpenApiPart {
        open_api_log::part(&self.path)
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
        match canonical_integer(id).map_err(malformed)? {
            0 => Err(malformed(SectionIdError::Malformed)),
            id => self.notification(id, &request.headers).await,
        }
    }

    /// A page; the current one for `None`.
    async fn page(
        &self,
        wanted: Option<SectionId>,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(log, request).await?;
        let format = representation::of_page(request)?;
        let codings = AcceptedCodings::of(request)?;
        let mut known = self.describe().await?;
        if let Some(id) = wanted {
            id.on_grid(log.page_size)
                .map_err(|error| self.problem(&error.into()))?;
            let page = archived(id, &known);
            if let Some(page) = self.pages.get(page, format.tag(), &codings) {
                return Ok(page.answer(request, &codings));
            }
        }
        let mut waiting = None;
        loop {
            let mut last = known.last;
            let newest = SectionId::containing(last, log.page_size);
            let id = wanted.unwrap_or(newest);
            if id.high() < last {
                return self
                    .archived_page(&known, id, format, request, &codings)
                    .await;
            }
            if id != newest {
                let section = self.read(id).await?;
                return self
                    .grown(self.render(&section, format), request, &codings)
                    .await;
            }
            // Of a log in which something is redacted the page itself says how much of it is.
            let tag = (known.n_redacted == 0)
                .then(|| EntityTag::growing(log.epoch, id, last, 0, format.tag()))
                .and_then(|tag| tag.known(request, &codings, codings.plain()));
            let tag = if let Some(tag) = tag {
                tag
            } else {
                let mut growing = self.growing_page(id, &known, format).await?;
                if wanted.is_none() && growing.is_archived {
                    // Others wrote beyond it. By its own address it may be kept for ever, by this one it may not.
                    growing = self.current_page(format).await?;
                }
                let Some(tag) = growing.page.known(request, &codings) else {
                    return self.grown(growing.page, request, &codings).await;
                };
                // The store is ahead of what was known of it, and the request knows that already.
                last = growing.last;
                tag
            };
            match self
                .waiters
                .wait(&*self.log, last, request, &mut waiting)
                .await
            {
                Ok(Outcome::News) => known = self.describe().await?,
                Ok(Outcome::NoNews { applied }) => {
                    let mut response = not_modified(GROWING, &tag);
                    response.headers_mut().extend(applied);
                    return Ok(response);
                }
                Err(problem) => return Err(problem),
            }
        }
    }

    async fn archived_page(
        &self,
        known: &LogDescription,
        id: SectionId,
        format: &'static dyn Representation,
        request: &HeaderMap,
        codings: &AcceptedCodings,
    ) -> Result<Response, Problem> {
        if request.contains_key(IF_NONE_MATCH) {
            let n_redacted = match known.n_redacted {
                0 => 0,
                _ => self.n_redacted_in(id).await?,
            };
            let tag = EntityTag::archived(known.log.epoch, id, n_redacted, format.tag());
            if let Some(tag) = tag.known(request, codings, codings.best()) {
                return Ok(not_modified(self.archived.clone(), &tag));
            }
        }
        let make = async {
            let section = self.read(id).await?;
            if !section.archived {
                let reason = format!("section {id} was archived, and is not any more");
                return Err(self.problem(&LogError::Garbage { reason }));
            }
            Ok(self.render(&section, format))
        };
        let (page, tag) = (archived(id, known), format.tag());
        let page = self.pages.get_or_make(page, tag, codings, make).await?;
        Ok(page.answer(request, codings))
    }

    /// A page that grows goes as it is, unless the request refuses that. It is another one with the next commit,
    /// so the work would be done for each commit, and those who wait for it would wait for that work as well.
    async fn grown(
        &self,
        page: Arc<Rendered>,
        request: &HeaderMap,
        codings: &AcceptedCodings,
    ) -> Result<Response, Problem> {
        let page = page.coded(codings.plain()).await?;
        Ok(page.answer(request, codings))
    }

    /// The page that holds the newest notification, which is the last one that is known or a later one.
    async fn growing_page(
        &self,
        id: SectionId,
        known: &LogDescription,
        format: &'static dyn Representation,
    ) -> Result<Growing, Problem> {
        let mut growing = self.growing.lock().await;
        let kept = growing.take().filter(|kept| {
            kept.section.id == id && kept.last >= known.last && kept.n_redacted == known.n_redacted
        });
        let mut kept = match kept {
            Some(kept) => kept,
            None => {
                let section = self.read(id).await?;
                GrowingSection {
                    last: last_of(&section),
                    n_redacted: known.n_redacted,
                    section,
                    pages: Vec::new(),
                }
            }
        };
        let made = kept.pages.iter().find(|(tag, _)| *tag == format.tag());
        let page = if let Some((_, page)) = made {
            Arc::clone(page)
        } else {
            let page = self.render(&kept.section, format);
            kept.pages.push((format.tag(), Arc::clone(&page)));
            page
        };
        let (last, is_archived) = (kept.last, kept.section.archived);
        if !is_archived {
            *growing = Some(kept);
        }
        Ok(Growing {
            last,
            is_archived,
            page,
        })
    }

    /// The page that is the current one for the log itself, which looks at the store for it where it has to.
    async fn current_page(&self, format: &'static dyn Representation) -> Result<Growing, Problem> {
        let read = self.log.current().await;
        let whole = read.and_then(|section| section.check().map(|()| section));
        let section = whole.map_err(|error| self.problem(&error))?;
        Ok(Growing {
            last: last_of(&section),
            is_archived: section.archived,
            page: self.render(&section, format),
        })
    }

    async fn notification(&self, id: u64, request: &HeaderMap) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(log, request).await?;
        let format = representation::of_page(request)?;
        let codings = AcceptedCodings::of(request)?;
        let known = self.describe().await?;
        // Of a log in which something is redacted the notification itself says whether it is.
        if known.n_redacted == 0 && id <= known.last {
            let tag = EntityTag::notification(log.epoch, id, false, format.tag());
            if let Some(tag) = tag.known(request, &codings, codings.best()) {
                return Ok(not_modified(self.archived.clone(), &tag));
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
        let section = self.read(page).await?;
        let Some(found) = section.items.iter().find(|item| item.id == id) else {
            return Err(match section.last {
                Some(last) => unknown().with_member("last", last),
                None => unknown(),
            });
        };
        let is_redacted = found.event.is_redacted();
        let tag = EntityTag::notification(log.epoch, id, is_redacted, format.tag());
        let links = self.addresses.of_notification(id, page);
        let links = links.with_alternates(alternatives(PAGES, format));
        let body = format.notification(log, found, &links);
        let link = links.header();
        let made = Rendered::in_format(body, format, link, self.archived.clone(), Some(tag));
        let coding = codings.for_body(made.n_bytes());
        let made = Arc::new(made).coded(coding).await?;
        Ok(made.answer(request, &codings))
    }

    async fn description(&self, request: &HeaderMap) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(log, request).await?;
        let format = representation::of_description(request)?;
        let codings = AcceptedCodings::of(request)?;
        let description = self.describe().await?;
        let tag = EntityTag::description(&description, format.tag());
        let links = self
            .addresses
            .of_description(SectionId::first(log.page_size));
        let links = links.with_alternates(alternatives(DESCRIPTIONS, format));
        let body = format.description(&description, &self.addresses, &links);
        let link = links.header();
        let made = Rendered::in_format(body, format, link, GROWING, Some(tag));
        let made = Arc::new(made).coded(codings.plain()).await?;
        Ok(made.answer(request, &codings))
    }

    /// What comes after the last event that the request names, waiting for it as long as it says.
    async fn feed(&self, request: &Parts) -> Result<Response, Problem> {
        let log = self.identity().await?;
        representation::accepts(&request.headers, cloud_events::MEDIA_TYPE)?;
        let codings = AcceptedCodings::of(&request.headers)?;
        let asked = FeedRequest::of(request.uri.query().unwrap_or_default())?;
        if asked.after > self.last().await? {
            self.check_ahead(log, asked.after).await?;
        }
        let until = Instant::now() + asked.wait;
        let mut room = None;
        let items = loop {
            let items = asked.read(&*self.log, log.page_size).await;
            let items = items.map_err(|error| self.problem(&error))?;
            if !items.is_empty() || asked.wait.is_zero() {
                break items;
            }
            let waiting = self
                .waiters
                .wait_until(&*self.log, asked.after, until, &mut room);
            if !waiting.await? {
                break items;
            }
        };
        // As many as there may be are the same ones each time.
        let cache_control = if FeedRequest::is_whole(&items, log.page_size) {
            self.archived.clone()
        } else {
            PAST_THE_END
        };
        let body = cloud_events::batch(log, &items, EventId::OfNotification);
        let link = HeaderValue::from_static("");
        let made = Rendered::in_format(body, &CloudEventsBatch, link, cache_control, None);
        let coding = codings.for_body(made.n_bytes());
        let made = Arc::new(made).coded(coding).await?;
        Ok(made.answer(&request.headers, &codings))
    }

    async fn stream(self: Arc<Self>, request: &Parts) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(log, &request.headers).await?;
        representation::accepts(&request.headers, event_stream::MEDIA_TYPE)?;
        let last = self.last().await?;
        let position = event_stream::resume_point(request)?.unwrap_or(last);
        if position > last {
            self.check_ahead(log, position).await?;
        }
        if request.method == Method::HEAD {
            return Ok(event_stream::answer(Body::empty()));
        }
        let room = self.waiters.room()?;
        let log = log.clone();
        let (response, events) = event_stream::open(self.slow_client_timeout);
        tokio::spawn(async move {
            let shutdown = self.waiters.shutdown();
            let streaming = self.send_after(position, &log, &events);
            // A client that is gone or too slow, and a log that fails, end the stream: the client connects again,
            // and is told then what is the matter.
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = events.gone() => {}
                _ = streaming => {}
            }
            drop(room);
        });
        Ok(response)
    }

    /// Sends what comes after `position`, to the end of the stream.
    async fn send_after(
        &self,
        mut position: u64,
        log: &LogIdentity,
        events: &EventSender,
    ) -> Result<(), Gone> {
        events.comment().await?;
        let mut was_woken = false;
        loop {
            let section = self.streamed_section(position, log).await.ok_or(Gone)?;
            match section.items.last() {
                Some(newest) if newest.id > position => {
                    events.send(&section, position).await?;
                    position = newest.id;
                    // After a section that grows there is only what the wait tells of: to look would be to read
                    // it once for each stream.
                    if section.archived {
                        continue;
                    }
                }
                _ if was_woken => tokio::time::sleep(FALSE_ALARM_PAUSE).await,
                _ => {}
            }
            while !self.has_news(position).await? {
                events.comment().await?;
            }
            was_woken = true;
        }
    }

    /// Waits until there is something after `position`, for one heartbeat.
    async fn has_news(&self, position: u64) -> Result<bool, Gone> {
        self.log
            .wait(position, self.heartbeat)
            .await
            .map_err(|error| {
                let log = self.identity.get().map(|log| log.name.as_str());
                tracing::warn!(log, %error, "a notification log can't be waited for");
                Gone
            })
    }

    /// The section that holds what comes after `position`, if it can be read and is of this log's history.
    async fn streamed_section(&self, position: u64, log: &LogIdentity) -> Option<Arc<Section>> {
        let id = SectionId::containing(position.saturating_add(1), log.page_size);
        let n_redacted = self.log.describe().await.ok()?.n_redacted;
        let mut streamed = self.streamed.lock().await;
        if let Some(Streamed {
            n_redacted: of,
            section,
        }) = &*streamed
            && *of == n_redacted
            && section.id == id
            && section.items.last().is_some_and(|item| item.id > position)
        {
            return Some(Arc::clone(section));
        }
        let section = Arc::new(self.read(id).await.ok()?);
        let ahead = section.last.is_some_and(|last| last < position);
        if section.log.epoch != log.epoch || ahead {
            return None;
        }
        *streamed = Some(Streamed {
            n_redacted,
            section: Arc::clone(&section),
        });
        Some(section)
    }

    fn render(&self, section: &Section, format: &'static dyn Representation) -> Arc<Rendered> {
        let (log, id) = (&section.log, section.id);
        let n_redacted = section.n_redacted();
        let newest = section
            .last
            .map(|last| (last, SectionId::containing(last, log.page_size)));
        let (previous, next) = (section.previous.as_ref(), section.next.as_ref());
        let first = SectionId::first(log.page_size);
        let links = self.addresses.of_page(id, first, previous, next, newest);
        let links = links.with_alternates(alternatives(PAGES, format));
        let (cache_control, tag) = match newest {
            None => (
                self.archived.clone(),
                Some(EntityTag::archived(log.epoch, id, n_redacted, format.tag())),
            ),
            Some((last, newest)) if newest == id => (
                GROWING,
                Some(EntityTag::growing(
                    log.epoch,
                    id,
                    last,
                    n_redacted,
                    format.tag(),
                )),
            ),
            Some(_) => (PAST_THE_END, None),
        };
        let body = format.page(section, &links);
        let link = links.header();
        Arc::new(Rendered::in_format(body, format, link, cache_control, tag))
    }

    async fn identity(&self) -> Result<&LogIdentity, Problem> {
        let asked = self.identity.get_or_try_init(|| async {
            let description = self.log.describe().await?;
            Ok::<_, LogError>(description.log)
        });
        asked.await.map_err(|error| self.problem(&error))
    }

    /// What is known of the log, which costs the store of a log in this process nothing.
    async fn describe(&self) -> Result<LogDescription, Problem> {
        let described = self.log.describe().await;
        described.map_err(|error| self.problem(&error))
    }

    async fn last(&self) -> Result<u64, Problem> {
        Ok(self.describe().await?.last)
    }

    async fn n_redacted_in(&self, id: SectionId) -> Result<u64, Problem> {
        let counted = self.log.n_redacted_in(id).await;
        counted.map_err(|error| self.problem(&error))
    }

    /// A section that is whole: what is served may be kept for ever by others.
    async fn read(&self, id: SectionId) -> Result<Section, Problem> {
        let read = self.log.section(&id.into()).await;
        let whole = read.and_then(|section| section.check().map(|()| section));
        whole.map_err(|error| self.problem(&error))
    }

    /// Whether the place at which the reader says it is, if it says so, is one of this log.
    async fn check_resume_point(
        &self,
        log: &LogIdentity,
        request: &HeaderMap,
    ) -> Result<(), Problem> {
        let malformed = || Problem::new(&ProblemKind::MALFORMED_RESUME_POINT);
        if let Some(epoch) = request.get(EPOCH_HEADER) {
            let epoch = epoch
                .to_str()
                .ok()
                .and_then(|text| Uuid::try_parse(text).ok());
            let expected = epoch.ok_or_else(malformed)?;
            if expected != log.epoch {
                let (log, found) = (log.name.clone(), log.epoch);
                return Err(self.problem(&LogError::EpochChanged {
                    log,
                    expected,
                    found,
                }));
            }
        }
        if let Some(position) = request.get(POSITION_HEADER) {
            let position = position
                .to_str()
                .ok()
                .and_then(|text| canonical_integer(text).ok());
            let position = position.ok_or_else(malformed)?;
            if position > self.last().await? {
                self.check_ahead(log, position).await?;
            }
        }
        Ok(())
    }

    /// Whether the log really ends before the position, and not only as far as is known without reading.
    async fn check_ahead(&self, log: &LogIdentity, position: u64) -> Result<(), Problem> {
        let holding = SectionId::containing(position, log.page_size);
        let last = match holding.on_grid(log.page_size) {
            Ok(id) => self.read(id).await?.last.unwrap_or(u64::MAX),
            Err(_) => self.last().await?,
        };
        if position <= last {
            return Ok(());
        }
        Err(self.problem(&LogError::AheadOfLog { position, last }))
    }

    /// The problem that the request is answered with. What the service should look at is logged here, with the
    /// cause, which the answer does not name.
    fn problem(&self, error: &LogError) -> Problem {
        let problem = log_problem::to_problem(error);
        if problem.status().is_server_error() {
            let log = self.identity.get().map(|log| log.name.as_str());
            tracing::warn!(log, error = %error, "a notification log can't be read");
        }
        problem
    }
}

/// The newest one that the section tells of: its last one, if it is archived.
fn last_of(section: &Section) -> u64 {
    section.last.unwrap_or(section.id.high())
}
