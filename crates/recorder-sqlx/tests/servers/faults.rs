//! Locks, time-outs and networks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use boxes_recorder::{Append, Position, Recorder, RecorderError, Tracking};
use boxes_testing::LiveReading;
use uuid::Uuid;

use crate::database::{Database, Kind};
use crate::events::{append, event, until};
use crate::network::{Fate, Network};

/// A test of both servers.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod postgres {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name(Kind::Postgres).await;
                }
            )*
        }
        mod mysql {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name(Kind::Mysql).await;
                }
            )*
        }
    };
}
pub(crate) use on_both;

on_both! {
    a_commit_that_is_held_open_delays_writers_and_no_reader_and_leaves_no_hole
    a_transaction_that_somebody_holds_open_delays_writers_and_loses_nothing
    a_commit_whose_answer_is_lost_is_found_and_not_done_twice
    a_commit_that_the_server_never_heard_is_found_missing_and_done_once
    a_step_without_events_is_recognized_by_the_position
    a_deadlock_is_answered_by_doing_it_again
    a_serialization_failure_is_answered_by_doing_it_again
    a_lock_that_is_not_had_in_time_is_unavailable_and_nothing_is_recorded
    a_read_that_takes_too_long_is_ended_by_the_server_and_says_so
    a_write_that_takes_too_long_is_ended_by_the_server_and_says_so
}

fn reason(error: &RecorderError) -> &str {
    let RecorderError::Unavailable { reason, .. } = error else {
        panic!("{error:?}")
    };
    reason
}

/// The event is inserted and not committed: where ids came from the insert, those behind it would be seen before it.
async fn a_commit_that_is_held_open_delays_writers_and_no_reader_and_leaves_no_hole(kind: Kind) {
    const GATE: &str = "test.held";
    let database = Database::new(kind);
    let held_by = database.commit().await;
    let others = database.commit().await;
    others.append(append(1, 1)).await.unwrap();

    let mut gate = database.session().await;
    let name = database.name();
    let (prepare, shut, open) = match kind {
        Kind::Postgres => (
            format!(
                "CREATE FUNCTION {name}.wait() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_advisory_xact_lock(hashtext('{name}')); RETURN NEW; END $$;
                 CREATE TRIGGER held AFTER INSERT ON {name}.stored_event
                 FOR EACH ROW WHEN (NEW.topic = '{GATE}') EXECUTE FUNCTION {name}.wait()"
            ),
            format!("SELECT pg_advisory_lock(hashtext('{name}'))"),
            format!("SELECT pg_advisory_unlock(hashtext('{name}'))"),
        ),
        Kind::Mysql => (
            format!(
                "CREATE TRIGGER {name}_held AFTER INSERT ON {name}_stored_event FOR EACH ROW
                 BEGIN IF NEW.topic = '{GATE}' THEN DO GET_LOCK('{name}', 60) + RELEASE_LOCK('{name}'); END IF; END"
            ),
            format!("DO GET_LOCK('{name}', 0)"),
            format!("DO RELEASE_LOCK('{name}')"),
        ),
    };
    gate.execute(&prepare).await;
    gate.execute(&shut).await;

    let ended = Arc::new(AtomicBool::new(false));
    let reading = {
        let (recorder, ended) = (database.recorder().await, Arc::clone(&ended));
        tokio::spawn(async move {
            let mut reading = LiveReading::default();
            let is_ended = || ended.load(Ordering::SeqCst);
            reading.read_until(&*recorder, is_ended).await.unwrap();
            reading
        })
    };
    let mut held = event(Uuid::from_u128(2), 1);
    held.topic = GATE.into();
    let held = tokio::spawn(async move { held_by.append(Append::new(vec![held])).await });
    let mut watching = database.session().await;
    until("a commit is held open", async || {
        database.n_waiting(&mut watching).await > 0
    })
    .await;
    let waiting: Vec<_> = (3..=20)
        .map(|originator| {
            let others = others.clone();
            tokio::spawn(async move { others.append(append(originator, 1)).await })
        })
        .collect();
    until("another writer waits for it", async || {
        database.n_waiting(&mut watching).await > 1
    })
    .await;
    assert_eq!(database.recorder().await.head().await.unwrap(), 1);
    assert!(!held.is_finished() && waiting.iter().all(|append| !append.is_finished()));

    gate.execute(&open).await;
    assert_eq!(held.await.unwrap().unwrap().ids, 2..3);
    let mut acknowledged = Vec::new();
    for (originator, append) in (3..).zip(waiting) {
        let id = append.await.unwrap().unwrap().ids.start;
        acknowledged.push((id, event(Uuid::from_u128(originator), 1).event_id));
    }
    ended.store(true, Ordering::SeqCst);
    let reading = reading.await.unwrap();
    reading.check(&acknowledged).unwrap();
    assert_eq!(reading.seen().len(), 20);
}

