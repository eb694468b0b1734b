//! The decoder-only transformer that all families share: embedding, layers of attention and feed-forward, norm, head.
//!
//! What a family has and others have not is in `families/`. The constructor names every tensor.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::batch::Rows;
use super::cache::KeyValueCache;
use super::config::ModelConfig;
use super::error::ModelError;
use super::fused::cross_entropy::{Target, linear_cross_entropy};
use super::fused::linear::linear;
use super::layers::{Attention, Linear, Mlp, Pass, RmsNorm, RotaryTables, WeightVisitor};
use super::random::Stream;
use super::rope::RotaryTable;
use super::weights::{WeightMatrix, WeightSource};

/// The embedding's name in the weight files.
pub(crate) const EMBED_TOKENS: &str = "model.embed_tokens.weight";
/// The head's, if it is not the embedding.
pub(crate) const LM_HEAD: &str = "lm_head.weight";

/// A decoder. A clone shares the weights.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    config: ModelConfig,
    /// `[vocab, d_model]`.
    embed_tokens: WeightMatrix,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    /// `None` when the embedding is the head.
    lm_head: Option<WeightMatrix>,
}

#[derive(Debug, Clone)]
struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: Attention,
    /// Before the feed-forward block; of a sandwich, after attention.
    post_attention_layernorm: RmsNorm,
    sandwich: Option<Sandwich>,
    mlp: Mlp,
}

/// The norms around the feed-forward block of families that normalise both what goes in and what comes out.
#[derive(Debug, Clone)]
struct Sandwich {
    pre_feedforward_layernorm: RmsNorm,
    post_feedforward_layernorm: RmsNorm,
}

impl Decoder {
    /// Takes every tensor of the architecture from `source`.
    ///
    /// # Errors
    /// As the source.
    pub(crate) fn new(config: &ModelConfig, source: &mut impl WeightSource) -> Result<Self, ModelError> {
        let vocabulary = [config.vocab_size, config.hidden_size];
        let embed_tokens = source.vocabulary(EMBED_TOKENS, vocabulary)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| DecoderLayer::new(config, index, source))
            .collect::<Result<_, _>>()?;
        let norm = RmsNorm::new(source, "model.norm", config.hidden_size, config)?;
        let lm_head = if config.tie_word_embeddings { None } else { Some(source.vocabulary(LM_HEAD, vocabulary)?) };
        Ok(Self { config: config.clone(), embed_tokens, layers, norm, lm_head })
    }

    /// The configuration the model was built from.
    pub(crate) const fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The device the weights are on.
    pub(crate) fn device(&self) -> Device {
        self.norm.device()
    }

    /// Runs the layers over the rows of a batch.
    ///
    /// # Shapes
    /// input_ids `[tokens]` -> the normalised last hidden state, `[tokens, d_model]` f32.
    pub(crate) fn hidden_states(&self, input_ids: &[u32], rows: &Arc<Rows>, dropout: Option<Stream>) -> Tensor<2> {
        let pass = Pass { rows: rows.clone(), rotary: self.rotary(rows.longest()), cache: None, dropout };
        self.run(input_ids, pass)
    }

    /// The same for tokens that continue the rows of a cache, which then holds them too.
    ///
    /// # Shapes
    /// As [`Decoder::hidden_states`].
    pub(crate) fn hidden_states_cached(
        &self,
        input_ids: &[u32],
        rows: &Arc<Rows>,
        cache: &mut KeyValueCache,
    ) -> Tensor<2> {
        let ends = cache.lengths().iter().zip(rows.iter()).map(|(past, row)| past + row.len());
        let rotary = self.rotary(ends.max().unwrap_or(0));
        let hidden = self.run(input_ids, Pass { rows: rows.clone(), rotary, cache: Some(&mut *cache), dropout: None });
        cache.advance(rows);
        hidden
    }

    fn rotary(&self, positions: usize) -> RotaryTables {
        let table = |rope| Arc::new(RotaryTable::new(rope, self.config.head_dim, positions));
        let full = table(self.config.rope);
        let sliding = self.config.sliding_rope.map_or_else(|| full.clone(), table);
        RotaryTables { full, sliding }
    }

    fn run(&self, input_ids: &[u32], mut pass: Pass) -> Tensor<2> {
        let mut x = self.embed_tokens.rows(input_ids, &self.device()); // [tokens, d_model]
        if self.config.family.scales_embedding {
            x = x * (self.config.hidden_size as f64).sqrt();
        }
        for layer in &self.layers {
            x = layer.forward(x, &mut pass);
        }
        self.norm.forward(x)
    }

    /// Scores of every token id.
    ///
    /// # Shapes
    /// hidden `[tokens, d_model]` -> `[tokens, vocab]`, f32.
    pub(crate) fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        linear(hidden, self.head())
    }

    /// The sum of the cross-entropies of the targets, in nats.
    ///
    /// # Shapes
    /// hidden `[tokens, d_model]` -> `[1]`, f32.
    pub(crate) fn loss(&self, hidden: Tensor<2>, targets: Arc<[Target]>) -> Tensor<1> {
        linear_cross_entropy(hidden, self.head().dense(&self.device()), targets)
    }

    /// `[vocab, d_model]`.
    fn head(&self) -> &WeightMatrix {
        self.lm_head.as_ref().unwrap_or(&self.embed_tokens)
    }

    /// The projections an adapter may be put on, in the order of the layers.
    pub(crate) fn projections(&mut self) -> impl Iterator<Item = &mut Linear> {
        let layers = self.layers.iter_mut();
        layers.flat_map(|layer| layer.self_attn.projections().into_iter().chain(layer.mlp.projections()))
    }

    /// Bytes that the matrices take in memory; norms, biases and adapters, which are small, are left out.
    pub(crate) fn matrix_bytes(&mut self) -> usize {
        let vocabulary = self.embed_tokens.size_bytes() + self.lm_head.as_ref().map_or(0, WeightMatrix::size_bytes);
        self.projections().map(|projection| projection.weight().size_bytes()).sum::<usize>() + vocabulary
    }

    /// Shows every weight to `visitor`.
    pub(crate) fn visit(&mut self, visitor: &mut impl WeightVisitor) {
        self.embed_tokens.visit(EMBED_TOKENS, visitor);
        for layer in &mut self.layers {
            layer.input_layernorm.visit(visitor);
            layer.self_attn.visit(visitor);
            layer.post_attention_layernorm.visit(visitor);
            if let Some(sandwich) = &mut layer.sandwich {
                sandwich.pre_feedforward_layernorm.visit(visitor);
                sandwich.post_feedforward_layernorm.visit(visitor);
            }
            layer.mlp.visit(visitor);
        }
        self.norm.visit(visitor);
        if let Some(lm_head) = &mut self.lm_head {
            lm_head.visit(LM_HEAD, visitor);
        }
    }
}

