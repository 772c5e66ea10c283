//! `Link` headers, by their grammar (RFC 8288, 3).

use std::fmt;

use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue};
use url::Url;

/// A link of a `Link` header: where it leads, and what is said of it.
///
/// Read by the grammar, because an address may hold commas and semicolons (that of a page does), and a quoted value may
/// hold anything. What the grammar's own readers must bear is borne: empty elements of the list, empty parameters, white
/// space, and unquoted values with the characters of RFC 5988, such as `type=text/html`.
///
/// ```
/// use boxes_http::HeaderLink;
///
/// let value = br#"</orders/notifications/1,20>; rel="prev previous", </a;b>; title="x, y"; rel=next"#;
/// let links = HeaderLink::parse(value).expect("it is a Link header");
/// assert_eq!(links[0].target(), "/orders/notifications/1,20");
/// assert!(links[0].has_relation("previous"));
/// assert_eq!(links[1].parameter("title"), Some("x, y"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLink {
    target: String,
    /// In the order in which they stand there, with names in lower case.
    parameters: Vec<(String, Option<String>)>,
}

impl HeaderLink {
    /// The longest header that is read, in bytes, over all its lines: 64 KiB.
    pub const MAX_BYTES: usize = 64 * 1_024;
    /// The most links that a header may have.
    pub const MAX_LINKS: usize = 256;

    /// All links of an answer, in order, over all its `Link` lines.
    ///
    /// A line that does not obey the grammar says nothing, and neither does a header beyond
    /// [`MAX_BYTES`](Self::MAX_BYTES) or [`MAX_LINKS`](Self::MAX_LINKS): links are read as a whole or not at all.
    #[must_use]
    pub fn all(headers: &HeaderMap) -> Vec<Self> {
        let lines = || headers.get_all(LINK).iter();
        let n_bytes: usize = lines().map(HeaderValue::len).sum();
        if n_bytes > Self::MAX_BYTES {
            return Vec::new();
        }
        let read = lines().filter_map(|line| Self::parse(line.as_bytes()));
        let links: Vec<_> = read.flatten().collect();
        if links.len() > Self::MAX_LINKS {
            return Vec::new();
        }
        links
    }

    /// The links of one line, in order; none for an empty one. `None` if it does not obey the grammar, or is beyond
    /// the bounds.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Vec<Self>> {
        if line.len() > Self::MAX_BYTES {
            return None;
        }
        let mut rest = Rest(line);
        let mut links = Vec::new();
        loop {
            rest.skip_white_space();
            if rest.0.is_empty() {
                return Some(links);
            }
            if rest.take(b',') {
                continue;
            }
            links.push(rest.link()?);
            rest.skip_white_space();
            let is_ended = rest.0.is_empty() || rest.take(b',');
            if !is_ended || links.len() > Self::MAX_LINKS {
                return None;
            }
        }
    }

    /// Where it leads, as it stands there: perhaps relative to the page that it came with.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The value of a parameter, with its quotes undone; `None` if it is not there, or has no value. Names are in lower
    /// case; of several with the same name the first counts.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let (_, value) = parameters.find(|(found, _)| found == name)?;
        value.as_deref()
    }

    /// What it is for the page that it came with, or for its anchor: the relation types of the first `rel`.
    pub fn relations(&self) -> impl Iterator<Item = &str> {
        let relations = self.parameter("rel").unwrap_or_default();
        relations.split([' ', '\t']).filter(|word| !word.is_empty())
    }

    /// Whether it is a link of this relation type; upper and lower case are the same.
    #[must_use]
    pub fn has_relation(&self, relation: &str) -> bool {
        let mut relations = self.relations();
        relations.any(|found| found.eq_ignore_ascii_case(relation))
    }

    /// Whether it is a link from this page: without an anchor, or with one that is the page itself (RFC 8288, 3.2).
    #[must_use]
    pub fn is_from(&self, page: &Url) -> bool {
        match self.parameters.iter().find(|(name, _)| name == "anchor") {
            None => true,
            Some((_, anchor)) => page
                .join(anchor.as_deref().unwrap_or_default())
                .is_ok_and(|context| context == *page),
        }
    }
}

/// As it would be written in a header: read again, it is the same link.
impl fmt::Display for HeaderLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.target)?;
        for (name, value) in &self.parameters {
            write!(f, "; {name}")?;
            if let Some(value) = value {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, "=\"{value}\"")?;
            }
        }
        Ok(())
    }
}

