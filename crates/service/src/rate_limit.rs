//! How many requests each client may send.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use boxes_http::{ProblemKind, WaitingClient};

use crate::Problem;
use crate::auth::Caller;
use crate::forwarded::{Peer, TrustedProxies};

/// How many requests each client may send: so many a second in the long run, and so many at once after a pause.
///
/// A client is who has a token, whatever the address; without a token, or with one that is not known, it is an address
/// (in IPv6 the network of 64 bits, in which one machine has all addresses that it likes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a second, in the long run; 0 is taken as 1.
    pub per_second: u32,
    /// Requests at once; 0 is taken as 1.
    pub burst: u32,
}

impl RateLimit {
    /// So many a second, and ten times as many at once: a follower that starts is in a hurry.
    #[must_use]
    pub const fn per_second(per_second: u32) -> Self {
        Self {
            per_second,
            burst: per_second.saturating_mul(10),
        }
    }
}

/// Clients that are counted one by one. Beyond that, those who come anew are counted together until others have paused.
const MAX_CLIENTS: usize = 65_536;

/// How often it is looked which clients have paused, when there are as many as may be.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Client {
    Token(String),
    Address(IpAddr),
    /// All for whom there is no room.
    Others,
}

/// Counts the requests of each client.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    /// The time that one request uses up.
    interval: Duration,
    /// The time that may be used up in advance.
    burst: Duration,
    trusted: TrustedProxies,
    clients: Mutex<Clients>,
}

/// Until when each client has used up its time (the "generic cell rate algorithm"): who is in the past has paused.
#[derive(Debug)]
struct Clients {
    used_until: HashMap<Client, Instant>,
    max: usize,
    swept: Option<Instant>,
}

impl RateLimiter {
    pub(crate) fn new(limit: RateLimit, trusted: TrustedProxies) -> Self {
        let interval = Duration::from_secs(1) / limit.per_second.max(1);
        Self {
            interval,
            burst: interval.saturating_mul(limit.burst.max(1)),
            trusted,
            clients: Mutex::new(Clients {
                used_until: HashMap::new(),
                max: MAX_CLIENTS,
                swept: None,
            }),
        }
    }

    /// Counts a request, or says after how long there will be room for it.
    fn admit(&self, client: Client, now: Instant) -> Result<(), Duration> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.room_for(client, now);
        let used_until = clients.used_until.get(&client).copied();
        let used_until = used_until.map_or(now, |until| until.max(now)) + self.interval;
        let ahead = used_until.saturating_duration_since(now);
        if ahead > self.burst {
            return Err(ahead - self.burst);
        }
        clients.used_until.insert(client, used_until);
        Ok(())
    }
}

impl Client {
    /// Who sends a request: the name of a token, or an address as far as proxies are believed.
    fn of(request: &Request, trusted: &TrustedProxies) -> Self {
        if let Some(Caller::Known(grant)) = request.extensions().get::<Caller>() {
            return Self::Token(grant.client().to_owned());
        }
        let Some(Peer(peer)) = request.extensions().get::<Peer>() else {
            return Self::Others;
        };
        let address = trusted.client(peer.ip(), request.headers());
        Self::Address(network(address))
    }
}

/// Says for whom a request waits, if it does.
pub(crate) async fn name_waiting_client(
    State(trusted): State<TrustedProxies>,
    request: Request,
    next: Next,
) -> Response {
    let client = match Client::of(&request, &trusted) {
        Client::Token(name) => WaitingClient::new(name),
        Client::Address(address) => WaitingClient::new(address.to_string()),
        Client::Others => return next.run(request).await,
    };
    client.scope(next.run(request)).await
}

impl Clients {
    /// The client, or all others together where there is no room for it.
    fn room_for(&mut self, client: Client, now: Instant) -> Client {
        if self.used_until.len() < self.max || self.used_until.contains_key(&client) {
            return client;
        }
        let due = self
            .swept
            .is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_INTERVAL);
        if due {
            self.swept = Some(now);
            // Who has paused may do as much as who has never come.
            self.used_until.retain(|_, until| *until > now);
        }
        if self.used_until.len() < self.max {
            client
        } else {
            Client::Others
        }
    }
}

/// The part of an address that stands for one client.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Lets a request pass if its client has not sent too many; otherwise the answer is 429, with `Retry-After`.
///
/// Whoever asks whether the service is well is not counted: an orchestrator must not take a busy service for a dead one.
pub(crate) async fn limit_rate(
    State(limiter): State<Arc<RateLimiter>>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(request.uri().path(), "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    let client = Client::of(&request, &limiter.trusted);
    match limiter.admit(client, Instant::now()) {
        Ok(()) => next.run(request).await,
        Err(wait) => Problem::new(
            &ProblemKind::TOO_MANY_REQUESTS,
            "this client has sent as many requests as it may",
        )
        .with_retry_after_of(wait)
        .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u32, burst: u32) -> RateLimiter {
        let limit = RateLimit { per_second, burst };
        RateLimiter::new(limit, TrustedProxies::default())
    }

    fn address(last: u8) -> Client {
        Client::Address(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn who_has_sent_as_many_at_once_as_may_be_goes_on_at_the_rate() {
        let limiter = limiter(10, 3);
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        for _ in 0..3 {
            assert_eq!(limiter.admit(address(1), start), Ok(()));
        }
        let wait = Duration::from_millis(100);
        assert_eq!(limiter.admit(address(1), start), Err(wait));
        assert_eq!(
            limiter.admit(address(1), at(40)),
            Err(wait - Duration::from_millis(40))
        );
        // To ask in vain does not count.
        assert_eq!(limiter.admit(address(1), at(100)), Ok(()));
        assert_eq!(limiter.admit(address(1), at(100)), Err(wait));
        // After a pause as many at once as at first, and no more.
        for _ in 0..3 {
            assert_eq!(limiter.admit(address(1), at(60_000)), Ok(()));
        }
        assert_eq!(limiter.admit(address(1), at(60_000)), Err(wait));
    }

    #[test]
    fn each_client_is_counted_for_itself() {
        let limiter = limiter(1, 1);
        let now = Instant::now();
        let token = |name: &str| Client::Token(name.to_owned());
        for client in [address(1), address(2), token("a"), token("b")] {
            assert_eq!(limiter.admit(client.clone(), now), Ok(()));
            assert!(limiter.admit(client, now).is_err());
        }
    }

    #[test]
    fn there_are_never_more_clients_in_memory_than_may_be() {
        let limiter = limiter(1, 1);
        limiter.clients.lock().unwrap().max = 2;
        let start = Instant::now();
        let size = || limiter.clients.lock().unwrap().used_until.len();
        assert_eq!(limiter.admit(address(1), start), Ok(()));
        assert_eq!(limiter.admit(address(2), start), Ok(()));
        // There is no room: these two are counted together.
        assert_eq!(limiter.admit(address(3), start), Ok(()));
        assert!(limiter.admit(address(4), start).is_err());
        assert!(size() <= 3, "the others are one");
        // Those who have paused make room.
        let later = start + Duration::from_secs(60);
        assert_eq!(limiter.admit(address(5), later), Ok(()));
        assert_eq!(limiter.admit(address(6), later), Ok(()));
        assert!(size() <= 3);
    }

    #[test]
    fn a_machine_with_many_addresses_is_one_client() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
