//! Seals what is archived.

use std::sync::Arc;
use std::time::Duration;

use boxes_notification_log::{Backoff, LogError, NotificationLog, SectionId};
use boxes_recorder::{LogIdentity, RecorderError};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::compare::compare;
use crate::{Chain, HighWaterMark, Remembered, Seal, Seals, SigningKey, StoredSeals};

/// How long it waits for the next page before it looks by itself.
const WAIT: Duration = Duration::from_secs(30);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Writes a seal for each page of a log as soon as the page is archived, from the first page on.
///
/// It may run in each replica of a box: they make the same seals, and the first one counts. It begins where the
/// seals that are there end, after it has held the last of them against the log and its own key.
#[derive(Debug)]
pub struct Sealer {
    log: Arc<dyn NotificationLog>,
    seals: StoredSeals,
    key: Option<Arc<SigningKey>>,
    adopts: bool,
    mark: Option<Arc<dyn HighWaterMark>>,
    reached: Option<Reached>,
    status: watch::Sender<SealerStatus>,
}

/// How far a sealer has come, and whether it goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealerStatus {
    /// The last notification that is sealed, 0 for none yet.
    pub sealed_through: u64,
    /// Why it has stopped, if it has: somebody has to verify the log.
    pub stopped: Option<String>,
}

/// How far it has come.
#[derive(Debug, Clone)]
struct Reached {
    log: LogIdentity,
    chain: Chain,
    next: SectionId,
}

/// Why a page is not sealed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealerError {
    /// The log can't be read; unless it has a hole, try later.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The seal can't be kept: try later.
    #[error(transparent)]
    Store(#[from] RecorderError),
    /// How far it has come can't be read or written outside of the database: see to the file.
    #[error("how far the log was sealed can't be remembered outside of its database")]
    Mark(#[source] std::io::Error),
    /// The seals that are there don't fit the log, or were not made with this key. Verify the log; nothing more is
    /// sealed until then.
    #[error("page {page} is sealed already, but {reason}: verify the log")]
    Refused {
        /// The page.
        page: SectionId,
        /// What is wrong, and what to do if it is right.
        reason: String,
    },
}

impl SealerError {
    /// Whether trying again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Log(error) => error.is_transient(),
            Self::Store(error) => matches!(
                error,
                RecorderError::Unavailable { .. } | RecorderError::OutcomeUnknown { .. }
            ),
            Self::Refused { .. } | Self::Mark(_) => false,
        }
    }
}

impl Sealer {
    /// Seals `log`, beside which `seals` lie; without a key the seals are not signed.
    #[must_use]
    pub fn new(
        log: Arc<dyn NotificationLog>,
        seals: StoredSeals,
        key: Option<Arc<SigningKey>>,
    ) -> Self {
        Self {
            log,
            seals,
            key,
            adopts: false,
            mark: None,
            reached: None,
            status: watch::Sender::default(),
        }
    }

