//! A queue on the disk, for those who must not fail while the store does not answer.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::spool_file::SpoolFile;
use crate::spool_record::{decode, encode};
use crate::{Append, GroupCommit, RecorderError, SpoolError, StoredEvent, StreamRange};

/// What a spool holds at most, and how often it asks for the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolBounds {
    /// Bytes of requests that wait, at most: beyond that, requests fail as they would without a spool.
    pub max_bytes: u64,
    /// How long is waited before the store is asked again.
    pub retry_interval: Duration,
}

impl SpoolBounds {
    /// [`max_bytes`](Self::max_bytes) unless said otherwise: 64 MiB.
    pub const DEFAULT_MAX_BYTES: u64 = 64 * 1024 * 1024;
    /// [`retry_interval`](Self::retry_interval) unless said otherwise: a second.
    pub const DEFAULT_RETRY_INTERVAL: Duration = Duration::from_secs(1);
}

impl Default for SpoolBounds {
    fn default() -> Self {
        Self {
            max_bytes: Self::DEFAULT_MAX_BYTES,
            retry_interval: Self::DEFAULT_RETRY_INTERVAL,
        }
    }
}

/// What became of events that were given to a [`Spool`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "spooled is not recorded: say so to who asked"]
pub enum Accepted {
    /// They are recorded, under these ids.
    Recorded(Range<u64>),
    /// They are on the disk of this machine, and not recorded yet: nobody sees them, and a conflict may still set them aside.
    Spooled,
}

/// What a spool holds now: numbers for a gauge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolState {
    /// Requests that wait for the store.
    pub waiting: u64,
    /// Requests that the store refused when it answered again: see [`Spool::set_aside`].
    pub set_aside: u64,
}

/// Appends events, and keeps them on the disk of this machine while the store does not answer.
///
/// For producers that must not fail, such as one that takes measurements or notes from outside what has happened anyway. An append
/// that the store can't take now is written to a file, flushed, and answered with [`Accepted::Spooled`], which is not "done".
/// When the store answers again, what waits is recorded in its order, before anything newer, and each request once: by the ids of
/// its events it is recognized if it was recorded already, also when the store's answer was lost or this process crashed.
///
/// It has a price: a decision that was spooled was made on a state that may be old by then. If others wrote to the same
/// aggregate meanwhile, the version is taken, and the request is set aside, into a file beside the spool, with an error in the log
/// that names it; the rest goes on. So it is for aggregates that nobody else writes to, usually one for each producer. What this
/// process reads does not show what waits. And if this machine is lost, so is what waited on it.
///
/// Steps of followers are not spooled: a follower comes back by itself, and must not go on in a position that is not recorded.
///
/// ```
/// # use std::sync::Arc;
/// # use boxes_recorder::{DEFAULT_PAGE_SIZE, Encoding, LogIdentity, MemoryRecorder, StoredEvent};
/// use boxes_recorder::{Accepted, GroupCommit, GroupCommitBounds, Spool, SpoolBounds};
///
/// # async fn example(commit: GroupCommit, event: StoredEvent) -> Result<(), Box<dyn std::error::Error>> {
/// let spool = Spool::open("data/orders.spool", commit, SpoolBounds::default()).await?;
/// match spool.append(vec![event]).await? {
///     Accepted::Recorded(ids) => println!("recorded as {ids:?}"),
///     Accepted::Spooled => println!("kept, and recorded as soon as the store answers"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
    draining: Arc<Draining>,
}

struct Inner {
    commit: GroupCommit,
    bounds: SpoolBounds,
    files: Mutex<Files>,
    state: watch::Sender<SpoolState>,
}

#[derive(Debug)]
struct Files {
    waiting: SpoolFile,
    /// Where the first request that waits begins. After a crash all are looked at again, and found recorded.
    first: u64,
    aside: SpoolFile,
}

struct Draining(AbortHandle);

