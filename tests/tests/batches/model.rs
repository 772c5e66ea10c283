//! What policies do one notification at a time: the specification, without transactions, batches and stores.

use std::collections::BTreeMap;

use crate::policy::{Act, Kind, Script, Subject};

/// An event as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happened {
    Noted(String),
    Ended,
}

/// What is recorded of one aggregate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) kind: Option<Kind>,
    /// Empty if it was deleted.
    pub(crate) events: Vec<Happened>,
    pub(crate) n_events: usize,
    pub(crate) is_deleted: bool,
}

/// A store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) streams: BTreeMap<Subject, Stream>,
}

impl Stream {
    fn is_of(&self, kind: Kind) -> bool {
        self.kind.is_none_or(|own| own == kind)
    }

    fn is_discarded(&self) -> bool {
        self.events.last() == Some(&Happened::Ended)
    }

    /// Since its last end.
    fn life(&self) -> Vec<Happened> {
        let ended = self.events.iter().rposition(|e| *e == Happened::Ended);
        let begin = ended.map_or(0, |place| place + 1);
        self.events[begin..].to_vec()
    }

    fn push(&mut self, kind: Kind, event: Happened) -> String {
        self.kind = Some(kind);
        self.events.push(event);
        self.n_events += 1;
        format!("version {}", self.n_events)
    }
}

impl Model {
    /// How many notifications the log has.
    fn head(&self) -> usize {
        self.streams.values().map(|stream| stream.n_events).sum()
    }

    /// Handles a notification that in the end succeeds.
    pub(crate) fn handle(&mut self, n: u32, script: &Script) {
        // The log has what is recorded, and so nothing of this notification.
        let head = self.head();
        let mut seen = Vec::new();
        for act in &script.acts {
            seen.push(match act {
                Act::Head => format!("head {head}"),
                act => self.act(act, &n.to_string()),
            });
        }
        let diary = self.streams.entry(Subject::Diary(n)).or_default();
        diary.push(Kind::Thing, Happened::Noted(seen.join("; ")));
    }

    /// What comes of one act, as a policy notes it.
    pub(crate) fn act(&mut self, act: &Act, text: &str) -> String {
        let noted = || Happened::Noted(text.to_owned());
        let (Act::Create(kind, id)
        | Act::Update(kind, id)
        | Act::Upsert(kind, id)
        | Act::Discard(kind, id)
        | Act::Delete(kind, id)
        | Act::History(kind, id)
        | Act::Get(kind, id)) = act
        else {
            return String::new();
        };
        let (kind, stream) = (*kind, self.streams.entry(Subject::Named(*id)).or_default());
        if let Act::Delete(..) = act {
            if !stream.is_deleted && (!stream.is_of(kind) || stream.n_events == 0) {
                return "nothing".to_owned();
            }
            stream.events.clear();
            stream.is_deleted = true;
            return "deleted".to_owned();
        }
        if stream.is_deleted {
            return "was deleted".to_owned();
        }
        let is_there = stream.n_events > 0 && stream.is_of(kind);
        match act {
            Act::Create(..) | Act::Upsert(..) if !stream.is_of(kind) => "other kind".to_owned(),
            Act::Create(..) if is_there && !stream.is_discarded() => "exists".to_owned(),
            Act::Create(..) | Act::Upsert(..) => stream.push(kind, noted()),
            Act::History(..) if !is_there => "[]".to_owned(),
            Act::History(..) => format!("{:?}", stream.events),
            _ if !is_there => "not found".to_owned(),
            _ if stream.is_discarded() => "discarded".to_owned(),
            Act::Update(..) => stream.push(kind, noted()),
            Act::Discard(..) => stream.push(kind, Happened::Ended),
            _ => format!("{:?}", stream.life()),
        }
    }
}
