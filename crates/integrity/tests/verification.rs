//! An attacker changes a sealed log, and is found.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxes_integrity::{
    Chain, Finding, Remembered, Report, Seal, Seals, SignedDeletion, SigningKey, Tampering,
    Verification, VerifyingKey,
};
use boxes_notification_log::{
    LogDescription, LogError, NotificationLog, Section, SectionId, SectionLink,
};
use boxes_recorder::{Encoding, LogIdentity, Notification, StoredEvent};
use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIA5rZN5RZcX/YDfrQrXncQPP8qp3B+GUaqLq5sjBYxhH
-----END PRIVATE KEY-----";
const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIH/9/baAJS6F6/abm5mwU4siaSzYv+glnlYUztQgNKYs
-----END PRIVATE KEY-----";

/// A log of 23 events in pages of 5, and the seals of the four that are archived: what an attacker has at hand.
#[derive(Debug, Clone)]
struct Written {
    log: LogIdentity,
    rows: Vec<(u64, StoredEvent)>,
    seals: BTreeMap<u64, Bytes>,
    deletions: Vec<Bytes>,
}

fn key(pem: &str) -> SigningKey {
    SigningKey::from_pem(pem).unwrap()
}

fn event(n: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::from_u128(u128::from(n)),
        originator_id: Uuid::from_u128(u128::from(n % 3)),
        originator_version: n / 3 + 1,
        topic: "orders.order.placed".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: Bytes::from(format!("{{\"n\":{n}}}")),
        metadata: Bytes::from_static(b"{\"correlation_id\":\"c\"}"),
        occurred_on: Timestamp::from_microsecond(1_000_000).unwrap(),
    }
}

impl Written {
    fn unsealed() -> Self {
        Self {
            log: LogIdentity {
                name: "orders".to_owned(),
                epoch: Uuid::from_u128(7),
                page_size: NonZeroU32::new(5).unwrap(),
            },
            rows: (1..=23).map(|n| (n, event(n))).collect(),
            seals: BTreeMap::new(),
            deletions: Vec::new(),
        }
    }

    fn sealed(key: Option<&SigningKey>) -> Self {
        let mut written = Self::unsealed();
        written.seal_anew(key);
        written
    }

    /// Seals all that is archived anew.
    fn seal_anew(&mut self, key: Option<&SigningKey>) {
        self.seals.clear();
        let mut chain = Chain::of(&self.log);
        let mut page = SectionId::first(self.log.page_size);
        while let Some(seal) = Seal::of(&self.read(page).unwrap(), chain, key) {
            self.seals.insert(page.low(), seal.to_bytes().into());
            chain = seal.after();
            page = page.next();
        }
    }

    fn last(&self) -> u64 {
        self.rows.iter().map(|(id, _)| *id).max().unwrap_or(0)
    }

    fn read(&self, id: SectionId) -> Result<Section, LogError> {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|(id, _)| *id);
        let items = rows
            .into_iter()
            .filter(|(row, _)| (id.low()..=id.high()).contains(row))
            .map(|(id, event)| Notification { id, event })
            .collect();
        Section::new(self.log.clone(), id, items, self.last())
    }

    fn row(&mut self, id: u64) -> &mut StoredEvent {
        &mut self.rows.iter_mut().find(|(row, _)| *row == id).unwrap().1
    }

    /// Takes a row out, and lets the later ones move up.
    fn remove(&mut self, id: u64) {
        self.rows.retain(|(row, _)| *row != id);
        for (row, _) in self.rows.iter_mut().filter(|(row, _)| *row > id) {
            *row -= 1;
        }
    }

    /// Puts a row in, and lets the later ones move down.
    fn insert(&mut self, id: u64, event: StoredEvent) {
        for (row, _) in self.rows.iter_mut().filter(|(row, _)| *row >= id) {
            *row += 1;
        }
        self.rows.push((id, event));
    }

    fn swap(&mut self, a: u64, b: u64) {
        for (row, _) in &mut self.rows {
            if *row == a {
                *row = b;
            } else if *row == b {
                *row = a;
            }
        }
    }

    async fn verify(&self, verification: &Verification) -> Report {
        let report = verification.run(self, self, |_, _| {}).await;
        report.unwrap()
    }

    /// What is found by who trusts the key of the log.
    async fn found(&self) -> Option<Finding> {
        self.verify(&trusting(&[KEY])).await.finding
    }
}

