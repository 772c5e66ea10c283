//! What was deleted is in no file of a SQLite database any more, after random histories.

#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

use std::path::Path;

use boxes_recorder::Recorder;
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};

/// Numbers that look random, and are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // The generator `splitmix64`.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        let words = n.div_ceil(8);
        let mut bytes: Vec<u8> = (0..words).flat_map(|_| self.next().to_be_bytes()).collect();
        bytes.truncate(n);
        bytes
    }
}

/// How many of these are in any file of the folder, whole or half.
fn n_found(folder: &Path, secrets: &[Vec<u8>]) -> usize {
    let files: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap())
        // What processes share in memory is no content of the database.
        .filter(|file| !file.file_name().to_string_lossy().ends_with("-shm"))
        .map(|file| std::fs::read(file.path()).unwrap())
        .collect();
    let places: std::collections::HashSet<&[u8]> = files
        .iter()
        .flat_map(|file| file.windows(16).step_by(1))
        .collect();
    let is_there =
        |secret: &&Vec<u8>| places.contains(&secret[..16]) || places.contains(&secret[16..32]);
    secrets.iter().filter(is_there).count()
}

/// Keys of subjects, snapshots of all sizes next to them in the same table, and people who are forgotten now and then.
async fn history(seed: u64, scrubs: bool) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crm.db");
    let recorder = SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named("crm"));
    let recorder = recorder.await.unwrap();
    let store = recorder.key_value_store().unwrap();
    let mut random = Random(seed);
    let (mut known, mut forgotten) = (Vec::new(), Vec::new());
    for _ in 0..2_000 {
        match random.below(10) {
            0..=3 => {
                let (id, secret) = (random.bytes(16), random.bytes(32));
                store.put("subject-key", &id, &secret).await.unwrap();
                known.push((id, secret));
            }
            4..=7 => {
                let size = 20 + random.below(1_500);
                let key = [b"snapshot-of-", random.bytes(1).as_slice()].concat();
                let value = random.bytes(size);
                store.put("snapshot", &key, &value).await.unwrap();
            }
            _ if known.is_empty() => {}
            _ => {
                let (id, secret) = known.swap_remove(random.below(known.len()));
                store.put("subject-key", &id, &[0]).await.unwrap();
                match scrubs {
                    true => store.scrub(&[&secret]).await.unwrap(),
                    false => store.erase("subject", b"nobody").await.unwrap(),
                }
                forgotten.push(secret);
            }
        }
    }
    n_found(folder.path(), &forgotten)
}

#[tokio::test]
async fn no_forgotten_key_is_in_any_file_whatever_happened_to_its_page() {
    for seed in 1..=4 {
        assert_eq!(history(seed, true).await, 0, "seed {seed}");
    }
}

/// The reason for searching the files: what SQLite itself overwrites is not everything. If this fails, SQLite has become better.
#[tokio::test]
async fn to_delete_and_cut_the_write_ahead_log_is_not_enough() {
    let mut n_left = 0;
    for seed in 1..=4 {
        n_left += history(seed, false).await;
    }
    assert!(n_left > 0);
}
