//! The description of a log for people with a browser.

use boxes_notification_log::LogDescription;

use crate::html::{anchor, begin, end};
use crate::link::{Addresses, Links};
use crate::representation::page_media_types;

/// What a log says of itself, and how to read it.
pub(crate) fn description(of: &LogDescription, addresses: &Addresses, links: &Links) -> Vec<u8> {
    let log = &of.log;
    let mut html = begin(&format!("About {}", log.name), links, 4_096);
    html.raw("<header>\n<p class=over>About the notification log</p>\n<h1>");
    html.text(&log.name).raw("</h1>\n<p class=state>");
    match of.last {
        0 => html.raw("Nothing has happened yet."),
        1 => html.raw("It has 1 notification."),
        last => html.raw("It goes to notification ").number(last).raw("."),
    };
    html.raw("</p>\n</header>\n<nav aria-label=\"Ways on\">\n");
    for (name, text) in [("first", "« First page"), ("current", "Newest page »")] {
        if let Some(href) = links.href(name) {
            anchor(&mut html, href, Some(name), text);
            html.raw("\n");
        }
    }
    html.raw("</nav>\n<main>\n<dl class=card>\n<dt>First notification</dt><dd>");
    html.number(of.first_available);
    html.raw("</dd>\n<dt>Newest notification</dt><dd>");
    html.number(of.last);
    html.raw("</dd>\n<dt>Page size</dt><dd>");
    html.number(log.page_size.get().into());
    html.raw("</dd>\n<dt>Epoch</dt><dd><code>");
    html.text(&log.epoch.to_string());
    html.raw("</code><br><span class=dim>Another one means that the history was rewritten.</span>");
    html.raw("</dd>\n<dt>Address of a page</dt><dd><code>");
    html.text(&addresses.page_template(log.epoch));
    html.raw("</code></dd>\n<dt>Formats of pages</dt><dd>");
    for (place, media_type) in page_media_types().enumerate() {
        html.raw(if place == 0 { "" } else { "<br>" });
        html.raw("<code>").text(media_type).raw("</code>");
    }
    html.raw("<br><span class=dim>Ask for one by <code>Accept</code>.</span></dd>\n");
    if let Some(stream) = links.href("stream") {
        html.raw("<dt>Stream of events</dt><dd><code>").text(stream);
        html.raw("</code></dd>\n");
    }
    if let Some(template) = addresses.seal_template(log.epoch) {
        html.raw("<dt>Seal of an archived page</dt><dd><code>");
        html.text(&template).raw("</code>");
        if let Some(keys) = links.href("keys") {
            html.raw("<br>");
            anchor(&mut html, keys, Some("related"), "The key that seals");
        }
        html.raw("</dd>\n");
    }
    html.raw("</dl>\n</main>\n");
    end(html, links)
}
