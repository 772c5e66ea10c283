//! Which of the formats that are offered a request wants.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// The best of `offered`, by its place, for a request; `None` if it accepts none of them.
///
/// A request that says nothing accepts everything. Of several media ranges that cover a format the most specific
/// one counts; the highest quality wins, and of equals the one that is offered first (RFC 9110, 12.5.1).
/// Parameters other than `q` do not narrow a range. What is no media range accepts nothing.
pub(crate) fn negotiate<'a>(
    headers: &HeaderMap,
    offered: impl IntoIterator<Item = &'a str>,
) -> Option<usize> {
    let mut ranges = Vec::new();
    let mut said = false;
    let mut texts = Vec::new();
    for value in headers.get_all(ACCEPT) {
        // The first that is offered is what nearly every request wants.
        if matches!(value.as_bytes(), b"*/*") && texts.is_empty() {
            return Some(0);
        }
        texts.push(String::from_utf8_lossy(value.as_bytes()));
    }
    for text in &texts {
        let mut elements = elements(text, b',').peekable();
        said |= elements.peek().is_some();
        // What is no media range drops out, and nothing besides.
        ranges.extend(elements.filter_map(MediaRange::parse));
    }
    if !said {
        return Some(0);
    }
    let mut best: Option<(u16, usize)> = None;
    for (place, media_type) in offered.into_iter().enumerate() {
        let covering = ranges
            .iter()
            .filter_map(|range| Some((range.specificity(media_type)?, range.quality)));
        let quality = covering.max_by_key(|(specificity, _)| *specificity);
        let quality = quality.map_or(0, |(_, quality)| quality);
        if quality > best.map_or(0, |(most, _)| most) {
            best = Some((quality, place));
        }
    }
    best.map(|(_, place)| place)
}

/// Whether a request names the media type itself, and not only a range that covers it.
pub(crate) fn names(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers.get_all(ACCEPT).into_iter();
    let mut ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| elements(text, b','))
        .filter_map(MediaRange::parse);
    ranges.any(|range| range.specificity(media_type) == Some(NAMED))
}

/// How closely a range covers the one media type that it names.
const NAMED: u8 = 2;

/// `application/*;q=0.5`
struct MediaRange<'a> {
    main: &'a str,
    sub: &'a str,
    /// In thousandths.
    quality: u16,
}

impl<'a> MediaRange<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = elements(text, b';');
        let (main, sub) = parts.next()?.split_once('/')?;
        let token = |text: &str| !text.is_empty() && !text.contains([' ', '\t', '/', '"']);
        if !token(main) || !token(sub) || (main == "*" && sub != "*") {
            return None;
        }
        let mut quality = 1_000;
        for parameter in parts {
            if let Some((name, value)) = parameter.split_once('=')
                && name.trim().eq_ignore_ascii_case("q")
            {
                quality = thousandths(value.trim())?;
            }
        }
        Some(Self { main, sub, quality })
    }

    /// How closely it names the media type, if it covers it.
    fn specificity(&self, media_type: &str) -> Option<u8> {
        let (main, sub) = media_type.split_once('/')?;
        match (self.main, self.sub) {
            ("*", "*") => Some(0),
            (m, "*") if m.eq_ignore_ascii_case(main) => Some(1),
            (m, s) if m.eq_ignore_ascii_case(main) && s.eq_ignore_ascii_case(sub) => Some(NAMED),
            _ => None,
        }
    }
}

/// `0.5` as 500: at most 1, at most three digits after the point.
pub(crate) fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let fraction: u16 = if digits {
        format!("{fraction:0<3}").parse().ok()?
    } else {
        return None;
    };
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1_000),
        _ => None,
    }
}

/// The elements of a list, trimmed, without empty ones; separators within quotes do not count.
pub(crate) fn elements(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let split = text.split(move |c: char| {
        let separates = !quoted && u32::from(c) == u32::from(separator);
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        separates
    });
    split
        .map(|element| element.trim_matches([' ', '\t']))
        .filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const OFFERED: [&str; 3] = ["application/json", "application/atom+xml", "text/html"];

    fn negotiated(lines: &[&str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, HeaderValue::from_str(line).unwrap());
        }
        negotiate(&headers, OFFERED).map(|place| OFFERED[place])
    }

    #[test]
    fn the_best_that_is_accepted_is_given() {
        let json = Some("application/json");
        let (atom, html) = (Some("application/atom+xml"), Some("text/html"));
        for (lines, expected) in [
            (&[][..], json),
            (&[""], json),
            (&["*/*"], json),
            (&["application/json"], json),
            (&["Application/JSON; charset=utf-8"], json),
            (
                &["text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8"],
                html,
            ),
            (&["application/*;q=0.3, text/*;q=0.2"], json),
            (&["application/*, application/json;q=0"], atom),
            (
                &["application/json;q=0.5, application/atom+xml;q=0.501"],
                atom,
            ),
            (&["application/json;q=0.5", "text/html; q=0.9"], html),
            (&["text/plain;x=\"a,b;q=0\", text/html"], html),
            (&["*/*;q=0.1, text/html;q=0"], json),
            (&["text/plain"], None),
            (&["*/*;q=0"], None),
            (&["application/json;q=0.0"], None),
            (&["application/json;q=2"], None),
            (&["text/html;q=x, application/json;q=0.1"], json),
            (&["text/html;q=1.5", "application/json;q=0.1"], json),
            (&["text/html;q=\u{fc}, application/json;q=0.1"], json),
            (&["application/atom+xml;q=, */*;q=0.1"], json),
            (&["application/json;q=0.5555"], None),
            (&["json"], None),
            (&["*/json"], None),
            (&[","], json),
        ] {
            assert_eq!(negotiated(lines), expected, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_answered(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..4)) {
            let mut headers = HeaderMap::new();
            for line in lines {
                if let Ok(value) = HeaderValue::from_bytes(&line) {
                    headers.append(ACCEPT, value);
                }
            }
            let place = negotiate(&headers, OFFERED);
            prop_assert!(place.is_none_or(|place| place < OFFERED.len()));
        }

        #[test]
        fn what_looks_like_an_accept_header_is_answered(text in "[a-j*/;=q.0-9, \"\\\\]{0,80}") {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_str(&text).unwrap());
            let place = negotiate(&headers, OFFERED);
            prop_assert!(place.is_none_or(|place| place < OFFERED.len()));
        }
    }
}
