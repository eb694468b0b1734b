//! Rotary position embeddings: which angle each position and pair of coordinates is turned by.
//!
//! Su et al., "RoFormer" (2021). The pairing is transformers' `rotate_half`: coordinate i turns with i + head_dim / 2.
//! Scalings: none, `linear` (positions divided by a factor) and `llama3` (long wavelengths divided by a factor).

use serde_json::Value;

use super::error::ModelError;

/// How the frequencies of the base are changed for longer texts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scaling {
    None,
    Linear { factor: f64 },
    Llama3 { factor: f64, low_freq_factor: f64, high_freq_factor: f64, original_length: f64 },
}

/// The rotary embedding of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rope {
    theta: f64,
    scaling: Scaling,
}

impl Rope {
    /// From transformers 5's `rope_parameters`, or transformers 4's `rope_scaling` and `rope_theta`.
    pub(crate) fn from_fields(
        parameters: Option<Value>,
        scaling: Option<Value>,
        theta: Option<f64>,
        max_position_embeddings: usize,
    ) -> Result<Self, ModelError> {
        let json = [parameters, scaling].into_iter().flatten().find(|value| !value.is_null()).unwrap_or(Value::Null);
        if !json.is_null() && !json.is_object() {
            return Err(ModelError::field("rope_parameters", &json, "fields by name"));
        }
        let number = |name: &str| json.get(name).and_then(Value::as_f64);
        let required = |name: &str| {
            let found = json.get(name).map_or("missing".to_owned(), Value::to_string);
            number(name).filter(|value| *value > 0.0).ok_or_else(|| ModelError::field(name, found, "a number above 0"))
        };
        // A number that is there has to be one; what it is taken for otherwise would be a silent other model.
        let optional = |name: &str| if json.get(name).is_some() { required(name).map(Some) } else { Ok(None) };
        let kind = json.get("rope_type").or_else(|| json.get("type")).cloned().unwrap_or_else(|| "default".into());
        let kind = kind.as_str().ok_or_else(|| ModelError::field("rope_type", &kind, "a name"))?;
        let (scaling, known): (Scaling, &[&str]) = match kind {
            "default" => (Scaling::None, &[]),
            "linear" => (Scaling::Linear { factor: required("factor")? }, &["factor"]),
            "llama3" => {
                let fallback = u32::try_from(max_position_embeddings).map_or(f64::INFINITY, f64::from);
                let (low_freq_factor, high_freq_factor) = (required("low_freq_factor")?, required("high_freq_factor")?);
                if high_freq_factor <= low_freq_factor {
                    let expected = format!("more than low_freq_factor, `{low_freq_factor}`");
                    return Err(ModelError::field("high_freq_factor", high_freq_factor, expected));
                }
                let scaling = Scaling::Llama3 {
                    factor: required("factor")?,
                    low_freq_factor,
                    high_freq_factor,
                    original_length: optional("original_max_position_embeddings")?.unwrap_or(fallback),
                };
                (scaling, &["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"])
            }
            other => return Err(ModelError::field("rope_type", other, "`default`, `linear` or `llama3`")),
        };
        refuse_unknown(&json, known)?;
        let theta = optional("rope_theta")?.or(theta).unwrap_or(10_000.0);
        if !(theta > 0.0 && theta.is_finite()) {
            return Err(ModelError::field("rope_theta", theta, "a number above 0"));
        }
        Ok(Self { theta, scaling })
    }

    /// The base of the frequencies.
    pub(crate) const fn theta(self) -> f64 {
        self.theta
    }

    /// What positions are divided by, where that is all of the scaling.
    pub(crate) const fn linear_factor(self) -> Option<f64> {
        if let Scaling::Linear { factor } = self.scaling { Some(factor) } else { None }
    }

    /// What each of the head_dim / 2 frequencies is divided by, where each has a divisor of its own.
    #[expect(clippy::cast_possible_truncation, reason = "llama.cpp stores them as f32")]
    pub(crate) fn divisors(self, head_dim: usize) -> Option<Vec<f32>> {
        let divisor = |frequency: f64| (frequency / self.scaled(frequency)) as f32;
        matches!(self.scaling, Scaling::Llama3 { .. }).then(|| self.unscaled(head_dim).map(divisor).collect())
    }

    /// The angle in radians that one position adds, for each of the head_dim / 2 pairs.
    #[expect(clippy::cast_possible_truncation, reason = "the reference computes in f32")]
    fn frequencies(self, head_dim: usize) -> Vec<f32> {
        self.unscaled(head_dim).map(|frequency| self.scaled(frequency) as f32).collect()
    }

    fn unscaled(self, head_dim: usize) -> impl Iterator<Item = f64> {
        (0..head_dim / 2).map(move |pair| 1.0 / self.theta.powf(exponent(pair, head_dim)))
    }

    /// transformers' `ROPE_INIT_FUNCTIONS`.
    fn scaled(self, frequency: f64) -> f64 {
        match self.scaling {
            Scaling::None => frequency,
            Scaling::Linear { factor } => frequency / factor,
            Scaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_length } => {
                let wavelengths = original_length * frequency / std::f64::consts::TAU;
                let smooth = ((wavelengths - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        }
    }
}
fn exponent(pair: usize, head_dim: usize) -> f64 {
    2.0 * pair as f64 / head_dim as f64
}

fn refuse_unknown(json: &Value, known: &[&str]) -> Result<(), ModelError> {
    let always = ["rope_type", "type", "rope_theta"];
    let Some(fields) = json.as_object() else { return Ok(()) };
    match fields.iter().find(|(name, value)| !value.is_null() && ![&always, known].concat().contains(&name.as_str())) {
        None => Ok(()),
        Some((name, value)) => Err(ModelError::field(format!("rope_parameters.{name}"), value, "no such field")),
    }
}

/// Cosines and sines of every position from 0 to the longest one asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RotaryTable {
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl RotaryTable {
    /// The table for positions `0..positions`.
    #[expect(clippy::cast_possible_truncation, reason = "the reference computes in f32")]
    pub(crate) fn new(rope: Rope, head_dim: usize, positions: usize) -> Self {
        let frequencies = rope.frequencies(head_dim);
        let (sines, cosines) = (0..positions)
            .flat_map(|position| frequencies.iter().map(move |frequency| f64::from(position as f32 * frequency)))
            .map(|angle| (angle.sin() as f32, angle.cos() as f32))
            .unzip();
        Self { half: head_dim / 2, cosines, sines }
    }

    /// Cosines and sines of one position, head_dim / 2 of each.
    #[inline]
    pub(crate) fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.cosines[range.clone()], &self.sines[range])
    }
}
