//! Pages as the `IDDD_Samples` of Vernon's book have them.

use boxes_notification_log::{Section, SectionId, SectionLink};
use boxes_recorder::{LogIdentity, Notification};

use crate::json_page::embeds_as_json;
use crate::json_text::JsonText;
use crate::link::Links;
use crate::representation::{Format, Representation};

/// The media type of the book's own services.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.saasovation.idovation+json";
/// The bytes of an item besides its event: about, for one allocation.
const ITEM_OVERHEAD: usize = 160;
const PAGE_OVERHEAD: usize = 640;

/// What the book's `NotificationLogReader` and `NotificationReader` read, for those that ask for it by name.
///
/// `event` is the state as it lies in the store, a string of base64 where that is not plain JSON, and null where it is redacted; `typeName` is the
/// topic, `version` that of its schema, `occurredOn` a string of milliseconds since 1970. Members are in the order of
/// the book's fields, and there is none but those: links that lead nowhere are null.
#[derive(Debug)]
pub(crate) struct Iddd;

impl Format for Iddd {
    fn media_type(&self) -> &'static str {
        MEDIA_TYPE
    }

    fn tag(&self) -> &'static str {
        "iddd-2"
    }

    fn only_by_name(&self) -> bool {
        true
    }
}

impl Representation for Iddd {
    fn page(&self, section: &Section, links: &Links) -> Vec<u8> {
        // Where there is no such neighbour there is no such link.
        let has = |neighbour: &Option<SectionLink>, name| {
            neighbour.as_ref().and_then(|_| links.href(name))
        };
        page(&Page {
            id: section.id,
            archived: section.archived,
            items: &section.items,
            own: links.href("self").unwrap_or_default(),
            previous: has(&section.previous, "previous"),
            next: has(&section.next, "next"),
        })
    }

    fn notification(&self, _: &LogIdentity, item: &Notification, _: &Links) -> Vec<u8> {
        let mut json = JsonText::with_capacity(size(item));
        write_item(&mut json, item);
        json.into_bytes()
    }
}

/// A page of any grid.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) id: SectionId,
    pub(crate) archived: bool,
    pub(crate) items: &'a [Notification],
    /// Where the page itself is.
    pub(crate) own: &'a str,
    pub(crate) previous: Option<&'a str>,
    pub(crate) next: Option<&'a str>,
}

/// The page as a body.
pub(crate) fn page(page: &Page<'_>) -> Vec<u8> {
    let sizes = page.items.iter().map(size);
    let mut json = JsonText::with_capacity(PAGE_OVERHEAD + sizes.sum::<usize>());
    json.raw("{\"archived\":").boolean(page.archived);
    json.raw(",\"id\":\"").raw(&page.id.to_string());
    json.raw("\",\"notifications\":[");
    for (place, item) in page.items.iter().enumerate() {
        json.raw(if place == 0 { "" } else { "," });
        write_item(&mut json, item);
    }
    json.raw("],\"linkNext\":");
    write_link(&mut json, "next", page.next);
    json.raw(",\"linkPrevious\":");
    write_link(&mut json, "previous", page.previous);
    json.raw(",\"linkSelf\":");
    write_link(&mut json, "self", Some(page.own));
    json.raw("}");
    json.into_bytes()
}

fn size(item: &Notification) -> usize {
    ITEM_OVERHEAD + item.event.state.len() * 3 / 2 + item.event.topic.len()
}

fn write_item(json: &mut JsonText, item: &Notification) {
    let event = &item.event;
    json.raw("{\"event\":");
    if event.is_redacted() {
        json.raw("null");
    } else if embeds_as_json(event) {
        json.embed(&event.state);
    } else {
        json.base64(&event.state);
    }
    json.raw(",\"notificationId\":").number(item.id);
    json.raw(",\"occurredOn\":")
        .string(&event.occurred_on.as_millisecond().to_string());
    json.raw(",\"typeName\":").string(&event.topic);
    json.raw(",\"version\":")
        .number(event.schema_version.into())
        .raw("}");
}

fn write_link(json: &mut JsonText, relation: &str, href: Option<&str>) {
    match href {
        Some(href) => {
            json.raw("{\"href\":").string(href);
            json.raw(",\"rel\":").string(relation);
            json.raw(",\"title\":null,\"type\":").string(MEDIA_TYPE);
            json.raw("}")
        }
        None => json.raw("null"),
    };
}
