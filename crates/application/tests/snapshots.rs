//! Snapshots: what is taken when, and that one that is of no use is no obstacle.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::sync::Arc;

use boxes_application::{App, AppOptions, Error, SnapshotEvery, Snapshots, StoredSubjectKeys};
use boxes_domain::{Aggregate, Event, Id, Personal};
use boxes_mapper::{Encryption, Keys, Mapper, Topics};
use boxes_recorder::{
    Append, Appended, DEFAULT_PAGE_SIZE, Entry, GroupCommit, GroupCommitBounds, KeyValueStore,
    LogIdentity, MemoryRecorder, Notification, Position, Recorder, RecorderError, StoredEvent,
    StreamRange,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

const OWNER: &str = "customer-ann";

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "bank.account", crate = "boxes_domain")]
enum AccountEvent {
    Opened {
        owner: Personal<String>,
    },
    Deposited {
        amount: u32,
    },
    #[event(discards)]
    Closed,
}

#[derive(Default, Clone, Debug, Serialize, Deserialize)]
struct Account {
    balance: u32,
    owner: Option<Personal<String>>,
    /// How many events it was made of since its snapshot.
    #[serde(skip)]
    n_applied: u32,
}

impl Aggregate for Account {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        self.n_applied += 1;
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { amount } => self.balance += amount,
            AccountEvent::Closed => {}
        }
    }
}

#[derive(Event, Clone, Serialize, Deserialize)]
#[event(topic = "bank.account", crate = "boxes_domain")]
enum AccountSnapshot {
    Snapshot(Account),
}

impl From<Account> for AccountSnapshot {
    fn from(account: Account) -> Self {
        Self::Snapshot(account)
    }
}

impl From<AccountSnapshot> for Account {
    fn from(AccountSnapshot::Snapshot(account): AccountSnapshot) -> Self {
        account
    }
}

/// The same a version later, when the balance is counted otherwise.
#[derive(Event, Clone, Serialize, Deserialize)]
#[event(topic = "bank.account", crate = "boxes_domain")]
enum LaterSnapshot {
    #[event(version = 2, upcast(in_cents))]
    Snapshot(Account),
}

impl From<Account> for LaterSnapshot {
    fn from(account: Account) -> Self {
        Self::Snapshot(account)
    }
}

impl From<LaterSnapshot> for Account {
    fn from(LaterSnapshot::Snapshot(account): LaterSnapshot) -> Self {
        account
    }
}

fn in_cents(mut state: Value) -> Value {
    let balance = state.get("balance").and_then(Value::as_u64);
    if let (Some(balance), Some(state)) = (balance, state.as_object_mut()) {
        state.insert("balance".to_owned(), json!(balance * 100));
    }
    state
}

fn memory() -> MemoryRecorder {
    MemoryRecorder::new(LogIdentity {
        name: "bank".to_owned(),
        epoch: Uuid::from_u128(7),
        page_size: DEFAULT_PAGE_SIZE,
    })
}

/// A replica that keeps nothing from before.
async fn replica(recorder: &(impl Recorder + Clone), snapshots: Snapshots, mapper: Mapper) -> App {
    let mut topics = Topics::default();
    topics.register::<AccountEvent>().unwrap();
    let writer = GroupCommit::start(Arc::new(recorder.clone()), GroupCommitBounds::default());
    let options = AppOptions {
        topics,
        snapshots,
        mapper,
        redactable: true,
        ..AppOptions::default()
    };
    App::new(writer.await.unwrap(), options)
}

async fn app(recorder: &MemoryRecorder, every: SnapshotEvery) -> App {
    replica(recorder, of_accounts(every), Mapper::default()).await
}

fn of_accounts(every: SnapshotEvery) -> Snapshots {
    let mut snapshots = Snapshots::default();
    snapshots.register::<Account, AccountSnapshot>(every);
    snapshots
}

fn id() -> Id<Account> {
    Id::named("account")
}

async fn open(app: &App) {
    let owner = Personal::of(OWNER, "Ann".to_owned());
    app.create(id(), AccountEvent::Opened { owner })
        .await
        .unwrap();
}

