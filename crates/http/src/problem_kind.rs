//! The kinds of problems, each with a name that stays.

use axum::http::StatusCode;
use serde::Serialize;

/// A kind of problem: what the `type` of a problem document names.
///
/// `type` is the URI path `/problems/{slug}`, which stays the same for ever; clients tell kinds apart by it and
/// not by texts. Crates above define kinds of their own as constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProblemKind {
    /// The name within `/problems/`: lower case, digits and hyphens.
    pub slug: &'static str,
    /// The status that it is answered with.
    #[serde(serialize_with = "as_number")]
    pub status: StatusCode,
    /// What it is, in a few words, the same each time.
    pub title: &'static str,
    /// What the caller can do about it.
    pub advice: &'static str,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// Declares the kinds and the list of all of them in one place, so that none is left out.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:ident $slug:literal $title:literal $advice:literal;)+) => {
        impl ProblemKind {
            $($(#[$doc])* pub const $name: Self = Self {
                slug: $slug,
                status: StatusCode::$status,
                title: $title,
                advice: $advice,
            };)+

            /// Every kind of this kit, in the order of their slugs' stations: pages, readers, requests, boxes, server.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

kinds! {
    /// A page id that is not one, or the id of a notification that is not one.
    MALFORMED_PAGE_ID = BAD_REQUEST "malformed-page-id" "Not the id of a page"
        "A page is low,high, such as 1,20: two integers from 1, without sign or leading zero. Follow the links instead of counting.";
    /// A page of the right length at the wrong place.
    MISALIGNED_PAGE = BAD_REQUEST "misaligned-page" "Not the beginning of a page"
        "Pages lie on a grid, so that each has one address. Ask for enclosing_page.";
    /// A page of another length than the log's.
    WRONG_PAGE_SIZE = BAD_REQUEST "wrong-page-size" "Not the length of a page"
        "Each page of a log holds page_size notifications. Follow the links, or read page_size from the log's description.";
    /// A single notification that is not there yet.
    UNKNOWN_NOTIFICATION = NOT_FOUND "unknown-notification" "No such notification"
        "The log ends before it. It may come later; last says how far the log goes.";
    /// Retention removed the page.
    PAGE_PRUNED = GONE "page-pruned" "The page was removed"
        "Retention removed it. The log begins with first_available; decide whether that is good enough before going on from there.";
    /// The reader follows another history of the log.
    EPOCH_CHANGED = CONFLICT "epoch-changed" "The log's history was rewritten"
        "The log was restored or made anew since the reader began. Stop; what was read may not have happened. Then begin again, or restore the reader as well.";
    /// The reader is further than the log.
    AHEAD_OF_LOG = CONFLICT "ahead-of-log" "The log ends before the reader's position"
        "The log was cut behind the reader. Stop; what was read may not have happened.";
    /// A resume point that can't be read.
    MALFORMED_RESUME_POINT = BAD_REQUEST "malformed-resume-point" "Not a position in a log"
        "Notification-Log-Epoch is a UUID; Notification-Log-Position is an integer from 0, without sign or leading zero. Last-Event-ID, after and lastEventId are such an integer, or one with the epoch: 42@{epoch}.";
    /// What the store gave is no log: ids are missing.
    LOG_DAMAGED = INTERNAL_SERVER_ERROR "log-damaged" "The log has a hole"
        "The store lost a notification. Nothing will be skipped; tell those who run the service.";
    /// The store of the box does not answer.
    STORE_UNAVAILABLE = SERVICE_UNAVAILABLE "store-unavailable" "The store does not answer"
        "Try again after the time in Retry-After.";
    /// As many requests wait as may.
    TOO_MANY_WAITERS = SERVICE_UNAVAILABLE "too-many-waiters" "Too many requests are waiting"
        "Ask without Prefer: wait, or again after the time in Retry-After.";
    /// As many requests came as may.
    TOO_MANY_REQUESTS = TOO_MANY_REQUESTS "too-many-requests" "Too many requests"
        "Try again after the time in Retry-After.";
    /// None of the media types that the request accepts is there.
    NOT_ACCEPTABLE = NOT_ACCEPTABLE "not-acceptable" "None of the accepted formats is offered"
        "Ask for one of those in offered, or leave Accept out.";
    /// None of the content codings that the request accepts is there, nor the body as it is.
    CODING_NOT_ACCEPTABLE = NOT_ACCEPTABLE "coding-not-acceptable" "None of the accepted content codings is offered"
        "Ask for one of those in offered, or leave Accept-Encoding out.";
    /// The resource is there, but not for this method.
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "method-not-allowed" "The method is not allowed here"
        "Allow says which methods are.";
    /// The body has a media type that is not understood.
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "The format of the body is not understood"
        "Send application/json, and say so in Content-Type.";
    /// The request can't be read.
    MALFORMED_REQUEST = BAD_REQUEST "malformed-request" "The request can't be read"
        "Mend it as detail says; sent again unchanged it will fail again.";
    /// The resource is in none of the states that the request names.
    PRECONDITION_FAILED = PRECONDITION_FAILED "precondition-failed" "The resource is in another state"
        "If-Match names none of its states. Read it again, and decide again.";
    /// A query parameter that the resource does not have.
    UNKNOWN_PARAMETER = BAD_REQUEST "unknown-parameter" "Not a parameter of this resource"
        "Leave it out, or spell it like one of those in parameters.";
    /// The body is larger than allowed.
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE "body-too-large" "The body is too large"
        "Send less at once.";
    /// The address of the request is too long.
    URI_TOO_LONG = URI_TOO_LONG "uri-too-long" "The address is too long"
        "Ask for less in one query.";
    /// The headers of the request are too large.
    HEAD_TOO_LARGE = REQUEST_HEADER_FIELDS_TOO_LARGE "head-too-large" "The headers of the request are too large"
        "Send fewer or shorter headers.";
    /// There is nothing at this path.
    UNKNOWN_PATH = NOT_FOUND "unknown-path" "There is nothing at this path"
        "Look for a slash too many, or follow the links from a page that is there.";
    /// No credentials, or bad ones.
    UNAUTHENTICATED = UNAUTHORIZED "unauthenticated" "Credentials are missing or wrong"
        "Send Authorization: Bearer with a token that this service knows.";
    /// Credentials that are not enough.
    FORBIDDEN = FORBIDDEN "forbidden" "The credentials are not enough for this"
        "Use others, or ask those who run the service.";
    /// The box has no such aggregate.
    NOT_FOUND = NOT_FOUND "not-found" "No such thing"
        "Check the id.";
    /// The aggregate was discarded.
    DISCARDED = GONE "discarded" "It was discarded"
        "It will not come back; its history is still in the log.";
    /// The domain says no.
    REJECTED = UNPROCESSABLE_ENTITY "rejected" "The command was rejected"
        "detail says why. Sent again it will be rejected again, unless something else has happened meanwhile.";
    /// Others changed it at the same time, again and again.
    CONFLICT = CONFLICT "conflict" "Others changed it at the same time"
        "Nothing was changed by this request. Send it again.";
    /// The service took longer than it may.
    TIMED_OUT = GATEWAY_TIMEOUT "timed-out" "It took too long"
        "It may have been done or not: look before sending it again.";
    /// A fault of the service.
    INTERNAL = INTERNAL_SERVER_ERROR "internal" "The service failed"
        "It was logged there. Trying again may help.";
}

impl ProblemKind {
    /// The kind with this slug among those of this kit.
    #[must_use]
    pub fn find(slug: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|kind| kind.slug == slug)
    }

    /// The `type` of its documents.
    #[must_use]
    pub fn type_path(&self) -> String {
        format!("/problems/{}", self.slug)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_an_error_status() {
        let slugs: BTreeSet<_> = ProblemKind::ALL.iter().map(|kind| kind.slug).collect();
        assert_eq!(slugs.len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            let plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(kind.slug.chars().all(plain), "{}", kind.slug);
            assert!(kind.status.is_client_error() || kind.status.is_server_error());
            assert_eq!(ProblemKind::find(kind.slug), Some(kind));
        }
    }
}