fn trusting(keys: &[&str]) -> Verification {
    let verifying = |pem: &&str| key(pem).verifying_key();
    Verification {
        trusted: keys.iter().map(verifying).collect::<Vec<VerifyingKey>>(),
        ..Verification::default()
    }
}

#[async_trait]
impl NotificationLog for Written {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        Ok(LogDescription {
            log: self.log.clone(),
            first_available: 1,
            last: self.last(),
            n_redacted: 0,
        })
    }

    async fn current(&self) -> Result<Section, LogError> {
        self.read(SectionId::containing(self.last(), self.log.page_size))
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        self.read(link.id.on_grid(self.log.page_size)?)
    }

    async fn wait(&self, after: u64, _: Duration) -> Result<bool, LogError> {
        Ok(self.last() > after)
    }
}

#[async_trait]
impl Seals for Written {
    async fn seal(&self, page: SectionId) -> Result<Option<Bytes>, LogError> {
        Ok(self.seals.get(&page.low()).cloned())
    }

    async fn deletions(&self) -> Result<Option<Vec<Bytes>>, LogError> {
        Ok(Some(self.deletions.clone()))
    }
}

fn finding(id: u64, tampering: Tampering) -> Option<Finding> {
    Some(Finding { id, tampering })
}

#[tokio::test]
async fn a_log_that_nobody_changed_is_whole_up_to_its_last_archived_page() {
    let signing = key(KEY);
    let mut seen = Vec::new();
    let written = Written::sealed(Some(&signing));
    let report = trusting(&[KEY])
        .run(&written, &written, |read, of| seen.push((read, of)))
        .await
        .unwrap();
    assert_eq!(report.finding, None);
    assert_eq!(
        (report.last, report.verified.id, report.signed_through),
        (23, 20, 20)
    );
    assert_eq!(report.signers, [signing.verifying_key()]);
    assert_eq!(seen, [(5, 23), (10, 23), (15, 23), (20, 23), (23, 23)]);
    // The chain alone, and a log that is not sealed at all.
    let report = Written::sealed(None).verify(&Verification::default()).await;
    assert_eq!((report.finding, report.verified.id), (None, 20));
    assert_eq!(report.signed_through, 0);
    let report = Written::unsealed().verify(&Verification::default()).await;
    assert_eq!((report.finding, report.verified.id), (None, 0));
    assert_eq!(report.last, 23);
}

#[tokio::test]
async fn a_change_of_any_field_of_any_sealed_notification_is_found_where_it_is() {
    type Change = (bool, fn(&mut StoredEvent));
    let changes: [Change; 9] = [
        (false, |e| e.event_id = Uuid::from_u128(99)),
        (false, |e| e.originator_id = Uuid::from_u128(99)),
        (false, |e| e.originator_version += 1),
        (false, |e| e.topic = "orders.order.paid".into()),
        (false, |e| e.schema_version = 2),
        (true, |e| e.encoding = Encoding::new("json+zlib")),
        (true, |e| e.state = Bytes::from_static(b"{}")),
        (true, |e| e.metadata = Bytes::from_static(b"{}")),
        (false, |e| {
            e.occurred_on = Timestamp::from_microsecond(1_000_001).unwrap();
        }),
    ];
    let sealed = Written::sealed(Some(&key(KEY)));
    for id in 1..=23 {
        for (place, (content, change)) in changes.iter().enumerate() {
            let mut changed = sealed.clone();
            change(changed.row(id));
            let expected = (id <= 20)
                .then_some(Tampering::Changed { content: *content })
                .and_then(|tampering| finding(id, tampering));
            assert_eq!(changed.found().await, expected, "change {place} of {id}");
        }
    }
}