async fn deposit(app: &App, n_times: u32) {
    for _ in 0..n_times {
        app.update(id(), |_: &Account| AccountEvent::Deposited { amount: 1 })
            .await
            .unwrap();
    }
}

async fn entries(recorder: &MemoryRecorder) -> Vec<Entry> {
    let beside = recorder.key_value_store().unwrap();
    beside.list("snapshot", &[], 10).await.unwrap()
}

#[tokio::test]
async fn an_aggregate_is_made_of_its_snapshot_and_what_came_after_it() {
    let recorder = memory();
    let first = app(&recorder, SnapshotEvery::events(10)).await;
    open(&first).await;
    deposit(&first, 24).await;
    assert_eq!(entries(&recorder).await.len(), 1);
    let second = app(&recorder, SnapshotEvery::events(10)).await;
    let account = second.get(id()).await.unwrap();
    // 25 events, of which the snapshot has 20.
    assert_eq!((account.balance, account.n_applied), (24, 5));
    // It goes on as any other, and its history is whole.
    deposit(&second, 1).await;
    let history = second.history(id()).take(u64::MAX).await.unwrap();
    assert_eq!(history.last().unwrap().version, 26);
    let third = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    assert_eq!(third.get(id()).await.unwrap().balance, 25);
}

#[tokio::test]
async fn several_events_at_once_that_pass_a_multiple_are_followed_by_one_snapshot() {
    let recorder = memory();
    let first = app(&recorder, SnapshotEvery::events(10)).await;
    open(&first).await;
    let fifteen = || vec![AccountEvent::Deposited { amount: 1 }; 15];
    first.update(id(), |_: &Account| fifteen()).await.unwrap();
    let second = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    assert_eq!(second.get(id()).await.unwrap().n_applied, 0);
}

#[tokio::test]
async fn on_demand_one_is_taken_when_it_is_asked_for_and_twice_at_a_version_it_is_one() {
    let recorder = memory();
    let first = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    assert!(matches!(
        first.take_snapshot(id()).await,
        Err(Error::NotFound { .. })
    ));
    open(&first).await;
    deposit(&first, 24).await;
    assert_eq!(entries(&recorder).await, []);
    for _ in 0..2 {
        assert_eq!(first.take_snapshot(id()).await.unwrap(), 25);
    }
    assert_eq!(entries(&recorder).await.len(), 1);
    let second = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    assert_eq!(second.get(id()).await.unwrap().n_applied, 0);

    first
        .update(id(), |_: &Account| AccountEvent::Closed)
        .await
        .unwrap();
    let third = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    assert!(matches!(
        third.get(id()).await,
        Err(Error::Discarded { .. })
    ));
    assert!(matches!(
        third.take_snapshot(id()).await,
        Err(Error::Discarded { .. })
    ));

    let none = replica(&recorder, Snapshots::default(), Mapper::default()).await;
    let refused = none.take_snapshot(id()).await.unwrap_err().to_string();
    assert!(
        refused.contains("add `.snapshots::<Account, …>"),
        "{refused}"
    );
}

#[tokio::test]
async fn one_that_can_not_be_understood_is_left_out_of_account_and_replaced() {
    let recorder = memory();
    let first = app(&recorder, SnapshotEvery::events(10)).await;
    open(&first).await;
    deposit(&first, 24).await;
    let entry = entries(&recorder).await.pop().unwrap();
    let beside = recorder.key_value_store().unwrap();
    let half = &entry.value[..entry.value.len() / 2];
    let mut of_another = entry.value.to_vec();
    // A byte of the aggregate's id.
    of_another[17] ^= 1;
    for damaged in [&b""[..], b"\x01", half, &of_another] {
        beside.put("snapshot", &entry.key, damaged).await.unwrap();
        let second = app(&recorder, SnapshotEvery::ON_DEMAND).await;
        let account = second.get(id()).await.unwrap();
        assert_eq!((account.balance, account.n_applied), (24, 25));
    }
    let second = app(&recorder, SnapshotEvery::events(10)).await;
    deposit(&second, 5).await;
    let third = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    assert_eq!(third.get(id()).await.unwrap().n_applied, 0);
}

