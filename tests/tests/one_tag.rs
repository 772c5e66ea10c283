//! One strong tag means one body: whatever the settings, after restarts, on every replica, after deletions, for every reader.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::path::Path;

use boxes::mapper::{Cipher, Encryption, Key, KeyId, Keys, Mapper};
use boxes::prelude::*;
use boxes::service::{Config, Running, Service};
use proptest::prelude::*;

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "notes.note")]
enum NoteEvent {
    Written { text: String, margin: u32 },
}

#[derive(Default, Clone)]
struct Note;

impl Aggregate for Note {
    type Event = NoteEvent;
    fn apply(&mut self, _: &NoteEvent) {}
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "public.note")]
enum Public {
    Written { text: String },
}

fn public(notification: Notification<NoteEvent>) -> Option<Public> {
    let NoteEvent::Written { text, margin } = notification.event;
    (margin % 3 > 0).then_some(Public::Written { text })
}

/// The settings that may be other ones after a restart, and on another replica.
#[derive(Debug, Clone)]
struct Settings {
    format: u8,
    is_compressed: bool,
    /// Which topics are encrypted, with which key and cipher; none without keys.
    encryption: u8,
    base: u8,
    is_cached: bool,
}

impl Settings {
    fn config(&self, data: &Path) -> Config {
        let key = |id: u8| Key::new(&[id; 32]);
        let keys = |current: u8, other: u8| {
            let keys = Keys::new(KeyId(current.into()), key(current));
            keys.and(KeyId(other.into()), key(other)).unwrap()
        };
        let encryption = match self.encryption {
            0 => Encryption::none(keys(1, 2)),
            1 => Encryption::all(keys(1, 2)),
            2 => Encryption::all(keys(2, 1)),
            3 => Encryption::all_except(keys(2, 1), ["public"]),
            _ => Encryption::all(keys(1, 2)).with_cipher(Cipher::Aes256CbcHmacSha256),
        };
        let mapper = Mapper::default().encrypted(encryption);
        let mapper = if self.is_compressed {
            mapper.compressed()
        } else {
            mapper
        };
        let mapper = if self.format == 0 {
            mapper
        } else {
            mapper.message_pack()
        };
        let bases = [None, Some("https://a.example"), Some("https://b.example/x")];
        let base = bases[usize::from(self.base) % bases.len()];
        Config {
            bind: ([127, 0, 0, 1], 0).into(),
            data: data.to_owned(),
            page_size: Some(4.try_into().unwrap()),
            mapper,
            public_url: base.map(|base| base.parse().unwrap()),
            encrypts_none: self.encryption == 0,
            page_cache: if self.is_cached { 1 << 20 } else { 0 },
            ..Config::default()
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// One of the two replicas is started again, with other settings.
    Restart(usize, Settings),
    Write(usize, u32),
    Delete(usize, u64),
    /// A replica is asked for some of what there is, in a format and a coding.
    Read(usize, usize, usize),
}

fn settings() -> impl Strategy<Value = Settings> {
    (0..2u8, any::<bool>(), 0..5u8, 0..3u8, any::<bool>()).prop_map(
        |(format, is_compressed, encryption, base, is_cached)| Settings {
            format,
            is_compressed,
            encryption,
            base,
            is_cached,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..2usize, settings()).prop_map(|(at, settings)| Step::Restart(at, settings)),
        2 => (0..2usize, 1..4u32).prop_map(|(at, n)| Step::Write(at, n)),
        1 => (0..2usize, 0..12u64).prop_map(|(at, n)| Step::Delete(at, n)),
        4 => (0..2usize, 0..7usize, 0..3usize).prop_map(|(at, format, coding)| Step::Read(at, format, coding)),
    ]
}

const FORMATS: [&str; 7] = [
    "application/json",
    "text/html",
    "application/atom+xml",
    "application/cloudevents-batch+json",
    "application/x-ndjson",
    "application/vnd.saasovation.idovation+json",
    "*/*",
];
const CODINGS: [&str; 3] = ["identity", "gzip, identity;q=0", "zstd"];

/// What there is of a log, below the path of the log.
const PLACES: [&str; 12] = [
    "/notifications",
    "/notifications/1,4",
    "/notifications/5,8",
    "/notifications/3",
    "/notifications/log",
    "/notifications/feed",
    "/atom",
    "/atom/1,4",
    "/compat/eventsourcing-9/1,10",
    "/compat/eventsourcing-8/1,4/",
    "/compat/iddd/notifications",
    "/openapi.json",
];

async fn start(settings: &Settings, data: &Path) -> Running {
    let notes = BoundedContext::new("notes")
        .aggregate::<Note>()
        .redactable()
        .publish("public", PublicLog::revision(1).translate(public));
    Service::start([notes], settings.config(data))
        .await
        .unwrap()
}

type Seen = HashMap<(String, String), Vec<u8>>;

/// Asks for all places, and holds what comes against what was seen under the same tag.
async fn read(running: &Running, format: &str, coding: &str, seen: &mut Seen) {
    let client = reqwest::Client::builder().build().unwrap();
    for log in ["/notes", "/notes/public"] {
        for place in PLACES {
            let path = format!("{log}{place}");
            let request = client.get(format!("{}{path}", running.base_url()));
            let request = request
                .header("accept", format)
                .header("accept-encoding", coding);
            let answer = request.send().await.unwrap();
            let Some(tag) = answer.headers().get("etag") else {
                continue;
            };
            let tag = tag.to_str().unwrap().to_owned();
            let body = answer.bytes().await.unwrap().to_vec();
            let one = (path, tag);
            if let Some(before) = seen.get(&one) {
                assert!(
                    *before == body,
                    "{one:?} has two bodies:\n{}\n{}",
                    String::from_utf8_lossy(before),
                    String::from_utf8_lossy(&body)
                );
            }
            seen.insert(one, body);
        }
    }
}

async fn run(first: Settings, second: Settings, steps: Vec<Step>) {
    boxes::http::install_crypto_provider();
    let data = tempfile::tempdir().unwrap();
    let mut replicas = [
        start(&first, data.path()).await,
        start(&second, data.path()).await,
    ];
    let (mut seen, mut n_written) = (Seen::new(), 0_u64);
    let id = |n: u64| Id::<Note>::named(&format!("note-{n}"));
    for step in steps {
        match step {
            Step::Restart(at, settings) => {
                let started = start(&settings, data.path()).await;
                let stopped = std::mem::replace(&mut replicas[at], started);
                stopped.shutdown().await;
            }
            Step::Write(at, n_notes) => {
                let app = replicas[at].app("notes").unwrap();
                for _ in 0..n_notes {
                    n_written += 1;
                    let margin = u32::try_from(n_written).unwrap();
                    let text = format!("note {n_written} {}", "again and again ".repeat(20));
                    let event = NoteEvent::Written { text, margin };
                    app.create(id(n_written), event).await.unwrap();
                }
            }
            Step::Delete(at, n) if (1..=n_written).contains(&n) => {
                let app = replicas[at].app("notes").unwrap();
                // Again, it says the same.
                drop(app.delete(id(n)).await);
            }
            Step::Delete(..) => {}
            Step::Read(at, format, coding) => {
                read(&replicas[at], FORMATS[format], CODINGS[coding], &mut seen).await;
            }
        }
    }
    for running in &replicas {
        read(running, "application/json", "identity", &mut seen).await;
    }
    for running in replicas {
        running.shutdown().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 30, ..ProptestConfig::default() })]
    #[test]
    fn no_address_and_tag_is_ever_seen_with_two_bodies(
        first in settings(),
        second in settings(),
        steps in proptest::collection::vec(step(), 8..30),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(first, second, steps));
    }
}
