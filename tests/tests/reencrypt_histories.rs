//! Random histories of a box whose log is copied and whose keys are rotated, with runs that are killed: whoever was deleted or
//! forgotten stays so, and nothing else is lost.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use boxes::Event;
use boxes::mapper::{Encryption, Envelope, Keys, Mapper, StateKey, SubjectKey, SubjectKeyId};
use boxes_application::{DataKeys, StoredSubjectKeys, SubjectKeyProvider, SystemEdge};
use boxes_recorder::{Append, Recorder};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use uuid::Uuid;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "orders.note")]
enum Note {
    Written { text: String },
}

/// What is known of an event.
#[derive(Debug, Clone)]
struct Known {
    event_id: Uuid,
    originator_id: Uuid,
    text: String,
}

struct World {
    folder: TempDir,
    random: fastrand::Rng,
    n_stores: u32,
    /// The newest first.
    keys: Vec<String>,
    events: Vec<Known>,
    deleted: BTreeSet<Uuid>,
    /// Each with the last key that was made for it.
    subjects: BTreeMap<String, SubjectKeyId>,
    forgotten: BTreeSet<SubjectKeyId>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            folder: TempDir::new().unwrap(),
            random: fastrand::Rng::with_seed(seed),
            n_stores: 1,
            keys: Vec::new(),
            events: Vec::new(),
            deleted: BTreeSet::new(),
            subjects: BTreeMap::new(),
            forgotten: BTreeSet::new(),
        };
        world.add_key();
        world
    }

    fn add_key(&mut self) {
        let n = self.keys.len() + 1;
        self.keys
            .insert(0, format!("{n}:{}", format!("{n:02x}").repeat(32)));
    }

    fn all_keys(&self) -> Keys {
        self.keys.join(",").parse().unwrap()
    }

    fn store(&self, n: u32) -> PathBuf {
        self.folder.path().join(format!("orders-{n}.db"))
    }

    async fn open(&self, n: u32) -> SqliteRecorder {
        let file = self.store(n);
        SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named("orders"))
            .await
            .unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
            command.env_remove(name);
        }
        let store = format!("orders=sqlite:{}", self.store(self.n_stores).display());
        command
            .args(arguments)
            .args(["--store", &store, "--data"])
            .arg(self.folder.path())
            .args(["--redactable", "orders"])
            .env("BOXES_KEYS", self.keys.join(","))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    }

    async fn mapper(&self, recorder: &SqliteRecorder) -> Mapper {
        let keys = Arc::new(self.all_keys());
        let data_keys = DataKeys::open(recorder, keys, &SystemEdge).await;
        Mapper::default()
            .encrypted(Encryption::all(self.all_keys()))
            .of_box("orders")
            .with_data_keys(data_keys.unwrap().unwrap().ring())
    }

    fn subject_keys(&self, recorder: &SqliteRecorder) -> StoredSubjectKeys {
        StoredSubjectKeys::new(recorder.key_value_store().unwrap())
            .wrapped_by(Arc::new(self.all_keys()))
    }

    /// Some events, in the clear, under a configured key, or under the data key; and somebody who is named in them.
    async fn append(&mut self) {
        let recorder = self.open(self.n_stores).await;
        let mapper = match self.random.u8(0..4) {
            0 => Mapper::default(),
            1 => Mapper::default()
                .compressed()
                .encrypted(Encryption::all(self.all_keys())),
            _ => self.mapper(&recorder).await,
        };
        for _ in 0..self.random.usize(1..40) {
            let originator_id = Uuid::from_u128(self.random.u128(1..8));
            if self.deleted.contains(&originator_id) {
                continue;
            }
            let known = Known {
                event_id: Uuid::from_u128(self.random.u128(..)),
                originator_id,
                text: format!("note {}", self.events.len()),
            };
            let before = self
                .events
                .iter()
                .filter(|event| event.originator_id == originator_id);
            let envelope = Envelope {
                event_id: known.event_id,
                originator_id,
                originator_version: u64::try_from(before.count()).unwrap() + 1,
                ..Envelope::default()
            };
            let note = Note::Written {
                text: known.text.clone(),
            };
            let stored = mapper.to_stored(&note, &envelope).unwrap();
            let outcome = recorder.record(&[Append::new(vec![stored])]).await.unwrap();
            outcome.into_iter().next().unwrap().unwrap();
            self.events.push(known);
        }
        let subject = format!("customer-{}", self.random.u8(0..4));
        let (id, _) = self
            .subject_keys(&recorder)
            .key_of(&subject.as_str().into())
            .await
            .unwrap();
        self.subjects.insert(subject, id);
        recorder.close().await.unwrap();
    }

    fn delete(&mut self) {
        let living = self.events.iter().map(|event| event.originator_id);
        let living: BTreeSet<Uuid> = living.filter(|id| !self.deleted.contains(id)).collect();
        let living: Vec<Uuid> = living.into_iter().collect();
        if let Some(id) = self.random.choice(living) {
            self.run(&["delete", "orders", &id.to_string(), "--yes"]);
            self.deleted.insert(id);
        }
    }

    fn forget(&mut self) {
        let subjects: Vec<String> = self.subjects.keys().cloned().collect();
        if let Some(subject) = self.random.choice(subjects) {
            self.run(&["forget", &subject, "orders"]);
            self.forgotten.extend(self.subjects.remove(&subject));
        }
    }

    fn rotate(&mut self) {
        self.add_key();
        self.run(&["rewrap-keys", "orders"]);
    }

    /// Copies the log, in runs that are killed now and then, and goes on with the copy.
    async fn copy(&mut self) {
        let mut n = self.n_stores;
        loop {
            n += 1;
            let into = format!("sqlite:{}", self.store(n).display());
            let mut run = self
                .command(&["reencrypt", "orders", "--into", &into])
                .spawn()
                .unwrap();
            if self.random.bool() {
                // Somewhere in the run, or after it.
                tokio::time::sleep(Duration::from_millis(self.random.u64(0..600))).await;
                drop(run.kill());
            }
            if run.wait().unwrap().success() {
                break;
            }
            // What is left of it is of no use, as the program says; and the log can be used again.
            self.is_refused(n);
            self.run(&["reencrypt", "orders", "--return"]);
        }
        self.compare(self.n_stores).await;
        self.compare(n).await;
        let old = std::mem::replace(&mut self.n_stores, n);
        self.all_are_encrypted().await;
        for suffix in ["", "-wal", "-shm"] {
            let mut file = self.store(old).into_os_string();
            file.push(suffix);
            drop(std::fs::remove_file(file));
        }
    }

    /// Nothing is served from a copy that was not finished.
    fn is_refused(&self, n: u32) {
        if !self.store(n).exists() {
            return;
        }
        let store = format!("orders=sqlite:{}", self.store(n).display());
        let output = Command::new(env!("CARGO_BIN_EXE_shop-under-test"))
            .args(["forget", "nobody", "orders", "--store", &store])
            .env("BOXES_KEYS", self.keys.join(","))
            .output()
            .unwrap();
        // One that was only begun to be made is an empty log, or none.
        let (code, said) = (output.status.code(), text(&output));
        assert!(
            said.contains("unfinished copy") || code == Some(4),
            "{said}"
        );
    }

    /// Holds that a store tells what is known.
    async fn compare(&self, n: u32) {
        let recorder = self.open(n).await;
        let mapper = self.mapper(&recorder).await;
        let log = recorder.select_notifications(1, u64::MAX).await.unwrap();
        assert_eq!(log.len(), self.events.len());
        for (item, known) in log.iter().zip(&self.events) {
            assert_eq!(item.event.event_id, known.event_id);
            let is_deleted = self.deleted.contains(&known.originator_id);
            assert_eq!(
                item.event.is_redacted(),
                is_deleted,
                "notification {}",
                item.id
            );
            if !is_deleted {
                let Note::Written { text } = mapper.to_own_event(&item.event).unwrap();
                assert_eq!(text, known.text);
            }
        }
        let keys = self.subject_keys(&recorder);
        for id in &self.forgotten {
            let key = keys.key(*id).await.unwrap();
            assert!(matches!(key, Some(SubjectKey::Forgotten)), "{id}: {key:?}");
        }
        for (subject, id) in &self.subjects {
            assert!(matches!(
                keys.key(*id).await.unwrap(),
                Some(SubjectKey::Key(_))
            ));
            assert_eq!(keys.key_of(&subject.as_str().into()).await.unwrap().0, *id);
        }
        recorder.close().await.unwrap();
    }

    async fn all_are_encrypted(&self) {
        let recorder = self.open(self.n_stores).await;
        for item in recorder.select_notifications(1, u64::MAX).await.unwrap() {
            let key = Mapper::key_of(&item.event);
            assert!(
                item.event.is_redacted() || matches!(key, Some(StateKey::Data(_))),
                "notification {}: {key:?}",
                item.id
            );
        }
        recorder.close().await.unwrap();
    }
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

#[tokio::test]
async fn whoever_was_deleted_or_forgotten_stays_so_whatever_is_copied_rotated_and_killed() {
    for seed in 1..=4 {
        let mut world = World::new(seed);
        world.append().await;
        for _ in 0..10 {
            match world.random.u8(0..8) {
                0..=2 => world.append().await,
                3 => world.delete(),
                4 => world.forget(),
                5 => world.rotate(),
                _ => world.copy().await,
            }
        }
        world.copy().await;
        world.compare(world.n_stores).await;
    }
}
