//! The names under which a box stores its events.

use std::any::{TypeId, type_name};
use std::collections::BTreeMap;

use boxes_domain::{Event, EventType};

use crate::{MapperError, TopicDescription};

/// Every topic of a box, each with the one event type that owns it.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    by_topic: BTreeMap<&'static str, Owner>,
}

/// The kind of event that owns a topic, or reads it as an alias.
#[derive(Debug, Clone, Copy)]
struct Owner {
    event_type: &'static EventType,
    /// Of the Rust type: two of them may have one name, in two versions of a crate.
    id: TypeId,
    name: &'static str,
    /// Of what its events happen to.
    kind: &'static str,
    /// Of all kinds of the type.
    describe: fn() -> Vec<TopicDescription>,
}

impl Owner {
    fn of<E: Event>(event_type: &'static EventType) -> Self {
        Self {
            event_type,
            id: TypeId::of::<E>(),
            name: type_name::<E>(),
            kind: E::KIND,
            describe: TopicDescription::all_of::<E>,
        }
    }

    /// Whether it is the same kind of the same type.
    fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.event_type.variant == other.event_type.variant
    }

    /// The type, and how it comes to `topic`.
    fn claim(&self, topic: &str) -> String {
        let Self {
            event_type, name, ..
        } = self;
        if event_type.topic == topic {
            format!("`{name}`")
        } else {
            format!("`{name}` (as an alias of `{}`)", event_type.topic)
        }
    }
}

impl Topics {
    /// Adds all topics and aliases of `E`. Adding the same type again changes nothing.
    ///
    /// # Errors
    ///
    /// [`MapperError::DuplicateTopic`] if another type, or another kind of `E`, has one of them: none of `E`'s is
    /// added then.
    pub fn register<E: Event>(&mut self) -> Result<(), MapperError> {
        let mut by_topic = self.by_topic.clone();
        for event_type in E::TYPES {
            let owner = Owner::of::<E>(event_type);
            for topic in event_type.all_topics() {
                if let Some(first) = by_topic.insert(topic, owner)
                    && !first.is(&owner)
                {
                    return Err(MapperError::DuplicateTopic {
                        topic: topic.to_owned(),
                        first: first.claim(topic),
                        second: owner.claim(topic),
                    });
                }
            }
        }
        self.by_topic = by_topic;
        Ok(())
    }

    /// Whether the topics of `E` are in it.
    #[must_use]
    pub fn has<E: Event>(&self) -> bool {
        E::TYPES.iter().all(|t| {
            let owner = self.by_topic.get(t.topic);
            owner.is_some_and(|owner| owner.id == TypeId::of::<E>())
        })
    }

    /// The [kind](Event::KIND) of aggregate whose events are stored under `topic`, if they are of another type than `E`.
    #[must_use]
    pub fn other_kind<E: Event>(&self, topic: &str) -> Option<&'static str> {
        let owner = self.by_topic.get(topic)?;
        (owner.id != TypeId::of::<E>()).then_some(owner.kind)
    }

    /// What those who read the events need to know of each topic, by name. Schemas are built anew each time.
    #[must_use]
    pub fn descriptions(&self) -> Vec<TopicDescription> {
        let types: BTreeMap<TypeId, _> = self
            .by_topic
            .values()
            .map(|owner| (owner.id, owner.describe))
            .collect();
        let mut descriptions: Vec<_> = types.values().flat_map(|describe| describe()).collect();
        descriptions.sort_by(|a, b| a.topic.cmp(b.topic));
        descriptions
    }

    /// The topics with their kinds of event, by name; an alias leads to the kind that it is an alias of.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static EventType)> {
        self.by_topic
            .iter()
            .map(|(topic, owner)| (*topic, owner.event_type))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Event, Clone, Serialize, Deserialize)]
    #[event(topic = "a", crate = "boxes_domain")]
    enum First {
        #[event(alias = "a.old")]
        New,
    }

    #[derive(Event, Clone, Serialize, Deserialize)]
    #[event(topic = "b", crate = "boxes_domain")]
    enum Second {
        #[event(topic = "a.old")]
        Old,
    }

    /// Written by hand: the derive macro would refuse it.
    #[derive(Clone, Serialize, Deserialize)]
    enum Twice {
        One,
        Two,
    }

    impl Event for Twice {
        const TYPES: &'static [EventType] = &[
            EventType::new("twice.one", 0),
            EventType::new("twice.two", 1).with_aliases(&["twice.one"]),
        ];

        fn event_type(&self) -> &'static EventType {
            match self {
                Self::One => &Self::TYPES[0],
                Self::Two => &Self::TYPES[1],
            }
        }
    }

    #[test]
    fn two_kinds_of_one_type_do_not_share_a_topic_either_and_then_none_is_added() {
        let mut topics = Topics::default();
        let error = topics.register::<Twice>().unwrap_err().to_string();
        assert!(error.contains("(as an alias of `twice.two`)"), "{error}");
        assert_eq!(topics.iter().count(), 0);
    }

    #[test]
    fn a_topic_has_one_owner_and_aliases_count() {
        let mut topics = Topics::default();
        topics.register::<First>().unwrap();
        topics.register::<First>().unwrap();
        assert!(topics.has::<First>() && !topics.has::<Second>());
        let error = topics.register::<Second>().unwrap_err().to_string();
        assert!(
            error.starts_with("the topic `a.old` is claimed twice: by `")
                && error.contains("::First` (as an alias of `a.new`) and by `")
                && error.contains("::Second`: "),
            "{error}"
        );
        let described = topics.descriptions();
        assert_eq!(described.len(), 1);
        assert_eq!(
            (described[0].topic, described[0].aliases),
            ("a.new", &["a.old"][..])
        );
        assert_eq!(
            topics
                .iter()
                .map(|(topic, t)| (topic, t.topic))
                .collect::<Vec<_>>(),
            [("a.new", "a.new"), ("a.old", "a.new")]
        );
    }
}
