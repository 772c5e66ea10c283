//! What an answer says of where it leads: the lines of its `Link` header.

use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue};
use boxes_http::HeaderLink;

pub(crate) const WORDS: &[&str] = &[
    "</orders/notifications/1,20>",
    "<>",
    "<%2C>",
    "; rel=\"prev previous\"",
    "; rel=next",
    ";REL = \"NEXT\"",
    "; rel",
    "; rev=\"",
    "; anchor=\"#x\"",
    "; title*=UTF-8'de'n%c3%a4chstes",
    "; type=text/html",
    "\\\"",
    "\\",
    "\"",
    ", ",
    ",",
    ";",
    "=",
    "\t",
    "\n",
];

/// The lines of a header. What the grammar lets in is read as the algorithm of the RFC reads it, and written so that it is
/// read as the same; lines are one list.
pub(crate) fn run(data: &[u8]) {
    let lines: Vec<_> = data.split(|byte| *byte == b'\n').collect();
    let mut headers = HeaderMap::new();
    for line in &lines {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            return;
        };
        headers.append(LINK, value);
    }
    let links = HeaderLink::all(&headers);
    assert!(links.len() <= HeaderLink::MAX_LINKS);
    let read: Vec<_> = lines.iter().map(|line| HeaderLink::parse(line)).collect();
    let whole = HeaderLink::parse(&lines.join(&b", "[..]));
    let n_links: usize = read.iter().flatten().map(Vec::len).sum();
    if n_links <= HeaderLink::MAX_LINKS {
        assert_eq!(read.iter().flatten().flatten().count(), links.len());
        if read.iter().all(Option::is_some) {
            assert_eq!(whole.as_ref(), Some(&links), "lines are one list");
        }
    }
    for (line, read) in lines.iter().zip(&read) {
        let Some(read) = read.as_ref().filter(|_| line.is_ascii()) else {
            continue;
        };
        let expected = by_the_algorithm(line);
        assert_eq!(read.len(), expected.len());
        for (link, (target, relations)) in read.iter().zip(expected) {
            assert_eq!(link.target(), target);
            assert_eq!(link.relations().collect::<Vec<_>>(), relations);
            assert!(relations.iter().all(|relation| link.has_relation(relation)));
        }
    }
    let written: Vec<_> = links.iter().map(ToString::to_string).collect();
    let again = HeaderLink::parse(written.join(", ").as_bytes());
    assert_eq!(again.as_ref(), Some(&links), "written as {written:?}");
}

/// Target and relations of each link as RFC 8288, appendix B.2 and B.3, finds them, which bears nearly everything: so it is
/// told nothing that is no header.
fn by_the_algorithm(line: &[u8]) -> Vec<(String, Vec<String>)> {
    let line = String::from_utf8_lossy(line);
    let mut rest = &*line;
    let mut links = Vec::new();
    loop {
        // The algorithm stops at an empty element; a list may have some (RFC 9110, 5.6.1.2).
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some((target, after)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'))
        else {
            return links;
        };
        let (parameters, after) = parameters(after);
        let relations = parameters.into_iter().find(|(name, _)| name == "rel");
        let relations = relations.map_or_else(String::new, |(_, value)| value);
        let relations = relations.split([' ', '\t']).filter(|word| !word.is_empty());
        links.push((target.to_owned(), relations.map(str::to_owned).collect()));
        rest = after;
    }
}

fn parameters(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let white = [' ', '\t'];
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(white);
        let Some(after) = rest.strip_prefix(';') else {
            return (found, rest);
        };
        rest = after.trim_start_matches(white);
        let end = rest.find([' ', '\t', '=', ';', ',']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after.trim_start_matches(white);
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            rest = after.trim_start_matches(white);
            if let Some(quoted) = rest.strip_prefix('"') {
                let mut letters = quoted.chars();
                while let Some(letter) = letters.next() {
                    match letter {
                        '"' => break,
                        '\\' => value.extend(letters.next()),
                        letter => value.push(letter),
                    }
                }
                rest = letters.as_str();
            } else {
                let end = rest.find([';', ',']).unwrap_or(rest.len());
                value.push_str(rest[..end].trim_end_matches(white));
                rest = &rest[end..];
            }
        }
        found.push((name.to_ascii_lowercase(), value));
    }
}
