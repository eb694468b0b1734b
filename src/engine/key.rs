//! The action: all that decides a stage's output bytes, and nothing else. Its canonical encoding is the cache key.
//!
//! Not in it, on purpose: names of stages, inputs and files; paths; mtimes; thread counts; host; time; settings that a
//! stage kind declares as changing no output. A rename or a comment therefore reruns nothing, and an upstream change
//! that yields the same bytes stops there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cell::Cell;
use crate::device::Backend;
use crate::digest::{ActionKey, Canonical, Digest};
use crate::surroundings::Traces;

/// The version of this very structure; bumped when an ingredient is added or its meaning changes.
const SCHEMA: u32 = 1;

/// What a stage is about to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// The version of the key's structure.
    pub schema: u32,
    /// The stage kind's name: two kinds never share a result.
    pub kind: String,
    /// The kind's epoch: bumped by its author when the same work gives other bytes.
    pub epoch: u32,
    /// Every setting that can change an output byte, defaults filled in.
    pub config: Value,
    /// Input port to the digests it receives, in order; of a projected port, the digest of what is read of it.
    pub inputs: BTreeMap<String, Vec<Digest>>,
    /// For ports that ask for it, the part of each producer's cell that tells its edges apart.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cells: BTreeMap<String, Vec<Cell>>,
    /// The tensor backend, for stages whose bytes depend on floating-point arithmetic.
    pub backend: Option<Backend>,
    /// The type that arithmetic is done in, for the same stages.
    pub compute_type: Option<String>,
    /// Of each variable of the environment that the stage asked for, the digest of its value; none when it is not set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<Digest>>,
    /// Of each program that the stage asked for, the digest of its file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, Digest>,
}

impl Action {
    /// An action of the current structure, with neither inputs nor backend yet.
    #[must_use]
    pub fn new(kind: &str, epoch: u32, config: Value) -> Self {
        Self {
            schema: SCHEMA,
            kind: kind.to_owned(),
            epoch,
            config,
            inputs: BTreeMap::new(),
            cells: BTreeMap::new(),
            backend: None,
            compute_type: None,
            env: BTreeMap::new(),
            tools: BTreeMap::new(),
        }
    }

    /// `blake3::derive_key("pipe action v1", canonical(action))`.
    #[must_use]
    pub fn key(&self) -> ActionKey {
        let digests =
            |list: &Vec<Digest>| Canonical::List(list.iter().map(|digest| Canonical::from(*digest)).collect());
        let inputs = self.inputs.iter().map(|(port, list)| (port.clone(), digests(list))).collect();
        let optional = |text: Option<&str>| text.map_or(Canonical::Null, Canonical::from);
        let mut ingredients = vec![
            ("schema", Canonical::from(self.schema)),
            ("kind", Canonical::from(self.kind.as_str())),
            ("epoch", Canonical::from(self.epoch)),
            ("config", Canonical::from(&self.config)),
            ("inputs", Canonical::Map(inputs)),
            ("backend", optional(self.backend.map(Backend::name))),
            ("compute_type", optional(self.compute_type.as_deref())),
        ];
        // Absent where a stage asks for nothing, so that keys of such stages are what they were before there were any.
        ingredients.extend(Traces { variables: self.env.clone(), tools: self.tools.clone() }.canonical());
        // The same of cells: without a matrix a key is what it was before there were any.
        if !self.cells.is_empty() {
            let cells = |list: &Vec<Cell>| Canonical::List(list.iter().map(Cell::canonical).collect());
            let cells = self.cells.iter().map(|(port, list)| (port.clone(), cells(list))).collect();
            ingredients.push(("cells", Canonical::Map(cells)));
        }
        ActionKey::of(&Canonical::map(ingredients))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn action() -> Action {
        let mut action = Action::new("train", 1, json!({ "lora_r": 8, "learning_rate": 2e-4 }));
        action.inputs.insert("model".into(), vec![Digest::of(b"base")]);
        action.inputs.insert("prompts".into(), vec![Digest::of(b"one"), Digest::of(b"two")]);
        action.backend = Some(Backend::Flex);
        action.compute_type = Some("float32".into());
        action
    }

    #[test]
    fn each_ingredient_changed_alone_gives_another_key() {
        let base = action().key();
        let changes: [fn(&mut Action); 14] = [
            |action| action.schema += 1,
            |action| action.kind = "merge".into(),
            |action| action.epoch += 1,
            |action| action.config["lora_r"] = json!(16),
            |action| action.config["lora_r"] = json!(8.0),
            |action| action.backend = Some(Backend::NdArray),
            |action| action.compute_type = None,
            |action| action.env = BTreeMap::from([("HOME".into(), None)]),
            |action| action.env = BTreeMap::from([("HOME".into(), Some(Digest::of(b"/root")))]),
            |action| action.tools = BTreeMap::from([("HOME".into(), Digest::of(b"/root"))]),
            |action| drop(action.inputs.insert("env".into(), vec![Digest::of(b"/root")])),
            |action| drop(action.cells.insert("prompts".into(), vec![Cell::default()])),
            |action| action.inputs.get_mut("prompts").expect("port").reverse(),
            |action| {
                let model = action.inputs.remove("model").expect("port");
                action.inputs.insert("adapter".into(), model);
            },
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut changed = action();
            change(&mut changed);
            assert_ne!(changed.key(), base, "change {index}");
        }
    }

    #[test]
    fn swapping_the_contents_of_two_ports_gives_another_key() {
        let mut swapped = action();
        swapped.inputs.insert("model".into(), vec![Digest::of(b"one")]);
        swapped.inputs.insert("prompts".into(), vec![Digest::of(b"base"), Digest::of(b"two")]);
        assert_ne!(swapped.key(), action().key());
    }

    #[test]
    fn the_published_vector_holds() {
        // Computed by hand-written encoding in another language and `b3sum --derive-key "pipe action v1"`.
        let key = Action::new("clean", 1, json!({ "dedupe": "exact" })).key().to_string();
        assert_eq!(key, VECTOR);
    }

    const VECTOR: &str = "6d59a0dd567032b57321471e65995f349ab249bc7c1c4e00925a97fc241ea5a0";
}