#[tokio::test]
async fn one_that_includes_what_was_never_recorded_is_left_out_of_account() {
    let (recorder, earlier) = (memory(), memory());
    let first = app(&recorder, SnapshotEvery::events(10)).await;
    open(&first).await;
    deposit(&first, 9).await;
    let entry = entries(&recorder).await.pop().unwrap();

    let restored = app(&earlier, SnapshotEvery::ON_DEMAND).await;
    open(&restored).await;
    let beside = earlier.key_value_store().unwrap();
    // With the keys of its owner, or else it could not be understood.
    let keys = |recorder: &MemoryRecorder| {
        let beside = recorder.key_value_store().unwrap();
        StoredSubjectKeys::new(beside)
    };
    keys(&recorder).copy_into(&keys(&earlier)).await.unwrap();
    beside
        .put("snapshot", &entry.key, &entry.value)
        .await
        .unwrap();
    let second = app(&earlier, SnapshotEvery::ON_DEMAND).await;
    assert_eq!(second.get(id()).await.unwrap().balance, 0);
    deposit(&second, 1).await;
    assert_eq!(second.get(id()).await.unwrap().balance, 1);
}

#[tokio::test]
async fn an_older_version_is_brought_forward_as_an_event_is() {
    let recorder = memory();
    let first = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    open(&first).await;
    deposit(&first, 24).await;
    first.take_snapshot(id()).await.unwrap();
    let mut later = Snapshots::default();
    later.register::<Account, LaterSnapshot>(SnapshotEvery::ON_DEMAND);
    let second = replica(&recorder, later, Mapper::default()).await;
    assert_eq!(second.get(id()).await.unwrap().balance, 2_400);
}

#[tokio::test]
async fn snapshots_are_encrypted_as_events_are() {
    let recorder = memory();
    let key = format!("1:{}", "0f".repeat(32)).parse::<Keys>().unwrap();
    let mapper = Mapper::default().encrypted(Encryption::all(key));
    let every = of_accounts(SnapshotEvery::events(10));
    let first = replica(&recorder, every.clone(), mapper.clone()).await;
    open(&first).await;
    deposit(&first, 9).await;
    let entry = entries(&recorder).await.pop().unwrap();
    let text = String::from_utf8_lossy(&entry.value).into_owned();
    assert!(
        text.contains("bank.account.snapshot") && !text.contains("balance"),
        "{text}"
    );
    let second = replica(&recorder, every.clone(), mapper).await;
    assert_eq!(second.get(id()).await.unwrap().n_applied, 0);
    let without_keys = replica(&recorder, every, Mapper::default()).await;
    assert!(without_keys.get(id()).await.is_err());
}

#[tokio::test]
async fn a_snapshot_forgets_with_its_subject() {
    let recorder = memory();
    let first = app(&recorder, SnapshotEvery::events(10)).await;
    open(&first).await;
    deposit(&first, 9).await;
    let entry = entries(&recorder).await.pop().unwrap();
    let text = String::from_utf8_lossy(&entry.value).into_owned();
    assert!(text.contains("balance") && !text.contains("Ann"), "{text}");
    let owner = |account: &Account| account.owner.clone().unwrap().known().cloned();
    let second = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    let account = second.get(id()).await.unwrap();
    assert_eq!(owner(&account).as_deref(), Some("Ann"));

    first.forget(OWNER).await.unwrap();
    let third = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    let account = third.get(id()).await.unwrap();
    assert_eq!((owner(&account), account.n_applied), (None, 0));
    assert_eq!(account.balance, 9);
}

#[tokio::test]
async fn the_snapshot_of_what_was_deleted_goes_with_it_and_those_of_others_stay() {
    let recorder = memory();
    let app = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    open(&app).await;
    let other = Id::<Account>::named("another account");
    let owner = Personal::of(OWNER, "Ann".to_owned());
    app.create(other, AccountEvent::Opened { owner })
        .await
        .unwrap();
    for id in [id(), other] {
        app.take_snapshot(id).await.unwrap();
    }
    let beside = recorder.key_value_store().unwrap();
    let kept = async || beside.list_keys("snapshot", b"", 9).await.unwrap();
    assert_eq!(kept().await.len(), 2);
    assert_eq!(app.delete(id()).await.unwrap(), 1);
    let left = kept().await;
    assert!(left.len() == 1 && left[0].starts_with(other.uuid().as_bytes()));
    let replica = replica(
        &recorder,
        of_accounts(SnapshotEvery::ON_DEMAND),
        Mapper::default(),
    );
    let gone = replica.await.get(id()).await.err();
    assert!(matches!(gone, Some(Error::Deleted { .. })), "{gone:?}");
    assert!(matches!(
        app.take_snapshot(id()).await,
        Err(Error::Deleted { .. })
    ));
}

