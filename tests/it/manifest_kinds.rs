//! Small stage kinds of the shapes that real ones have, and a project for manifests to be about.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use pipe::artifact::{Arity, ArtifactKind, Content, InputPort, OutputPort, Projection};
use pipe::diagnostic::Diagnostic;
use pipe::digest::Digest;
use pipe::manifest::{self, Override};
use pipe::plan::{Plan, Planner};
use pipe::report::diagnostics::render;
use pipe::stage::{ConfigIssue, Numerics, Outcome, Stage, StageContext, StageError, StageKind};
use pipe::stage_config::Kind;
use pipe::stages::run::Run;
use pipe::surroundings::{Machine, Tool, Value};

pub static KINDS: [&dyn Stage; 7] = [
    &Kind::<Clean>::new(),
    &Kind::<RenderPrompts>::new(),
    &Kind::<Train>::new(),
    &Kind::<Merge>::new(),
    &Kind::<Eval>::new(),
    &Kind::<Gate>::new(),
    &Kind::<Run>::new(),
];

const fn input(name: &'static str, accepts: &'static [ArtifactKind], arity: Arity) -> InputPort {
    InputPort { name: Cow::Borrowed(name), accepts, arity, projection: Projection::Whole, about: "What it reads." }
}

const fn output(name: &'static str, kind: ArtifactKind) -> OutputPort {
    OutputPort { name: Cow::Borrowed(name), kind, about: "What it writes." }
}

/// The parts of a stage kind that these tests are about.
macro_rules! kind {
    ($type:ident, $config:ty, $name:literal, $numerics:ident, [$($input:expr),*], [$($output:expr),*], { $($more:tt)* }) => {
        pub struct $type;

        impl StageKind for $type {
            type Config = $config;
            const NAME: &'static str = $name;
            const ABOUT: &'static str = "A stage of the tests.";
            const EPOCH: u32 = 1;
            const INPUTS: &'static [InputPort] = &[$($input),*];
            const OUTPUTS: &'static [OutputPort] = &[$($output),*];
            const NUMERICS: Numerics = Numerics::$numerics;
            $($more)*

            fn run(_: &Self::Config, _: &StageContext<'_>) -> Result<Outcome, StageError> {
                Ok(Outcome::default())
            }
        }
    };
}

kind!(
    Clean,
    CleanConfig,
    "clean",
    Exact,
    [input("sources", &[ArtifactKind::File], Arity::Many), input("held_out", &[ArtifactKind::File], Arity::Any)],
    [
        output("records", ArtifactKind::Records),
        output("rejects", ArtifactKind::Rejects),
        output("statistics", ArtifactKind::Statistics)
    ],
    {}
);
kind!(
    RenderPrompts,
    RenderConfig,
    "render-prompts",
    Exact,
    [
        input("records", &[ArtifactKind::Records], Arity::One),
        InputPort {
            name: Cow::Borrowed("model"),
            accepts: &[ArtifactKind::Model, ArtifactKind::Tokenizer],
            arity: Arity::One,
            projection: Projection::Files(&["tokenizer.json"]),
            about: "What it reads."
        }
    ],
    [output("prompts", ArtifactKind::Prompts)],
    {}
);
kind!(
    Train,
    TrainConfig,
    "train",
    Float,
    [input("model", &[ArtifactKind::Model], Arity::One), input("prompts", &[ArtifactKind::Prompts], Arity::One)],
    [
        output("adapter", ArtifactKind::Adapter),
        output("model", ArtifactKind::Model),
        output("curve", ArtifactKind::Curve)
    ],
    {
        const UNKEYED: &'static [&'static str] = &["logging_steps"];
        const FOREIGN: &'static [(&'static str, &'static str)] = &[("fp16", "model work is done in float32")];

        fn check(config: &TrainConfig) -> Vec<ConfigIssue> {
            let zero = || ConfigIssue::invalid("lora_r", format!("lora_r is `{}`; expected at least 1", config.lora_r));
            (config.lora_r == 0).then(zero).into_iter().collect()
        }

        fn writes(config: &TrainConfig, slot: &str) -> bool {
            match slot {
                "adapter" => config.method == Method::Lora,
                "model" => config.method == Method::Full,
                _ => true,
            }
        }
    }
);
kind!(
    Merge,
    NoConfig,
    "merge",
    Float,
    [input("model", &[ArtifactKind::Model], Arity::One), input("adapter", &[ArtifactKind::Adapter], Arity::One)],
    [output("model", ArtifactKind::Model)],
    {}
);
kind!(
    Eval,
    EvalConfig,
    "eval",
    Float,
    [input("model", &[ArtifactKind::Model], Arity::One), input("data", &[ArtifactKind::File], Arity::One)],
    [output("report", ArtifactKind::Report)],
    {}
);
kind!(
    Gate,
    GateConfig,
    "gate",
    Exact,
    [
        input("reports", &[ArtifactKind::Report], Arity::Many),
        input("baseline", &[ArtifactKind::Report], Arity::Optional)
    ],
    [output("verdict", ArtifactKind::Verdict)],
    {}
);

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// What becomes of a row that is not valid.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    #[default]
    Fail,
    Reject,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CleanConfig {
    /// What becomes of a row that is not valid.
    pub on_invalid: OnInvalid,
    /// Which rows count as the same.
    pub dedupe: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenderConfig {
    /// The longest prompt, in tokens.
    pub max_seq_len: u32,
    #[serde(default)]
    pub system: String,
}

#[derive(Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    #[default]
    Lora,
    Full,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    pub method: Method,
    pub lora_r: u32,
    pub lora_alpha: u32,
    pub learning_rate: f64,
    pub num_train_epochs: u32,
    pub max_seq_len: u32,
    pub per_device_train_batch_size: u32,
    pub packing: bool,
    pub target_modules: Vec<String>,
    pub logging_steps: u32,
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            method: Method::Lora,
            lora_r: 16,
            lora_alpha: 32,
            learning_rate: 2e-4,
            num_train_epochs: 1,
            max_seq_len: 512,
            per_device_train_batch_size: 1,
            packing: false,
            target_modules: vec!["q_proj".into(), "v_proj".into()],
            logging_steps: 10,
            seed: 0,
        }
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvalConfig {
    pub metrics: Vec<String>,
    #[serde(default)]
    pub max_new_tokens: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateConfig {
    #[serde(default)]
    pub min_examples: u32,
    pub rules: Vec<Rule>,
}

/// A condition on a metric.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub metric: String,
    #[serde(default)]
    pub min: Option<f64>,
    #[serde(default)]
    pub min_gain: Option<f64>,
    #[serde(default)]
    pub paired: bool,
}