async fn a_transaction_that_somebody_holds_open_delays_writers_and_loses_nothing(kind: Kind) {
    let database = Database::new(kind);
    let commit = database.commit().await;
    commit.append(append(1, 1)).await.unwrap();
    let mut other = database.session().await;
    let (lock, unlock) = match kind {
        Kind::Postgres => ("BEGIN; LOCK TABLE {events} IN SHARE MODE", "ROLLBACK"),
        Kind::Mysql => ("LOCK TABLES {events} READ", "UNLOCK TABLES"),
    };
    other.execute(&database.sql(lock)).await;
    let waiting: Vec<_> = (2..=20)
        .map(|originator| {
            let commit = commit.clone();
            tokio::spawn(async move { commit.append(append(originator, 1)).await })
        })
        .collect();
    let mut watching = database.session().await;
    until("a writer waits for the lock", async || {
        database.n_waiting(&mut watching).await > 0
    })
    .await;
    assert_eq!(commit.recorder().head().await.unwrap(), 1);
    assert!(waiting.iter().all(|append| !append.is_finished()));
    other.execute(unlock).await;
    for append in waiting {
        append.await.unwrap().unwrap();
    }
    let ids: Vec<_> = database.whole_log().await.iter().map(|n| n.id).collect();
    assert_eq!(ids, (1..=20).collect::<Vec<_>>());
}

async fn through_a_network(kind: Kind) -> (Network, Database, Arc<dyn Recorder>) {
    let database = Database::new(kind);
    let network = Network::before(&database).await;
    let recorder = database.through(network.port).recorder().await;
    (network, database, recorder)
}

async fn a_commit_whose_answer_is_lost_is_found_and_not_done_twice(kind: Kind) {
    let (network, database, recorder) = through_a_network(kind).await;
    for version in 1..=5 {
        network.next(Fate::AnswerLost);
        let outcomes = recorder.record(&[append(1, version)]).await.unwrap();
        assert_eq!(outcomes[0].clone().unwrap().ids, version..version + 1);
    }
    assert_eq!(network.cuts(), 5);
    assert_eq!(database.whole_log().await.len(), 5);
}

async fn a_commit_that_the_server_never_heard_is_found_missing_and_done_once(kind: Kind) {
    let (network, database, recorder) = through_a_network(kind).await;
    for version in 1..=5 {
        network.next(Fate::NotHeard);
        let outcomes = recorder.record(&[append(1, version)]).await.unwrap();
        assert_eq!(outcomes[0].clone().unwrap().ids, version..version + 1);
    }
    assert_eq!(network.cuts(), 5);
    network.next(Fate::Passes);
    assert_eq!(database.whole_log().await.len(), 5);
}

async fn a_step_without_events_is_recognized_by_the_position(kind: Kind) {
    let (network, _, recorder) = through_a_network(kind).await;
    for (fate, to) in [(Fate::AnswerLost, 1), (Fate::NotHeard, 2)] {
        network.next(fate);
        let outcomes = recorder.record(&[step("payments", to)]).await.unwrap();
        assert!(outcomes[0].is_ok(), "{outcomes:?}");
        assert_eq!(
            recorder.tracking("payments").await.unwrap(),
            Some(position(to))
        );
    }
    assert_eq!(network.cuts(), 2);
}

const fn position(id: u64) -> Position {
    Position::new(Uuid::from_u128(7), id)
}

/// From the position before, without events.
fn step(follower: &str, to: u64) -> Append {
    Append::default().with_tracking(Tracking {
        follower: follower.to_owned(),
        epoch: position(to).epoch,
        from: (to > 1).then(|| position(to - 1)),
        to,
        event_id: None,
    })
}

