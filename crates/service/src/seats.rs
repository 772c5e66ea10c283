//! Places for connections: a bound for all, a bound for each address, and a few for health checks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::forwarded::TrustedProxies;
use crate::rate_limit::network;

/// Connections beyond the bounds that are taken all the same: health checks are answered there, all else is told to come
/// back.
const N_RESERVED: usize = 16;

/// Places for connections.
#[derive(Debug)]
pub(crate) struct Seats {
    max: usize,
    max_per_address: usize,
    room: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    /// Proxies, whose connections are those of many clients.
    proxies: TrustedProxies,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    n_turned_away: AtomicU64,
}

/// A place for one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) kind: SeatKind,
    _permit: Option<OwnedSemaphorePermit>,
    counted: Option<(Arc<Seats>, IpAddr)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeatKind {
    /// One of those that there are for everyone.
    Full,
    /// One beyond the bounds, for health checks.
    Reserved,
}

impl Seats {
    pub(crate) fn new(max: usize, max_per_address: usize, proxies: TrustedProxies) -> Arc<Self> {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            max,
            max_per_address: max_per_address.max(1),
            room: Arc::new(Semaphore::new(max)),
            reserve: Arc::new(Semaphore::new(N_RESERVED)),
            proxies,
            by_address: Mutex::default(),
            n_turned_away: AtomicU64::new(0),
        })
    }

    /// A place for a connection from this address. Waits only while all reserved ones are taken, which is short.
    pub(crate) async fn take(self: &Arc<Self>, address: IpAddr) -> Seat {
        if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned()
            && let Some(counted) = self.count(address)
        {
            return Seat {
                kind: SeatKind::Full,
                _permit: Some(permit),
                counted,
            };
        }
        Seat {
            kind: SeatKind::Reserved,
            // It is never closed.
            _permit: Arc::clone(&self.reserve).acquire_owned().await.ok(),
            counted: None,
        }
    }

    /// Counts a connection of the address, or says `None` if it has as many as it may. Those of a proxy are not counted.
    #[expect(clippy::option_option, reason = "not counted is not refused")]
    fn count(self: &Arc<Self>, address: IpAddr) -> Option<Option<(Arc<Self>, IpAddr)>> {
        let address = address.to_canonical();
        if self.proxies.trusts(address) {
            return Some(None);
        }
        let address = network(address);
        let mut by_address = self.lock();
        let n = by_address.entry(address).or_default();
        if *n >= self.max_per_address {
            return None;
        }
        *n += 1;
        Some(Some((Arc::clone(self), address)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A request on a reserved place was told to come back.
    pub(crate) fn turned_away(&self) {
        self.n_turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests were told to come back.
    pub(crate) fn n_turned_away(&self) -> u64 {
        self.n_turned_away.load(Ordering::Relaxed)
    }

    /// How many connections there are, without those on reserved places; and how many there may be.
    pub(crate) fn taken(&self) -> (usize, usize) {
        (
            self.max.saturating_sub(self.room.available_permits()),
            self.max,
        )
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((seats, address)) = &self.counted else {
            return;
        };
        let mut by_address = seats.lock();
        if let Some(n) = by_address.get_mut(address) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                by_address.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_does_not_take_all_places_and_a_proxy_may() {
        let proxies = TrustedProxies::new(&["10.0.0.1".parse().unwrap()]);
        let seats = Seats::new(6, 2, proxies);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut held = Vec::new();
        let mut take = async |text: &str| {
            let seat = seats.take(address(text)).await;
            let kind = seat.kind;
            held.push(seat);
            kind
        };
        let (full, reserved) = (SeatKind::Full, SeatKind::Reserved);
        for (text, kind) in [
            ("192.0.2.1", full),
            ("192.0.2.1", full),
            ("192.0.2.1", reserved),
            ("::ffff:192.0.2.1", reserved),
            ("2001:db8::1", full),
            ("2001:db8::2", full),
            ("2001:db8::3", reserved),
            ("10.0.0.1", full),
            ("10.0.0.1", full),
            // All are taken.
            ("10.0.0.1", reserved),
            ("192.0.2.2", reserved),
        ] {
            assert_eq!(take(text).await, kind, "{text}");
        }
        assert_eq!(seats.taken(), (6, 6));
        held.clear();
        assert_eq!(seats.taken(), (0, 6));
        assert!(seats.lock().is_empty());
        assert_eq!(seats.take(address("192.0.2.1")).await.kind, full);
    }
}
