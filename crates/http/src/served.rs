//! What the resources of a log have in common: the log, what is kept of it, and how it is asked.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use boxes_notification_log::{LogDescription, LogError, NotificationLog, Section, SectionId};
use boxes_recorder::LogIdentity;
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use crate::WaitingPlaces;
use crate::link::Addresses;
use crate::section_cache::{SectionCache, SectionState};
use crate::view::{FEED, View};
use crate::waiting::Waiters;
use crate::{
    InvalidPath, NotificationLogOptions, Problem, archived_freshness, check_resume_point,
    log_problem,
};

/// For what has to be asked for again each time, by its tag.
pub(crate) const GROWING: HeaderValue = HeaderValue::from_static("no-cache");
/// For what is not there yet, and for what is not the same the next time.
pub(crate) const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store");

/// A log as it is served. Each resource has a file of its own: `page_resource.rs`, `notification_resource.rs`,
/// `description_resource.rs`, `live_stream.rs`, `feed.rs`.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) sections: Arc<SectionCache>,
    /// Asked for with the first request, so that a store that is down does not keep the server from starting.
    pub(crate) identity: OnceCell<LogIdentity>,
    /// The pages in the format that a request accepts.
    pub(crate) pages: View,
    /// The same as an Atom feed, if there is a path for it.
    pub(crate) feed_of_pages: Option<View>,
    pub(crate) public_base: Option<Url>,
    archived: HeaderValue,
    pub(crate) waiters: Waiters,
    /// Bounds how many streams of events read at the same time: each holds a whole section while it does.
    pub(crate) stream_readers: Semaphore,
    pub(crate) heartbeat: Duration,
    pub(crate) slow_client_timeout: Duration,
}

/// How many streams of events read at the same time.
const STREAM_READERS: usize = 2;

impl Served {
    /// The log, as the options say.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] if a path of the options can't be served.
    pub(crate) fn new(
        log: Arc<dyn NotificationLog>,
        options: NotificationLogOptions,
    ) -> Result<Self, InvalidPath> {
        options.check()?;
        let NotificationLogOptions {
            path,
            atom,
            public_base,
            restricted,
            redactable,
            cache_bytes,
            max_waiters,
            waiting_places,
            heartbeat,
            slow_client_timeout,
            shutdown,
            service_description,
            topics,
            seals,
        } = options;
        let base = public_base.as_ref();
        let addresses = Addresses::new(&path, base, service_description)
            .with_topics(topics, base)
            .with_seals(seals);
        let feed_of_pages = atom.map(|path| View {
            addresses: addresses.of_pages_below(&path, base),
            only: Some(&FEED),
        });
        Ok(Self {
            sections: Arc::new(SectionCache::new(log, cache_bytes)),
            identity: OnceCell::new(),
            pages: View {
                addresses,
                only: None,
            },
            feed_of_pages,
            public_base,
            archived: archived_freshness(restricted, redactable),
            waiters: Waiters::new(
                waiting_places.unwrap_or_else(|| WaitingPlaces::new(max_waiters)),
                shutdown,
            ),
            stream_readers: Semaphore::new(STREAM_READERS),
            heartbeat,
            slow_client_timeout,
        })
    }

    /// How long caches may keep what is archived: at an address without the epoch it may be another history's tomorrow.
    pub(crate) fn archived_at(&self, has_epoch: bool) -> HeaderValue {
        if has_epoch {
            self.archived.clone()
        } else {
            GROWING
        }
    }

    pub(crate) async fn identity(&self) -> Result<&LogIdentity, Problem> {
        let asked = self.identity.get_or_try_init(|| async {
            let description = self.sections.describe().await?;
            Ok::<_, LogError>(description.log)
        });
        asked.await.map_err(|error| self.problem(&error))
    }

    /// What is known of the log, which costs the store of a log in this process nothing.
    pub(crate) async fn describe(&self) -> Result<LogDescription, Problem> {
        let described = self.sections.describe().await;
        described.map_err(|error| self.problem(&error))
    }

    pub(crate) async fn last(&self) -> Result<u64, Problem> {
        Ok(self.describe().await?.last)
    }

    /// A section that is whole, with the state in which it is.
    pub(crate) async fn section(
        &self,
        id: SectionId,
    ) -> Result<(SectionState, Arc<Section>), Problem> {
        let read = self.sections.section(id).await;
        read.map_err(|error| self.problem(&error))
    }

    /// The section that is the current one for the log itself; likewise.
    pub(crate) async fn current_section(&self) -> Result<(SectionState, Arc<Section>), Problem> {
        let read = self.sections.current().await;
        read.map_err(|error| self.problem(&error))
    }

    /// Whether the place at which the reader says it is, if it says so, is one of this log.
    pub(crate) async fn check_resume_point(&self, request: &HeaderMap) -> Result<(), Problem> {
        check_resume_point(self.sections.log(), request).await
    }

    /// The problem that the request is answered with. What the service should look at is logged here, with the
    /// cause, which the answer does not name.
    pub(crate) fn problem(&self, error: &LogError) -> Problem {
        let problem = log_problem::to_problem(error);
        if problem.status().is_server_error() {
            let log = self.identity.get().map(|log| log.name.as_str());
            tracing::warn!(log, error = %error, "a notification log can't be read");
        }
        problem
    }
}