    /// How far it has come, from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<SealerStatus> {
        self.status.subscribe()
    }

    /// Continues seals that are unsigned, or signed with another key, instead of refusing to: for the first start
    /// with a new key, after the log was verified.
    ///
    /// Otherwise one who writes to the database could make the seals anew without a signature, and have them
    /// confirmed by the next one.
    #[must_use]
    pub const fn adopting(mut self) -> Self {
        self.adopts = true;
        self
    }

    /// Keeps in mind there how far it has come, and stops where the seals that it finds are behind that, or others: they were
    /// removed, and what they covered may have been changed.
    #[must_use]
    pub fn with_mark(mut self, mark: Arc<dyn HighWaterMark>) -> Self {
        self.mark = Some(mark);
        self
    }

    /// Seals every archived page that has no seal, and says how many it went through.
    ///
    /// # Errors
    ///
    /// [`SealerError`]; what was sealed before it stays sealed.
    pub async fn seal_archived(&mut self) -> Result<u64, SealerError> {
        let mut reached = match self.reached.clone() {
            Some(reached) => reached,
            None => self.resume().await?,
        };
        let mut n_pages = 0;
        loop {
            let section = self.log.section(&reached.next.into()).await?;
            if section.log != reached.log {
                return Err(SealerError::Log(LogError::EpochChanged {
                    log: reached.log.name,
                    expected: reached.log.epoch,
                    found: section.log.epoch,
                }));
            }
            let Some(seal) = Seal::of(&section, reached.chain, self.key.as_deref()) else {
                self.remember(&reached).await?;
                return Ok(n_pages);
            };
            if let Some(kept) = self.seals.keep(section.id, &seal.to_bytes()).await? {
                self.agrees(&kept, &seal)?;
            }
            n_pages += 1;
            reached.chain = seal.after();
            reached.next = section.id.next();
            self.reached = Some(reached.clone());
            self.tell();
        }
    }

    fn tell(&self) {
        let sealed_through = self.reached.as_ref().map_or(0, |reached| reached.chain.id);
        self.status
            .send_modify(|status| status.sealed_through = sealed_through);
    }

    /// Seals what is archived as it comes, until it is told to stop, or the seals that are there don't fit.
    ///
    /// # Errors
    ///
    /// The error that ended it, which the status tells, too. What is transient is logged, and tried again.
    pub async fn run(mut self, stopping: CancellationToken) -> Result<(), SealerError> {
        let (status, seals) = (self.status.clone(), self.seals.clone());
        let sealing = async move {
            let mut backoff = Backoff::new(FIRST_RETRY, MAX_RETRY);
            loop {
                let result = match self.seal_archived().await {
                    Ok(_) => {
                        backoff = Backoff::new(FIRST_RETRY, MAX_RETRY);
                        self.wait().await
                    }
                    Err(error) => Err(error),
                };
                match result {
                    Ok(()) => {}
                    Err(error) if error.is_transient() => {
                        tracing::warn!(%error, "sealing is held up");
                        tokio::time::sleep(backoff.next_wait(None)).await;
                    }
                    Err(error) => return error,
                }
            }
        };
        tokio::select! {
            () = stopping.cancelled() => Ok(()),
            error = sealing => {
                let reason = error.to_string();
                if let Err(error) = seals.set_stopped(Some(&reason)).await {
                    tracing::warn!(%error, "that sealing has stopped can't be stored next to the log");
                }
                status.send_modify(|status| status.stopped = Some(reason));
                Err(error)
            }
        }
    }

    /// Waits until the next page is archived, or for a while.
    async fn wait(&self) -> Result<(), SealerError> {
        if let Some(reached) = &self.reached {
            self.log.wait(reached.next.high(), WAIT).await?;
        }
        Ok(())
    }

    /// Finds where the seals end.
    async fn resume(&mut self) -> Result<Reached, SealerError> {
        let log = self.log.describe().await?.log;
        let page_size = log.page_size;
        let page = |number: u64| {
            let low = number.saturating_mul(page_size.get().into());
            SectionId::containing(low.saturating_add(1), page_size)
        };
        // They are dense: so it takes as many looks as the number of pages has binary digits, twice.
        let mut beyond = 1_u64;
        while self.seals.seal(page(beyond - 1)).await?.is_some() {
            beyond = beyond.saturating_mul(2);
        }
        let mut n_sealed = beyond / 2;
        while beyond - n_sealed > 1 {
            let middle = n_sealed + (beyond - n_sealed) / 2;
            match self.seals.seal(page(middle - 1)).await? {
                Some(_) => n_sealed = middle,
                None => beyond = middle,
            }
        }
        let chain = match n_sealed.checked_sub(1) {
            None => Chain::of(&log),
            Some(last) => self.last_seal(&log, page(last)).await?.after(),
        };
        self.check_mark(&log, chain).await?;
        self.seals.set_stopped(None).await?;
        let next = page(n_sealed);
        tracing::info!(
            log = log.name,
            sealed = chain.id,
            signs = self.key.is_some(),
            "the log is sealed from here on"
        );
        let reached = Reached { log, chain, next };
        self.reached = Some(reached.clone());
        self.tell();
        Ok(reached)
    }

    /// Holds that the seals reach at least as far as this sealer once came, and are those that were there then.
    async fn check_mark(&self, log: &LogIdentity, chain: Chain) -> Result<(), SealerError> {
        let Some(mark) = &self.mark else {
            return Ok(());
        };
        let remembered = mark.read().map_err(SealerError::Mark)?;
        let Some(remembered) =
            remembered.filter(|mark| mark.log == log.name && mark.epoch == log.epoch)
        else {
            return Ok(());
        };
        let page = SectionId::containing(remembered.id, log.page_size);
        let refused = |reason: String| SealerError::Refused { page, reason };
        if remembered.id > chain.id {
            return Err(refused(format!(
                "its seal is gone: the log was sealed through notification {}, and now it is through {}. If the database was restored, give the log a new epoch",
                remembered.id, chain.id
            )));
        }
        let bytes = self.seals.seal(page).await?.unwrap_or_default();
        let seal =
            Seal::from_bytes(&bytes, log, page).map_err(|error| refused(error.to_string()))?;
        if (seal.after().id, seal.after().hash) == (remembered.id, remembered.hash) {
            return Ok(());
        }
        Err(refused(
            "with another seal than the one that this service once made or found".to_owned(),
        ))
    }

    async fn remember(&self, reached: &Reached) -> Result<(), SealerError> {
        let Some(mark) = self.mark.clone().filter(|_| reached.chain.id > 0) else {
            return Ok(());
        };
        let now = Remembered::new(&reached.log, reached.chain, 0);
        let writing = tokio::task::spawn_blocking(move || match mark.read()? {
            Some(before) if before == now => Ok(()),
            _ => mark.write(&now),
        });
        let written = writing.await.map_err(std::io::Error::other).flatten();
        written.map_err(SealerError::Mark)
    }

    /// The last seal that is there, if the log and the key fit it.
    async fn last_seal(&self, log: &LogIdentity, page: SectionId) -> Result<Seal, SealerError> {
        let refused = |reason: String| SealerError::Refused { page, reason };
        let bytes = self.seals.seal(page).await?.unwrap_or_default();
        let seal =
            Seal::from_bytes(&bytes, log, page).map_err(|error| refused(error.to_string()))?;
        self.is_ours(&seal)?;
        let section = self.log.section(&page.into()).await?;
        compare(&seal, &section, self.seals.is_derived())
            .map_err(|finding| refused(finding.to_string()))?;
        Ok(seal)
    }

    fn is_ours(&self, seal: &Seal) -> Result<(), SealerError> {
        let refused = |reason: String| SealerError::Refused {
            page: seal.page(),
            reason,
        };
        let Some(key) = self.key.as_deref() else {
            return Ok(());
        };
        if self.adopts {
            if seal.signed_by() != Some(key.verifying_key()) {
                let signer = seal
                    .signed_by()
                    .map_or_else(|| "no key".to_owned(), |signer| format!("key {signer}"));
                tracing::warn!(
                    log = seal.log().name,
                    through = seal.after().id,
                    hash = %seal.after().hash,
                    "seals that were signed with {signer} are adopted"
                );
            }
            return Ok(());
        }
        match seal.signed_by() {
            Some(signer) if signer == key.verifying_key() => match seal.is_signature_good() {
                true => Ok(()),
                false => Err(refused(
                    "its signature is not that of the key that it names".to_owned(),
                )),
            },
            Some(signer) => Err(refused(format!(
                "with the key {signer}; if that was the key before this one, start once with `--seal adopt`"
            ))),
            None => Err(refused(
                "without a signature; if there was no key before this one, start once with `--seal adopt`"
                    .to_owned(),
            )),
        }
    }

    /// Whether the seal that is kept says of the page what the own one says.
    fn agrees(&self, kept: &[u8], own: &Seal) -> Result<(), SealerError> {
        let refused = |reason: String| SealerError::Refused {
            page: own.page(),
            reason,
        };
        let (log, page) = (own.log(), own.page());
        let seal = Seal::from_bytes(kept, log, page).map_err(|error| refused(error.to_string()))?;
        self.is_ours(&seal)?;
        if (seal.before(), seal.after()) == (own.before(), own.after()) {
            return Ok(());
        }
        Err(refused("not as the log is now".to_owned()))
    }
}
