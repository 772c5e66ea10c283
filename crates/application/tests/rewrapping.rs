//! Keys of subjects under a new key of the box, while others use their store.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

use std::sync::Arc;

use async_trait::async_trait;
use boxes_application::{Error, Rewrapped, StoredSubjectKeys, SubjectKeyProvider};
use boxes_mapper::{KeyId, Keys, MapperError, SubjectKey, SubjectKeyError, SubjectKeyId};
use boxes_recorder::{Entry, KeyValueStore, MemoryKeyValueStore, RecorderError};
use bytes::Bytes;

const ONE: &str = "1:0101010101010101010101010101010101010101010101010101010101010101";
const TWO: &str = "2:0202020202020202020202020202020202020202020202020202020202020202";

fn keys_in(store: &Arc<dyn KeyValueStore>, text: &str) -> StoredSubjectKeys {
    let keys = StoredSubjectKeys::new(Arc::clone(store));
    match text {
        "" => keys,
        text => keys.wrapped_by(Arc::new(text.parse::<Keys>().unwrap())),
    }
}

fn bytes(id: SubjectKeyId, key: &SubjectKey) -> Vec<u8> {
    key.to_bytes(id, None, None).unwrap()
}

fn both() -> String {
    format!("{TWO},{ONE}")
}

fn memory() -> Arc<dyn KeyValueStore> {
    Arc::new(MemoryKeyValueStore::default())
}

#[tokio::test]
async fn every_key_is_under_the_current_one_then_whatever_it_was_under_before() {
    let (store, elsewhere) = (memory(), memory());
    let all = Arc::new(std::sync::RwLock::new(vec![Arc::clone(&elsewhere)]));
    let mut ids = Vec::new();
    // More than are listed at a time.
    for n in 0..230 {
        let (at, by) = match n % 4 {
            0 => (&store, String::new()),
            1 => (&elsewhere, ONE.to_owned()),
            2 => (&store, ONE.to_owned()),
            _ => (&store, both()),
        };
        let subject = format!("customer-{n}").as_str().into();
        let (id, key) = keys_in(at, &by).key_of(&subject).await.unwrap();
        ids.push((id, bytes(id, &SubjectKey::Key(key)), subject));
    }
    let (gone, _, subject) = ids.remove(0);
    assert!(keys_in(&store, "").forget(&subject).await.unwrap());

    let keys = keys_in(&store, &both()).looking_in(all).taking_plain_keys();
    let expected = Rewrapped {
        n_keys: 229,
        n_new: 229 - 57,
    };
    assert_eq!(keys.rewrap().await.unwrap(), expected);
    let again = Rewrapped {
        n_new: 0,
        ..expected
    };
    assert_eq!(keys.rewrap().await.unwrap(), again);

    // The older key is needed no more, and nothing else has changed.
    let two = [keys_in(&store, TWO), keys_in(&elsewhere, TWO)];
    for (id, key, _) in &ids {
        let mut found = None;
        for keys in &two {
            found = found.or(keys.key(*id).await.unwrap());
        }
        assert_eq!(bytes(*id, &found.unwrap()), *key);
    }
    let forgotten = two[0].key(gone).await.unwrap();
    assert!(matches!(forgotten, Some(SubjectKey::Forgotten)));
}

#[tokio::test]
async fn a_key_that_can_not_be_read_is_named_and_stays_as_it_is() {
    let store = memory();
    let (id, _) = keys_in(&store, ONE).key_of(&"ann".into()).await.unwrap();
    let refused = keys_in(&store, TWO).rewrap().await;
    let Err(Error::Mapper(MapperError::SubjectKey(error))) = refused else {
        panic!("{refused:?}")
    };
    let key = KeyId(1);
    assert_eq!(error, SubjectKeyError::UnknownKey { id, key });
    assert!(keys_in(&store, ONE).key(id).await.unwrap().is_some());
}

#[tokio::test]
async fn who_is_forgotten_while_a_key_is_encrypted_anew_stays_forgotten() {
    let inner = memory();
    let (id, _) = keys_in(&inner, "").key_of(&"ann".into()).await.unwrap();
    let (other, _) = keys_in(&inner, "").key_of(&"bob".into()).await.unwrap();
    let store: Arc<dyn KeyValueStore> = Arc::new(ForgetsAnn(Arc::clone(&inner)));
    let done = keys_in(&store, TWO)
        .taking_plain_keys()
        .rewrap()
        .await
        .unwrap();
    assert_eq!(
        done,
        Rewrapped {
            n_keys: 1,
            n_new: 1
        }
    );
    let ann = keys_in(&inner, TWO).key(id).await.unwrap();
    assert!(matches!(ann, Some(SubjectKey::Forgotten)), "{ann:?}");
    let bob = keys_in(&inner, TWO).key(other).await.unwrap();
    assert!(matches!(bob, Some(SubjectKey::Key(_))), "{bob:?}");
}

/// In the moment between the reading of a key and its writing somebody forgets Ann.
#[derive(Debug)]
struct ForgetsAnn(Arc<dyn KeyValueStore>);

impl ForgetsAnn {
    async fn forget(&self) {
        keys_in(&self.0, "").forget(&"ann".into()).await.unwrap();
    }
}

#[async_trait]
impl KeyValueStore for ForgetsAnn {
    async fn get(&self, kind: &str, key: &[u8]) -> Result<Option<Bytes>, RecorderError> {
        self.0.get(kind, key).await
    }

    async fn put_if_absent(
        &self,
        kind: &str,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool, RecorderError> {
        self.0.put_if_absent(kind, key, value).await
    }

    async fn put(&self, kind: &str, key: &[u8], value: &[u8]) -> Result<(), RecorderError> {
        self.forget().await;
        self.0.put(kind, key, value).await
    }

    async fn replace(
        &self,
        kind: &str,
        key: &[u8],
        from: &[u8],
        to: &[u8],
    ) -> Result<bool, RecorderError> {
        self.forget().await;
        self.0.replace(kind, key, from, to).await
    }

    async fn delete(&self, kind: &str, key: &[u8]) -> Result<(), RecorderError> {
        self.0.delete(kind, key).await
    }

    async fn list(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Entry>, RecorderError> {
        self.0.list(kind, after, limit).await
    }

    async fn list_keys(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Bytes>, RecorderError> {
        self.0.list_keys(kind, after, limit).await
    }
}