/// What is still to be read of a line.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Takes this byte, if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let after = self.0.strip_prefix(&[byte]);
        self.0 = after.unwrap_or(self.0);
        after.is_some()
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !belongs(*byte));
        let (taken, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        taken
    }

    fn skip_white_space(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// `"<" URI-Reference ">" *( OWS ";" OWS link-param )`
    fn link(&mut self) -> Option<HeaderLink> {
        self.take(b'<').then_some(())?;
        let target = uri_reference(self.take_while(|byte| byte != b'>'))?;
        self.take(b'>').then_some(())?;
        let mut parameters = Vec::new();
        loop {
            self.skip_white_space();
            if !self.take(b';') {
                return Some(HeaderLink { target, parameters });
            }
            self.skip_white_space();
            let name = self.take_while(is_token);
            if name.is_empty() {
                continue;
            }
            self.skip_white_space();
            let value = if self.take(b'=') {
                self.skip_white_space();
                Some(self.value()?)
            } else {
                None
            };
            parameters.push((text(name).to_ascii_lowercase(), value));
        }
    }

    /// `token / quoted-string`, the token with what it had in RFC 5988.
    fn value(&mut self) -> Option<String> {
        if !self.take(b'"') {
            let value = self.take_while(is_value);
            return (!value.is_empty()).then(|| text(value));
        }
        let mut value = Vec::new();
        loop {
            value.extend_from_slice(self.take_while(is_quoted));
            if self.take(b'"') {
                return Some(text(&value));
            }
            self.take(b'\\').then_some(())?;
            let (escaped, rest) = self.0.split_first()?;
            if !is_quoted(*escaped) && !matches!(escaped, b'"' | b'\\') {
                return None;
            }
            value.push(*escaped);
            self.0 = rest;
        }
    }
}

/// What is no UTF-8 in a title, say, is of no use to anybody here, and no reason to forget the link.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An address of the characters that addresses consist of (RFC 3986).
fn uri_reference(bytes: &[u8]) -> Option<String> {
    let mut rest = Rest(bytes);
    loop {
        rest.take_while(|byte| {
            byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte)
        });
        if rest.0.is_empty() {
            return Some(text(bytes));
        }
        rest.take(b'%').then_some(())?;
        let (digits, after) = rest.0.split_at_checked(2)?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
        rest.0 = after;
    }
}

/// `tchar`
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `tchar`, and what RFC 5988 had in a `ptoken` besides.
fn is_value(byte: u8) -> bool {
    is_token(byte) || b"()/:<=>?@[]{}".contains(&byte)
}

