//! What every key-value store promises, as tests.
//!
//! That of a recorder of your own is held to it like this, in a file under `tests/`, with the `Store` of
//! [`recorder_contract`](mod@crate::recorder_contract):
//!
//! ```ignore
//! boxes_testing::key_value_contract!(MyStore::new());
//! ```
//!
//! Each behaviour becomes a test with its name; the expression makes a store for each.

use std::sync::Arc;

use boxes_recorder::{
    KeyValueStore, MAX_KEY_BYTES, MAX_KIND_BYTES, MAX_VALUE_BYTES, RecorderError,
};
use tokio::task::JoinSet;

use crate::recorder_contract::Store;

/// Makes one test of each promise. See [the module](mod@crate::key_value_contract).
#[macro_export]
macro_rules! key_value_contract {
    ($store:expr) => {
        $crate::key_value_contract! { @tests $store;
            a_key_without_a_value_is_read_and_deleted_without_an_error,
            a_value_is_put_replaced_deleted_and_put_again,
            what_was_put_is_there_for_all_that_open_the_store,
            of_several_that_put_if_absent_one_succeeds,
            a_value_is_replaced_if_it_is_the_one_that_was_named,
            of_several_that_replace_a_value_one_succeeds,
            kinds_know_nothing_of_each_other,
            keys_are_listed_in_the_order_of_their_bytes_page_by_page,
            the_bounds_fit_and_what_is_beyond_is_refused,
            the_log_knows_nothing_of_values,
        }
    };
    (@tests $store:expr; $($behaviour:ident,)+) => {
        $(
            #[test]
            fn $behaviour() {
                $crate::recorder_contract::run($crate::key_value_contract::$behaviour($store));
            }
        )+
    };
}

const KIND: &str = "test";

async fn open(store: &impl Store) -> Arc<dyn KeyValueStore> {
    let recorder = store.open().await;
    recorder.key_value_store().expect("a key-value store")
}

async fn get(store: &dyn KeyValueStore, key: &[u8]) -> Option<Vec<u8>> {
    let value = store.get(KIND, key).await.expect("the store answers");
    value.map(|value| value.to_vec())
}

/// Neither one that never was nor one that is gone.
pub async fn a_key_without_a_value_is_read_and_deleted_without_an_error(store: impl Store) {
    let store = open(&store).await;
    assert_eq!(get(&*store, b"a").await, None);
    store.delete(KIND, b"a").await.unwrap();
    store.erase(KIND, b"a").await.unwrap();
    assert!(store.list(KIND, b"", 10).await.unwrap().is_empty());
}

/// Also with bytes that are no text, and with none.
pub async fn a_value_is_put_replaced_deleted_and_put_again(store: impl Store) {
    let store = open(&store).await;
    for value in [&b"one"[..], b"", &[0, 0xff, b'\'', b'\\', 0]] {
        store.put(KIND, b"a", value).await.unwrap();
        assert_eq!(get(&*store, b"a").await.as_deref(), Some(value));
        assert!(!store.put_if_absent(KIND, b"a", b"other").await.unwrap());
        assert_eq!(get(&*store, b"a").await.as_deref(), Some(value));
    }
    store.delete(KIND, b"a").await.unwrap();
    assert_eq!(get(&*store, b"a").await, None);
    assert!(store.put_if_absent(KIND, b"a", b"again").await.unwrap());
    assert_eq!(get(&*store, b"a").await.as_deref(), Some(&b"again"[..]));
    store.erase(KIND, b"a").await.unwrap();
    assert_eq!(get(&*store, b"a").await, None);
}

/// At once, and later.
pub async fn what_was_put_is_there_for_all_that_open_the_store(store: impl Store) {
    let (one, other) = (open(&store).await, open(&store).await);
    one.put(KIND, b"a", b"1").await.unwrap();
    assert_eq!(get(&*other, b"a").await.as_deref(), Some(&b"1"[..]));
    other.put(KIND, b"a", b"2").await.unwrap();
    assert_eq!(get(&*one, b"a").await.as_deref(), Some(&b"2"[..]));
    one.put(KIND, b"b", b"3").await.unwrap();
    other.delete(KIND, b"b").await.unwrap();
    assert_eq!(get(&*one, b"b").await, None);
    drop((one, other));

    let later = open(&store).await;
    assert_eq!(get(&*later, b"a").await.as_deref(), Some(&b"2"[..]));
    assert_eq!(later.list_keys(KIND, b"", 10).await.unwrap(), ["a"]);
}

