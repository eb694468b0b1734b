//! Sentence embeddings: a BERT encoder, the mean over the tokens of its last layer, scaled to length one.
//!
//! As sentence-transformers computes them (Reimers and Gurevych, "Sentence-BERT", 2019). Rows are laid one after another
//! without padding, so how they are batched does not matter. Inference only; it runs on the CPU whatever the backend,
//! since a row is short and there are few.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData, activation};
use rayon::prelude::*;

use super::backend;
use super::batch::{Batch, Rows};
use super::error::ModelError;
use super::families::bert::BertConfig;
use super::fused::buffer::numbers;
use super::fused::linear::linear;
use super::fused::simd::{dot, vectorised};
use super::quantised::Precision;
use super::sentence_folder::SentenceFolder;
use super::weights::{FileSource, WeightFiles, WeightMatrix, WeightSource};
use crate::device::DeviceSpec;

/// An encoder of sentences, without its tokenizer.
#[derive(Debug)]
pub struct Encoder {
    config: BertConfig,
    max_tokens: usize,
    embeddings: Embeddings,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Embeddings {
    words: Vec<f32>,
    positions: Vec<f32>,
    /// Of the first type: no sentence here has a second.
    token_type: Vec<f32>,
    norm: LayerNorm,
}

#[derive(Debug)]
struct Layer {
    query: Projection,
    key: Projection,
    value: Projection,
    attention_output: Projection,
    attention_norm: LayerNorm,
    intermediate: Projection,
    output: Projection,
    output_norm: LayerNorm,
}

/// y = x W^T + b.
#[derive(Debug)]
struct Projection {
    weight: WeightMatrix,
    bias: Tensor<1>,
}

/// (x - mean) / sqrt(variance + eps), times a gain, plus a bias.
#[derive(Debug)]
struct LayerNorm {
    gain: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
}

/// Checks that a folder could be loaded, without its weights.
///
/// # Errors
/// As [`Encoder::load`].
pub(crate) fn check(folder: &Path) -> Result<(), ModelError> {
    BertConfig::read(folder)?;
    SentenceFolder::read(folder).map(|_| ())
}

impl Encoder {
    /// Loads an encoder's folder.
    ///
    /// # Errors
    /// It is no BERT encoder, pools otherwise than by the mean, or a file is malformed.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let config = BertConfig::read(folder)?;
        let sentences = SentenceFolder::read(folder)?;
        let files = WeightFiles::open_folder(folder)?;
        // A checkpoint of the bare encoder has no prefix, one with a head has.
        let prefix = if files.get("bert.embeddings.word_embeddings.weight").is_some() { "bert." } else { "" };
        let device = backend::open(DeviceSpec::default())?;
        let ignored = |name: &str| {
            let name = name.strip_prefix(prefix).unwrap_or(name);
            name == "embeddings.position_ids" || name.starts_with("pooler.") || name.starts_with("cls.")
        };
        files.refuse_unreadable(ignored).map_err(ModelError::at(folder))?;
        let mut source = FileSource::new(&files, &device, Precision::Full);
        let embeddings = Embeddings::new(&mut source, &format!("{prefix}embeddings"), &config);
        let embeddings = embeddings.map_err(ModelError::at(folder))?;
        let layer = |index| Layer::new(&mut source, &format!("{prefix}encoder.layer.{index}"), &config);
        let layers =
            (0..config.num_hidden_layers).map(layer).collect::<Result<_, _>>().map_err(ModelError::at(folder))?;
        source.finish(ignored)?;
        let max_tokens = config.max_position_embeddings.min(sentences.max_tokens.unwrap_or(usize::MAX));
        Ok(Self { config, max_tokens, embeddings, layers })
    }

