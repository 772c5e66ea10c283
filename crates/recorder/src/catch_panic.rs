//! A panic in an engine becomes an error.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::RecorderError;

/// Gives what `future` gives; if it panics, [`RecorderError::OutcomeUnknown`], and a line in the log: what an engine did before it
/// panicked may be done.
///
/// So a panic costs those who asked and not the task that asks for all. Nothing of this crate is in the middle of
/// a change while it waits, and an engine that panicked takes care of its own state, or keeps panicking.
pub(crate) async fn catch_panic<T>(
    doing: &'static str,
    future: impl Future<Output = Result<T, RecorderError>>,
) -> Result<T, RecorderError> {
    let mut future = pin!(future);
    poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))).unwrap_or_else(|_| {
            tracing::error!(doing, "the recorder panicked");
            Poll::Ready(Err(RecorderError::OutcomeUnknown {
                reason: format!("the recorder panicked while {doing}"),
                source: None,
            }))
        })
    })
    .await
}
