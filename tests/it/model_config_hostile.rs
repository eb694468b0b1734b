//! Configurations that contradict the weights, or make no sense: each is an error that names file and field.

use std::fs;

use pipe::device::DeviceSpec;
use pipe::model::{CausalLm, merge};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixtures::{golden, json};

/// The golden model with a configuration that was changed by `edit`.
fn folder(model: &str, edit: impl FnOnce(&mut Value)) -> TempDir {
    let folder = TempDir::new().unwrap();
    let from = golden(model);
    fs::copy(from.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let mut config = json(&from.join("config.json"));
    edit(&mut config);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

fn error_of(folder: &TempDir) -> String {
    let error = CausalLm::load(folder.path(), None, DeviceSpec::default()).expect_err("the folder is refused");
    error.to_string().replace(&folder.path().display().to_string(), "FOLDER")
}

fn check(field: &str, value: impl Into<Value>, expected: &str) {
    let value = value.into();
    let found = error_of(&folder("model/llama", |config| config[field] = value.clone()));
    assert!(found.contains(expected) && found.contains("FOLDER"), "{field} = {value}: {found}\nexpected: {expected}");
}

#[test]
fn a_configuration_that_contradicts_the_weights_is_refused() {
    // The golden model: 2 layers, d_model 64, d_ff 96, 4 heads on 2 of 16, 300 ids.
    check("num_hidden_layers", json!(3), "tensor `model.layers.2");
    check("num_hidden_layers", json!(1), "has no place in the model");
    check("num_hidden_layers", json!(10_000), "tensor `model.layers.2");
    check("hidden_size", json!(128), "tensor `model.embed_tokens.weight` has shape `[300, 64]`; expected `[300, 128]`");
    check("hidden_size", json!(2_147_483_648_u64), "expected `[300, 2147483648]`");
    check("intermediate_size", json!(97), "has shape `[96, 64]`; expected `[97, 64]`");
    check("vocab_size", json!(299), "tensor `model.embed_tokens.weight` has shape `[300, 64]`; expected `[299, 64]`");
    check("vocab_size", json!(2_147_483_648_u64), "expected `[2147483648, 64]`");
    check("num_attention_heads", json!(8), "has shape `");
    check("num_key_value_heads", json!(4), "has shape `");
    check("tie_word_embeddings", json!(true), "FOLDER`: tie_word_embeddings is `true`; expected `false`");
    check("attention_bias", json!(true), "is missing from");
    check("model_type", json!("qwen2"), "FOLDER");
}

#[test]
fn heads_that_do_not_divide_are_refused() {
    check("num_attention_heads", json!(3), "num_key_value_heads is `2`; expected a divisor of num_attention_heads `3`");
    check("num_key_value_heads", json!(8), "num_key_value_heads is `8`; expected a divisor of num_attention_heads `4`");
    check("num_key_value_heads", json!(3), "expected a divisor of num_attention_heads");
    check("head_dim", json!(15), "head_dim is `15`; expected an even number");
    let odd = folder("model/llama", |config| {
        config.as_object_mut().unwrap().remove("head_dim");
        config["num_attention_heads"] = json!(128);
        config["num_key_value_heads"] = json!(128);
    });
    assert!(error_of(&odd).contains("head_dim is `0`"), "{}", error_of(&odd));
}

#[test]
fn numbers_that_make_no_sense_are_refused_at_every_size() {
    let sizes = [
        "num_hidden_layers",
        "hidden_size",
        "intermediate_size",
        "vocab_size",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "max_position_embeddings",
    ];
    let values = [
        json!(0),
        json!(-1),
        json!(1.5),
        json!("64"),
        json!(1e300),
        json!(u64::MAX),
        json!([64]),
        json!({}),
        json!(true),
    ];
    for field in sizes {
        for value in &values {
            check(field, value.clone(), &format!("FOLDER/config.json`: {field} is `"));
        }
    }
    check("num_hidden_layers", json!(10_001), "at most 10000");
    for value in [json!(-1e-5), json!(1), json!(1e300), json!("x"), json!([])] {
        check("rms_norm_eps", value, "FOLDER/config.json`: rms_norm_eps is `");
    }
    for value in [json!("yes"), json!(1), json!([])] {
        check("tie_word_embeddings", value, "FOLDER/config.json`: tie_word_embeddings is `");
    }
    for value in [json!("float8"), json!(16)] {
        check("dtype", value, "FOLDER/config.json`: dtype is `");
    }
    for value in [json!(-2), json!("two"), json!([1, -1]), json!(4_294_967_296_u64), json!({})] {
        check("eos_token_id", value, "FOLDER/config.json`: eos_token_id is `");
    }
}

#[test]
fn rotary_parameters_that_make_no_sense_are_refused() {
    for theta in [json!(0), json!(-1.0), json!("x"), json!(null), json!([])] {
        check(
            "rope_parameters",
            json!({ "rope_type": "default", "rope_theta": theta }),
            "FOLDER/config.json`: rope_theta is `",
        );
    }
    for kind in [json!(7), json!(["default"]), json!("yarn")] {
        check(
            "rope_parameters",
            json!({ "rope_type": kind, "rope_theta": 1e4 }),
            "FOLDER/config.json`: rope_type is `",
        );
    }
    for factor in [json!(0), json!(-2), json!("x"), json!(null)] {
        check(
            "rope_parameters",
            json!({ "rope_type": "linear", "factor": factor }),
            "FOLDER/config.json`: factor is `",
        );
    }
    let llama3 = |high: Value, original: Value| {
        json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": high,
            "original_max_position_embeddings": original })
    };
    check("rope_parameters", llama3(json!(4.0), json!(64)), "high_freq_factor is `4`");
    check("rope_parameters", llama3(json!(8.0), json!("x")), "original_max_position_embeddings is `");
    check("rope_parameters", json!("default"), "FOLDER/config.json");
}

