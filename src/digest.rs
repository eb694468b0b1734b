//! Digests, the ids made of them, and the one canonical encoding that everything hashed goes through.
//!
//! A blob's digest is plain BLAKE3 of its bytes, so `b3sum` audits the store. Ids of actions, plans and experiments
//! are BLAKE3 in key-derivation mode over a [`Canonical`] value, each with its own context string, so an id of one
//! sort can never equal an id of another. Source: the BLAKE3 specification, section 2.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 32 bytes of BLAKE3, printed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of all that a reader yields, in constant memory.
    ///
    /// # Errors
    /// Whatever the reader fails with.
    pub fn of_reader(reader: impl io::Read) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(reader)?;
        Ok(Self(*hasher.finalize().as_bytes()))
    }

    /// The id of a canonical value in the domain `context` (a constant of this program, never user input).
    #[must_use]
    pub fn derive(context: &str, value: &Canonical) -> Self {
        Self(blake3::derive_key(context, &value.encode()))
    }

    /// The digest with these 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// All 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            hex.push(char::from(HEX[usize::from(byte >> 4)]));
            hex.push(char::from(HEX[usize::from(byte & 15)]));
            hex
        })
    }

    /// The first twelve hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        let mut hex = self.to_hex();
        hex.truncate(12);
        hex
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({})", self.short())
    }
}

/// The text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("digest is `{0}`; expected 64 lower-case hexadecimal digits")]
pub struct BadDigest(pub String);

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadDigest(text.chars().take(80).collect());
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = nibble(pair[0]).ok_or_else(bad)?;
            let low = nibble(pair[1]).ok_or_else(bad)?;
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Declares an id: a digest that can't be mistaken for a digest of another sort.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $context:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            /// The id of a canonical value.
            #[must_use]
            pub fn of(value: &Canonical) -> Self {
                Self(Digest::derive($context, value))
            }

            /// The bare digest.
            #[must_use]
            pub const fn digest(&self) -> &Digest {
                &self.0
            }

            /// The first twelve hexadecimal digits, for people.
            #[must_use]
            pub fn short(&self) -> String {
                self.0.short()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = BadDigest;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// What one stage is about to do: kind, epoch, config, input digests, backend. The key of the cache.
    ActionKey,
    "pipe action v1"
);
id!(
    /// What a manifest would do, known before anything runs.
    PlanId,
    "pipe plan v1"
);
id!(
    /// What a complete run did: the plan, every output digest and the verdict.
    ExperimentId,
    "pipe experiment v1"
);

/// A value with exactly one encoding. Map keys are sorted; lengths and types are explicit; a float keeps its bits,
/// with `-0.0` as `0.0` and one NaN.
///
/// The encoding is one tag byte, then: `n` nothing; `f`, `t` (booleans) nothing; `i` 16 bytes little-endian two's
/// complement; `d` 8 bytes little-endian IEEE 754; `s` an 8-byte little-endian length and UTF-8; `l` an 8-byte count and
/// the items; `m` an 8-byte count and (key as `s`, value) in ascending byte order of the keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Canonical {
    /// Nothing set.
    Null,
    /// A truth value.
    Bool(bool),
    /// Any integer; `1` and `1.0` differ.
    Int(i128),
    /// A double.
    Float(f64),
    /// Text.
    Text(String),
    /// Items in order.
    List(Vec<Canonical>),
    /// Named values; the order of insertion is forgotten.
    Map(BTreeMap<String, Canonical>),
}

impl Canonical {
    /// A map from name and value pairs.
    pub fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The one encoding of this value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(b'n'),
            Self::Bool(false) => out.push(b'f'),
            Self::Bool(true) => out.push(b't'),
            Self::Int(value) => {
                out.push(b'i');
                out.extend_from_slice(&value.to_le_bytes());
            }
            Self::Float(value) => {
                out.push(b'd');
                out.extend_from_slice(&normalised(*value).to_le_bytes());
            }
            Self::Text(text) => write_text(out, text),
            Self::List(items) => {
                out.push(b'l');
                write_length(out, items.len());
                for item in items {
                    item.write(out);
                }
            }
            Self::Map(entries) => {
                out.push(b'm');
                write_length(out, entries.len());
                for (name, value) in entries {
                    write_text(out, name);
                    value.write(out);
                }
            }
        }
    }
}

fn normalised(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

fn write_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&(length as u64).to_le_bytes());
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b's');
    write_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

impl From<&serde_json::Value> for Canonical {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => number
                .as_i64()
                .map(i128::from)
                .or_else(|| number.as_u64().map(i128::from))
                .map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::Int),
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(entries) => {
                Self::Map(entries.iter().map(|(name, value)| (name.clone(), Self::from(value))).collect())
            }
        }
    }
}

impl From<&str> for Canonical {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Digest> for Canonical {
    fn from(digest: Digest) -> Self {
        Self::Text(digest.to_hex())
    }
}

impl From<u32> for Canonical {
    fn from(value: u32) -> Self {
        Self::Int(i128::from(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_digest_is_plain_blake3() {
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(Digest::of(b"").to_hex(), empty);
        assert_eq!(empty.parse::<Digest>(), Ok(Digest::of(b"")));
        assert!("AF".repeat(32).parse::<Digest>().is_err());
        assert!("é".repeat(32).parse::<Digest>().is_err());
    }

    #[test]
    fn the_encoding_is_unambiguous() {
        let text = |text: &str| Canonical::from(text);
        let split = |left: &str, right: &str| Canonical::List(vec![text(left), text(right)]);
        assert_ne!(split("ab", "c").encode(), split("a", "bc").encode());
        assert_ne!(Canonical::Int(1).encode(), Canonical::Float(1.0).encode());
        assert_ne!(Canonical::Null.encode(), Canonical::List(vec![]).encode());
        assert_eq!(Canonical::Float(-0.0).encode(), Canonical::Float(0.0).encode());
    }

    #[test]
    fn key_order_is_forgotten_and_the_vector_is_fixed() {
        let parse = |text: &str| Canonical::from(&serde_json::from_str::<serde_json::Value>(text).expect("json"));
        let one = parse(r#"{"b":[1,2.5,null],"a":{"x":true,"y":"é"}}"#);
        let other = parse(r#"{"a":{"y":"é","x":true},"b":[1,2.5,null]}"#);
        assert_eq!(one.encode(), other.encode());
        let mut expected = Vec::new();
        expected.extend_from_slice(b"m\x02\0\0\0\0\0\0\0s\x01\0\0\0\0\0\0\0a");
        expected.extend_from_slice(b"m\x02\0\0\0\0\0\0\0s\x01\0\0\0\0\0\0\0xts\x01\0\0\0\0\0\0\0ys\x02\0\0\0\0\0\0\0");
        expected.extend_from_slice("é".as_bytes());
        expected.extend_from_slice(b"s\x01\0\0\0\0\0\0\0bl\x03\0\0\0\0\0\0\0i\x01");
        expected.extend_from_slice(&[0; 15]);
        expected.push(b'd');
        expected.extend_from_slice(&2.5f64.to_le_bytes());
        expected.push(b'n');
        assert_eq!(one.encode(), expected);
    }
}
