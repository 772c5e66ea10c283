//! Serves one connection, from the first byte to the last.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use boxes_http::{PROBLEM_JSON, ProblemKind};
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower_http::add_extension::AddExtension;

use crate::Problem;
use crate::certificate::HTTP_2;
use crate::forwarded::Peer;
use crate::problem::TOO_MANY_CONNECTIONS;
use crate::refused_head::WithProblems;
use crate::request_progress::{ConnectionProgress, SentBody};
use crate::seats::{Seat, SeatKind, Seats};
use crate::slow_client::Impatient;
use crate::unread_bodies::UnreadBodies;

/// How long a client may take to send the head of a request, and may keep a connection open without one.
///
/// Longer than the 90 seconds after which reqwest, and so the kit's own readers, drop an idle connection: it
/// should not be the server that closes one on which a request is under way.
const HEAD_TIMEOUT: Duration = Duration::from_secs(100);

/// How long a client may take until its first request has begun: one that is silent only takes a place.
pub(crate) const FIRST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The same on a reserved place, handshake included.
const RESERVED_HEAD_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may have a reserved place.
const RESERVED_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request that is half sent is waited for when the service stops.
const UNSENT_GRACE: Duration = Duration::from_secs(1);

/// How often it is looked after that whether there is something that is worth waiting for.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The longest head of a request, in bytes.
const MAX_HEAD_BYTES: u32 = 64 * 1024;

/// Requests that one connection may have under way, by HTTP/2.
const MAX_STREAMS: u32 = 128;

/// How often a client on HTTP/2 is asked whether it is still there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// The first byte of a client that speaks TLS: that of a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// How connections are served.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) router: Router,
    /// How long a client may read nothing of what it is sent.
    pub(crate) patience: Duration,
    /// How long a client may take until its first request has begun.
    pub(crate) first_head: Duration,
    /// `None` for plain HTTP.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) seats: Arc<Seats>,
    /// Cancelled to let requests under way end, and then the connection.
    pub(crate) stopping: CancellationToken,
    /// Cancelled to end it wherever it is.
    pub(crate) killing: CancellationToken,
}

impl Connections {
    /// Serves one, to its end.
    pub(crate) async fn serve(mut self, stream: TcpStream, peer: SocketAddr, seat: Seat) {
        if seat.kind == SeatKind::Full {
            return self.serve_all(stream, peer).await;
        }
        self.first_head = self.first_head.min(RESERVED_HEAD_TIMEOUT);
        self.router = health_checks(self.router, Arc::clone(&self.seats));
        let served = tokio::time::timeout(RESERVED_TIMEOUT, self.serve_all(stream, peer)).await;
        if served.is_err() {
            tracing::debug!("a connection had a reserved place for too long");
        }
    }

