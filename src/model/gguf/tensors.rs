//! The tensors of a GGUF file under their names in transformers.
//!
//! llama.cpp stores the rows of queries and keys of the `llama` architecture in another order, since it turns
//! neighbouring coordinates where transformers turns halves; that is undone when they are read.

use std::collections::BTreeMap;
use std::path::Path;

use super::reader::{Header, TensorInfo};
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::weights::{Entry, Twist};

/// Tensors outside of the layers.
const TOP: [(&str, &str); 3] =
    [("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

/// Tensors of a layer, below `blk.N.` and `model.layers.N.`.
const LAYER: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// Every tensor of the file.
///
/// # Errors
/// A name is not known, or a tensor can't be put back into transformers' order.
pub(super) fn entries(
    header: &Header,
    config: &ModelConfig,
    path: &Path,
) -> Result<BTreeMap<String, Entry>, ModelError> {
    let entry = |(name, info): (&String, &TensorInfo)| {
        let Some(new_name) = transformers_name(name) else {
            let (tensor, found, path) = (name.clone(), info.shape.clone(), path.to_path_buf());
            return Err(ModelError::UnexpectedTensor { tensor, found, path });
        };
        let twist = twist(&new_name, info, config)?;
        let TensorInfo { format, shape, start, end } = info.clone();
        Ok((new_name, Entry { file: 0, format, twist, shape, start, end }))
    };
    header.tensors.iter().map(entry).collect()
}

fn transformers_name(name: &str) -> Option<String> {
    let (module, part) = name.rsplit_once('.').filter(|(_, part)| matches!(*part, "weight" | "bias"))?;
    if let Some((_, known)) = TOP.iter().find(|(old, _)| *old == module) {
        return Some(format!("{known}.{part}"));
    }
    let (layer, module) = module.strip_prefix("blk.")?.split_once('.')?;
    let (_, known) = LAYER.iter().find(|(old, _)| *old == module)?;
    let number: usize = layer.parse().ok().filter(|number: &usize| number.to_string() == layer)?;
    Some(format!("model.layers.{number}.{known}.{part}"))
}

/// The name of a tensor of transformers in llama.cpp.
pub(super) fn llama_cpp_name(name: &str) -> Option<String> {
    let (module, part) = name.rsplit_once('.').filter(|(_, part)| matches!(*part, "weight" | "bias"))?;
    if let Some((known, _)) = TOP.iter().find(|(_, new)| *new == module) {
        return Some(format!("{known}.{part}"));
    }
    let (layer, module) = module.strip_prefix("model.layers.")?.split_once('.')?;
    let (known, _) = LAYER.iter().find(|(_, new)| *new == module)?;
    Some(format!("blk.{layer}.{known}.{part}"))
}

/// Into how many heads the rows of a tensor are divided that llama.cpp has in another order.
pub(super) fn turned_heads(name: &str, config: &ModelConfig) -> Option<usize> {
    if !matches!(config.model_type.as_str(), "llama" | "mistral") {
        return None;
    }
    match name.rsplit('.').nth(1) {
        Some("q_proj") => Some(config.num_attention_heads),
        Some("k_proj") => Some(config.num_key_value_heads),
        _ => None,
    }
}

fn twist(name: &str, info: &TensorInfo, config: &ModelConfig) -> Result<Twist, ModelError> {
    let Some(heads) = turned_heads(name, config) else { return Ok(Twist::None) };
    let rows = heads * config.head_dim;
    if info.shape[0] == rows {
        return Ok(Twist::Interleaved { heads });
    }
    let expected = [&[rows], &info.shape[1..]].concat();
    Err(ModelError::Shape { tensor: name.to_owned(), found: info.shape.clone(), expected })
}
