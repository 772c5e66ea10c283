//! A service that runs, until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use boxes_application::{App, SynchronousDelivery};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::certificate::ShownCertificate;
use crate::server::Server;
use crate::state::State;
use crate::{CertificateError, ConfigError, Tokens};

/// A service that runs. Dropped without [`shutdown`](Self::shutdown), it stops at once, as if it were killed.
#[derive(Debug)]
#[must_use = "the service stops when this is dropped"]
pub struct Running {
    pub(crate) state: Arc<State>,
    pub(crate) server: Server,
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
    /// The time was up before, and what was under way was cut off. Nothing is lost: a command whose answer was
    /// cut off was recorded or was not, and followers go on from where they are recorded to be.
    CutOff,
}

/// How long the stores may take to close, after all else has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

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

    /// Reads the files of the certificate and its key again, and shows what they hold to those who connect from now on.
    /// Does nothing where plain HTTP is spoken.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] if what they hold can't be used; what was shown before is still shown.
    pub fn reload_certificate(&self) -> Result<(), CertificateError> {
        self.certificate
            .as_ref()
            .map_or(Ok(()), |certificate| certificate.read_again())
    }

    /// Takes these tokens from now on, in the place of those that were accepted. Requests under way are not looked at again.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Together`] if there would be none where there are some, or some where there are none: who may be
    /// asked for a token is settled at the start.
    pub fn replace_tokens(&self, tokens: Tokens) -> Result<(), ConfigError> {
        if tokens.is_empty() == self.asks_for_tokens() {
            let reason = if tokens.is_empty() {
                "no tokens are set any more, and a service that asks for them does not stop doing so: restart it"
            } else {
                "tokens are set now, and a service that did not ask for any does not begin to: restart it"
            };
            return Err(ConfigError::Together {
                reason: reason.to_owned(),
            });
        }
        self.state.tokens.replace(tokens);
        Ok(())
    }

    /// Whether requests have to show a token.
    pub(crate) fn asks_for_tokens(&self) -> bool {
        !self.state.tokens.current().is_empty()
    }

    /// Whether HTTPS is spoken.
    pub(crate) const fn speaks_tls(&self) -> bool {
        self.certificate.is_some()
    }

    /// Stops: accepts no more connections, ends those who wait for news, finishes the requests under way, lets
    /// followers end between two transactions, and closes the stores. Takes at most the configured time, and
    /// then some for the stores.
    pub async fn shutdown(self) -> Stopped {
        let deadline = Instant::now() + self.shutdown_timeout;
        self.state.stopping.cancel();
        let drained = self.server.drain(self.shutdown_timeout).await;
        let ended = timeout_at(deadline, self.tasks.wait()).await.is_ok();
        self.killing.cancel();
        self.tasks.wait().await;
        for running in &self.state.boxes {
            if tokio::time::timeout(CLOSE_TIMEOUT, running.writer.close())
                .await
                .is_err()
            {
                tracing::warn!(name = running.app.name(), "the store did not close in time");
            }
        }
        if drained && ended {
            Stopped::Drained
        } else {
            tracing::warn!(timeout = ?self.shutdown_timeout, "what was not finished in time was cut off");
            Stopped::CutOff
        }
    }
}
