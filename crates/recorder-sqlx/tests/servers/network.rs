//! A network between a recorder and its server, that can lose a commit or its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::database::{Database, Kind};

/// What happens to a commit on its way.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Fate {
    Passes,
    /// The server hears it, and the answer is lost.
    AnswerLost,
    /// The server never hears it.
    NotHeard,
}

pub(crate) struct Network {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    kind: Kind,
    server: String,
    fate: AtomicU8,
    cuts: AtomicU64,
    holds_at_cut: AtomicBool,
    /// Whether every answer is lost, and no connection is made.
    is_down: AtomicBool,
    /// Whether new connections wait.
    held: watch::Sender<bool>,
}

impl Network {
    pub(crate) async fn before(database: &Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            kind: database.kind,
            server: database.address().to_owned(),
            fate: AtomicU8::new(0),
            cuts: AtomicU64::new(0),
            holds_at_cut: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
            held: watch::Sender::new(false),
        });
        let of_all = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&of_all);
                if shared.is_down.load(Ordering::SeqCst) {
                    continue;
                }
                tokio::spawn(async move {
                    let mut held = shared.held.subscribe();
                    held.wait_for(|held| !held).await.unwrap();
                    let server = TcpStream::connect(&shared.server).await.unwrap();
                    carry(client, server, Arc::clone(&shared)).await;
                });
            }
        });
        Self { port, shared }
    }

    /// The next commit ends so.
    pub(crate) fn next(&self, fate: Fate) {
        let fate = match fate {
            Fate::Passes => 0,
            Fate::AnswerLost => 1,
            Fate::NotHeard => 2,
        };
        self.shared.fate.store(fate, Ordering::SeqCst);
    }

    /// From the next cut on new connections wait, until they are released.
    pub(crate) fn hold_at_cut(&self) {
        self.shared.holds_at_cut.store(true, Ordering::SeqCst);
    }

    pub(crate) fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// From now on every answer is lost, and no connection is made. What is asked on those that there are is still heard.
    pub(crate) fn loses_answers(&self) {
        self.shared.is_down.store(true, Ordering::SeqCst);
    }

    /// How many commits, or answers to them, were lost.
    pub(crate) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

async fn carry(client: TcpStream, server: TcpStream, shared: Arc<Shared>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_cut = Arc::new(AtomicBool::new(false));
    let cut = Arc::clone(&is_cut);
    let of_answers = Arc::clone(&shared);
    let answers = tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            let is_lost = cut.load(Ordering::SeqCst) || of_answers.is_down.load(Ordering::SeqCst);
            if is_lost || to_client.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = vec![0; 65_536];
    while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
        let request = &buffer[..n];
        if Database::is_commit(shared.kind, request) {
            let fate = shared.fate.swap(0, Ordering::SeqCst);
            if fate != 0 {
                if shared.holds_at_cut.swap(false, Ordering::SeqCst) {
                    shared.held.send_replace(true);
                }
                shared.cuts.fetch_add(1, Ordering::SeqCst);
                is_cut.store(true, Ordering::SeqCst);
                if fate == 1 {
                    to_server.write_all(request).await.unwrap();
                    // The answer has come as far as here.
                    answers.await.unwrap();
                }
                return;
            }
        }
        if to_server.write_all(request).await.is_err() {
            return;
        }
    }
}
