//! A log far away.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
use boxes_notification_log::{
    LogDescription, LogError, NotificationLog, Section, SectionId, SectionLink,
};
use boxes_recorder::{LogIdentity, Notification, Position};
use bytes::Bytes;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use crate::fetch::{Answer, Fetcher};
use crate::page_links::PageLinks;
use crate::prefer::PREFER;
use crate::{EPOCH_HEADER, MAX_WAIT, POSITION_HEADER, RemoteError, RemoteOptions, page_document};

/// How long what a wait has seen may be given to the reader that asks for it next.
const FRESH: Duration = Duration::from_secs(1);

/// The log at a URL, over HTTP.
///
/// It gives the same sections, emptiness and errors as the log that is served there gives near by. What it reads
/// is checked: that pages are pages, dense, and of the log that is meant. It follows links and redirects within
/// the log's own origin only, and everything that comes is bounded by [`RemoteOptions`].
///
/// Where a page leads is said by its body (`links`) and by its `Link` header ([`HeaderLink`](crate::HeaderLink)). One of
/// them is enough; where both name the next or the previous page and mean two addresses, the answer is refused with
/// an error that names both. A page that nothing leads to is asked for by its id.
///
/// While it waits, one request for the page that holds what comes next is open at the log, which answers at the next
/// commit. What that answer holds is handed to the reader that asks for it next, which saves a round trip: right after a
/// [`wait`](NotificationLog::wait) a section may so be as old as the end of that wait, and is complete the next
/// time. It waits with the tag of the page, or, where something on the way drops tags or conditions, with `?after=&wait=`.
/// A log that can't be waited for, or has no room for requests that wait, is asked every
/// [`poll_interval`](RemoteOptions::poll_interval); so is one that answers at once and has nothing new.
///
/// Proxies that the environment names are not used: boxes reach each other directly.
///
/// ```
/// use boxes_http::{RemoteNotificationLog, RemoteOptions};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let url = "https://shop.example/payments/notifications".parse()?;
/// let payments = RemoteNotificationLog::new(url, RemoteOptions::default())?;
/// # Ok(())
/// # }
/// ```
pub struct RemoteNotificationLog {
    fetcher: Fetcher,
    known: Mutex<Known>,
}

/// What was learned on the way. Everything here may be forgotten.
#[derive(Default)]
struct Known {
    /// The log's own template for the addresses of pages.
    template: Option<String>,
    /// How many notifications a page holds.
    page_size: Option<NonZeroU32>,
    /// The page that grew when it was read last, by whichever of its addresses: its tag is the same at all of them.
    growing: Option<Seen>,
    /// What ended a wait, and when.
    fresh: Option<(Section, Instant)>,
    /// Whether something on the way drops tags, or conditions.
    drops_tags: bool,
}

#[derive(Clone)]
struct Seen {
    section: Section,
    tag: HeaderValue,
}

impl RemoteNotificationLog {
    /// The log whose current page is at `url`.
    ///
    /// Installs rustls' ring provider if the process has none yet.
    ///
    /// # Errors
    ///
    /// - [`RemoteError::Url`] if the URL is none of a log: one with credentials in it is refused, because URLs
    ///   are logged.
    /// - [`RemoteError::Setup`] if the system lacks what HTTPS needs.
    pub fn new(url: Url, options: RemoteOptions) -> Result<Self, RemoteError> {
        let fetcher = Fetcher::of_log(url, options)?;
        Ok(Self {
            fetcher,
            known: Mutex::default(),
        })
    }

    /// The address of the current page.
    #[must_use]
    pub const fn url(&self) -> &Url {
        self.fetcher.base()
    }

