//! What llama.cpp and transformers call the parts of a model, in one place for each architecture of llama.cpp.
//!
//! Names: `gguf-py/gguf/tensor_mapping.py`; what a converter does to the numbers: `conversion/*.py` and `convert_hf_to_gguf.py`.
//!
//! llama.cpp stores the rows of queries and keys of `llama` in another order, since it turns neighbouring coordinates where
//! transformers turns halves; and it stores the gains of Gemma's norms, where transformers has what is added to one.

use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::weights::Twist;

/// An architecture of llama.cpp.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether one peculiarity is there")]
pub(super) struct Architecture {
    /// Its name, with which its metadata keys begin.
    pub(super) name: &'static str,
    /// The families of transformers that it runs; a file is read as the first.
    families: &'static [&'static str],
    /// The class in transformers of what is read.
    pub(super) class: &'static str,
    /// The activation, as field and value of `config.json`.
    pub(super) activation: [&'static str; 2],
    /// The norms of a layer over the whole width, by their names in both worlds.
    norms: &'static [(&'static str, &'static str)],
    /// Whether the rows of queries and keys lie in llama.cpp's order.
    interleaved: bool,
    /// Whether norms are stored with one added.
    norms_add_one: bool,
    /// Whether some layers have a sliding window and rotary frequencies of their own.
    pub(super) slides: bool,
    /// Whether `rope_freqs.weight` divides the rotary frequencies, as it does for Llama 3.
    pub(super) rope_freqs: bool,
    /// Which projections have biases.
    pub(super) biases: Biases,
}

/// Which projections of an architecture have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Biases {
    /// None of them.
    None,
    /// Those of queries, keys and values.
    Fixed,
    /// Those that the file has tensors for, as `attention_bias` and `mlp_bias` of `config.json` say.
    Stated,
}

/// Norms before each block alone.
const BEFORE: &[(&str, &str)] = &[("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")];
/// Norms before and after each block.
const AROUND: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

/// What the others are told apart from.
const PLAIN: Architecture = Architecture {
    name: "",
    families: &[],
    class: "",
    activation: ["hidden_act", "silu"],
    norms: BEFORE,
    interleaved: false,
    norms_add_one: false,
    slides: false,
    rope_freqs: false,
    biases: Biases::None,
};

static ARCHITECTURES: [Architecture; 4] = [
    Architecture {
        name: "gemma3",
        families: &["gemma3_text"],
        class: "Gemma3ForCausalLM",
        activation: ["hidden_activation", "gelu_pytorch_tanh"],
        norms: AROUND,
        norms_add_one: true,
        slides: true,
        ..PLAIN
    },
    Architecture {
        name: "llama",
        families: &["llama", "mistral"],
        class: "LlamaForCausalLM",
        interleaved: true,
        rope_freqs: true,
        biases: Biases::Stated,
        ..PLAIN
    },
    Architecture { name: "qwen2", families: &["qwen2"], class: "Qwen2ForCausalLM", biases: Biases::Fixed, ..PLAIN },
    Architecture { name: "qwen3", families: &["qwen3"], class: "Qwen3ForCausalLM", ..PLAIN },
];

/// Tensors outside of the layers.
const TOP: [(&str, &str); 3] =
    [("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

/// Tensors of a layer that have the same name everywhere, below `blk.N.` and `model.layers.N.`.
const LAYER: [(&str, &str); 9] = [
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

impl Architecture {
    /// The architecture that a file names.
    ///
    /// # Errors
    /// It is not known.
    pub(super) fn named(found: &str) -> Result<&'static Self, ModelError> {
        ARCHITECTURES.iter().find(|known| known.name == found).ok_or_else(|| {
            let names: Vec<String> = ARCHITECTURES.iter().map(|known| format!("`{}`", known.name)).collect();
            let expected = format!("one of {}", names.join(", "));
            ModelError::UnsupportedArchitecture { found: found.to_owned(), expected }
        })
    }

    /// The architecture that a family is written as.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn of(family: &str) -> Result<&'static Self, ModelError> {
        ARCHITECTURES.iter().find(|known| known.families.contains(&family)).ok_or_else(|| {
            let names = ARCHITECTURES.iter().flat_map(|known| known.families).map(|family| format!("`{family}`"));
            let expected = format!("one of {}, to be written as GGUF", names.collect::<Vec<_>>().join(", "));
            ModelError::UnsupportedArchitecture { found: family.to_owned(), expected }
        })
    }

    /// The `model_type` of what is read.
    pub(super) fn model_type(&self) -> &'static str {
        self.families[0]
    }

    /// The name in transformers of a tensor of llama.cpp.
    pub(super) fn transformers_name(&self, name: &str) -> Option<String> {
        let (module, part) = split(name)?;
        if let Some((_, known)) = TOP.iter().find(|(old, _)| *old == module) {
            return Some(format!("{known}.{part}"));
        }
        let (layer, module) = module.strip_prefix("blk.")?.split_once('.')?;
        let (_, known) = self.layer().find(|(old, _)| *old == module)?;
        let number: usize = layer.parse().ok().filter(|number: &usize| number.to_string() == layer)?;
        Some(format!("model.layers.{number}.{known}.{part}"))
    }

    /// The name in llama.cpp of a tensor of transformers.
    pub(super) fn llama_cpp_name(&self, name: &str) -> Option<String> {
        let (module, part) = split(name)?;
        if let Some((known, _)) = TOP.iter().find(|(_, new)| *new == module) {
            return Some(format!("{known}.{part}"));
        }
        let (layer, module) = module.strip_prefix("model.layers.")?.split_once('.')?;
        let (known, _) = self.layer().find(|(_, new)| *new == module)?;
        Some(format!("blk.{layer}.{known}.{part}"))
    }

    fn layer(&self) -> impl Iterator<Item = &(&'static str, &'static str)> {
        self.norms.iter().chain(&LAYER)
    }

    /// How the numbers of a tensor, by its name in transformers, lie in a file of llama.cpp.
    pub(super) fn twist(&self, name: &str, config: &ModelConfig) -> Twist {
        let module = name.rsplit('.').nth(1).unwrap_or_default();
        match module {
            "q_proj" if self.interleaved => Twist::Interleaved { heads: config.num_attention_heads },
            "k_proj" if self.interleaved => Twist::Interleaved { heads: config.num_key_value_heads },
            _ if self.norms_add_one && module.ends_with("norm") => Twist::OneMore,
            _ => Twist::None,
        }
    }
}

/// A tensor's module, and whether it is the module's weight or bias.
fn split(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('.').filter(|(_, part)| matches!(*part, "weight" | "bias"))
}