impl Drop for Draining {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Spool {
    /// Opens the spool in a file, or makes it, beside one with `.aside` behind its name; what waits in it is recorded from now on.
    /// The folder must be there, on a disk of this machine. Needs a Tokio runtime with time enabled.
    ///
    /// # Errors
    ///
    /// - [`SpoolError::InUse`] if another process has the file: give each a file of its own.
    /// - [`SpoolError::Damaged`] if a request in it is not what was written. (One that a crash cut short at the end was never
    ///   acknowledged, and is cut off.)
    /// - [`SpoolError::Io`] if the file can't be used.
    pub async fn open(
        file: impl Into<PathBuf>,
        commit: GroupCommit,
        bounds: SpoolBounds,
    ) -> Result<Self, SpoolError> {
        let file = file.into();
        let (files, state) = blocking(move || {
            let (waiting, n_waiting) = SpoolFile::open(file.clone())?;
            let mut aside = file.into_os_string();
            aside.push(".aside");
            let (aside, n_aside) = SpoolFile::open(aside.into())?;
            let files = Files {
                waiting,
                first: 0,
                aside,
            };
            let state = SpoolState {
                waiting: n_waiting,
                set_aside: n_aside,
            };
            Ok((files, state))
        })
        .await?;
        let inner = Arc::new(Inner {
            commit,
            bounds,
            files: Mutex::new(files),
            state: watch::Sender::new(state),
        });
        let draining = tokio::spawn(drain(Arc::clone(&inner)));
        Ok(Self {
            inner,
            draining: Arc::new(Draining(draining.abort_handle())),
        })
    }

    /// Records the events together, or keeps them until the store can.
    ///
    /// Whoever appends several times to one aggregate waits for each answer before the next, as without a spool.
    ///
    /// # Errors
    ///
    /// - Those of [`GroupCommit::append`], if the store answers.
    /// - [`RecorderError::Unavailable`] if it does not, and the spool is full or its disk fails: nothing is accepted.
    pub async fn append(&self, events: Vec<StoredEvent>) -> Result<Accepted, RecorderError> {
        // What waits is older: it is recorded first.
        if self.state().waiting == 0 {
            match self.inner.commit.append(Append::new(events.clone())).await {
                Ok(ids) => return Ok(Accepted::Recorded(ids)),
                Err(RecorderError::Unavailable { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Append::new(events.clone()).validate()?;
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.push(&events)).await?;
        Ok(Accepted::Spooled)
    }

    /// What it holds now.
    #[must_use]
    pub fn state(&self) -> SpoolState {
        *self.inner.state.borrow()
    }

    /// What it holds, whenever that changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<SpoolState> {
        self.inner.state.subscribe()
    }

    /// The requests that the store refused when it answered again, oldest first: for people to look at. They stay in the file with
    /// `.aside` behind its name, until that is moved away while no process has it.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Io`] if the file can't be read.
    pub async fn set_aside(&self) -> Result<Vec<Vec<StoredEvent>>, SpoolError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let mut files = inner.files();
            let mut requests = Vec::new();
            let mut at = 0;
            while let Some((record, next)) =
                files.aside.read(at).map_err(|source| SpoolError::Io {
                    path: files.aside.path().to_owned(),
                    source,
                })?
            {
                requests.extend(decode(record));
                at = next;
            }
            Ok(requests)
        })
        .await
    }

    /// Stops recording what waits: it stays in the file. Dropping the last one does the same.
    pub fn stop(&self) {
        self.draining.0.abort();
    }
}