/// And all of them read the same value then.
pub async fn of_several_that_put_if_absent_one_succeeds(store: impl Store) {
    const KEYS: u8 = 5;
    let mut rivals = JoinSet::new();
    for rival in 0..4_u8 {
        let store = open(&store).await;
        rivals.spawn(async move {
            let mut n_new = 0;
            for key in 0..KEYS {
                n_new += u8::from(store.put_if_absent(KIND, &[key], &[rival]).await.unwrap());
                tokio::task::yield_now().await;
            }
            (rival, n_new)
        });
    }
    let new = rivals.join_all().await;
    assert_eq!(new.iter().map(|(_, n_new)| n_new).sum::<u8>(), KEYS);
    let kept = open(&store).await.list(KIND, b"", u64::MAX).await.unwrap();
    for (rival, n_new) in new {
        let of_rival = kept.iter().filter(|entry| entry.value[..] == [rival]);
        assert_eq!(of_rival.count(), usize::from(n_new), "{kept:?}");
    }
}

/// And otherwise stays as it is, also if there is none.
pub async fn a_value_is_replaced_if_it_is_the_one_that_was_named(store: impl Store) {
    let (one, other) = (open(&store).await, open(&store).await);
    assert!(!one.replace(KIND, b"a", b"", b"1").await.unwrap());
    assert_eq!(get(&*one, b"a").await, None);
    one.put(KIND, b"a", b"1").await.unwrap();
    one.put(KIND, b"b", b"1").await.unwrap();
    for (from, to) in [(&b"1"[..], &b""[..]), (b"", b"\0"), (b"\0", b"\0\xff'\\ ")] {
        // Not what is like it: longer, with a space at the end, another key or kind.
        for like in [[from, b"\0"].concat(), [from, b" "].concat()] {
            assert!(!other.replace(KIND, b"a", &like, b"x").await.unwrap());
        }
        assert!(!other.replace("other", b"a", from, b"x").await.unwrap());
        assert!(!other.replace(KIND, b"A", from, b"x").await.unwrap());
        assert_eq!(get(&*one, b"a").await.as_deref(), Some(from));
        assert!(other.replace(KIND, b"a", from, to).await.unwrap());
        assert_eq!(get(&*one, b"a").await.as_deref(), Some(to));
        // What is there already is as good as replaced.
        assert!(one.replace(KIND, b"a", to, to).await.unwrap());
        assert_eq!(get(&*one, b"b").await.as_deref(), Some(&b"1"[..]));
    }
}

/// As when each of them adds one: none of it is lost.
pub async fn of_several_that_replace_a_value_one_succeeds(store: impl Store) {
    const RIVALS: u8 = 4;
    const EACH: u8 = 5;
    open(&store).await.put(KIND, b"a", &[0]).await.unwrap();
    let mut rivals = JoinSet::new();
    for _ in 0..RIVALS {
        let store = open(&store).await;
        rivals.spawn(async move {
            for _ in 0..EACH {
                loop {
                    let from = get(&*store, b"a").await.unwrap();
                    tokio::task::yield_now().await;
                    if store
                        .replace(KIND, b"a", &from, &[from[0] + 1])
                        .await
                        .unwrap()
                    {
                        break;
                    }
                }
            }
        });
    }
    rivals.join_all().await;
    let sum = get(&*open(&store).await, b"a").await.unwrap();
    assert_eq!(sum, [RIVALS * EACH]);
}

/// The same key has a value in each.
pub async fn kinds_know_nothing_of_each_other(store: impl Store) {
    let store = open(&store).await;
    store.put("one", b"a", b"1").await.unwrap();
    store.put("other", b"a", b"2").await.unwrap();
    store.delete("one", b"a").await.unwrap();
    assert_eq!(store.get("one", b"a").await.unwrap(), None);
    assert_eq!(
        store.get("other", b"a").await.unwrap().as_deref(),
        Some(&b"2"[..])
    );
    assert!(store.list_keys("one", b"", 10).await.unwrap().is_empty());
}

