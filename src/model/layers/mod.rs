//! The layers that the model families share; the field names are the names in the weight files.
//!
//! Activations are `[tokens, width]`: the rows of a batch lie one after another. What a layer needs besides its input
//! (where the rows are, the rotary table, the cache, dropout) is a [`Pass`].

mod attention;
mod linear;
mod mlp;
mod norm;

use std::sync::Arc;

use burn::tensor::Tensor;

pub(crate) use attention::Attention;
pub(crate) use linear::{Linear, Lora};
pub(crate) use mlp::{Activation, Mlp};
pub(crate) use norm::RmsNorm;

use super::batch::Rows;
use super::cache::KeyValueCache;
use super::random::Stream;
use super::rope::RotaryTable;

/// What one run over a batch shares between its layers.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    /// Where the rows are.
    pub(crate) rows: Arc<Rows>,
    /// Cosines and sines for every position of the pass.
    pub(crate) rotary: RotaryTables,
    /// Keys and values of earlier tokens, when decoding.
    pub(crate) cache: Option<&'a mut KeyValueCache>,
    /// The random stream of dropout, when training.
    pub(crate) dropout: Option<Stream>,
}

/// The tables of layers that see everything and of those with a sliding window, which may turn otherwise.
#[derive(Debug, Clone)]
pub(crate) struct RotaryTables {
    /// Of layers that see everything.
    pub(crate) full: Arc<RotaryTable>,
    /// Of layers with a window.
    pub(crate) sliding: Arc<RotaryTable>,
}

impl RotaryTables {
    /// The table of a layer.
    pub(crate) fn of(&self, window: Option<usize>) -> Arc<RotaryTable> {
        if window.is_some() { self.sliding.clone() } else { self.full.clone() }
    }
}

/// Looks at every weight of a model, in a fixed order.
///
/// Weights of the base have their names in the weight files, weights of an adapter those PEFT gives them.
pub(crate) trait WeightVisitor {
    /// Called once for each weight.
    fn visit<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>);
}
