//! Holds that what is stored stays readable, by what is recorded of it in the repository.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use boxes_domain::{Event, EventType};
use boxes_mapper::{Envelope, TopicDescription};
use serde_json::{Value, json};

use crate::recorded_file::{
    Recorded, file_name, folder_of_package, how_to_record, is_updating, mapper, read, read_all,
    read_file, write_file,
};
use crate::stored_form::{differences, stored_form};

/// What is recorded of the events of a package, in a folder of its repository: a file for each topic and version, such
/// as `orders.order.placed.v1.json`, with the schema of the stored state and examples of it as they are stored.
///
/// A schema that is recorded never changes: whoever changes an event type gives it a new version and the step that
/// leads there, and records that one beside the old. The examples are read again for ever.
///
/// What is [personal](boxes_domain::Personal) in them is legible in the file, and needs no keys: take names that are nobody's.
///
/// ```no_run
/// use boxes_domain::Event;
/// use boxes_testing::RecordedSchemas;
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
/// #[event(topic = "orders.order", crate = "boxes_domain")]
/// enum OrderEvent {
///     Placed { customer: String },
///     Shipped,
/// }
///
/// // In a test: at least one example of each kind of event.
/// RecordedSchemas::of_this_package()
///     .event([OrderEvent::Placed { customer: "ALFKI".into() }, OrderEvent::Shipped])
///     .check();
/// ```
#[derive(Debug)]
pub struct RecordedSchemas {
    folder: PathBuf,
    kinds: Vec<Kind>,
    problems: Vec<String>,
}

/// One kind of event.
#[derive(Debug)]
struct Kind {
    event_type: &'static EventType,
    schema: Value,
    /// As they are stored now.
    examples: Vec<Value>,
    read_again: fn(&Recorded) -> Result<Value, String>,
}

impl RecordedSchemas {
    /// Those in `tests/schemas` of the package whose tests run.
    #[must_use]
    pub fn of_this_package() -> Self {
        Self::in_folder(folder_of_package().join("tests/schemas"))
    }

    /// Those in this folder.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            kinds: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Adds an event type with at least one example of each of its kinds. It has to derive `JsonSchema`.
    ///
    /// Examples go into the file when a version is recorded; later the ones that are there count.
    #[must_use]
    pub fn event<E: Event>(mut self, examples: impl IntoIterator<Item = E>) -> Self {
        let mut by_topic: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for event in examples {
            let stored = mapper().to_stored(&event, &Envelope::default());
            let stored = stored.expect("an example can be written");
            let state = serde_json::from_slice(&stored.state).expect("state is JSON");
            let topic = event.event_type().topic;
            by_topic.entry(topic).or_default().push(state);
        }
        for (event_type, description) in E::TYPES.iter().zip(TopicDescription::all_of::<E>()) {
            let topic = event_type.topic;
            let examples = by_topic.remove(topic).unwrap_or_default();
            let Some(schema) = description.schema else {
                let name = std::any::type_name::<E>();
                self.problems.push(format!(
                    "`{topic}` has no schema: let `{name}` and the types in it derive `schemars::JsonSchema`"
                ));
                continue;
            };
            if examples.is_empty() {
                self.problems
                    .push(format!("`{topic}` has no example: give one to `event`"));
            }
            self.kinds.push(Kind {
                event_type,
                schema: stored_form(&schema),
                examples,
                read_again: read_again::<E>,
            });
        }
        self
    }