    /// A JSON document that lies below the log, such as `1,20/seal`; `None` if there is none (404). What it says is not
    /// looked at. The same credentials and bounds as for pages.
    ///
    /// # Errors
    ///
    /// - [`LogError::Unavailable`] if the log does not answer, [`LogError::Forbidden`] if it refuses to.
    /// - [`LogError::Garbage`] if what comes is too large, cut short, or no JSON by its media type.
    pub async fn document(&self, below: &str) -> Result<Option<Bytes>, LogError> {
        self.fetcher
            .get_if_there(self.fetcher.below(below), true)
            .await
    }

    /// What lies beside the log in its box, such as `values/…`: bytes of any kind; `None` if there is nothing (404), and for a
    /// log that is not at `…/notifications`. The same credentials and bounds as for pages.
    ///
    /// # Errors
    ///
    /// As [`document`](Self::document).
    pub async fn value(&self, beside: &str) -> Result<Option<Bytes>, LogError> {
        let mut url = self.fetcher.base().clone();
        let Some(path) = url.path().strip_suffix("/notifications") else {
            return Ok(None);
        };
        let path = format!("{path}/{beside}");
        url.set_path(&path);
        self.fetcher.get_if_there(url, false).await
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What is in there is complete after each statement.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self, link: &SectionLink) -> Result<Url, LogError> {
        if let Some(href) = &link.href {
            return self.fetcher.resolve(href);
        }
        match &self.known().template {
            Some(template) => {
                let (low, high) = (link.id.low().to_string(), link.id.high().to_string());
                self.fetcher
                    .resolve(&template.replace("{low}", &low).replace("{high}", &high))
            }
            None => Ok(self.fetcher.below(&link.id.to_string())),
        }
    }

    fn check_name(&self, log: &LogIdentity) -> Result<(), LogError> {
        match &self.fetcher.options().expected_name {
            Some(name) if *name != log.name => Err(LogError::Garbage {
                reason: format!(
                    "{} is the log `{}`, expected `{name}`",
                    self.fetcher, log.name
                ),
            }),
            _ => Ok(()),
        }
    }

    fn read_page(&self, body: &Bytes, links: &PageLinks) -> Result<Section, LogError> {
        let mut section = page_document::section(body)?;
        self.check_name(&section.log)?;
        links.complete(&mut section)?;
        Ok(section)
    }

    async fn fetch_section(
        &self,
        link: &SectionLink,
        position: Option<Position>,
    ) -> Result<Section, LogError> {
        if let Some(section) = self.take_fresh(|section| section.id == link.id) {
            return Ok(section);
        }
        let url = self.address(link)?;
        let seen = self.seen(link.id);
        let mut headers = conditional(seen.as_ref());
        if let Some(Position { epoch, id, .. }) = position {
            let epoch = HeaderValue::try_from(epoch.to_string()).ok();
            headers.extend(epoch.map(|epoch| (EPOCH_HEADER, epoch)));
            headers.insert(POSITION_HEADER, id.into());
        }
        let (section, tag) = match self.fetcher.get(url, headers, Duration::ZERO).await? {
            Answer::Document { body, tag, links } => (self.read_page(&body, &links)?, tag),
            Answer::Unchanged | Answer::NoRoomToWait => return self.unchanged(seen),
        };
        if section.id != link.id {
            let reason = format!(
                "{} answered with page {} when asked for {}",
                self.fetcher, section.id, link.id
            );
            return Err(LogError::Garbage { reason });
        }
        self.remember(&section, tag);
        Ok(section)
    }

    /// The page as it was, if it grew then.
    fn seen(&self, id: SectionId) -> Option<Seen> {
        let seen = self.known().growing.clone();
        seen.filter(|seen| seen.section.id == id)
    }

    fn remember(&self, section: &Section, tag: Option<HeaderValue>) {
        let mut known = self.known();
        known.page_size = Some(section.log.page_size);
        let is_past_the_end = section.last.is_some_and(|last| last < section.id.low());
        if !section.archived && (!is_past_the_end || section.id.low() == 1) {
            known.growing = tag.map(|tag| Seen {
                section: section.clone(),
                tag,
            });
        }
    }

