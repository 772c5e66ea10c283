//! Where the keys of subjects are, for the boxes of a program.

use std::sync::{Arc, PoisonError, RwLock};

use boxes_application::{StoredSubjectKeys, SubjectKeys};
use boxes_mapper::TopicDescription;
use boxes_recorder::{KeyValueStore, RecorderError};

use crate::{Config, LogTopics, StartError};

/// As what the store of `--subject-keys` is opened: it is a store like that of a box, whose log stays empty.
pub(crate) const NAME: &str = "subject-keys";

/// The stores that have keys of subjects: that of all boxes, if one is set, and that of each box.
#[derive(Debug, Default)]
pub(crate) struct KeyStores {
    shared: Option<Arc<dyn KeyValueStore>>,
    all: Arc<RwLock<Vec<Arc<dyn KeyValueStore>>>>,
}

impl KeyStores {
    /// Opens the store that is set for all boxes, if one is.
    pub(crate) async fn open(config: &Config) -> Result<Self, StartError> {
        let mut stores = Self::default();
        if let Some(store) = &config.subject_keys {
            let recorder = store.open(NAME, None, None).await?;
            let shared = recorder
                .key_value_store()
                .ok_or_else(|| StartError::Store {
                    name: NAME.to_owned(),
                    store: store.to_string(),
                    source: RecorderError::Mismatch {
                        reason: "it has no place for keys of subjects".to_owned(),
                    },
                })?;
            stores.add(&shared);
            stores.shared = Some(shared);
        }
        Ok(stores)
    }

    /// Looks for keys in the store of a box, too.
    pub(crate) fn add(&self, store: &Arc<dyn KeyValueStore>) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(store));
    }

    /// The keys of all stores, where new ones are made in the store that is set for all boxes, or in that of the box; `None`
    /// if there is neither.
    pub(crate) fn stored(&self, own: Option<Arc<dyn KeyValueStore>>) -> Option<StoredSubjectKeys> {
        let store = self.shared.clone().or(own)?;
        Some(StoredSubjectKeys::new(store).looking_in(Arc::clone(&self.all)))
    }

    /// The keys of a box, which begins to be one of those in which all look.
    pub(crate) fn of_box(
        &self,
        own: Option<Arc<dyn KeyValueStore>>,
        config: &Config,
    ) -> Option<SubjectKeys> {
        if let Some(own) = &own {
            self.add(own);
        }
        let keys = self.stored(own)?;
        let keys = match config.mapper.keys() {
            Some(wrapping) => keys.wrapped_by(wrapping),
            None => keys,
        };
        Some(SubjectKeys::new(Arc::new(keys)).forgotten_within(config.poll_interval))
    }
}

/// What to say at the start if personal parts of events can't be read across services, because each keeps its keys to itself.
///
/// It is known of event types that derive `JsonSchema`.
pub(crate) fn not_shared(
    config: &Config,
    listed: &[LogTopics],
    follows_elsewhere: &[&str],
) -> Option<String> {
    if config.subject_keys.is_some() {
        return None;
    }
    let followed = listed.iter().flat_map(|log| &log.follows);
    let unread = followed
        .filter(|log| follows_elsewhere.contains(&log.log.as_str()))
        .find(|log| log.topics.iter().any(is_personal));
    if let Some(unread) = unread {
        return Some(format!(
            "events of `{}` have personal parts, whose keys this service can't find: start all services with the same --subject-keys",
            unread.log
        ));
    }
    // Other boxes of the program run elsewhere.
    let is_service = !config.serve.is_empty();
    let is_written = listed.iter().flat_map(|log| &log.topics).any(is_personal);
    (is_service && is_written).then(|| {
        "events have personal parts, whose keys other services can't find: start all services with the same --subject-keys, and move keys that there are with `move-keys`"
            .to_owned()
    })
}

fn is_personal(topic: &TopicDescription) -> bool {
    let schema = topic.schema.as_ref();
    schema.is_some_and(|schema| schema.to_string().contains("\"$personal\":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BoundedContext, Store};
    use boxes_application::{App, Error, Notification};
    use boxes_domain::{Aggregate, Event, Personal};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(Event, Debug, Clone, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "crm.customer", crate = "boxes_domain")]
    enum CustomerEvent {
        Named { name: Option<Personal<String>> },
    }

    #[derive(Default, Clone)]
    struct Customer;

    impl Aggregate for Customer {
        type Event = CustomerEvent;

        fn apply(&mut self, _: &CustomerEvent) {}
    }

    async fn read(_: Notification<CustomerEvent>, _: App) -> Result<(), Error> {
        Ok(())
    }

    #[test]
    fn a_service_whose_personal_parts_others_can_not_read_is_warned_and_so_is_who_can_not_read_theirs()
     {
        let crm = BoundedContext::new("crm").aggregate::<Customer>().topics();
        let mail = BoundedContext::new("mail").follow("crm", read).topics();
        let mut config = Config::default();
        assert_eq!(not_shared(&config, &crm, &[]), None);
        assert_eq!(not_shared(&config, &mail, &[]), None, "crm is here");
        let warning = not_shared(&config, &mail, &["crm"]).unwrap();
        assert!(
            warning.contains("`crm`") && warning.contains("--subject-keys"),
            "{warning}"
        );
        config.serve = vec!["crm".to_owned()];
        let warning = not_shared(&config, &crm, &[]).unwrap();
        assert!(warning.contains("--subject-keys"), "{warning}");
        config.subject_keys = Some(Store::Memory);
        assert_eq!(not_shared(&config, &crm, &[]), None);
        assert_eq!(not_shared(&config, &mail, &["crm"]), None);
    }
}
