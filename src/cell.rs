//! Cells of a matrix: a value for each of its axes, and the labels that people address cells by.
//!
//! A cell has one spelling, whatever the order its axes were written in: sorted by axis. The names of stages are not part
//! of it, so it may enter keys and outputs.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::digest::Canonical;
use crate::reference::Name;

/// A value of an axis.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A number, whole or not.
    Number(Number),
    /// A text.
    Text(String),
}

impl Scalar {
    /// A value as somebody types it in a label: a number or a boolean if it looks like one, else a text. A text in double
    /// quotes is read as JSON.
    #[must_use]
    pub fn typed(text: &str) -> Self {
        let json = serde_json::from_str::<Value>(text).ok();
        let float = || text.parse::<f64>().ok().and_then(Number::from_f64).map(Self::Number);
        json.as_ref().and_then(Self::of_json).or_else(float).unwrap_or_else(|| Self::Text(text.to_owned()))
    }

    /// A JSON value that is a scalar.
    #[must_use]
    pub fn of_json(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Number(value) => Some(Self::Number(value.clone())),
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The value with its type.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(value) => Value::Number(value.clone()),
            Self::Text(text) => Value::String(text.clone()),
        }
    }

    /// Whether a label can't tell the two apart: the same words, or equal numbers such as `1` and `1.0`.
    #[must_use]
    pub fn reads_as(&self, other: &Self) -> bool {
        match (self, other) {
            // Equal as doubles is what a person who types a number means.
            (Self::Number(one), Self::Number(other)) => one == other || one.as_f64() == other.as_f64(),
            _ => self.words() == other.words(),
        }
    }

    /// The value without quotes.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// As in a label: a text is quoted when a label could not hold it bare.
impl fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words();
        let bare = |char: char| char.is_alphanumeric() || "-_./+:@%".contains(char);
        if words.is_empty() || !words.chars().all(bare) {
            return write!(formatter, "{}", Value::String(words));
        }
        formatter.write_str(&words)
    }
}

/// A value for each axis of a matrix, sorted by axis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cell(pub BTreeMap<Name, Scalar>);

impl Cell {
    /// Whether it is the only cell of a stage without a matrix.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of an axis.
    #[must_use]
    pub fn get(&self, axis: &str) -> Option<&Scalar> {
        self.0.get(axis)
    }

    /// The cell as keys and ids see it.
    #[must_use]
    pub fn canonical(&self) -> Canonical {
        let value = |(axis, value): (&Name, &Scalar)| (axis.to_string(), Canonical::from(&value.to_json()));
        Canonical::Map(self.0.iter().map(value).collect())
    }

    /// The cell without the axes for which this holds.
    #[must_use]
    pub fn without(&self, drop: impl Fn(&Name, &Scalar) -> bool) -> Self {
        let kept = self.0.iter().filter(|(axis, value)| !drop(axis, value));
        Self(kept.map(|(axis, value)| (axis.clone(), value.clone())).collect())
    }
}

/// `lora_r=8, seed=1`.
impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (axis, value)) in self.0.iter().enumerate() {
            write!(formatter, "{}{axis}={value}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_value_reads_as_the_value_it_means() {
        let number = Scalar::Number(Number::from_f64(2e-4).expect("finite"));
        for text in ["0.0002", "2e-4", "2.0e-4", ".0002"] {
            assert!(Scalar::typed(text).reads_as(&number), "{text}");
        }
        assert!(Scalar::typed("8").reads_as(&Scalar::Text("8".into())));
        assert!(Scalar::typed("\"a, b\"").reads_as(&Scalar::Text("a, b".into())));
        assert!(!Scalar::typed("true").reads_as(&Scalar::Text("yes".into())));
    }

    #[test]
    fn what_a_label_could_not_hold_bare_is_quoted() {
        for (text, shown) in [("nf4", "nf4"), ("a b", "\"a b\""), ("]", "\"]\""), ("*", "\"*\""), ("", "\"\"")] {
            assert_eq!(Scalar::Text(text.into()).to_string(), shown);
            assert!(Scalar::typed(shown).reads_as(&Scalar::Text(text.into())), "{text}");
        }
    }
}
