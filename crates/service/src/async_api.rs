//! What comes out of a box as it happens, for programs: AsyncAPI 3.0.

use boxes_http::OpenApiPart;
use serde_json::{Map, Value, json};

use crate::state::PublishedLog;

/// A log whose stream of events is described.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    /// The name of the log, which is its path.
    pub(crate) log: String,
    /// The topics of its events, older ones too, with the version that is written today.
    topics: Vec<(&'static str, u32)>,
}

impl Channel {
    /// The stream of this log.
    pub(crate) fn of(published: &PublishedLog) -> Self {
        let topics = published.topics.topics.iter().flat_map(|of| {
            let names = std::iter::once(of.topic).chain(of.aliases.iter().copied());
            names.map(|topic| (topic, of.version))
        });
        Self {
            log: published.name.clone(),
            topics: topics.collect(),
        }
    }
}

/// The document of a box with these logs. Schemas are those of the OpenAPI document.
pub(crate) fn document(
    info: &Value,
    api: &OpenApiPart,
    channels: &[Channel],
    secured: bool,
) -> Value {
    let mut documents = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    for channel in channels {
        let name = channel.log.replace('/', ".");
        let of_channel: Map<_, _> = messages_of(channel)
            .map(|(key, message)| {
                let reference = json!({ "$ref": format!("#/components/messages/{key}") });
                messages.insert(key.clone(), message);
                (key, reference)
            })
            .collect();
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
    let notification = api.schema("Notification").cloned().unwrap_or_default();
    let mut components =
        json!({ "messages": messages, "schemas": { "Notification": notification } });
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

/// The messages of a channel, each with a key of its own: one for each topic.
fn messages_of(channel: &Channel) -> impl Iterator<Item = (String, Value)> {
    let any = channel.topics.is_empty().then(|| {
        let key = format!("{}.notification", channel.log.replace('/', "."));
        (
            key,
            json!({ "name": "notification", "payload": notification() }),
        )
    });
    let topics = channel.topics.iter().map(|(topic, version)| {
        let of_topic = json!({ "properties": { "topic": { "const": topic } } });
        let message = json!({
            "name": topic,
            "title": format!("{topic}, version {version}"),
            "payload": { "allOf": [notification(), of_topic] },
            "description": format!("What its state looks like is said at `/{}/topics`, as JSON Schema.", channel.log),
        });
        (key_of(topic), message)
    });
    any.into_iter().chain(topics)
}

fn notification() -> Value {
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
