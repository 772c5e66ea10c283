//! What comes from a log far away.

use std::borrow::Cow;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boxes_notification_log::{LogDescription, LogError, Section, SectionId, SectionLink};
use boxes_recorder::{Encoding, LogIdentity, Notification, StoredEvent};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// A page as it is sent. Members that are not named here are ignored.
#[derive(Deserialize)]
struct PageDocument<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    previous_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    next_id: Option<Cow<'a, str>>,
    archived: bool,
    #[serde(borrow)]
    log: Cow<'a, str>,
    epoch: Uuid,
    page_size: NonZeroU32,
    #[serde(default)]
    last: Option<u64>,
    #[serde(borrow)]
    items: Vec<ItemDocument<'a>>,
    #[serde(borrow, default)]
    links: LinksDocument<'a>,
}

#[derive(Deserialize)]
struct ItemDocument<'a> {
    id: u64,
    event_id: Uuid,
    #[serde(borrow)]
    topic: Cow<'a, str>,
    version: u32,
    originator_id: Uuid,
    originator_version: u64,
    occurred_on: Timestamp,
    #[serde(borrow)]
    state: &'a RawValue,
    #[serde(borrow, default)]
    content_encoding: Option<Cow<'a, str>>,
    #[serde(default)]
    redacted: bool,
    #[serde(borrow)]
    metadata: &'a RawValue,
}

/// What a single notification says of the log that it is of.
#[derive(Deserialize)]
struct OfLogDocument {
    log: String,
    epoch: Uuid,
}

#[derive(Default, Deserialize)]
struct LinksDocument<'a> {
    #[serde(borrow, default)]
    previous: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    next: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct DescriptionDocument {
    name: String,
    epoch: Uuid,
    page_size: NonZeroU32,
    first_available: u64,
    last: u64,
    #[serde(default)]
    redacted: u64,
    #[serde(default)]
    uri_template: Option<String>,
}

/// The section that a page is.
///
/// State that is JSON is a slice of the body: nothing is copied, and a notification that is kept keeps the body
/// of its page.
///
/// # Errors
///
/// [`LogError::Gap`] for a hole; [`LogError::Garbage`] for everything else that is no page of a log. What the
/// page holds is not repeated.
pub(crate) fn section(body: &Bytes) -> Result<Section, LogError> {
    let page: PageDocument<'_> =
        serde_json::from_slice(body).map_err(|error| unreadable("the page", &error))?;
    let log = LogIdentity {
        name: page.log.into_owned(),
        epoch: page.epoch,
        page_size: page.page_size,
    };
    let section = Section {
        id: section_id(&page.id)?,
        archived: page.archived,
        previous: neighbour(page.previous_id.as_deref(), page.links.previous)?,
        next: neighbour(page.next_id.as_deref(), page.links.next)?,
        last: page.last,
        items: page
            .items
            .into_iter()
            .map(|item| notification(item, body))
            .collect::<Result<_, _>>()?,
        log,
    };
    section.check()?;
    Ok(section)
}

/// A single notification, with the name and the epoch of its log.
///
/// # Errors
///
/// [`LogError::Garbage`] for what is none. What it holds is not repeated.
pub(crate) fn single(body: &Bytes) -> Result<(String, Uuid, Notification), LogError> {
    let unreadable = |error: serde_json::Error| unreadable("the page", &error);
    let of: OfLogDocument = serde_json::from_slice(body).map_err(unreadable)?;
    let item: ItemDocument<'_> = serde_json::from_slice(body).map_err(unreadable)?;
    Ok((of.log, of.epoch, notification(item, body)?))
}

/// What a log says of itself, and its template for the addresses of pages.
///
/// # Errors
///
/// [`LogError::Garbage`] for what is no description.
pub(crate) fn description(body: &Bytes) -> Result<(LogDescription, Option<String>), LogError> {
    let document: DescriptionDocument = serde_json::from_slice(body)
        .map_err(|error| unreadable("the description of the log", &error))?;
    let log = LogIdentity {
        name: document.name,
        epoch: document.epoch,
        page_size: document.page_size,
    };
    let (first_available, last) = (document.first_available, document.last);
    Ok((
        LogDescription {
            log,
            first_available,
            last,
            n_redacted: document.redacted,
        },
        document.uri_template,
    ))
}

