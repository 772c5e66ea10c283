//! Group commit.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::catch_panic::catch_panic;
use crate::deletion::one_deletion;
use crate::head::Head;
use crate::write_failure::WriteFailure;
use crate::{Append, Appended, Deletion, Recorder, RecorderError, StoredEvent};

/// How much one transaction may gather, and how much may wait for it.
///
/// Of the three `max_` bounds of a transaction the first that is reached counts. A bound of 0 counts as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCommitBounds {
    /// Requests in one transaction, at most.
    pub max_requests: usize,
    /// Events in one transaction, at most (a single larger request is still taken alone).
    pub max_events: usize,
    /// Bytes of state and metadata in one transaction, at most (likewise).
    pub max_bytes: usize,
    /// Requests that may wait; further callers are held until there is room.
    pub max_waiting: usize,
    /// How often the store is asked for its head while somebody watches it, so that what other processes
    /// commit is noticed.
    pub head_poll_interval: Duration,
}

impl GroupCommitBounds {
    /// Beyond some hundred requests the share of one commit is small against the work for each event.
    pub const DEFAULT_MAX_REQUESTS: usize = 512;
    /// So that a transaction of large requests still ends in a few milliseconds.
    pub const DEFAULT_MAX_EVENTS: usize = 4_096;
    /// 4 MiB: what a transaction may cost in memory, and in the log that the database writes ahead.
    pub const DEFAULT_MAX_BYTES: usize = 4 * 1024 * 1024;
    /// Twice a full transaction: one is written while the next one gathers.
    pub const DEFAULT_MAX_WAITING: usize = 1_024;
    /// How late what another process committed is noticed, at most.
    pub const DEFAULT_HEAD_POLL_INTERVAL: Duration = Duration::from_millis(200);
}

impl Default for GroupCommitBounds {
    fn default() -> Self {
        Self {
            max_requests: Self::DEFAULT_MAX_REQUESTS,
            max_events: Self::DEFAULT_MAX_EVENTS,
            max_bytes: Self::DEFAULT_MAX_BYTES,
            max_waiting: Self::DEFAULT_MAX_WAITING,
            head_poll_interval: Self::DEFAULT_HEAD_POLL_INTERVAL,
        }
    }
}

/// Appends of many callers, gathered into one transaction.
///
/// One task of this process writes. It takes what is waiting, records it in one transaction, answers each caller,
/// and takes what came meanwhile. No timer: the commit at work is the window in which the next one gathers, so a
/// lone caller waits for nothing but its own commit.
///
/// Clones share the task. It ends after [`close`](Self::close), or when the last clone is gone; what waits by then
/// is still recorded. Several processes may each have a group commit on one store.
///
/// Source: group commit is as old as Gawlick and Kinkade, *Varieties of Concurrency Control in IMS/VS Fast Path* (1985).
#[derive(Clone)]
pub struct GroupCommit {
    inner: Arc<Inner>,
}

struct Inner {
    recorder: Arc<dyn Recorder>,
    waiting: mpsc::Sender<Request>,
    head: Head,
    write_failure: WriteFailure,
    closing: Arc<Closing>,
    /// Its sender is gone when the writer has ended, however it did.
    writer_ended: watch::Receiver<()>,
    head_poll: AbortHandle,
}

/// What waits for the writer, and who waits for the answer.
struct Request {
    append: Append,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<Appended, RecorderError>>;

#[derive(Default)]
struct Closing {
    asked: AtomicBool,
    writer: Notify,
}

impl GroupCommit {
    /// Starts the task that writes to `recorder`. Needs a Tokio runtime with time enabled.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not tell its head, or how much of it is redacted: try later.
    pub async fn start(
        recorder: Arc<dyn Recorder>,
        bounds: GroupCommitBounds,
    ) -> Result<Self, RecorderError> {
        let head = Head::new(recorder.head().await?, recorder.n_redacted().await?);
        let (waiting, requests) = mpsc::channel(
            bounds
                .max_waiting
                .clamp(1, tokio::sync::Semaphore::MAX_PERMITS),
        );
        let (ended, writer_ended) = watch::channel(());
        let closing = Arc::new(Closing::default());
        let write_failure = WriteFailure::default();
        let writer = Writer {
            recorder: Arc::clone(&recorder),
            bounds,
            requests,
            held_over: None,
            head: head.clone(),
            write_failure: write_failure.clone(),
            closing: Arc::clone(&closing),
        };
        tokio::spawn(async move {
            writer.run().await;
            drop(ended);
        });
        let head_poll = tokio::spawn(
            head.clone()
                .poll(Arc::clone(&recorder), bounds.head_poll_interval),
        )
        .abort_handle();
        Ok(Self {
            inner: Arc::new(Inner {
                recorder,
                waiting,
                head,
                write_failure,
                closing,
                writer_ended,
                head_poll,
            }),
        })
    }

