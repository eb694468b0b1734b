//! A PEFT adapter as a GGUF file that llama.cpp loads with `--lora`.
//!
//! As its `convert_lora_to_gguf.py` writes it: for each module `NAME.weight.lora_a` `[rank, in]` and `NAME.weight.lora_b`
//! `[out, rank]`, in f32, B with its rows in llama.cpp's order. llama.cpp scales each module by `adapter.lora.alpha` / rank
//! (`get_scale` of `llama-adapter.h`); a module with another scale has the quotient worked into its B.

use std::path::Path;

use super::architecture::Architecture;
use super::metadata::Value;
use super::writer::{TensorEntry, write};
use crate::model::decoder::is_redundant;
use crate::model::error::ModelError;
use crate::model::folder;
use crate::model::lora::{AdapterFiles, Pair};
use crate::model::weights::{FloatFormat, StoredFormat};

/// Writes the adapter in the folder `adapter`, which fits the model `base`, to `output`.
///
/// # Errors
/// llama.cpp has no form for the model that is known here, the adapter is not supported or does not fit, or a file can't be
/// read or written.
pub fn export_gguf_adapter(base: &Path, adapter: &Path, output: &Path) -> Result<(), ModelError> {
    let (config, weights) = folder::open(base)?;
    let architecture = Architecture::of(&config.model_type)?;
    let adapter = AdapterFiles::open(adapter)?;
    let matrices = weights.iter().filter(|view| !is_redundant(&config, view.name));
    let modules: Vec<(&str, [usize; 2])> = matrices
        .filter_map(|view| Some((view.name.strip_suffix(".weight")?, <[usize; 2]>::try_from(view.shape).ok()?)))
        .collect();
    folder::check(&config, &weights)?;
    adapter.refuse_stray(modules.iter().map(|(module, _)| *module))?;
    let mut entries = Vec::new();
    let mut sources = Vec::new();
    for (module, [width_out, width_in]) in modules.into_iter().filter(|(module, _)| adapter.has(module)) {
        let weight = format!("{module}.weight");
        let name = architecture.llama_cpp_name(&weight).ok_or_else(|| ModelError::UnexpectedTensor {
            tensor: weight.clone(),
            found: vec![width_out, width_in],
            path: weights.path().to_path_buf(),
        })?;
        let rank = adapter.config().rank(module);
        for (part, shape) in [("lora_a", vec![rank, width_in]), ("lora_b", vec![width_out, rank])] {
            let format = StoredFormat::Float(FloatFormat::F32);
            entries.push(TensorEntry { name: format!("{name}.{part}"), shape, format });
        }
        sources.push((module, weight, [width_out, width_in]));
    }
    let alpha = common_alpha(&adapter)?;
    let text = |text: &str| Value::Text(text.to_owned());
    let metadata = [
        ("general.architecture".to_owned(), text(architecture.name)),
        ("general.type".to_owned(), text("adapter")),
        ("adapter.type".to_owned(), text("lora")),
        ("adapter.lora.alpha".to_owned(), Value::Float(f64::from(alpha))),
        // `LLAMA_FTYPE_ALL_F32`.
        ("general.file_type".to_owned(), Value::Integer(0)),
        ("general.quantization_version".to_owned(), Value::Integer(2)),
    ];
    write(output, &metadata, &entries, |index| {
        let (module, weight, shape) = &sources[index / 2];
        let pair = adapter.pair(module, *shape)?;
        let numbers = if index % 2 == 0 {
            pair.a
        } else {
            architecture.twist(weight, &config).apply(scaled(module, pair, alpha)?, shape[0])
        };
        Ok(FloatFormat::F32.encode(&numbers))
    })
}