    async fn serve_all(self, stream: TcpStream, peer: SocketAddr) {
        // Answers are written whole: to hold their last part back for more gains nothing and costs a round trip.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        let peer = Peer(peer);
        let Some(tls) = self.tls.clone() else {
            let stream = Impatient::new(stream, self.patience);
            return self.http_1(stream, peer).await;
        };
        let agreed = tokio::select! {
            agreed = tokio::time::timeout(self.first_head, handshake(&tls, stream, self.patience)) => agreed,
            () = self.stopping.cancelled() => return,
            () = self.killing.cancelled() => return,
        };
        match agreed {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) => {
                self.http_2(stream, peer).await;
            }
            Ok(Ok(stream)) => self.http_1(stream, peer).await,
            Ok(Err(error)) => tracing::debug!(%error, "a client did not agree on TLS"),
            Err(_) => tracing::debug!("a client did not agree on TLS in time"),
        }
    }

    async fn http_1(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
    ) {
        let progress = Arc::default();
        let service = Self::service(self.router.clone(), peer, &progress);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(usize::try_from(MAX_HEAD_BYTES).unwrap_or(usize::MAX))
            .serve_connection(TokioIo::new(WithProblems::new(stream)), service);
        self.run(connection, &progress).await;
    }

    async fn http_2(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
    ) {
        let progress = Arc::default();
        let unread = UnreadBodies::default();
        let watched = unread.clone();
        let watch = from_fn(move |request, next| watched.clone().watch(request, next));
        let service = Self::service(self.router.clone().layer(watch), peer, &progress);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEAD_BYTES)
            .max_concurrent_streams(MAX_STREAMS)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            () = self.run(connection, &progress) => {}
            () = self.until_unread(&unread) => {
                tracing::debug!("a client does not read what it asked for");
            }
        }
    }

    /// Waits until an answer has waited for its client for too long.
    async fn until_unread(&self, unread: &UnreadBodies) {
        let pause = (self.patience / 4).max(Duration::from_millis(1));
        while !unread.wait_longer_than(self.patience) {
            tokio::time::sleep(pause).await;
        }
    }

    /// What answers the requests of one connection, and notes how far they are.
    fn service(
        router: Router,
        peer: Peer,
        progress: &Arc<ConnectionProgress>,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<SentBody>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + use<> {
        let router = TowerToHyperService::new(AddExtension::new(router, peer));
        let progress = Arc::clone(progress);
        service_fn(move |request| {
            let (request, under_way) = progress.begin(request);
            let answer = Service::call(&router, request);
            async move { Ok(under_way.until_sent(answer.await?)) }
        })
    }

    async fn run<C>(&self, connection: C, progress: &ConnectionProgress)
    where
        C: GracefulConnection,
        C::Error: std::fmt::Display,
    {
        let mut connection = pin!(connection);
        let mut is_draining = false;
        let mut look = pin!(tokio::time::sleep(self.first_head));
        let mut looks = true;
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "a connection broke");
                    }
                    return;
                }
                () = self.stopping.cancelled(), if !is_draining => {
                    (is_draining, looks) = (true, true);
                    connection.as_mut().graceful_shutdown();
                    look.as_mut().reset(Instant::now() + UNSENT_GRACE);
                }
                () = look.as_mut(), if looks => {
                    let is_wanted = if is_draining { progress.is_at_work() } else { progress.has_begun() };
                    if !is_wanted {
                        return;
                    }
                    looks = is_draining;
                    look.as_mut().reset(Instant::now() + LOOK_INTERVAL);
                }
                () = self.killing.cancelled() => return,
            }
        }
    }
}

/// Answers health checks alone, on a connection beyond the bounds; all else is told to come back.
fn health_checks(router: Router, seats: Arc<Seats>) -> Router {
    let only = move |request: axum::extract::Request, next: Next| {
        let seats = Arc::clone(&seats);
        async move {
            let is_http_1 = request.version() <= Version::HTTP_11;
            let mut answer = if matches!(request.uri().path(), "/healthz" | "/readyz") {
                next.run(request).await
            } else {
                seats.turned_away();
                let detail = "the service has as many connections as it takes, or this address has";
                Problem::new(&TOO_MANY_CONNECTIONS, detail)
                    .with_retry_after()
                    .into_response()
            };
            // Somebody else may want the place.
            if is_http_1 {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            answer
        }
    };
    router.layer(from_fn(only))
}

/// Agrees with the client on TLS. One that speaks plain HTTP is told so, in plain HTTP.
async fn handshake(
    tls: &TlsAcceptor,
    mut stream: TcpStream,
    patience: Duration,
) -> io::Result<TlsStream<Impatient>> {
    let mut first = [0];
    if stream.peek(&mut first).await? > 0 && first != [TLS_HANDSHAKE] {
        stream.write_all(speak_tls().as_bytes()).await?;
        stream.shutdown().await?;
        return Err(io::Error::other("it does not speak TLS"));
    }
    tls.accept(Impatient::new(stream, patience)).await
}

/// The answer to plain HTTP where TLS is spoken.
fn speak_tls() -> String {
    let problem = boxes_http::Problem::new(&ProblemKind::MALFORMED_REQUEST)
        .with_detail("this port speaks TLS: its address begins with https://");
    let (status, body) = (problem.status(), problem.document().to_string());
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {PROBLEM_JSON}\r\ncache-control: no-store\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}
