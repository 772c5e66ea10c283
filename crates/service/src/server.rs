//! Serves HTTP on a listener, within bounds, until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{Connections, FIRST_HEAD_TIMEOUT};
use crate::one_host::name_one_host;
use crate::seats::Seats;
use crate::{Config, StartError};

/// How long to wait after the system could not give another connection (too many open files, as a rule).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves HTTP on a listener: 1.1, and 2 where TLS is spoken. Axum's own `serve` has no bound on connections and none on slow heads.
#[derive(Debug)]
pub(crate) struct Server {
    connections: TaskTracker,
    killing: CancellationToken,
}

impl Server {
    /// Starts to serve, with as many connections at a time as there are seats.
    pub(crate) fn start(
        listener: TcpListener,
        router: Router,
        tls: Option<TlsAcceptor>,
        config: &Config,
        seats: Arc<Seats>,
        stopping: CancellationToken,
    ) -> Self {
        let server = Self {
            connections: TaskTracker::new(),
            killing: CancellationToken::new(),
        };
        server.connections.spawn(accept(
            listener,
            Connections {
                router: router.layer(from_fn(name_one_host)),
                patience: config.slow_client_timeout,
                first_head: FIRST_HEAD_TIMEOUT,
                tls,
                seats,
                stopping,
                killing: server.killing.clone(),
            },
            server.connections.clone(),
        ));
        server.connections.close();
        server
    }

    /// Waits for the requests under way until `cut`, after `stopping` was cancelled. Then drops them. Says whether all of
    /// them were finished.
    pub(crate) async fn drain(&self, cut: Instant) -> bool {
        let drained = tokio::time::timeout_at(cut, self.connections.wait())
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

/// An address that is taken, and at which nobody can connect yet.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: TcpSocket,
    pub(crate) address: SocketAddr,
}

/// How many connections the system keeps until they are accepted.
const BACKLOG: u32 = 1024;

impl Socket {
    /// Takes an address, so that another program that has it is heard of before anything is opened.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, StartError> {
        let bind = || {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            // As for any server: an address is free again as soon as nobody listens there.
            #[cfg(unix)]
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        bind().map_err(|source| StartError::Bind { address, source })
    }

    /// Lets clients connect.
    pub(crate) fn listen(self) -> Result<TcpListener, StartError> {
        let address = self.address;
        let listening = self.socket.listen(BACKLOG);
        listening.map_err(|source| StartError::Bind { address, source })
    }
}

async fn accept(listener: TcpListener, connections: Connections, tasks: TaskTracker) {
    loop {
        let accepted = async {
            let (stream, peer) = listener.accept().await?;
            let seat = connections.seats.take(peer.ip()).await;
            Ok::<_, io::Error>((stream, peer, seat))
        };
        let accepted = tokio::select! {
            () = connections.stopping.cancelled() => return,
            () = connections.killing.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer, seat)) => {
                tasks.spawn(connections.clone().serve(stream, peer, seat));
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
