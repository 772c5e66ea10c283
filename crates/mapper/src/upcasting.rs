//! The steps from older versions of an event to the current one, without losing what they don't touch.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use boxes_domain::Upcast;
use serde::Serialize;
use serde_json::Value;

use crate::fingerprint::Found;
use crate::json_text::to_json_text;
use crate::json_tree::{Approximations, JsonTree};
use crate::transcoder::{self, Transcoder, TranscoderError};

/// What the steps make of a state in JSON; `None` if they leave it as it is.
///
/// A step takes and gives a `Value`, which does not hold all that JSON may: numbers of more than 64 bits, digits, the order of
/// keys, keys that come twice. What a step leaves in its place keeps its text; so do numbers, lists and maps that
/// it puts elsewhere. What it makes anew is what it says.
pub(crate) fn upcast_json(
    state: &[u8],
    steps: &[Upcast],
) -> Result<Option<String>, TranscoderError> {
    if steps.is_empty() {
        return Ok(None);
    }
    Ok(upcast(std::str::from_utf8(state)?, steps)?)
}

/// The same of a state that `transcoder` wrote.
pub(crate) fn upcast_other(
    transcoder: &dyn Transcoder,
    state: &[u8],
    steps: &[Upcast],
) -> Result<Option<String>, TranscoderError> {
    if steps.is_empty() {
        return Ok(None);
    }
    let json = transcoder::decode(transcoder, state, |content| to_json_text(content))?;
    Ok(upcast(&json, steps)?)
}

fn upcast(state: &str, steps: &[Upcast]) -> serde_json::Result<Option<String>> {
    let mut current = None;
    for step in steps {
        if let Some(next) = take(current.as_deref().unwrap_or(state), *step)? {
            current = Some(next);
        }
    }
    Ok(current)
}

fn take(state: &str, step: Upcast) -> serde_json::Result<Option<String>> {
    let before = JsonTree::parse(state)?;
    let by = before.approximations();
    let after = step(before.to_value(&by));
    if before.is(&after, &by) {
        return Ok(None);
    }
    let mut origin = Origin {
        root: &before,
        by: &by,
        shapes: BTreeSet::new(),
        by_fingerprint: OnceCell::new(),
    };
    note_shapes(&before, &mut origin.shapes);
    let mut text = String::with_capacity(state.len());
    origin.write(&after, Some(&before), &mut text);
    Ok(Some(text))
}

/// What a step was given.
struct Origin<'a> {
    root: &'a JsonTree<'a>,
    by: &'a Approximations<'a>,
    /// Of the lists and maps in it: what is as none of them was not put elsewhere.
    shapes: BTreeSet<Shape>,
    /// The lists and maps in it. Made when one is looked for.
    by_fingerprint: OnceCell<BTreeMap<u64, &'a JsonTree<'a>>>,
}

/// How many elements or members there are, and which of both.
type Shape = (bool, usize);

fn shape_of(value: &Value) -> Option<Shape> {
    match value {
        Value::Array(values) if !values.is_empty() => Some((true, values.len())),
        Value::Object(members) if !members.is_empty() => Some((false, members.len())),
        _ => None,
    }
}

fn note_shapes(tree: &JsonTree<'_>, shapes: &mut BTreeSet<Shape>) {
    let n = tree.children().count();
    if n > 0 {
        shapes.insert((tree.element(0).is_some(), n));
    }
    tree.children().for_each(|child| note_shapes(child, shapes));
}

impl<'a> Origin<'a> {
    /// Writes what the step gave, of which `at` was in this place.
    fn write(&self, value: &Value, at: Option<&'a JsonTree<'a>>, text: &mut String) {
        if let Some(same) = at
            .filter(|at| at.is(value, self.by))
            .or_else(|| self.found_elsewhere(value))
        {
            text.push_str(same.text());
            return;
        }
        match value {
            Value::Array(values) => {
                text.push('[');
                for (place, value) in values.iter().enumerate() {
                    if place > 0 {
                        text.push(',');
                    }
                    let at = at.and_then(|at| at.element(place));
                    self.write(value, at, text);
                }
                text.push(']');
            }
            Value::Object(members) => {
                // In the order that it had; what is new comes last.
                let mut members: Vec<_> = members
                    .iter()
                    .map(|(key, value)| {
                        let was = at.and_then(|at| at.member(key));
                        let (place, was) = was.map_or((usize::MAX, None), |(n, at)| (n, Some(at)));
                        (place, key, value, was)
                    })
                    .collect();
                members.sort_by_key(|(place, ..)| *place);
                text.push('{');
                for (n, (_, key, value, was)) in members.into_iter().enumerate() {
                    if n > 0 {
                        text.push(',');
                    }
                    self.write_text(key, text);
                    text.push(':');
                    self.write(value, was, text);
                }
                text.push('}');
            }
            Value::String(value) => self.write_text(value, text),
            Value::Number(number) => match self.by.text_of_number(number) {
                Some(exact) => text.push_str(exact),
                None => text.push_str(&number.to_string()),
            },
            Value::Bool(_) | Value::Null => text.push_str(&value.to_string()),
        }
    }

