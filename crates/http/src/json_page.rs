//! Pages as `application/json`.

use std::fmt::Write as _;

use boxes_notification_log::{LogDescription, Section};
use boxes_recorder::{LogIdentity, Notification, StoredEvent};

use crate::ServiceIndex;
use crate::json_text::JsonText;
use crate::link::{Addresses, Links};
use crate::representation::{
    DescriptionFormat, Format, IndexFormat, Representation, page_media_types,
};

/// The bytes of an item besides its state and metadata, and of a page besides its items: about, for one
/// allocation.
const ITEM_OVERHEAD: usize = 320;
const PAGE_OVERHEAD: usize = 1_024;

/// The kit's own format: the page, its items with their state as it lies in the store, and the links.
#[derive(Debug)]
pub(crate) struct JsonPage;

impl Format for JsonPage {
    fn media_type(&self) -> &'static str {
        "application/json"
    }

    /// With the number of the form: bodies that are written otherwise need another tag, also where they say the same.
    fn tag(&self) -> &'static str {
        "json-2"
    }
}

impl Representation for JsonPage {
    fn page(&self, section: &Section, links: &Links) -> Vec<u8> {
        let sizes = section.items.iter().map(size);
        let mut json = JsonText::with_capacity(PAGE_OVERHEAD + sizes.sum::<usize>());
        json.raw("{\"id\":\"").raw(&section.id.to_string());
        let neighbour = |json: &mut JsonText, name, id: Option<String>| {
            json.raw(name);
            match id {
                Some(id) => json.raw("\"").raw(&id).raw("\""),
                None => json.raw("null"),
            };
        };
        let id = |link: &Option<_>| link.as_ref().map(id_text);
        neighbour(&mut json, "\",\"previous_id\":", id(&section.previous));
        neighbour(&mut json, ",\"next_id\":", id(&section.next));
        json.raw(",\"archived\":").boolean(section.archived);
        json.raw(",\"log\":").string(&section.log.name);
        json.raw(",\"epoch\":").uuid(section.log.epoch);
        json.raw(",\"page_size\":")
            .number(section.log.page_size.get().into());
        if let Some(last) = section.last {
            json.raw(",\"last\":").number(last);
        }
        json.raw(",\"items\":[");
        for (place, item) in section.items.iter().enumerate() {
            json.raw(if place == 0 { "{" } else { ",{" });
            members(&mut json, item);
            json.raw("}");
        }
        json.raw("],");
        write_links(&mut json, links);
        json.raw("}");
        json.into_bytes()
    }

    fn notification(&self, log: &LogIdentity, item: &Notification, links: &Links) -> Vec<u8> {
        let mut json = JsonText::with_capacity(PAGE_OVERHEAD + size(item));
        json.raw("{");
        members(&mut json, item);
        json.raw(",\"log\":").string(&log.name);
        json.raw(",\"epoch\":").uuid(log.epoch).raw(",");
        write_links(&mut json, links);
        json.raw("}");
        json.into_bytes()
    }
}

/// One item, as it is in a page.
pub(crate) fn item(item: &Notification) -> Vec<u8> {
    let mut json = JsonText::with_capacity(size(item));
    json.raw("{");
    members(&mut json, item);
    json.raw("}");
    json.into_bytes()
}

impl DescriptionFormat for JsonPage {
    fn description(&self, of: &LogDescription, addresses: &Addresses, links: &Links) -> Vec<u8> {
        let mut json = JsonText::with_capacity(PAGE_OVERHEAD);
        json.raw("{\"name\":").string(&of.log.name);
        json.raw(",\"epoch\":").uuid(of.log.epoch);
        json.raw(",\"page_size\":")
            .number(of.log.page_size.get().into());
        json.raw(",\"first_available\":").number(of.first_available);
        json.raw(",\"last\":").number(of.last);
        json.raw(",\"redacted\":").number(of.n_redacted);
        json.raw(",\"formats\":[");
        for (place, format) in page_media_types().enumerate() {
            json.raw(if place == 0 { "" } else { "," }).string(format);
        }
        json.raw("],\"uri_template\":")
            .string(&addresses.page_template(of.log.epoch))
            .raw(",");
        if let Some(template) = addresses.seal_template(of.log.epoch) {
            json.raw("\"seal_uri_template\":")
                .string(&template)
                .raw(",");
        }
        write_links(&mut json, links);
        json.raw("}");
        json.into_bytes()
    }
}

impl IndexFormat for JsonPage {
    fn index(&self, of: &ServiceIndex, _: &Links) -> Vec<u8> {
        // Names and addresses can always be written.
        serde_json::to_vec(of).unwrap_or_default()
    }
}

fn id_text(link: &boxes_notification_log::SectionLink) -> String {
    link.id.to_string()
}

fn size(item: &Notification) -> usize {
    // Half as much again, in case that state is written as base64.
    let event = &item.event;
    ITEM_OVERHEAD + event.state.len() * 3 / 2 + event.metadata.len() + event.topic.len()
}