    /// The most tokens of a sentence, special ones included; what is longer has to be cut by whoever tokenises.
    #[must_use]
    pub const fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The embedding of each row of token ids, each of length one.
    ///
    /// # Shapes
    /// `[rows][seq]` -> `[rows][d_model]`, f32.
    ///
    /// # Errors
    /// A row is empty, too long, or holds an id outside the vocabulary.
    pub fn embed(&self, input_ids: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, ModelError> {
        if let Some((row, ids)) = input_ids.iter().enumerate().find(|(_, ids)| ids.len() > self.max_tokens) {
            let reason = format!("has `{}` tokens; expected at most `{}`", ids.len(), self.max_tokens);
            return Err(ModelError::Row { row, reason });
        }
        if input_ids.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::new(input_ids.iter().map(Vec::as_slice), self.config.vocab_size)?;
        let mut x = self.embeddings.forward(&batch, self.config.hidden_size);
        for layer in &self.layers {
            x = layer.forward(x, &batch.rows, self.config.num_attention_heads);
        }
        let (hidden, width) = (numbers(x), self.config.hidden_size);
        Ok(batch.rows.iter().map(|row| mean_direction(&hidden[row.start * width..row.end * width], width)).collect())
    }
}

/// The mean of some vectors, scaled to length one as torch's `normalize` does it.
fn mean_direction(tokens: &[f32], width: usize) -> Vec<f32> {
    let mut mean = vec![0.0_f32; width];
    for token in tokens.chunks_exact(width) {
        mean.iter_mut().zip(token).for_each(|(sum, number)| *sum += number);
    }
    let count = (tokens.len() / width) as f32;
    for sum in &mut mean {
        *sum /= count;
    }
    let length = mean.iter().map(|number| number * number).sum::<f32>().sqrt().max(1e-12);
    for number in &mut mean {
        *number /= length;
    }
    mean
}

impl Embeddings {
    fn new(source: &mut FileSource, name: &str, config: &BertConfig) -> Result<Self, ModelError> {
        let mut table = |part: &str, rows: usize| {
            source.dense(&format!("{name}.{part}.weight"), [rows, config.hidden_size]).map(numbers)
        };
        let words = table("word_embeddings", config.vocab_size)?;
        let positions = table("position_embeddings", config.max_position_embeddings)?;
        let mut token_type = table("token_type_embeddings", config.type_vocab_size)?;
        token_type.truncate(config.hidden_size);
        Ok(Self { words, positions, token_type, norm: LayerNorm::new(source, &format!("{name}.LayerNorm"), config)? })
    }

    /// # Shapes
    /// ids `[tokens]` -> `[tokens, d_model]`.
    fn forward(&self, batch: &Batch, width: usize) -> Tensor<2> {
        let mut sums = Vec::with_capacity(batch.input_ids.len() * width);
        for row in batch.rows.iter() {
            for (position, id) in batch.input_ids[row].iter().enumerate() {
                let word = &self.words[*id as usize * width..][..width];
                let position = &self.positions[position * width..][..width];
                let parts = word.iter().zip(&self.token_type).zip(position);
                sums.extend(parts.map(|((word, token_type), position)| word + token_type + position));
            }
        }
        let sums = Tensor::from_data(TensorData::new(sums, [batch.input_ids.len(), width]), &self.norm.gain.device());
        self.norm.forward(sums)
    }
}

impl Layer {
    fn new(source: &mut impl WeightSource, name: &str, config: &BertConfig) -> Result<Self, ModelError> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let mut projection = |part: &str, shape| Projection::new(source, &format!("{name}.{part}"), shape);
        let query = projection("attention.self.query", [width, width])?;
        let key = projection("attention.self.key", [width, width])?;
        let value = projection("attention.self.value", [width, width])?;
        let attention_output = projection("attention.output.dense", [width, width])?;
        let intermediate = projection("intermediate.dense", [inner, width])?;
        let output = projection("output.dense", [width, inner])?;
        let attention_norm = LayerNorm::new(source, &format!("{name}.attention.output.LayerNorm"), config)?;
        let output_norm = LayerNorm::new(source, &format!("{name}.output.LayerNorm"), config)?;
        Ok(Self { query, key, value, attention_output, attention_norm, intermediate, output, output_norm })
    }

