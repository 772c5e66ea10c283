//! Walks a log and its seals, and finds the first thing that is not as it was.

use std::collections::BTreeSet;

use boxes_notification_log::{LogError, NotificationLog, Section, SectionId};
use boxes_recorder::{LogIdentity, Notification};
use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::compare::{Deleted, compare};
use crate::{Chain, Finding, Remembered, Seal, Seals, SignedDeletion, Tampering, VerifyingKey};

/// What a verification relies on.
///
/// With nothing in it, the chain alone is checked. That finds whoever changed the log and not its seals; who can
/// write both can also make the seals anew, and is found by a signature or by what was remembered.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    /// The keys whose signatures count; empty to ask for none.
    pub trusted: Vec<VerifyingKey>,
    /// What an earlier verification came to.
    pub remembered: Option<Remembered>,
    /// Whether the log is made of another one: then a redacted notification may stand for one that was published once.
    pub derived: bool,
    /// Whether aggregates of the log may be deleted; `None` where that is not known.
    pub redactable: Option<bool>,
    /// How many notifications may be redacted without a [signed statement](crate::SignedDeletion): what a box deleted before it
    /// signed them. Of a derived log, and without trusted keys, none is asked for.
    pub unsigned_deletions: u64,
    /// How many archived pages may have no seal yet; `None` for any number.
    pub max_unsealed: Option<u64>,
    /// An archived page whose notifications are all older than this has to be sealed.
    pub sealed_before: Option<Timestamp>,
}

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which log it was.
    pub log: LogIdentity,
    /// The newest notification that was read, 0 for none.
    pub last: u64,
    /// The chain at the last notification that is as it was sealed.
    pub verified: Chain,
    /// The last notification that a trusted signature covers, 0 for none.
    pub signed_through: u64,
    /// The keys that signed the log, trusted or not, in the order in which they first did.
    pub signers: Vec<VerifyingKey>,
    /// How many verified notifications have lost their content, because their stream was deleted.
    ///
    /// That leaves the chain whole, and is nobody's forgery by itself; but one who writes to the database can do
    /// it as well as the box.
    pub n_deleted: u64,
    /// The first of them.
    pub first_deleted: Option<u64>,
    /// How many notifications have lost their content in all of the log, verified or not.
    pub n_redacted: u64,
    /// The first thing that is wrong, if anything is.
    pub finding: Option<Finding>,
}

impl Report {
    /// What a later verification should be told; `None` if nothing was verified.
    #[must_use]
    pub fn to_remember(&self) -> Option<Remembered> {
        let Self { log, verified, .. } = self;
        (verified.id > 0).then(|| Remembered::new(log, *verified, self.n_deleted))
    }

    /// Compares how many notifications have lost their content with what the log had recorded when the verification began and
    /// when it ended. What was found before stays.
    #[must_use]
    pub fn counted(mut self, recorded: std::ops::RangeInclusive<u64>) -> Self {
        if self.finding.is_none() && !recorded.contains(&self.n_redacted) {
            let tampering = Tampering::Miscounted {
                found: self.n_redacted,
                recorded: *recorded.end(),
            };
            let id = self.first_deleted.unwrap_or(1);
            self.finding = Some(Finding { id, tampering });
        }
        self
    }
}

impl Verification {
    /// Reads all of a log, and holds it against its seals and against what is relied on.
    ///
    /// One page and its seal are in memory at a time. What is behind the last seal is read, and not verified:
    /// [`Report::verified`] says how far that is. `progress` is told the last notification that was read, and the
    /// newest that is known of, page by page. It stops at the first thing that is wrong.
    ///
    /// Needs no key of encrypted events.
    ///
    /// # Errors
    ///
    /// [`LogError`] if log or seals can't be read, so that nothing can be told of them: try later, or mend the
    /// address. A hole in the log is a [`Finding`], no error.
    pub async fn run(
        &self,
        log: &dyn NotificationLog,
        seals: &dyn Seals,
        progress: impl FnMut(u64, u64),
    ) -> Result<Report, LogError> {
        self.run_with_ids(log, seals, |_| None, progress).await
    }

