//! Personal parts of events: sealed with the key of their subject, forgotten with it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use boxes_domain::{Event, Personal, Subject};
use boxes_mapper::{
    Encryption, Envelope, Key, KeyId, Keys, Mapper, MapperError, SubjectKey, SubjectKeyId,
    SubjectKeyring,
};
use boxes_recorder::StoredEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "crm.customer", crate = "boxes_domain")]
enum CustomerEvent {
    Registered {
        name: Personal<String>,
        country: String,
        friends: Vec<Friend>,
    },
    /// Version 1 had the note in the clear, and the subject beside it.
    #[event(version = 2, upcast(noted_v1_to_v2))]
    Noted { note: Personal<String> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Friend {
    since: u16,
    name: Personal<String>,
}

fn noted_v1_to_v2(mut state: Value) -> Value {
    json!({ "note": { "subject": state["customer"].take(), "value": state["note"].take() } })
}

/// Keys that the test gives and takes away.
#[derive(Debug, Default)]
struct Ring(Mutex<BTreeMap<String, (SubjectKeyId, SubjectKey)>>);

impl Ring {
    fn with(subjects: &[&str]) -> Arc<Self> {
        let ring = Self::default();
        for (subject, n) in subjects.iter().zip(1..) {
            let id = SubjectKeyId(Uuid::from_u128(n.into()));
            let key = SubjectKey::Key(Key::new(&[n; 32]));
            ring.0
                .lock()
                .unwrap()
                .insert((*subject).to_owned(), (id, key));
        }
        Arc::new(ring)
    }

    fn forget(&self, subject: &str) {
        self.0.lock().unwrap().get_mut(subject).unwrap().1 = SubjectKey::Forgotten;
    }
}

impl SubjectKeyring for Ring {
    fn of_subject(&self, subject: &Subject) -> Option<(SubjectKeyId, Key)> {
        match self.0.lock().unwrap().get(subject.as_str())? {
            (id, SubjectKey::Key(key)) => Some((*id, key.clone())),
            _ => None,
        }
    }

    fn by_id(&self, id: SubjectKeyId) -> Option<SubjectKey> {
        let keys = self.0.lock().unwrap();
        keys.values()
            .find(|(of, _)| *of == id)
            .map(|(_, key)| key.clone())
    }
}

fn mapper(ring: &Arc<Ring>) -> Mapper {
    Mapper::default().with_subject_keys(Arc::<Ring>::clone(ring))
}

fn registered() -> CustomerEvent {
    CustomerEvent::Registered {
        name: Personal::of("ann", "Ann Anders".to_owned()),
        country: "DE".to_owned(),
        friends: vec![
            Friend {
                since: 1999,
                name: Personal::of("bob", "Bob Berg".to_owned()),
            },
            Friend {
                since: 2001,
                name: Personal::of("ann", "Ann Anders".to_owned()),
            },
        ],
    }
}

fn envelope() -> Envelope {
    Envelope {
        event_id: Uuid::from_u128(0x77),
        originator_id: Uuid::from_u128(1),
        originator_version: 3,
        ..Envelope::default()
    }
}

fn stored(mapper: &Mapper) -> StoredEvent {
    mapper.to_stored(&registered(), &envelope()).unwrap()
}

fn names(event: &CustomerEvent) -> Vec<Option<&str>> {
    let CustomerEvent::Registered { name, friends, .. } = event else {
        panic!("{event:?}")
    };
    let of_friends = friends.iter().map(|friend| &friend.name);
    std::iter::once(name)
        .chain(of_friends)
        .map(|name| name.known().map(String::as_str))
        .collect()
}

#[test]
fn the_personal_parts_alone_are_encrypted_and_all_come_back() {
    let mapper = mapper(&Ring::with(&["ann", "bob"]));
    let stored = stored(&mapper);
    let text = String::from_utf8(stored.state.to_vec()).unwrap();
    assert!(
        text.contains(r#""country":"DE","friends":[{"since":1999,"#),
        "{text}"
    );
    for secret in ["Ann", "Bob", "ann", "bob"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(stored.encoding.is_plain_json());
    assert_eq!(
        mapper.to_own_event::<CustomerEvent>(&stored).unwrap(),
        registered()
    );
}

#[test]
fn two_parts_that_are_alike_are_not_alike_when_they_are_sealed() {
    let stored = stored(&mapper(&Ring::with(&["ann", "bob"])));
    let state: Value = serde_json::from_slice(&stored.state).unwrap();
    assert_ne!(state["name"], state["friends"][1]["name"]);
}

#[test]
fn who_is_forgotten_is_so_in_what_was_stored_before_and_the_others_are_known() {
    let ring = Ring::with(&["ann", "bob"]);
    let mapper = mapper(&ring);
    let stored = stored(&mapper);
    ring.forget("ann");
    let event = mapper.to_own_event::<CustomerEvent>(&stored).unwrap();
    assert_eq!(names(&event), [None, Some("Bob Berg"), None]);
    ring.forget("bob");
    let event = mapper.to_own_event::<CustomerEvent>(&stored).unwrap();
    assert_eq!(names(&event), [None, None, None]);
    // A policy that passes it on writes that it is forgotten, and needs no key for that.
    let again = mapper.to_stored(&event, &envelope()).unwrap();
    assert_eq!(mapper.to_own_event::<CustomerEvent>(&again).unwrap(), event);
}

#[test]
fn all_keys_that_are_not_at_hand_are_asked_for_at_once() {
    let nobody = mapper(&Ring::with(&[]));
    let Err(MapperError::MissingSubjectKeys(missing)) =
        nobody.to_stored(&registered(), &envelope())
    else {
        panic!("written")
    };
    assert!(
        missing
            .subjects
            .iter()
            .map(Subject::as_str)
            .eq(["ann", "bob"])
            && missing.ids.is_empty()
    );
    let stored = stored(&mapper(&Ring::with(&["ann", "bob"])));
    let Err(MapperError::MissingSubjectKeys(missing)) = nobody.to_event::<CustomerEvent>(&stored)
    else {
        panic!("read")
    };
    assert!(missing.ids.iter().map(|id| id.0.as_u128()).eq([1, 2]) && missing.subjects.is_empty());
}

#[test]
fn a_mapper_without_keys_of_subjects_refuses_personal_parts_and_nothing_else() {
    let without = Mapper::default();
    let stored = stored(&mapper(&Ring::with(&["ann", "bob"])));
    for error in [
        without
            .to_stored(&registered(), &envelope())
            .map(drop)
            .unwrap_err(),
        without
            .to_event::<CustomerEvent>(&stored)
            .map(drop)
            .unwrap_err(),
    ] {
        assert!(
            matches!(error, MapperError::NoSubjectKeys { .. }),
            "{error:?}"
        );
    }
    /// What a box declares that has no business with names.
    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "crm.customer", crate = "boxes_domain")]
    enum Countries {
        Registered { country: String },
    }
    let read = without.to_own_event::<Countries>(&stored).unwrap();
    assert_eq!(
        read,
        Countries::Registered {
            country: "DE".to_owned()
        }
    );
}

#[test]
fn a_part_that_was_altered_cut_or_put_elsewhere_is_refused() {
    let mapper = mapper(&Ring::with(&["ann", "bob"]));
    let stored = stored(&mapper);
    let refused = |change: &dyn Fn(&mut StoredEvent)| {
        let mut changed = stored.clone();
        change(&mut changed);
        assert_ne!(changed, stored);
        let error = mapper.to_own_event::<CustomerEvent>(&changed).unwrap_err();
        assert!(
            matches!(error, MapperError::PersonalNotAuthentic { .. }),
            "{error:?}"
        );
    };
    refused(&|event| event.event_id = Uuid::from_u128(0x78));
    refused(&|event| event.originator_id = Uuid::from_u128(2));
    refused(&|event| event.originator_version = 4);

    let state: Value = serde_json::from_slice(&stored.state).unwrap();
    let sealed = state["name"]["$personal"].as_str().unwrap();
    let mut n_unknown = 0;
    for place in 0..sealed.len() {
        let mut altered = sealed.as_bytes().to_vec();
        altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
        let mut changed = state.clone();
        changed["name"]["$personal"] = String::from_utf8(altered).unwrap().into();
        let event = StoredEvent {
            state: changed.to_string().into(),
            ..stored.clone()
        };
        match mapper.to_own_event::<CustomerEvent>(&event) {
            Err(MapperError::PersonalNotAuthentic { .. }) => {}
            // The id of its key was hit: there is none of this id.
            Err(MapperError::MissingSubjectKeys(_)) => n_unknown += 1,
            other => panic!("at {place}: {other:?}"),
        }
    }
    assert!((1..=23).contains(&n_unknown), "{n_unknown}");
    for length in 0..sealed.len() {
        let mut changed = state.clone();
        changed["name"]["$personal"] = sealed[..length].into();
        refused(&|event| event.state = changed.to_string().into());
    }
}

#[test]
fn an_older_version_that_has_it_in_the_clear_is_read_as_personal() {
    let mapper = mapper(&Ring::with(&["ann"]));
    let note = CustomerEvent::Noted {
        note: Personal::of("ann", "likes tea".to_owned()),
    };
    let mut old = mapper.to_stored(&note, &envelope()).unwrap();
    assert_eq!(mapper.to_own_event::<CustomerEvent>(&old).unwrap(), note);
    old.schema_version = 1;
    old.state = r#"{"customer":"ann","note":"likes tea"}"#.into();
    assert_eq!(mapper.to_own_event::<CustomerEvent>(&old).unwrap(), note);
}

#[test]
fn events_are_compressed_and_encrypted_around_their_personal_parts() {
    let ring = Ring::with(&["ann", "bob"]);
    let keys = Keys::new(KeyId(1), Key::new(&[7; 32]));
    let mapper = mapper(&ring).compressed().encrypted(Encryption::all(keys));
    let stored = stored(&mapper);
    assert_eq!(
        mapper.to_own_event::<CustomerEvent>(&stored).unwrap(),
        registered()
    );
    ring.forget("bob");
    let event = mapper.to_own_event::<CustomerEvent>(&stored).unwrap();
    assert_eq!(
        names(&event),
        [Some("Ann Anders"), None, Some("Ann Anders")]
    );
}

#[test]
fn a_part_that_is_passed_on_in_another_event_of_the_same_id_is_read_there_and_forgotten() {
    /// What the box publishes.
    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "public.customer", crate = "boxes_domain")]
    enum Public {
        Appeared {
            who: Personal<String>,
            shout: Personal<String>,
        },
    }

