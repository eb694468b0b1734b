//! How a stage is run rather than what it does: its time limit and how often it is tried. Neither changes a byte of what
//! it gives, so neither is in a key.

use std::time::Duration;

use super::fields::{self, Fields};
use super::problems::Problems;
use super::tree::{Node, Yaml};

/// The longest time limit: a year.
pub(super) const MOST_MINUTES: f64 = 527_040.0;
/// The most further attempts.
pub(super) const MOST_RETRIES: u32 = 100;

/// How a stage is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How often it is tried again after a failure that may be a passing one.
    pub retries: u32,
}

pub(super) fn read(fields: &mut Fields, owner: &str, problems: &mut Problems) -> Policy {
    let timeout = fields.take("timeout-minutes").and_then(|entry| minutes(&entry.node, owner, problems));
    let retries = fields.take("retry").and_then(|entry| retries(&entry.node, owner, problems));
    Policy { timeout, retries: retries.unwrap_or(0) }
}

fn minutes(node: &Node, owner: &str, problems: &mut Problems) -> Option<Duration> {
    let minutes = match node.value {
        Yaml::Invalid => return None,
        // As many minutes as a limit may have are exact in f64; more are out of range anyhow.
        Yaml::Int(minutes) => i32::try_from(minutes).map_or(f64::INFINITY, f64::from),
        Yaml::Float(minutes) => minutes,
        _ => f64::NAN,
    };
    if minutes > 0.0 && minutes <= MOST_MINUTES {
        return Some(Duration::from_secs_f64(minutes * 60.0));
    }
    let expected = format!("a number of minutes above 0, at most {MOST_MINUTES}");
    fields::wrong_type(&format!("`timeout-minutes` of {owner}"), &node.describe(), &expected, node.span, problems);
    None
}

fn retries(node: &Node, owner: &str, problems: &mut Problems) -> Option<u32> {
    let found = match node.value {
        Yaml::Invalid => return None,
        Yaml::Int(count) => u32::try_from(count).ok().filter(|count| *count <= MOST_RETRIES),
        _ => None,
    };
    if found.is_none() {
        let expected = format!("a whole number from 0 to {MOST_RETRIES}");
        fields::wrong_type(&format!("`retry` of {owner}"), &node.describe(), &expected, node.span, problems);
    }
    found
}
