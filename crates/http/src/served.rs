//! What the resources of a log have in common: the log, what is kept of it, and how it is asked.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use boxes_notification_log::{LogDescription, LogError, NotificationLog, Section, SectionId};
use boxes_recorder::LogIdentity;
use tokio::sync::{Mutex, OnceCell};

use crate::growing_page::GrowingSection;
use crate::link::Addresses;
use crate::live_stream::Streamed;
use crate::page_cache::PageCache;
use crate::waiting::Waiters;
use crate::{InvalidPath, NotificationLogOptions, Problem, freshness, log_problem};

/// What the newest page, and nothing else, may be kept for.
pub(crate) const GROWING: HeaderValue = HeaderValue::from_static("no-cache");
/// For what is not there yet, and for what is not the same the next time.
pub(crate) const PAST_THE_END: HeaderValue = HeaderValue::from_static("no-store");

/// A log as it is served. Each resource has a file of its own: `page_resource.rs`, `notification_resource.rs`,
/// `description_resource.rs`, `live_stream.rs`, `feed.rs`.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) log: Arc<dyn NotificationLog>,
    /// Asked for with the first request, so that a store that is down does not keep the server from starting.
    pub(crate) identity: OnceCell<LogIdentity>,
    pub(crate) addresses: Addresses,
    pub(crate) archived: HeaderValue,
    pub(crate) pages: PageCache,
    /// The newest page that grows, in the formats that were asked for: made by one of those who wait for it, and
    /// sent to all of them.
    pub(crate) growing: Mutex<Option<GrowingSection>>,
    pub(crate) waiters: Waiters,
    /// What streams of events have read last: read by one of those who wait for it, and sent by all of them.
    pub(crate) streamed: Mutex<Option<Streamed>>,
    pub(crate) heartbeat: Duration,
    pub(crate) slow_client_timeout: Duration,
}

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
            seals,
        } = options;
        Ok(Self {
            log,
            identity: OnceCell::new(),
            addresses: Addresses::new(&path, public_base.as_ref(), service_description)
                .with_topics(topics, public_base.as_ref())
                .with_seals(seals),
            archived: freshness::of_archived(restricted, redactable),
            pages: PageCache::new(cache_bytes),
            growing: Mutex::default(),
            waiters: Waiters::new(max_waiters, shutdown),
            streamed: Mutex::default(),
            heartbeat,
            slow_client_timeout,
        })
    }

    pub(crate) async fn identity(&self) -> Result<&LogIdentity, Problem> {
        let asked = self.identity.get_or_try_init(|| async {
            let description = self.log.describe().await?;
            Ok::<_, LogError>(description.log)
        });
        asked.await.map_err(|error| self.problem(&error))
    }

    /// What is known of the log, which costs the store of a log in this process nothing.
    pub(crate) async fn describe(&self) -> Result<LogDescription, Problem> {
        let described = self.log.describe().await;
        described.map_err(|error| self.problem(&error))
    }

    pub(crate) async fn last(&self) -> Result<u64, Problem> {
        Ok(self.describe().await?.last)
    }

    pub(crate) async fn n_redacted_in(&self, id: SectionId) -> Result<u64, Problem> {
        let counted = self.log.n_redacted_in(id).await;
        counted.map_err(|error| self.problem(&error))
    }

    /// A section that is whole: what is served may be kept for ever by others.
    pub(crate) async fn read(&self, id: SectionId) -> Result<Section, Problem> {
        let read = self.log.section(&id.into()).await;
        let whole = read.and_then(|section| section.check().map(|()| section));
        whole.map_err(|error| self.problem(&error))
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