impl Inner {
    fn files(&self) -> std::sync::MutexGuard<'_, Files> {
        // A file is whole between two of its operations.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, events: &[StoredEvent]) -> Result<(), RecorderError> {
        let record = encode(events);
        let mut files = self.files();
        let length = files.waiting.length();
        if length.saturating_add(SpoolFile::size_of(&record)) > self.bounds.max_bytes {
            return Err(RecorderError::Unavailable {
                reason: format!(
                    "it does not answer, and the spool holds {length} bytes of at most {}",
                    self.bounds.max_bytes
                ),
                source: None,
            });
        }
        files.waiting.push(&record).map_err(|source| {
            RecorderError::unavailable("it does not answer, and the spool can't be written", source)
        })?;
        // Under the lock, so that what is counted and what is in the file are one.
        self.state
            .send_modify(|state| state.waiting = state.waiting.saturating_add(1));
        Ok(())
    }

    fn first(&self) -> std::io::Result<Option<(Vec<StoredEvent>, u64)>> {
        let mut files = self.files();
        let first = files.first;
        let Some((record, next)) = files.waiting.read(first)? else {
            return Ok(None);
        };
        let events = decode(record).ok_or_else(|| {
            std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                format!(
                    "a request at byte {first} of the spool is of another version of this program"
                ),
            )
        })?;
        Ok(Some((events, next)))
    }

    /// The first request is out of the way: recorded, or set aside here.
    fn done(&self, next: u64, aside: Option<&[StoredEvent]>) -> std::io::Result<()> {
        let mut files = self.files();
        if let Some(events) = aside {
            files.aside.push(&encode(events))?;
        }
        files.first = next;
        if next >= files.waiting.length() {
            files.waiting.clear()?;
            files.first = 0;
        }
        self.state.send_modify(|state| {
            state.waiting = state.waiting.saturating_sub(1);
            state.set_aside = state.set_aside.saturating_add(u64::from(aside.is_some()));
        });
        Ok(())
    }

    /// Whether an earlier attempt recorded these events, which go together.
    async fn is_recorded(&self, events: &[StoredEvent]) -> Result<bool, RecorderError> {
        let Some(event) = events.first() else {
            return Ok(true);
        };
        let range = StreamRange {
            limit: 1,
            ..StreamRange::after(event.originator_version.saturating_sub(1))
        };
        let recorder = self.commit.recorder();
        let found = recorder.select_events(event.originator_id, range).await?;
        Ok(found
            .first()
            .is_some_and(|found| found.event_id == event.event_id))
    }
}

/// Records what waits, as long as somebody has the spool.
async fn drain(inner: Arc<Inner>) {
    let mut state = inner.state.subscribe();
    while state.wait_for(|state| state.waiting > 0).await.is_ok() {
        match drain_first(&inner).await {
            Ok(()) => {}
            Err(reason) => {
                tracing::debug!(reason, "what is spooled has to wait");
                tokio::time::sleep(inner.bounds.retry_interval).await;
            }
        }
    }
}

/// The first request that waits; or why it has to wait longer.
async fn drain_first(inner: &Arc<Inner>) -> Result<(), String> {
    let reading = Arc::clone(inner);
    let first = blocking(move || reading.first()).await;
    let Some((events, next)) = first.map_err(|error| {
        tracing::error!(%error, "the spool can't be read");
        error.to_string()
    })?
    else {
        return Ok(());
    };
    let is_refused = match inner.commit.append(Append::new(events.clone())).await {
        Ok(_) => None,
        // Whether it was recorded before its stream was deleted is no matter any more: nothing would be left of it.
        Err(refusal @ RecorderError::StreamDeleted { .. }) => Some(refusal),
        Err(refusal @ (RecorderError::VersionConflict { .. } | RecorderError::Invalid { .. })) => {
            let is_recorded = inner.is_recorded(&events).await;
            (!is_recorded.map_err(|error| error.to_string())?).then_some(refusal)
        }
        Err(error) => return Err(error.to_string()),
    };
    if let Some(refusal) = &is_refused {
        let event_id = events.first().map(|event| event.event_id);
        tracing::error!(?event_id, error = %refusal, "a spooled request can't be recorded, and is set aside");
    }
    let writing = Arc::clone(inner);
    blocking(move || writing.done(next, is_refused.is_some().then_some(&events)))
        .await
        .map_err(|error| {
            tracing::error!(%error, "the spool can't be written");
            error.to_string()
        })
}

/// Where files are waited for. It panics only if `work` does.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and with it whoever waits.
            Err(_) => std::future::pending().await,
        },
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool")
            .field("bounds", &self.inner.bounds)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