    /// What the log says has not changed.
    fn unchanged(&self, seen: Option<Seen>) -> Result<Section, LogError> {
        seen.map(|seen| seen.section)
            .ok_or_else(|| LogError::Garbage {
                reason: format!(
                    "{} says that nothing has changed, and was not asked",
                    self.fetcher
                ),
            })
    }

    fn take_fresh(&self, wanted: impl FnOnce(&Section) -> bool) -> Option<Section> {
        let mut known = self.known();
        let wanted = wanted(&known.fresh.as_ref()?.0);
        let (section, seen) = known.fresh.take_if(|_| wanted)?;
        (seen.elapsed() < FRESH).then_some(section)
    }

    /// Asks for the page on which what comes after `after` is seen first: as long as that page is full and nothing follows
    /// it, that is the page that holds `after`.
    async fn ask_for_news(&self, after: u64, wait: Duration) -> Result<News, LogError> {
        let page_size = self.known().page_size;
        let page_size = match page_size {
            Some(page_size) => page_size,
            None => self.describe().await?.log.page_size,
        };
        let id = SectionId::containing(after.max(1), page_size);
        let seen = self.seen(id);
        let drops_tags = self.known().drops_tags;
        // Where what was seen is not where the reader is, there is nothing to wait for: it is asked whether that is still so.
        let wait = match &seen {
            Some(seen) if is_newer(&seen.section, after) => Duration::ZERO,
            _ => wait,
        };
        let (url, headers, wait) = match &seen {
            Some(seen) if !drops_tags => {
                let mut headers = conditional(Some(seen));
                if !wait.is_zero() {
                    let wait = HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok();
                    headers.extend(wait.map(|wait| (PREFER, wait)));
                }
                (self.address(&id.into())?, headers, wait)
            }
            None if !drops_tags => (self.address(&id.into())?, HeaderMap::new(), Duration::ZERO),
            _ if wait.is_zero() => (self.address(&id.into())?, HeaderMap::new(), wait),
            _ => (self.after(after, wait), HeaderMap::new(), wait),
        };
        let (section, tag) = match self.fetcher.get(url, headers, wait).await {
            Ok(Answer::Document { body, tag, links }) => (self.read_page(&body, &links)?, tag),
            Ok(Answer::Unchanged) => {
                let is_newer = seen.is_some_and(|seen| is_newer(&seen.section, after));
                return Ok(if is_newer { News::Some } else { News::None });
            }
            Ok(Answer::NoRoomToWait) => return Ok(News::NoRoom),
            // It is read by its single notifications.
            Err(LogError::TooLarge { .. }) => {
                let last = self.describe().await?.last;
                return Ok(if last == after {
                    News::None
                } else {
                    News::Some
                });
            }
            // It does not wait like this.
            Err(LogError::Garbage { .. }) if drops_tags && !wait.is_zero() => {
                return Ok(News::NoRoom);
            }
            Err(error) => return Err(error),
        };
        let is_the_same = seen.as_ref().is_some_and(|seen| seen.section == section);
        let has_tag = tag.is_some();
        self.remember(&section, tag);
        if is_newer(&section, after) {
            self.known().fresh = Some((section, Instant::now()));
            return Ok(News::Some);
        }
        if !has_tag || is_the_same {
            // There is no tag, or it was not looked at.
            self.known().drops_tags = true;
        }
        // What is there now can be waited for, if that was not known before.
        Ok(match seen {
            None if has_tag && !drops_tags => News::Learned,
            _ => News::None,
        })
    }

    /// The address that waits without conditions.
    fn after(&self, after: u64, wait: Duration) -> Url {
        let mut url = self.fetcher.base().clone();
        url.query_pairs_mut()
            .append_pair("after", &after.to_string())
            .append_pair("wait", &wait.as_secs().to_string());
        url
    }
}

