//! Pages and single notifications for people with a browser.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boxes_notification_log::{Section, SectionLink};
use boxes_recorder::{LogIdentity, Notification, StoredEvent};

use crate::html::{anchor, begin, end};
use crate::html_json::{cut, write_json};
use crate::json_page::embeds_as_json;
use crate::link::Links;
use crate::markup_text::MarkupText;

/// How much of a state is shown in a page, where there are many.
const LISTED_BYTES: usize = 16 * 1024;
/// How much of it is shown where it is alone.
const ALONE_BYTES: usize = 512 * 1024;
/// How much of a state stands beside the mark that unfolds it.
const PREVIEW_BYTES: usize = 200;
/// The bytes of an item besides its state: about, for one allocation.
const ITEM_OVERHEAD: usize = 2_048;

/// A page.
pub(crate) fn page(section: &Section, links: &Links) -> Vec<u8> {
    let log = &section.log;
    let sizes = section.items.iter().map(|item| {
        let state = item.event.state.len().min(LISTED_BYTES);
        ITEM_OVERHEAD + state * 3 + item.event.metadata.len() * 3
    });
    let title = format!("{} {}", log.name, section.id);
    let mut html = begin(&title, links, sizes.sum());
    html.raw("<header>\n<p class=over>Notification log</p>\n<h1>");
    html.text(&log.name).raw(" <span>");
    range(&mut html, section);
    html.raw("</span></h1>\n<p class=state>");
    state(&mut html, section, links);
    html.raw("</p>\n</header>\n");
    navigation(&mut html, section, links, "Pages");
    html.raw("<main>\n");
    if section.items.is_empty() {
        html.raw("<p class=empty>No notification is here yet.</p>\n");
    } else {
        html.raw("<table>\n<thead><tr><th scope=col>Number</th><th scope=col>Event</th>");
        html.raw("<th scope=col>Aggregate</th><th scope=col>Time (UTC)</th></tr></thead>\n");
        for item in &section.items {
            row(&mut html, item, links);
        }
        html.raw("</table>\n");
    }
    html.raw("</main>\n");
    if !section.items.is_empty() {
        navigation(&mut html, section, links, "Pages, once more");
    }
    end(html, links)
}

/// A single notification.
pub(crate) fn notification(log: &LogIdentity, item: &Notification, links: &Links) -> Vec<u8> {
    let event = &item.event;
    let title = format!("{} {}", log.name, item.id);
    let capacity = ITEM_OVERHEAD + event.state.len().min(ALONE_BYTES) * 3;
    let mut html = begin(&title, links, capacity);
    html.raw("<header>\n<p class=over>Notification of ")
        .text(&log.name);
    html.raw("</p>\n<h1>")
        .number(item.id)
        .raw(" <span>")
        .text(&event.topic);
    html.raw("</span></h1>\n<p class=state><span class=badge>final</span>");
    html.raw("A notification never changes.</p>\n</header>\n<nav aria-label=\"Ways on\">\n");
    if let Some(href) = links.href("collection") {
        anchor(
            &mut html,
            href,
            Some("collection"),
            "The page that it is in",
        );
    }
    html.raw("\n</nav>\n<main>\n<dl class=card>\n");
    html.raw("<dt>Time (UTC)</dt><dd>");
    time(&mut html, event);
    html.raw("</dd>\n<dt>Aggregate</dt><dd><code>")
        .text(&event.originator_id.to_string());
    html.raw("</code>, version ")
        .number(event.originator_version)
        .raw("</dd>\n");
    payload(&mut html, event, ALONE_BYTES, None);
    html.raw("</dl>\n</main>\n");
    end(html, links)
}

/// `21 – 40`
fn range(html: &mut MarkupText, section: &Section) {
    html.number(section.id.low()).raw(" – ");
    html.number(section.id.high());
}

/// Whether the page will change, in a sentence.
fn state(html: &mut MarkupText, section: &Section, links: &Links) {
    let Some(last) = section.last else {
        html.raw("<span class=badge>archived</span>This page is full and never changes.");
        return;
    };
    if last < section.id.low() && last > 0 {
        html.raw("<span class=badge>to come</span>The log ends before this page, with ");
        match links.href("last") {
            Some(href) => anchor(html, href, Some("last"), &last.to_string()),
            None => {
                html.number(last);
            }
        }
        html.raw(".");
        return;
    }
    html.raw("<span class=badge>growing</span>");
    if last == 0 {
        html.raw("Nothing has happened yet. Load this page again to see what does.");
    } else {
        html.raw("The newest notification is ").number(last);
        html.raw(". Load this page again to see what comes.");
    }
}

fn navigation(html: &mut MarkupText, section: &Section, links: &Links, label: &str) {
    html.raw("<nav").attribute("aria-label", label).raw(">\n");
    way(html, links.href("first"), "first", "« First");
    let neighbour = |link: &Option<SectionLink>| {
        link.as_ref()
            .map(|link| format!("{}–{}", link.id.low(), link.id.high()))
    };
    match neighbour(&section.previous) {
        Some(range) => {
            let text = format!("‹ Older {range}");
            way(html, links.href("previous"), "prev", &text);
        }
        None => way(html, None, "prev", "‹ Older"),
    }
    match neighbour(&section.next) {
        Some(range) => {
            let text = format!("Newer {range} ›");
            way(html, links.href("next"), "next", &text);
        }
        None => way(html, None, "next", "Newer ›"),
    }
    way(html, links.href("current"), "current", "Newest »");
    if let Some(href) = links.href("current") {
        html.raw("<a class=end")
            .attribute("href", &format!("{href}/log"));
        html.raw(">About this log</a>\n");
    }
    html.raw("</nav>\n");
}