#[tokio::test]
async fn what_is_removed_leaves_a_hole_or_is_missed_where_it_was() {
    let sealed = Written::sealed(Some(&key(KEY)));
    for id in 1..=20 {
        let mut hole = sealed.clone();
        hole.rows.retain(|(row, _)| *row != id);
        assert_eq!(hole.found().await, finding(id, Tampering::Removed), "{id}");
        let mut moved_up = sealed.clone();
        moved_up.remove(id);
        let found = moved_up.found().await.unwrap();
        assert_eq!(found.id, id);
        // At the end of a page, what moved up from the next one could as well be a change.
        if id % 5 != 0 {
            assert_eq!(found.tampering, Tampering::Removed, "{id}");
        }
    }
}

#[tokio::test]
async fn what_is_inserted_or_moved_is_found_where_it_stands() {
    let sealed = Written::sealed(Some(&key(KEY)));
    for id in 1..=20 {
        let mut inserted = sealed.clone();
        inserted.insert(id, event(99));
        let found = inserted.found().await.unwrap();
        assert_eq!(found.id, id);
        if id % 5 != 0 {
            assert_eq!(found.tampering, Tampering::Inserted, "{id}");
        }
        let mut moved = sealed.clone();
        let with = if id % 5 == 0 { id - 2 } else { id + 1 };
        moved.swap(id, with);
        let sealed_as = id.max(with);
        let expected = finding(id.min(with), Tampering::Reordered { sealed_as });
        assert_eq!(moved.found().await, expected, "{id}");
    }
}

#[tokio::test]
async fn a_log_that_is_cut_is_found_by_its_seals_and_if_they_are_cut_too_by_what_is_remembered() {
    let sealed = Written::sealed(Some(&key(KEY)));
    let remembered = sealed.verify(&trusting(&[KEY])).await.to_remember();
    for last in [0, 3, 5, 14, 15, 16, 19] {
        let mut cut = sealed.clone();
        cut.rows.truncate(usize::try_from(last).unwrap());
        let expected = finding(last + 1, Tampering::Removed);
        assert_eq!(cut.found().await, expected, "{last}");
        // A page that is not archived any more has no seal, nor has what came after it.
        cut.seals.retain(|low, _| low + 4 < last);
        assert_eq!(cut.found().await, None, "{last}");
        let remembering = Verification {
            remembered: remembered.clone(),
            ..trusting(&[KEY])
        };
        let found = cut.verify(&remembering).await.finding.unwrap();
        let kept = u64::try_from(cut.seals.len()).unwrap() * 5;
        assert_eq!(found.id, kept + 1, "{last}");
        assert!(matches!(found.tampering, Tampering::Cut { .. }), "{found}");
    }
}

#[tokio::test]
async fn a_seal_that_is_missing_or_changed_is_found() {
    let sealed = Written::sealed(Some(&key(KEY)));
    let mut missing = sealed.clone();
    missing.seals.remove(&6);
    assert_eq!(missing.found().await, finding(6, Tampering::SealRemoved));
    let text = String::from_utf8(sealed.seals[&6].to_vec()).unwrap();
    for (from, to) in [("\"5b", "x"), ("\"hash\":\"", "\"hash\":\"0")] {
        let mut changed = sealed.clone();
        let text = text.replacen(from, to, 1);
        changed
            .seals
            .insert(6, text.replace("\"6,10\"", "\"6,9\"").into());
        let found = changed.found().await.unwrap();
        assert_eq!(found.id, 6);
        assert!(
            matches!(found.tampering, Tampering::SealDamaged { .. }),
            "{found}"
        );
    }
    // That of another page, and that of another log.
    let mut exchanged = sealed.clone();
    exchanged.seals.insert(6, sealed.seals[&11].clone());
    let found = exchanged.found().await.unwrap();
    assert!(found.id == 6 && found.to_string().contains("another page"));
    let mut elsewhere = Written::unsealed();
    elsewhere.log.epoch = Uuid::from_u128(8);
    elsewhere.seal_anew(Some(&key(KEY)));
    let mut exchanged = sealed.clone();
    exchanged.seals.insert(6, elsewhere.seals[&6].clone());
    let found = exchanged.found().await.unwrap();
    assert!(found.id == 6 && found.to_string().contains("another log"));
}

