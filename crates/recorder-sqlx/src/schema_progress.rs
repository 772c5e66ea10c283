//! Long work on the tables, as an operator sees it.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often is said that it is still at work.
const SAY_INTERVAL: Duration = Duration::from_secs(15);

/// How often is looked whether another process is through.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Takes a step of the schema, however long that takes: on a large log an index alone may take hours, and a start that gave up
/// in between would never come to an end.
pub(crate) async fn take_step<T>(name: &str, version: u32, step: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    tracing::info!(log = name, version, "bringing the tables to a new version");
    let mut say = interval_at(Instant::now() + SAY_INTERVAL, SAY_INTERVAL);
    say.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut step = std::pin::pin!(step);
    loop {
        tokio::select! {
            taken = &mut step => {
                let secs = begun.elapsed().as_secs();
                tracing::info!(log = name, version, secs, "the step of the tables has ended");
                return taken;
            }
            _ = say.tick() => {
                let secs = begun.elapsed().as_secs();
                tracing::info!(log = name, version, secs, "still bringing the tables to a new version");
            }
        }
    }
}

/// Waits for another process that is at work on the tables.
#[derive(Debug, Default)]
pub(crate) struct OtherProcess {
    said: Option<Instant>,
}

impl OtherProcess {
    /// Waits until it is worth another look.
    pub(crate) async fn wait(&mut self, name: &str) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_INTERVAL) {
            self.said = Some(Instant::now());
            tracing::info!(
                log = name,
                "another process is at work on the tables: waiting for it"
            );
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
