//! A snapshot as bytes.

use std::borrow::Cow;

use boxes_mapper::Metadata;
use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

/// The first byte: how the rest is to be read.
const VERSION: u8 = 1;

/// The snapshot as bytes: numbers in big-endian order, and lengths before texts. It has no metadata.
pub(crate) fn write(snapshot: &StoredEvent) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(snapshot.event_id.as_bytes());
    bytes.extend_from_slice(snapshot.originator_id.as_bytes());
    bytes.extend_from_slice(&snapshot.originator_version.to_be_bytes());
    bytes.extend_from_slice(&snapshot.schema_version.to_be_bytes());
    bytes.extend_from_slice(&snapshot.occurred_on.as_microsecond().to_be_bytes());
    for text in [&*snapshot.topic, snapshot.encoding.as_str()] {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(&snapshot.state);
    bytes
}

/// The snapshot in the bytes, or `None` if there is none that can be read.
pub(crate) fn read(bytes: &[u8]) -> Option<StoredEvent> {
    let rest = bytes.strip_prefix(&[VERSION])?;
    let (event_id, rest) = rest.split_first_chunk()?;
    let (originator_id, rest) = rest.split_first_chunk()?;
    let (originator_version, rest) = rest.split_first_chunk()?;
    let (schema_version, rest) = rest.split_first_chunk()?;
    let (occurred_on, rest) = rest.split_first_chunk()?;
    let (topic, rest) = text(rest)?;
    let (encoding, state) = text(rest)?;
    Some(StoredEvent {
        event_id: Uuid::from_bytes(*event_id),
        originator_id: Uuid::from_bytes(*originator_id),
        originator_version: u64::from_be_bytes(*originator_version),
        topic: Cow::Owned(topic),
        schema_version: u32::from_be_bytes(*schema_version),
        encoding: Encoding::new(encoding),
        state: Bytes::copy_from_slice(state),
        metadata: Metadata::default().to_bytes(),
        occurred_on: Timestamp::from_microsecond(i64::from_be_bytes(*occurred_on)).ok()?,
    })
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_as_it_was_written_and_not_at_all_if_it_is_cut() {
        let snapshot = StoredEvent {
            event_id: Uuid::from_u128(1),
            originator_id: Uuid::from_u128(2),
            originator_version: 300,
            topic: "orders.order.snapshot".into(),
            schema_version: 2,
            encoding: Encoding::new("json+zlib"),
            state: Bytes::from_static(b"\0\xff"),
            metadata: Metadata::default().to_bytes(),
            occurred_on: Timestamp::from_microsecond(-1).unwrap(),
        };
        let bytes = write(&snapshot);
        assert_eq!(read(&bytes), Some(snapshot));
        let without_state = bytes.len() - 2;
        for length in 0..without_state {
            assert_eq!(read(&bytes[..length]), None, "{length}");
        }
        assert_eq!(read(&[&[2], &bytes[1..]].concat()), None);
    }
}
