//! A log that was restored from an older backup gets a new epoch, on each database.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::sync::Arc;

use boxes_recorder::{Append, Encoding, Position, Recorder, RecorderError, StoredEvent, Tracking};
use boxes_recorder_sqlx::{MysqlRecorder, NewEpoch, OpenLog, PostgresRecorder, SqliteRecorder};
use boxes_testing::{mysql_url, postgres_url};
use uuid::Uuid;

async fn open(url: &str, log: OpenLog) -> Result<Arc<dyn Recorder>, RecorderError> {
    Ok(match url.split_once(':') {
        Some(("postgres", _)) => Arc::new(PostgresRecorder::open(url, log).await?),
        Some(("mysql", _)) => Arc::new(MysqlRecorder::open(url, log).await?),
        _ => Arc::new(SqliteRecorder::open(url, log).await?),
    })
}

async fn new_epoch(url: &str, log: &OpenLog) -> Result<NewEpoch, RecorderError> {
    match url.split_once(':') {
        Some(("postgres", _)) => PostgresRecorder::new_epoch(url, log).await,
        Some(("mysql", _)) => MysqlRecorder::new_epoch(url, log).await,
        _ => SqliteRecorder::new_epoch(url, log).await,
    }
}

async fn set_position(
    url: &str,
    follower: &str,
    to: Position,
) -> Result<Option<Position>, RecorderError> {
    match url.split_once(':') {
        Some(("postgres", _)) => PostgresRecorder::set_position(url, "orders", follower, to).await,
        Some(("mysql", _)) => MysqlRecorder::set_position(url, "orders", follower, to).await,
        _ => SqliteRecorder::set_position(url, "orders", follower, to).await,
    }
}

fn append(version: u64) -> Append {
    Append::new(vec![StoredEvent {
        event_id: Uuid::from_u128(version.into()),
        originator_id: Uuid::from_u128(1),
        originator_version: version,
        topic: "test.happened".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: "{}".into(),
        metadata: "{}".into(),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    }])
}

async fn a_log_gets_a_new_epoch_and_keeps_the_rest(url: &str) {
    let orders = OpenLog::named("orders").with_new_epoch(Uuid::from_u128(1));
    let missing = new_epoch(url, &orders).await;
    let Err(RecorderError::Mismatch { reason }) = missing else {
        panic!("{missing:?}")
    };
    assert!(reason.contains("restore it first"), "{reason}");

    let recorder = open(url, orders.clone()).await.unwrap();
    recorder.record(&[append(1)]).await.unwrap();
    drop(recorder);

    let other = OpenLog::named("payments");
    let other = until_it_is_closed(async || new_epoch(url, &other).await).await;
    let Err(RecorderError::Mismatch { reason }) = other else {
        panic!("{other:?}")
    };
    assert!(reason.contains("`orders`, not of `payments`"), "{reason}");

    let renewed = orders.clone().with_new_epoch(Uuid::from_u128(2));
    let renewed = new_epoch(url, &renewed).await.unwrap();
    let expected = NewEpoch {
        before: Uuid::from_u128(1),
        now: Uuid::from_u128(2),
        head: 1,
    };
    assert_eq!(renewed, expected);
    let recorder = open(url, orders).await.unwrap();
    assert_eq!(recorder.log().epoch, Uuid::from_u128(2));
    let mut outcomes = recorder.record(&[append(2)]).await.unwrap();
    assert_eq!(outcomes.remove(0).unwrap().ids, 2..3);

    // And it may have followed one that was restored.
    let [before, after] =
        [(7, 40), (8, 25)].map(|(epoch, id)| Position::new(Uuid::from_u128(epoch), id));
    let step = Tracking {
        follower: "stock".to_owned(),
        epoch: before.epoch,
        from: None,
        to: before.id,
        event_id: None,
    };
    let outcomes = recorder
        .record(&[Append::default().with_tracking(step)])
        .await;
    assert!(outcomes.unwrap().remove(0).is_ok());
    drop(recorder);
    let set = until_it_is_closed(async || set_position(url, "stock", after).await).await;
    assert_eq!(set.unwrap(), Some(before));
    let set = set_position(url, "nobody", after).await;
    assert_eq!(set.unwrap(), None);
    let recorder = open(url, OpenLog::named("orders")).await.unwrap();
    assert_eq!(recorder.tracking("stock").await.unwrap(), Some(after));
}

/// A recorder that is dropped closes its file a moment later.
async fn until_it_is_closed<T>(
    mut what: impl AsyncFnMut() -> Result<T, RecorderError>,
) -> Result<T, RecorderError> {
    let trying = async {
        loop {
            match what().await {
                Err(RecorderError::Unavailable { .. }) => {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                done => return done,
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), trying)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_log_in_sqlite_gets_a_new_epoch_and_keeps_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("orders.sqlite").display());
    a_log_gets_a_new_epoch_and_keeps_the_rest(&url).await;
}

#[tokio::test]
async fn a_log_in_postgresql_gets_a_new_epoch_and_keeps_the_rest() {
    a_log_gets_a_new_epoch_and_keeps_the_rest(&postgres_url()).await;
}

#[tokio::test]
async fn a_log_in_mysql_gets_a_new_epoch_and_keeps_the_rest() {
    a_log_gets_a_new_epoch_and_keeps_the_rest(&mysql_url()).await;
}

/// It would go on with the old one: SQLite's writer does not ask for it at each commit.
#[tokio::test]
async fn a_file_that_a_box_has_open_gets_no_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("orders.sqlite").display());
    let recorder = open(&url, OpenLog::named("orders")).await.unwrap();
    let refused = new_epoch(&url, &OpenLog::named("orders")).await;
    let Err(RecorderError::Unavailable { reason, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(reason.contains("stop the box first"), "{reason}");
    recorder.record(&[append(1)]).await.unwrap();
}

#[tokio::test]
async fn a_process_that_knows_the_old_epoch_writes_nothing_any_more() {
    for url in [postgres_url(), mysql_url()] {
        let orders = OpenLog::named("orders");
        let recorder = open(&url, orders.clone()).await.unwrap();
        recorder.record(&[append(1)]).await.unwrap();
        let renewed = orders.with_new_epoch(Uuid::from_u128(2));
        assert_eq!(new_epoch(&url, &renewed).await.unwrap().head, 1);
        let refused = recorder.record(&[append(2)]).await;
        assert!(
            matches!(refused, Err(RecorderError::Mismatch { .. })),
            "{refused:?}"
        );
    }
}
