//! Holds that what a box reads of others stays readable, by what is recorded of it in the repository.

use std::path::{Path, PathBuf};

use boxes_domain::{Event, EventType};
use serde_json::{Value, json};

use crate::recorded_file::{
    Recorded, file_name, folder_of_package, how_to_record, is_updating, read, read_all, write_file,
};
use crate::stored_form::differences;

/// What is recorded of the events that a package follows, in a folder of its repository: a file for each topic and version,
/// such as `orders.order.placed.v1.json`, with examples of what the upstream publishes and of what this package reads of it.
///
/// A followed box never takes back what it has published, and this one may have to read it again, from the beginning. So every
/// version that was ever read is read for ever, and as the same.
///
/// Its examples are those that the upstream [has recorded](crate::RecordedSchemas) itself: in a folder beside, or in a copy of
/// that. Where they are at hand the check also finds versions that are new there, before the upstream publishes them.
///
/// ```no_run
/// use boxes_domain::Event;
/// use boxes_testing::RecordedUpstreams;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
/// #[event(topic = "orders.order", crate = "boxes_domain")]
/// enum Order {
///     Paid { shipper: u32 },
/// }
///
/// // In a test of shipping, which follows orders:
/// RecordedUpstreams::of_this_package()
///     .follows::<Order>("../orders/tests/schemas")
///     .check();
/// ```
#[derive(Debug)]
pub struct RecordedUpstreams {
    package: PathBuf,
    folder: PathBuf,
    kinds: Vec<Kind>,
    problems: Vec<String>,
}

/// One kind of event that is read.
#[derive(Debug)]
struct Kind {
    event_type: &'static EventType,
    /// What the upstream has recorded, if that is at hand.
    published: Vec<Recorded>,
    /// What is read of the examples.
    read: fn(&Recorded) -> Result<Vec<Value>, String>,
}

impl RecordedUpstreams {
    /// Those in `tests/upstreams` of the package whose tests run.
    #[must_use]
    pub fn of_this_package() -> Self {
        Self::in_package(&folder_of_package())
    }