    /// # Shapes
    /// `[tokens, d_model]` -> `[tokens, d_model]`.
    fn forward(&self, x: Tensor<2>, rows: &Arc<Rows>, heads: usize) -> Tensor<2> {
        let parts = [&self.query, &self.key, &self.value].map(|part| numbers(part.forward(x.clone())));
        let attended = attend(&parts, x.dims(), rows, heads);
        let attended = Tensor::from_data(TensorData::new(attended, x.dims()), &x.device());
        let x = self.attention_norm.forward(x + self.attention_output.forward(attended));
        // The exact form, with the error function.
        let inner = activation::gelu(self.intermediate.forward(x.clone())); // [tokens, d_ff]
        self.output_norm.forward(x + self.output.forward(inner))
    }
}

impl Projection {
    fn new(source: &mut impl WeightSource, name: &str, shape: [usize; 2]) -> Result<Self, ModelError> {
        let weight = source.projection(&format!("{name}.weight"), shape)?;
        Ok(Self { weight, bias: source.bias(&format!("{name}.bias"), shape[0])? })
    }

    /// # Shapes
    /// `[tokens, in]` -> `[tokens, out]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(x, &self.weight) + self.bias.clone().unsqueeze()
    }
}

impl LayerNorm {
    fn new(source: &mut impl WeightSource, name: &str, config: &BertConfig) -> Result<Self, ModelError> {
        let gain = source.gain(&format!("{name}.weight"), config.hidden_size)?;
        let bias = source.bias(&format!("{name}.bias"), config.hidden_size)?;
        Ok(Self { gain, bias, eps: config.layer_norm_eps })
    }

    /// # Shapes
    /// `[tokens, d_model]` -> `[tokens, d_model]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let centred = x.clone() - x.mean_dim(1);
        let variance = centred.clone().square().mean_dim(1); // [tokens, 1]
        centred / (variance + self.eps).sqrt() * self.gain.clone().unsqueeze() + self.bias.clone().unsqueeze()
    }
}

/// Softmax(q k^T / sqrt(head_dim)) v of every head of every row; each token sees its whole row.
///
/// # Shapes
/// three times `[tokens, d_model]` -> `[tokens, d_model]`.
fn attend(parts: &[Vec<f32>; 3], [tokens, width]: [usize; 2], rows: &Rows, heads: usize) -> Vec<f32> {
    let mut out = vec![0.0; tokens * width];
    let mut tasks = Vec::with_capacity(rows.count());
    let mut rest = out.as_mut_slice();
    for row in rows.iter() {
        let (out, after) = rest.split_at_mut(row.len() * width);
        tasks.push((parts.each_ref().map(|part| &part[row.start * width..row.end * width]), out));
        rest = after;
    }
    tasks.into_par_iter().with_max_len(1).for_each(|(parts, out)| {
        for head in 0..heads {
            attend_head(parts, head, [width, width / heads], out);
        }
    });
    out
}

vectorised! {
    /// One head of one row.
    fn attend_head(parts: [&[f32]; 3], head: usize, sizes: [usize; 2], out: &mut [f32]) {
        let [queries, keys, values] = parts;
        let [width, head_dim] = sizes;
        let (length, start) = (queries.len() / width, head * head_dim);
        let of = |token: usize| token * width + start..token * width + start + head_dim;
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut scores = vec![0.0_f32; length];
        for query in 0..length {
            for (key, score) in scores.iter_mut().enumerate() {
                *score = dot(&queries[of(query)], &keys[of(key)]) * scale;
            }
            let most = scores.iter().copied().fold(f32::MIN, f32::max);
            for score in &mut scores {
                *score = (*score - most).exp();
            }
            let sum: f32 = scores.iter().sum();
            let out = &mut out[of(query)];
            for (value, score) in scores.iter().enumerate() {
                let weight = score / sum;
                out.iter_mut().zip(&values[of(value)]).for_each(|(out, number)| *out = weight.mul_add(*number, *out));
            }
        }
    }
}
