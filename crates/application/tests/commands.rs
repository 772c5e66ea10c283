//! Commands through an application, on a memory recorder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use boxes_application::{App, AppOptions, Error, History, RecordedEvent};
use boxes_domain::{Aggregate, Event, Id};
use boxes_mapper::{Mapper, Topics};
use boxes_recorder::{
    GroupCommit, GroupCommitBounds, LogIdentity, MemoryRecorder, Recorder, StreamRange,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "bank.account", crate = "boxes_domain")]
enum AccountEvent {
    Opened,
    Deposited {
        amount: u32,
    },
    Withdrawn {
        amount: u32,
    },
    /// JSON has no form for such a map.
    Noted(BTreeMap<(u32, u32), u32>),
    #[event(discards)]
    Closed,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Account {
    balance: u32,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the balance is {balance}")]
struct Overdrawn {
    balance: u32,
}

impl Aggregate for Account {
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { amount } => self.balance += amount,
            AccountEvent::Withdrawn { amount } => self.balance -= amount,
            AccountEvent::Opened | AccountEvent::Noted(_) | AccountEvent::Closed => {}
        }
    }
}

impl Account {
    fn deposit(amount: u32) -> impl Fn(&Self) -> AccountEvent {
        move |_| AccountEvent::Deposited { amount }
    }

    fn withdraw(amount: u32) -> impl Fn(&Self) -> Result<AccountEvent, Overdrawn> {
        move |account| {
            if account.balance < amount {
                Err(Overdrawn {
                    balance: account.balance,
                })
            } else {
                Ok(AccountEvent::Withdrawn { amount })
            }
        }
    }
}

fn recorder() -> Arc<dyn Recorder> {
    let page_size = NonZeroU32::new(20).unwrap();
    Arc::new(MemoryRecorder::new(LogIdentity {
        name: "bank".into(),
        epoch: Uuid::from_u128(1),
        page_size,
    }))
}

async fn app_on(recorder: &Arc<dyn Recorder>) -> App {
    app_that_keeps(recorder, AppOptions::default().max_cached_aggregates).await
}

async fn app_that_keeps(recorder: &Arc<dyn Recorder>, max_cached_aggregates: usize) -> App {
    let mut topics = Topics::default();
    topics.register::<AccountEvent>().unwrap();
    let writer = GroupCommit::start(Arc::clone(recorder), GroupCommitBounds::default())
        .await
        .unwrap();
    App::new(
        writer,
        AppOptions {
            topics,
            max_cached_aggregates,
            redactable: true,
            ..AppOptions::default()
        },
    )
}

async fn app() -> App {
    app_on(&recorder()).await
}

fn account(name: &str) -> Id<Account> {
    Id::named(name)
}

