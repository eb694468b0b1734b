//! Names people bring along from other trainers, and what to write here instead.
//!
//! Only for diagnostics: a foreign name is never accepted, so that a manifest reads the same everywhere.

/// Names of the usual training scripts that are wiring here, not settings.
const WIRING: &[(&str, &str)] = &[
    ("base_model", MODEL),
    ("model_name_or_path", MODEL),
    ("pretrained_model_name_or_path", MODEL),
    ("adapter_name_or_path", "an adapter is an edge: `in: { adapter: train.adapter }`"),
    ("dataset_path", DATA),
    ("dataset", DATA),
    ("datasets", DATA),
    ("train_file", DATA),
    ("eval_file", DATA),
    ("data_path", DATA),
    ("output_dir", OUTPUT),
    ("output_path", OUTPUT),
    ("revision", "a revision is part of the input's address: `inputs: { base: hf:owner/name@revision }`"),
];

const MODEL: &str = "a model is an edge: name it under `inputs`, then wire it with `in: { model: <input> }`";
const DATA: &str = "data are edges: name the file under `inputs`, then wire it under the stage's `in`";
const OUTPUT: &str = "outputs are placed by `exports`, such as `exports: { outputs/sft: train.adapter }`";

/// Settings of other trainers, with the name of ours.
const SETTINGS: &[(&str, &str)] = &[
    ("alpha", "lora_alpha"),
    ("batch_size", "per_device_train_batch_size"),
    ("bnb_4bit_quant_type", "bnb_quant_type"),
    ("bnb_4bit_use_double_quant", "bnb_double_quant"),
    ("cutoff_len", "max_seq_len"),
    ("double_quant", "bnb_double_quant"),
    ("dropout", "lora_dropout"),
    ("epochs", "num_train_epochs"),
    ("grad_accum", "gradient_accumulation_steps"),
    ("gradient_accumulation", "gradient_accumulation_steps"),
    ("load_in_4bit", "load_4bit"),
    ("load_in_8bit", "load_8bit"),
    ("lora_rank", "lora_r"),
    ("lora_target", "target_modules"),
    ("lora_target_modules", "target_modules"),
    ("lr", "learning_rate"),
    ("max_length", "max_seq_len"),
    ("max_seq_length", "max_seq_len"),
    ("max_tokens", "max_new_tokens"),
    ("micro_batch_size", "per_device_train_batch_size"),
    ("model_max_length", "max_seq_len"),
    ("num_epochs", "num_train_epochs"),
    ("num_steps", "max_steps"),
    ("r", "lora_r"),
    ("rank", "lora_r"),
    ("sample_packing", "packing"),
    ("sequence_len", "max_seq_len"),
    ("train_batch_size", "per_device_train_batch_size"),
    ("warmup", "warmup_ratio"),
];

/// What to write instead of a name that became wiring here.
#[must_use]
pub fn wiring(name: &str) -> Option<&'static str> {
    find(WIRING, name)
}

/// Our name for a setting of another trainer.
#[must_use]
pub fn setting(name: &str) -> Option<&'static str> {
    find(SETTINGS, name)
}

fn find(table: &'static [(&str, &str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(foreign, _)| *foreign == name).map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_setting_is_never_also_ours() {
        for (foreign, ours) in SETTINGS {
            assert_eq!(setting(ours), None, "{ours} is both");
            assert_eq!(wiring(foreign), None, "{foreign} is in both tables");
        }
        assert_eq!(setting("cutoff_len"), Some("max_seq_len"));
        assert!(wiring("base_model").is_some_and(|hint| hint.contains("in: { model")));
    }
}
