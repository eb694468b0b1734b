//! `rope_freqs.weight`: what llama.cpp divides each rotary frequency by, which is how its files carry Llama 3's scaling.
//!
//! transformers has the rule and four numbers instead (`rope_type: llama3`). A file is turned back into them: the largest factor
//! is `factor`; `low_freq_factor` 1 and `high_freq_factor` 4 are those of every Llama 3; and each factor in between tells the
//! original context length. That is believed if the rule then gives all factors of the file, and an error otherwise.

use std::f64::consts::TAU;

use serde_json::{Value as Json, json};

use crate::model::error::ModelError;
use crate::model::rope::Rope;

/// The tensor's name.
pub(super) const ROPE_FREQS: &str = "rope_freqs.weight";

/// How far, relatively, a factor may be from the rule: llama.cpp's converter computes in f32, which is 2e-7 apart.
const TOLERANCE: f64 = 1e-5;

/// The bounds of Llama 3.
const LOW: f64 = 1.0;
const HIGH: f64 = 4.0;

/// The `rope_scaling` of a `config.json` that gives `factors`, head_dim / 2 of them; `None` where nothing is scaled.
///
/// # Errors
/// No rule known here gives them.
pub(super) fn scaling(factors: &[f32], theta: f64) -> Result<Option<Json>, ModelError> {
    let factors: Vec<f64> = factors.iter().copied().map(f64::from).collect();
    let most = factors.iter().copied().fold(1.0, f64::max);
    if is_near(&factors, &vec![1.0; factors.len()]) {
        return Ok(None);
    }
    // Where every factor is 1 or the largest, many lengths give the same factors, and any of them will do.
    let round = (0..=20).map(|power| 1_u32 << power);
    // A few tell the length as well as all of them, and a file may hold any number.
    let between =
        factors.iter().enumerate().filter_map(|(pair, found)| length(pair, *found, &factors, most, theta)).take(8);
    for length in between.chain(round).filter(|_| most.is_finite()) {
        let rule = json!({
            "rope_type": "llama3",
            "factor": most,
            "low_freq_factor": LOW,
            "high_freq_factor": HIGH,
            "original_max_position_embeddings": length,
        });
        let rope = Rope::from_fields(None, Some(rule.clone()), Some(theta), 1)?;
        let expected = rope.divisors(2 * factors.len()).unwrap_or_default();
        if is_near(&factors, &expected.into_iter().map(f64::from).collect::<Vec<_>>()) {
            return Ok(Some(rule));
        }
    }
    let found: Vec<String> = factors.iter().take(8).map(f64::to_string).collect();
    let expected = "the factors of Llama 3's scaling, with low_freq_factor 1 and high_freq_factor 4";
    Err(ModelError::field(ROPE_FREQS, format!("{}, …", found.join(", ")), expected))
}

/// The original context length that a factor between the extremes tells.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a small whole number")]
fn length(pair: usize, found: f64, factors: &[f64], most: f64, theta: f64) -> Option<u32> {
    let between = found > 1.0 + TOLERANCE && found < most * (1.0 - TOLERANCE);
    let smooth = (1.0 / found - 1.0 / most) / (1.0 - 1.0 / most);
    let frequency = theta.powf(-(pair as f64) / factors.len() as f64);
    let length = (TAU / frequency * (LOW + smooth * (HIGH - LOW))).round();
    (between && (1.0..1e9).contains(&length)).then_some(length as u32)
}

fn is_near(found: &[f64], expected: &[f64]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() <= TOLERANCE * expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head_dim: usize, theta: f64, factor: f64, length: u32) {
        let rule = json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": LOW,
            "high_freq_factor": HIGH,
            "original_max_position_embeddings": length,
        });
        let rope = Rope::from_fields(None, Some(rule.clone()), Some(theta), 1).expect("a rule");
        let factors = rope.divisors(head_dim).expect("factors");
        assert_eq!(scaling(&factors, theta).expect("it is Llama 3's"), Some(rule));
    }

    #[test]
    fn the_rule_is_found_again() {
        check(128, 5e5, 8.0, 8192);
        check(64, 5e5, 32.0, 8192);
        check(16, 5e5, 8.0, 64);
    }

    #[test]
    fn factors_of_one_are_no_scaling_and_others_are_refused() {
        assert_eq!(scaling(&[1.0; 8], 1e4).expect("nothing"), None);
        for factors in
            [[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.5, 0.5], [f32::NAN; 4], [1.0, 1.0, 8.0, f32::INFINITY], [0.0; 4]]
        {
            let error = scaling(&factors, 1e4).expect_err("no rule").to_string();
            assert!(error.contains(ROPE_FREQS), "{error}");
        }
    }

    /// What llama.cpp's converter computes in f32 for Llama 3.1.
    #[test]
    fn the_rounding_of_the_converter_is_no_obstacle() {
        let mut factors = Rope::from_fields(
            None,
            Some(json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": LOW, "high_freq_factor": HIGH,
                         "original_max_position_embeddings": 8192 })),
            Some(5e5),
            1,
        )
        .expect("a rule")
        .divisors(128)
        .expect("factors");
        for (index, factor) in factors.iter_mut().enumerate() {
            *factor *= if index % 2 == 0 { 1.0 + 2e-7 } else { 1.0 - 2e-7 };
        }
        let found = scaling(&factors, 5e5).expect("a rule").expect("a scaling");
        assert_eq!(found["original_max_position_embeddings"], 8192);
    }
}
