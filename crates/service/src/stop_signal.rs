//! What tells a program to stop.

use std::io::{self, IsTerminal};

/// Being told to stop: by ctrl-c, or by SIGTERM where there is such a thing.
///
/// From [`listen`](Self::listen) on, the system no longer ends the process by itself when it is told to stop.
#[derive(Debug)]
pub struct StopSignal {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl StopSignal {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// What the system says, if it gives no signals.
    pub fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits until the program is told to stop; called again, until the next time. One that came between two
    /// calls is not lost.
    pub async fn received(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Being told to read again what may have changed: by SIGHUP, where there is such a thing.
#[derive(Debug)]
pub(crate) struct HangupSignal {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl HangupSignal {
    /// Begins to listen, unless the program runs in a terminal: from now on, the signal does not end the process.
    pub(crate) fn listen_outside_terminals() -> io::Result<Option<Self>> {
        if io::stdin().is_terminal() {
            return Ok(None);
        }
        Self::listen().map(Some)
    }

    fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                hangup: signal(SignalKind::hangup())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits until the signal comes; called again, until the next time.
    pub(crate) async fn received(&mut self) {
        #[cfg(unix)]
        self.hangup.recv().await;
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}
