//! Serves HTTP on a listener, within bounds, until it is told to stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Config;
use crate::connection::Connections;

/// How long to wait after the system could not give another connection (too many open files, as a rule).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves HTTP on a listener: 1.1, and 2 where TLS is spoken. Axum's own `serve` has no bound on connections and none on slow heads.
#[derive(Debug)]
pub(crate) struct Server {
    connections: TaskTracker,
    killing: CancellationToken,
}

impl Server {
    /// Starts to serve, with at most as many connections at a time as configured; more wait in the system's backlog.
    pub(crate) fn start(
        listener: TcpListener,
        router: Router,
        tls: Option<TlsAcceptor>,
        config: &Config,
        stopping: CancellationToken,
    ) -> Self {
        let server = Self {
            connections: TaskTracker::new(),
            killing: CancellationToken::new(),
        };
        let room = Arc::new(Semaphore::new(
            config.max_connections.clamp(1, Semaphore::MAX_PERMITS),
        ));
        server.connections.spawn(accept(
            listener,
            Connections {
                router,
                patience: config.slow_client_timeout,
                tls,
                stopping,
                killing: server.killing.clone(),
            },
            room,
            server.connections.clone(),
        ));
        server.connections.close();
        server
    }

    /// Waits for the requests under way, at most so long, after `stopping` was cancelled. Then drops them.
    /// Says whether all of them were finished.
    pub(crate) async fn drain(&self, timeout: Duration) -> bool {
        let drained = tokio::time::timeout(timeout, self.connections.wait())
            .await
            .is_ok();
        self.killing.cancel();
        self.connections.wait().await;
        drained
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.killing.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    connections: Connections,
    room: Arc<Semaphore>,
    tasks: TaskTracker,
) {
    loop {
        let accepted = async {
            let permit = Arc::clone(&room)
                .acquire_owned()
                .await
                .map_err(io::Error::other)?;
            let (stream, peer) = listener.accept().await?;
            Ok::<_, io::Error>((stream, peer, permit))
        };
        let accepted = tokio::select! {
            () = connections.stopping.cancelled() => return,
            () = connections.killing.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let serving = connections.clone().serve(stream, peer);
                tasks.spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Whether the client went away before it was accepted, which is no trouble of the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
