//! Where a page that came says that its neighbours are: in its body, in its `Link` header, or in both.

use axum::http::HeaderMap;
use boxes_notification_log::{LogError, Section, SectionLink};
use url::{Position, Url};

use crate::HeaderLink;

/// How much of an address stands in an error, in bytes.
const MAX_SHOWN: usize = 200;

/// What the header of an answer says of where it leads.
#[derive(Debug)]
pub(crate) struct PageLinks {
    /// Where the answer came from, after all redirects: what relative links are relative to.
    page: Url,
    links: Vec<HeaderLink>,
}

/// A way, as it is named in a sentence, and its relation types.
struct Way {
    name: &'static str,
    relations: &'static [&'static str],
}

const PREVIOUS: Way = Way {
    name: "previous",
    relations: &["prev", "previous"],
};
const NEXT: Way = Way {
    name: "next",
    relations: &["next"],
};

impl PageLinks {
    pub(crate) fn of(page: Url, headers: &HeaderMap) -> Self {
        Self {
            page,
            links: HeaderLink::all(headers),
        }
    }

    /// Completes the links of the section that the body holds: absolute, and from the header where the body has none.
    /// A neighbour that neither leads to is left to be found by its id.
    ///
    /// # Errors
    ///
    /// [`LogError::Garbage`] if a way leads to two places: whichever was taken, it might be the wrong one.
    pub(crate) fn complete(&self, section: &mut Section) -> Result<(), LogError> {
        self.complete_link(section.previous.as_mut(), &PREVIOUS)?;
        self.complete_link(section.next.as_mut(), &NEXT)
    }

    fn complete_link(&self, link: Option<&mut SectionLink>, way: &Way) -> Result<(), LogError> {
        let Some(link) = link else { return Ok(()) };
        let in_body = link.href.take().map(|href| (self.resolve(&href), "body"));
        let in_header = self.links.iter().filter(|link| {
            link.is_from(&self.page) && way.relations.iter().any(|name| link.has_relation(name))
        });
        let in_header = in_header.map(|link| (self.resolve(link.target()), "`Link` header"));
        let mut found = in_body.into_iter().chain(in_header);
        let Some((href, source)) = found.next() else {
            return Ok(());
        };
        let place = place(&href);
        if let Some((other, other_source)) = found.find(|(other, _)| self::place(other) != place) {
            return Err(LogError::Garbage {
                reason: format!(
                    "the {} page of {} is at {} by its {source}, and at {} by its {other_source}: something between here and \
                     there changes one of them",
                    way.name,
                    shown(self.page.as_str()),
                    shown(&href),
                    shown(&other)
                ),
            });
        }
        link.href = Some(href);
        Ok(())
    }

    /// What is no address stays as it is: it is refused if somebody goes there.
    fn resolve(&self, href: &str) -> String {
        let resolved = self.page.join(href);
        resolved.map_or_else(|_| href.to_owned(), String::from)
    }
}

/// What tells one address from another: not the form in which a comma is written, nor the host, because a log is asked only
/// where it is reached, whatever other names it has.
fn place(href: &str) -> String {
    let place = match Url::parse(href) {
        Ok(url) => url[Position::BeforePath..Position::AfterQuery].to_owned(),
        Err(_) => href.to_owned(),
    };
    place.replace("%2C", ",").replace("%2c", ",")
}