/// Somebody has a position that the writer wants, then wants the log's lock, which the writer has. That it is had shows that the
/// server made the writer give way.
async fn a_deadlock_is_answered_by_doing_it_again(kind: Kind) {
    let database = Database::new(kind).with_own_name();
    let recorder = database.recorder().await;
    let followers: Vec<_> = (0..50).map(|n| format!("follower{n}")).collect();
    let steps: Vec<_> = followers.iter().map(|follower| step(follower, 1)).collect();
    recorder.record(&steps).await.unwrap();

    let mut other = database.session().await;
    let begin = match kind {
        Kind::Postgres => "BEGIN",
        Kind::Mysql => "START TRANSACTION",
    };
    other.execute(begin).await;
    // Many rows: the server makes the transaction give way that is easier to undo.
    let change = "UPDATE {tracking} SET position = position + 0, epoch = epoch WHERE follower LIKE 'follower%'";
    let change = match kind {
        Kind::Postgres => change.to_owned(),
        // What changes nothing is not counted.
        Kind::Mysql => format!(
            "{0}; {1}",
            change.replace("+ 0", "+ 1"),
            change.replace("+ 0", "- 1")
        ),
    };
    other.execute(&database.sql(&change)).await;
    let writing = {
        let recorder = Arc::clone(&recorder);
        let mut step = step("follower7", 2);
        step.events = append(1, 1).events;
        tokio::spawn(async move { recorder.record(&[step]).await })
    };
    let mut watching = database.session().await;
    until("the writer waits for the position", async || {
        database.n_waiting(&mut watching).await > 0
    })
    .await;
    database.lock_log(&mut other).await;
    assert!(!writing.is_finished());
    other.execute("COMMIT").await;

    let outcomes = writing.await.unwrap().unwrap();
    assert_eq!(outcomes[0].clone().unwrap().ids, 1..2);
    assert_eq!(
        recorder.tracking("follower7").await.unwrap(),
        Some(position(2))
    );
    assert_eq!(database.whole_log().await.len(), 1);
}

/// The server says so twice, by a trigger that counts where no rollback reaches.
async fn a_serialization_failure_is_answered_by_doing_it_again(kind: Kind) {
    let database = Database::new(kind);
    let commit = database.commit().await;
    let mut session = database.session().await;
    let name = database.name();
    let (prepare, count) = match kind {
        Kind::Postgres => (
            format!(
                "CREATE SEQUENCE {name}.failures;
                 CREATE FUNCTION {name}.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   IF nextval('{name}.failures') <= 2 THEN RAISE EXCEPTION 'twice' USING ERRCODE = '40001'; END IF;
                   RETURN NEW; END $$;
                 CREATE TRIGGER failing AFTER INSERT ON {name}.stored_event
                 FOR EACH STATEMENT EXECUTE FUNCTION {name}.fail()"
            ),
            format!("SELECT last_value FROM {name}.failures"),
        ),
        Kind::Mysql => (
            format!(
                "CREATE TABLE {name}_failures (n BIGINT) ENGINE = MyISAM;
                 INSERT INTO {name}_failures VALUES (0);
                 CREATE TRIGGER {name}_failing AFTER INSERT ON {name}_stored_event FOR EACH ROW BEGIN
                   UPDATE {name}_failures SET n = n + 1;
                   IF (SELECT n FROM {name}_failures) <= 2 THEN
                     SIGNAL SQLSTATE '40001' SET MESSAGE_TEXT = 'twice', MYSQL_ERRNO = 1213; END IF; END"
            ),
            format!("SELECT n FROM {name}_failures"),
        ),
    };
    session.execute(&prepare).await;
    assert_eq!(commit.append(append(1, 1)).await.unwrap().ids, 1..2);
    assert_eq!(session.number(&count).await, 3, "attempts");
    assert_eq!(database.whole_log().await.len(), 1);
}

async fn a_lock_that_is_not_had_in_time_is_unavailable_and_nothing_is_recorded(kind: Kind) {
    let database = Database::new(kind).with_own_name().with("max_lock_secs=1");
    let recorder = database.recorder().await;
    recorder.record(&[append(1, 1)]).await.unwrap();
    // On PostgreSQL it is found by a writer that has it or waits for it.
    let (mut other, mut watching) = (database.session().await, database.session().await);
    hold_the_lock(&database, &mut other, &mut watching, &recorder).await;

    let refused = recorder.record(&[append(2, 1)]).await.unwrap_err();
    let reason = reason(&refused);
    assert!(
        reason.contains("another writer holds the log's lock"),
        "{reason}"
    );
    assert_eq!(recorder.head().await.unwrap(), 1);
    other.execute("ROLLBACK").await;
    recorder.record(&[append(2, 1)]).await.unwrap();
    assert_eq!(database.whole_log().await.len(), 2);
}

