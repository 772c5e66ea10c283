//! Keys of subjects in a store that others can write to, and that fails in between.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use boxes_application::{Error, StoredSubjectKeys, SubjectKeyProvider};
use boxes_mapper::{Keys, MapperError, SubjectKey, SubjectKeyError, SubjectKeyId};
use boxes_recorder::{Entry, KeyValueStore, MemoryKeyValueStore, RecorderError};
use bytes::Bytes;
use uuid::Uuid;

const ONE: &str = "1:0101010101010101010101010101010101010101010101010101010101010101";

fn memory() -> Arc<dyn KeyValueStore> {
    Arc::new(MemoryKeyValueStore::default())
}

fn keys_in(store: &Arc<dyn KeyValueStore>) -> StoredSubjectKeys {
    StoredSubjectKeys::new(Arc::clone(store)).wrapped_by(Arc::new(ONE.parse::<Keys>().unwrap()))
}

fn entry(subject: &str, id: SubjectKeyId) -> Vec<u8> {
    [subject.as_bytes(), &[0], id.0.as_bytes()].concat()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> SubjectKeyError {
    match result {
        Err(Error::Mapper(MapperError::SubjectKey(error))) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_that_somebody_puts_into_the_store_is_not_taken() {
    let store = memory();
    let keys = keys_in(&store);
    // With the lowest id, so that it is found first.
    let planted = SubjectKeyId(Uuid::nil());
    let plain = [&[1][..], &[7; 32]].concat();
    store
        .put("subject-key", planted.0.as_bytes(), &plain)
        .await
        .unwrap();
    store
        .put("subject", &entry("ann", planted), &[])
        .await
        .unwrap();
    let refused = refusal(keys.key_of(&"ann".into()).await);
    assert_eq!(refused, SubjectKeyError::Plain { id: planted });
    let refused = refusal(keys.key(planted).await);
    assert_eq!(refused, SubjectKeyError::Plain { id: planted });
    refusal(keys.rewrap().await);
    // It is forgotten like any other.
    assert!(keys.forget(&"ann".into()).await.unwrap());
    let (ann, _) = keys.key_of(&"ann".into()).await.unwrap();
    assert_ne!(ann, planted);

    // Nor is the key of another subject, so that nothing about Ann is written under the key of Bob.
    let (bob, _) = keys.key_of(&"bob".into()).await.unwrap();
    store.delete("subject", &entry("ann", ann)).await.unwrap();
    store.put("subject", &entry("ann", bob), &[]).await.unwrap();
    let refused = refusal(keys.key_of(&"ann".into()).await);
    assert_eq!(refused, SubjectKeyError::OtherSubject { id: bob });
    let refused = refusal(keys.rewrap().await);
    assert_eq!(refused, SubjectKeyError::OtherSubject { id: bob });
}

#[tokio::test]
async fn an_entry_that_is_none_hides_no_subject() {
    let store = memory();
    let keys = keys_in(&store);
    let (ann, _) = keys.key_of(&"ann".into()).await.unwrap();
    for malformed in [
        &b"ann\0"[..],
        b"ann\0\0",
        b"ann\0and more than an id has of bytes",
    ] {
        store.put("subject", malformed, &[]).await.unwrap();
    }
    assert_eq!(keys.key_of(&"ann".into()).await.unwrap().0, ann);
    assert!(keys.is_known(&"ann".into()).await.unwrap());
    assert!(keys.forget(&"ann".into()).await.unwrap());
    let key = keys.key(ann).await.unwrap();
    assert!(matches!(key, Some(SubjectKey::Forgotten)), "{key:?}");
    assert!(!keys.is_known(&"ann".into()).await.unwrap());
}

#[tokio::test]
async fn a_forgetting_that_was_cut_short_is_finished_when_it_is_repeated() {
    let read = Arc::new(Read {
        inner: memory(),
        is_read: AtomicBool::new(true),
        scrubbed: Mutex::default(),
    });
    let store: Arc<dyn KeyValueStore> = Arc::<Read>::clone(&read);
    let keys = keys_in(&store);
    let (ann, _) = keys.key_of(&"ann".into()).await.unwrap();
    for _ in 0..2 {
        let cut = keys.forget(&"ann".into()).await;
        assert!(
            matches!(cut, Err(Error::Store(RecorderError::Unavailable { .. }))),
            "{cut:?}"
        );
        assert!(keys.is_known(&"ann".into()).await.unwrap());
    }
    read.is_read.store(false, Ordering::SeqCst);
    assert!(
        keys.forget(&"ann".into()).await.unwrap(),
        "it said that there was nothing"
    );
    let key = keys.key(ann).await.unwrap();
    assert!(matches!(key, Some(SubjectKey::Forgotten)), "{key:?}");
    // The first try knew the key, the others did not, and took out everything.
    assert_eq!(*read.scrubbed.lock().unwrap(), [1, 0, 0]);
    assert!(!keys.forget(&"ann".into()).await.unwrap());
}

#[tokio::test]
async fn who_is_forgotten_stays_so_after_a_restore_if_the_list_is_applied() {
    let store = memory();
    let keys = keys_in(&store);
    let (ann, _) = keys.key_of(&"ann".into()).await.unwrap();
    let (bob, _) = keys.key_of(&"bob".into()).await.unwrap();
    let mut backup = Vec::new();
    for kind in ["subject", "subject-key"] {
        for Entry { key, value } in store.list(kind, b"", 100).await.unwrap() {
            backup.push((kind, key, value));
        }
    }
    keys.forget(&"ann".into()).await.unwrap();
    let list = keys.forgotten().await.unwrap();
    assert_eq!(list, BTreeSet::from([ann]));

    let restored = memory();
    for (kind, key, value) in backup {
        restored.put(kind, &key, &value).await.unwrap();
    }
    let keys = keys_in(&restored);
    assert!(matches!(
        keys.key(ann).await.unwrap(),
        Some(SubjectKey::Key(_))
    ));
    assert_eq!(keys.forget_again(&list).await.unwrap(), 1);
    assert!(matches!(
        keys.key(ann).await.unwrap(),
        Some(SubjectKey::Forgotten)
    ));
    assert!(matches!(
        keys.key(bob).await.unwrap(),
        Some(SubjectKey::Key(_))
    ));
    assert!(!keys.is_known(&"ann".into()).await.unwrap());
    assert_eq!(keys.forget_again(&list).await.unwrap(), 0);
    assert_eq!(keys.forgotten().await.unwrap(), list);
}

/// A store whose files somebody reads, so that nothing can be taken out of them.
#[derive(Debug)]
struct Read {
    inner: Arc<dyn KeyValueStore>,
    is_read: AtomicBool,
    /// How many values were to be taken out, each time.
    scrubbed: Mutex<Vec<usize>>,
}

#[async_trait]
impl KeyValueStore for Read {
    async fn get(&self, kind: &str, key: &[u8]) -> Result<Option<Bytes>, RecorderError> {
        self.inner.get(kind, key).await
    }

    async fn put_if_absent(
        &self,
        kind: &str,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool, RecorderError> {
        self.inner.put_if_absent(kind, key, value).await
    }

    async fn put(&self, kind: &str, key: &[u8], value: &[u8]) -> Result<(), RecorderError> {
        self.inner.put(kind, key, value).await
    }

    async fn replace(
        &self,
        kind: &str,
        key: &[u8],
        from: &[u8],
        to: &[u8],
    ) -> Result<bool, RecorderError> {
        self.inner.replace(kind, key, from, to).await
    }

    async fn delete(&self, kind: &str, key: &[u8]) -> Result<(), RecorderError> {
        self.inner.delete(kind, key).await
    }

    async fn scrub(&self, values: &[&[u8]]) -> Result<(), RecorderError> {
        self.scrubbed.lock().unwrap().push(values.len());
        match self.is_read.load(Ordering::SeqCst) {
            true => Err(RecorderError::Unavailable {
                reason: "somebody reads what was there before".to_owned(),
                source: None,
            }),
            false => Ok(()),
        }
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
