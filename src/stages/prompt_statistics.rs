//! What `render-prompts` reports about the rows it wrote and the rows it left out.

use serde_json::{Map, Value, json};

use crate::text::prompts::{Rendered, Renderer};

/// The width of a bar of the length histogram, in tokens.
const BAR: u32 = 64;

/// Counts over all rows.
#[derive(Debug, Default)]
pub(super) struct PromptStatistics {
    /// Rows left out because they were too long.
    pub(super) overlong: u64,
    /// Rows left out because nothing in them is trained.
    pub(super) empty: u64,
    lengths: Vec<u32>,
    trained: u64,
    truncated: u64,
    straddling: u64,
}

impl PromptStatistics {
    /// Takes in a row that is written.
    pub(super) fn push(&mut self, rendered: &Rendered) {
        self.lengths.push(u32::try_from(rendered.row.input_ids.len()).unwrap_or(u32::MAX));
        self.trained += rendered.row.targets() as u64;
        self.truncated += u64::from(rendered.truncated);
        self.straddling += rendered.straddling as u64;
    }

    /// How many rows were written.
    pub(super) fn rows(&self) -> u64 {
        self.lengths.len() as u64
    }

    /// How many rows were written or left out.
    pub(super) fn seen(&self) -> u64 {
        self.rows() + self.overlong + self.empty
    }

    fn tokens(&self) -> u64 {
        self.lengths.iter().map(|length| u64::from(*length)).sum()
    }

    fn trained_share(&self) -> f64 {
        self.trained as f64 / self.tokens().max(1) as f64
    }

    /// The figures worth a line.
    pub(super) fn metrics(&self) -> Map<String, Value> {
        let mut metrics = Map::new();
        metrics.insert("rows".into(), self.rows().into());
        metrics.insert("tokens".into(), self.tokens().into());
        metrics.insert("trained_share".into(), self.trained_share().into());
        metrics.insert("dropped".into(), (self.overlong + self.empty).into());
        metrics
    }

    /// The whole report.
    pub(super) fn report(&self, renderer: &Renderer) -> Value {
        let mut lengths = self.lengths.clone();
        lengths.sort_unstable();
        // The nearest-rank quantile: the smallest length that at least this share of rows does not exceed.
        let quantile = |share: usize| lengths[(lengths.len() * share).div_ceil(100).max(1) - 1];
        let style = renderer.style();
        json!({
            "rows": self.rows(),
            "tokens": self.tokens(),
            "trained_tokens": self.trained,
            "trained_share": self.trained_share(),
            "dropped": {"overlong": self.overlong, "empty": self.empty},
            "truncated_rows": self.truncated,
            "straddling_tokens": self.straddling,
            "length": {
                "min": lengths[0],
                "mean": self.tokens() as f64 / self.rows() as f64,
                "p50": quantile(50),
                "p90": quantile(90),
                "p99": quantile(99),
                "max": lengths[lengths.len() - 1],
            },
            "length_histogram": histogram(&lengths),
            "tool_mode": style.map(|style| if style.inline { "inline" } else { "native" }),
            "system_text": style.map(|style| if style.merged_system { "merged" } else { "own_message" }),
            "stop_token_ids": renderer.stop_ids(),
        })
    }
}

/// Bars from `from` to below `from + BAR` tokens, empty ones left out.
fn histogram(sorted: &[u32]) -> Vec<Value> {
    let bars = sorted.chunk_by(|left, right| left / BAR == right / BAR);
    bars.map(|bar| json!({"from": bar[0] / BAR * BAR, "rows": bar.len()})).collect()
}
