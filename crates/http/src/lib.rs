//! Notification logs over HTTP: pages served, and pages read.
//!
//! What is served and read is written down as one contract; both sides of it are here, so that a log far away
//! gives the same sections, emptiness and errors as one in this process.
//!
//! Reading order, serving: a [`NotificationLogResource`] makes the routes of one log, as its
//! [`NotificationLogOptions`] say (`resource.rs`); what they have in common is in `served.rs`, and what each of them answers in
//! `page_resource.rs`, `notification_resource.rs`, `description_resource.rs`, `live_stream.rs`, `feed.rs` and `export.rs`; a request is understood by `accept.rs`, `accept_encoding.rs`,
//! `encoded_page_id.rs`, `query.rs`, `precondition.rs`, `entity_tag.rs`, `prefer.rs` and `resume_point.rs`; a section becomes a page in a format of `representation.rs`: `json_page.rs` is the
//! kit's own, `html.rs` is for people (`html_page.rs`, `html_description.rs`, `html_json.rs`), `atom.rs` for feed readers, and `cloud_events.rs`,
//! `ndjson.rs` and `iddd.rs` are for those who ask for them by name; `json_text.rs` and `markup_text.rs` are what they are written with; `link.rs` is where pages lead; `view.rs` is how a section becomes a page at a path, `section_cache.rs` where sections and pages are kept and `rendered.rs` what is sent of them; `coding.rs`
//! makes bodies smaller, and whole again; `waiting.rs` holds requests until there is something new; `event_stream.rs` is how events are sent as they come, `feed.rs` how those have them who
//! follow the profile of HTTP Feeds. Every error is a [`Problem`] of a [`ProblemKind`], for this crate
//! and for those above it.
//!
//! [`Dialects`] are the same log as older systems would have it (`dialects.rs`), one file for each of them
//! (`compat_eventsourcing_9.rs`, …), from anywhere in the log where they ask so (`log_range.rs`).
//!
//! Both say of themselves what they are as an [`OpenApiPart`] (`open_api.rs`, `open_api_log.rs`, `open_api_dialects.rs`).
//!
//! Beside logs: a [`Reading`] is one resource as it is described and served, [`DescribedRoutes`] put several together
//! (`open_api.rs` has their part of a document); a [`Document`] stays the same, such as the [`ServiceIndex`] and what
//! [`problem_descriptions`] say.
//!
//! Reading: a [`RemoteNotificationLog`] reaches the log at a URL, as its [`RemoteOptions`] say (`remote.rs`);
//! `authorities.rs` and `bearer_token.rs` are whom it trusts and what it shows; `fetch.rs` is how it asks, within bounds; `page_document.rs` is what it makes of the answer,
//! `link_header.rs` and `page_links.rs` where that leads;
//! a [`ForeignNotificationLog`] reaches one that is served by another system (`foreign_log.rs`), in a [`ForeignDialect`];
//! `log_problem.rs` turns errors into problems and back.

mod accept;
mod accept_encoding;
mod atom;
mod authorities;
mod bearer_token;
mod cloud_events;
mod coding;
mod compat_eventsourcing_1;
mod compat_eventsourcing_8;
mod compat_eventsourcing_9;
mod compat_iddd;
mod described_routes;
mod description_resource;
mod dialects;
mod document;
mod encoded_page_id;
mod entity_tag;
mod event_stream;
mod export;
mod feed;
mod fetch;
mod foreign_dialect;
mod foreign_log;
mod freshness;
mod html;
mod html_description;
mod html_index;
mod html_json;
mod html_page;
mod iddd;
mod json_page;
mod json_text;
mod link;
mod link_header;
mod live_stream;
mod log_problem;
mod log_range;
mod markup_text;
mod ndjson;
mod notification_resource;
mod open_api;
mod open_api_dialects;
mod open_api_log;
mod options;
mod page_address;
mod page_document;
mod page_links;
mod page_resource;
mod precondition;
mod prefer;
mod problem;
mod problem_descriptions;
mod problem_kind;
mod query;
mod reading;
mod remote;
mod remote_options;
mod rendered;
mod representation;
mod resource;
mod resume_point;
mod section_cache;
mod served;
mod service_index;
mod tls;
mod view;
mod waiting;
mod waiting_places;

pub use authorities::{Authorities, InvalidAuthorities};
pub use bearer_token::{BearerToken, InvalidToken};
pub use described_routes::DescribedRoutes;
pub use dialects::{Dialects, REDACTED_TOPIC};
pub use document::Document;
pub use entity_tag::{is_known, tag_of_body};
pub use foreign_dialect::ForeignDialect;
pub use foreign_log::{ForeignNotificationLog, MISSING_TOPIC};
pub use freshness::archived_freshness;
pub use link_header::HeaderLink;
pub use open_api::{InvalidOpenApi, OpenApiPart};
pub use options::{InvalidPath, NotificationLogOptions};
pub use page_address::AddressedPage;
pub use prefer::MAX_WAIT;
pub use problem::{PROBLEM_JSON, Problem, unknown_path};
pub use problem_descriptions::problem_descriptions;
pub use problem_kind::ProblemKind;
pub use reading::Reading;
pub use remote::RemoteNotificationLog;
pub use remote_options::{RemoteError, RemoteOptions};
pub use resource::NotificationLogResource;
pub use resume_point::{EPOCH_HEADER, POSITION_HEADER, check_resume_point};
pub use service_index::{IndexedBox, IndexedLog, ServiceIndex};
pub use tls::install_crypto_provider;
pub use waiting_places::{WaitingClient, WaitingPlaces};
