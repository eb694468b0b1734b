//! Weight files that lie: every one is an error with a reason, none is a panic or a huge allocation.

use std::fs;

use pipe::device::DeviceSpec;
use pipe::model::CausalLm;
use tempfile::TempDir;

use super::fixtures::golden;

/// A model folder with the golden configuration and these weight bytes.
fn folder(weights: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::copy(golden("model/llama/config.json"), folder.path().join("config.json")).unwrap();
    fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    folder
}

fn error_of(folder: &TempDir) -> String {
    let error = CausalLm::load(folder.path(), None, DeviceSpec::default()).expect_err("the folder is refused");
    error.to_string().replace(&folder.path().display().to_string(), "FOLDER")
}

fn check(weights: &[u8], expected: &str) {
    let found = error_of(&folder(weights));
    assert!(found.contains(expected), "found: {found}\nexpected: {expected}");
}

/// A file with this header and `data` zero bytes.
fn file(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

fn good() -> Vec<u8> {
    fs::read(golden("model/llama/model.safetensors")).unwrap()
}

/// The golden file with a header that was changed by `edit`.
fn edited(edit: impl FnOnce(String) -> String) -> Vec<u8> {
    let bytes = good();
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header = edit(String::from_utf8(bytes[8..8 + length].to_vec()).unwrap());
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat()
}

#[test]
fn truncated_files_are_refused_at_every_length() {
    let bytes = good();
    for length in [0, 1, 7, 8, 9, 100, 2000, bytes.len() / 2, bytes.len() - 1] {
        check(&bytes[..length], "is not a valid weight file");
    }
    check(&[&bytes[..], &[0]].concat(), "is not a valid weight file");
}

#[test]
fn lying_headers_are_refused() {
    let not_valid = "is not a valid weight file";
    check(&u64::MAX.to_le_bytes(), not_valid);
    check(&(1_u64 << 40).to_le_bytes(), not_valid);
    check(&file("not json", 4), not_valid);
    check(&file(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#, 8), not_valid);
    check(&file(r#"{"a":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,4]}}"#, 4), not_valid);
    check(&file(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4), not_valid);
    check(&file(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8), not_valid);
}

#[test]
fn other_number_formats_name_the_tensor() {
    let header = r#"{"model.norm.weight":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
    check(
        &file(header, 8),
        "tensor `model.norm.weight` with shape `[1]` has dtype `I64`; expected `F32`, `F16` or `BF16`",
    );
}

#[test]
fn missing_unexpected_and_misshapen_tensors_are_named() {
    let name = "\"model.layers.1.mlp.up_proj.weight\"";
    check(
        &edited(|header| header.replace(name, "\"model.layers.1.mlp.other.weight\"")),
        "tensor `model.layers.1.mlp.up_proj.weight` with shape `[96, 64]` is missing from `FOLDER/model.safetensors`",
    );
    check(
        &edited(|header| header.replace("\"shape\":[300,64]", "\"shape\":[64,300]")),
        "tensor `model.embed_tokens.weight` has shape `[64, 300]`; expected `[300, 64]`",
    );
    let extra = |header: String| {
        let end = good().len() - 8 - header.len();
        let extra = format!("}},\"surplus\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[{end},{end}]}}}}");
        header.trim_end().strip_suffix("}}").unwrap().to_owned() + &extra
    };
    check(&edited(extra), "tensor `surplus` with shape `[0]` in `FOLDER/model.safetensors` has no place in the model");
}

#[test]
fn shards_are_read_and_a_hostile_index_is_refused() {
    let index = |map: &str| {
        let folder = folder(&[]);
        fs::write(folder.path().join("model-00001-of-00001.safetensors"), good()).unwrap();
        let text = format!("{{\"metadata\":{{}},\"weight_map\":{{{map}}}}}");
        fs::write(folder.path().join("model.safetensors.index.json"), text).unwrap();
        folder
    };
    let good_index = index("\"model.norm.weight\":\"model-00001-of-00001.safetensors\"");
    CausalLm::load(good_index.path(), None, DeviceSpec::default()).unwrap();
    let escaping = index("\"model.norm.weight\":\"../../etc/passwd\"");
    assert!(error_of(&escaping).contains("shard `../../etc/passwd` is not a plain file name"));
    let missing = index("\"model.norm.weight\":\"model-00002-of-00002.safetensors\"");
    assert!(error_of(&missing).contains("cannot read `FOLDER/model-00002-of-00002.safetensors`"));
    let lying = index("\"no.such\":\"model-00001-of-00001.safetensors\"");
    assert!(error_of(&lying).contains("tensor `no.such` of the index is in no shard"));
}

/// A merge builds no model, so that the base fits its configuration is checked for itself, before anything is written.
#[test]
fn a_base_that_contradicts_its_configuration_is_neither_merged_nor_exported() {
    let bytes = fs::read(golden("lora/tiny_base/model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let name = "model.layers.0.self_attn.q_proj.weight";
    for (shape, expected) in [(vec![1, 48], "[1, 48]"), (vec![0, 48], "[0, 48]"), (vec![], "[]")] {
        let size = shape.iter().product::<usize>() * 4;
        let tensors = file.iter().map(|(found, view)| {
            let (dtype, given) = (view.dtype(), view.shape().to_vec());
            let (shape, data) =
                if found == name { (shape.clone(), &view.data()[..size]) } else { (given, view.data()) };
            (found.to_owned(), safetensors::tensor::TensorView::new(dtype, shape, data).unwrap())
        });
        let folder = folder(&safetensors::serialize(tensors, None).unwrap());
        fs::copy(golden("lora/tiny_base/config.json"), folder.path().join("config.json")).unwrap();
        let output = TempDir::new().unwrap();
        let adapter = golden("lora/tiny_linear_ga1/adapter_final");
        for error in [
            pipe::model::merge(folder.path(), &adapter, &output.path().join("merged")).unwrap_err(),
            pipe::model::export_gguf_adapter(folder.path(), &adapter, &output.path().join("adapter.gguf")).unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(error.contains(name) && error.contains(expected), "{error}");
        }
        assert!(output.path().read_dir().unwrap().next().is_none(), "nothing was written");
    }
}