/// Whether transformers writes `name` although the architecture does not need it: a head tied to the embedding, and the
/// rotary frequencies that old versions kept.
pub(crate) fn is_redundant(config: &ModelConfig, name: &str) -> bool {
    (config.tie_word_embeddings && name == "lm_head.weight") || name.ends_with(".rotary_emb.inv_freq")
}

impl DecoderLayer {
    fn new(config: &ModelConfig, index: usize, source: &mut impl WeightSource) -> Result<Self, ModelError> {
        let name = format!("model.layers.{index}");
        let norm =
            |part: &str, source: &mut _| RmsNorm::new(source, &format!("{name}.{part}"), config.hidden_size, config);
        let sandwich = |source: &mut _| -> Result<Sandwich, ModelError> {
            Ok(Sandwich {
                pre_feedforward_layernorm: norm("pre_feedforward_layernorm", source)?,
                post_feedforward_layernorm: norm("post_feedforward_layernorm", source)?,
            })
        };
        Ok(Self {
            input_layernorm: norm("input_layernorm", source)?,
            self_attn: Attention::new(source, &format!("{name}.self_attn"), index, config)?,
            post_attention_layernorm: norm("post_attention_layernorm", source)?,
            sandwich: if config.family.sandwich_norms { Some(sandwich(source)?) } else { None },
            mlp: Mlp::new(source, &format!("{name}.mlp"), config)?,
        })
    }

    /// # Shapes
    /// `[tokens, d_model]` f32 -> `[tokens, d_model]`.
    fn forward(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let attended = self.self_attn.forward(self.input_layernorm.forward(x.clone()), pass);
        if let Some(Sandwich { pre_feedforward_layernorm, post_feedforward_layernorm }) = &self.sandwich {
            let x = x + self.post_attention_layernorm.forward(attended);
            let fed_forward = self.mlp.forward(pre_feedforward_layernorm.forward(x.clone()), pass);
            return x + post_feedforward_layernorm.forward(fed_forward);
        }
        let x = x + attended;
        let fed_forward = self.mlp.forward(self.post_attention_layernorm.forward(x.clone()), pass);
        x + fed_forward
    }
}