/// A store whose other users delete an aggregate just before its snapshot is written.
#[derive(Debug, Clone)]
struct Overtaken(MemoryRecorder);

#[async_trait::async_trait]
impl Recorder for Overtaken {
    fn log(&self) -> &LogIdentity {
        self.0.log()
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
        self.0.record(batch).await
    }

    async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError> {
        self.0.select_events(originator_id, range).await
    }

    async fn select_event(&self, event_id: Uuid) -> Result<Option<Notification>, RecorderError> {
        self.0.select_event(event_id).await
    }

    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        self.0.select_notifications(first, limit).await
    }

    async fn n_redacted(&self) -> Result<u64, RecorderError> {
        self.0.n_redacted().await
    }

    async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
        self.0.n_redacted_in(first, last).await
    }

    async fn head(&self) -> Result<u64, RecorderError> {
        self.0.head().await
    }

    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        self.0.tracking(follower).await
    }

    fn key_value_store(&self) -> Option<Arc<dyn KeyValueStore>> {
        Some(Arc::new(self.clone()))
    }
}

impl Overtaken {
    fn beside(&self) -> Arc<dyn KeyValueStore> {
        self.0.key_value_store().unwrap()
    }
}

#[async_trait::async_trait]
impl KeyValueStore for Overtaken {
    async fn get(&self, kind: &str, key: &[u8]) -> Result<Option<Bytes>, RecorderError> {
        self.beside().get(kind, key).await
    }

