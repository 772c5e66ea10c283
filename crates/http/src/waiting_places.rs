//! Places for requests that wait, shared out among clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places for requests that wait for news of a log, streams of events included.
///
/// A client may take one as long as it leaves more free than it has: alone it gets half of them, the next one half of the
/// rest. So no client takes all, however many requests it sends. Requests of which [no client](WaitingClient) is known
/// may take any.
#[derive(Debug, Clone)]
pub struct WaitingPlaces {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    n_all: usize,
    by_client: HashMap<WaitingClient, usize>,
}

/// A client that places are counted for: whatever tells one from another, such as the name of its token or its address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WaitingClient(Arc<str>);

tokio::task_local! {
    static CLIENT: WaitingClient;
}

impl WaitingClient {
    /// The client of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// Answers a request of this client.
    pub async fn scope<F: Future>(self, answering: F) -> F::Output {
        CLIENT.scope(self, answering).await
    }
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(crate) struct WaitingPlace {
    places: WaitingPlaces,
    client: Option<WaitingClient>,
}

impl WaitingPlaces {
    /// So many places.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let taken = Mutex::default();
        Self {
            inner: Arc::new(Inner { max, taken }),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn max(&self) -> usize {
        self.inner.max
    }

    /// How many are taken.
    #[must_use]
    pub fn n_taken(&self) -> usize {
        self.taken().n_all
    }

    /// A place for the client whose request is answered, if there is one for it.
    pub(crate) fn take(&self) -> Option<WaitingPlace> {
        let client = CLIENT.try_with(Clone::clone).ok();
        let mut taken = self.taken();
        let n_free = self.inner.max.saturating_sub(taken.n_all);
        let n_own = client
            .as_ref()
            .and_then(|client| taken.by_client.get(client))
            .map_or(0, |n| *n);
        if n_own >= n_free {
            return None;
        }
        taken.n_all += 1;
        if let Some(client) = &client {
            *taken.by_client.entry(client.clone()).or_default() += 1;
        }
        Some(WaitingPlace {
            places: self.clone(),
            client,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        let taken = self.inner.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.n_all = taken.n_all.saturating_sub(1);
        let Some(client) = &self.client else { return };
        if let Some(n) = taken.by_client.get_mut(client) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                taken.by_client.remove(client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_client_takes_all_places_and_what_is_given_back_is_there_again() {
        let places = WaitingPlaces::new(8);
        let take_all = async |name: &str| {
            let client = WaitingClient::new(name);
            let taking = async { std::iter::from_fn(|| places.take()).collect::<Vec<_>>() };
            client.scope(taking).await
        };
        let first = take_all("first").await;
        let second = take_all("second").await;
        let third = take_all("third").await;
        assert_eq!((first.len(), second.len(), third.len()), (4, 2, 1));
        assert_eq!((places.n_taken(), places.max()), (7, 8));
        drop((first, third));
        assert_eq!(take_all("second").await.len(), 2);
        drop(second);
        assert_eq!(places.n_taken(), 0);
        assert!(places.taken().by_client.is_empty());
        // Of those that nobody is known of, each takes what there is.
        let all: Vec<_> = std::iter::from_fn(|| places.take()).collect();
        assert_eq!(all.len(), 8);
        assert_eq!(take_all("first").await.len(), 0);
        drop(all);
        // One place is for whoever comes first.
        let places = WaitingPlaces::new(1);
        let first = WaitingClient::new("first");
        assert!(first.scope(async { places.take().is_some() }).await);
    }
}
