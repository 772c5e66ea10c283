//! A log is sealed as it grows, by any of its replicas.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

use std::sync::Arc;

use boxes_integrity::{
    Finding, HighWaterMark, Remembered, Seal, Sealer, SealerError, Seals, SigningKey, StoredSeals,
    Tampering, Verification,
};
use boxes_notification_log::{
    DerivedLog, LocalNotificationLog, LogError, NotificationLog, SectionId, Translation,
};
use boxes_recorder::{
    Append, GroupCommit, GroupCommitBounds, KeyValueStore, LogIdentity, MemoryRecorder,
    Notification, Recorder, StoredEvent,
};
use boxes_testing::log_fixture::{SmallLog, small_event};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIA5rZN5RZcX/YDfrQrXncQPP8qp3B+GUaqLq5sjBYxhH
-----END PRIVATE KEY-----";
const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIH/9/baAJS6F6/abm5mwU4siaSzYv+glnlYUztQgNKYs
-----END PRIVATE KEY-----";

fn key(pem: &str) -> SigningKey {
    SigningKey::from_pem(pem).unwrap()
}

fn recorder(log: &SmallLog) -> &Arc<dyn Recorder> {
    log.writer().recorder()
}

fn seals(log: &SmallLog) -> StoredSeals {
    StoredSeals::of(&**recorder(log)).unwrap()
}

fn store(log: &SmallLog) -> Arc<dyn KeyValueStore> {
    recorder(log).key_value_store().unwrap()
}

fn seal_key(log: &SmallLog, low: u64) -> Vec<u8> {
    let epoch = recorder(log).log().epoch;
    [epoch.as_bytes(), &low.to_be_bytes()[..]].concat()
}

fn sealer(log: &SmallLog, pem: Option<&str>) -> Sealer {
    Sealer::new(log.near(), seals(log), pem.map(|pem| Arc::new(key(pem))))
}

async fn verified(log: &SmallLog, trusted: &[&str]) -> (u64, Option<Finding>) {
    let verification = Verification {
        trusted: trusted.iter().map(|pem| key(pem).verifying_key()).collect(),
        ..Verification::default()
    };
    let report = verification.run(&*log.near(), &seals(log), |_, _| {}).await;
    let report = report.unwrap();
    (report.verified.id, report.finding)
}

#[tokio::test]
async fn every_archived_page_is_sealed_once_and_the_last_one_as_soon_as_it_is_archived() {
    let log = SmallLog::new(5).await;
    let mut sealer = sealer(&log, Some(KEY));
    let mut sealed = 0;
    for n in 1..=31_u64 {
        log.append(1).await;
        let n_pages = sealer.seal_archived().await.unwrap();
        sealed += n_pages;
        assert_eq!(sealed, (n - 1) / 5, "{n}");
        assert_eq!(sealer.status().borrow().sealed_through, sealed * 5);
    }
    assert_eq!(verified(&log, &[KEY]).await, (30, None));
}

#[tokio::test]
async fn it_goes_on_where_the_seals_end_however_many_there_are() {
    for n_events in [0, 5, 6, 10, 11, 16, 21, 26, 31, 36, 41, 100, 101] {
        let log = SmallLog::with(5, n_events).await;
        sealer(&log, Some(KEY)).seal_archived().await.unwrap();
        let before = verified(&log, &[KEY]).await;
        log.append(7).await;
        let mut next = sealer(&log, Some(KEY));
        let n_pages = next.seal_archived().await.unwrap();
        let after = verified(&log, &[KEY]).await;
        assert_eq!((before.1, after.1), (None, None));
        assert_eq!(after.0, (n_events + 6) / 5 * 5);
        assert_eq!(n_pages * 5, after.0 - before.0, "{n_events}");
    }
}

