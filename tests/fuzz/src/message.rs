//! An input as a message of HTTP: a first line, headers, an empty line, a body.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// A message, as it would be written down.
#[derive(Debug, Clone)]
pub(crate) struct Message<'a> {
    /// The first line, in parts.
    pub(crate) first: Vec<&'a str>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// `None` for what can't be sent as a message at all.
    pub(crate) fn parse(data: &'a [u8]) -> Option<Self> {
        let (first, mut rest) = line(data);
        let first = str::from_utf8(first).ok()?.split(' ').collect();
        let mut headers = HeaderMap::new();
        while !rest.is_empty() {
            let (header, after) = line(rest);
            rest = after;
            if header.is_empty() {
                break;
            }
            let colon = header.iter().position(|byte| *byte == b':')?;
            let (name, value) = (&header[..colon], &header[colon + 1..]);
            let value = HeaderValue::from_bytes(value.trim_ascii()).ok()?;
            headers.append(HeaderName::from_bytes(name).ok()?, value);
        }
        Some(Self {
            first,
            headers,
            body: rest,
        })
    }
}

/// The first line, and what comes after it.
fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}
