//! The metadata of a GGUF file: typed look-ups that say which key is missing or wrong.

use std::collections::BTreeMap;

use crate::model::error::ModelError;

/// A value; integers of all widths are one, and so are both floats.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Integer(i64),
    Float(f64),
    Flag(bool),
    Text(String),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Vec<String>),
}

/// Key to value.
#[derive(Debug, Default)]
pub(crate) struct Metadata(BTreeMap<String, Value>);

impl Metadata {
    /// Adds an entry; says whether the key was there already.
    pub(super) fn insert(&mut self, key: String, value: Value) -> bool {
        self.0.insert(key, value).is_some()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Every key, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, ModelError> {
        self.typed(key, "a text", |value| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, ModelError> {
        self.typed(key, "true or false", |value| if let Value::Flag(flag) = value { Some(*flag) } else { None })
    }

    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>, ModelError> {
        self.typed(key, "a whole number", |value| if let Value::Integer(number) = value { Some(*number) } else { None })
    }

    pub(crate) fn id(&self, key: &str) -> Result<Option<u32>, ModelError> {
        let Some(number) = self.integer(key)? else { return Ok(None) };
        u32::try_from(number).map(Some).map_err(|_| ModelError::field(key, number, "a token id"))
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Option<&[String]>, ModelError> {
        self.typed(
            key,
            "a list of texts",
            |value| if let Value::Texts(texts) = value { Some(texts.as_slice()) } else { None },
        )
    }

    pub(crate) fn integers(&self, key: &str) -> Result<Option<&[i64]>, ModelError> {
        self.typed(key, "a list of whole numbers", |value| match value {
            Value::Integers(list) => Some(list.as_slice()),
            _ => None,
        })
    }

    pub(crate) fn floats(&self, key: &str) -> Result<Option<&[f64]>, ModelError> {
        self.typed(key, "a list of numbers", |value| match value {
            Value::Floats(list) => Some(list.as_slice()),
            _ => None,
        })
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        pick: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ModelError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        if let Some(picked) = pick(value) {
            return Ok(Some(picked));
        }
        let found: String = format!("{value:?}").chars().take(60).collect();
        Err(ModelError::field(key, found, expected))
    }
}

/// The value of a key that has to be there.
pub(crate) fn required<T>(key: &str, value: Option<T>) -> Result<T, ModelError> {
    value.ok_or_else(|| ModelError::field(key, "missing", "a value in the metadata of the GGUF file"))
}