/// A project with data, a model folder, and links inside and out of it.
pub fn project() -> tempfile::TempDir {
    let outside = tempfile::tempdir().expect("folder").keep();
    fs::write(outside.join("secret.jsonl"), "{}").expect("file");
    let project = tempfile::tempdir().expect("folder");
    let root = project.path();
    for folder in ["data", "models/base", "outputs"] {
        fs::create_dir_all(root.join(folder)).expect("folder");
    }
    for file in ["data/raw.jsonl", "data/algebra rows.jsonl", "data/exam.jsonl", "models/base/config.json"] {
        fs::write(root.join(file), file).expect("file");
    }
    let link = |target: &Path, name: &str| std::os::unix::fs::symlink(target, root.join(name)).expect("link");
    link(&outside.join("secret.jsonl"), "data/escape.jsonl");
    link(&outside, "outputs/elsewhere");
    link(Path::new("raw.jsonl"), "data/inside.jsonl");
    project
}

/// The digest of a file, or of the names and bytes in a folder.
pub fn digest(root: &Path, path: &Path) -> io::Result<Content> {
    let path = root.join(path);
    if path.is_file() {
        return Ok(Content::File(Digest::of(&fs::read(path)?)));
    }
    let mut names: Vec<_> =
        fs::read_dir(&path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    names.sort();
    let listing: Vec<String> = names
        .iter()
        .map(|path| format!("{:?} {}", path.file_name(), Digest::of(&fs::read(path).unwrap_or_default())))
        .collect();
    Ok(Content::Tree(Digest::of(listing.join("\n").as_bytes())))
}

/// A machine on which there is one program.
struct Counter;

impl Machine for Counter {
    fn variable(&self, _: &str) -> Option<Value> {
        None
    }

    fn tool(&self, name: &str) -> io::Result<Option<Tool>> {
        let tool = || Tool { path: "/usr/bin/wc".into(), folders: Vec::new(), digest: Digest::of(b"wc") };
        Ok((name == "wc").then(tool))
    }

    fn program(&self) -> PathBuf {
        PathBuf::new()
    }
}

/// Reads and plans a manifest in a project.
pub fn plan_in(root: &Path, name: &str, bytes: &[u8], overrides: &[Override]) -> Result<Plan, Vec<Diagnostic>> {
    let manifest = manifest::read(name, bytes, overrides)?;
    Planner {
        kinds: &KINDS,
        project: root,
        fetched: &|_| None,
        pinned: &|_| None,
        digest: &|path| digest(root, path),
        machine: &Counter,
    }
    .plan(&manifest)
}

/// All diagnostics of a manifest as they are shown.
pub fn rendered(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|diagnostic| render(diagnostic, false)).collect::<Vec<_>>().join("\n")
}
