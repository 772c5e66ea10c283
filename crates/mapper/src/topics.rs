//! The names under which a box stores its events.

use std::any::type_name;
use std::collections::BTreeMap;

use boxes_domain::{Event, EventType};

use crate::MapperError;

/// Every topic of a box, each with the one event type that owns it.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    by_topic: BTreeMap<&'static str, (&'static EventType, &'static str)>,
}

impl Topics {
    /// Adds all topics and aliases of `E`. Adding the same type again changes nothing.
    ///
    /// # Errors
    ///
    /// [`MapperError::DuplicateTopic`] if another type has one of them.
    pub fn register<E: Event>(&mut self) -> Result<(), MapperError> {
        let name = type_name::<E>();
        for event_type in E::TYPES {
            for topic in std::iter::once(event_type.topic).chain(event_type.aliases.iter().copied())
            {
                match self.by_topic.get(topic) {
                    Some((_, first)) if *first != name => {
                        return Err(MapperError::DuplicateTopic {
                            topic: topic.to_owned(),
                            first,
                            second: name,
                        });
                    }
                    _ => self.by_topic.insert(topic, (event_type, name)),
                };
            }
        }
        Ok(())
    }

    /// Whether the topics of `E` are in it.
    #[must_use]
    pub fn has<E: Event>(&self) -> bool {
        E::TYPES.iter().all(|t| {
            self.by_topic
                .get(t.topic)
                .is_some_and(|(_, name)| *name == type_name::<E>())
        })
    }

    /// The topics with their kinds of event, by name; an alias leads to the kind that it is an alias of.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static EventType)> {
        self.by_topic
            .iter()
            .map(|(topic, (event_type, _))| (*topic, *event_type))
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

    #[test]
    fn a_topic_has_one_owner_and_aliases_count() {
        let mut topics = Topics::default();
        topics.register::<First>().unwrap();
        topics.register::<First>().unwrap();
        assert!(topics.has::<First>() && !topics.has::<Second>());
        let error = topics.register::<Second>().unwrap_err().to_string();
        assert!(
            error.contains("`a.old`") && error.contains("First") && error.contains("Second"),
            "{error}"
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
