//! What runs after a command has been committed.

use std::fmt::Debug;

use async_trait::async_trait;

/// Something that runs after a command has been committed, before it returns to its caller.
#[async_trait]
pub trait AfterCommit: Debug + Send + Sync + 'static {
    /// A command has been committed.
    ///
    /// What it caused can't undo it: so this returns no error, and reports its own troubles itself.
    async fn committed(&self);
}

tokio::task_local! {
    /// Set while followers run: what their policies command beside their own app must not wait for itself.
    pub(crate) static DELIVERING: ();
}

/// Carries over into another task whether this one is delivering.
pub(crate) fn within_same<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let is_delivering = DELIVERING.try_with(|()| ()).is_ok();
    async move {
        if is_delivering {
            DELIVERING.scope((), future).await
        } else {
            future.await
        }
    }
}