    async fn put_if_absent(
        &self,
        kind: &str,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool, RecorderError> {
        self.beside().put_if_absent(kind, key, value).await
    }

    async fn put(&self, kind: &str, key: &[u8], value: &[u8]) -> Result<(), RecorderError> {
        if kind == "snapshot" {
            let elsewhere = app(&self.0, SnapshotEvery::ON_DEMAND).await;
            elsewhere.delete(id()).await.unwrap();
        }
        self.beside().put(kind, key, value).await
    }

    async fn replace(
        &self,
        kind: &str,
        key: &[u8],
        from: &[u8],
        to: &[u8],
    ) -> Result<bool, RecorderError> {
        self.beside().replace(kind, key, from, to).await
    }

    async fn delete(&self, kind: &str, key: &[u8]) -> Result<(), RecorderError> {
        self.beside().delete(kind, key).await
    }

    async fn list(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Entry>, RecorderError> {
        self.beside().list(kind, after, limit).await
    }

    async fn list_keys(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Bytes>, RecorderError> {
        self.beside().list_keys(kind, after, limit).await
    }
}

#[tokio::test]
async fn a_snapshot_that_is_written_after_its_aggregate_was_deleted_does_not_stay() {
    for every in [SnapshotEvery::events(10), SnapshotEvery::ON_DEMAND] {
        let recorder = memory();
        open(&app(&recorder, SnapshotEvery::ON_DEMAND).await).await;
        let overtaken = Overtaken(recorder.clone());
        let late = replica(&overtaken, of_accounts(every), Mapper::default()).await;
        deposit(&late, 9).await;
        let taken = late.take_snapshot(id()).await;
        assert!(matches!(taken, Err(Error::Deleted { .. })), "{taken:?}");
        assert_eq!(entries(&recorder).await, []);
    }
}

/// A crash between a deletion and the erasure of its snapshots, or between a snapshot and the second look.
#[tokio::test]
async fn what_a_crash_left_of_the_snapshots_of_deleted_aggregates_is_erased_at_the_start() {
    let recorder = memory();
    let first = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    let owner = Personal::of(OWNER, "Ann".to_owned());
    let names: Vec<_> = (0..205).map(|n| format!("account {n}")).collect();
    for name in &names {
        let opened = AccountEvent::Opened {
            owner: owner.clone(),
        };
        let id = Id::<Account>::named(name);
        first.create(id, opened).await.unwrap();
        first.take_snapshot(id).await.unwrap();
    }
    let beside = recorder.key_value_store().unwrap();
    let kept = async || beside.list_keys("snapshot", b"", 999).await.unwrap();
    assert_eq!(kept().await.len(), 205);
    for name in names.iter().step_by(2) {
        let deleted = recorder.delete_stream(Id::<Account>::named(name).uuid());
        deleted.await.unwrap();
    }
    let second = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    second.finish_all().await.unwrap();
    assert_eq!(kept().await.len(), 102);
    let last = Id::<Account>::named(&names[203]);
    assert_eq!(second.get(last).await.unwrap().n_applied, 0);
}

#[tokio::test]
async fn in_a_transaction_it_is_of_what_the_transaction_records_and_of_nothing_if_it_fails() {
    let recorder = memory();
    let first = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    open(&first).await;
    let deposits = async |fails: bool| {
        let taken = first.transaction(|app| async move {
            app.update(id(), |_: &Account| AccountEvent::Deposited { amount: 1 })
                .await?;
            let version = app.take_snapshot(id()).await?;
            match fails {
                true => Err(Error::not_yet("the rest")),
                false => Ok(version),
            }
        });
        taken.await.map(|committed| committed.value)
    };
    deposits(true).await.unwrap_err();
    assert_eq!(entries(&recorder).await, []);
    assert_eq!(deposits(false).await.unwrap(), 2);
    let second = app(&recorder, SnapshotEvery::ON_DEMAND).await;
    let account = second.get(id()).await.unwrap();
    assert_eq!((account.balance, account.n_applied), (1, 0));
}

/// One who can write to the store and has no keys neither reads a snapshot nor makes one that counts, also where the topic of
/// the snapshot is none of those that are encrypted.
#[tokio::test]
async fn a_snapshot_is_encrypted_where_there_are_keys_and_no_other_counts() {
    let recorder = memory();
    let keys: Keys = "1:0101010101010101010101010101010101010101010101010101010101010101"
        .parse()
        .unwrap();
    let mapper =
        || Mapper::default().encrypted(Encryption::only(keys.clone(), ["bank.account.opened"]));
    let on_each = || of_accounts(SnapshotEvery::events(1));
    let app = replica(&recorder, on_each(), mapper()).await;
    open(&app).await;
    deposit(&app, 3).await;
    let store = recorder.key_value_store().unwrap();
    let kept = store.list("snapshot", b"", 10).await.unwrap().remove(0);
    let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|at| at == part);
    assert!(!holds(&kept.value, b"balance"), "it is in the clear");
    // One in the clear, as a box without keys makes it, with another balance; then the own one as if it were another account's.
    let other = memory();
    let forger = replica(&other, on_each(), Mapper::default()).await;
    open(&forger).await;
    deposit(&forger, 9).await;
    let forged = other.key_value_store().unwrap();
    let forged = forged.list("snapshot", b"", 10).await.unwrap().remove(0);
    assert!(holds(&forged.value, b"balance"));
    let mut moved = kept.value.to_vec();
    moved[40] ^= 1; // The version, behind the first byte and two ids.
    for value in [forged.value.to_vec(), moved] {
        store.put("snapshot", &kept.key, &value).await.unwrap();
        let app = replica(&recorder, of_accounts(SnapshotEvery::ON_DEMAND), mapper()).await;
        let account: Account = app.get(id()).await.unwrap();
        assert_eq!(
            (account.balance, account.n_applied),
            (3, 4),
            "it was made of the events"
        );
    }
    store.put("snapshot", &kept.key, &kept.value).await.unwrap();
    let app = replica(&recorder, of_accounts(SnapshotEvery::ON_DEMAND), mapper()).await;
    let account: Account = app.get(id()).await.unwrap();
    assert_eq!((account.balance, account.n_applied), (3, 0));
}