/// The members of an item.
///
/// To the contract's own there is added `event_id`, the event's uuid: what `causation_id` in the metadata of
/// another box's event refers to. What is redacted has no state, and says so: `null` alone may be what was recorded.
fn members(json: &mut JsonText, item: &Notification) {
    let event = &item.event;
    json.raw("\"id\":").number(item.id);
    json.raw(",\"event_id\":").uuid(event.event_id);
    json.raw(",\"topic\":").string(&event.topic);
    json.raw(",\"version\":")
        .number(event.schema_version.into());
    json.raw(",\"originator_id\":").uuid(event.originator_id);
    json.raw(",\"originator_version\":")
        .number(event.originator_version);
    let mut time = String::with_capacity(32);
    // Writing into a string does not fail.
    let written = write!(time, "{:.6}", event.occurred_on);
    debug_assert!(written.is_ok());
    json.raw(",\"occurred_on\":\"").raw(&time);
    json.raw("\",\"state\":");
    if event.is_redacted() {
        json.raw("null,\"redacted\":true");
    } else if embeds_as_json(event) {
        json.embed(&event.state);
    } else {
        json.base64(&event.state);
        json.raw(",\"content_encoding\":")
            .string(event.encoding.as_str());
    }
    json.raw(",\"metadata\":");
    if event.metadata.is_empty() {
        json.raw("{}");
    } else {
        json.embed(&event.metadata);
    }
}

/// Whether the event's state can stand in JSON as it is.
pub(crate) fn embeds_as_json(event: &StoredEvent) -> bool {
    event.encoding.is_plain_json() && is_bare(&event.state)
}

/// Whether the bytes can be told from what surrounds them in a page: nothing, and space at an end, can not.
fn is_bare(state: &[u8]) -> bool {
    let space = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_whitespace);
    !space(state.first()) && !space(state.last())
}

fn write_links(json: &mut JsonText, links: &Links) {
    json.raw("\"links\":{");
    for (place, link) in links.iter().enumerate() {
        json.raw(if place == 0 { "" } else { "," });
        json.string(link.name).raw(":").string(&link.href);
    }
    let mut alternates = links.alternates().peekable();
    if alternates.peek().is_some() {
        json.raw(",\"alternate\":[");
        for (place, (href, media_type)) in alternates.enumerate() {
            json.raw(if place == 0 { "" } else { "," });
            json.raw("{\"href\":").string(href);
            json.raw(",\"type\":").string(media_type).raw("}");
        }
        json.raw("]");
    }
    json.raw("}");
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::num::NonZeroU32;

    use boxes_notification_log::SectionId;
    use boxes_recorder::Encoding;
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;

    fn page(encoding: &'static str, state: &'static [u8]) -> String {
        let log = LogIdentity {
            name: "orders".to_owned(),
            epoch: Uuid::from_u128(0x5b0c),
            page_size: NonZeroU32::new(20).unwrap(),
        };
        let id = SectionId::containing(21, log.page_size);
        let event = StoredEvent {
            event_id: Uuid::from_u128(1),
            originator_id: Uuid::from_u128(2),
            originator_version: 7,
            topic: Cow::Borrowed("orders.order.placed"),
            schema_version: 1,
            encoding: Encoding::new(encoding),
            state: Bytes::from_static(state),
            metadata: Bytes::from_static(b"{\"correlation_id\":\"c\"}"),
            occurred_on: "2026-11-23T15:00:00.1Z".parse().unwrap(),
        };
        let section = Section::new(log, id, vec![Notification { id: 21, event }], 21).unwrap();
        let addresses = Addresses::new("/orders/notifications", None, None);
        let links = addresses.of_page(&section);
        String::from_utf8(JsonPage.page(&section, &links)).unwrap()
    }

    #[test]
    fn a_page_is_written_as_the_contract_shows_it() {
        assert_eq!(
            page("json", br#"{ "customer": "ALFKI" }"#),
            concat!(
                r#"{"id":"21,40","previous_id":"1,20","next_id":null,"archived":false,"log":"orders","#,
                r#""epoch":"00000000-0000-0000-0000-000000005b0c","page_size":20,"last":21,"items":["#,
                r#"{"id":21,"event_id":"00000000-0000-0000-0000-000000000001","topic":"orders.order.placed","#,
                r#""version":1,"originator_id":"00000000-0000-0000-0000-000000000002","originator_version":7,"#,
                r#""occurred_on":"2026-11-23T15:00:00.100000Z","state":{ "customer": "ALFKI" },"#,
                r#""metadata":{"correlation_id":"c"}}],"links":{"self":"/orders/notifications/00000000-0000-0000-0000-000000005b0c/21,40","#,
                r#""current":"/orders/notifications","#,
                r#""first":"/orders/notifications/00000000-0000-0000-0000-000000005b0c/1,20","#,
                r#""previous":"/orders/notifications/00000000-0000-0000-0000-000000005b0c/1,20","#,
                r#""prev-archive":"/orders/notifications/00000000-0000-0000-0000-000000005b0c/1,20","#,
                r#""last":"/orders/notifications/00000000-0000-0000-0000-000000005b0c/21,40"}}"#,
            )
        );
    }

    #[test]
    fn state_that_is_not_plain_json_is_base64_and_says_so() {
        let of = |encoding, state| {
            let page = page(encoding, state);
            let start = page.find("\"state\"").unwrap();
            page[start..page.find(",\"metadata\"").unwrap()].to_owned()
        };
        assert_eq!(
            of("json+zlib", b"\0\x01\x02\xff"),
            r#""state":"AAEC/w==","content_encoding":"json+zlib""#
        );
        assert_eq!(of("json", b""), r#""state":"","content_encoding":"json""#);
        assert_eq!(
            of("json", b"1 "),
            r#""state":"MSA=","content_encoding":"json""#
        );
        assert_eq!(of("json", b"1"), r#""state":1"#);
        assert_eq!(of("json", b"null"), r#""state":null"#);
        assert_eq!(of("redacted", b""), r#""state":null,"redacted":true"#);
    }
}