#[tokio::test]
async fn a_command_is_recorded_and_its_state_can_be_read() {
    let app = app().await;
    let id = app.new_id();
    app.create(id, AccountEvent::Opened).await.unwrap();
    app.update(id, Account::deposit(5)).await.unwrap();
    app.update(id, Account::withdraw(2)).await.unwrap();
    assert_eq!(app.get(id).await.unwrap(), Account { balance: 3 });
    let history = app.history(id).take(u64::MAX).await.unwrap();
    assert_eq!(
        history.iter().map(|r| r.version).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(history[2].event, AccountEvent::Withdrawn { amount: 2 });
    assert_eq!(history[2].topic, "bank.account.withdrawn");
}

#[tokio::test]
async fn a_refused_command_records_nothing_and_gives_the_domains_own_error() {
    let app = app().await;
    let id = account("a");
    app.create(id, AccountEvent::Opened).await.unwrap();
    let error = app.update(id, Account::withdraw(1)).await.unwrap_err();
    assert!(
        matches!(error, Error::Rejected(r) if r.downcast_ref() == Some(&Overdrawn { balance: 0 }))
    );
    assert_eq!(app.history(id).take(u64::MAX).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_there_what_is_there_and_what_is_gone_are_distinct_errors() {
    let app = app().await;
    let id = account("a");
    assert!(matches!(
        app.get(id).await,
        Err(Error::NotFound {
            aggregate: "Account",
            ..
        })
    ));
    assert!(matches!(
        app.update(id, Account::deposit(1)).await,
        Err(Error::NotFound { .. })
    ));
    app.create(id, AccountEvent::Opened).await.unwrap();
    assert!(matches!(
        app.create(id, AccountEvent::Opened).await,
        Err(Error::AlreadyExists { .. })
    ));
    app.update(id, |_: &Account| AccountEvent::Closed)
        .await
        .unwrap();
    assert!(matches!(app.get(id).await, Err(Error::Discarded { .. })));
    assert!(matches!(
        app.update(id, Account::deposit(1)).await,
        Err(Error::Discarded { .. })
    ));
    app.create(id, AccountEvent::Opened).await.unwrap();
    assert_eq!(app.get(id).await.unwrap(), Account { balance: 0 });
    assert_eq!(app.history(id).take(u64::MAX).await.unwrap().len(), 3);
}

#[tokio::test]
async fn an_upsert_finds_what_another_process_began() {
    let recorder = recorder();
    let (one, other) = (app_on(&recorder).await, app_on(&recorder).await);
    for app in [&one, &other, &one] {
        app.upsert(account("a"), Account::deposit(2)).await.unwrap();
    }
    assert_eq!(other.get(account("a")).await.unwrap().balance, 6);
    assert!(matches!(
        one.upsert(account("b"), Account::withdraw(1)).await,
        Err(Error::Rejected(_))
    ));
}

#[tokio::test]
async fn two_processes_that_create_the_same_are_told_apart_without_a_look_beforehand() {
    let recorder = recorder();
    let (one, other) = (app_on(&recorder).await, app_on(&recorder).await);
    one.create(account("a"), AccountEvent::Opened)
        .await
        .unwrap();
    assert!(matches!(
        other.create(account("a"), AccountEvent::Opened).await,
        Err(Error::AlreadyExists { .. })
    ));
}

#[tokio::test]
async fn what_exists_is_not_created_again_in_a_transaction_of_an_app_that_keeps_nothing() {
    let recorder = recorder();
    let (one, other) = (app_on(&recorder).await, app_that_keeps(&recorder, 0).await);
    one.create(account("a"), AccountEvent::Opened)
        .await
        .unwrap();
    let created = other
        .transaction(|app| async move { app.create(account("a"), AccountEvent::Opened).await })
        .await;
    assert!(
        matches!(created, Err(Error::AlreadyExists { .. })),
        "{created:?}"
    );
}

#[tokio::test]
async fn creating_what_exists_with_nothing_to_record_is_refused_as_well() {
    let recorder = recorder();
    let (one, other) = (app_on(&recorder).await, app_on(&recorder).await);
    one.create(account("a"), AccountEvent::Opened)
        .await
        .unwrap();
    let created = other.create(account("a"), ()).await;
    assert!(
        matches!(created, Err(Error::AlreadyExists { .. })),
        "{created:?}"
    );
    other.create(account("b"), ()).await.unwrap();
}

#[tokio::test]
async fn an_event_that_cannot_be_written_leaves_no_trace_in_what_is_kept() {
    let app = app().await;
    let (a, b) = (account("a"), account("b"));
    app.create(a, AccountEvent::Opened).await.unwrap();
    app.transaction(|app| async move {
        app.create(b, AccountEvent::Opened).await?;
        let noted = [
            AccountEvent::Deposited { amount: 7 },
            AccountEvent::Noted([((1, 1), 1)].into()),
        ];
        let refused = app.update(a, |_: &Account| noted.clone()).await;
        assert!(matches!(refused, Err(Error::Mapper(_))), "{refused:?}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(app.get(a).await.unwrap().balance, 0);
    assert_eq!(app.history(a).take(u64::MAX).await.unwrap().len(), 1);
    app.update(a, Account::deposit(1)).await.unwrap();
    assert_eq!(app.get(a).await.unwrap().balance, 1);
}

#[tokio::test]
async fn a_decision_on_a_kept_state_that_others_have_changed_is_made_again() {
    let recorder = recorder();
    let (one, other) = (app_on(&recorder).await, app_on(&recorder).await);
    let id = account("a");
    one.create(id, AccountEvent::Opened).await.unwrap();
    other.update(id, Account::deposit(5)).await.unwrap();
    // `one` keeps a balance of 0. It must neither refuse on that, nor show it.
    one.update(id, Account::withdraw(5)).await.unwrap();
    assert_eq!(other.get(id).await.unwrap().balance, 0);
    other.update(id, Account::deposit(7)).await.unwrap();
    assert_eq!(one.get(id).await.unwrap().balance, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_when_many_change_one_aggregate_in_two_processes() {
    let recorder = recorder();
    let apps = [app_on(&recorder).await, app_on(&recorder).await];
    let id = account("a");
    apps[0].create(id, AccountEvent::Opened).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let app = apps[n % 2].clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    while let Err(error) = app.update(id, Account::deposit(1)).await {
                        assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(apps[0].get(id).await.unwrap().balance, 160);
    assert_eq!(apps[1].history(id).take(u64::MAX).await.unwrap().len(), 161);
}

#[tokio::test]
async fn a_transaction_is_recorded_as_a_whole_or_not_at_all_and_its_commands_see_each_other() {
    let app = app().await;
    let (from, to) = (account("from"), account("to"));
    for id in [from, to] {
        app.create(id, AccountEvent::Opened).await.unwrap();
    }
    app.update(from, Account::deposit(10)).await.unwrap();
    let transfer = |amount| {
        let app = app.clone();
        async move {
            app.transaction(move |app| async move {
                app.update(to, Account::deposit(amount)).await?;
                app.update(from, Account::withdraw(amount)).await?;
                app.get(from).await
            })
            .await
        }
    };
    assert_eq!(transfer(4).await.unwrap().value.balance, 6);
    assert!(matches!(transfer(7).await, Err(Error::Rejected(_))));
    assert_eq!(
        (
            app.get(from).await.unwrap().balance,
            app.get(to).await.unwrap().balance
        ),
        (6, 4)
    );
}

#[tokio::test]
async fn a_transaction_is_decided_again_when_others_changed_what_it_touched() {
    let recorder = recorder();
    let (one, other) = (app_on(&recorder).await, app_on(&recorder).await);
    let id = account("a");
    one.create(id, AccountEvent::Opened).await.unwrap();
    let n_runs = Arc::new(AtomicU32::new(0));
    one.transaction(|app| {
        let (other, n_runs) = (other.clone(), Arc::clone(&n_runs));
        async move {
            app.update(id, Account::deposit(1)).await?;
            if n_runs.fetch_add(1, Ordering::SeqCst) == 0 {
                other.update(id, Account::deposit(10)).await?;
            }
            Ok(())
        }
    })
    .await
    .unwrap();
    assert_eq!(
        (
            n_runs.load(Ordering::SeqCst),
            one.get(id).await.unwrap().balance
        ),
        (2, 11)
    );
}

#[tokio::test]
async fn an_app_that_was_kept_beyond_its_transaction_takes_no_command() {
    let app = app().await;
    let kept = app.transaction(|app| async move { Ok(app) }).await;
    let kept = kept.unwrap().value;
    assert!(matches!(
        kept.create(account("a"), AccountEvent::Opened).await,
        Err(Error::TransactionEnded)
    ));
}

#[tokio::test]
async fn an_aggregate_that_is_not_declared_is_refused_with_what_to_write() {
    let writer = GroupCommit::start(recorder(), GroupCommitBounds::default())
        .await
        .unwrap();
    let app = App::new(writer, AppOptions::default());
    let error = app
        .create(account("a"), AccountEvent::Opened)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(".aggregate::<Account>()") && error.contains("`bank`"),
        "{error}"
    );
}

#[tokio::test]
async fn what_follows_from_one_command_shares_a_correlation() {
    let app = app().await;
    let id = account("a");
    app.create(
        id,
        [AccountEvent::Opened, AccountEvent::Deposited { amount: 1 }],
    )
    .await
    .unwrap();
    let stored = recorder_of(&app).await;
    let correlation =
        |n: usize| boxes_mapper::Metadata::from_bytes(&stored[n].event.metadata).correlation_id;
    assert_eq!(correlation(0), Some(stored[0].event.event_id));
    assert_eq!(correlation(1), Some(stored[0].event.event_id));
}

async fn recorder_of(app: &App) -> Vec<boxes_recorder::Notification> {
    use boxes_notification_log::NotificationLog;
    app.notification_log().current().await.unwrap().items
}

#[tokio::test]
async fn what_is_decided_twice_has_the_same_ids_if_they_are_to_follow_from_it() {
    async fn ids(mapper: Mapper, amount: u32) -> Vec<Uuid> {
        let recorder = recorder();
        let mut topics = Topics::default();
        topics.register::<AccountEvent>().unwrap();
        let writer = GroupCommit::start(Arc::clone(&recorder), GroupCommitBounds::default());
        let app = App::new(
            writer.await.unwrap(),
            AppOptions {
                topics,
                mapper,
                ..AppOptions::default()
            },
        );
        app.create(account("a"), AccountEvent::Opened)
            .await
            .unwrap();
        app.update(account("a"), Account::deposit(amount))
            .await
            .unwrap();
        let stored = recorder.select_events(account("a").uuid(), StreamRange::ALL);
        let stored = stored.await.unwrap();
        stored.iter().map(|event| event.event_id).collect()
    }
    let of_content = || Mapper::default().with_content_ids();
    let (one, other) = (ids(of_content(), 5).await, ids(of_content(), 5).await);
    assert_eq!(one, other);
    assert_ne!(one[0], one[1]);
    let different = ids(of_content(), 6).await;
    assert_eq!(different[0], one[0]);
    assert_ne!(different[1], one[1]);
    assert_ne!(
        ids(Mapper::default(), 5).await,
        ids(Mapper::default(), 5).await
    );
}

#[tokio::test]
async fn what_was_deleted_takes_no_command_and_shows_nothing_and_its_id_is_not_used_again() {
    let app = app().await;
    let id = account("a");
    app.create(id, AccountEvent::Opened).await.unwrap();
    app.update(id, Account::deposit(5)).await.unwrap();
    assert_eq!(app.delete(id).await.unwrap(), 2);
    let is_deleted = |error| matches!(error, Error::Deleted { id } if id == account("a").uuid());
    assert!(is_deleted(app.get(id).await.unwrap_err()));
    assert!(is_deleted(
        app.update(id, Account::deposit(1)).await.unwrap_err()
    ));
    assert!(is_deleted(
        app.upsert(id, Account::deposit(1)).await.unwrap_err()
    ));
    assert!(is_deleted(
        app.create(id, AccountEvent::Opened).await.unwrap_err()
    ));
    assert!(is_deleted(app.history(id).take(1).await.unwrap_err()));
    let both = app.transaction(|app| async move {
        app.create(account("b"), AccountEvent::Opened).await?;
        app.update(account("a"), Account::deposit(1)).await
    });
    assert!(is_deleted(both.await.unwrap_err()));
    assert!(matches!(
        app.get(account("b")).await,
        Err(Error::NotFound { .. })
    ));
    assert_eq!(app.delete(id).await.unwrap(), 2);
    assert_eq!(app.delete(account("c")).await.unwrap(), 0);
    app.create(account("c"), AccountEvent::Opened)
        .await
        .unwrap();
    let log = recorder_of(&app).await;
    let redacted = log.iter().map(|found| found.event.is_redacted());
    assert_eq!(redacted.collect::<Vec<_>>(), [true, true, false]);
}

#[tokio::test]
async fn what_another_process_deleted_is_gone_here_too_though_it_was_kept() {
    let recorder = recorder();
    let (one, other) = (app_on(&recorder).await, app_on(&recorder).await);
    for name in ["a", "b", "c", "d"] {
        one.create(account(name), AccountEvent::Opened)
            .await
            .unwrap();
        other.delete(account(name)).await.unwrap();
    }
    let is_deleted = |error| matches!(error, Some(Error::Deleted { .. }));
    assert!(is_deleted(one.get(account("a")).await.err()));
    // Decided on what is kept, and refused by the commit; and what is refused on what is kept.
    assert!(is_deleted(
        one.update(account("b"), Account::deposit(1)).await.err()
    ));
    assert!(is_deleted(
        one.update(account("c"), Account::withdraw(1)).await.err()
    ));
    assert!(is_deleted(
        one.create(account("d"), AccountEvent::Opened).await.err()
    ));
    assert!(is_deleted(one.get(account("b")).await.err()));
}

#[tokio::test]
async fn a_box_deletes_only_where_its_log_is_redactable_and_says_what_to_write() {
    let mut topics = Topics::default();
    topics.register::<AccountEvent>().unwrap();
    let writer = GroupCommit::start(recorder(), GroupCommitBounds::default())
        .await
        .unwrap();
    let options = AppOptions {
        topics,
        ..AppOptions::default()
    };
    let app = App::new(writer, options);
    let id = account("a");
    app.create(id, AccountEvent::Opened).await.unwrap();
    let error = app.delete(id).await.unwrap_err().to_string();
    for part in ["`bank`", ".redactable()", "--redactable"] {
        assert!(error.contains(part), "{error}");
    }
    app.get(id).await.unwrap();
}

#[tokio::test]
async fn a_history_is_read_page_by_page_from_either_end_and_in_part() {
    let app = app().await;
    let id = account("a");
    app.create(id, AccountEvent::Opened).await.unwrap();
    for _ in 0..4 {
        let deposits = |_: &Account| vec![AccountEvent::Deposited { amount: 1 }; 251];
        app.update(id, deposits).await.unwrap();
    }
    let versions = |page: Vec<RecordedEvent<AccountEvent>>| -> Vec<u64> {
        page.into_iter().map(|recorded| recorded.version).collect()
    };
    let pages = async |mut history: History<AccountEvent>| {
        let mut pages = Vec::new();
        while let Some(page) = history.next_page().await.unwrap() {
            pages.push(versions(page));
        }
        pages
    };
    let all = pages(app.history(id)).await;
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 5]);
    assert_eq!(all.concat(), (1..=1005).collect::<Vec<_>>());
    let newest_first = StreamRange::newest(u64::MAX);
    let all = pages(app.history(id).within(newest_first)).await;
    assert_eq!(all.concat(), (1..=1005).rev().collect::<Vec<_>>());
    let full = StreamRange {
        until: 1000,
        ..StreamRange::ALL
    };
    let full = pages(app.history(id).within(full)).await;
    assert_eq!(full.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500]);
    let part = StreamRange {
        limit: 600,
        ..StreamRange::after(300)
    };
    let part = pages(app.history(id).within(part)).await;
    assert_eq!(part.concat(), (301..=900).collect::<Vec<_>>());
    let taken = app.history(id).within(newest_first).take(2).await.unwrap();
    assert_eq!(versions(taken), [1005, 1004]);
    assert_eq!(pages(app.history(account("none"))).await.len(), 0);
}

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "bank.card", crate = "boxes_domain")]
enum CardEvent {
    Issued,
}

#[derive(Debug, Default, Clone)]
struct Card;

impl Aggregate for Card {
    type Event = CardEvent;
    fn apply(&mut self, _: &CardEvent) {}
}

async fn app_with_cards(recorder: &Arc<dyn Recorder>) -> App {
    let mut topics = Topics::default();
    topics.register::<AccountEvent>().unwrap();
    topics.register::<CardEvent>().unwrap();
    let writer = GroupCommit::start(Arc::clone(recorder), GroupCommitBounds::default());
    let options = AppOptions {
        topics,
        redactable: true,
        ..AppOptions::default()
    };
    App::new(writer.await.unwrap(), options)
}

#[tokio::test]
async fn an_id_is_of_one_kind_and_another_kind_finds_nothing_and_creates_nothing() {
    let recorder = recorder();
    let (one, other) = (
        app_with_cards(&recorder).await,
        app_with_cards(&recorder).await,
    );
    let (account, card) = (account("a"), Id::<Card>::named("a"));
    one.create(account, AccountEvent::Opened).await.unwrap();
    // `one` keeps the account, `other` has never seen it.
    for app in [&one, &other] {
        let issue = |_: &Card| CardEvent::Issued;
        let absent = [
            app.get(card).await.err(),
            app.update(card, issue).await.err(),
        ];
        for error in absent {
            assert!(
                matches!(
                    error,
                    Some(Error::NotFound {
                        aggregate: "Card",
                        ..
                    })
                ),
                "{error:?}"
            );
        }
        assert_eq!(app.history(card).take(9).await.unwrap(), []);
        assert_eq!(app.delete(card).await.unwrap(), 0);
        let refused = [
            app.create(card, CardEvent::Issued).await.err(),
            app.upsert(card, issue).await.err(),
            app.transaction(|app| async move { app.create(card, CardEvent::Issued).await })
                .await
                .err(),
        ];
        for error in refused {
            let error = error.unwrap();
            assert!(matches!(error, Error::OtherKind { .. }), "{error:?}");
            let text = error.to_string();
            assert!(
                text.contains("Card") && text.contains("`bank.account`"),
                "{text}"
            );
        }
        app.get(account).await.unwrap();
    }
    assert_eq!(recorder.head().await.unwrap(), 1);
}

#[tokio::test]
async fn two_kinds_under_one_id_in_one_transaction_are_refused_as_in_two() {
    let app = app_with_cards(&recorder()).await;
    let (account, card) = (account("a"), Id::<Card>::named("a"));
    let both = app.transaction(|app| async move {
        app.create(account, AccountEvent::Opened).await?;
        assert!(matches!(app.get(card).await, Err(Error::NotFound { .. })));
        assert_eq!(app.history(card).take(9).await?, []);
        assert_eq!(app.delete(card).await?, 0);
        app.create(card, CardEvent::Issued).await
    });
    let error = both.await.unwrap_err();
    assert!(matches!(error, Error::OtherKind { .. }), "{error:?}");
}

#[tokio::test]
async fn what_another_replica_discarded_is_created_again_at_the_first_try() {
    let recorder = recorder();
    let (one, other) = (app_on(&recorder).await, app_on(&recorder).await);
    for app in [&other, &app_on(&recorder).await] {
        let id = account("a");
        one.create(id, AccountEvent::Opened).await.unwrap();
        one.update(id, |_: &Account| AccountEvent::Closed)
            .await
            .unwrap();
        // The first of them never saw it, and keeps it afterwards.
        let created = app.create(id, AccountEvent::Opened).await.unwrap();
        assert_eq!(created.events, [AccountEvent::Opened]);
        app.update(id, |_: &Account| AccountEvent::Closed)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_command_returns_what_it_recorded() {
    let app = app().await;
    let id = account("a");
    let created = app.create(id, AccountEvent::Opened).await.unwrap();
    assert_eq!((created.id, created.version), (id, 1));
    assert_eq!(
        (created.notifications, created.events),
        (Some(1..2), vec![AccountEvent::Opened])
    );
    let twice = |_: &Account| vec![AccountEvent::Deposited { amount: 2 }; 2];
    let updated = app.update(id, twice).await.unwrap();
    assert_eq!(
        (updated.version, updated.state.balance, updated.position()),
        (3, 4, Some(3))
    );
    assert_eq!(
        (updated.events, updated.notifications),
        (twice(&Account::default()), Some(2..4))
    );
    let nothing = app.upsert(id, |_: &Account| ()).await.unwrap();
    assert_eq!(
        (nothing.version, nothing.state.balance, nothing.position()),
        (3, 4, None)
    );
    let committed = app
        .transaction(|app| async move {
            app.update(id, Account::deposit(1)).await?;
            app.create(account("b"), AccountEvent::Opened).await
        })
        .await
        .unwrap();
    assert_eq!(
        (committed.notifications.clone(), committed.position()),
        (Some(4..6), Some(5))
    );
    // Within the transaction it is not known yet.
    assert_eq!(
        (committed.value.version, committed.value.notifications),
        (1, None)
    );
    let looked = app
        .transaction(|app| async move { app.get(id).await })
        .await
        .unwrap();
    assert_eq!((looked.value.balance, looked.notifications), (5, None));
}

#[tokio::test]
async fn an_aggregate_is_read_to_its_end_however_many_events_it_has() {
    let recorder = recorder();
    let (one, other) = (app_on(&recorder).await, app_on(&recorder).await);
    let id = account("a");
    for _ in 0..3 {
        let deposits = |_: &Account| vec![AccountEvent::Deposited { amount: 1 }; 700];
        one.upsert(id, deposits).await.unwrap();
    }
    assert_eq!(other.get(id).await.unwrap().balance, 2_100);
    assert_eq!(
        other.update(id, Account::deposit(1)).await.unwrap().version,
        2_101
    );
}
