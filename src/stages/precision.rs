//! `load_4bit` and its like: how the base of a training or an evaluation is held in memory, in the seed's and
//! bitsandbytes' names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{FourBitCode, Precision};
use crate::stage::ConfigIssue;

/// The values that `load_4bit` rounds to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QuantType {
    /// The quantiles of a normal distribution (Dettmers et al., "QLoRA", 2023).
    #[default]
    Nf4,
    /// 4-bit floats.
    Fp4,
}

/// The settings as a stage has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loading {
    pub(super) load_4bit: bool,
    pub(super) load_8bit: bool,
    pub(super) bnb_quant_type: QuantType,
    pub(super) bnb_double_quant: bool,
}

impl Loading {
    /// Rounded as the settings say, or `otherwise`.
    pub(super) const fn precision(self, otherwise: Precision) -> Precision {
        let code = match self.bnb_quant_type {
            QuantType::Nf4 => FourBitCode::Nf4,
            QuantType::Fp4 => FourBitCode::Fp4,
        };
        match self {
            Self { load_4bit: true, bnb_double_quant: double_quant, .. } => Precision::FourBit { code, double_quant },
            Self { load_8bit: true, .. } => Precision::Int8,
            _ => otherwise,
        }
    }

    /// Settings that contradict each other, or have no effect.
    pub(super) fn check(self, issues: &mut Vec<ConfigIssue>) {
        if self.load_4bit && self.load_8bit {
            let message = "both `load_4bit` and `load_8bit` are set; expected one";
            issues.push(ConfigIssue::invalid("load_8bit", message).help("remove one of the two"));
        }
        let without = |field: &str| {
            let message = format!("{field} is set without `load_4bit`, so it would change nothing");
            ConfigIssue::invalid(field, message).help("add `load_4bit: true`, or remove it")
        };
        if !self.load_4bit && self.bnb_double_quant {
            issues.push(without("bnb_double_quant"));
        }
        if !self.load_4bit && self.bnb_quant_type != QuantType::default() {
            issues.push(without("bnb_quant_type"));
        }
    }
}