/// Also keys that differ in case, in spaces or zeros at the end, and such that are no text.
pub async fn keys_are_listed_in_the_order_of_their_bytes_page_by_page(store: impl Store) {
    let store = open(&store).await;
    let mut keys: Vec<&[u8]> = vec![
        b"b",
        b"a",
        b"A",
        b"a ",
        b"a  ",
        b"a\0",
        b"\0",
        b"\xff\xfe",
        b"\xff",
        "ü".as_bytes(),
        b"ab",
    ];
    for key in &keys {
        store
            .put(KIND, key, &[b"value of ", *key].concat())
            .await
            .unwrap();
    }
    keys.sort_unstable();
    for limit in [1, 3, 4, 11, 100, u64::MAX] {
        let mut listed = Vec::new();
        let mut after = bytes::Bytes::new();
        loop {
            let page = store.list(KIND, &after, limit).await.unwrap();
            let page_keys = store.list_keys(KIND, &after, limit).await.unwrap();
            assert!(page.iter().map(|entry| &entry.key).eq(&page_keys));
            let Some(last) = page.last() else { break };
            after = last.key.clone();
            let is_end = u64::try_from(page.len()).unwrap() < limit;
            listed.extend(page);
            if is_end {
                break;
            }
        }
        assert!(
            listed
                .iter()
                .map(|entry| &entry.key[..])
                .eq(keys.iter().copied()),
            "{listed:?}"
        );
        assert!(
            listed
                .iter()
                .all(|entry| entry.value == [b"value of ", &entry.key[..]].concat())
        );
    }
    assert!(store.list(KIND, b"", 0).await.unwrap().is_empty());
    assert!(store.list(KIND, b"\xff\xff", 10).await.unwrap().is_empty());
}

/// A kind, a key and a value of the greatest length come back whole.
pub async fn the_bounds_fit_and_what_is_beyond_is_refused(store: impl Store) {
    let store = open(&store).await;
    let kind = "k".repeat(MAX_KIND_BYTES);
    let key = vec![0xff; MAX_KEY_BYTES];
    let value: Vec<u8> = (0..=u8::MAX).cycle().take(MAX_VALUE_BYTES).collect();
    store.put(&kind, &key, &value).await.unwrap();
    assert_eq!(store.get(&kind, &key).await.unwrap().unwrap(), value);

    let too_long = vec![0; MAX_VALUE_BYTES + 1];
    let refused = [
        store.put("", b"a", b"").await,
        store.put("Kind", b"a", b"").await,
        store.put(&"k".repeat(MAX_KIND_BYTES + 1), b"a", b"").await,
        store.put(KIND, b"", b"").await,
        store.put(KIND, &[0; MAX_KEY_BYTES + 1], b"").await,
        store.put(KIND, b"a", &too_long).await,
        store.put_if_absent(KIND, b"a", &too_long).await.map(drop),
        store.replace(KIND, b"a", &too_long, b"").await.map(drop),
        store.replace(KIND, b"a", b"", &too_long).await.map(drop),
        store.replace("", b"a", b"", b"").await.map(drop),
        store.get("kind ", b"a").await.map(drop),
        store.delete(KIND, b"").await,
        store.erase(KIND, b"").await,
        store.list("", b"", 1).await.map(drop),
        store.list_keys("", b"", 1).await.map(drop),
    ];
    for refused in refused {
        assert!(
            matches!(refused, Err(RecorderError::Invalid { .. })),
            "{refused:?}"
        );
    }
}

/// No notification comes of one, and the log's own changes leave them alone.
pub async fn the_log_knows_nothing_of_values(store: impl Store) {
    use crate::recorder_fixture::{A, accepted, append};
    let recorder = store.open().await;
    let values = recorder.key_value_store().expect("a key-value store");
    values.put(KIND, b"a", b"1").await.unwrap();
    assert_eq!(recorder.head().await.unwrap(), 0);
    assert_eq!(accepted(&*recorder, append(A, 1)).await, 1..2);
    assert_eq!(get(&*values, b"a").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(accepted(&*recorder, append(A, 2)).await, 2..3);
}
