//! Which state of a resource.

use std::fmt::Write as _;

use axum::http::header::IF_NONE_MATCH;
use axum::http::{HeaderMap, HeaderValue};
use boxes_notification_log::SectionId;
use boxes_recorder::Notification;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::accept::elements;
use crate::accept_encoding::AcceptedCodings;
use crate::coding::Coding;

/// A strong entity tag, made from what determines the bytes and from nothing else: so it is the same on every
/// replica and after a restart, and known without reading an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityTag(HeaderValue);

impl EntityTag {
    /// Of a page that will not change, but for what is redacted: epoch, range, and format.
    pub(crate) fn archived(epoch: Uuid, id: SectionId, n_redacted: u64, format: &str) -> Self {
        Self::new(epoch, n_redacted, format, |text| {
            write!(text, "{}-{}", id.low(), id.high())
        })
    }

    /// Of a page that grows: epoch, low, last and format. Never that of the archived page, which has a `next`.
    pub(crate) fn growing(
        epoch: Uuid,
        id: SectionId,
        last: u64,
        n_redacted: u64,
        format: &str,
    ) -> Self {
        Self::new(epoch, n_redacted, format, |text| {
            write!(text, "{}-{last}+", id.low())
        })
    }

    /// Of a single notification.
    pub(crate) fn notification(epoch: Uuid, id: u64, is_redacted: bool, format: &str) -> Self {
        Self::new(epoch, is_redacted.into(), format, |text| {
            write!(text, "{id}")
        })
    }

    /// Of these notifications from anywhere in the log; `None` if there are none.
    pub(crate) fn range(epoch: Uuid, items: &[Notification], format: &str) -> Option<Self> {
        let (first, last) = (items.first()?.id, items.last()?.id);
        let n_items = items.len();
        Some(Self::new(epoch, n_redacted(items), format, |text| {
            write!(text, "{first}-{last}-{n_items}")
        }))
    }

    /// The same of all notifications from `first` to `last`, of which none is redacted.
    pub(crate) fn whole_range(epoch: Uuid, first: u64, last: u64, format: &str) -> Self {
        let n_items = (last - first).saturating_add(1);
        Self::new(epoch, 0, format, |text| {
            write!(text, "{first}-{last}-{n_items}")
        })
    }

    /// Of what is known by nothing but its bytes.
    pub(crate) fn of_body(body: &[u8], format: &str) -> Self {
        let mut text = String::from("\"");
        for byte in Sha256::digest(body).iter().take(16) {
            // Writing into a string does not fail.
            let written = write!(text, "{byte:02x}");
            debug_assert!(written.is_ok());
        }
        for part in [".", format, "\""] {
            text.push_str(part);
        }
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"\"")))
    }

    /// How many of the notifications are redacted tells the states of a part of the log apart: what is redacted stays so,
    /// so one number means one state.
    fn new(
        epoch: Uuid,
        n_redacted: u64,
        format: &str,
        write: impl FnOnce(&mut String) -> std::fmt::Result,
    ) -> Self {
        let mut text = format!("\"{}.", epoch.as_simple());
        // Writing into a string does not fail.
        let mut written = write(&mut text);
        if n_redacted > 0 {
            written = written.and_then(|()| write!(text, "-r{n_redacted}"));
        }
        debug_assert!(written.is_ok());
        text.push('.');
        text.push_str(format);
        text.push('"');
        // It consists of digits, letters and `"+-.`.
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"\"")))
    }

    /// Of the same state so coded: another body, so another tag.
    pub(crate) fn coded(&self, coding: Coding) -> Self {
        if coding == Coding::Identity {
            return self.clone();
        }
        let text = self.0.to_str().unwrap_or_default();
        let text = format!("{}.{}\"", text.trim_end_matches('"'), coding.name());
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"\"")))
    }

    pub(crate) const fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// The tag by which the request has this state already, in any coding that it takes; the one of `preferred`
    /// if it has several.
    ///
    /// It is what 304 has to name, so that a cache knows which of its copies is still good.
    pub(crate) fn known(
        &self,
        headers: &HeaderMap,
        codings: &AcceptedCodings,
        preferred: Coding,
    ) -> Option<Self> {
        if !headers.contains_key(IF_NONE_MATCH) {
            return None;
        }
        let all = [preferred, Coding::Identity]
            .into_iter()
            .chain(Coding::CODED);
        let mut tags = all
            .filter(|coding| codings.takes(*coding))
            .map(|coding| self.coded(coding));
        tags.find(|tag| tag.is_known(headers))
    }

    /// Whether the request has what this tag names.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        is_known(headers, &self.0)
    }
}

