//! The laws of the key, on a million random pairs: what can change a byte gives another key, what can't gives the same.

use std::collections::BTreeMap;

use pipe::device::Backend;
use pipe::digest::Digest;
use pipe::engine::key::Action;
use serde_json::{Map, Value, json};

use crate::fuzz::Random;

const PAIRS: u64 = 1_000_000;

impl Random {
    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn digest(&mut self) -> Digest {
        Digest::of(&self.next().to_le_bytes())
    }

    /// Few names, so that random things meet.
    fn name(&mut self) -> String {
        (*self.pick(&["a", "b", "ab", "seed", "lora_r", "é", ""])).to_owned()
    }

    /// Values of all types that are easily taken for each other.
    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 8 } else { 10 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(3)),
            3 => json!(-1),
            4 => json!(*self.pick(&[0.5, 1.0, 2e-4, 1e300])),
            5 => json!(self.below(3).to_string()),
            6 => json!(self.name()),
            7 => json!(u64::MAX - self.next() % 2),
            8 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => Value::Object(self.map(depth - 1)),
        }
    }

    fn map(&mut self, depth: usize) -> Map<String, Value> {
        (0..self.below(4)).map(|_| (self.name(), self.value(depth))).collect()
    }

    fn action(&mut self) -> Action {
        let kind = *self.pick(&["clean", "train", "eval"]);
        let mut action = Action::new(kind, u32::try_from(self.below(3)).unwrap(), Value::Object(self.map(2)));
        for _ in 0..self.below(4) {
            let digests = (0..=self.below(3)).map(|_| self.digest()).collect();
            action.inputs.insert(self.name(), digests);
        }
        action.backend = *self.pick(&[None, Some(Backend::Flex), Some(Backend::NdArray)]);
        action.compute_type = action.backend.map(|_| "float32".to_owned());
        action
    }

    /// Changes one thing that can change a byte; says what, or nothing when it came out as it was.
    fn change(&mut self, action: &mut Action) -> &'static str {
        let object = action.config.as_object_mut().expect("settings are an object");
        match self.below(9) {
            0 => {
                action.kind.push('x');
                "kind"
            }
            1 => {
                action.epoch += 1;
                "epoch"
            }
            2 => {
                let (name, value) = (self.name(), self.value(2));
                object.insert(name, value);
                "setting"
            }
            3 => {
                let name = self.name();
                object.remove(&name);
                "setting left out"
            }
            4 => {
                // `1`, `1.0` and `"1"` are three settings.
                if let Some(value) = object.values_mut().next() {
                    *value = match &*value {
                        Value::Number(number) if number.is_u64() => json!(number.to_string()),
                        other => json!([other.clone()]),
                    };
                }
                "type of a setting"
            }
            5 => {
                let (port, digest) = (self.name(), self.digest());
                action.inputs.entry(port).or_default().push(digest);
                "edge"
            }
            6 => {
                let contents: Vec<Vec<Digest>> = action.inputs.values().rev().cloned().collect();
                action.inputs.values_mut().zip(contents).for_each(|(port, content)| *port = content);
                "contents of ports swapped"
            }
            7 => {
                action.inputs.values_mut().for_each(|digests| digests.reverse());
                "order at a port"
            }
            _ => {
                action.backend = Some(Backend::Wgpu);
                "backend"
            }
        }
    }
}

/// The same settings, inserted in another order at every level.
fn reordered(value: &Value) -> Value {
    match value {
        Value::Object(entries) => entries.iter().rev().map(|(name, value)| (name.clone(), reordered(value))).collect(),
        Value::Array(items) => items.iter().map(reordered).collect(),
        other => other.clone(),
    }
}

#[test]
fn of_a_million_random_pairs_a_change_gives_another_key_and_a_respelling_the_same() {
    let (mut random, mut changed) = (Random(17), BTreeMap::<&str, u64>::new());
    for pair in 0..PAIRS {
        let action = random.action();
        let key = action.key();

        let respelled = Action { config: reordered(&action.config), ..action.clone() };
        assert_eq!(respelled.key(), key, "pair {pair}: {action:?}");

        let mut other = action.clone();
        let what = random.change(&mut other);
        // What came out as it was is a pair of equals, which have to have one key.
        assert_eq!(other == action, other.key() == key, "pair {pair}, {what}: {action:?} and {other:?}");
        *changed.entry(what).or_default() += u64::from(other != action);
    }
    assert_eq!(changed.len(), 9);
    assert!(changed.values().all(|count| *count > PAIRS / 100), "every sort of change was tried often: {changed:?}");
}

#[test]
fn an_action_that_was_stored_and_read_again_has_its_key() {
    let mut random = Random(18);
    for _ in 0..10_000 {
        let action = random.action();
        let text = serde_json::to_string(&action).unwrap();
        let read: Action = serde_json::from_str(&text).unwrap();
        assert_eq!(read.key(), action.key(), "{text}");
    }
}
