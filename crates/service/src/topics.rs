//! Which topics a log has, for those who read it.

use std::fmt;

use axum::response::{IntoResponse, Response};
use boxes_mapper::TopicDescription;
use http::header::CACHE_CONTROL;
use serde::Serialize;

/// The topics of a log: what its events are called, in which versions they are, and what their state looks like.
///
/// It serializes as it is served at `/{log}/topics`; `Display` is a table for people, without the schemas.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LogTopics {
    /// The name of the log: that of its box, or `{box}/{log}`.
    pub log: String,
    /// What may be found in it, by name.
    pub topics: Vec<TopicDescription>,
    /// What the box reads of the logs that it follows, as it understands them; empty for a log beside its own one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub follows: Vec<FollowedTopics>,
}

/// What a box reads of another's log.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FollowedTopics {
    /// The name of the log.
    pub log: String,
    /// The topics, by name, with what this box reads of their state.
    pub topics: Vec<TopicDescription>,
}

impl LogTopics {
    pub(crate) fn new(log: String, topics: Vec<TopicDescription>) -> Self {
        Self {
            log,
            topics: by_name(topics),
            follows: Vec::new(),
        }
    }

    pub(crate) fn following<'a>(
        mut self,
        upstreams: impl Iterator<Item = (&'a str, Vec<TopicDescription>)>,
    ) -> Self {
        let followed = |(log, topics): (&str, _)| FollowedTopics {
            log: log.to_owned(),
            topics: by_name(topics),
        };
        self.follows = upstreams.map(followed).collect();
        self
    }

    /// `GET /{log}/topics`. It is the same for as long as the program runs, and another one may be started then.
    pub(crate) fn response(&self) -> Response {
        ([(CACHE_CONTROL, "no-cache")], axum::Json(self)).into_response()
    }
}

/// Several policies may read the same topic: it is listed for each of them that reads something else of it.
fn by_name(mut topics: Vec<TopicDescription>) -> Vec<TopicDescription> {
    topics.sort_by(|a, b| a.topic.cmp(b.topic));
    topics.dedup();
    topics
}

impl fmt::Display for LogTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let followed = self.follows.iter().flat_map(|followed| &followed.topics);
        let widths = self.topics.iter().chain(followed).map(|t| t.topic.len());
        let width = widths.max().unwrap_or(0);
        writeln!(f, "{}", self.log)?;
        write_table(f, width, &self.topics)?;
        for followed in &self.follows {
            writeln!(f, "  follows {}", followed.log)?;
            write_table(f, width, &followed.topics)?;
        }
        Ok(())
    }
}

fn write_table(
    f: &mut fmt::Formatter<'_>,
    width: usize,
    topics: &[TopicDescription],
) -> fmt::Result {
    if topics.is_empty() {
        return writeln!(f, "    no topics");
    }
    for topic in topics {
        let mut notes = Vec::new();
        if topic.oldest_version < topic.version {
            notes.push(format!("reads from version {}", topic.oldest_version));
        }
        if !topic.aliases.is_empty() {
            notes.push(format!("also {}", topic.aliases.join(", ")));
        }
        if topic.discards {
            notes.push("ends the aggregate".to_owned());
        }
        if !topic.value_types.is_empty() {
            notes.push(format!("has {} by name", topic.value_types.join(", ")));
        }
        let schema = if topic.schema.is_some() {
            "schema"
        } else {
            "      "
        };
        let row = format!(
            "    {:width$}  version {:<3}  {schema}  {}",
            topic.topic,
            topic.version,
            notes.join("; ")
        );
        writeln!(f, "{}", row.trim_end())?;
    }
    Ok(())
}