#[tokio::test]
async fn a_flipped_bit_in_any_byte_of_a_seal_is_found_or_makes_no_difference() {
    let sealed = Written::sealed(Some(&key(KEY)));
    let seal = Seal::from_bytes(
        &sealed.seals[&6],
        &sealed.log,
        SectionId::containing(6, sealed.log.page_size),
    )
    .unwrap();
    for place in 0..sealed.seals[&6].len() {
        for bit in [place % 8, (place + 5) % 8] {
            let mut changed = sealed.clone();
            let mut bytes = sealed.seals[&6].to_vec();
            bytes[place] ^= 1 << bit;
            let page = seal.page();
            // Hexadecimal digits may be capitals.
            let same = Seal::from_bytes(&bytes, &sealed.log, page).as_ref() == Ok(&seal);
            changed.seals.insert(6, bytes.into());
            let found = changed.found().await.map(|finding| finding.id);
            // Without its signature it relies on that of the next page: nothing is lost.
            let covered = changed.seals[&6].len() == sealed.seals[&6].len()
                && Seal::from_bytes(&changed.seals[&6], &sealed.log, page)
                    .is_ok_and(|seal| seal.signed_by().is_none());
            assert!(
                found.is_some_and(|id| (6..=10).contains(&id)) || same || covered,
                "bit {bit} of byte {place}: {found:?}"
            );
        }
    }
}

#[tokio::test]
async fn who_seals_anew_without_the_key_is_found() {
    let sealed = Written::sealed(Some(&key(KEY)));
    let mut forged = sealed.clone();
    forged.row(7).state = Bytes::from_static(b"{\"n\":8}");
    // With a key of the attacker's, and then with none.
    let mut signed = forged.clone();
    signed.seal_anew(Some(&key(OTHER_KEY)));
    let unknown = key(OTHER_KEY).verifying_key();
    let expected = finding(1, Tampering::UnknownKey { key: unknown });
    assert_eq!(signed.found().await, expected);
    let mut unsigned = forged.clone();
    unsigned.seal_anew(None);
    assert_eq!(unsigned.found().await, finding(1, Tampering::Unsigned));
    // From the changed page on, the seal before it left as it was.
    let mut from_there = unsigned.clone();
    from_there.seals.insert(1, sealed.seals[&1].clone());
    assert_eq!(from_there.found().await, finding(6, Tampering::Unsigned));
    // Only the changed page: the next one does not continue it.
    let mut only_there = sealed.clone();
    only_there.rows = forged.rows.clone();
    only_there.seals.insert(6, unsigned.seals[&6].clone());
    let broken = finding(6, Tampering::ChainBroken { at: 11 });
    assert_eq!(only_there.found().await, broken);
    // With the good signature under the forged hash.
    let text = |written: &Written| String::from_utf8(written.seals[&6].to_vec()).unwrap();
    let (_, signature) = text(&sealed)
        .split_once(",\"signed_by\"")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let pasted = text(&unsigned).replace("]}", &format!("],\"signed_by\"{signature}"));
    only_there.seals.insert(6, pasted.into());
    assert_eq!(
        only_there.found().await,
        finding(6, Tampering::BadSignature)
    );
    // All seals taken away.
    let mut stripped = forged;
    stripped.seals.clear();
    assert_eq!(stripped.found().await, finding(1, Tampering::Unsigned));
}

