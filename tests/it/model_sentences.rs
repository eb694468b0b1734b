//! Folders of sentence-transformers: what is honoured, and what is refused with its file.

use std::fs;

use pipe::model::{Encoder, ModelError};
use serde_json::{Value, json};
use tempfile::TempDir;

const MODULES: [(&str, &str); 3] = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")];

fn modules(list: &[(&str, &str)]) -> Value {
    let module =
        |(kind, path): &(&str, &str)| json!({ "type": format!("sentence_transformers.models.{kind}"), "path": path });
    list.iter().map(module).collect()
}

/// A BERT of one layer, two wide, for 32 tokens, with these further files.
fn folder(files: &[(&str, Value)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let config = json!({ "model_type": "bert", "vocab_size": 8, "hidden_size": 2, "intermediate_size": 4, "num_hidden_layers": 1,
        "num_attention_heads": 1, "max_position_embeddings": 32, "type_vocab_size": 2 });
    for (name, value) in [("config.json", config)].iter().chain(files) {
        fs::write(folder.path().join(name), value.to_string()).unwrap();
    }
    fs::write(folder.path().join("model.safetensors"), weights()).unwrap();
    folder
}

fn weights() -> Vec<u8> {
    let layer = |name: &str| format!("encoder.layer.0.{name}");
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![8, 2]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![32, 2]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, 2]),
    ];
    for norm in ["embeddings.LayerNorm".to_owned(), layer("attention.output.LayerNorm"), layer("output.LayerNorm")] {
        shapes.extend([(format!("{norm}.weight"), vec![2]), (format!("{norm}.bias"), vec![2])]);
    }
    let projections = [
        ("attention.self.query", [2, 2]),
        ("attention.self.key", [2, 2]),
        ("attention.self.value", [2, 2]),
        ("attention.output.dense", [2, 2]),
        ("intermediate.dense", [4, 2]),
        ("output.dense", [2, 4]),
    ];
    for (name, shape) in projections {
        let name = layer(name);
        shapes.extend([(format!("{name}.weight"), shape.to_vec()), (format!("{name}.bias"), vec![shape[0]])]);
    }
    let data: Vec<Vec<u8>> = shapes
        .iter()
        .map(|(_, shape)| (0..shape.iter().product::<usize>()).flat_map(|at| (at as f32 * 0.1).to_le_bytes()).collect())
        .collect();
    let view = |((name, shape), data): (&(String, Vec<usize>), &Vec<u8>)| {
        (
            name.clone(),
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap().data().to_vec(),
        )
    };
    let owned: Vec<_> = shapes.iter().zip(&data).map(view).collect();
    let views = owned.iter().zip(&shapes).map(|((name, data), (_, shape))| {
        (name.clone(), safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

fn max_tokens(files: &[(&str, Value)]) -> usize {
    Encoder::load(folder(files).path()).unwrap().max_tokens()
}

fn refused(files: &[(&str, Value)], file: &str, words: &str) {
    let folder = folder(files);
    let error: ModelError = Encoder::load(folder.path()).expect_err(words);
    let found = error.to_string().replace(&folder.path().display().to_string(), "FOLDER");
    assert!(found.contains(&format!("`FOLDER/{file}`: {words}")), "{found}\nexpected: {words}");
}

#[test]
fn the_limit_is_that_of_the_sentences_else_of_the_tokenizer_and_never_above_the_encoders() {
    let sentences =
        |limit: Value| ("sentence_bert_config.json", json!({ "max_seq_length": limit, "do_lower_case": false }));
    let tokenizer = |limit: Value| ("tokenizer_config.json", json!({ "model_max_length": limit }));
    assert_eq!(max_tokens(&[]), 32);
    assert_eq!(max_tokens(&[sentences(json!(16))]), 16);
    assert_eq!(max_tokens(&[sentences(json!(64))]), 32);
    assert_eq!(max_tokens(&[sentences(json!(16)), tokenizer(json!(8))]), 16, "the tokenizer's is not asked");
    assert_eq!(max_tokens(&[sentences(json!(null)), tokenizer(json!(8))]), 8);
    assert_eq!(max_tokens(&[tokenizer(json!(8))]), 8);
    let boundless = serde_json::from_str("1000000000000000019884624838656").unwrap();
    assert_eq!(max_tokens(&[tokenizer(boundless)]), 32);
    assert_eq!(max_tokens(&[tokenizer(json!(null))]), 32);
    for limit in [json!(0), json!(-1), json!(2), json!("8"), json!(8.5), json!([])] {
        refused(&[sentences(limit.clone())], "sentence_bert_config.json", "max_seq_length is `");
        refused(&[tokenizer(limit)], "tokenizer_config.json", "model_max_length is `");
    }
    refused(
        &[("sentence_bert_config.json", json!({ "do_lower_case": true }))],
        "sentence_bert_config.json",
        "do_lower_case is `true`",
    );
}

#[test]
fn a_row_up_to_the_limit_is_embedded_with_length_one_whether_or_not_the_folder_normalises() {
    for list in [&MODULES[..], &MODULES[..2]] {
        let folder =
            folder(&[("modules.json", modules(list)), ("tokenizer_config.json", json!({ "model_max_length": 4 }))]);
        let encoder = Encoder::load(folder.path()).unwrap();
        let embedding = &encoder.embed(&[vec![1, 2, 3, 4]]).unwrap()[0];
        let length: f32 = embedding.iter().map(|number| number * number).sum();
        assert!((length - 1.0).abs() < 1e-5, "{embedding:?}");
        assert!(encoder.embed(&[vec![1; 5]]).is_err());
    }
}

#[test]
fn other_modules_and_poolings_are_refused() {
    let refuse = |list: &[(&str, &str)]| refused(&[("modules.json", modules(list))], "modules.json", "modules is `");
    refuse(&[]);
    refuse(&MODULES[..1]);
    refuse(&[MODULES[0], MODULES[1], ("Dense", "2_Dense"), ("Normalize", "3_Normalize")]);
    refuse(&[MODULES[0], MODULES[2], MODULES[1]]);
    refuse(&[("Transformer", "0_Transformer"), MODULES[1]]);
    refuse(&[MODULES[0], ("Pooling", "../1_Pooling")]);
    refuse(&[("WordEmbeddings", ""), MODULES[1]]);
    refused(&[("modules.json", json!({}))], "modules.json", "modules is `{}`");
    let pooling = |config: Value| [("1_Pooling/config.json", config)];
    for mode in ["cls_token", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"] {
        let on = format!("pooling_mode_{mode}");
        refused(&pooling(json!({ on.as_str(): true })), "1_Pooling/config.json", &format!("pooling_mode is `{on}`"));
        let both = json!({ on.as_str(): true, "pooling_mode_mean_tokens": true });
        refused(&pooling(both), "1_Pooling/config.json", "pooling_mode is `");
    }
    refused(&pooling(json!({ "pooling_mode": "cls" })), "1_Pooling/config.json", "pooling_mode is `");
    assert_eq!(max_tokens(&pooling(json!({ "pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false }))), 32);
    assert_eq!(max_tokens(&pooling(json!({ "pooling_mode": "mean" }))), 32);
}

#[test]
fn another_similarity_than_the_cosine_is_refused() {
    let similarity = |name: Value| ("config_sentence_transformers.json", json!({ "similarity_fn_name": name }));
    for name in [json!(null), json!("cosine")] {
        assert_eq!(max_tokens(&[similarity(name)]), 32);
    }
    assert_eq!(
        max_tokens(&[similarity(json!("dot")), ("modules.json", modules(&MODULES))]),
        32,
        "the same after a Normalize"
    );
    for name in [json!("dot"), json!("euclidean"), json!("manhattan"), json!(7)] {
        refused(&[similarity(name)], "config_sentence_transformers.json", "similarity_fn_name is `");
    }
}