/// Takes the log's lock while nobody has it.
async fn hold_the_lock(
    database: &Database,
    other: &mut crate::database::Session,
    watching: &mut crate::database::Session,
    recorder: &Arc<dyn Recorder>,
) {
    match database.kind {
        Kind::Mysql => {
            other.execute("START TRANSACTION").await;
            database.lock_log(other).await;
        }
        Kind::Postgres => {
            // The key of the lock is known from a writer that has it: one that waits for the table.
            watching
                .execute(&database.sql("BEGIN; LOCK TABLE {events} IN SHARE MODE"))
                .await;
            let writing = {
                let recorder = Arc::clone(recorder);
                tokio::spawn(async move { recorder.record(&[append(9, 1)]).await })
            };
            let mut third = database.session().await;
            until("a writer has the lock", async || {
                database.n_waiting(&mut third).await > 0
            })
            .await;
            other.execute("BEGIN").await;
            // Had once the writer has given up waiting for the table.
            database.lock_log(other).await;
            assert!(writing.await.unwrap().is_err());
            watching.execute("ROLLBACK").await;
        }
    }
}

async fn a_read_that_takes_too_long_is_ended_by_the_server_and_says_so(kind: Kind) {
    let database = Database::new(kind).with("max_read_secs=1");
    let recorder = database.recorder().await;
    recorder.record(&[append(1, 1)]).await.unwrap();
    let mut other = database.session().await;
    let (lock, unlock) = match kind {
        Kind::Postgres => (
            "BEGIN; LOCK TABLE {events} IN ACCESS EXCLUSIVE MODE",
            "ROLLBACK",
        ),
        Kind::Mysql => ("LOCK TABLES {events} WRITE", "UNLOCK TABLES"),
    };
    other.execute(&database.sql(lock)).await;
    let refused = recorder.select_notifications(1, 10).await.unwrap_err();
    let reason = reason(&refused);
    assert!(
        reason.contains("longer than the server may take"),
        "{reason}"
    );
    other.execute(unlock).await;
    assert_eq!(recorder.select_notifications(1, 10).await.unwrap().len(), 1);
}

async fn a_write_that_takes_too_long_is_ended_by_the_server_and_says_so(kind: Kind) {
    let database = Database::new(kind).with("max_write_secs=1");
    let recorder = database.recorder().await;
    recorder.record(&[append(1, 1)]).await.unwrap();
    let mut other = database.session().await;
    let (lock, unlock) = match kind {
        Kind::Postgres => ("BEGIN; LOCK TABLE {events} IN SHARE MODE", "ROLLBACK"),
        Kind::Mysql => ("LOCK TABLES {events} READ", "UNLOCK TABLES"),
    };
    other.execute(&database.sql(lock)).await;
    let refused = recorder.record(&[append(1, 2)]).await.unwrap_err();
    let reason = reason(&refused);
    assert!(
        reason.contains("longer than the server may take"),
        "{reason}"
    );
    other.execute(unlock).await;
    recorder.record(&[append(1, 2)]).await.unwrap();
    assert_eq!(database.whole_log().await.len(), 2);
}

/// MySQL's way: a lock is asked for again, by another connection, as long as the retries last.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_had_in_time_is_asked_for_again_on_mysql() {
    let database = Database::new(Kind::Mysql).with("max_lock_secs=1");
    let recorder = database.recorder().await;
    let mut other = database.session().await;
    other.execute("START TRANSACTION").await;
    database.lock_log(&mut other).await;
    let writing = tokio::spawn(async move { recorder.record(&[append(1, 1)]).await });
    let mut watching = database.session().await;
    let who = format!(
        "SELECT CAST(COALESCE(MAX(trx_mysql_thread_id), 0) AS SIGNED) FROM information_schema.innodb_trx
         WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE '%{}%'",
        database.name()
    );
    let mut first = 0;
    until("it is asked for again", async || {
        let waits = watching.number_of_waits(&who).await;
        if first == 0 {
            first = waits;
        }
        waits != 0 && waits != first
    })
    .await;
    other.execute("ROLLBACK").await;
    let outcomes = writing.await.unwrap().unwrap();
    assert_eq!(outcomes[0].clone().unwrap().ids, 1..2);
}
