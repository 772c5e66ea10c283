//! A file in a repository, of a topic and version: with examples of its events.

use std::path::{Path, PathBuf};

use boxes_domain::Event;
use boxes_mapper::{Envelope, Mapper};
use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;
use serde_json::Value;

/// Set to `1` it lets [`RecordedSchemas::check`](crate::RecordedSchemas::check) and
/// [`RecordedUpstreams::check`](crate::RecordedUpstreams::check) record what is new.
pub const UPDATE_VARIABLE: &str = "UPDATE_SCHEMAS";

/// What such a file says.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) path: PathBuf,
    pub(crate) topic: String,
    pub(crate) version: u32,
    pub(crate) schema: Value,
    pub(crate) examples: Vec<Value>,
}

/// The folder of the package whose tests run.
pub(crate) fn folder_of_package() -> PathBuf {
    // Cargo sets it where it runs tests.
    std::env::var_os("CARGO_MANIFEST_DIR")
        .unwrap_or_else(|| ".".into())
        .into()
}

/// Whether what is new is to be recorded.
pub(crate) fn is_updating() -> bool {
    std::env::var(UPDATE_VARIABLE).is_ok_and(|value| value == "1")
}

/// What to do about something that is not recorded.
pub(crate) fn how_to_record() -> String {
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "PACKAGE".to_owned());
    format!(
        "run `{UPDATE_VARIABLE}=1 cargo test -p {package}`, look at the new file, and commit it"
    )
}

/// All files of a folder; none if it is not there.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Recorded>, String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{} can't be read: {error}", folder.display())),
    };
    entries
        .map(|entry| {
            let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
            read_file(&entry.path())
        })
        .collect()
}

/// Writes a new file.
pub(crate) fn write_file(path: &Path, document: &Value) -> Result<(), String> {
    let text = serde_json::to_string_pretty(document).expect("a value is JSON");
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text + "\n"))
        .map_err(|error| format!("{} can't be written: {error}", path.display()))
}

/// What examples are written and read with: as they are stored, but that personal parts need no keys, which would be others each
/// time.
pub(crate) fn mapper() -> Mapper {
    Mapper::default().with_legible_personal_parts()
}

/// An example as an event, and that as it is stored now.
pub(crate) fn read<E: Event>(file: &Recorded, state: &Value) -> Result<(E, Value), String> {
    let Recorded {
        path,
        topic,
        version,
        ..
    } = file;
    let stored = StoredEvent {
        event_id: uuid::Uuid::nil(),
        originator_id: uuid::Uuid::nil(),
        originator_version: 1,
        topic: topic.clone().into(),
        schema_version: *version,
        encoding: Encoding::JSON,
        state: Bytes::from(state.to_string()),
        metadata: Bytes::from_static(b"{}"),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    };
    let mapper = mapper();
    let event: E = mapper.to_own_event(&stored).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!(
            "an example in {} can't be read any more: {error}{}",
            path.display(),
            cause.unwrap_or_default()
        )
    })?;
    let again = mapper.to_stored(&event, &Envelope::default());
    let again = again.map_err(|error| error.to_string())?;
    let again = serde_json::from_slice(&again.state).map_err(|error| error.to_string())?;
    Ok((event, again))
}

/// What the file of this version is called.
pub(crate) fn file_name(topic: &str, version: u32) -> String {
    // A colon is no part of a file name everywhere.
    format!("{}.v{version}.json", topic.replace(':', "__"))
}

