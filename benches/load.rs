//! Loading a folder of 4.4 GB in f32, random weights of TinyLlama's shape: time, and peak memory over the weights held.
//!
//! `cargo bench --bench load`; needs 5 GB in the temporary folder (`TMPDIR` moves it) and in memory. The goal is a peak of at
//! most 1.1 times the weights as held. transformers loads the same folder if `PIPE_BENCH_PYTHON` names a Python that has it.
//! Every figure is of a process of its own; the file is in the page cache.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench reports to whoever runs it")]

mod support;

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use pipe::device::DeviceSpec;
use pipe::model::{CausalLm, FourBitCode, Precision};

const CONFIG: &str = r#"{
  "model_type": "llama", "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
  "num_attention_heads": 32, "num_key_value_heads": 4, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
  "rope_theta": 10000.0, "tie_word_embeddings": false, "initializer_range": 0.02, "torch_dtype": "float32"
}"#;

const TRANSFORMERS: &str = "
import resource, sys, time
import torch
from transformers import AutoModelForCausalLM
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
held = sum(weight.numel() * weight.element_size() for weight in model.parameters())
touched = sum(float(weight.sum()) for weight in model.parameters())
seconds = time.perf_counter() - began
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, held / 2**20)
";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--child") {
        return child(Path::new(&arguments[at + 1]), &arguments[at + 2]);
    }
    let folder = tempfile::tempdir()?;
    let this = std::env::current_exe()?;
    let made = Command::new(&this).arg("--child").arg(folder.path()).arg("make").status()?;
    if !made.success() {
        return Err("the folder could not be made".into());
    }
    for side in ["f32", "int8", "nf4"] {
        let mut command = Command::new(&this);
        command.arg("--child").arg(folder.path()).arg(side);
        report(side, command)?;
    }
    if let Some(python) = std::env::var_os("PIPE_BENCH_PYTHON") {
        let mut command = Command::new(python);
        command.args(["-c", TRANSFORMERS]).arg(folder.path());
        report("transformers f32", command)?;
    } else {
        eprintln!("without the peer: PIPE_BENCH_PYTHON is not set");
    }
    Ok(())
}

fn report(side: &str, mut command: Command) -> Result<(), Box<dyn Error>> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{side}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> =
        text.lines().last().unwrap_or_default().split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [seconds, peak, held] = figures[..] else { return Err(format!("{side} printed {text:?}").into()) };
    println!("{side:16} {seconds:6.2} s · peak RSS {peak:6.0} MB · weights {held:6.0} MB · ratio {:.3}", peak / held);
    Ok(())
}

/// Makes the folder, or loads it and prints seconds, peak RSS and the bytes of the matrices, in MB.
fn child(folder: &Path, side: &str) -> Result<(), Box<dyn Error>> {
    let precision = match side {
        "make" => {
            pipe::model::init(CONFIG, 1, folder)?;
            return Ok(());
        }
        "int8" => Precision::Int8,
        "nf4" => Precision::FourBit { code: FourBitCode::Nf4, double_quant: false },
        _ => Precision::AsStored,
    };
    let began = Instant::now();
    let mut model = CausalLm::load_as(folder, None, precision, DeviceSpec::default())?;
    let seconds = began.elapsed().as_secs_f64();
    let mb = |bytes: f64| bytes / f64::from(1 << 20);
    println!("{seconds} {} {}", mb(support::peak_rss_bytes()), mb(model.matrix_bytes() as f64));
    Ok(())
}
