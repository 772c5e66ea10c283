//! A service that runs, until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use boxes_application::{App, SynchronousDelivery};
use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::certificate::{ShownCertificate, read_certificate};
use crate::declared::Declared;
use crate::server::Server;
use crate::state::{RunningBox, State};
use crate::{Config, ConfigError, StartError};

/// A service that runs. Dropped without [`shutdown`](Self::shutdown), it stops at once, as if it were killed.
#[derive(Debug)]
#[must_use = "the service stops when this is dropped"]
pub struct Running {
    pub(crate) state: Arc<State>,
    pub(crate) server: Server,
    pub(crate) declared: Declared,
    pub(crate) address: SocketAddr,
    pub(crate) base_url: String,
    /// What is shown to clients that speak TLS, if they do.
    pub(crate) certificate: Option<Arc<ShownCertificate>>,
    pub(crate) shutdown_timeout: Duration,
    /// Followers, and those who watch them.
    pub(crate) tasks: TaskTracker,
    /// Cancelled to end the tasks wherever they are.
    pub(crate) killing: CancellationToken,
    /// Held, because the apps hold it weakly.
    pub(crate) _delivery: Option<Arc<SynchronousDelivery>>,
    pub(crate) _kill_on_drop: (DropGuard, DropGuard),
}

/// How a service stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// All that was under way was finished.
    Drained,
    /// The time was up before, and requests that were worked on, followers, or the closing of stores were cut off. Nothing
    /// is lost: a command whose answer was cut off was recorded or was not, and followers go on from where they are
    /// recorded to be. A program ends with exit code 1 then. Requests that clients had sent only in part don't count.
    CutOff,
}

/// The part of the time to stop that is kept for closing the stores: one in so many, and no more than that.
const CLOSE_PART: u32 = 4;
const MAX_CLOSE_TIME: Duration = Duration::from_secs(5);

impl Running {
    /// Where this machine reaches it: `http://127.0.0.1:8080`, or `https://` where TLS is spoken, without a slash at the end, whatever the public base.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The boxes that run, in the order in which they are declared.
    pub fn boxes(&self) -> impl Iterator<Item = &App> {
        self.state.boxes.iter().map(|running| &running.app)
    }

    /// The box of this name, if it runs here.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<App> {
        self.boxes().find(|app| app.name() == name).cloned()
    }

    /// Takes what may change while it runs from a configuration that was read again: the tokens that are accepted, what
    /// they allow, and the certificate. Requests under way that read something lose it with their token; what else
    /// the configuration says counts from the next start on.
    ///
    /// # Errors
    ///
    /// [`StartError`] if a start would refuse the configuration, or it switches tokens or HTTPS on or off, which takes a
    /// start: then nothing has changed.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        self.declared.validate(config)?;
        let refused = |reason: &str| {
            let reason = format!("{reason}: restart the service for that");
            StartError::from(ConfigError::Together { reason })
        };
        match (self.asks_for_tokens(), config.tokens.is_empty()) {
            (true, true) => return Err(refused("no clients are set any more")),
            (false, false) => return Err(refused("clients are set, and there were none")),
            _ => {}
        }
        let certificate = match (&self.certificate, &config.tls) {
            (None, None) => None,
            (Some(shown), Some(files)) => Some((shown, read_certificate(files)?)),
            (Some(_), None) => return Err(refused("no certificate is set any more")),
            (None, Some(_)) => return Err(refused("a certificate is set, and there was none")),
        };
        if let Some((shown, certified)) = certificate {
            shown.show(certified);
        }
        self.state.tokens.replace(config.tokens.clone());
        Ok(())
    }

    /// Whether requests have to show a token.
    pub(crate) fn asks_for_tokens(&self) -> bool {
        !self.state.tokens.current().is_empty()
    }

    /// Stops: accepts no more connections, ends those who wait for news, finishes the requests under way, lets
    /// followers end between two transactions, and closes the stores. Takes at most the configured time, of which a
    /// part is for the stores.
    pub async fn shutdown(self) -> Stopped {
        let end = Instant::now() + self.shutdown_timeout;
        let cut = end - (self.shutdown_timeout / CLOSE_PART).min(MAX_CLOSE_TIME);
        self.state.stopping.cancel();
        let (drained, ended) =
            tokio::join!(self.server.drain(cut), timeout_at(cut, self.tasks.wait()));
        self.killing.cancel();
        let ended = ended.is_ok() & timeout_at(end, self.tasks.wait()).await.is_ok();
        let closing = self.state.boxes.iter().map(|running| close(running, end));
        let closed = join_all(closing).await.into_iter().all(|closed| closed);
        for (done, what) in [
            (drained, "requests under way"),
            (ended, "followers within a transaction"),
            (closed, "stores that did not close"),
        ] {
            if !done {
                tracing::warn!(timeout = ?self.shutdown_timeout, "the time to stop was up: {what} were cut off");
            }
        }
        if drained && ended && closed {
            Stopped::Drained
        } else {
            Stopped::CutOff
        }
    }
}

/// Closes the store of a box, and says whether that was done in time.
async fn close(running: &RunningBox, end: Instant) -> bool {
    let name = running.app.name();
    let closing = async {
        running.writer.close().await;
        running.writer.recorder().close().await
    };
    match timeout_at(end, closing).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(name, %error, "the store did not close as it should");
            false
        }
        Err(_) => false,
    }
}