/// `qdtext`: what stands between quotes without a backslash.
const fn is_quoted(byte: u8) -> bool {
    matches!(byte, b'\t' | b' ' | b'!' | b'#'..=b'[' | b']'..=b'~' | 0x80..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The relations of each link.
    fn relations(line: &str) -> Vec<Vec<String>> {
        let links = HeaderLink::parse(line.as_bytes()).unwrap();
        let relations = links.iter().map(HeaderLink::relations);
        relations
            .map(|relations| relations.map(str::to_owned).collect())
            .collect()
    }

    fn targets(line: &str) -> Option<Vec<String>> {
        let links = HeaderLink::parse(line.as_bytes())?;
        Some(links.into_iter().map(|link| link.target).collect())
    }

    #[test]
    fn commas_and_semicolons_divide_only_where_they_stand_between_links_and_parameters() {
        let line =
            r#"</l/1,20;a>; rel="prev previous", <?x=1;y=2,3>;title="a, <b>; rel=next";rel=next"#;
        assert_eq!(targets(line).unwrap(), ["/l/1,20;a", "?x=1;y=2,3"]);
        assert_eq!(relations(line), [vec!["prev", "previous"], vec!["next"]]);
    }

    #[test]
    fn the_first_rel_counts_in_any_case_quoted_or_not() {
        for (line, expected) in [
            ("<a>; rel=next", vec!["next"]),
            ("<a>; REL=Next; rel=prev", vec!["Next"]),
            ("<a> ; rel = \"next\tlast\"  ", vec!["next", "last"]),
            (
                "<a>; rel=\"  next   http://x.example/Rel \"",
                vec!["next", "http://x.example/Rel"],
            ),
            ("<a>; rel=\"ne\\xt\"", vec!["next"]),
            ("<a>; rel; rel=next", vec![]),
            ("<a>; rel=\"\"", vec![]),
            ("<a>; rev=next", vec![]),
            ("<a>", vec![]),
        ] {
            assert_eq!(relations(line), [expected], "{line}");
        }
        let link = &HeaderLink::parse(b"<a>; rel=\"x NEXT\"").unwrap()[0];
        assert!(link.has_relation("next") && link.has_relation("X"));
        assert!(!link.has_relation("nex") && !link.has_relation(""));
    }

    #[test]
    fn what_is_empty_or_was_once_allowed_is_borne() {
        for (line, expected) in [
            ("", vec![]),
            (" ,\t,, ", vec![]),
            (",<a>,,<b>,", vec!["a", "b"]),
            ("<>;rel=self", vec![""]),
            ("<a>;;rel=x; ;", vec!["a"]),
            (
                "<a>; crossorigin, <b>; title*=UTF-8'de'n%c3%a4chstes",
                vec!["a", "b"],
            ),
            ("<a%2Cb>", vec!["a%2Cb"]),
            (
                "<http://[::1]:80/?q=~%20#x>",
                vec!["http://[::1]:80/?q=~%20#x"],
            ),
        ] {
            assert_eq!(targets(line).unwrap(), expected, "{line}");
        }
        let typed = &HeaderLink::parse(b"<a>; type=text/html").unwrap()[0];
        assert_eq!(typed.parameter("type"), Some("text/html"));
    }

    #[test]
    fn what_does_not_obey_the_grammar_says_nothing() {
        for line in [
            "a",
            "a; rel=next",
            "<a",
            "<a>b",
            "<a> <b>",
            "<a>; rel=",
            "<a>; rel=\"next",
            "<a>; rel=\"next\\",
            "<a>; rel=\"next\"x",
            "<a>; =next",
            "<a>; r l=next",
            "<a>; rel=next prev",
            "<a b>",
            "<a\"b>",
            "<<a>>",
            "<a%2>",
            "<a%zz>",
            "<ä>",
            "<a>; ä=next",
            "<a>; rel=\"\u{7f}\"",
            "<b>; rel=prev, <a>; rel=",
        ] {
            assert_eq!(HeaderLink::parse(line.as_bytes()), None, "{line}");
        }
        // A title in Latin 1 is no reason to forget the link.
        let latin = HeaderLink::parse(b"<a>; title=\"\xe4\"; rel=next").unwrap();
        assert!(latin[0].has_relation("next"));
    }

    #[test]
    fn lines_are_one_header_within_its_bounds_and_one_that_is_broken_is_left_out() {
        let all = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(LINK, HeaderValue::from_str(line).unwrap());
            }
            HeaderLink::all(&headers).len()
        };
        assert_eq!(all(&["<a>, <b>", "nonsense", "", "<c>"]), 3);
        assert_eq!(all(&[]), 0);
        let most = "<a>,".repeat(HeaderLink::MAX_LINKS);
        assert_eq!(all(&[&most]), HeaderLink::MAX_LINKS);
        assert_eq!(all(&[&most, "<a>"]), 0);
        assert_eq!(HeaderLink::parse(format!("{most}<a>").as_bytes()), None);
        let longest = format!("<{}>", "a".repeat(HeaderLink::MAX_BYTES - 2));
        assert_eq!(all(&[&longest]), 1);
        assert_eq!(all(&[&longest, "x"]), 0);
        assert_eq!(HeaderLink::parse(format!("{longest},").as_bytes()), None);
    }

    #[test]
    fn a_link_with_another_anchor_is_from_elsewhere() {
        let page = Url::parse("http://shop.example/orders/notifications/6,10").unwrap();
        for (anchor, expected) in [
            ("", true),
            ("; anchor=\"/orders/notifications/6,10\"", true),
            (
                "; anchor=\"http://SHOP.example:80/orders/notifications/6,10\"",
                true,
            ),
            ("; anchor=\"\"", true),
            ("; anchor=\"6,10\"; anchor=\"#x\"", true),
            ("; anchor=\"#x\"", false),
            ("; anchor=\"/orders/notifications\"", false),
            (
                "; anchor=\"http://other.example/orders/notifications/6,10\"",
                false,
            ),
            ("; anchor=\"http://[\"", false),
        ] {
            let line = format!("</a>; rel=next{anchor}");
            let link = &HeaderLink::parse(line.as_bytes()).unwrap()[0];
            assert_eq!(link.is_from(&page), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_was_read_is_written_so_that_it_is_read_as_the_same(
            line in "([<>a,;%2=\" \\\\\u{80}-\u{ff}]|; rel=|\"next\"|<a,b>){0,30}"
        ) {
            if let Some(links) = HeaderLink::parse(line.as_bytes()) {
                let written: Vec<_> = links.iter().map(ToString::to_string).collect();
                prop_assert_eq!(HeaderLink::parse(written.join(", ").as_bytes()), Some(links));
            }
        }
    }
}