#[tokio::test]
async fn replicas_make_the_same_seals_and_the_first_one_counts() {
    let log = SmallLog::with(5, 21).await;
    let (mut one, mut other) = (sealer(&log, Some(KEY)), sealer(&log, Some(KEY)));
    assert_eq!(one.seal_archived().await.unwrap(), 4);
    let first = SectionId::first(5.try_into().unwrap());
    let kept = seals(&log).seal(first).await.unwrap();
    log.append(10).await;
    assert_eq!(other.seal_archived().await.unwrap(), 2);
    assert_eq!(one.seal_archived().await.unwrap(), 2);
    assert_eq!(seals(&log).seal(first).await.unwrap(), kept);
    assert_eq!(verified(&log, &[KEY]).await, (30, None));
}

#[tokio::test]
async fn it_runs_beside_the_log_and_ends_when_it_is_told_to() {
    let log = SmallLog::with(5, 3).await;
    let stopping = CancellationToken::new();
    let running = tokio::spawn(sealer(&log, Some(KEY)).run(stopping.clone()));
    log.append(20).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while verified(&log, &[]).await != (20, None) {
        assert!(tokio::time::Instant::now() < deadline, "it is not sealed");
        tokio::task::yield_now().await;
    }
    stopping.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn it_confirms_no_seals_that_its_key_did_not_sign_unless_it_is_told_to() {
    for (before, is_named) in [
        (None, "without a signature"),
        (Some(OTHER_KEY), "with the key"),
    ] {
        let log = SmallLog::with(5, 11).await;
        sealer(&log, before).seal_archived().await.unwrap();
        log.append(5).await;
        let refused = sealer(&log, Some(KEY)).seal_archived().await.unwrap_err();
        assert!(!refused.is_transient());
        let text = refused.to_string();
        assert!(
            text.contains(is_named) && text.contains("page 6,10") && text.contains("--seal adopt"),
            "{text}"
        );
        let mut adopting = sealer(&log, Some(KEY)).adopting();
        assert_eq!(adopting.seal_archived().await.unwrap(), 1);
        // From then on they are its own.
        log.append(5).await;
        let mut next = sealer(&log, Some(KEY));
        assert_eq!(next.seal_archived().await.unwrap(), 1);
        let trusted = before.into_iter().chain([KEY]).collect::<Vec<_>>();
        assert_eq!(verified(&log, &trusted).await, (20, None));
    }
}

#[tokio::test]
async fn it_goes_on_from_no_seal_that_does_not_fit_the_log() {
    let (log, other) = (SmallLog::with(5, 11).await, SmallLog::new(5).await);
    other.append(1).await;
    let different = small_event(99);
    other.append_events(vec![different]).await;
    other.append(9).await;
    sealer(&other, Some(KEY)).seal_archived().await.unwrap();
    // The seals of a log with another notification 2, which is like a log whose notification 2 was changed.
    for low in [1_u64, 6] {
        let seal = store(&other).get("seal", &seal_key(&other, low)).await;
        let seal = seal.unwrap().unwrap();
        store(&log)
            .put("seal", &seal_key(&log, low), &seal)
            .await
            .unwrap();
    }
    let refused = sealer(&log, Some(KEY)).seal_archived().await.unwrap_err();
    assert!(matches!(refused, SealerError::Refused { .. }), "{refused}");
    // It is at hand meanwhile that the first page is sealed otherwise.
    let log = SmallLog::with(5, 11).await;
    let mut running = sealer(&log, Some(KEY));
    running.seal_archived().await.unwrap();
    let forged = store(&other).get("seal", &seal_key(&other, 6)).await;
    let forged = forged.unwrap().unwrap();
    log.append(5).await;
    let next = seal_key(&log, 11);
    store(&log).put("seal", &next, &forged).await.unwrap();
    let refused = running.seal_archived().await.unwrap_err();
    assert!(refused.to_string().contains("another page"), "{refused}");
    let found = verified(&log, &[KEY]).await.1.unwrap();
    assert!(
        found.id == 11 && matches!(found.tampering, Tampering::SealDamaged { .. }),
        "{found}"
    );
}

/// Publishes every second event, in other words if it is told to.
#[derive(Debug)]
struct EverySecond(&'static str);

impl Translation for EverySecond {
    fn translate(&self, notification: &Notification) -> Result<Option<StoredEvent>, LogError> {
        if !notification.id.is_multiple_of(2) || notification.event.is_redacted() {
            return Ok(None);
        }
        let state = Bytes::from_static(self.0.as_bytes());
        let event = notification.event.clone();
        let topic = "sales.sale".into();
        Ok(Some(StoredEvent {
            topic,
            state,
            ..event
        }))
    }
}

fn every_second(log: &SmallLog, words: &'static str, revision: u32) -> (DerivedLog, StoredSeals) {
    let derived = DerivedLog::new(log.near(), Arc::new(EverySecond(words)), "sales", revision);
    let identity = derived.identity(recorder(log).log());
    let seals = StoredSeals::of_derived(&**recorder(log), &identity).unwrap();
    (derived, seals)
}

async fn verified_derived(
    log: &SmallLog,
    words: &'static str,
    revision: u32,
) -> (u64, u64, Option<Finding>) {
    let (derived, seals) = every_second(log, words, revision);
    let verification = Verification {
        derived: true,
        ..Verification::default()
    };
    let report = verification.run(&derived, &seals, |_, _| {}).await.unwrap();
    (report.verified.id, report.n_deleted, report.finding)
}

#[tokio::test]
async fn a_derived_log_has_seals_of_its_own_over_what_was_published() {
    const WORDS: &str = r#"{"words":1}"#;
    const OTHERS: &str = r#"{"words":2}"#;
    let log = SmallLog::with(5, 21).await;
    sealer(&log, Some(KEY)).seal_archived().await.unwrap();
    let (derived, seals) = every_second(&log, WORDS, 1);
    let derived: Arc<dyn NotificationLog> = Arc::new(derived);
    let mut of_derived = Sealer::new(derived, seals, None);
    assert_eq!(of_derived.seal_archived().await.unwrap(), 4);
    assert_eq!(verified_derived(&log, WORDS, 1).await, (20, 0, None));
    assert_eq!(verified(&log, &[KEY]).await, (20, None));

    // Deleted are one that was published and one that was not.
    log.delete(4).await;
    log.delete(7).await;
    assert_eq!(verified_derived(&log, WORDS, 1).await, (20, 2, None));

    let changed = Finding {
        id: 2,
        tampering: Tampering::Changed { content: true },
    };
    let found = verified_derived(&log, OTHERS, 1).await;
    assert_eq!(found, (0, 0, Some(changed)));
    log.append(5).await;
    let (derived, seals) = every_second(&log, OTHERS, 1);
    let refused = Sealer::new(Arc::new(derived), seals, None)
        .seal_archived()
        .await;
    assert!(
        matches!(refused, Err(SealerError::Refused { .. })),
        "{refused:?}"
    );
    // With a revision of its own it is another log, of which nothing is sealed.
    assert_eq!(verified_derived(&log, OTHERS, 2).await, (0, 0, None));
}

/// What a sealer remembers outside of the database.
#[derive(Debug, Default)]
struct Mark(std::sync::Mutex<Option<Remembered>>);

impl HighWaterMark for Mark {
    fn read(&self) -> std::io::Result<Option<Remembered>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn write(&self, mark: &Remembered) -> std::io::Result<()> {
        *self.0.lock().unwrap() = Some(mark.clone());
        Ok(())
    }
}

#[tokio::test]
async fn it_does_not_sign_again_what_was_sealed_once() {
    let log = SmallLog::with(5, 21).await;
    let mark = Arc::new(Mark::default());
    let marked = || sealer(&log, Some(KEY)).with_mark(Arc::<Mark>::clone(&mark));
    assert_eq!(marked().seal_archived().await.unwrap(), 4);
    let remembered = mark.read().unwrap().unwrap();
    assert_eq!((remembered.log.as_str(), remembered.id), ("orders", 20));
    log.append(5).await;
    assert_eq!(marked().seal_archived().await.unwrap(), 1);
    // All but the first seal are taken away, so that the rest could be changed and signed again.
    let store = store(&log);
    let keys = store.list_keys("seal", b"", 10).await.unwrap();
    let first = store.get("seal", &keys[0]).await.unwrap().unwrap();
    for key in &keys[1..] {
        store.delete("seal", key).await.unwrap();
    }
    let refused = marked().seal_archived().await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("sealed through notification 25, and now it is through 5"),
        "{refused}"
    );
    // Without it, they are signed as if nothing had been.
    assert_eq!(sealer(&log, Some(KEY)).seal_archived().await.unwrap(), 4);
    marked().seal_archived().await.unwrap();
    // Another seal of the same page is no better.
    *mark.0.lock().unwrap() = Some(Remembered {
        hash: Seal::from_bytes(&first, recorder(&log).log(), "1,5".parse().unwrap())
            .unwrap()
            .after()
            .hash,
        ..mark.read().unwrap().unwrap()
    });
    let refused = marked().seal_archived().await.unwrap_err();
    assert!(refused.to_string().contains("another seal"), "{refused}");
}

#[tokio::test]
async fn that_it_has_stopped_is_a_finding_until_it_goes_on() {
    let log = SmallLog::with(5, 11).await;
    sealer(&log, Some(OTHER_KEY)).seal_archived().await.unwrap();
    let stopping = CancellationToken::new();
    let ended = sealer(&log, Some(KEY)).run(stopping.clone()).await;
    assert!(
        matches!(ended, Err(SealerError::Refused { .. })),
        "{ended:?}"
    );
    let (verified_through, found) = verified(&log, &[OTHER_KEY]).await;
    let Some(Finding {
        id: 11,
        tampering: Tampering::SealingStopped { reason },
    }) = found
    else {
        panic!("{found:?}")
    };
    assert!(
        verified_through == 10 && reason.contains("--seal adopt"),
        "{reason}"
    );
    sealer(&log, Some(KEY))
        .adopting()
        .seal_archived()
        .await
        .unwrap();
    assert_eq!(verified(&log, &[KEY, OTHER_KEY]).await, (10, None));
}

/// The first seals of a box's own log had no epoch in front of their keys.
#[tokio::test]
async fn a_log_that_gets_a_new_epoch_is_sealed_again_and_first_seals_stay_good() {
    let log = SmallLog::with(5, 21).await;
    sealer(&log, Some(KEY)).seal_archived().await.unwrap();
    let store = store(&log);
    for entry in store.list("seal", b"", 10).await.unwrap() {
        store
            .put("seal", &entry.key[16..], &entry.value)
            .await
            .unwrap();
        store.delete("seal", &entry.key).await.unwrap();
    }
    assert_eq!(verified(&log, &[KEY]).await, (20, None));
    log.append(5).await;
    assert_eq!(sealer(&log, Some(KEY)).seal_archived().await.unwrap(), 1);
    assert_eq!(verified(&log, &[KEY]).await, (25, None));

    // The same events in another epoch.
    let events = recorder(&log).select_notifications(1, 100).await.unwrap();
    let renewed = MemoryRecorder::new(LogIdentity {
        epoch: Uuid::from_u128(0x2222),
        ..recorder(&log).log().clone()
    });
    let events = events.into_iter().map(|item| item.event).collect();
    renewed
        .record(&[Append::new(events)])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    let beside = renewed.key_value_store().unwrap();
    for entry in store.list("seal", b"", 10).await.unwrap() {
        beside.put("seal", &entry.key, &entry.value).await.unwrap();
    }
    let writer = GroupCommit::start(Arc::new(renewed), GroupCommitBounds::default());
    let writer = writer.await.unwrap();
    let near: Arc<dyn NotificationLog> = Arc::new(LocalNotificationLog::new(&writer));
    let seals = StoredSeals::of(&**writer.recorder()).unwrap();
    let signing = Some(Arc::new(key(KEY)));
    let mut again = Sealer::new(Arc::clone(&near), seals.clone(), signing);
    assert_eq!(again.seal_archived().await.unwrap(), 5);
    let verification = Verification {
        trusted: vec![key(KEY).verifying_key()],
        ..Verification::default()
    };
    let report = verification.run(&*near, &seals, |_, _| {}).await.unwrap();
    assert_eq!((report.verified.id, report.finding), (25, None));
}