/// What the chain alone does not show, and what does: it is said so in the README.
#[tokio::test]
async fn without_a_key_who_seals_anew_is_found_by_what_is_remembered() {
    let sealed = Written::sealed(None);
    let remembered = sealed
        .verify(&Verification::default())
        .await
        .to_remember()
        .unwrap();
    let mut forged = sealed.clone();
    forged.row(7).state = Bytes::from_static(b"{\"n\":8}");
    forged.seal_anew(None);
    let report = forged.verify(&Verification::default()).await;
    assert_eq!(report.finding, None);
    let remembering = Verification {
        remembered: Some(remembered.clone()),
        ..Verification::default()
    };
    let found = forged.verify(&remembering).await.finding;
    let tampering = Tampering::Rewritten { remembered };
    assert_eq!(found, finding(1, tampering));
    // And a log that has grown since is not one that was rewritten.
    let mut grown = sealed;
    grown.rows.extend((24..=41).map(|n| (n, event(n))));
    grown.seal_anew(None);
    let report = grown.verify(&remembering).await;
    assert_eq!((report.finding, report.verified.id), (None, 40));
}

#[tokio::test]
async fn what_was_remembered_of_another_log_or_epoch_fits_no_other() {
    let sealed = Written::sealed(None);
    let remembered = Remembered {
        epoch: Uuid::from_u128(8),
        ..sealed
            .verify(&Verification::default())
            .await
            .to_remember()
            .unwrap()
    };
    let remembering = Verification {
        remembered: Some(remembered.clone()),
        ..Verification::default()
    };
    let tampering = Tampering::Rewritten { remembered };
    let found = sealed.verify(&remembering).await.finding;
    assert_eq!(found, finding(1, tampering));
}

#[tokio::test]
async fn a_key_may_change_and_come_late() {
    let mut written = Written::sealed(Some(&key(OTHER_KEY)));
    let both = written.clone();
    written.seal_anew(Some(&key(KEY)));
    written.seals.insert(1, both.seals[&1].clone());
    assert_eq!(
        written.found().await,
        finding(
            1,
            Tampering::UnknownKey {
                key: key(OTHER_KEY).verifying_key()
            }
        )
    );
    let report = written.verify(&trusting(&[KEY, OTHER_KEY])).await;
    assert_eq!((report.finding, report.signers.len()), (None, 2));
    // Pages without a signature are covered by a later one.
    let unsigned = Written::sealed(None);
    written.seals.insert(1, unsigned.seals[&1].clone());
    written.seals.insert(6, unsigned.seals[&6].clone());
    let report = written.verify(&trusting(&[KEY])).await;
    assert_eq!((report.finding, report.signed_through), (None, 20));
}

#[tokio::test]
async fn a_log_that_grows_while_it_is_read_is_not_taken_for_one_that_was_cut() {
    /// A log that shows what it holds only after its growing page was read once.
    #[derive(Debug)]
    struct Growing(Written, Written, std::sync::atomic::AtomicBool);
    #[async_trait]
    impl NotificationLog for Growing {
        async fn describe(&self) -> Result<LogDescription, LogError> {
            self.0.describe().await
        }
        async fn current(&self) -> Result<Section, LogError> {
            self.0.current().await
        }
        async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
            use std::sync::atomic::Ordering::Relaxed;
            if self.2.load(Relaxed) {
                return self.1.section(link).await;
            }
            let section = self.0.section(link).await?;
            self.2.store(!section.archived, Relaxed);
            Ok(section)
        }
        async fn wait(&self, _: u64, _: Duration) -> Result<bool, LogError> {
            Ok(true)
        }
    }
    #[async_trait]
    impl Seals for Growing {
        async fn seal(&self, page: SectionId) -> Result<Option<Bytes>, LogError> {
            match self.2.load(std::sync::atomic::Ordering::Relaxed) {
                true => self.1.seal(page).await,
                false => self.0.seal(page).await,
            }
        }
    }
    let before = Written::sealed(None);
    let mut after = before.clone();
    after.rows.extend((24..=41).map(|n| (n, event(n))));
    after.seal_anew(None);
    let growing = Growing(before, after, false.into());
    let report = Verification::default()
        .run(&growing, &growing, |_, _| {})
        .await
        .unwrap();
    assert_eq!((report.finding, report.verified.id), (None, 40));
}

