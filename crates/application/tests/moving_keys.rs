//! Keys of subjects are moved into a store that several services share.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use boxes_application::{Error, MovedKeys, StoredSubjectKeys, SubjectKeyProvider};
use boxes_domain::Subject;
use boxes_mapper::{SubjectKey, SubjectKeyId};
use boxes_recorder::{Entry, KeyValueStore, MemoryKeyValueStore, RecorderError};
use bytes::Bytes;

type Store = Arc<dyn KeyValueStore>;

fn memory() -> Store {
    Arc::new(MemoryKeyValueStore::default())
}

fn keys_in(store: &Store) -> StoredSubjectKeys {
    StoredSubjectKeys::new(Arc::clone(store))
}

/// As a service has them that makes new keys in `shared`.
fn keys_of(shared: &Store, own: &[&Store]) -> StoredSubjectKeys {
    let all = own.iter().map(|store| Arc::clone(store)).collect();
    keys_in(shared).looking_in(Arc::new(RwLock::new(all)))
}

/// What is stored of a key, unless it is forgotten.
async fn stored(store: &Store, id: SubjectKeyId) -> Option<Bytes> {
    match keys_in(store).key(id).await.unwrap() {
        Some(SubjectKey::Key(_)) => store.get("subject-key", id.0.as_bytes()).await.unwrap(),
        _ => None,
    }
}

async fn is_empty(store: &Store) -> bool {
    let mut n = 0;
    for kind in ["subject", "subject-key"] {
        n += store.list_keys(kind, b"", 1).await.unwrap().len();
    }
    n == 0
}

#[tokio::test]
async fn every_key_is_in_the_shared_store_then_and_in_no_other() {
    let (shared, one, two) = (memory(), memory(), memory());
    let mut made = Vec::new();
    // More than are listed at a time, and some of one subject in two stores.
    for n in 0..230 {
        let at = if n % 2 == 0 { &one } else { &two };
        let subject = Subject::from(format!("customer-{}", n / 3));
        let (id, _) = keys_in(at).key_of(&subject).await.unwrap();
        made.push((id, stored(at, id).await.unwrap(), subject));
    }
    let gone = made
        .iter()
        .find(|(_, _, subject)| subject.as_str() == "customer-7");
    let (gone, _, subject) = gone.unwrap().clone();
    assert!(keys_of(&one, &[&two]).forget(&subject).await.unwrap());

    let keys = keys_of(&shared, &[&one, &two]);
    let moved = keys.move_here().await.unwrap();
    assert_eq!(moved.n_forgotten, 2);
    assert!(is_empty(&one).await && is_empty(&two).await);
    assert_eq!(keys.move_here().await.unwrap(), MovedKeys::default());

    let alone = keys_in(&shared);
    for (id, expected, whose) in &made {
        let expected = (*whose != subject).then(|| expected.clone());
        assert_eq!(stored(&shared, *id).await, expected);
        if expected.is_some() {
            let (same, _) = alone.key_of(whose).await.unwrap();
            let ids = made.iter().filter(|(_, _, subject)| subject == whose);
            assert!(ids.map(|(id, ..)| *id).any(|id| id == same), "{whose}");
        }
    }
    assert!(matches!(
        alone.key(gone).await.unwrap(),
        Some(SubjectKey::Forgotten)
    ));
    // Both keys of one subject are forgotten with it.
    let twice = Subject::from("customer-8");
    assert!(alone.forget(&twice).await.unwrap());
    for (id, _, whose) in &made {
        assert!(*whose != twice || stored(&shared, *id).await.is_none());
    }
}

#[tokio::test]
async fn who_is_forgotten_in_either_store_stays_forgotten() {
    let (shared, own) = (memory(), memory());
    let ann = Subject::from("ann");
    let (id, _) = keys_in(&own).key_of(&ann).await.unwrap();
    // Cut short after the key was copied, and then the box that knows its own store alone forgets.
    keys_in(&own).copy_into(&keys_in(&shared)).await.unwrap();
    let before = keys_in(&shared).forgetting().await.unwrap();
    keys_in(&own).forget(&ann).await.unwrap();
    let keys = keys_of(&shared, &[&own]);
    assert_eq!(keys.move_here().await.unwrap().n_forgotten, 1);
    assert!(matches!(
        keys.key(id).await.unwrap(),
        Some(SubjectKey::Forgotten)
    ));
    assert_ne!(keys.forgetting().await.unwrap(), before);
    assert!(!keys.forget(&ann).await.unwrap());

    // The other way round.
    let (id, _) = keys_in(&own).key_of(&ann).await.unwrap();
    keys_in(&own).copy_into(&keys_in(&shared)).await.unwrap();
    keys_in(&shared).forget(&ann).await.unwrap();
    keys.move_here().await.unwrap();
    assert!(matches!(
        keys.key(id).await.unwrap(),
        Some(SubjectKey::Forgotten)
    ));
    assert!(!keys.forget(&ann).await.unwrap() && is_empty(&own).await);
}

#[tokio::test]
async fn who_is_forgotten_while_a_key_is_moved_is_forgotten_where_it_comes_to() {
    let (shared, inner) = (memory(), memory());
    let ann = Subject::from("ann");
    let (id, _) = keys_in(&inner).key_of(&ann).await.unwrap();
    let forgets: Store = Arc::new(Forgets {
        inner: Arc::clone(&shared),
        whom: ann.clone(),
        of: keys_in(&inner),
    });
    keys_of(&forgets, &[&inner]).move_here().await.unwrap();
    let found = keys_in(&shared).key(id).await.unwrap();
    assert!(matches!(found, Some(SubjectKey::Forgotten)), "{found:?}");
    assert!(is_empty(&inner).await);
}

#[tokio::test]
async fn a_store_is_not_moved_into_itself() {
    let store = memory();
    let (id, _) = keys_in(&store).key_of(&"ann".into()).await.unwrap();
    let again: Store = Arc::new(Forgets {
        inner: Arc::clone(&store),
        whom: "nobody".into(),
        of: keys_in(&memory()),
    });
    let refused = keys_of(&again, &[&store]).move_here().await.unwrap_err();
    assert!(matches!(
        refused,
        Error::Store(RecorderError::Invalid { .. })
    ));
    assert!(stored(&store, id).await.is_some());
}

/// Forgets a subject, elsewhere, each time that a key comes here.
#[derive(Debug)]
struct Forgets {
    inner: Store,
    whom: Subject,
    of: StoredSubjectKeys,
}

#[async_trait]
impl KeyValueStore for Forgets {
    async fn get(&self, kind: &str, key: &[u8]) -> Result<Option<Bytes>, RecorderError> {
        self.inner.get(kind, key).await
    }

    async fn put_if_absent(
        &self,
        kind: &str,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool, RecorderError> {
        self.of.forget(&self.whom).await.unwrap();
        self.inner.put_if_absent(kind, key, value).await
    }

    async fn put(&self, kind: &str, key: &[u8], value: &[u8]) -> Result<(), RecorderError> {
        self.inner.put(kind, key, value).await
    }

    async fn replace(
        &self,
        kind: &str,
        key: &[u8],
        expected: &[u8],
        value: &[u8],
    ) -> Result<bool, RecorderError> {
        self.inner.replace(kind, key, expected, value).await
    }

    async fn delete(&self, kind: &str, key: &[u8]) -> Result<(), RecorderError> {
        self.inner.delete(kind, key).await
    }

    async fn list(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Entry>, RecorderError> {
        self.inner.list(kind, after, limit).await
    }

    async fn list_keys(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Bytes>, RecorderError> {
        self.inner.list_keys(kind, after, limit).await
    }
}
