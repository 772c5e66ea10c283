//! Telling other processes of commits, and hearing of theirs.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use sqlx::Postgres;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::server_hosts::Hosts;
use crate::server_readers::Readers;

/// How long is waited between two hints: what is committed meanwhile is one hint.
const SEND_INTERVAL: Duration = Duration::from_millis(5);

/// How long is waited before listening is tried again.
const LISTEN_RETRY: Duration = Duration::from_secs(2);

/// Heads, sent and heard by LISTEN and NOTIFY.
///
/// Sent by a connection of its own and after the commit: within the transaction, NOTIFY takes a lock of the whole server
/// at its end, and all boxes would wait for each other. Whatever goes wrong here is left alone: who misses a hint looks
/// a little later.
pub(crate) struct Hints {
    hosts: Hosts<Postgres>,
    is_pooled: bool,
    channel: String,
    committed: watch::Sender<u64>,
    heard: watch::Sender<u64>,
    sending: AbortHandle,
    /// Begun when somebody wants to hear.
    listening: OnceLock<AbortHandle>,
}

impl Hints {
    /// Starts to send, with the connections of `readers`.
    pub(crate) fn start(
        hosts: Hosts<Postgres>,
        channel: String,
        readers: Readers<Postgres>,
    ) -> Self {
        let is_pooled = readers.is_pooled();
        let committed = watch::Sender::new(0);
        let sending = tokio::spawn(send(committed.subscribe(), channel.clone(), readers));
        Self {
            hosts,
            is_pooled,
            channel,
            committed,
            heard: watch::Sender::new(0),
            sending: sending.abort_handle(),
            listening: OnceLock::new(),
        }
    }

    /// This process committed, and the head is now this.
    pub(crate) fn committed(&self, head: u64) {
        self.committed.send_replace(head);
    }

    /// What others say that they committed; `None` where a pooler gives each transaction another session, in which nobody
    /// can listen.
    pub(crate) fn heard(&self) -> Option<watch::Receiver<u64>> {
        if self.is_pooled {
            return None;
        }
        self.listening.get_or_init(|| {
            let listening = listen(self.hosts.clone(), self.channel.clone(), self.heard.clone());
            tokio::spawn(listening).abort_handle()
        });
        Some(self.heard.subscribe())
    }

    /// Sends and hears no more.
    pub(crate) fn stop(&self) {
        self.sending.abort();
        if let Some(listening) = self.listening.get() {
            listening.abort();
        }
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        self.stop();
    }
}

// Written out: the options hold a password.
impl fmt::Debug for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hints")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

async fn send(mut committed: watch::Receiver<u64>, channel: String, readers: Readers<Postgres>) {
    while committed.changed().await.is_ok() {
        let head = committed.borrow_and_update().to_string();
        let notify = || {
            sqlx::query("SELECT pg_notify($1, $2)::text")
                .bind(&channel)
                .bind(&head)
        };
        if let Err(error) = readers.rows("telling of a commit", notify).await {
            tracing::debug!(%error, "other processes were not told of a commit");
        }
        tokio::time::sleep(SEND_INTERVAL).await;
    }
}

async fn listen(hosts: Hosts<Postgres>, channel: String, heard: watch::Sender<u64>) {
    while let Some(options) = hosts.options().cloned() {
        // Made again each time: another host may take the writes by now.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(options);
        if let Err(error) = listen_while_connected(&pool, &channel, &heard).await {
            tracing::debug!(%error, "hints are not heard for a moment");
        }
        tokio::time::sleep(LISTEN_RETRY).await;
    }
}

async fn listen_while_connected(
    pool: &sqlx::PgPool,
    channel: &str,
    heard: &watch::Sender<u64>,
) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    loop {
        // What somebody else put into the channel is no head.
        if let Ok(head) = listener.recv().await?.payload().parse() {
            heard.send_replace(head);
        }
    }
}
