//! Whether boxes read what the logs that they follow have.

use crate::suggestion::did_you_mean;
use crate::{BoundedContext, Config, LogTopics};

/// A topic as its log, or a follower of that, declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeclaredTopic {
    pub(crate) topic: String,
    pub(crate) version: u32,
    pub(crate) aliases: Vec<String>,
    /// Whether it reads every version.
    pub(crate) is_tolerant: bool,
}

impl DeclaredTopic {
    fn all_of(topics: &[boxes_mapper::TopicDescription]) -> Vec<Self> {
        let topics = topics.iter().map(|topic| Self {
            topic: topic.topic.to_owned(),
            version: topic.version,
            aliases: topic
                .aliases
                .iter()
                .map(|&alias| alias.to_owned())
                .collect(),
            is_tolerant: topic.is_tolerant,
        });
        topics.collect()
    }
}

/// What boxes that run together read of each other and is not there, or is there in a version that they can't read.
pub(crate) fn mistakes(here: &[&BoundedContext], config: &Config) -> Vec<String> {
    let logs: Vec<LogTopics> = here.iter().flat_map(|context| context.topics()).collect();
    let mut mistakes = Vec::new();
    for reader in &logs {
        for followed in &reader.follows {
            let is_elsewhere = config.follow.contains_key(&followed.log);
            let upstream = logs.iter().find(|log| log.log == followed.log);
            let Some(upstream) = upstream.filter(|_| !is_elsewhere) else {
                continue;
            };
            let wrong = unread(
                &followed.log,
                &DeclaredTopic::all_of(&followed.topics),
                &DeclaredTopic::all_of(&upstream.topics),
            );
            let wrong = wrong.into_iter();
            mistakes.extend(wrong.map(|wrong| format!("the box `{}` {wrong}", reader.log)));
        }
    }
    mistakes
}

/// What a box that reads `read` of a log misses of `written`, what that log has: each completes a sentence about the box.
pub(crate) fn unread(log: &str, read: &[DeclaredTopic], written: &[DeclaredTopic]) -> Vec<String> {
    let wrong = read.iter().filter_map(|read| {
        let writes = |written: &&DeclaredTopic| {
            written.topic == read.topic || read.aliases.contains(&written.topic)
        };
        let Some(written) = written.iter().find(writes) else {
            let renamed = written
                .iter()
                .find(|written| written.aliases.contains(&read.topic));
            let suggestion = match renamed {
                Some(renamed) => format!(", which calls it `{}` now", renamed.topic),
                None => {
                    let topics = written.iter().map(|written| written.topic.as_str());
                    format!(", which has no such topic{}", did_you_mean(&read.topic, topics))
                }
            };
            return Some(format!("reads `{}` of `{log}`{suggestion}", read.topic));
        };
        (written.version > read.version && !read.is_tolerant).then(|| {
            format!(
                "reads `{}` of `{log}` up to version {}, and that log has version {}: declare this version, with an upcast step from the one before",
                read.topic, read.version, written.version
            )
        })
    });
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(topic: &str, version: u32, aliases: &[&str]) -> DeclaredTopic {
        DeclaredTopic {
            topic: topic.to_owned(),
            version,
            aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
            is_tolerant: false,
        }
    }

    #[test]
    fn what_is_not_there_is_named_with_what_may_be_meant() {
        let written = [
            topic("orders.order.placed", 2, &["orders.order.ordered"]),
            topic("orders.order.paid", 1, &[]),
        ];
        let wrong = |read: DeclaredTopic| unread("orders", &[read], &written).join("; ");
        let tolerant = DeclaredTopic {
            is_tolerant: true,
            ..topic("orders.order.placed", 1, &[])
        };
        assert_eq!(wrong(tolerant), "");
        for read in [
            topic("orders.order.placed", 2, &[]),
            topic("orders.order.placed", 3, &[]),
            topic("orders.order.ordered", 2, &["orders.order.placed"]),
        ] {
            assert_eq!(wrong(read), "");
        }
        assert_eq!(
            wrong(topic("orders.order.payd", 1, &[])),
            "reads `orders.order.payd` of `orders`, which has no such topic (did you mean `orders.order.paid`?)"
        );
        assert_eq!(
            wrong(topic("orders.order.ordered", 2, &[])),
            "reads `orders.order.ordered` of `orders`, which calls it `orders.order.placed` now"
        );
        assert!(wrong(topic("orders.order.placed", 1, &[])).starts_with(
            "reads `orders.order.placed` of `orders` up to version 1, and that log has version 2"
        ));
    }
}