/// Whether the request has what the strong entity tag `tag` names, quotes included, by `If-None-Match`, which compares
/// weakly (RFC 9110, 13.1.2): then it is answered with 304.
///
/// ```
/// use axum::http::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
///
/// let tag = HeaderValue::from_static("\"7\"");
/// let mut headers = HeaderMap::new();
/// assert!(!boxes_http::is_known(&headers, &tag));
/// headers.insert(IF_NONE_MATCH, HeaderValue::from_static("\"6\", W/\"7\""));
/// assert!(boxes_http::is_known(&headers, &tag));
/// ```
#[must_use]
pub fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        if *value == *tag {
            return true;
        }
        let (Ok(text), Ok(this)) = (value.to_str(), tag.to_str()) else {
            return false;
        };
        elements(text, b',').any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == this)
    })
}

/// The strong entity tag of a body that is known by nothing but its bytes: the same bytes have the same tag in every process. `kind`
/// consists of letters, digits and `.-`.
#[must_use]
pub fn tag_of_body(body: &[u8], kind: &str) -> HeaderValue {
    EntityTag::of_body(body, kind).0
}

/// How many of these are redacted.
pub(crate) fn n_redacted(items: &[Notification]) -> u64 {
    let redacted = items.iter().filter(|item| item.event.is_redacted());
    u64::try_from(redacted.count()).unwrap_or(u64::MAX)
}

/// Whether the request has any state of the resource: `If-None-Match: *`.
pub(crate) fn any_is_known(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(IF_NONE_MATCH).iter();
    values.any(|value| {
        value
            .to_str()
            .is_ok_and(|text| elements(text, b',').any(|tag| tag == "*"))
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn tag() -> EntityTag {
        let id = SectionId::containing(21, NonZeroU32::new(20).unwrap());
        EntityTag::archived(Uuid::from_u128(7), id, 0, "json")
    }

    fn known(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_NONE_MATCH, HeaderValue::from_str(line).unwrap());
        }
        tag().is_known(&headers)
    }

    #[test]
    fn a_full_page_that_grows_is_not_the_archived_one() {
        let id = SectionId::containing(21, NonZeroU32::new(20).unwrap());
        let epoch = Uuid::from_u128(7);
        assert_eq!(
            tag().header(),
            "\"00000000000000000000000000000007.21-40.json\""
        );
        assert_ne!(EntityTag::growing(epoch, id, 40, 0, "json"), tag());
        let of_another = EntityTag::archived(Uuid::from_u128(8), id, 0, "json");
        assert_ne!(of_another, tag());
        assert_ne!(EntityTag::archived(epoch, id, 0, "atom"), tag());
        let redacted = EntityTag::archived(epoch, id, 2, "json");
        assert_eq!(
            redacted.header(),
            "\"00000000000000000000000000000007.21-40-r2.json\""
        );
    }

    #[test]
    fn tags_are_compared_weakly_in_lists_and_by_a_star() {
        let this = "\"00000000000000000000000000000007.21-40.json\"";
        let weak = format!("W/{this}");
        let listed = format!("\"a,b\", W/\"c\" ,{this}, \"d\"");
        for lines in [
            &[this][..],
            &[&weak],
            &[&listed],
            &["*"],
            &["\"x\"", this],
            &["\"x\", *"],
        ] {
            assert!(known(lines), "{lines:?}");
        }
        let quoted = format!("\"x, {this}\"");
        let other = this.replace("21-40", "21-40+");
        for lines in [
            &[][..],
            &[""],
            &["\"*\""],
            &["\"\""],
            &[&other],
            &[&quoted],
            &["w/x"],
        ] {
            assert!(!known(lines), "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_compared(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                headers.insert(IF_NONE_MATCH, value);
            }
            prop_assert_eq!(tag().is_known(&headers), any_is_known(&headers));
        }
    }
}
