//! Events of one request as bytes of a spool.

use bytes::{Buf, BufMut, Bytes};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Encoding, StoredEvent};

/// The events as bytes: a number of them, and of each its numbers and ids, then its texts and values, each behind its length.
pub(crate) fn encode(events: &[StoredEvent]) -> Vec<u8> {
    let mut record = Vec::new();
    record.put_u64_le(length(events.len()));
    for event in events {
        record.put_u128_le(event.event_id.as_u128());
        record.put_u128_le(event.originator_id.as_u128());
        record.put_u64_le(event.originator_version);
        record.put_u32_le(event.schema_version);
        record.put_i64_le(event.occurred_on.as_microsecond());
        for field in [
            event.topic.as_bytes(),
            event.encoding.as_str().as_bytes(),
            &event.state,
            &event.metadata,
        ] {
            record.put_u64_le(length(field.len()));
            record.put_slice(field);
        }
    }
    record
}

/// The events that [`encode`] made these bytes of; `None` if it did not.
pub(crate) fn decode(mut record: Bytes) -> Option<Vec<StoredEvent>> {
    let n_events = record.try_get_u64_le().ok()?;
    let mut events = Vec::new();
    for _ in 0..n_events {
        let event_id = Uuid::from_u128(record.try_get_u128_le().ok()?);
        let originator_id = Uuid::from_u128(record.try_get_u128_le().ok()?);
        let originator_version = record.try_get_u64_le().ok()?;
        let schema_version = record.try_get_u32_le().ok()?;
        let occurred_on = Timestamp::from_microsecond(record.try_get_i64_le().ok()?).ok()?;
        let topic = text(&mut record)?;
        let encoding = text(&mut record)?;
        events.push(StoredEvent {
            event_id,
            originator_id,
            originator_version,
            topic: topic.into(),
            schema_version,
            encoding: Encoding::new(encoding),
            state: field(&mut record)?,
            metadata: field(&mut record)?,
            occurred_on,
        });
    }
    record.is_empty().then_some(events)
}

fn length(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn field(record: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(record.try_get_u64_le().ok()?).ok()?;
    (length <= record.len()).then(|| record.split_to(length))
}

fn text(record: &mut Bytes) -> Option<String> {
    String::from_utf8(field(record)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fixture::event;

    #[test]
    fn events_are_read_as_they_were_written_and_nothing_is_read_of_less() {
        let mut other = event(Uuid::from_u128(2), 7);
        other.encoding = Encoding::new("json+zlib");
        other.state = Bytes::from_static(&[0, 255, 10]);
        other.occurred_on += Duration::from_micros(1);
        let events = vec![event(Uuid::from_u128(1), 1), other];
        let record = Bytes::from(encode(&events));
        assert_eq!(decode(record.clone()), Some(events));
        for length in 0..record.len() {
            assert_eq!(decode(record.slice(..length)), None, "{length}");
        }
    }
}