/// As the box itself deletes, with a statement, unless `signs` says otherwise.
fn delete(written: &mut Written, ids: &[u64], signs: Option<&SigningKey>) {
    for id in ids {
        let event = written.row(*id);
        *event = event.to_redacted();
        let originator_id = event.originator_id;
        if let Some(key) = signs {
            let statement = SignedDeletion::new("orders", originator_id, key);
            written.deletions.push(statement.to_bytes().into());
        }
    }
}

#[tokio::test]
async fn a_deleted_stream_leaves_the_chain_whole_and_is_told() {
    let mut deleted = Written::sealed(Some(&key(KEY)));
    // All that a stream has.
    delete(&mut deleted, &[3, 6, 9, 12, 15, 18, 21], Some(&key(KEY)));
    let report = deleted.verify(&trusting(&[KEY])).await;
    assert_eq!(report.finding, None);
    assert_eq!((report.n_deleted, report.first_deleted), (6, Some(3)));
    assert_eq!(report.n_redacted, 7);
    assert_eq!(report.clone().counted(7..=7).finding, None);
    let miscounted = Tampering::Miscounted {
        found: 7,
        recorded: 6,
    };
    assert_eq!(report.counted(5..=6).finding, finding(3, miscounted));
    // What stays of it is still held to the seal.
    deleted.row(6).topic = "orders.order.paid".into();
    let expected = finding(6, Tampering::Changed { content: false });
    assert_eq!(deleted.found().await, expected);
}

#[tokio::test]
async fn who_redacts_past_the_box_is_found() {
    let sealed = Written::sealed(Some(&key(KEY)));
    let mut redacted = sealed.clone();
    delete(&mut redacted, &[7, 10], None);
    let unsigned = |n_notifications| finding(7, Tampering::UnsignedDeletions { n_notifications });
    assert_eq!(redacted.found().await, unsigned(2));
    // Until it is said how many the box deleted before it signed deletions.
    for (accepted, expected) in [(1, unsigned(2)), (2, None)] {
        let verification = Verification {
            unsigned_deletions: accepted,
            ..trusting(&[KEY])
        };
        assert_eq!(redacted.verify(&verification).await.finding, expected);
    }
    // A statement of somebody else, about something else, or about another log, is none.
    let other = SignedDeletion::new("orders", redacted.row(7).originator_id, &key(OTHER_KEY));
    let elsewhere = SignedDeletion::new("payments", redacted.row(7).originator_id, &key(KEY));
    let of_another = SignedDeletion::new("orders", Uuid::from_u128(77), &key(KEY));
    for statement in [other, elsewhere, of_another] {
        redacted.deletions = vec![statement.to_bytes().into()];
        assert_eq!(redacted.found().await, unsigned(2));
    }
    // Where the log is not redactable, one is too many, sealed or not.
    let never = Verification {
        redactable: Some(false),
        ..Verification::default()
    };
    assert_eq!(
        redacted.verify(&never).await.finding,
        finding(7, Tampering::Redacted)
    );
    let mut newest = sealed.clone();
    delete(&mut newest, &[22], None);
    assert_eq!(
        newest.verify(&never).await.finding,
        finding(22, Tampering::Redacted)
    );
    // What is redacted says nothing, also in its metadata.
    let mut forged = sealed.clone();
    delete(&mut forged, &[7], None);
    forged.row(7).metadata = Bytes::from_static(b"{\"correlation_id\":\"forged\"}");
    let changed = finding(7, Tampering::Changed { content: true });
    assert_eq!(forged.found().await, changed);
    let mut forged = sealed.clone();
    delete(&mut forged, &[7], None);
    forged.row(7).state = Bytes::from_static(b"{}");
    assert_eq!(forged.found().await, changed);
    // What was redacted before its page was sealed is sealed so.
    let mut early = Written::unsealed();
    delete(&mut early, &[7], None);
    early.seal_anew(Some(&key(KEY)));
    assert_eq!(early.found().await, None);
}