    /// The same, for a log whose event ids follow from what the events say: `wrong_id` is asked once for each notification, in
    /// order, and gives the id that it should have, if it has another one. What is behind the last seal is asked for, too.
    ///
    /// # Errors
    ///
    /// Those of [`run`](Self::run).
    pub async fn run_with_ids(
        &self,
        log: &dyn NotificationLog,
        seals: &dyn Seals,
        mut wrong_id: impl FnMut(&Notification) -> Option<Uuid>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Report, LogError> {
        let description = log.describe().await?;
        let mut walk = Walk::new(self, &description.log);
        let deletions = seals.deletions().await?;
        walk.deletions = deletions.map(|found| self.accepted(&description.log, &found));
        if let Some(tampering) = self.of_another_history(&description.log) {
            return Ok(walk.end(Some(Finding { id: 1, tampering })));
        }
        let mut page = SectionId::first(description.log.page_size);
        let mut newest = description.last;
        let mut n_asked = 0;
        loop {
            // The seal first: where there is one, the page is whole, whenever it is read after that.
            let seal = seals.seal(page).await?;
            if let Some(unsealed) = walk.unsealed.filter(|_| seal.is_some()) {
                if seals.seal(unsealed).await?.is_none() {
                    let (id, tampering) = (unsealed.low(), Tampering::SealRemoved);
                    return Ok(walk.end(Some(Finding { id, tampering })));
                }
                // It was sealed meanwhile.
                page = unsealed;
                walk.unsealed = None;
                walk.n_unsealed = 0;
                continue;
            }
            let section = match log.section(&page.into()).await {
                Ok(section) => section,
                Err(LogError::Gap { expected, .. }) => {
                    let tampering = Tampering::Removed;
                    return Ok(walk.end(Some(Finding {
                        id: expected,
                        tampering,
                    })));
                }
                Err(error) => return Err(error),
            };
            if section.log != description.log {
                return Err(LogError::EpochChanged {
                    log: description.log.name,
                    expected: description.log.epoch,
                    found: section.log.epoch,
                });
            }
            let of_seal = walk.take(&section, seal.as_ref()).err();
            // A page may be read again, when it was sealed meanwhile.
            let mut unread = section.items.iter().filter(|item| item.id > n_asked);
            let of_id = unread.find_map(|item| {
                let expected = wrong_id(item)?;
                let (id, tampering) = (item.id, Tampering::ForeignId { expected });
                Some(Finding { id, tampering })
            });
            let unread = section.items.iter().filter(|item| item.id > n_asked);
            let redacted = unread.filter(|item| item.event.is_redacted()).count();
            let redacted = u64::try_from(redacted).unwrap_or(u64::MAX);
            walk.report.n_redacted = walk.report.n_redacted.saturating_add(redacted);
            n_asked = n_asked.max(walk.last);
            // Of two the first; the seal tells more.
            let finding = match (of_seal, of_id) {
                (Some(of_seal), Some(of_id)) if of_id.id < of_seal.id => Some(of_id),
                (of_seal, of_id) => of_seal.or(of_id),
            };
            if finding.is_some() {
                return Ok(walk.end(finding));
            }
            newest = newest.max(walk.last);
            progress(walk.last, newest);
            if section.archived {
                page = page.next();
                continue;
            }
            // A page behind the end that has a seal was there once; or the log grows while it is read.
            if seals.seal(page.next()).await?.is_some() {
                let again = log.section(&page.into()).await?;
                if !again.archived {
                    let id = walk.last.saturating_add(1);
                    let tampering = Tampering::Removed;
                    return Ok(walk.end(Some(Finding { id, tampering })));
                }
                continue;
            }
            let mut finding = walk.at_the_end();
            if finding.is_none() && walk.has_unsigned_deletions() {
                // Some may have been deleted since the statements were read.
                let deletions = seals.deletions().await?;
                walk.deletions = deletions.map(|found| self.accepted(&description.log, &found));
                finding = walk.unsigned_deletions();
            }
            if finding.is_none()
                && let Some(reason) = seals.stopped().await?
            {
                let id = walk.report.verified.id.saturating_add(1);
                let tampering = Tampering::SealingStopped { reason };
                finding = Some(Finding { id, tampering });
            }
            return Ok(walk.end(finding));
        }
    }

    /// The aggregates that were deleted, as trusted statements say.
    fn accepted(&self, log: &LogIdentity, statements: &[Bytes]) -> BTreeSet<Uuid> {
        let accepted = statements
            .iter()
            .filter_map(|statement| SignedDeletion::accepted(statement, &log.name, &self.trusted));
        accepted.collect()
    }

    fn of_another_history(&self, log: &LogIdentity) -> Option<Tampering> {
        let remembered = self.remembered.as_ref()?;
        (remembered.log != log.name || remembered.epoch != log.epoch).then(|| {
            let remembered = remembered.clone();
            Tampering::Rewritten { remembered }
        })
    }
}

/// How far a verification has come.
struct Walk<'a> {
    asked: &'a Verification,
    report: Report,
    last: u64,
    /// The first page that has no seal.
    unsealed: Option<SectionId>,
    /// How many archived pages have none, from that one on.
    n_unsealed: u64,
    /// Whether the newest event of the first of them is older than may be.
    is_overdue: bool,
    /// The aggregates that were deleted, as far as that is signed; `None` where that can't be had.
    deletions: Option<BTreeSet<Uuid>>,
    /// What was redacted after it was sealed.
    redacted: Vec<Deleted>,
}

