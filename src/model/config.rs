//! `config.json` of a model folder, read completely: a field that could change the numbers is honoured or refused.
//!
//! Both spellings of the field are read: transformers 4 (`rope_theta`, `rope_scaling`, `torch_dtype`) and
//! transformers 5 (`rope_parameters`, `dtype`). Fields that cannot change a logit (`use_cache`, `architectures`, …) are
//! listed in [`HARMLESS`]; any other unknown field is an error.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::ModelError;
use super::families::{self, Family, SlidingRule};
use super::rope::Rope;
use super::weights::FloatFormat;

/// Fields of transformers' `PretrainedConfig` that do not change what the model computes.
const HARMLESS: &[&str] = &[
    "_attn_implementation_autoset",
    "_from_model_config",
    "_name_or_path",
    "architectures",
    "cache_implementation",
    "id2label",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "max_window_layers",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "transformers.js_config",
    "transformers_version",
    "use_cache",
];

/// Fields that must have one of these values, because another value would need code that is not there.
const FIXED: &[(&str, &[&str])] = &[
    ("attention_dropout", &["0.0", "0"]),
    ("hidden_act", &["\"silu\""]),
    ("pretraining_tp", &["1"]),
    ("rope_interleaved", &["false"]),
    ("quantization_config", &["null"]),
];

/// What the rest of the program may know about a model; plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The family, as transformers spells it: `llama`, `qwen3`.
    pub model_type: String,
    /// Number of token ids.
    pub vocab_size: usize,
    /// d_model: the width of the residual stream.
    pub hidden_size: usize,
    /// d_ff: the width inside the feed-forward block.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// n_heads: query heads.
    pub num_attention_heads: usize,
    /// n_kv_heads: key and value heads, each shared by n_heads / n_kv_heads query heads.
    pub num_key_value_heads: usize,
    /// The width of one head; need not be hidden_size / num_attention_heads.
    pub head_dim: usize,
    /// The longest row the model was made for, in tokens.
    pub max_position_embeddings: usize,
    /// The constant inside the root of RMSNorm.
    pub rms_norm_eps: f64,
    /// Whether the output head is the embedding matrix.
    pub tie_word_embeddings: bool,
    /// Standard deviation of freshly drawn weights.
    pub initializer_range: f64,
    /// Ids that end a text; empty when the file names none.
    pub eos_token_ids: Vec<u32>,
    /// The id that begins a text.
    pub bos_token_id: Option<u32>,
    /// The id of padding.
    pub pad_token_id: Option<u32>,
    /// The number format the weights are stored in.
    pub dtype: FloatFormat,
    pub(crate) rope: Rope,
    /// Of layers with a sliding window, where they turn otherwise.
    pub(crate) sliding_rope: Option<Rope>,
    /// For each layer the most tokens that one sees, itself included, if there is a limit.
    pub(crate) windows: Vec<Option<usize>>,
    pub(crate) family: Family,
    json: Map<String, Value>,
}

impl ModelConfig {
    /// No model has more, and what each layer is like is listed before a weight is looked for.
    pub(crate) const MAX_LAYERS: usize = 10_000;