    let ring = Ring::with(&["ann", "bob"]);
    let own = stored(&mapper(&ring));
    let passing = Mapper::default().passing_on_personal_parts();
    let publish = || {
        let CustomerEvent::Registered { name, .. } = passing.to_own_event(&own).unwrap() else {
            panic!("another event")
        };
        assert!(name.known().is_none() && !name.is_forgotten());
        let shout = name.clone().map(|name| name.to_uppercase());
        passing
            .to_stored(&Public::Appeared { who: name, shout }, &envelope())
            .unwrap()
    };
    let public = publish();
    let read = || mapper(&ring).to_own_event::<Public>(&public).unwrap();
    let Public::Appeared { who, shout } = read();
    assert_eq!(who, Personal::of("ann", "Ann Anders".to_owned()));
    assert!(shout.is_forgotten());
    ring.forget("ann");
    assert!(matches!(
        read(),
        Public::Appeared {
            who: Personal::Forgotten,
            ..
        }
    ));
    assert_eq!(publish(), public);
    // In any other event it would be unreadable for ever.
    let CustomerEvent::Registered { name, .. } = passing.to_own_event(&own).unwrap() else {
        panic!("another event")
    };
    let elsewhere = Public::Appeared { who: name, shout };
    assert!(matches!(
        mapper(&ring).to_stored(&elsewhere, &Envelope::default()),
        Err(MapperError::Encode { .. })
    ));
}

#[test]
fn parts_are_sealed_in_another_format_than_json_too() {
    let ring = Ring::with(&["ann", "bob"]);
    let stored = stored(&mapper(&ring).message_pack());
    assert!(!stored.encoding.is_plain_json());
    let read = || {
        mapper(&ring)
            .to_own_event::<CustomerEvent>(&stored)
            .unwrap()
    };
    assert_eq!(read(), registered());
    ring.forget("bob");
    assert_eq!(
        names(&read()),
        [Some("Ann Anders"), None, Some("Ann Anders")]
    );
}

/// As the guide says.
#[test]
fn a_name_of_12_bytes_about_a_subject_of_10_takes_100_characters() {
    let note = CustomerEvent::Noted {
        note: Personal::of("customer-7", "Maria Anders".to_owned()),
    };
    let mapper = mapper(&Ring::with(&["customer-7"]));
    let stored = mapper.to_stored(&note, &envelope()).unwrap();
    let state: Value = serde_json::from_slice(&stored.state).unwrap();
    assert_eq!(state["note"]["$personal"].as_str().unwrap().len(), 100);
}
