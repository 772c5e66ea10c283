//! What comes out of a box as it happens, for programs: AsyncAPI 3.0.

use boxes_http::OpenApiPart;
use boxes_mapper::TopicDescription;
use boxes_notification_log::WITHHELD_TOPIC;
use serde_json::{Map, Value, json};

use crate::state::PublishedLog;
use crate::state_schema::StateSchema;

/// A log whose stream of events is described.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    /// The name of the log, which is its path.
    pub(crate) log: String,
    topics: Vec<TopicDescription>,
    /// Whether a notification may keep its place without being published.
    withholds: bool,
}

/// One kind of message: a topic in one of its versions.
struct Message<'a> {
    topic: &'a str,
    version: u32,
    /// The topic in the version that is written today.
    of: &'a TopicDescription,
}

impl Channel {
    /// The stream of this log.
    pub(crate) fn of(published: &PublishedLog) -> Self {
        Self {
            log: published.name.clone(),
            topics: published.topics.topics.clone(),
            withholds: published.withholds,
        }
    }

    /// All that may come: each topic, older ones too, in each version that may lie in the log.
    fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.topics.iter().flat_map(|of| {
            let names = std::iter::once(of.topic).chain(of.aliases.iter().copied());
            names.flat_map(move |topic| {
                let versions = of.oldest_version..=of.version;
                versions.map(move |version| Message { topic, version, of })
            })
        })
    }
}

/// The document of a box with these logs. What is common to all notifications is as in the OpenAPI document.
pub(crate) fn document(
    info: &Value,
    api: &OpenApiPart,
    channels: &[Channel],
    secured: bool,
) -> Value {
    let mut documents = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    let notification = api.schema("Notification").cloned().unwrap_or_default();
    let mut schemas = Map::from_iter([("Notification".to_owned(), notification)]);
    for channel in channels {
        let name = channel.log.replace('/', ".");
        let mut of_channel = Map::new();
        let mut add = |key: String, message: Value| {
            let reference = json!({ "$ref": format!("#/components/messages/{key}") });
            messages.insert(key.clone(), message);
            of_channel.insert(key, reference);
        };
        for message in channel.messages() {
            if let Some(schema) = message.schema() {
                schemas.extend(schema.into_components());
            }
            add(message.key(), message.described(&channel.log));
        }
        if channel.withholds {
            add(format!("{WITHHELD_TOPIC}.v1"), withheld());
        } else if channel.topics.is_empty() {
            let any = json!({ "name": "notification", "payload": notification_schema() });
            add(format!("{name}.notification"), any);
        }
        let path = format!("/{}/notifications/stream", channel.log);
        let after = format!(
            "The notifications of the log {} as server-sent events, after `Last-Event-ID` or `?after=`, or from now on.",
            channel.log
        );
        let described = json!({ "address": path, "description": after, "messages": of_channel });
        documents.insert(name.clone(), described);
        let mut operation = json!({
            "action": "send",
            "channel": { "$ref": format!("#/channels/{name}") },
            "summary": "Tells what has happened, once it is recorded",
            "bindings": { "http": { "method": "GET", "bindingVersion": "0.3.0" } },
        });
        if let Some(operation) = operation.as_object_mut().filter(|_| secured) {
            let token = json!([{ "$ref": "#/components/securitySchemes/token" }]);
            operation.insert("security".to_owned(), token);
        }
        operations.insert(format!("send.{name}"), operation);
    }
    let mut components = json!({ "messages": messages, "schemas": schemas });
    if let Some(components) = components.as_object_mut().filter(|_| secured) {
        let schemes = json!({ "token": { "type": "http", "scheme": "bearer" } });
        components.insert("securitySchemes".to_owned(), schemes);
    }
    json!({
        "asyncapi": "3.0.0",
        "info": info,
        "defaultContentType": "text/event-stream",
        "channels": documents,
        "operations": operations,
        "components": components,
    })
}

impl Message<'_> {
    /// A name of its own, which says both, topic and version.
    fn key(&self) -> String {
        format!("{}.v{}", key_of(self.topic), self.version)
    }

    /// What its state looks like, as far as that is known: of an older version the program knows how to read it, and not what
    /// it looks like.
    fn schema(&self) -> Option<StateSchema> {
        let schema = self.of.schema.as_ref();
        let schema = schema.filter(|_| self.version == self.of.version)?;
        // Under its older names it is the same.
        let key = format!("{}.v{}", key_of(self.of.topic), self.version);
        Some(StateSchema::new(key, schema))
    }

    fn described(&self, log: &str) -> Value {
        let (topic, version) = (self.topic, self.version);
        let mut payload = vec![
            notification_schema(),
            json!({ "properties": { "topic": { "const": topic }, "version": { "const": version } } }),
        ];
        let schema = self.schema();
        if let Some(schema) = &schema {
            payload.push(json!({
                "if": {
                    "not": { "anyOf": [{ "required": ["content_encoding"] }, { "required": ["redacted"] }] },
                },
                "then": { "properties": { "state": schema.reference() } },
            }));
        }
        let description = match &schema {
            Some(_) => "Its state is what the event says, as long as it is neither coded (`content_encoding`) nor redacted."
                .to_owned(),
            None if version < self.of.version => format!(
                "An older version than {}, which is written today: such events lie in the log as they were written.",
                self.of.version
            ),
            None => format!(
                "What its state looks like is not declared: see `/{log}/topics` for what is known of it."
            ),
        };
        json!({
            "name": topic,
            "title": format!("{topic}, version {version}"),
            "payload": { "allOf": payload },
            "description": description,
        })
    }
}

/// What stands in the place of a notification that a log does not publish.
fn withheld() -> Value {
    let of_topic = json!({
        "properties": { "topic": { "const": WITHHELD_TOPIC }, "state": { "type": "object", "maxProperties": 0 } },
    });
    json!({
        "name": WITHHELD_TOPIC,
        "title": "Withheld",
        "payload": { "allOf": [notification_schema(), of_topic] },
        "description": "Keeps the place of a notification that is not published here, so that ids stay dense: go over it.",
    })
}

fn notification_schema() -> Value {
    json!({ "$ref": "#/components/schemas/Notification" })
}

/// Keys of components are letters, digits and `-_.`; a topic may have others.
fn key_of(topic: &str) -> String {
    let plain = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' => c.to_string(),
        other => format!("_{:x}", u32::from(other)),
    };
    topic.chars().map(plain).collect()
}