/// The alpha for all modules: that of those without a pattern. Never 0, which to llama.cpp means that there is no scale.
///
/// # Errors
/// It is too large for the file.
fn common_alpha(adapter: &AdapterFiles) -> Result<f32, ModelError> {
    let wide = adapter.config().common_scale_times_rank();
    #[expect(clippy::cast_possible_truncation, reason = "the key is an f32")]
    let alpha = wide as f32;
    match alpha {
        0.0 => Ok(1.0),
        alpha if alpha.is_finite() => Ok(alpha),
        _ => Err(ModelError::field("lora_alpha", wide, format!("at most {}, to be written as GGUF", f32::MAX))),
    }
}

/// B, times what llama.cpp's scale lacks.
///
/// # Errors
/// A number gets too large for the file.
#[expect(clippy::cast_possible_truncation, reason = "adapters are f32")]
fn scaled(module: &str, pair: Pair, alpha: f32) -> Result<Vec<f32>, ModelError> {
    let lacks = (pair.scale * pair.rank as f64 / f64::from(alpha)) as f32;
    let mut b = pair.b;
    for number in &mut b {
        *number *= lacks;
    }
    match b.iter().find(|number| !number.is_finite()) {
        None => Ok(b),
        Some(number) => Err(ModelError::field(
            format!("alpha_pattern, {module}"),
            number,
            "a scale that f32 holds, to be written as GGUF",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::gguf::Gguf;
    use crate::model::gguf::metadata::Value;

    /// What llama.cpp adds to a weight: alpha / rank * B A, with its rows in llama.cpp's order.
    fn products(path: &Path) -> Vec<(String, Vec<usize>, Vec<f64>)> {
        let file = Gguf::open(path).expect("the file");
        let Some(Value::Float(alpha)) = file.header.metadata.get("adapter.lora.alpha").cloned() else {
            panic!("no alpha")
        };
        let numbers = |name: &str| {
            let info = &file.header.tensors[name];
            (info.shape.clone(), info.format.decode(&file.map[info.start..info.end]))
        };
        let modules = file.header.tensors.keys().filter_map(|name| name.strip_suffix(".lora_a"));
        modules
            .map(|module| {
                let ((a_shape, a), (b_shape, b)) =
                    (numbers(&format!("{module}.lora_a")), numbers(&format!("{module}.lora_b")));
                assert_eq!(a_shape[0], b_shape[1]);
                let product = product(&a, &b, a_shape[0], alpha / a_shape[0] as f64);
                (module.to_owned(), vec![b_shape[0], a_shape[1]], product)
            })
            .collect()
    }

    /// scale * B A.
    fn product(a: &[f32], b: &[f32], rank: usize, scale: f64) -> Vec<f64> {
        let width = a.len() / rank;
        let of = |row: &[f32], column: usize| -> f64 {
            row.iter().enumerate().map(|(k, b)| f64::from(*b) * f64::from(a[k * width + column])).sum::<f64>() * scale
        };
        b.chunks(rank).flat_map(|row| (0..width).map(move |column| of(row, column))).collect()
    }

    #[test]
    fn llama_cpp_adds_what_peft_adds_whatever_the_ranks_and_scales() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lora");
        let (base, adapter) = (golden.join("tiny_base"), golden.join("tiny_patterns"));
        let output = tempfile::tempdir().expect("a folder");
        let path = output.path().join("adapter.gguf");
        export_gguf_adapter(&base, &adapter, &path).expect("it is written");
        let (config, _) = folder::open(&base).expect("the base");
        let architecture = Architecture::of(&config.model_type).expect("llama");
        let files = AdapterFiles::open(&adapter).expect("the adapter");
        let products = products(&path);
        assert_eq!(products.len(), 21);
        for (name, shape, found) in products {
            let weight = architecture.transformers_name(&name).expect("a known name");
            let module = weight.strip_suffix(".weight").expect("a weight");
            let pair = files.pair(module, [shape[0], shape[1]]).expect("a pair");
            let b = architecture.twist(&weight, &config).apply(pair.b.clone(), shape[0]);
            let expected = product(&pair.a, &b, pair.rank, pair.scale);
            let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-6, "{name}: {apart}");
        }
    }
}