/// One file; in an error it is named.
pub(crate) fn read_file(path: &Path) -> Result<Recorded, String> {
    let shown = path.display();
    let name = path.file_name().and_then(|name| name.to_str());
    let parsed = name
        .and_then(|name| name.strip_suffix(".json")?.rsplit_once(".v"))
        .and_then(|(topic, version)| Some((topic.replace("__", ":"), version.parse().ok()?)));
    let Some((topic, version)) = parsed else {
        return Err(format!(
            "{shown} is not named as a recorded schema is: TOPIC.vVERSION.json"
        ));
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{shown} can't be read: {error}; is it recorded?"))?;
    let mut document: Value =
        serde_json::from_str(&text).map_err(|error| format!("{shown} is damaged: {error}"))?;
    let examples = match document.get_mut("examples").map(Value::take) {
        Some(Value::Array(examples)) if !examples.is_empty() => examples,
        _ => return Err(format!("{shown} has no examples")),
    };
    Ok(Recorded {
        path: path.to_owned(),
        topic,
        version,
        schema: document
            .get_mut("schema")
            .map(Value::take)
            .unwrap_or_default(),
        examples,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RecordedSchemas, RecordedUpstreams};
    use boxes_domain::Personal;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;
    use tempfile::TempDir;

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.customer", crate = "boxes_domain")]
    enum First {
        Named { id: String, name: String },
        Moved { to: Option<Personal<String>> },
    }

    /// The name has become personal, and the place, which was, has a number.
    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.customer", crate = "boxes_domain")]
    enum Second {
        #[event(version = 2, upcast(name_is_personal))]
        Named {
            id: String,
            name: Personal<String>,
        },
        Moved {
            to: Option<Personal<String>>,
        },
    }

    #[expect(clippy::needless_pass_by_value, reason = "a step is given the state")]
    fn name_is_personal(state: Value) -> Value {
        let name = json!({ "subject": state["id"], "value": state["name"] });
        json!({ "id": state["id"], "name": name })
    }

    /// The value of a personal part has another type.
    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.customer", crate = "boxes_domain")]
    enum Changed {
        #[event(version = 2, upcast(name_is_personal))]
        Named {
            id: String,
            name: Personal<u64>,
        },
        Moved {
            to: Option<Personal<String>>,
        },
    }

    fn text(text: &str) -> String {
        text.to_owned()
    }

    fn first() -> [First; 3] {
        let to = Some(Personal::of("ann", text("Ulm")));
        [
            First::Named {
                id: text("ann"),
                name: text("Ann"),
            },
            First::Moved { to },
            First::Moved {
                to: Some(Personal::Forgotten),
            },
        ]
    }

    fn second() -> [Second; 2] {
        let name = Personal::of("ann", text("Ann"));
        [
            Second::Named {
                id: text("ann"),
                name,
            },
            Second::Moved { to: None },
        ]
    }

    fn problems<E: Event>(folder: &Path, examples: impl IntoIterator<Item = E>) -> Vec<String> {
        let schemas = || RecordedSchemas::in_folder(folder.join("tests/schemas"));
        let examples: Vec<E> = examples.into_iter().collect();
        let mut found = schemas().event(examples.clone()).problems(true);
        found.extend(schemas().event(examples).problems(false));
        found
    }

    #[test]
    fn personal_parts_are_recorded_and_read_for_ever_without_keys() {
        let folder = TempDir::new().unwrap();
        assert_eq!(problems(folder.path(), first()), [""; 0]);
        let path = folder.path().join("tests/schemas/t.customer.moved.v1.json");
        let recorded = read_file(&path).unwrap();
        let ulm = json!({ "$personal": r#"["ann","Ulm"]"# });
        let forgotten = json!({ "$personal": null });
        assert_eq!(
            recorded.examples,
            [json!({ "to": ulm }), json!({ "to": forgotten })]
        );

        assert_eq!(problems(folder.path(), second()), [""; 0]);
        let schemas = RecordedSchemas::in_folder(folder.path().join("tests/schemas"));
        for version in [1, 2] {
            let [named, _] = second();
            assert_eq!(
                schemas.examples::<Second>("t.customer.named", version),
                [named]
            );
        }
        let examples = [
            Changed::Named {
                id: text("ann"),
                name: Personal::of("ann", 7),
            },
            Changed::Moved { to: None },
        ];
        let found = problems(folder.path(), examples);
        assert!(
            found[0].contains("t.customer.named.v1.json can't be read any more"),
            "{found:?}"
        );
    }

    #[test]
    fn who_follows_records_what_it_reads_of_them() {
        let folder = TempDir::new().unwrap();
        assert_eq!(problems(folder.path(), first()), [""; 0]);
        let upstreams =
            RecordedUpstreams::in_package(folder.path()).follows::<Second>("tests/schemas");
        assert_eq!(upstreams.problems(true), [""; 0]);
        let path = folder
            .path()
            .join("tests/upstreams/t.customer.named.v1.json");
        let recorded = std::fs::read_to_string(path).unwrap();
        assert!(
            recorded.contains(r#""$personal": "[\"ann\",\"Ann\"]""#),
            "{recorded}"
        );
        let upstreams =
            RecordedUpstreams::in_package(folder.path()).follows::<Second>("tests/schemas");
        assert_eq!(upstreams.problems(false), [""; 0]);
    }
}
