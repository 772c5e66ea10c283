//! How a log far away is asked: within bounds, and at its own origin only.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, ETAG, HeaderMap,
    HeaderName, HeaderValue, RETRY_AFTER,
};
use boxes_notification_log::LogError;
use bytes::{Bytes, BytesMut};
use jiff::fmt::rfc2822;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use url::Url;

use crate::authorities::untrusted;
use crate::coding::{Coding, DecodeError};
use crate::page_links::PageLinks;
use crate::tls::install_crypto_provider;
use crate::{RemoteError, RemoteOptions, log_problem};

/// What is asked for.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/json");
/// The largest body of an error that is read.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Asks one origin.
pub(crate) struct Fetcher {
    client: Client,
    base: Url,
    options: RemoteOptions,
    /// Whether an answer may call itself whatever it likes.
    takes_any_type: bool,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A document, the tag of its state, and where its header leads.
    Document {
        body: Bytes,
        tag: Option<HeaderValue>,
        links: PageLinks,
    },
    /// It has the state that was known.
    Unchanged,
    /// Too many requests wait already: it may be asked, and not waited for.
    NoRoomToWait,
}

/// Why there is no document.
enum Refusal {
    NoRoomToWait,
    Error(LogError),
}

impl Fetcher {
    /// Asks the log at this address.
    ///
    /// # Errors
    ///
    /// - [`RemoteError::Url`] if the URL is none of a log.
    /// - [`RemoteError::Setup`] if the system lacks what HTTPS needs.
    pub(crate) fn of_log(mut base: Url, options: RemoteOptions) -> Result<Self, RemoteError> {
        let plain = base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !plain || !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            let host = base.host_str().unwrap_or_default();
            let url = format!("{}://{host}/…", base.scheme());
            return Err(RemoteError::Url { url });
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        let client = client(&base, &options).map_err(|error| RemoteError::Setup {
            reason: innermost(&error),
        })?;
        Ok(Self {
            client,
            base,
            options,
            takes_any_type: false,
        })
    }

    /// For servers that do not say what they send.
    pub(crate) const fn taking_any_type(mut self) -> Self {
        self.takes_any_type = true;
        self
    }

    pub(crate) const fn options(&self) -> &RemoteOptions {
        &self.options
    }

    /// The current page.
    pub(crate) const fn base(&self) -> &Url {
        &self.base
    }

    /// The address below the current page.
    pub(crate) fn below(&self, segment: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{segment}", self.base.path()));
        url
    }

    /// Where a link of the log leads within the log's own origin, which is the only one that is asked.
    ///
    /// A log that is reached by another host than its public one names that one in its links: if what is below the log
    /// can be told from such a link, it is asked for where the log is reached.
    ///
    /// # Errors
    ///
    /// [`LogError::Garbage`] if it leads elsewhere.
    pub(crate) fn resolve(&self, href: &str) -> Result<Url, LogError> {
        let elsewhere = || self.garbage("has a link that leads to another origin, or nowhere");
        let url = self.base.join(href).map_err(|_| elsewhere())?;
        if url.origin() == self.base.origin() {
            return Ok(url);
        }
        let below = url.path().strip_prefix(self.base.path());
        let below = below.filter(|below| below.starts_with('/') && url.query().is_none());
        let below = below.ok_or_else(elsewhere)?;
        Ok(self.below(below.trim_start_matches('/')))
    }

