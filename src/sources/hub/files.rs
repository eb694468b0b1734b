//! Which files of a repository a model needs.

use super::super::error::SourceError;
use crate::diagnostic::nearest;
use crate::source::Hub;

/// Files besides the weights, small ones; fetched before them.
const SMALL: [&str; 16] = [
    "1_Pooling/config.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "config_sentence_transformers.json",
    "generation_config.json",
    "merges.txt",
    "model.safetensors.index.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
];

/// The files to fetch, in order.
///
/// # Errors
/// The repository has not what is asked for.
pub(super) fn wanted(all: &[String], source: &Hub) -> Result<Vec<String>, SourceError> {
    let refused = |message: String| SourceError::Hub { name: source.to_string(), message };
    if let Some(path) = &source.path {
        if all.contains(path) {
            return Ok(vec![path.clone()]);
        }
        let hint = nearest(path, all.iter().map(String::as_str));
        let hint = hint.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        return Err(refused(format!("the repository has no `{path}`{hint}")));
    }
    let has = |name: &str| all.iter().any(|file| file == name);
    let mut files: Vec<String> = SMALL.iter().filter(|name| has(name)).map(|name| (*name).to_owned()).collect();
    if !has("config.json") {
        let ggufs = listed(all, ".gguf");
        return Err(refused(if ggufs.is_empty() {
            "the repository has no `config.json`, so it is no model".into()
        } else {
            format!("the repository holds GGUF files; name one after the revision: {ggufs}")
        }));
    }
    let sharded = has("model.safetensors.index.json");
    let is_weights = |name: &str| match name.strip_suffix(".safetensors") {
        Some("model") => !sharded,
        Some(shard) => sharded && shard.starts_with("model-"),
        None => false,
    };
    let weights: Vec<String> = all.iter().filter(|name| is_weights(name)).cloned().collect();
    if weights.is_empty() {
        let pickled = listed(all, ".bin");
        return Err(refused(if pickled.is_empty() {
            "the repository has no `model.safetensors`".into()
        } else {
            format!(
                "its weights are pickle files ({pickled}), which can run code and are not read; expected safetensors"
            )
        }));
    }
    files.extend(weights);
    Ok(files)
}

fn listed(all: &[String], suffix: &str) -> String {
    let names: Vec<String> = all.iter().filter(|name| name.ends_with(suffix)).map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(all: &[&str], source: &str, expected: Result<&[&str], &str>) {
        let all: Vec<String> = all.iter().map(|name| (*name).to_owned()).collect();
        let source: Hub = source.parse().expect("a source");
        match (wanted(&all, &source), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn only_what_a_model_needs_is_fetched_and_weights_come_last() {
        let all =
            ["README.md", "model.safetensors", "onnx/model.onnx", "config.json", "tokenizer.json", "pytorch_model.bin"];
        check(&all, "a/b@main", Ok(&["config.json", "tokenizer.json", "model.safetensors"]));
        let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "config.json"];
        let all = [&shards[..], &["model.safetensors.index.json", "consolidated.safetensors"]].concat();
        check(&all, "a/b@main", Ok(&["config.json", "model.safetensors.index.json", shards[0], shards[1]]));
    }

    #[test]
    fn what_is_not_there_is_explained() {
        check(&["config.json", "pytorch_model.bin"], "a/b@main", Err("pickle"));
        check(&["a.Q4_0.gguf"], "a/b@main", Err("name one after the revision: `a.Q4_0.gguf`"));
        check(&["a.Q4_0.gguf"], "a/b@main/a.Q4_1.gguf", Err("did you mean `a.Q4_0.gguf`?"));
        check(&["a.Q4_0.gguf"], "a/b@main/a.Q4_0.gguf", Ok(&["a.Q4_0.gguf"]));
    }
}
