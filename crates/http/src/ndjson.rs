//! Notifications as lines of JSON.

use boxes_notification_log::Section;
use boxes_recorder::{LogIdentity, Notification};

use crate::json_page;
use crate::link::Links;
use crate::representation::{Format, Representation};

/// As lines are asked for, and labelled.
pub(crate) const MEDIA_TYPE: &str = "application/x-ndjson";

/// One notification on each line, as it is in a JSON page, for those that ask for it by name. Links are in the `Link` header alone.
#[derive(Debug)]
pub(crate) struct Ndjson;

impl Format for Ndjson {
    fn media_type(&self) -> &'static str {
        MEDIA_TYPE
    }

    fn tag(&self) -> &'static str {
        "ndjson-1"
    }

    fn only_by_name(&self) -> bool {
        true
    }
}

impl Representation for Ndjson {
    fn page(&self, section: &Section, _: &Links) -> Vec<u8> {
        let mut lines = Vec::new();
        for item in &section.items {
            write_line(&mut lines, item);
        }
        lines
    }

    fn notification(&self, _: &LogIdentity, item: &Notification, _: &Links) -> Vec<u8> {
        let mut line = Vec::new();
        write_line(&mut line, item);
        line
    }
}

/// An item and the end of its line.
pub(crate) fn write_line(lines: &mut Vec<u8>, item: &Notification) {
    on_one_line(lines, &json_page::item(item));
    lines.push(b'\n');
}

/// Text without ends of lines: between members of JSON they are space, and within strings JSON has none.
pub(crate) fn on_one_line(lines: &mut Vec<u8>, text: &[u8]) {
    let is_end = |byte: u8| matches!(byte, b'\n' | b'\r');
    lines.extend(
        text.iter()
            .map(|byte| if is_end(*byte) { b' ' } else { *byte }),
    );
}