    /// Asks, and reads what comes; `wait` is the time that was asked for in the request.
    ///
    /// # Errors
    ///
    /// - What the log answered, as the error that it is: see [`log_problem`].
    /// - [`LogError::Unavailable`] if it does not answer in time, or not at all.
    /// - [`LogError::TooLarge`] if what comes has more bytes than the bound, as it is sent or whole.
    /// - [`LogError::Garbage`] if what comes is cut short, damaged, no JSON, or from elsewhere.
    pub(crate) async fn get(
        &self,
        url: Url,
        headers: HeaderMap,
        wait: Duration,
    ) -> Result<Answer, LogError> {
        let response = self.send(url, headers, wait).await?;
        match response.status() {
            StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT => Ok(Answer::Unchanged),
            StatusCode::OK => {
                self.check_type(response.headers())?;
                let tag = response.headers().get(ETAG).cloned();
                let links = PageLinks::of(response.url().clone(), response.headers());
                let body = self.body(response, self.options.max_body_bytes).await?;
                Ok(Answer::Document { body, tag, links })
            }
            _ => match self.refusal(response).await {
                Refusal::NoRoomToWait if !wait.is_zero() => Ok(Answer::NoRoomToWait),
                Refusal::NoRoomToWait => Err(LogError::Unavailable {
                    reason: format!("{self} has no room for requests that wait"),
                    retry_after: None,
                    source: None,
                }),
                Refusal::Error(error) => Err(error),
            },
        }
    }

    /// Asks for what may be there or not (404), and reads it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub(crate) async fn get_if_there(
        &self,
        url: Url,
        as_json: bool,
    ) -> Result<Option<Bytes>, LogError> {
        let response = self.send(url, HeaderMap::new(), Duration::ZERO).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => {
                if as_json {
                    self.check_type(response.headers())?;
                }
                let body = self.body(response, self.options.max_body_bytes).await?;
                Ok(Some(body))
            }
            _ => match self.refusal(response).await {
                Refusal::Error(error) => Err(error),
                Refusal::NoRoomToWait => {
                    Err(self.garbage("answered a request that does not wait as one that does"))
                }
            },
        }
    }

    async fn send(
        &self,
        url: Url,
        headers: HeaderMap,
        wait: Duration,
    ) -> Result<Response, LogError> {
        let timeout = self.options.request_timeout.saturating_add(wait);
        let mut request = self
            .client
            .get(url)
            .headers(headers)
            .header(ACCEPT, MEDIA_TYPE);
        if self.options.compressed {
            request = request.header(ACCEPT_ENCODING, Coding::ACCEPTED);
        }
        if let Some(token) = &self.options.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        let sent = request.timeout(timeout).send().await;
        sent.map_err(|error| self.failure(error))
    }

    /// What the log answered instead, as what it means.
    async fn refusal(&self, response: Response) -> Refusal {
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        // Whatever comes with an error, the status is what counts.
        let body = self
            .body(response, MAX_ERROR_BYTES)
            .await
            .unwrap_or_default();
        if log_problem::is_no_room_to_wait(status, &body) {
            return Refusal::NoRoomToWait;
        }
        let place = self.to_string();
        Refusal::Error(log_problem::from_answer(status, &body, retry_after, &place))
    }

    fn check_type(&self, headers: &HeaderMap) -> Result<(), LogError> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let media_type = text(CONTENT_TYPE).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if self.takes_any_type || essence.eq_ignore_ascii_case("application/json") {
            return Ok(());
        }
        Err(self.garbage("answered in a format that was not asked for"))
    }

    /// The whole body, with what was done to it undone: at most `max_bytes` before and after.
    async fn body(&self, response: Response, max_bytes: usize) -> Result<Bytes, LogError> {
        let coding = match response.headers().get(CONTENT_ENCODING) {
            None => Coding::Identity,
            Some(name) => name
                .to_str()
                .ok()
                .and_then(|name| Coding::find(name.trim()))
                .ok_or_else(|| {
                    self.garbage("answered in a content coding that was not asked for")
                })?,
        };
        let body = self.sent_body(response, max_bytes).await?;
        coding
            .decode(body, max_bytes)
            .await
            .map_err(|error| match error {
                DecodeError::TooLarge { max_bytes } => self.too_large(max_bytes),
                error => self.garbage(&format!("answered with what can't be read: {error}")),
            })
    }

    /// The body as it is sent. One that comes in one piece is not copied.
    async fn sent_body(&self, mut response: Response, max_bytes: usize) -> Result<Bytes, LogError> {
        let too_large = || self.too_large(max_bytes);
        let declared = response.content_length().map(usize::try_from);
        let declared = declared.transpose().map_err(|_| too_large())?;
        if declared.is_some_and(|declared| declared > max_bytes) {
            return Err(too_large());
        }
        let next = async |response: &mut Response| {
            response.chunk().await.map_err(|error| {
                if error.is_timeout() {
                    self.failure(error)
                } else {
                    self.garbage(&format!("broke off its answer: {}", innermost(&error)))
                }
            })
        };
        let Some(first) = next(&mut response).await? else {
            return Ok(Bytes::new());
        };
        if first.len() > max_bytes {
            return Err(too_large());
        }
        let Some(second) = next(&mut response).await? else {
            return Ok(first);
        };
        let mut body = BytesMut::with_capacity(declared.unwrap_or(first.len() + second.len()));
        body.extend_from_slice(&first);
        let mut chunk = Some(second);
        while let Some(bytes) = chunk {
            if body.len() + bytes.len() > max_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&bytes);
            chunk = next(&mut response).await?;
        }
        Ok(body.freeze())
    }

    /// Why a request came to nothing.
    fn failure(&self, error: reqwest::Error) -> LogError {
        let error = error.without_url();
        if error.is_redirect() {
            return self.garbage(&format!("sent the request on: {}", innermost(&error)));
        }
        let reason = match untrusted(&error) {
            Some(what) => format!("{self} {what}"),
            None if error.is_timeout() => {
                format!("{self} did not answer in time: {}", innermost(&error))
            }
            None => format!("{self} does not answer: {}", innermost(&error)),
        };
        LogError::Unavailable {
            reason,
            retry_after: None,
            source: Some(Arc::new(error)),
        }
    }

    fn too_large(&self, max_bytes: usize) -> LogError {
        LogError::TooLarge {
            reason: format!(
                "{self} answered with more than the {max_bytes} bytes that are read (--upstream-max-body)"
            ),
        }
    }

    fn garbage(&self, what: &str) -> LogError {
        LogError::Garbage {
            reason: format!("{self} {what}"),
        }
    }
}

