//! How long it takes to read and plan a manifest of 1,000 stages, next to `make -n` on a Makefile of the same graph, and
//! one whose matrix comes to 10,000 stages.
//!
//! `make` starts a process, reads the file and prints what it would do; it checks no types and hashes nothing. `pipe`
//! here is in-process, from the manifest's bytes to a plan with its id; inputs are hashed by a stand-in.

#![expect(clippy::print_stdout, reason = "a bench reports to the terminal")]

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use pipe::artifact::{Arity, ArtifactKind, Content, InputPort, OutputPort, Projection};
use pipe::digest::Digest;
use pipe::manifest;
use pipe::plan::Planner;
use pipe::stage::{Numerics, Outcome, Stage, StageContext, StageError, StageKind};
use pipe::stage_config::Kind;
use pipe::surroundings::Bare;

const STAGES: usize = 1_000;
const ROUNDS: usize = 21;

struct Step;

/// As many settings as a training stage has.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct StepConfig {
    lora_r: u32,
    lora_alpha: u32,
    lora_dropout: f64,
    learning_rate: f64,
    warmup_ratio: f64,
    weight_decay: f64,
    num_train_epochs: u32,
    max_seq_len: u32,
    packing: bool,
    target_modules: Vec<String>,
    logging_steps: u32,
    seed: u64,
}

impl StageKind for Step {
    type Config = StepConfig;
    const NAME: &'static str = "step";
    const ABOUT: &'static str = "A stage of the bench.";
    const EPOCH: u32 = 1;
    const INPUTS: &'static [InputPort] = &[InputPort {
        name: Cow::Borrowed("files"),
        accepts: &[ArtifactKind::File, ArtifactKind::Records],
        arity: Arity::Many,
        projection: Projection::Whole,
        about: "What it reads.",
    }];
    const OUTPUTS: &'static [OutputPort] =
        &[OutputPort { name: Cow::Borrowed("records"), kind: ArtifactKind::Records, about: "What it writes." }];
    const NUMERICS: Numerics = Numerics::Float;

    fn run(_: &StepConfig, _: &StageContext<'_>) -> Result<Outcome, StageError> {
        Ok(Outcome::default())
    }
}

static KINDS: [&dyn Stage; 1] = [&Kind::<Step>::new()];

/// The stages that a stage reads from: the one before it and one further back.
fn producers(stage: usize) -> Vec<usize> {
    let mut producers: Vec<usize> = [stage.checked_sub(1), stage.checked_sub(10)].into_iter().flatten().collect();
    producers.dedup();
    producers
}

fn manifest_text() -> String {
    let mut text =
        String::from("version: 1\nname: bench\nparams: { lr: 2.0e-4 }\ninputs: { raw: raw.jsonl }\nstages:\n");
    for stage in 0..STAGES {
        let mut files = vec!["raw".to_owned()];
        files.extend(producers(stage).iter().map(|producer| format!("s{producer}.records")));
        let _ = writeln!(
            text,
            "  s{stage}: {{ uses: step, in: {{ files: [{}] }}, with: {{ lora_r: {}, learning_rate: \"${{params.lr}}\", packing: true }} }}",
            files.join(", "),
            stage % 64 + 1
        );
    }
    text
}

/// Two stages of 5,000 cells each: 10,000 stages from a few lines.
fn matrix_text() -> String {
    let values = |count: usize| (1..=count).map(|value| value.to_string()).collect::<Vec<_>>().join(", ");
    format!(
        "version: 1\nname: bench\ninputs: {{ raw: raw.jsonl }}\nstages:\n  first:\n    uses: step\n    matrix: {{ r: [{}], \
         seed: [{}] }}\n    in: {{ files: raw }}\n    with: {{ lora_r: \"${{matrix.r}}\", seed: \"${{matrix.seed}}\" }}\n  \
         second: {{ uses: step, in: {{ files: first.records }} }}\n",
        values(50),
        values(100)
    )
}

fn makefile_text() -> String {
    let mut text = format!("all: s{}\n", STAGES - 1);
    for stage in 0..STAGES {
        let needs: Vec<String> = producers(stage).iter().map(|producer| format!("s{producer}")).collect();
        let _ =
            writeln!(text, "s{stage}: raw.jsonl {}\n\tstep --lora_r {} --out $@ $^", needs.join(" "), stage % 64 + 1);
    }
    text
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn plan(text: &str, stages: usize, project: &Path) {
    let manifest = manifest::read("bench.yaml", text.as_bytes(), &[]).expect("the bench's manifest is readable");
    let digest = |_: &Path| Ok(Content::File(Digest::of(b"raw")));
    let plan =
        Planner { kinds: &KINDS, project, fetched: &|_| None, pinned: &|_| None, digest: &digest, machine: &Bare }
            .plan(&manifest);
    assert_eq!(plan.map(|plan| plan.order().len()).unwrap_or_default(), stages);
}

fn make(project: &Path) -> bool {
    let status = Command::new("make").arg("-n").current_dir(project).stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The median and the fastest; on a busy machine the fastest says more about the work itself.
fn summary(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[0])
}

fn main() {
    let project = tempfile::tempdir().expect("a folder");
    std::fs::write(project.path().join("raw.jsonl"), "{}\n").expect("a file");
    std::fs::write(project.path().join("Makefile"), makefile_text()).expect("a file");
    let text = manifest_text();
    if !make(project.path()) {
        println!("make is not here; only pipe is measured");
    }
    let matrix = matrix_text();
    let (mut read, mut whole, mut cells, mut peer) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        read.push(time(|| drop(manifest::read("bench.yaml", text.as_bytes(), &[]))));
        whole.push(time(|| plan(&text, STAGES, project.path())));
        cells.push(time(|| plan(&matrix, 2 * 50 * 100, project.path())));
        peer.push(time(|| _ = make(project.path())));
    }
    println!("{STAGES} stages, manifest of {} bytes, {ROUNDS} interleaved rounds: median (fastest)", text.len());
    let (read, whole, peer) = (summary(read), summary(whole), summary(peer));
    for (name, (median, fastest)) in [("read", read), ("read and plan", whole), ("make -n (process)", peer)] {
        println!("  {name:<18} {median:>10.2?} ({fastest:.2?})");
    }
    let (median, fastest) = summary(cells);
    println!("  a matrix of 10,000 stages, read and plan: {median:.2?} ({fastest:.2?})");
    let ratio = |ours: Duration, theirs: Duration| ours.as_secs_f64() / theirs.as_secs_f64();
    println!("  pipe / make        {:>10.2} ({:.2})", ratio(whole.0, peer.0), ratio(whole.1, peer.1));
}