/// What asking for news gave.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// It is worth while to look: the log ends elsewhere.
    Some,
    /// Nothing has changed.
    None,
    /// Nothing is new; it is known now what is there, so that a change of it can be waited for.
    Learned,
    /// It can't be waited for now.
    NoRoom,
}

/// Whether the section says that the log ends elsewhere than at `after`.
fn is_newer(section: &Section, after: u64) -> bool {
    section.last != Some(after)
}

fn conditional(seen: Option<&Seen>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.extend(seen.map(|seen| (IF_NONE_MATCH, seen.tag.clone())));
    headers
}

#[async_trait]
impl NotificationLog for RemoteNotificationLog {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        let url = self.fetcher.below("log");
        let answer = self
            .fetcher
            .get(url, HeaderMap::new(), Duration::ZERO)
            .await?;
        let Answer::Document { body, .. } = answer else {
            return Err(LogError::Garbage {
                reason: format!(
                    "{} says that nothing has changed, and was not asked",
                    self.fetcher
                ),
            });
        };
        let (description, template) = page_document::description(&body)?;
        self.check_name(&description.log)?;
        // A reader that begins, or begins again after an error, takes nothing over from before: it may be what was wrong.
        *self.known() = Known {
            template,
            page_size: Some(description.log.page_size),
            ..Known::default()
        };
        Ok(description)
    }

    async fn current(&self) -> Result<Section, LogError> {
        if let Some(section) = self.take_fresh(|section| !section.archived) {
            return Ok(section);
        }
        let seen = self.known().growing.clone();
        let url = self.fetcher.base().clone();
        let headers = conditional(seen.as_ref());
        match self.fetcher.get(url, headers, Duration::ZERO).await? {
            Answer::Document { body, tag, links } => {
                let section = self.read_page(&body, &links)?;
                self.remember(&section, tag);
                Ok(section)
            }
            Answer::Unchanged | Answer::NoRoomToWait => self.unchanged(seen),
        }
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        self.fetch_section(link, None).await
    }

    async fn section_after(
        &self,
        link: &SectionLink,
        position: Position,
    ) -> Result<Section, LogError> {
        let section = self.fetch_section(link, Some(position)).await?;
        section.continues(position)?;
        Ok(section)
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        let deadline = Instant::now().checked_add(timeout);
        let remaining = || match deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => MAX_WAIT,
        };
        let mut may_wait = true;
        loop {
            // A log waits for whole seconds.
            let wait = match may_wait {
                true => Duration::from_secs(remaining().min(MAX_WAIT).as_secs()),
                false => Duration::ZERO,
            };
            let asked = Instant::now();
            match self.ask_for_news(after, wait).await? {
                News::Some => return Ok(true),
                News::Learned if !remaining().is_zero() => continue,
                News::NoRoom => may_wait = false,
                News::Learned | News::None => {}
            }
            if remaining().is_zero() {
                return Ok(false);
            }
            // One that has waited may be asked again at once; one that answers at once may not.
            if wait.is_zero() || asked.elapsed() < wait {
                let pause = self.fetcher.options().poll_interval.min(remaining());
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn notification(&self, id: u64, epoch: Uuid) -> Result<Option<Notification>, LogError> {
        let url = self.fetcher.below(&id.to_string());
        let Some(body) = self.fetcher.get_if_there(url, true).await? else {
            return Ok(None);
        };
        let (log, found, notification) = page_document::single(&body)?;
        if found != epoch {
            return Err(LogError::EpochChanged {
                log,
                expected: epoch,
                found,
            });
        }
        if notification.id != id {
            return Err(LogError::Garbage {
                reason: format!(
                    "{} answered with notification {} when asked for {id}",
                    self.fetcher, notification.id
                ),
            });
        }
        Ok(Some(notification))
    }
}

/// By its address, in which there are no credentials.
impl fmt::Debug for RemoteNotificationLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteNotificationLog")
            .field("url", &self.fetcher.base().as_str())
            .finish_non_exhaustive()
    }
}