    pub(crate) fn in_package(package: &Path) -> Self {
        Self {
            package: package.to_owned(),
            folder: package.join("tests/upstreams"),
            kinds: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Adds an event type of an upstream, as this package reads it.
    ///
    /// `schemas` is the folder in which the upstream has recorded its own events, seen from the folder of this package. If it is
    /// not there, what is recorded in this package is checked alone.
    #[must_use]
    pub fn follows<E: Event>(mut self, schemas: impl AsRef<Path>) -> Self {
        for event_type in E::TYPES {
            let published = match read_all(&self.package.join(&schemas)) {
                Ok(published) => published,
                Err(problem) => {
                    self.problems.push(problem);
                    return self;
                }
            };
            let of_kind = published
                .into_iter()
                .filter(|file| event_type.answers_to(&file.topic));
            self.kinds.push(Kind {
                event_type,
                published: of_kind.collect(),
                read: read_examples::<E>,
            });
        }
        self
    }

    /// Holds that every recorded version is read, as what it was read as when it was recorded, and that all versions are
    /// recorded which the upstream has.
    ///
    /// Where the variable [`UPDATE_SCHEMAS`](crate::UPDATE_VARIABLE) is `1`, versions that are not recorded yet are. What is
    /// recorded is never written again.
    ///
    /// # Panics
    ///
    /// If something is wrong: with all of it, and what to do.
    #[track_caller]
    pub fn check(self) {
        let problems = self.problems(is_updating());
        assert!(
            problems.is_empty(),
            "what is followed does not stay readable, or is not recorded:\n- {}",
            problems.join("\n- ")
        );
    }

    /// What is wrong.
    pub(crate) fn problems(mut self, update: bool) -> Vec<String> {
        let mut recorded = match read_all(&self.folder) {
            Ok(recorded) => recorded,
            Err(problem) => return vec![problem],
        };
        recorded.sort_by(|a, b| (&a.topic, a.version).cmp(&(&b.topic, b.version)));
        for kind in &self.kinds {
            let EventType { topic, .. } = *kind.event_type;
            let is_recorded = |new: &&Recorded| {
                let is_new =
                    |file: &Recorded| file.topic == new.topic && file.version == new.version;
                recorded.iter().any(is_new)
            };
            let (known, new): (Vec<_>, Vec<_>) = kind.published.iter().partition(is_recorded);
            if known.is_empty()
                && new.is_empty()
                && !recorded
                    .iter()
                    .any(|file| kind.event_type.answers_to(&file.topic))
            {
                self.problems.push(format!(
                    "nothing is recorded of `{topic}`: neither here nor in the folder that `follows` names; name the one in which the upstream has recorded its events, or a copy of it"
                ));
            }
            for file in new {
                self.problems
                    .extend(kind.record(file, &self.folder, update).err());
            }
        }
        for file in &recorded {
            let kind = self
                .kinds
                .iter()
                .find(|kind| kind.event_type.answers_to(&file.topic));
            let problem = match kind {
                None => Some(format!(
                    "`{}` is recorded, and no event type reads it: if this box has no use for it any more, delete {}",
                    file.topic,
                    file.path.display()
                )),
                Some(kind) => kind.check(file).err(),
            };
            self.problems.extend(problem);
        }
        self.problems
    }
}

impl Kind {
    /// Records a version of the upstream's, if that is allowed.
    fn record(&self, published: &Recorded, folder: &Path, update: bool) -> Result<(), String> {
        let Recorded { topic, version, .. } = published;
        let read = self.read_versions(published)?;
        if !update {
            return Err(format!(
                "version {version} of `{topic}`, which the upstream has, is not recorded: {}",
                how_to_record()
            ));
        }
        let pairs = published.examples.iter().zip(read);
        let pairs: Vec<Value> = pairs
            .map(|(published, read)| json!({ "published": published, "read": read }))
            .collect();
        write_file(
            &folder.join(file_name(topic, *version)),
            &json!({ "examples": pairs }),
        )
    }

    /// Holds that a recorded version is read as it was.
    fn check(&self, file: &Recorded) -> Result<(), String> {
        let Recorded {
            topic,
            version,
            path,
            ..
        } = file;
        let of_all = |member: &str| -> Option<Vec<Value>> {
            let examples = file.examples.iter();
            examples
                .map(|example| example.get(member).cloned())
                .collect()
        };
        let (Some(examples), Some(expected)) = (of_all("published"), of_all("read")) else {
            return Err(format!(
                "{} is damaged: an example has no `published` or no `read`",
                path.display()
            ));
        };
        let published = Recorded {
            path: path.clone(),
            topic: topic.clone(),
            version: *version,
            schema: Value::Null,
            examples,
        };
        let (read, expected) = (
            Value::Array(self.read_versions(&published)?),
            Value::Array(expected),
        );
        if read == expected {
            return Ok(());
        }
        Err(format!(
            "version {version} of `{topic}` is read as something else than before, and this box may have acted on it already. (If it reads more or less of it now, and that is meant, delete {} and record it again.) What has changed:\n    {}",
            path.display(),
            differences(&expected, &read).join("\n    ")
        ))
    }

    /// What is read of the examples, if their version is one that is read at all.
    fn read_versions(&self, file: &Recorded) -> Result<Vec<Value>, String> {
        let Recorded {
            topic,
            version,
            path,
            ..
        } = file;
        if self.event_type.upcasts_from(*version).is_none() {
            let (oldest, newest) = (self.event_type.oldest_version(), self.event_type.version);
            return Err(format!(
                "version {version} of `{topic}` is in {}, and only versions {oldest} to {newest} are read here: the follower would stop at it. Declare #[event(version = …, upcast(…))] with the steps between; where nothing that is read has changed, a step is `std::convert::identity`",
                path.display()
            ));
        }
        (self.read)(file)
    }
}

/// The examples of a file as they are read, in the form in which they would be written.
fn read_examples<E: Event>(file: &Recorded) -> Result<Vec<Value>, String> {
    let examples = file.examples.iter();
    examples
        .map(|state| read::<E>(file, state).map(|(_, again)| again))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecordedSchemas;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use tempfile::TempDir;

    /// As the upstream has them.
    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum Own {
        Placed { customer: String, lines: u8 },
        Ended,
    }

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum OwnLater {
        #[event(version = 2, upcast(std::convert::identity))]
        Placed {
            customer: Option<String>,
            lines: u8,
        },
        Ended,
    }

    /// What the follower reads of it.
    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum Read {
        Placed { lines: u8 },
    }

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum ReadLater {
        #[event(version = 2, upcast(std::convert::identity))]
        Placed { lines: u8 },
    }

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum ReadMore {
        Placed { lines: u8, customer: String },
    }

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum Misread {
        Placed { lines: String },
    }

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum Unheard {
        Shipped,
    }

    /// The repository, in which the upstream has recorded its first versions: beside the package of the follower.
    struct Repository(TempDir);

    impl Repository {
        fn new() -> Self {
            let repository = Self(TempDir::new().unwrap());
            std::fs::create_dir(repository.follower()).unwrap();
            let customer = "ALFKI".to_owned();
            repository.publish([Own::Placed { customer, lines: 3 }, Own::Ended]);
            repository
        }

        fn schemas(&self) -> PathBuf {
            self.0.path().join("orders/tests/schemas")
        }

        /// What the upstream does when it has a new version.
        fn publish<E: Event>(&self, examples: impl IntoIterator<Item = E>) {
            let problems = RecordedSchemas::in_folder(self.schemas())
                .event(examples)
                .problems(true);
            assert_eq!(problems, [""; 0]);
        }

        fn follower(&self) -> PathBuf {
            self.0.path().join("shipping")
        }

        fn file(&self) -> PathBuf {
            self.follower()
                .join("tests/upstreams/t.order.placed.v1.json")
        }

        fn problems<E: Event>(&self, update: bool) -> Vec<String> {
            RecordedUpstreams::in_package(&self.follower())
                .follows::<E>("../orders/tests/schemas")
                .problems(update)
        }
    }

    #[test]
    fn what_the_upstream_has_is_recorded_with_what_is_read_of_it_and_nothing_else_is() {
        let repository = Repository::new();
        let found = repository.problems::<Read>(false);
        assert!(
            found[0].starts_with("version 1 of `t.order.placed`, which the upstream has, is not recorded: run `UPDATE_SCHEMAS=1 cargo test -p boxes-testing`"),
            "{found:?}"
        );
        assert_eq!(repository.problems::<Read>(true), [""; 0]);
        assert_eq!(repository.problems::<Read>(false), [""; 0]);
        let file = std::fs::read_to_string(repository.file()).unwrap();
        let file: Value = serde_json::from_str(&file).unwrap();
        let placed = json!({ "customer": "ALFKI", "lines": 3 });
        assert_eq!(
            file,
            json!({ "examples": [{ "published": placed, "read": { "lines": 3 } }] })
        );
        let folder = std::fs::read_dir(repository.follower().join("tests/upstreams"));
        assert_eq!(folder.unwrap().count(), 1, "of `ended` nothing is read");
    }

    #[test]
    fn what_is_recorded_is_checked_where_the_upstream_is_not_at_hand() {
        let repository = Repository::new();
        assert_eq!(repository.problems::<Read>(true), [""; 0]);
        std::fs::remove_dir_all(repository.schemas()).unwrap();
        assert_eq!(repository.problems::<Read>(false), [""; 0]);
        let found = repository.problems::<Misread>(false);
        assert!(found[0].contains("can't be read any more"), "{found:?}");
    }

    #[test]
    fn what_is_read_as_something_else_is_refused_even_where_it_is_updated() {
        let repository = Repository::new();
        assert_eq!(repository.problems::<Read>(true), [""; 0]);
        let before = std::fs::read(repository.file()).unwrap();
        for update in [false, true] {
            let found = repository.problems::<ReadMore>(update);
            assert!(
                found[0].contains("is read as something else than before")
                    && found[0].contains("customer is new"),
                "{found:?}"
            );
        }
        assert_eq!(std::fs::read(repository.file()).unwrap(), before);
    }

    #[test]
    fn a_version_that_is_new_at_the_upstream_is_refused_until_it_is_declared_and_recorded() {
        let repository = Repository::new();
        assert_eq!(repository.problems::<Read>(true), [""; 0]);
        let (customer, lines) = (None, 4);
        repository.publish([OwnLater::Placed { customer, lines }, OwnLater::Ended]);
        for update in [false, true] {
            let found = repository.problems::<Read>(update);
            assert!(
                found[0].starts_with("version 2 of `t.order.placed`")
                    && found[0]
                        .contains("only versions 1 to 1 are read here: the follower would stop"),
                "{found:?}"
            );
        }
        assert!(repository.problems::<ReadLater>(false)[0].contains("is not recorded"));
        assert_eq!(repository.problems::<ReadLater>(true), [""; 0]);
        assert_eq!(repository.problems::<ReadLater>(false), [""; 0]);
        // Whoever goes back, or drops a step, hears of it.
        let found = repository.problems::<Read>(false);
        assert!(found[0].contains("only versions 1 to 1"), "{found:?}");
    }

    #[test]
    fn a_topic_of_which_nothing_is_known_and_one_that_is_read_no_more_are_refused() {
        let repository = Repository::new();
        let found = repository.problems::<Unheard>(true);
        assert!(
            found[0].starts_with("nothing is recorded of `t.order.shipped`"),
            "{found:?}"
        );
        assert_eq!(repository.problems::<Read>(true), [""; 0]);
        let found = repository.problems::<Unheard>(false);
        assert!(found[1].contains("no event type reads it"), "{found:?}");
    }
}