impl<'a> Walk<'a> {
    fn new(asked: &'a Verification, log: &LogIdentity) -> Self {
        let report = Report {
            log: log.clone(),
            last: 0,
            verified: Chain::of(log),
            signed_through: 0,
            signers: Vec::new(),
            n_deleted: 0,
            first_deleted: None,
            n_redacted: 0,
            finding: None,
        };
        Self {
            asked,
            report,
            last: 0,
            unsealed: None,
            n_unsealed: 0,
            is_overdue: false,
            deletions: None,
            redacted: Vec::new(),
        }
    }

    /// Holds one page against its seal.
    fn take(&mut self, section: &Section, seal: Option<&Bytes>) -> Result<(), Finding> {
        let page = section.id;
        self.last = section.items.last().map_or(self.last, |item| item.id);
        let Some(bytes) = seal else {
            if section.archived {
                let newest = section
                    .items
                    .iter()
                    .map(|item| item.event.occurred_on)
                    .max();
                let limit = self.asked.sealed_before;
                self.is_overdue |= newest.zip(limit).is_some_and(|(at, limit)| at < limit);
                self.n_unsealed = self.n_unsealed.saturating_add(1);
            }
            self.unsealed.get_or_insert(page);
            return self.check_redacted(section);
        };
        let at_page = |tampering| Finding {
            id: page.low(),
            tampering,
        };
        let seal = Seal::from_bytes(bytes, &section.log, page).map_err(|error| {
            let reason = error.to_string();
            at_page(Tampering::SealDamaged { reason })
        })?;
        self.check_signature(&seal).map_err(at_page)?;
        if seal.before() != self.report.verified {
            // Those before it agree with themselves and with the log: they were sealed anew, and of what no
            // trusted signature covers nobody can tell where it begins.
            return Err(Finding {
                id: self.report.signed_through.saturating_add(1),
                tampering: Tampering::ChainBroken { at: page.low() },
            });
        }
        self.check_redacted(section)?;
        let deleted = compare(&seal, section, self.asked.derived)?;
        self.check_still_deleted(section, &deleted)?;
        let mut chain = self.report.verified;
        for fingerprint in seal.events() {
            chain = chain.next(fingerprint);
            self.check_remembered(chain)?;
        }
        if let Some(first) = deleted.first() {
            self.report.first_deleted.get_or_insert(first.id);
            let n_deleted = u64::try_from(deleted.len()).unwrap_or(u64::MAX);
            self.report.n_deleted = self.report.n_deleted.saturating_add(n_deleted);
        }
        self.redacted
            .extend(deleted.into_iter().filter(|deleted| !deleted.is_sealed));
        self.report.verified = chain;
        if seal.signed_by().is_some() && !self.asked.trusted.is_empty() {
            self.report.signed_through = chain.id;
        }
        Ok(())
    }

    /// Nothing is redacted in a log of which nothing may be.
    fn check_redacted(&self, section: &Section) -> Result<(), Finding> {
        let redacted = section.items.iter().find(|item| item.event.is_redacted());
        match redacted {
            Some(item) if self.asked.redactable == Some(false) => Err(Finding {
                id: item.id,
                tampering: Tampering::Redacted,
            }),
            _ => Ok(()),
        }
    }