fn notification(item: ItemDocument<'_>, body: &Bytes) -> Result<Notification, LogError> {
    let (encoding, state) = match item.content_encoding {
        // Whatever else it says: what is redacted is not to be read.
        _ if item.redacted => (Encoding::REDACTED, Bytes::new()),
        None => (Encoding::JSON, slice(body, item.state)),
        Some(mark) => {
            let garbage = || LogError::Garbage {
                reason: format!("the state of notification {} is not base64", item.id),
            };
            let text: Cow<'_, str> =
                serde_json::from_str(item.state.get()).map_err(|_| garbage())?;
            let state = STANDARD.decode(text.as_bytes()).map_err(|_| garbage())?;
            (Encoding::new(mark.into_owned()), Bytes::from(state))
        }
    };
    let event = StoredEvent {
        event_id: item.event_id,
        originator_id: item.originator_id,
        originator_version: item.originator_version,
        topic: Cow::Owned(item.topic.into_owned()),
        schema_version: item.version,
        encoding,
        state,
        metadata: slice(body, item.metadata),
        occurred_on: item.occurred_on,
    };
    Ok(Notification { id: item.id, event })
}

/// A value as a slice of the body that it was read from.
fn slice(body: &Bytes, value: &RawValue) -> Bytes {
    // The value borrows from this very body: so the slice is found, and `slice_ref` does not panic.
    body.slice_ref(value.get().as_bytes())
}

fn neighbour(
    id: Option<&str>,
    href: Option<Cow<'_, str>>,
) -> Result<Option<SectionLink>, LogError> {
    let Some(id) = id else { return Ok(None) };
    let href = href.map(Cow::into_owned);
    Ok(Some(SectionLink {
        id: section_id(id)?,
        href,
    }))
}

fn section_id(text: &str) -> Result<SectionId, LogError> {
    text.parse().map_err(|_| LogError::Garbage {
        reason: "the page names a page that is none".to_owned(),
    })
}

