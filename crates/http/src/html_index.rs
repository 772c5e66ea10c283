//! What a service serves, for people with a browser.

use crate::html::{anchor, begin, end};
use crate::link::Links;
use crate::markup_text::MarkupText;
use crate::service_index::{IndexedBox, ServiceIndex};

/// The boxes, each with the ways into it, and what the service says of itself.
pub(crate) fn index(of: &ServiceIndex, links: &Links) -> Vec<u8> {
    let mut html = begin("Boxes", links, 4_096);
    html.raw("<header>\n<p class=over>Service</p>\n<h1>Boxes</h1>\n<p class=state>");
    let names = of.boxes.iter().map(|indexed| &*indexed.name);
    match of.boxes.len() {
        0 => html.raw("No box runs here."),
        1 => html.raw("One box runs here."),
        _ => html.text(&format!("{} run here.", listed(names))),
    };
    html.raw("</p>\n</header>\n<nav aria-label=\"The service\">\n");
    for (href, text) in [
        (&of.readyz, "Readiness"),
        (&of.healthz, "Health"),
        (&of.metrics, "Metrics"),
        (&of.problems, "Problems"),
    ] {
        anchor(&mut html, href, None, text);
        html.raw("\n");
    }
    html.raw("</nav>\n<main>\n");
    for indexed in &of.boxes {
        one_box(&mut html, indexed);
    }
    html.raw("</main>\n");
    end(html, links)
}

fn one_box(html: &mut MarkupText, indexed: &IndexedBox) {
    html.raw("<h2>").text(&indexed.name);
    html.raw("</h2>\n<dl class=card>\n");
    for log in &indexed.logs {
        html.raw("<dt>Log <code>")
            .text(&log.log)
            .raw("</code></dt><dd>");
        anchor(html, &log.notifications, None, "Newest page");
        html.raw(" · ");
        anchor(html, &log.description, None, "About");
        html.raw(" · ");
        anchor(html, &log.topics, None, "Topics");
        html.raw("</dd>\n");
    }
    html.raw("<dt>For programs</dt><dd>");
    anchor(html, &indexed.openapi, Some("service-desc"), "OpenAPI");
    html.raw(" · ");
    anchor(html, &indexed.asyncapi, Some("service-desc"), "AsyncAPI");
    html.raw("</dd>\n</dl>\n");
}

/// `a, b and c`
fn listed<'a>(mut names: impl DoubleEndedIterator<Item = &'a str>) -> String {
    let last = names.next_back().unwrap_or_default();
    let before: Vec<_> = names.collect();
    format!("{} and {last}", before.join(", "))
}
