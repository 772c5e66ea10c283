//! Which topics a log has, for those who read it.

use std::fmt;
use std::sync::Arc;

use boxes_http::{DescribedRoutes, Document, ProblemKind, Reading, check_resume_point};
use boxes_mapper::TopicDescription;
use boxes_notification_log::NotificationLog;
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::json_schema::json_schema;

/// The topics of a log: what its events are called, in which versions they are, and what their state looks like.
///
/// It serializes as it is served at `/{log}/topics`; `Display` is a table for people, without the schemas.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[non_exhaustive]
pub struct LogTopics {
    /// The name of the log: that of its box, or `{box}/{log}`.
    pub log: String,
    /// What may be found in it, by name.
    #[schemars(with = "Vec<Listed>")]
    pub topics: Vec<TopicDescription>,
    /// What the box reads of the logs that it follows, as it understands them; empty for a log beside its own one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub follows: Vec<FollowedTopics>,
}

/// What a box reads of another's log.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[non_exhaustive]
pub struct FollowedTopics {
    /// The name of the log.
    pub log: String,
    /// The topics, by name, with what this box reads of their state.
    #[schemars(with = "Vec<Listed>")]
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

    /// `/{log}/topics`. It is the same for as long as the program runs, and another one may be started then.
    pub(crate) fn routes(&self, log: &Arc<dyn NotificationLog>) -> DescribedRoutes {
        let reading = Reading::new(
            "getTopics",
            "The topics of the log, with schemas of their state",
        )
        .gives("application/json", json_schema::<Self>())
        .refuses(&[
            &ProblemKind::MALFORMED_RESUME_POINT,
            &ProblemKind::EPOCH_CHANGED,
            &ProblemKind::AHEAD_OF_LOG,
        ]);
        let document = Document::json(&json!(self));
        let path = format!("/{}/topics", self.log);
        let log = Arc::clone(log);
        let topics = async move |headers: HeaderMap| {
            check_resume_point(&*log, &headers).await?;
            document.answer(&headers).await
        };
        DescribedRoutes::new().read(&path, Document::described(reading), topics)
    }
}

/// What a [`TopicDescription`] is written as: the crate that it is of makes no schemas.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is described, and never made")]
struct Listed {
    /// The topic under which its events are stored now.
    topic: String,
    /// The schema version in which they are stored now.
    version: u32,
    /// The oldest one that this program reads.
    oldest_version: u32,
    /// Older topics under which events of this kind may be stored.
    aliases: Vec<String>,
    /// Whether the aggregate ends with it.
    discards: bool,
    /// The names of the value types that its state contains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    value_types: Vec<String>,
    /// The JSON Schema of its state in the current version.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<Map<String, Value>>,
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

#[cfg(test)]
mod tests {
    use boxes_domain::{Event, Named};
    use boxes_mapper::UuidAsHex;
    use serde::Deserialize;
    use uuid::Uuid;

    use super::*;

    #[derive(Event, Clone, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.held", crate = "boxes_domain")]
    enum Held {
        Once {
            #[serde(with = "Named::<UuidAsHex>")]
            id: Uuid,
        },
    }

    #[test]
    fn every_member_of_a_topic_that_is_listed_is_described() {
        let topics = TopicDescription::all_of::<Held>();
        let listed = json!(LogTopics::new("t".to_owned(), topics));
        let schema = json_schema::<LogTopics>();
        let described = &schema["properties"]["topics"]["items"]["properties"];
        let members = listed["topics"][0].as_object().unwrap();
        assert!(members.contains_key("schema") && members.contains_key("value_types"));
        for member in members.keys() {
            assert!(described.get(member).is_some(), "{member}: {described}");
        }
    }
}