/// As much of it as helps to find it.
fn shown(href: &str) -> String {
    let end = href.floor_char_boundary(MAX_SHOWN);
    match href.split_at_checked(end) {
        Some((start, rest)) if !rest.is_empty() => format!("{start}…"),
        _ => href.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use axum::http::HeaderValue;
    use axum::http::header::LINK;
    use boxes_notification_log::SectionId;
    use boxes_recorder::LogIdentity;
    use uuid::Uuid;

    use super::*;

    const PAGE: &str = "http://shop.example/orders/notifications/6,10";

    fn section(previous: Option<&str>, next: Option<&str>) -> Section {
        let id: SectionId = "6,10".parse().unwrap();
        let link = |id: SectionId, href: Option<&str>| SectionLink {
            id,
            href: href.map(str::to_owned),
        };
        Section {
            log: LogIdentity {
                name: "orders".to_owned(),
                epoch: Uuid::nil(),
                page_size: NonZeroU32::new(5).unwrap(),
            },
            id,
            archived: true,
            items: Vec::new(),
            previous: id.previous().map(|id| link(id, previous)),
            next: Some(link(id.next(), next)),
            last: None,
        }
    }

    /// Where the neighbours are, by what the body and the lines of the header say.
    fn neighbours(
        body: (Option<&str>, Option<&str>),
        lines: &[&str],
    ) -> Result<(Option<String>, Option<String>), String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(LINK, HeaderValue::from_str(line).unwrap());
        }
        let mut section = section(body.0, body.1);
        PageLinks::of(Url::parse(PAGE).unwrap(), &headers)
            .complete(&mut section)
            .map_err(|error| error.to_string())?;
        Ok((section.previous.unwrap().href, section.next.unwrap().href))
    }

    fn at(path: &str) -> Option<String> {
        Some(format!("http://shop.example{path}"))
    }

    #[test]
    fn what_the_body_lacks_is_taken_from_the_header() {
        let header = ["</p/1>; rel=\"prev previous\"", "</p/3>; rel=NEXT"];
        assert_eq!(
            neighbours((None, None), &header),
            Ok((at("/p/1"), at("/p/3")))
        );
        assert_eq!(
            neighbours((Some("/p/1"), None), &header),
            Ok((at("/p/1"), at("/p/3")))
        );
        assert_eq!(
            neighbours((None, Some("/p/3")), &[]),
            Ok((None, at("/p/3")))
        );
        assert_eq!(neighbours((None, None), &["nonsense"]), Ok((None, None)));
    }

    #[test]
    fn both_are_relative_to_the_page() {
        let expected = at("/orders/notifications/11,15");
        for body in [None, Some("11,15"), Some("/orders/notifications/11,15")] {
            for header in [
                "<11,15>; rel=next",
                "<?>; rel=last, <../notifications/11,15>; rel=next",
            ] {
                assert_eq!(neighbours((None, body), &[header]).unwrap().1, expected);
            }
        }
    }

    #[test]
    fn links_that_differ_only_in_form_lead_to_one_place() {
        for body in ["/p/11,15", "/p/11%2C15", "http://public.example/p/11%2c15"] {
            for header in [
                "<../../p/11,15>; rel=next",
                "<https://other.example/p/11%2C15>; rel=next",
            ] {
                let found = neighbours((None, Some(body)), &[header]).unwrap();
                assert!(found.1.is_some_and(|href| href.ends_with("15")));
            }
        }
    }

    #[test]
    fn what_leads_to_two_places_is_refused_by_name() {
        let in_both = neighbours((Some("/p/1"), None), &["</p/0>; rel=prev"]).unwrap_err();
        for part in [
            "previous page",
            "/p/1 by its body",
            "/p/0 by its `Link` header",
        ] {
            assert!(in_both.contains(part), "{in_both}");
        }
        let in_header = ["</p/3>; rel=next", "</p/4>; rel=\"last next\""];
        assert!(neighbours((None, None), &in_header).is_err());
        let prev_and_previous = ["</p/0>; rel=prev, </p/1>; rel=previous"];
        assert!(neighbours((None, None), &prev_and_previous).is_err());
        let long = format!("</{}>; rel=next", "a".repeat(1_000));
        let long = neighbours((None, Some("/p/3")), &[&long]).unwrap_err();
        assert!(long.len() < 600 && long.contains('…'), "{long}");
    }

    #[test]
    fn links_from_elsewhere_do_not_count() {
        let header = [
            "</p/9>; rel=next; anchor=\"/orders/notifications\", </p/3>; rel=next",
            "</p/0>; rel=prev; anchor=\"#x\"",
        ];
        assert_eq!(neighbours((None, None), &header), Ok((None, at("/p/3"))));
    }

    #[test]
    fn what_is_no_address_stays_to_be_refused_when_it_is_followed() {
        let found = neighbours((None, Some("http://[")), &[]).unwrap();
        assert_eq!(found.1.as_deref(), Some("http://["));
    }
}