    /// Reads `config.json` of `folder`.
    ///
    /// # Errors
    /// The file cannot be read or parsed, names another family, or has a field that cannot be honoured.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(ModelError::read(&path))?;
        Self::parse(&text, &path).map_err(ModelError::at(&path))
    }

    /// Parses the text of a `config.json`; `path` is for messages only.
    ///
    /// # Errors
    /// As [`ModelConfig::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ModelError> {
        let json: Map<String, Value> =
            serde_json::from_str(text).map_err(|source| ModelError::Json { path: path.to_path_buf(), source })?;
        Self::from_json(json)
    }

    /// The same from the parsed fields.
    ///
    /// # Errors
    /// As [`ModelConfig::read`].
    pub(crate) fn from_json(json: Map<String, Value>) -> Result<Self, ModelError> {
        let mut fields = Fields::new(json.clone());
        let model_type: String = fields.required("model_type", "a family name, such as `llama`")?;
        let family = families::read(&model_type, &mut fields)?;
        let config = Self::from_fields(model_type, family, &mut fields, json)?;
        fields.finish()?;
        config.check()?;
        Ok(config)
    }

    fn from_fields(
        model_type: String,
        family: Family,
        fields: &mut Fields,
        json: Map<String, Value>,
    ) -> Result<Self, ModelError> {
        let hidden_size = fields.size("hidden_size")?;
        let num_attention_heads = fields.size("num_attention_heads")?;
        let head_dim = match fields.optional_size("head_dim")? {
            Some(head_dim) => head_dim,
            None if family.needs_head_dim => return Err(ModelError::field("head_dim", "missing", "a whole number")),
            None => hidden_size / num_attention_heads,
        };
        let max_position_embeddings = fields.optional_size("max_position_embeddings")?.unwrap_or(2048);
        let num_hidden_layers = fields.size("num_hidden_layers")?;
        if num_hidden_layers > Self::MAX_LAYERS {
            return Err(ModelError::field(
                "num_hidden_layers",
                num_hidden_layers,
                format!("at most {}", Self::MAX_LAYERS),
            ));
        }
        let (rope, sliding_rope) = fields.ropes(family, max_position_embeddings)?;
        Ok(Self {
            model_type,
            vocab_size: fields.size("vocab_size")?,
            hidden_size,
            intermediate_size: fields.size("intermediate_size")?,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads: fields.optional_size("num_key_value_heads")?.unwrap_or(num_attention_heads),
            head_dim,
            max_position_embeddings,
            rms_norm_eps: fields.optional("rms_norm_eps", "a number")?.unwrap_or(1e-6),
            tie_word_embeddings: fields
                .optional("tie_word_embeddings", "true or false")?
                .unwrap_or(family.tied_by_default),
            initializer_range: fields.optional("initializer_range", "a number")?.unwrap_or(0.02),
            eos_token_ids: fields.token_ids("eos_token_id")?,
            bos_token_id: fields.token_ids("bos_token_id")?.first().copied(),
            pad_token_id: fields.token_ids("pad_token_id")?.first().copied(),
            dtype: fields.dtype()?,
            rope,
            sliding_rope,
            windows: fields.windows(num_hidden_layers, family.sliding)?,
            family,
            json,
        })
    }

    /// What attention scores are multiplied by.
    #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
    pub(crate) fn attention_scale(&self) -> f32 {
        1.0 / (self.family.query_scalar.map_or(self.head_dim as f32, |scalar| scalar as f32)).sqrt()
    }

    fn check(&self) -> Result<(), ModelError> {
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let expected = format!("a divisor of num_attention_heads `{}`", self.num_attention_heads);
            return Err(ModelError::field("num_key_value_heads", self.num_key_value_heads, expected));
        }
        // Else numbers would grow or be none; written so that NaN is refused too.
        if !(self.rms_norm_eps >= 0.0 && self.rms_norm_eps < 1.0) {
            return Err(ModelError::field("rms_norm_eps", self.rms_norm_eps, "a number from 0 to 1"));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return Err(ModelError::field("head_dim", self.head_dim, "an even number, for rotary embeddings"));
        }
        Ok(())
    }

    /// The text of a `config.json` for the same model with its weights stored as `dtype`.
    pub(crate) fn to_json(&self, dtype: FloatFormat) -> String {
        let mut json = self.json.clone();
        let field = if json.contains_key("torch_dtype") { "torch_dtype" } else { "dtype" };
        json.insert(field.to_owned(), Value::from(dtype.config_name()));
        pretty(&Value::Object(json))
    }

    /// The text of a `generation_config.json` as transformers derives it from a model's configuration.
    pub(crate) fn generation_json(&self) -> String {
        let mut json = Map::new();
        json.insert("_from_model_config".to_owned(), Value::from(true));
        for field in ["bos_token_id", "eos_token_id", "pad_token_id"] {
            if let Some(value) = self.json.get(field).filter(|value| !value.is_null()) {
                json.insert(field.to_owned(), value.clone());
            }
        }
        pretty(&Value::Object(json))
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The fields not yet accounted for; what is left at the end is an error.
pub(crate) struct Fields {
    left: Map<String, Value>,
}

impl Fields {
    /// All fields of a file.
    pub(crate) const fn new(json: Map<String, Value>) -> Self {
        Self { left: json }
    }

    /// A text, if the field is there.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ModelError> {
        self.optional(name, "a text")
    }

    /// A number, if the field is there.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<f64>, ModelError> {
        self.optional(name, "a number")
    }

    fn optional<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, ModelError> {
        match self.left.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match serde_json::from_value(value.clone()) {
                Ok(parsed) => Ok(Some(parsed)),
                Err(_) => Err(ModelError::field(name, value, expected)),
            },
        }
    }

    /// A switch that is off unless stated.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, ModelError> {
        Ok(self.optional(name, "true or false")?.unwrap_or(false))
    }

    /// Accepts a field of whatever value, since another one has made it meaningless.
    pub(crate) fn ignore(&mut self, name: &str) {
        self.left.remove(name);
    }

    /// The rotary embedding of full layers, and that of sliding ones if it is another.
    fn ropes(&mut self, family: Family, longest: usize) -> Result<(Rope, Option<Rope>), ModelError> {
        let parameters = self.left.remove("rope_parameters");
        let scaling = self.left.remove("rope_scaling");
        let theta = self.optional("rope_theta", "a number")?;
        let Some([full_theta, sliding_theta]) = family.rope_thetas else {
            return Ok((Rope::from_fields(parameters, scaling, theta, longest)?, None));
        };
        // transformers 5 states both; before, the scaling was that of full layers.
        let of = |kind: &str| parameters.as_ref().and_then(|parameters| parameters.get(kind)).cloned();
        let (full, sliding) = match of("full_attention") {
            Some(full) => (Some(full), of("sliding_attention")),
            None => (parameters.clone(), None),
        };
        let full = Rope::from_fields(full, scaling, theta.or(Some(full_theta)), longest)?;
        Ok((full, Some(Rope::from_fields(sliding, None, Some(sliding_theta), longest)?)))
    }

    /// The window of each layer: as `layer_types` says, else as the family does it.
    fn windows(&mut self, layers: usize, rule: SlidingRule) -> Result<Vec<Option<usize>>, ModelError> {
        // transformers takes 4096 where the field is absent; null means that there is no window.
        let usual = matches!(rule, SlidingRule::Always | SlidingRule::AllButEach(_))
            && !self.left.contains_key("sliding_window");
        let window = if usual { Some(4096) } else { self.optional_size("sliding_window")? };
        let types: Option<Vec<String>> = self.optional("layer_types", "a list of names")?;
        let slides: Vec<bool> = match types {
            None => (0..layers).map(|layer| rule.applies(layer)).collect(),
            Some(types) if types.len() != layers => {
                return Err(ModelError::field("layer_types", format!("{} names", types.len()), format!("`{layers}`")));
            }
            Some(types) => {
                let slides = |name: &String| match name.as_str() {
                    "full_attention" => Ok(false),
                    "sliding_attention" => Ok(true),
                    other => Err(ModelError::field("layer_types", other, "`full_attention` or `sliding_attention`")),
                };
                types.iter().map(slides).collect::<Result<_, _>>()?
            }
        };
        match (window, rule) {
            (Some(window), SlidingRule::Never) => Err(ModelError::field("sliding_window", window, "null")),
            (None, SlidingRule::Never | SlidingRule::Always)
                if rule == SlidingRule::Always || !slides.contains(&true) =>
            {
                Ok(vec![None; layers])
            }
            (None, _) if slides.contains(&true) => {
                Err(ModelError::field("sliding_window", "null", "a number, since layers are said to slide"))
            }
            _ => Ok(slides.into_iter().map(|slides| window.filter(|_| slides)).collect()),
        }
    }

    fn required<T: serde::de::DeserializeOwned>(&mut self, name: &str, expected: &str) -> Result<T, ModelError> {
        self.optional(name, expected)?.ok_or_else(|| ModelError::field(name, "missing", expected))
    }

    /// A whole number from 1 on, if the field is there.
    pub(crate) fn optional_size(&mut self, name: &str) -> Result<Option<usize>, ModelError> {
        let expected = "a whole number from 1 to 2^31";
        let size: Option<u64> = self.optional(name, expected)?;
        match size {
            None => Ok(None),
            Some(size @ 1..=0x8000_0000) => Ok(usize::try_from(size).ok()),
            Some(size) => Err(ModelError::field(name, size, expected)),
        }
    }

    /// A whole number that has to be there.
    pub(crate) fn size(&mut self, name: &str) -> Result<usize, ModelError> {
        self.optional_size(name)?.ok_or_else(|| ModelError::field(name, "missing", "a whole number"))
    }

    /// One id, a list of ids, or null.
    fn token_ids(&mut self, name: &str) -> Result<Vec<u32>, ModelError> {
        match self.left.remove(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(value) => {
                let list = if value.is_array() { value.clone() } else { Value::Array(vec![value.clone()]) };
                serde_json::from_value(list).map_err(|_| ModelError::field(name, value, "a token id or a list of them"))
            }
        }
    }

    fn dtype(&mut self) -> Result<FloatFormat, ModelError> {
        let old: Option<String> = self.optional("torch_dtype", "a dtype name")?;
        let new: Option<String> = self.optional("dtype", "a dtype name")?;
        let Some(name) = new.or(old) else { return Ok(FloatFormat::F32) };
        FloatFormat::from_config_name(&name)
            .ok_or_else(|| ModelError::field("dtype", name, "`float32`, `float16` or `bfloat16`"))
    }

    /// Nothing may be left that could change the numbers.
    pub(crate) fn finish(mut self) -> Result<(), ModelError> {
        for (name, accepted) in FIXED {
            if let Some(value) = self.left.remove(*name)
                && !value.is_null()
                && !accepted.contains(&value.to_string().as_str())
            {
                return Err(ModelError::field(*name, value, accepted.join(" or ")));
            }
        }
        self.left.retain(|name, _| !HARMLESS.contains(&name.as_str()));
        match self.left.into_iter().next() {
            None => Ok(()),
            Some((name, value)) => Err(ModelError::field(name, value, "no such field: it may change the numbers")),
        }
    }
}