/// Where the JSON does not fit, and not what is there: that may be somebody's data.
fn unreadable(document: &str, error: &serde_json::Error) -> LogError {
    let text = error.to_string();
    // The names of members are the kit's own; what else a message repeats may be a value.
    let missing = text
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    let what = match (error.classify(), missing) {
        (serde_json::error::Category::Data, Some(member)) => {
            format!("the member `{member}` is missing")
        }
        (serde_json::error::Category::Data, None) => "a member has the wrong type".to_owned(),
        (serde_json::error::Category::Eof, _) => "it is cut short".to_owned(),
        _ => "it is no JSON".to_owned(),
    };
    LogError::Garbage {
        reason: format!(
            "{document} can't be read: {what}, at line {} column {}",
            error.line(),
            error.column()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"{"id":"1,2","previous_id":null,"next_id":"3,4","archived":true,"log":"orders",
        "epoch":"00000000-0000-0000-0000-000000000001","page_size":2,"unknown":[{"a":null}],"items":[
        {"id":1,"event_id":"00000000-0000-0000-0000-000000000002","topic":"t\u0041","version":1,"extra":0,
         "originator_id":"00000000-0000-0000-0000-000000000003","originator_version":1,
         "occurred_on":"2026-11-23T15:00:00.123456Z","state": {"secret" : 1.0} ,"metadata":{ }},
        {"id":2,"event_id":"00000000-0000-0000-0000-000000000004","topic":"t","version":1,
         "originator_id":"00000000-0000-0000-0000-000000000003","originator_version":2,
         "occurred_on":"2026-11-23T15:00:00Z","state":"AP8=","content_encoding":"json+zlib","metadata":{}}],
        "links":{"self":"/l/1,2","next":"/l/3,4","other":"x"}}"#;

    #[test]
    fn a_member_that_is_missing_is_named_with_its_document_and_no_value_is_repeated() {
        let wrong = |page: &str| {
            section(&Bytes::from(page.to_owned()))
                .unwrap_err()
                .to_string()
        };
        let without = wrong(&PAGE.replace(r#""page_size":2,"#, ""));
        assert!(
            without.contains("the page can't be read: the member `page_size` is missing"),
            "{without}"
        );
        let other = wrong(&PAGE.replace(r#""page_size":2"#, r#""page_size":"secret""#));
        assert!(
            other.contains("the page can't be read: a member has the wrong type")
                && !other.contains("secret"),
            "{other}"
        );
        let description = description(&Bytes::from_static(b"{}")).unwrap_err();
        let description = description.to_string();
        assert!(
            description.contains("the description of the log"),
            "{description}"
        );
    }

    fn read(text: &str) -> Result<Section, LogError> {
        section(&Bytes::from(text.to_owned()))
    }

    #[test]
    fn a_page_is_read_and_its_state_is_a_slice_of_it() {
        let body = Bytes::from_static(PAGE.as_bytes());
        let section = section(&body).unwrap();
        assert_eq!(section.next.unwrap().href.as_deref(), Some("/l/3,4"));
        let [one, two] = &section.items[..] else {
            panic!("two items")
        };
        assert_eq!(one.event.topic, "tA");
        assert_eq!(one.event.state, r#"{"secret" : 1.0}"#);
        assert_eq!(one.event.metadata, "{ }");
        assert!(body.as_ptr_range().contains(&one.event.state.as_ptr()));
        assert_eq!(
            (&two.event.state[..], two.event.encoding.as_str()),
            (&b"\0\xff"[..], "json+zlib")
        );
    }

    #[test]
    fn what_is_no_page_is_refused_without_repeating_it() {
        for (from, to) in [
            ("\"1,2\"", "\"1,3\""),
            ("\"1,2\"", "\"2,3\""),
            ("\"1,2\"", "7"),
            ("\"3,4\"", "\"5,6\""),
            ("\"3,4\"", "null"),
            ("\"previous_id\":null", "\"previous_id\":\"3,4\""),
            ("\"archived\":true", "\"archived\":false"),
            ("\"archived\":true", "\"archived\":\"secret\""),
            ("\"archived\":true,", ""),
            ("\"page_size\":2", "\"page_size\":0"),
            ("\"page_size\":2", "\"page_size\":2,\"last\":2"),
            ("\"id\":1,", "\"id\":\"secret\","),
            ("\"id\":1,", "\"id\":-1,"),
            ("\"id\":1,", ""),
            (
                "\"version\":1,\"extra\"",
                "\"version\":4294967296,\"extra\"",
            ),
            ("00000000-0000-0000-0000-000000000003", "secret"),
            ("2026-11-23T15:00:00Z", "secret"),
            ("AP8=", "A P8="),
            ("\"AP8=\"", "{\"secret\":1}"),
            ("{\"secret\" :", "{\"secret\" "),
            ("\"metadata\":{ }", "\"metadata\":"),
        ] {
            assert!(PAGE.contains(from), "{from}");
            match read(&PAGE.replacen(from, to, 1)) {
                Err(error @ LogError::Garbage { .. }) => {
                    assert!(!error.to_string().contains("secret"), "{error}");
                }
                other => panic!("{from} as {to}: {other:?}"),
            }
        }
        for end in 0..PAGE.len() {
            let cut = read(PAGE.get(..end).unwrap());
            assert!(
                matches!(cut, Err(LogError::Garbage { .. })),
                "{end}: {cut:?}"
            );
        }
    }

    #[test]
    fn holes_are_found() {
        for (from, to, expected, found) in [
            ("\"id\":1,", "\"id\":2,", 1, 2),
            ("\"id\":2,", "\"id\":1,", 2, 1),
            ("\"id\":2,", "\"id\":3,", 2, 3),
            ("\"id\":1,", "\"id\":0,", 1, 0),
        ] {
            match read(&PAGE.replacen(from, to, 1)) {
                Err(LogError::Gap {
                    expected: e,
                    found: f,
                }) => assert_eq!((e, f), (expected, found)),
                other => panic!("{from} as {to}: {other:?}"),
            }
        }
    }
}
