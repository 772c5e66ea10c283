//! A log far away.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
use boxes_notification_log::{LogDescription, LogError, NotificationLog, Section, SectionLink};
use boxes_recorder::{LogIdentity, Position};
use bytes::Bytes;
use tokio::time::Instant;
use url::Url;

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
/// While it waits, one request is open at the log, which answers at the next commit. What that answer holds is
/// handed to the reader that asks for it next, which saves a round trip: right after a
/// [`wait`](NotificationLog::wait) a section may so be as old as the end of that wait, and is complete the next
/// time. A log that can't be waited for is asked every [`poll_interval`](RemoteOptions::poll_interval).
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
    /// The current page as it was.
    current: Option<Seen>,
    /// The page that grew when it was read by its id.
    growing: Option<Seen>,
    /// What ended a wait, and when.
    fresh: Option<(Section, Instant)>,
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
        let seen = self
            .known()
            .growing
            .clone()
            .filter(|seen| seen.section.id == link.id);
        let mut headers = conditional(seen.as_ref());
        if let Some(Position { epoch, id, .. }) = position {
            let epoch = HeaderValue::try_from(epoch.to_string()).ok();
            headers.extend(epoch.map(|epoch| (EPOCH_HEADER, epoch)));
            headers.insert(POSITION_HEADER, id.into());
        }
        let (section, tag) = match self.fetcher.get(url, headers, Duration::ZERO).await? {
            Answer::Document { body, tag, links } => (self.read_page(&body, &links)?, tag),
            Answer::Unchanged { .. } => return self.unchanged(seen),
        };
        if section.id != link.id {
            let reason = format!(
                "{} answered with page {} when asked for {}",
                self.fetcher, section.id, link.id
            );
            return Err(LogError::Garbage { reason });
        }
        if !section.archived {
            self.known().growing = tag.map(|tag| Seen {
                section: section.clone(),
                tag,
            });
        }
        Ok(section)
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

    /// Asks for the current page, if it has changed from what was seen of it; else after `wait`.
    async fn fetch_current(
        &self,
        seen: Option<&Seen>,
        wait: Duration,
    ) -> Result<Current, LogError> {
        let mut headers = conditional(seen);
        if seen.is_some() && !wait.is_zero() {
            let wait = HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok();
            headers.extend(wait.map(|wait| (PREFER, wait)));
        }
        let url = self.fetcher.base().clone();
        match self.fetcher.get(url, headers, wait).await? {
            Answer::Unchanged { waited } => Ok(Current::Unchanged { waited }),
            Answer::Document { body, tag, links } => {
                let section = self.read_page(&body, &links)?;
                let seen = tag.map(|tag| Seen {
                    section: section.clone(),
                    tag,
                });
                self.known().current = seen;
                Ok(Current::Changed(section))
            }
        }
    }
}

/// What asking for the current page gave.
enum Current {
    Changed(Section),
    Unchanged { waited: bool },
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
        self.known().template = template;
        Ok(description)
    }

    async fn current(&self) -> Result<Section, LogError> {
        if let Some(section) = self.take_fresh(|_| true) {
            return Ok(section);
        }
        let seen = self.known().current.clone();
        match self.fetch_current(seen.as_ref(), Duration::ZERO).await? {
            Current::Changed(section) => Ok(section),
            Current::Unchanged { .. } => self.unchanged(seen),
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
        loop {
            let seen = self.known().current.clone();
            let last = seen.as_ref().and_then(|seen| seen.section.last);
            // A log waits for whole seconds. Where what was seen is not where the reader is, it need not wait: it
            // is asked whether that is still so, because a log that was made anew may be shorter.
            let wait = match last {
                Some(last) if last > after => Duration::ZERO,
                _ => Duration::from_secs(remaining().min(MAX_WAIT).as_secs()),
            };
            let asked = Instant::now();
            match self.fetch_current(seen.as_ref(), wait).await? {
                Current::Changed(section) if section.last != Some(after) => {
                    self.known().fresh = Some((section, Instant::now()));
                    return Ok(true);
                }
                // Now there is something whose change can be waited for.
                Current::Changed(_) if last != Some(after) && !remaining().is_zero() => continue,
                Current::Unchanged { .. } if last.is_some_and(|last| last > after) => {
                    return Ok(true);
                }
                Current::Unchanged { waited: true }
                    if asked.elapsed() >= wait && !remaining().is_zero() =>
                {
                    continue;
                }
                // Asked in vain: it can't be waited for, or something on the way drops what is known, and gives the
                // same page as if it were new.
                Current::Changed(_) | Current::Unchanged { .. } => {}
            }
            if remaining().is_zero() {
                return Ok(false);
            }
            let pause = self.fetcher.options().poll_interval.min(remaining());
            tokio::time::sleep(pause).await;
        }
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