    /// The recorder that is written to: for reading.
    #[must_use]
    pub fn recorder(&self) -> &Arc<dyn Recorder> {
        &self.inner.recorder
    }

    /// Records one request, all of it or nothing; durable when it returns.
    ///
    /// Returns the notification ids of the events, and what became of the deletions. A conflict refuses this request
    /// alone. A caller that goes away while it waits for the answer does not take the request back.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Invalid`] if no store could record it: mend the caller.
    /// - [`RecorderError::VersionConflict`] if a version does not follow the recorded one: load again, decide again.
    /// - [`RecorderError::TrackingMoved`] if the follower is not where the step begins: go on from there.
    /// - [`RecorderError::StreamDeleted`] if the stream of one of the events [was deleted](Self::delete_stream).
    /// - [`RecorderError::KeyValueConflict`] if a value beside the log is not as the request expects: read it again.
    /// - [`RecorderError::Unavailable`] if the store does not answer, and nothing is recorded: try later.
    /// - [`RecorderError::OutcomeUnknown`] if it is recorded as a whole or not at all, and it is not known which: as
    ///   [`Recorder::record`] says.
    /// - [`RecorderError::Closed`] after [`close`](Self::close).
    pub async fn append(&self, append: Append) -> Result<Appended, RecorderError> {
        append.validate()?;
        let (answer, answered) = oneshot::channel();
        let request = Request { append, answer };
        if self.inner.waiting.send(request).await.is_err() {
            return Err(self.writer_is_gone());
        }
        // The writer answers what it has taken, unless its runtime ended in the middle.
        answered.await.unwrap_or_else(|_| {
            Err(RecorderError::OutcomeUnknown {
                reason: "the writing task ended with its runtime before it answered".to_owned(),
                source: None,
            })
        })
    }

    /// Deletes the stream of one aggregate, for good, as [`Recorder::delete_stream`] says: an [append](Self::append) of
    /// one deletion, which then waits until what the stream held is [erased](Recorder::erase_deleted). A caller that goes away while it waits for
    /// the answer does not take the request back.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Unavailable`] or [`RecorderError::OutcomeUnknown`] if the store does not answer, or what was deleted
    ///   could not be erased from its files yet: do it again, also where it may have been done.
    /// - [`RecorderError::Closed`] after [`close`](Self::close).
    pub async fn delete_stream(&self, originator_id: Uuid) -> Result<Deletion, RecorderError> {
        let append = Append::default().with_deletion(originator_id);
        let deletion = one_deletion(&self.append(append).await?)?;
        // Here and not by the writer: a long read holds up who waits for the erasure, and nobody else.
        self.inner.recorder.erase_deleted().await?;
        Ok(deletion)
    }

    /// The id of the newest notification, 0 for none, and every later one.
    ///
    /// It grows after each commit of this process at once, and after those of other processes within the poll
    /// interval: the store is asked only while somebody watches. It may skip ids and never goes back; a hint
    /// when to read, and what it names can be read.
    #[must_use]
    pub fn watch_head(&self) -> watch::Receiver<u64> {
        self.inner.head.watch()
    }

    /// How many notifications of the log are redacted, now and after each stream that is deleted from here on.
    ///
    /// It is noticed as [the head](Self::watch_head) is: at once what this process deletes, and within the poll interval
    /// what others do. It never goes back.
    #[must_use]
    pub fn watch_redacted(&self) -> watch::Receiver<u64> {
        self.inner.head.watch_redacted()
    }

    /// Why the store did not take the last write, if it did not: a full disk, for example, while reading goes on.
    ///
    /// As long as nobody writes, the store is [asked](Recorder::check_writable) every few seconds whether it does again.
    #[must_use]
    pub fn write_failure(&self) -> Option<RecorderError> {
        self.inner.write_failure.get()
    }

    /// Takes no new request, records those that wait, and returns when the last one is answered.
    ///
    /// Callers that are held because too many wait are refused. Closing twice is closing once. Reading goes on,
    /// but the head moves no more.
    pub async fn close(&self) {
        self.inner.closing.asked.store(true, Ordering::Release);
        self.inner.closing.writer.notify_one();
        self.inner.head_poll.abort();
        let mut ended = self.inner.writer_ended.clone();
        while ended.changed().await.is_ok() {}
    }

