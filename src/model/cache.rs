//! Keys and values of the tokens already seen, and attention over them.
//!
//! The cache lives in the host's memory on every backend: decoding reads it far more often than it could be moved.
//! Peak memory: layers * rows * longest row * n_kv_heads * head_dim * 8 bytes; a layer with a sliding window keeps what it
//! no longer sees.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::batch::Rows;
use super::config::ModelConfig;
use super::fused::attend::{AttentionForm, AttentionHead};
use super::fused::buffer::numbers;
use super::fused::heads::turn;
use super::rope::RotaryTable;

/// The cache of every layer.
#[derive(Debug)]
pub(crate) struct KeyValueCache {
    n_heads: usize,
    n_kv_heads: usize,
    head_dim: usize,
    /// Tokens seen so far, for each row.
    lengths: Vec<usize>,
    /// For each layer, for each row, for each key-value head.
    layers: Vec<Vec<Vec<CachedHead>>>,
}

/// Turned keys, and values, of one head of one row: both `[length, head_dim]`.
#[derive(Debug, Clone, Default)]
struct CachedHead {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl KeyValueCache {
    /// An empty cache for this many rows.
    pub(crate) fn new(config: &ModelConfig, rows: usize) -> Self {
        let heads = vec![CachedHead::default(); config.num_key_value_heads];
        Self {
            n_heads: config.num_attention_heads,
            n_kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            lengths: vec![0; rows],
            layers: vec![vec![heads; rows]; config.num_hidden_layers],
        }
    }

    /// Tokens seen so far, for each row.
    pub(crate) fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Counts the tokens of a pass, once all layers have seen them.
    pub(crate) fn advance(&mut self, rows: &Rows) {
        self.lengths.iter_mut().zip(rows.iter()).for_each(|(length, row)| *length += row.len());
    }

    /// Forgets the rows for which `keep` is false; the others keep their order.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        fn filter<T>(items: &mut Vec<T>, keep: &[bool]) {
            let mut keep = keep.iter();
            items.retain(|_| *keep.next().expect("there is one decision a row"));
        }
        filter(&mut self.lengths, keep);
        self.layers.iter_mut().for_each(|rows| filter(rows, keep));
    }

    /// Adds the keys and values of new tokens to one layer's cache and attends to all of them.
    ///
    /// # Shapes
    /// queries `[tokens, n_heads * head_dim]`, keys and values `[tokens, n_kv_heads * head_dim]`, f32 ->
    /// `[tokens, n_heads * head_dim]`. Row i of `rows` continues row i of the cache.
    pub(crate) fn attend(
        &mut self,
        layer: usize,
        queries_keys_values: [Tensor<2>; 3],
        rows: &Rows,
        rotary: &RotaryTable,
        form: AttentionForm,
    ) -> Tensor<2> {
        let device = queries_keys_values[0].device();
        let queries_keys_values = queries_keys_values.map(numbers);
        let [queries, keys, values] = queries_keys_values.each_ref().map(Vec::as_slice);
        let (n_heads, n_kv_heads, head_dim) = (self.n_heads, self.n_kv_heads, self.head_dim);
        let mut out = vec![0.0; queries.len()];
        let mut tasks = Vec::with_capacity(rows.count());
        let mut rest = out.as_mut_slice();
        for ((row, past), heads) in rows.iter().zip(&self.lengths).zip(&mut self.layers[layer]) {
            let (out, after) = rest.split_at_mut(row.len() * n_heads * head_dim);
            tasks.push((row, *past, heads, out));
            rest = after;
        }
        tasks.into_par_iter().with_max_len(1).for_each(|(row, past, heads, out)| {
            let new = |numbers: &[f32], count: usize, head: usize, rotary: Option<&RotaryTable>| {
                gather(
                    &numbers[row.start * count * head_dim..row.end * count * head_dim],
                    [count, head, head_dim],
                    past,
                    rotary,
                )
            };
            for (head, cached) in heads.iter_mut().enumerate() {
                cached.keys.extend(new(keys, n_kv_heads, head, Some(rotary)));
                cached.values.extend(new(values, n_kv_heads, head, None));
            }
            let (mut head_out, mut log_sums, mut scratch) =
                (vec![0.0; row.len() * head_dim], vec![0.0; row.len()], Vec::new());
            for head in 0..n_heads {
                let cached = &heads[head / (n_heads / n_kv_heads)];
                let queries = new(queries, n_heads, head, Some(rotary));
                let attention =
                    AttentionHead { queries: &queries, keys: &cached.keys, values: &cached.values, head_dim, form };
                attention.forward(&mut head_out, &mut log_sums, &mut scratch);
                for (token, numbers) in out.chunks_exact_mut(n_heads * head_dim).zip(head_out.chunks_exact(head_dim)) {
                    token[head * head_dim..][..head_dim].copy_from_slice(numbers);
                }
            }
        });
        Tensor::from_data(TensorData::new(out, [rows.tokens(), n_heads * head_dim]), &device)
    }
}

/// One head of each token, turned to its position if a table is given.
fn gather(tokens: &[f32], [heads, head, head_dim]: [usize; 3], past: usize, rotary: Option<&RotaryTable>) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(tokens.len() / heads);
    for token in tokens.chunks_exact(heads * head_dim) {
        numbers.extend_from_slice(&token[head * head_dim..][..head_dim]);
    }
    if let Some(table) = rotary {
        for (offset, numbers) in numbers.chunks_exact_mut(head_dim).enumerate() {
            let (cosines, sines) = table.at(past + offset);
            turn(numbers, cosines, sines, 1.0);
        }
    }
    numbers
}