#[tokio::test]
async fn who_brings_a_deleted_aggregate_back_is_found() {
    let sealed = Written::sealed(Some(&key(KEY)));
    let all = [3, 6, 9, 12, 15, 18, 21];
    let mut deleted = sealed.clone();
    delete(&mut deleted, &all, Some(&key(KEY)));
    let remembered = deleted.verify(&trusting(&[KEY])).await.to_remember();
    let mut restored = deleted.clone();
    *restored.row(6) = sealed.clone().row(6).clone();
    assert_eq!(restored.found().await, finding(6, Tampering::Restored));
    // With the statements gone as well, what is remembered shows it.
    let mut restored = sealed;
    restored.deletions.clear();
    assert_eq!(restored.found().await, None);
    let remembering = Verification {
        remembered,
        ..trusting(&[KEY])
    };
    let found = restored.verify(&remembering).await.finding;
    assert_eq!(found, finding(16, Tampering::Restored));
}

#[tokio::test]
async fn a_withheld_notification_belongs_into_a_derived_log_alone() {
    let mut forged = Written::sealed(Some(&key(KEY)));
    let epoch = forged.log.epoch;
    *forged.row(7) = StoredEvent {
        event_id: Uuid::new_v5(&epoch, &7_u64.to_be_bytes()),
        originator_id: Uuid::nil(),
        originator_version: 7,
        topic: "boxes.withheld".into(),
        ..event(7)
    }
    .to_redacted();
    let changed = finding(7, Tampering::Changed { content: false });
    assert_eq!(forged.found().await, changed);
    for verification in [Verification::default(), trusting(&[KEY])] {
        assert_eq!(forged.verify(&verification).await.finding, changed);
    }
    let derived = Verification {
        derived: true,
        ..trusting(&[KEY])
    };
    let report = forged.verify(&derived).await;
    assert_eq!((report.finding, report.n_deleted), (None, 1));
}

#[tokio::test]
async fn pages_that_have_no_seal_are_found_when_they_are_many_or_old() {
    let mut cut = Written::sealed(Some(&key(KEY)));
    cut.seals.retain(|low, _| *low == 1);
    let unsealed = finding(6, Tampering::Unsealed { n_pages: 3 });
    for (max_unsealed, expected) in [
        (None, None),
        (Some(3), None),
        (Some(2), unsealed.clone()),
        (Some(0), unsealed.clone()),
    ] {
        let verification = Verification {
            max_unsealed,
            ..trusting(&[KEY])
        };
        assert_eq!(cut.verify(&verification).await.finding, expected);
    }
    // The events are of the second second.
    for (second, expected) in [(1, None), (2, unsealed)] {
        let verification = Verification {
            sealed_before: Some(Timestamp::from_second(second).unwrap()),
            ..trusting(&[KEY])
        };
        assert_eq!(cut.verify(&verification).await.finding, expected);
    }
    cut.seals.clear();
    let none = Verification {
        max_unsealed: Some(2),
        ..Verification::default()
    };
    let found = cut.verify(&none).await.finding;
    assert_eq!(found, finding(1, Tampering::Unsealed { n_pages: 4 }));
}

#[tokio::test]
async fn a_log_that_can_not_be_read_is_an_error_and_no_finding() {
    let sealed = Arc::new(Written::sealed(None));
    #[derive(Debug)]
    struct Down;
    #[async_trait]
    impl Seals for Down {
        async fn seal(&self, _: SectionId) -> Result<Option<Bytes>, LogError> {
            Err(LogError::Unavailable {
                reason: "gone".to_owned(),
                retry_after: None,
                source: None,
            })
        }
    }
    let result = Verification::default()
        .run(&*sealed, &Down, |_, _| {})
        .await;
    assert!(matches!(result, Err(LogError::Unavailable { .. })));
}