    fn write_text(&self, value: &str, text: &mut String) {
        if self.by.is_odd(value) {
            text.push_str(value);
        } else {
            text.push_str(&Value::from(value).to_string());
        }
    }

    /// What it was, if it was a list or a map in another place.
    fn found_elsewhere(&self, value: &Value) -> Option<&'a JsonTree<'a>> {
        if !self.shapes.contains(&shape_of(value)?) {
            return None;
        }
        let known = self.by_fingerprint.get_or_init(|| {
            let mut known = BTreeMap::new();
            self.note(self.root, &mut known);
            known
        });
        let found = known.get(&fingerprint(value)?)?;
        found.is(value, self.by).then_some(*found)
    }

    fn note(&self, tree: &'a JsonTree<'a>, known: &mut BTreeMap<u64, &'a JsonTree<'a>>) {
        if tree.children().next().is_some() {
            let fingerprint = fingerprint(&tree.to_value(self.by));
            known.extend(fingerprint.map(|fingerprint| (fingerprint, tree)));
        }
        tree.children().for_each(|child| self.note(child, known));
    }
}

fn fingerprint(value: &Value) -> Option<u64> {
    value.serialize(Found::default().fingerprinter()).ok()
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "a step is given the state")]
mod tests {
    use super::*;
    use serde_json::json;

    const STATE: &str = r#"{"wide": 340282366920938463463374607431768211455, "raw":{"z":1.10,"a":[1,2],"a":[3]},"n":7, "less":340282366920938463463374607431768211454}"#;

    fn upcast_by(steps: &[Upcast]) -> Option<String> {
        upcast(STATE, steps).unwrap()
    }

    fn rename(mut state: Value) -> Value {
        state["payload"] = state["raw"].take();
        state["size"] = state["less"].take();
        let state = state.as_object_mut().unwrap();
        state.remove("raw");
        state.remove("less");
        std::mem::take(state).into()
    }

    fn nest(state: Value) -> Value {
        json!({ "within": [state, 1.5] })
    }

    fn unnest(mut state: Value) -> Value {
        state["within"][0].take()
    }

    fn count(mut state: Value) -> Value {
        state["n"] = (state["n"].as_u64().unwrap() + 1).into();
        state["raw"]["z"] = 2.into();
        state
    }

    #[test]
    fn an_identity_step_changes_no_byte() {
        let identity: Upcast = std::convert::identity;
        assert_eq!(upcast_by(&[identity, identity]), None);
        let odd = r#" {"a":1e400,"b":"\ud800","\udc00":-0,"a":1.50} "#;
        assert_eq!(upcast(odd, &[identity]).unwrap(), None);
        let back: &[Upcast] = &[nest, unnest];
        assert_eq!(upcast_by(back).as_deref(), Some(STATE));
    }

    #[test]
    fn what_a_step_leaves_or_puts_elsewhere_keeps_its_text() {
        assert_eq!(
            upcast_by(&[rename]).unwrap(),
            r#"{"wide":340282366920938463463374607431768211455,"n":7,"payload":{"z":1.10,"a":[1,2],"a":[3]},"size":340282366920938463463374607431768211454}"#
        );
        let nested = upcast_by(&[nest]).unwrap();
        assert_eq!(nested, format!("{{\"within\":[{STATE},1.5]}}"));
        assert_eq!(
            upcast_by(&[count]).unwrap(),
            r#"{"wide":340282366920938463463374607431768211455,"raw":{"z":2,"a":[3]},"n":8,"less":340282366920938463463374607431768211454}"#
        );
    }

    #[test]
    fn texts_that_are_none_in_unicode_are_put_elsewhere_as_they_are() {
        fn within(state: Value) -> Value {
            json!({ "a": state["b"], "c": [state["b"]] })
        }
        let upcast = upcast(r#"{"b":"\ud800","c":"\u00e9"}"#, &[within]);
        assert_eq!(upcast.unwrap().unwrap(), r#"{"c":["\ud800"],"a":"\ud800"}"#);
    }
}
