//! A JSON value that keeps its key order and prints like Python's `json.dumps(ensure_ascii=False)`.

use std::fmt;

/// What the data rows are made of.
#[derive(Clone)]
pub enum Json {
    /// A string.
    Text(String),
    /// A number, printed as it stands.
    Number(String),
    /// An array.
    List(Vec<Json>),
    /// An object in the order of its keys.
    Map(Vec<(String, Json)>),
}

impl Json {
    /// A string value.
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    /// An object from its pairs.
    pub fn map<const N: usize>(pairs: [(&str, Json); N]) -> Self {
        Self::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write_text(out, text),
            Self::Number(number) => out.write_str(number),
            Self::List(items) => {
                out.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    out.write_str(if position == 0 { "" } else { ", " })?;
                    write!(out, "{item}")?;
                }
                out.write_str("]")
            }
            Self::Map(pairs) => {
                out.write_str("{")?;
                for (position, (key, value)) in pairs.iter().enumerate() {
                    out.write_str(if position == 0 { "" } else { ", " })?;
                    write_text(out, key)?;
                    write!(out, ": {value}")?;
                }
                out.write_str("}")
            }
        }
    }
}

fn write_text(out: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    out.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            control if control < ' ' => write!(out, "\\u{:04x}", u32::from(control))?,
            other => write!(out, "{other}")?,
        }
    }
    out.write_str("\"")
}