    /// What was deleted stays deleted.
    fn check_still_deleted(&self, section: &Section, deleted: &[Deleted]) -> Result<(), Finding> {
        let restored = |id| Finding {
            id,
            tampering: Tampering::Restored,
        };
        let of_deleted = section.items.iter().find(|item| {
            let deletions = self.deletions.as_ref();
            let is_deleted = deletions.is_some_and(|all| all.contains(&item.event.originator_id));
            is_deleted && !item.event.is_redacted()
        });
        if let Some(item) = of_deleted {
            return Err(restored(item.id));
        }
        let Some(remembered) = &self.asked.remembered else {
            return Ok(());
        };
        if !(section.id.low()..=section.id.high()).contains(&remembered.id) {
            return Ok(());
        }
        let here = deleted.iter().filter(|deleted| deleted.id <= remembered.id);
        let here = u64::try_from(here.count()).unwrap_or(u64::MAX);
        if self.report.n_deleted.saturating_add(here) < remembered.n_deleted {
            return Err(restored(section.id.low()));
        }
        Ok(())
    }

    fn has_unsigned_deletions(&self) -> bool {
        self.unsigned_deletions().is_some()
    }

    /// More of what was redacted after it was sealed than is accepted has no signed statement.
    fn unsigned_deletions(&self) -> Option<Finding> {
        if self.asked.trusted.is_empty() || self.asked.derived {
            return None;
        }
        let deletions = self.deletions.as_ref()?;
        let mut unsigned = self
            .redacted
            .iter()
            .filter(|redacted| !deletions.contains(&redacted.originator_id));
        let first = unsigned.next()?;
        let more = u64::try_from(unsigned.count()).unwrap_or(u64::MAX);
        let n_notifications = more.saturating_add(1);
        (n_notifications > self.asked.unsigned_deletions).then_some(Finding {
            id: first.id,
            tampering: Tampering::UnsignedDeletions { n_notifications },
        })
    }

    fn check_signature(&mut self, seal: &Seal) -> Result<(), Tampering> {
        // Without one, a later signature may cover it: `at_the_end` sees to it.
        let Some(key) = seal.signed_by() else {
            return Ok(());
        };
        if !self.report.signers.contains(&key) {
            self.report.signers.push(key);
        }
        if !seal.is_signature_good() {
            return Err(Tampering::BadSignature);
        }
        if !self.asked.trusted.is_empty() && !self.asked.trusted.contains(&key) {
            return Err(Tampering::UnknownKey { key });
        }
        Ok(())
    }

    fn check_remembered(&self, chain: Chain) -> Result<(), Finding> {
        match &self.asked.remembered {
            Some(remembered) if remembered.id == chain.id && remembered.hash != chain.hash => {
                Err(Finding {
                    // Whoever has the box seal it anew has good signatures, too.
                    id: 1,
                    tampering: Tampering::Rewritten {
                        remembered: remembered.clone(),
                    },
                })
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with what is not there.
    fn at_the_end(&self) -> Option<Finding> {
        let verified = self.report.verified.id;
        if let Some(remembered) = &self.asked.remembered
            && remembered.id > verified
        {
            return Some(Finding {
                id: verified + 1,
                tampering: Tampering::Cut {
                    remembered: remembered.clone(),
                },
            });
        }
        let signed = self.report.signed_through;
        // What is sealed has to be signed; and where nothing is sealed at all, though a page is archived, somebody
        // may have taken all the seals away.
        let is_archived = self.last > u64::from(self.report.log.page_size.get());
        let is_due = signed < verified || (signed == 0 && is_archived);
        if !self.asked.trusted.is_empty() && is_due {
            return Some(Finding {
                id: signed + 1,
                tampering: Tampering::Unsigned,
            });
        }
        let n_pages = self.n_unsealed;
        let are_too_many = self.asked.max_unsealed.is_some_and(|max| n_pages > max);
        (are_too_many || self.is_overdue).then_some(Finding {
            id: verified.saturating_add(1),
            tampering: Tampering::Unsealed { n_pages },
        })
    }

    fn end(self, finding: Option<Finding>) -> Report {
        Report {
            last: self.last,
            finding,
            ..self.report
        }
    }
}
