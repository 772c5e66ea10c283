//! Takes what was deleted out of the files of a database for good.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use boxes_recorder::RecorderError;

use crate::sqlite_erasure::Erasure;
use crate::sqlite_writer::Writer;

/// Writes all that there is into a new file, which takes the place of the old one: nothing else is in it.
const VACUUM: &str = "VACUUM";

const DOING: &str = "taking deleted values out of the database file";

/// Parts of this many bytes are looked for: what is left of a value may be cut.
const PART_BYTES: usize = 8;

/// How much of a file is in memory at a time.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Takes these values out of the files; without any, everything that was deleted or replaced.
///
/// SQLite overwrites what it deletes, but when it distributes the rows of a page over others, copies stay behind in places that
/// it does not use any more. That is rare, and to rewrite the file takes long; so the file is searched first.
pub(crate) async fn scrub(
    writer: &Writer,
    erasure: &Erasure,
    values: &[&[u8]],
) -> Result<(), RecorderError> {
    erasure.request();
    erasure.wait().await?;
    let parts: BTreeSet<u64> = values.iter().flat_map(|value| parts_of(value)).collect();
    if !parts.is_empty() && !is_in_files(writer.path(), parts.clone()).await? {
        return Ok(());
    }
    writer.execute(DOING, || sqlx::query(VACUUM)).await?;
    erasure.request();
    erasure.wait().await?;
    if !parts.is_empty() && is_in_files(writer.path(), parts).await? {
        return Err(RecorderError::Unavailable {
            reason: format!("{DOING}: a part of one is there still"),
            source: None,
        });
    }
    Ok(())
}

/// Parts of a value, side by side: whatever is left of it and has twice their length holds one whole.
fn parts_of(value: &[u8]) -> impl Iterator<Item = u64> {
    let parts = value.chunks_exact(PART_BYTES);
    let parts = parts.filter_map(|part| part.try_into().ok().map(u64::from_be_bytes));
    // What repeats one byte is no secret, and may be anywhere.
    parts.filter(|part| {
        part.to_be_bytes()
            .windows(2)
            .any(|pair| pair.first() != pair.last())
    })
}

async fn is_in_files(database: &Path, parts: BTreeSet<u64>) -> Result<bool, RecorderError> {
    let mut ahead = database.as_os_str().to_owned();
    ahead.push("-wal");
    let files = [database.to_owned(), PathBuf::from(ahead)];
    let searching = tokio::task::spawn_blocking(move || {
        for file in &files {
            match File::open(file) {
                Ok(file) => {
                    if is_in(file, &parts)? {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    });
    let found = searching.await.map_err(io::Error::other).flatten();
    found.map_err(|error| RecorderError::unavailable(DOING, error))
}

fn is_in(mut bytes: impl Read, parts: &BTreeSet<u64>) -> io::Result<bool> {
    // Most bytes end no part.
    let last_bytes: BTreeSet<u8> = parts
        .iter()
        .filter_map(|part| part.to_be_bytes().last().copied())
        .collect();
    let mut ends = [false; 256];
    for byte in last_bytes {
        if let Some(ends) = ends.get_mut(usize::from(byte)) {
            *ends = true;
        }
    }
    let mut block = vec![0; BLOCK_BYTES];
    let mut window = 0_u64;
    loop {
        let n_read = match bytes.read(&mut block) {
            Ok(0) => return Ok(false),
            Ok(n_read) => n_read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for byte in block.get(..n_read).unwrap_or_default() {
            window = (window << 8) | u64::from(*byte);
            let may_end = ends.get(usize::from(*byte)).copied().unwrap_or(true);
            if may_end && parts.contains(&window) {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_value_is_found_wherever_it_is() {
        let value: Vec<u8> = (1..=32).collect();
        let parts: BTreeSet<u64> = parts_of(&value).collect();
        assert_eq!(parts.len(), 4);
        for place in [0, 1, 4095, BLOCK_BYTES - 4] {
            let mut file = vec![0; BLOCK_BYTES + 100];
            assert!(!is_in(file.as_slice(), &parts).unwrap());
            file[place..place + 15].copy_from_slice(&value[3..18]);
            assert!(is_in(file.as_slice(), &parts).unwrap(), "{place}");
        }
        assert_eq!(parts_of(&[0; 32]).count(), 0);
    }
}