/// By the address of the log, in which there are no credentials.
impl fmt::Display for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(f)
    }
}

fn client(base: &Url, options: &RemoteOptions) -> Result<Client, reqwest::Error> {
    install_crypto_provider();
    let (origin, max_redirects) = (base.origin(), options.max_redirects);
    let redirects = Policy::custom(move |attempt| {
        if attempt.url().origin() != origin {
            return attempt.error("it leads to another origin");
        }
        if attempt.previous().len() > max_redirects {
            return attempt.error("it leads on too often");
        }
        attempt.follow()
    });
    let builder = Client::builder()
        .redirect(redirects)
        .connect_timeout(options.connect_timeout)
        .user_agent(concat!("boxes/", env!("CARGO_PKG_VERSION")))
        .referer(false)
        .no_proxy()
        .http1_only();
    match &options.authorities {
        // Without TLS no certificates are needed: a system that has none is no obstacle.
        _ if base.scheme() != "https" => builder.tls_certs_only([]).build(),
        None => builder.build(),
        Some(authorities) => builder.tls_certs_only(authorities.certificates()).build(),
    }
}

/// What lies at the bottom of an error: `Connection refused`, and not `error sending request`.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// `Retry-After`, in seconds or as a time, which is compared with the log's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let said = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = said.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time = |text: &str| Some(rfc2822::parse(text).ok()?.timestamp());
    let delay = time(said)?.duration_since(time(text(DATE)?)?);
    Some(Duration::try_from(delay).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_time_by_the_clock_of_the_log() {
        let of = |said: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                DATE,
                HeaderValue::from_static("Mon, 23 Nov 2026 15:00:00 GMT"),
            );
            headers.insert(RETRY_AFTER, HeaderValue::from_str(said).unwrap());
            retry_after(&headers).map(|delay| delay.as_secs())
        };
        assert_eq!(of("7"), Some(7));
        assert_eq!(of("Mon, 23 Nov 2026 15:02:00 GMT"), Some(120));
        assert_eq!(of("Mon, 23 Nov 2026 14:00:00 GMT"), Some(0));
        assert_eq!([of("soon"), of("-1"), of("")], [None, None, None]);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