    /// Holds that every recorded version is one that the event types read, and that the current ones are recorded as
    /// they are.
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
            "what is stored does not stay readable, or is not recorded:\n- {}",
            problems.join("\n- ")
        );
    }

    /// The recorded examples of this version, as the event type reads them now: to be compared with what they should be.
    ///
    /// # Panics
    ///
    /// If it is not recorded, or can't be read.
    #[must_use]
    #[track_caller]
    pub fn examples<E: Event + Debug>(&self, topic: &str, version: u32) -> Vec<E> {
        let path = self.folder.join(file_name(topic, version));
        let recorded = read_file(&path).unwrap_or_else(|problem| panic!("{problem}"));
        let events = recorded
            .examples
            .iter()
            .map(|state| read(&recorded, state).map(|(event, _)| event));
        events
            .collect::<Result<_, _>>()
            .unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// What is wrong.
    pub(crate) fn problems(mut self, update: bool) -> Vec<String> {
        let mut recorded = match read_all(&self.folder) {
            Ok(recorded) => recorded,
            Err(problem) => return vec![problem],
        };
        for kind in &self.kinds {
            let EventType { topic, version, .. } = *kind.event_type;
            if recorded
                .iter()
                .any(|file| file.topic == topic && file.version == version)
            {
                continue;
            }
            match kind.record(&self.folder, update) {
                Ok(()) => {}
                Err(problem) => self.problems.push(problem),
            }
        }
        recorded.sort_by(|a, b| (&a.topic, a.version).cmp(&(&b.topic, b.version)));
        for file in &recorded {
            let kind = self
                .kinds
                .iter()
                .find(|kind| kind.event_type.answers_to(&file.topic));
            let problem = match kind {
                None => Some(format!(
                    "`{}` is recorded, and no event type has it: what is stored under it can't be read any more. If it was renamed, give the new one #[event(alias = \"{}\")]; if nothing is stored under it anywhere, delete {}",
                    file.topic,
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
    /// Writes the file of the current version, if that is allowed and there are examples.
    fn record(&self, folder: &Path, update: bool) -> Result<(), String> {
        let EventType { topic, version, .. } = *self.event_type;
        if self.examples.is_empty() {
            return Ok(());
        }
        if !update {
            return Err(format!(
                "version {version} of `{topic}` is not recorded: {}",
                how_to_record()
            ));
        }
        let document = json!({ "schema": self.schema, "examples": self.examples });
        write_file(&folder.join(file_name(topic, version)), &document)
    }

    fn check(&self, file: &Recorded) -> Result<(), String> {
        let EventType { topic, version, .. } = *self.event_type;
        let (path, oldest) = (file.path.display(), self.event_type.oldest_version());
        if file.version > version {
            return Err(format!(
                "version {} of `{topic}` is recorded, and the event type is in version {version}: versions don't go back",
                file.version
            ));
        }
        if file.version < oldest {
            let read = match oldest == version {
                true => format!("only version {version} is"),
                false => format!("only versions {oldest} to {version} are"),
            };
            return Err(format!(
                "version {} of `{topic}` is recorded, and {read} read: keep its step in `upcast(…)`",
                file.version
            ));
        }
        let is_current = file.version == version && file.topic == topic;
        if is_current && file.schema != self.schema {
            return Err(format!(
                "what is stored as `{topic}` has changed, and it is version {version} still: events of before would be read as what they are not. Give it #[event(version = {}, upcast(…))] with a step from {version}, and record that. (If what is stored really is the same, delete {path} and record it again.) What has changed:\n    {}",
                version.saturating_add(1),
                differences(&file.schema, &self.schema).join("\n    ")
            ));
        }
        let again = (self.read_again)(file)?;
        if is_current && again != Value::Array(file.examples.clone()) {
            return Err(format!(
                "what was stored as version {version} of `{topic}` is written as something else now (see the examples in {path}): give it a new version with a step from {version}. What has changed:\n    {}",
                differences(&Value::Array(file.examples.clone()), &again).join("\n    ")
            ));
        }
        Ok(())
    }
}

/// The examples of a file, read as events and written as they are stored now.
fn read_again<E: Event>(file: &Recorded) -> Result<Value, String> {
    let states = file
        .examples
        .iter()
        .map(|state| read::<E>(file, state).map(|(_, again)| again));
    states.collect::<Result<_, _>>().map(Value::Array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use tempfile::TempDir;

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum First {
        Placed { customer: String },
        Ended,
    }

    fn first() -> [First; 2] {
        let customer = "ALFKI".to_owned();
        [First::Placed { customer }, First::Ended]
    }

    /// With another name of the type, another comment, and a field with another name in Rust.
    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum SameStored {
        /// Who orders.
        Placed {
            #[serde(rename = "customer")]
            who: String,
        },
        Ended,
    }

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum ChangedSilently {
        Placed {
            customer: String,
            urgent: Option<bool>,
        },
        Ended,
    }

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum Second {
        #[event(version = 2, upcast(not_urgent))]
        Placed { customer: String, urgent: bool },
        #[event(topic = "t.order.over", alias = "t.order.ended")]
        Ended,
    }

    fn not_urgent(mut state: Value) -> Value {
        state["urgent"] = json!(false);
        state
    }

    fn second() -> [Second; 2] {
        let (customer, urgent) = ("BONAP".to_owned(), true);
        [Second::Placed { customer, urgent }, Second::Ended]
    }

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.order", crate = "boxes_domain")]
    enum WithoutStep {
        #[event(version = 2)]
        Placed { customer: String, urgent: bool },
    }

    fn problems<E: Event>(
        folder: &TempDir,
        update: bool,
        examples: impl IntoIterator<Item = E>,
    ) -> Vec<String> {
        RecordedSchemas::in_folder(folder.path())
            .event(examples)
            .problems(update)
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A folder in which the first versions are recorded.
    fn recorded() -> TempDir {
        let folder = TempDir::new().unwrap();
        assert!(problems(&folder, true, first()).is_empty());
        assert_eq!(
            names(&folder),
            ["t.order.ended.v1.json", "t.order.placed.v1.json"]
        );
        folder
    }

    #[test]
    fn a_version_that_is_not_recorded_is_refused_with_what_to_run_and_recorded_by_that() {
        let folder = TempDir::new().unwrap();
        let found = problems(&folder, false, first());
        assert!(
            found[0].starts_with("version 1 of `t.order.placed` is not recorded: run `UPDATE_SCHEMAS=1 cargo test -p boxes-testing`"),
            "{found:?}"
        );
        assert!(names(&folder).is_empty());
        assert!(problems(&folder, true, first()).is_empty());
        assert!(problems(&folder, false, first()).is_empty());
        let file = std::fs::read_to_string(folder.path().join("t.order.placed.v1.json")).unwrap();
        assert!(file.contains("\"customer\": \"ALFKI\""), "{file}");
    }

    #[test]
    fn a_change_without_a_new_version_is_refused_even_where_schemas_are_updated() {
        let folder = recorded();
        let before = std::fs::read(folder.path().join("t.order.placed.v1.json")).unwrap();
        for update in [false, true] {
            let changed = ChangedSilently::Placed {
                customer: String::new(),
                urgent: None,
            };
            let found = problems(&folder, update, [changed, ChangedSilently::Ended]);
            assert_eq!(found.len(), 1, "{found:?}");
            for part in [
                "`t.order.placed` has changed",
                "version = 2, upcast(",
                "properties.urgent is new",
            ] {
                assert!(found[0].contains(part), "{part} is missing in: {found:?}");
            }
        }
        let after = std::fs::read(folder.path().join("t.order.placed.v1.json")).unwrap();
        assert_eq!(before, after);
    }

    #[test]
    fn what_changes_in_the_program_alone_is_no_change() {
        let folder = recorded();
        let placed = SameStored::Placed {
            who: "other".to_owned(),
        };
        assert!(problems(&folder, false, [placed, SameStored::Ended]).is_empty());
    }

    #[test]
    fn a_new_version_is_recorded_beside_the_old_whose_examples_are_read_through_its_step() {
        let folder = recorded();
        assert_eq!(problems(&folder, false, second()).len(), 2);
        assert!(problems(&folder, true, second()).is_empty());
        assert_eq!(
            names(&folder),
            [
                "t.order.ended.v1.json",
                "t.order.over.v1.json",
                "t.order.placed.v1.json",
                "t.order.placed.v2.json"
            ]
        );
        let schemas = RecordedSchemas::in_folder(folder.path());
        let read: Vec<Second> = schemas.examples("t.order.placed", 1);
        let expected = Second::Placed {
            customer: "ALFKI".to_owned(),
            urgent: false,
        };
        assert_eq!(read, [expected]);
        assert_eq!(
            schemas.examples::<Second>("t.order.ended", 1),
            [Second::Ended]
        );

        // Back again: the newer version and the renamed topic are there, and can't be read.
        let found = problems(&folder, false, first()).join("\n");
        assert!(found.contains("versions don't go back"), "{found}");
        assert!(
            found.contains("#[event(alias = \"t.order.over\")]"),
            "{found}"
        );
    }

    #[test]
    fn a_version_without_a_step_from_the_one_before_is_refused() {
        let folder = recorded();
        std::fs::remove_file(folder.path().join("t.order.ended.v1.json")).unwrap();
        let placed = WithoutStep::Placed {
            customer: String::new(),
            urgent: true,
        };
        let found = problems(&folder, true, [placed]);
        assert!(
            found[0].contains(
                "version 1 of `t.order.placed` is recorded, and only version 2 is read: keep its step"
            ),
            "{found:?}"
        );
    }

    #[test]
    fn an_example_that_is_read_as_something_else_or_not_at_all_is_refused() {
        let folder = recorded();
        let path = folder.path().join("t.order.placed.v1.json");
        let recorded = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, recorded.replace("\"ALFKI\"", "7")).unwrap();
        let found = problems(&folder, false, first());
        assert!(found[0].contains("can't be read any more"), "{found:?}");
        let more = recorded.replace(
            "\"customer\": \"ALFKI\"",
            "\"customer\": \"ALFKI\", \"x\": 1",
        );
        std::fs::write(&path, more).unwrap();
        let found = problems(&folder, false, first());
        assert!(found[0].contains("0.x is gone"), "{found:?}");
    }

    #[test]
    fn a_type_without_a_schema_or_an_example_is_refused() {
        #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[event(topic = "t.plain", crate = "boxes_domain")]
        enum Plain {
            One,
        }
        let folder = TempDir::new().unwrap();
        let found = problems(&folder, true, [Plain::One]);
        assert!(
            found[0].contains("Plain` and the types in it derive `schemars::JsonSchema`"),
            "{found:?}"
        );
        let found = problems(&folder, true, [First::Ended]);
        assert_eq!(
            found,
            ["`t.order.placed` has no example: give one to `event`"]
        );
    }
}
