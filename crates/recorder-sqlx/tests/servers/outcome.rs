//! What a writer says of a commit that nobody answered, while others write.

use std::sync::Arc;

use boxes_recorder::{
    Append, Appended, KeyValueWrite, Position, Recorder, RecorderError, Tracking,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::database::{Database, Kind};
use crate::events::{append, event, until};
use crate::faults::on_both;
use crate::network::{Fate, Network};

on_both! {
    what_another_writer_recorded_in_the_same_place_is_not_taken_for_its_own
    a_commit_is_found_also_when_another_writer_committed_since
    whatever_an_append_consists_of_it_is_done_once
    a_batch_of_which_all_is_refused_is_answered_though_its_end_is_lost
    rows_that_writers_left_behind_are_removed_and_those_of_others_stay
    a_writer_whose_row_was_removed_makes_it_again
    a_value_whose_answer_is_lost_for_good_may_be_written_and_that_is_said
    a_writer_whose_row_is_gone_after_the_commit_does_not_know_and_says_so
}

/// A recorder whose commits can be lost, and another one beside it.
struct Two {
    network: Network,
    database: Database,
    one: Arc<dyn Recorder>,
    other: Arc<dyn Recorder>,
}

type Recorded = Result<Vec<Result<Appended, RecorderError>>, RecorderError>;

impl Two {
    async fn on(kind: Kind) -> Self {
        let database = Database::new(kind);
        let network = Network::before(&database).await;
        let one = database.through(network.port).recorder().await;
        let other = database.recorder().await;
        Self {
            network,
            database,
            one,
            other,
        }
    }

    /// The one commits, its commit ends so, and it has not yet looked what became of it.
    async fn cut(&self, fate: Fate, batch: Vec<Append>) -> JoinHandle<Recorded> {
        let before = self.network.cuts();
        self.network.hold_at_cut();
        self.network.next(fate);
        let one = Arc::clone(&self.one);
        let recording = tokio::spawn(async move { one.record(&batch).await });
        until("the commit is cut", async || self.network.cuts() > before).await;
        recording
    }

    async fn looks(&self, recording: JoinHandle<Recorded>) -> Recorded {
        self.network.release();
        recording.await.unwrap()
    }
}

async fn what_another_writer_recorded_in_the_same_place_is_not_taken_for_its_own(kind: Kind) {
    let two = Two::on(kind).await;
    for (n, before) in [(10, 0), (20, 3)] {
        let batch = vec![append(n, 1), append(n + 1, 1)];
        let recording = two.cut(Fate::NotHeard, batch).await;
        // The same event, with the same id, in the place in which the first one would be.
        let outcomes = two.other.record(&[append(n, 1)]).await.unwrap();
        assert_eq!(outcomes[0].as_ref().unwrap().ids, before + 1..before + 2);
        let outcomes = two.looks(recording).await.unwrap();
        assert!(
            matches!(outcomes[0], Err(RecorderError::VersionConflict { .. })),
            "{outcomes:?}"
        );
        assert_eq!(outcomes[1].as_ref().unwrap().ids, before + 2..before + 3);
        let last = append(n + 2, 1);
        two.one.record(&[last]).await.unwrap().remove(0).unwrap();
    }
    let log = two.database.whole_log().await;
    let found: Vec<_> = log.iter().map(|found| found.event.originator_id).collect();
    assert_eq!(found, [10, 11, 12, 20, 21, 22].map(Uuid::from_u128));
}

/// A row that all writers share would say that the other one was last.
async fn a_commit_is_found_also_when_another_writer_committed_since(kind: Kind) {
    let two = Two::on(kind).await;
    for (version, id) in [(1, 1), (2, 3)] {
        let recording = two.cut(Fate::AnswerLost, vec![append(1, version)]).await;
        let outcomes = two.other.record(&[append(2, version)]).await.unwrap();
        assert_eq!(outcomes[0].as_ref().unwrap().ids, id + 1..id + 2);
        let outcomes = two.looks(recording).await.unwrap();
        assert_eq!(outcomes[0].as_ref().unwrap().ids, id..id + 1);
    }
    assert_eq!(two.database.whole_log().await.len(), 4);
}

/// Done twice, each of these would be refused, or show.
async fn whatever_an_append_consists_of_it_is_done_once(kind: Kind) {
    let two = Two::on(kind).await;
    for (n, fate) in [(100, Fate::AnswerLost), (200, Fate::NotHeard)] {
        for originator in [n, n + 1] {
            let outcomes = two.one.record(&[append(originator, 1)]).await.unwrap();
            outcomes[0].as_ref().unwrap();
        }
        let value = KeyValueWrite {
            space: "test-value".into(),
            key: n.to_string().into(),
            expected: None,
            new: Some("new".into()),
        };
        let step = Tracking {
            follower: n.to_string(),
            epoch: Uuid::from_u128(7),
            from: None,
            to: 1,
            event_id: None,
        };
        let deletion = Append::default().with_deletion(Uuid::from_u128(n));
        let all = append(n + 2, 1)
            .with_key_value(KeyValueWrite {
                key: (n + 1).to_string().into(),
                ..value.clone()
            })
            .with_deletion(Uuid::from_u128(n + 1))
            .with_tracking(Tracking {
                follower: (n + 1).to_string(),
                ..step.clone()
            });
        for request in [
            deletion,
            Append::default().with_key_value(value),
            Append::default().with_tracking(step),
            all,
        ] {
            let recording = two.cut(fate, vec![request]).await;
            let outcomes = two.looks(recording).await.unwrap();
            let appended = outcomes[0].as_ref().unwrap();
            assert!(appended.deletions.iter().all(|told| told.n_events == 1));
        }
        let values = two.other.key_value_store().unwrap();
        for key in [n, n + 1].map(|key| key.to_string()) {
            let value = values.get("test-value", key.as_bytes()).await.unwrap();
            assert_eq!(value.as_deref(), Some(&b"new"[..]));
            let position = two.other.tracking(&key).await.unwrap();
            assert_eq!(position, Some(Position::new(Uuid::from_u128(7), 1)));
        }
    }
    assert_eq!(two.network.cuts(), 8);
    assert_eq!(two.other.n_redacted().await.unwrap(), 4);
    let log = two.database.whole_log().await;
    let redacted: Vec<_> = log.iter().map(|found| found.event.is_redacted()).collect();
    assert_eq!(redacted, [true, true, false].repeat(2));
}

/// It changes nothing, so it is not even committed.
async fn a_batch_of_which_all_is_refused_is_answered_though_its_end_is_lost(kind: Kind) {
    let two = Two::on(kind).await;
    two.one.record(&[append(1, 1)]).await.unwrap();
    two.network.next(Fate::NotHeard);
    let outcomes = two.one.record(&[append(1, 1), Append::default()]).await;
    let outcomes = outcomes.unwrap();
    assert!(matches!(
        outcomes[0],
        Err(RecorderError::VersionConflict { .. })
    ));
    assert_eq!(outcomes[1].as_ref().unwrap().ids, 2..2);
    assert_eq!(two.network.cuts(), 0);
}

async fn rows_that_writers_left_behind_are_removed_and_those_of_others_stay(kind: Kind) {
    let database = Database::new(kind);
    let alive = database.recorder().await;
    alive.record(&[append(1, 1)]).await.unwrap();
    let mut session = database.session().await;
    // As old as rows become, and older.
    for (id, age_secs) in [(1, 3_000), (2, 4_000), (3, 1_000_000)] {
        let (id, now) = match kind {
            Kind::Postgres => (
                format!("'{}'", Uuid::from_u128(id)),
                "EXTRACT(EPOCH FROM now())::bigint",
            ),
            Kind::Mysql => (
                format!("x'{}'", Uuid::from_u128(id).simple()),
                "UNIX_TIMESTAMP()",
            ),
        };
        let insert = format!("INSERT INTO {{writers}} VALUES ({id}, 5, {now} - {age_secs})");
        session.execute(&database.sql(&insert)).await;
    }
    let count = database.sql("SELECT COUNT(*) FROM {writers}");
    assert_eq!(session.number(&count).await, 4);
    // Only reading removes nothing, and makes nothing.
    let new = database.recorder().await;
    assert_eq!(new.head().await.unwrap(), 1);
    assert_eq!(session.number(&count).await, 4);
    new.record(&[append(2, 1)]).await.unwrap();
    assert_eq!(session.number(&count).await, 3);
    for recorder in [&alive, &new] {
        recorder.record(&[append(1, 1)]).await.unwrap();
    }
    assert_eq!(session.number(&count).await, 3);
}

async fn a_writer_whose_row_was_removed_makes_it_again(kind: Kind) {
    let two = Two::on(kind).await;
    let mut session = two.database.session().await;
    for (version, fate) in [
        (1, Fate::Passes),
        (2, Fate::AnswerLost),
        (3, Fate::NotHeard),
    ] {
        two.network.next(fate);
        let outcomes = two.one.record(&[append(1, version)]).await.unwrap();
        assert_eq!(outcomes[0].as_ref().unwrap().ids, version..version + 1);
        session
            .execute(&two.database.sql("DELETE FROM {writers}"))
            .await;
    }
    assert_eq!(two.database.whole_log().await.len(), 3);
}

/// A value that is written for itself is committed when it is heard.
async fn a_value_whose_answer_is_lost_for_good_may_be_written_and_that_is_said(kind: Kind) {
    let two = Two::on(kind).await;
    let values = two.one.key_value_store().unwrap();
    values.put("test-value", b"1", b"before").await.unwrap();
    two.network.loses_answers();
    let refused = values.put("test-value", b"1", b"after").await;
    assert!(
        matches!(refused, Err(RecorderError::OutcomeUnknown { .. })),
        "{refused:?}"
    );
    let values = two.other.key_value_store().unwrap();
    let value = values.get("test-value", b"1").await.unwrap();
    assert_eq!(value.as_deref(), Some(&b"after"[..]));
    // What was never heard is not in doubt.
    let refused = two.one.record(&[append(1, 1)]).await;
    assert!(
        matches!(refused, Err(RecorderError::Unavailable { .. })),
        "{refused:?}"
    );
    assert_eq!(two.other.head().await.unwrap(), 0);
}

async fn a_writer_whose_row_is_gone_after_the_commit_does_not_know_and_says_so(kind: Kind) {
    let two = Two::on(kind).await;
    let mut session = two.database.session().await;
    two.one.record(&[append(1, 1)]).await.unwrap();
    let recording = two.cut(Fate::AnswerLost, vec![append(1, 2)]).await;
    session
        .execute(&two.database.sql("DELETE FROM {writers}"))
        .await;
    let refused = two.looks(recording).await;
    assert!(
        matches!(refused, Err(RecorderError::OutcomeUnknown { .. })),
        "{refused:?}"
    );
    // What was asked can be asked again: it is refused where it was recorded.
    let outcomes = two.one.record(&[append(1, 2), append(1, 3)]).await.unwrap();
    assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "{outcomes:?}");
    let log = two.database.whole_log().await;
    let events: Vec<_> = log.into_iter().map(|found| found.event).collect();
    let expected = [1, 2, 3].map(|version| event(Uuid::from_u128(1), version));
    assert_eq!(events, expected);
}