/// A way on, or that there is none.
fn way(html: &mut MarkupText, href: Option<&str>, relation: &str, text: &str) {
    match href {
        Some(href) => anchor(html, href, Some(relation), text),
        None => {
            html.raw("<span aria-disabled=true>")
                .text(text)
                .raw("</span>");
        }
    }
    html.raw("\n");
}

/// A notification among others: one line, and what it holds folded beneath.
fn row(html: &mut MarkupText, item: &Notification, links: &Links) {
    let event = &item.event;
    let href = links.notification(item.id);
    html.raw("<tbody>\n<tr><td class=no")
        .attribute("id", &format!("n{}", item.id))
        .raw(">");
    anchor(html, &href, None, &item.id.to_string());
    html.raw("</td><td class=topic>");
    topic(html, &event.topic);
    html.raw("</td><td class=who")
        .attribute("title", &event.originator_id.to_string());
    html.raw("><code>…")
        .text(short(&event.originator_id.to_string()));
    html.raw("</code> version ")
        .number(event.originator_version);
    html.raw("</td><td class=when>");
    time(html, event);
    html.raw("</td></tr>\n<tr><td class=more colspan=4><details><summary>");
    preview(html, event);
    html.raw("</summary><dl>\n");
    payload(html, event, LISTED_BYTES, Some(&href));
    html.raw("<dt>Aggregate</dt><dd><code>")
        .text(&event.originator_id.to_string())
        .raw("</code></dd>\n");
    html.raw("</dl></details></td></tr>\n</tbody>\n");
}

/// The end of an id, which differs more than its beginning where ids begin with the time.
fn short(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(_, end)| end)
}

/// `orders.order.placed`, what happened set off from where.
fn topic(html: &mut MarkupText, topic: &str) {
    match topic.rsplit_once('.') {
        Some((scope, name)) => html.text(scope).raw(".<wbr><b>").text(name).raw("</b>"),
        None => html.raw("<b>").text(topic).raw("</b>"),
    };
}

fn time(html: &mut MarkupText, event: &StoredEvent) {
    let exact = format!("{:.6}", event.occurred_on);
    let shown = event.occurred_on.strftime("%Y-%m-%d %H:%M:%S");
    html.raw("<time").attribute("datetime", &exact);
    html.attribute("title", &exact).raw(">");
    html.text(&shown.to_string()).raw("</time>");
}

/// The beginning of the state, on one line.
fn preview(html: &mut MarkupText, event: &StoredEvent) {
    html.raw("<code>");
    match readable(event) {
        Some(state) => {
            html.text(&cut(&state, PREVIEW_BYTES).replace(['\n', '\r', '\t'], " "));
        }
        None => sealed(html, event),
    }
    html.raw("</code>");
}

/// That the state is not for reading here, and what it is.
fn sealed(html: &mut MarkupText, event: &StoredEvent) {
    if event.is_redacted() {
        html.raw("redacted");
        return;
    }
    html.text(event.encoding.as_str()).raw(", ");
    html.text(&n_bytes(event.state.len()));
}

/// What an event holds: entries of a list.
fn payload(html: &mut MarkupText, event: &StoredEvent, max_bytes: usize, whole: Option<&str>) {
    html.raw("<dt>State</dt><dd>");
    let shown_whole = if let Some(state) = readable(event) {
        html.raw("<pre>");
        let shown_whole = write_json(html, &state, max_bytes);
        html.raw("</pre>");
        shown_whole
    } else if event.is_redacted() {
        html.raw("redacted: the stream was deleted, and nothing of what it said is left");
        true
    } else {
        sealed(html, event);
        html.raw(", in base64:<pre>");
        // Three bytes are four characters.
        let shown = event.state.get(..max_bytes / 4 * 3);
        html.text(&STANDARD.encode(shown.unwrap_or(&event.state)));
        html.raw(if shown.is_some() {
            "…</pre>"
        } else {
            "</pre>"
        });
        shown.is_none()
    };
    if !shown_whole {
        html.raw("This is the beginning of ");
        html.text(&n_bytes(event.state.len())).raw(". ");
        match whole {
            Some(href) => anchor(html, href, None, "Show more"),
            None => {
                html.raw("Ask for <code>application/json</code> to have all of it.");
            }
        }
    }
    html.raw("</dd>\n<dt>Schema</dt><dd>version ")
        .number(event.schema_version.into())
        .raw("</dd>\n");
    if !event.metadata.is_empty() && &*event.metadata != b"{}" {
        html.raw("<dt>Metadata</dt><dd><pre>");
        let metadata = String::from_utf8_lossy(&event.metadata);
        write_json(html, &metadata, max_bytes);
        html.raw("</pre></dd>\n");
    }
    html.raw("<dt>Event</dt><dd><code>")
        .text(&event.event_id.to_string())
        .raw("</code></dd>\n");
}

/// The state as text, if it is JSON as it is.
fn readable(event: &StoredEvent) -> Option<std::borrow::Cow<'_, str>> {
    embeds_as_json(event).then(|| String::from_utf8_lossy(&event.state))
}

fn n_bytes(n: usize) -> String {
    match n {
        1 => "1 byte".to_owned(),
        0..10_240 => format!("{n} bytes"),
        10_240..10_485_760 => format!("{} KiB", n / 1024),
        _ => format!("{} MiB", n / 1024 / 1024),
    }
}
