//! The short and long forms in which settings of a command are written, and what the schema says of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, Deserializer};

use super::settings::Output;
use crate::artifact::ArtifactKind;

/// A text, number or boolean, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum Scalar {
    Text(String),
    Number(f64),
    Boolean(bool),
}

/// Names, or names with values, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum Env {
    Names(BTreeSet<String>),
    Values(BTreeMap<String, Option<Scalar>>),
}

/// A text, or a number or boolean as a text: params keep their type.
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Word;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text, number or boolean")
            }

            fn visit_str<E>(self, text: &str) -> Result<Word, E> {
                Ok(Word(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Word, E> {
                Ok(Word(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Word, E> {
                Ok(Word(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Word, E> {
                Ok(Word(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Word, E> {
                Ok(Word(value.to_string()))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// The words of a command.
pub(super) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<Word>::deserialize(deserializer)?.into_iter().map(|word| word.0).collect())
}

/// A list of names, or a map of names to values of which an empty one is taken.
pub(super) fn env<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Option<String>>, D::Error> {
    struct Forms;
    impl<'de> Visitor<'de> for Forms {
        type Value = BTreeMap<String, Option<String>>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list of names, or a map of names to values")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut names = BTreeMap::new();
            while let Some(name) = list.next_element::<String>()? {
                names.insert(name, None);
            }
            Ok(names)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut values = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<String, Option<Word>>()? {
                values.insert(name, value.map(|word| word.0));
            }
            Ok(values)
        }
    }
    deserializer.deserialize_any(Forms)
}

/// The long form of an output.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OutputFields {
    /// Where the command writes it, below the folder it starts in; at the slot's name unless given.
    #[serde(default)]
    path: Option<String>,
    /// What it is.
    #[serde(default = "file")]
    #[schemars(schema_with = "kind_schema")]
    kind: ArtifactKind,
}

const fn file() -> ArtifactKind {
    ArtifactKind::File
}

fn kind_schema(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = ArtifactKind::ALL.iter().map(|kind| kind.name()).collect();
    json_schema!({ "enum": names })
}

impl<'de> Deserialize<'de> for Output {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Outputs;
        impl<'de> Visitor<'de> for Outputs {
            type Value = Output;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an artifact kind, or a map of path and kind")
            }

            fn visit_unit<E>(self) -> Result<Output, E> {
                Ok(Output { path: None, kind: file() })
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Output, E> {
                let kind = ArtifactKind::deserialize(value::StrDeserializer::<E>::new(text))?;
                Ok(Output { path: None, kind })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Output, A::Error> {
                let OutputFields { path, kind } = OutputFields::deserialize(value::MapAccessDeserializer::new(map))?;
                Ok(Output { path, kind })
            }
        }
        deserializer.deserialize_any(Outputs)
    }
}

impl JsonSchema for Output {
    fn schema_name() -> Cow<'static, str> {
        "Output".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fields = generator.subschema_for::<OutputFields>();
        let kind = kind_schema(generator);
        json_schema!({ "anyOf": [kind, fields, { "type": "null" }] })
    }
}
