//! Pages as batches of `CloudEvents` 1.0.

use boxes_notification_log::Section;
use boxes_recorder::{LogIdentity, Notification};

use crate::json_page::embeds_as_json;
use crate::json_text::JsonText;
use crate::link::Links;
use crate::representation::{Format, Representation};

/// The bytes of an event besides its state and topic: about, for one allocation.
const EVENT_OVERHEAD: usize = 480;

/// A JSON array of `CloudEvents`, ascending by `sequence`, for those that ask for it by name.
///
/// `source` is the history of the log, as the URN of its epoch, so that no event names a host; `log` is the log's
/// name. `sequence` is the notification id as a string of 20 digits: a `CloudEvents` integer has 32 bits, and strings
/// of one length sort as their numbers do. State that is not plain JSON is `data_base64`, with the `contentencoding`
/// that made it; what is redacted has no data, and `redacted` is true. A single notification is a batch of one. Links are in the `Link` header alone.
#[derive(Debug)]
pub(crate) struct CloudEventsBatch;

/// As batches are asked for, and labelled.
pub(crate) const MEDIA_TYPE: &str = "application/cloudevents-batch+json";

impl Format for CloudEventsBatch {
    fn media_type(&self) -> &'static str {
        MEDIA_TYPE
    }

    fn tag(&self) -> &'static str {
        "cloudevents-2"
    }

    fn only_by_name(&self) -> bool {
        true
    }
}

impl Representation for CloudEventsBatch {
    fn page(&self, section: &Section, _: &Links) -> Vec<u8> {
        batch(&section.log, &section.items, EventId::OfEvent)
    }

    fn notification(&self, log: &LogIdentity, item: &Notification, _: &Links) -> Vec<u8> {
        batch(log, std::slice::from_ref(item), EventId::OfEvent)
    }
}

/// What the `id` of an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventId {
    /// The event's own, a UUID.
    OfEvent,
    /// Its place in the log, `42@{epoch}`, so that a reader can continue after it; then `eventid` is the event's own.
    OfNotification,
}

/// These notifications as a batch.
pub(crate) fn batch(log: &LogIdentity, items: &[Notification], ids: EventId) -> Vec<u8> {
    let sizes = items.iter().map(|Notification { event, .. }| {
        EVENT_OVERHEAD + event.state.len() * 3 / 2 + event.topic.len() + log.name.len()
    });
    let mut json = JsonText::with_capacity(2 + sizes.sum::<usize>());
    json.raw("[");
    for (place, item) in items.iter().enumerate() {
        json.raw(if place == 0 { "{" } else { ",{" });
        attributes(&mut json, log, item, ids);
        json.raw("}");
    }
    json.raw("]");
    json.into_bytes()
}

fn attributes(json: &mut JsonText, log: &LogIdentity, item: &Notification, ids: EventId) {
    let event = &item.event;
    json.raw("\"specversion\":\"1.0\",\"id\":");
    match ids {
        EventId::OfEvent => json.uuid(event.event_id),
        EventId::OfNotification => {
            let id = format!("{}@{}", item.id, log.epoch);
            json.string(&id).raw(",\"eventid\":");
            json.uuid(event.event_id)
        }
    };
    json.raw(",\"source\":")
        .string(&log.epoch.urn().to_string());
    json.raw(",\"type\":").string(&event.topic);
    json.raw(",\"subject\":").uuid(event.originator_id);
    json.raw(",\"time\":")
        .string(&format!("{:.6}", event.occurred_on));
    json.raw(",\"sequence\":")
        .string(&format!("{:020}", item.id));
    json.raw(",\"log\":").string(&log.name);
    json.raw(",\"originatorversion\":")
        .string(&event.originator_version.to_string());
    json.raw(",\"schemaversion\":")
        .string(&event.schema_version.to_string());
    if event.is_redacted() {
        json.raw(",\"redacted\":true");
    } else if embeds_as_json(event) {
        json.raw(",\"datacontenttype\":\"application/json\",\"data\":")
            .embed(&event.state);
    } else {
        json.raw(",\"datacontenttype\":\"application/octet-stream\",\"contentencoding\":")
            .string(event.encoding.as_str());
        json.raw(",\"data_base64\":").base64(&event.state);
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::num::NonZeroU32;

    use boxes_recorder::{Encoding, StoredEvent};
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn state_that_is_not_plain_json_is_base64_and_says_so() {
        let log = LogIdentity {
            name: "orders".to_owned(),
            epoch: Uuid::from_u128(0x5b0c),
            page_size: NonZeroU32::new(20).unwrap(),
        };
        let event = StoredEvent {
            event_id: Uuid::from_u128(1),
            originator_id: Uuid::from_u128(2),
            originator_version: 7,
            topic: Cow::Borrowed("orders.order.placed"),
            schema_version: 1,
            encoding: Encoding::new("json+zlib"),
            state: Bytes::from_static(b"\0\x01\x02\xff"),
            metadata: Bytes::new(),
            occurred_on: "2026-11-23T15:00:00.1Z".parse().unwrap(),
        };
        let redacted = event.to_redacted();
        let written = batch(&log, &[Notification { id: 21, event }], EventId::OfEvent);
        assert_eq!(
            String::from_utf8(written).unwrap(),
            concat!(
                r#"[{"specversion":"1.0","id":"00000000-0000-0000-0000-000000000001","#,
                r#""source":"urn:uuid:00000000-0000-0000-0000-000000005b0c","type":"orders.order.placed","#,
                r#""subject":"00000000-0000-0000-0000-000000000002","time":"2026-11-23T15:00:00.100000Z","#,
                r#""sequence":"00000000000000000021","log":"orders","originatorversion":"7","schemaversion":"1","#,
                r#""datacontenttype":"application/octet-stream","contentencoding":"json+zlib","#,
                r#""data_base64":"AAEC/w=="}]"#,
            )
        );
        let item = Notification {
            id: 21,
            event: redacted,
        };
        let written = String::from_utf8(batch(&log, &[item], EventId::OfEvent)).unwrap();
        assert!(
            written.ends_with(r#""schemaversion":"1","redacted":true}]"#),
            "{written}"
        );
    }
}
