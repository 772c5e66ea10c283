//! Writers that do not wait for the log's lock, as those on another server of a cluster can't.

use std::sync::Arc;

use boxes_recorder::{RecorderError, StoredEvent};
use uuid::Uuid;

use crate::database::{Database, Kind};
use crate::events::{append, event, until};
use crate::faults::on_both;

on_both! {
    a_place_that_another_writer_took_without_the_lock_is_left_to_it
    a_version_that_another_writer_took_without_the_lock_is_a_conflict
    what_no_writer_can_have_written_is_told_from_that_and_refuses_nothing_else
}

/// The event as a row in this place.
fn insert(database: &Database, id: u64, event: &StoredEvent) -> String {
    let uuid = |uuid: Uuid| match database.kind {
        Kind::Postgres => format!("'{uuid}'"),
        Kind::Mysql => format!("x'{}'", uuid.simple()),
    };
    let (originator_id, event_id) = (uuid(event.originator_id), uuid(event.event_id));
    let version = event.originator_version;
    database.sql(&format!(
        "INSERT INTO {{events}} VALUES ({id}, {originator_id}, {version}, {event_id}, 'orders.order.placed', 1, 'json', '{{}}', '{{}}', 0)"
    ))
}

/// Its insert waits for that of the other one, who then commits.
async fn is_overtaken(kind: Kind, first: StoredEvent, n_places: u64) -> (Database, Vec<Outcome>) {
    let database = Database::new(kind);
    let recorder = database.recorder().await;
    recorder.record(&[append(1, 1)]).await.unwrap();
    let (mut other, mut watching) = (database.session().await, database.session().await);
    let begin = match kind {
        Kind::Postgres => "BEGIN",
        Kind::Mysql => "START TRANSACTION",
    };
    other.execute(begin).await;
    other.execute(&insert(&database, 2, &first)).await;
    for n in 1..n_places {
        let more = event(Uuid::from_u128(100 + u128::from(n)), 1);
        other.execute(&insert(&database, 2 + n, &more)).await;
    }
    let recording = {
        let recorder = Arc::clone(&recorder);
        tokio::spawn(async move { recorder.record(&[append(1, 2), append(2, 1)]).await })
    };
    until("the writer waits for the place", async || {
        database.n_waiting(&mut watching).await > 0
    })
    .await;
    other.execute("COMMIT").await;
    let outcomes = recording.await.unwrap().unwrap();
    let outcomes = outcomes.into_iter();
    let outcomes = outcomes.map(|outcome| outcome.map(|appended| appended.ids));
    (database, outcomes.collect())
}

type Outcome = Result<std::ops::Range<u64>, RecorderError>;

async fn a_place_that_another_writer_took_without_the_lock_is_left_to_it(kind: Kind) {
    let first = event(Uuid::from_u128(99), 1);
    let (database, outcomes) = is_overtaken(kind, first, 3).await;
    let ids: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(ids, [5..6, 6..7]);
    let ids: Vec<_> = database.whole_log().await.iter().map(|n| n.id).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
}

/// Also though the writer knew that its version was the last one, without looking.
async fn a_version_that_another_writer_took_without_the_lock_is_a_conflict(kind: Kind) {
    let first = event(Uuid::from_u128(1), 2);
    let (database, outcomes) = is_overtaken(kind, first, 1).await;
    assert!(
        matches!(
            outcomes[0],
            Err(RecorderError::VersionConflict {
                version: 2,
                recorded: 2,
                ..
            })
        ),
        "{outcomes:?}"
    );
    assert_eq!(*outcomes[1].as_ref().unwrap(), 3..4);
    assert_eq!(database.whole_log().await.len(), 3);
}

/// Here an index that no program made.
async fn what_no_writer_can_have_written_is_told_from_that_and_refuses_nothing_else(kind: Kind) {
    let database = Database::new(kind);
    let recorder = database.recorder().await;
    recorder.record(&[append(1, 1)]).await.unwrap();
    let mut session = database.session().await;
    session
        .execute(&database.sql("CREATE UNIQUE INDEX only_one ON {events} (event_id)"))
        .await;
    let mut same = append(2, 1);
    same.events[0].event_id = append(1, 1).events[0].event_id;
    let refused = recorder.record(&[same]).await.unwrap_err();
    assert!(
        matches!(&refused, RecorderError::Broken { reason } if reason.contains("what this program can't have written")),
        "{refused:?}"
    );
    let outcomes = recorder.record(&[append(2, 1)]).await.unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap().ids, 2..3);
}