#[test]
fn text_that_is_no_configuration_is_refused_with_its_path() {
    let nested = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    for text in
        ["", "null", "[]", "7", "{", "{}", "{\"model_type\":7}", "{\"model_type\":null}", nested.as_str(), "\u{0}"]
    {
        let folder = folder("model/llama", |_| {});
        fs::write(folder.path().join("config.json"), text).unwrap();
        let found = error_of(&folder);
        assert!(found.contains("FOLDER/config.json"), "{found}");
    }
    let folder = folder("model/llama", |_| {});
    fs::write(folder.path().join("config.json"), [0xff, 0xfe]).unwrap();
    assert!(error_of(&folder).contains("FOLDER/config.json"));
}

#[test]
fn a_head_that_only_repeats_the_embedding_may_be_there() {
    let copied = |other: bool| {
        let folder = folder("model/llama", |config| config["tie_word_embeddings"] = json!(true));
        let bytes = fs::read(golden("model/llama/model.safetensors")).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let embedding = tensors.tensor("model.embed_tokens.weight").unwrap();
        let mut head = embedding.data().to_vec();
        head[100] ^= u8::from(other);
        let head = safetensors::tensor::TensorView::new(embedding.dtype(), embedding.shape().to_vec(), &head).unwrap();
        let all = tensors.iter().filter(|(name, _)| *name != "lm_head.weight").chain([("lm_head.weight", head)]);
        fs::write(folder.path().join("model.safetensors"), safetensors::serialize(all, None).unwrap()).unwrap();
        folder
    };
    CausalLm::load(copied(false).path(), None, DeviceSpec::default()).unwrap();
    let expected = "tie_word_embeddings is `true`; expected `false`, since `lm_head.weight`";
    assert!(error_of(&copied(true)).contains(expected));
    // Merging reads no model, and must not drop one of the two heads either.
    let output = TempDir::new().unwrap();
    let error = merge(copied(true).path(), &golden("lora/tiny_patterns"), output.path()).expect_err("two heads");
    assert!(error.to_string().contains(expected), "{error}");
}
