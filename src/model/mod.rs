//! Language models: loading, training, generating, merging. The only room that knows burn.
//!
//! The façade is plain data: folders and token ids in, folders, ids and numbers out; no tensor crosses it, and neither
//! does text. A decoder of shared `layers`, and one file for what a family of models has of its own (`families`); the
//! operations that decide the speed are in `fused`.

mod backend;
mod batch;
mod cache;
mod causal_lm;
mod config;
mod decoder;
mod describe;
mod encoder;
mod error;
mod families;
mod folder;
mod fused;
mod generate;
mod gguf;
mod init;
mod layers;
mod lora;
mod merge;
mod quantised;
mod random;
mod rope;
mod sentence_folder;
mod training;
mod weights;

pub use backend::probe_device;
pub use causal_lm::{CausalLm, Logits};
pub use config::ModelConfig;
pub use describe::{Description, FormatUsage, ModelFile, Sizes, describe};
pub use encoder::Encoder;
pub use error::ModelError;
pub use generate::{GenerateOptions, GenerateProgress, Generation, StopReason};
pub use gguf::{GgufFormat, export_gguf, export_gguf_adapter, tokenizer_spec};
pub use init::init;
pub use lora::LoraConfig;
pub use merge::{MergeSummary, merge};
pub use quantised::{FourBitCode, Precision};
pub use training::{Method, Schedule, TrainConfig, TrainExample, TrainStep, TrainSummary, Warmup, train};
pub use weights::FloatFormat;