    /// Why nobody takes a request.
    fn writer_is_gone(&self) -> RecorderError {
        if self.inner.closing.asked.load(Ordering::Acquire) {
            return RecorderError::Closed;
        }
        let reason = "the writing task ended with its runtime".to_owned();
        RecorderError::Unavailable {
            reason,
            source: None,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.head_poll.abort();
    }
}

impl fmt::Debug for GroupCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupCommit")
            .field("recorder", &self.inner.recorder)
            .field("head", &self.inner.head.known())
            .finish_non_exhaustive()
    }
}

/// The task that writes.
struct Writer {
    recorder: Arc<dyn Recorder>,
    bounds: GroupCommitBounds,
    requests: mpsc::Receiver<Request>,
    /// Did not fit into the previous transaction.
    held_over: Option<Request>,
    head: Head,
    write_failure: WriteFailure,
    closing: Arc<Closing>,
}

impl Writer {
    async fn run(mut self) {
        let mut appends = Vec::new();
        let mut answers = Vec::new();
        while let Some(first) = self.first().await {
            appends.push(first.append);
            answers.push(first.answer);
            self.gather(&mut appends, &mut answers);
            let outcome = record(self.recorder.as_ref(), &appends).await;
            self.write_failure.saw(&outcome);
            if let Some(head) = outcome
                .iter()
                .flatten()
                .flatten()
                .map(|appended| appended.ids.end.saturating_sub(1))
                .max()
            {
                self.head.advance(head);
            }
            let deletions = outcome.iter().flatten().flatten();
            let deletions = deletions.flat_map(|appended| &appended.deletions);
            if let Some(n_redacted) = deletions.map(|deletion| deletion.n_redacted).max() {
                self.head.redact(n_redacted);
            }
            answer(outcome, &mut answers);
            appends.clear();
        }
    }

    /// The request that opens the next transaction; `None` when there will be no more.
    async fn first(&mut self) -> Option<Request> {
        if let Some(request) = self.held_over.take() {
            return Some(request);
        }
        let request = loop {
            tokio::select! {
                // Closing first: under load there is always a request.
                biased;
                () = self.closing.writer.notified() => self.requests.close(),
                request = self.requests.recv() => break request?,
                () = self.write_failure.is_due() => self.check_writable().await,
            }
        };
        // Those that were answered a moment ago get to run, and to ask again, before the transaction is cut.
        tokio::task::yield_now().await;
        Some(request)
    }

    /// Adds what waits to the first request, up to the bounds.
    fn gather(&mut self, appends: &mut Vec<Append>, answers: &mut Vec<Answer>) {
        let mut size = Size::default();
        appends.iter().for_each(|append| size.add(append));
        while let Ok(request) = self.requests.try_recv() {
            size.add(&request.append);
            if size.exceeds(&self.bounds) {
                self.held_over = Some(request);
                return;
            }
            appends.push(request.append);
            answers.push(request.answer);
        }
    }

    async fn check_writable(&self) {
        let checking = async { self.recorder.check_writable().await };
        let checked = catch_panic("writing", checking).await;
        self.write_failure.saw(&checked);
    }
}

#[derive(Default)]
struct Size {
    requests: usize,
    events: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, append: &Append) {
        let bytes = |event: &StoredEvent| event.state.len().saturating_add(event.metadata.len());
        let values = append
            .key_values
            .iter()
            .filter_map(|write| write.new.as_ref());
        self.requests = self.requests.saturating_add(1);
        self.events = self.events.saturating_add(append.events.len());
        self.bytes = append
            .events
            .iter()
            .map(bytes)
            .chain(values.map(Bytes::len))
            .fold(self.bytes, usize::saturating_add);
    }

    const fn exceeds(&self, bounds: &GroupCommitBounds) -> bool {
        self.requests > bounds.max_requests
            || self.events > bounds.max_events
            || self.bytes > bounds.max_bytes
    }
}

/// One transaction.
async fn record(
    recorder: &dyn Recorder,
    batch: &[Append],
) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
    let outcomes = catch_panic("recording", async { recorder.record(batch).await }).await?;
    if outcomes.len() != batch.len() {
        let reason = format!(
            "the recorder gave {} answers to {} requests",
            outcomes.len(),
            batch.len()
        );
        return Err(RecorderError::OutcomeUnknown {
            reason,
            source: None,
        });
    }
    Ok(outcomes)
}

fn answer(
    outcome: Result<Vec<Result<Appended, RecorderError>>, RecorderError>,
    answers: &mut Vec<Answer>,
) {
    // A caller that has gone away does not hear the answer, and that is all.
    match outcome {
        Ok(outcomes) => answers
            .drain(..)
            .zip(outcomes)
            .for_each(|(answer, outcome)| drop(answer.send(outcome))),
        Err(error) => answers
            .drain(..)
            .for_each(|answer| drop(answer.send(Err(error.clone())))),
    }
}
