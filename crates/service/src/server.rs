//! Serves HTTP on a listener, within bounds, until it is told to stop.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a client may take to send the head of a request, and may keep a connection open without one.
///
/// Longer than the 90 seconds after which reqwest, and so the kit's own readers, drop an idle connection: it
/// should not be the server that closes one on which a request is under way.
const HEAD_TIMEOUT: Duration = Duration::from_secs(100);

/// How long to wait after the system could not give another connection (too many open files, as a rule).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves HTTP/1.1 on a listener. Axum's own `serve` has no bound on connections and none on slow heads.
#[derive(Debug)]
pub(crate) struct Server {
    connections: TaskTracker,
    stopping: CancellationToken,
    killing: CancellationToken,
}

impl Server {
    /// Starts to serve, with at most so many connections at a time; more wait in the system's backlog.
    pub(crate) fn start(
        listener: TcpListener,
        router: Router,
        max_connections: usize,
        stopping: CancellationToken,
    ) -> Self {
        let server = Self {
            connections: TaskTracker::new(),
            stopping,
            killing: CancellationToken::new(),
        };
        let room = Arc::new(Semaphore::new(
            max_connections.clamp(1, Semaphore::MAX_PERMITS),
        ));
        server.connections.spawn(accept(
            listener,
            router,
            room,
            server.connections.clone(),
            server.stopping.clone(),
            server.killing.clone(),
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
    router: Router,
    room: Arc<Semaphore>,
    connections: TaskTracker,
    stopping: CancellationToken,
    killing: CancellationToken,
) {
    loop {
        let accepted = async {
            let permit = Arc::clone(&room)
                .acquire_owned()
                .await
                .map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            Ok::<_, io::Error>((stream, permit))
        };
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            () = killing.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let serving = serve(stream, router.clone(), stopping.clone(), killing.clone());
                connections.spawn(async move {
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

async fn serve(
    stream: TcpStream,
    router: Router,
    stopping: CancellationToken,
    killing: CancellationToken,
) {
    // Answers are written whole: to hold their last part back for more gains nothing and costs a round trip.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm");
    }
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut is_draining = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            () = stopping.cancelled(), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = killing.cancelled() => return,
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
