//! The program from outside, on a small real pipeline: tokenizer, model, training, evaluation and gate, in seconds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const MANIFEST: &str = "\
version: 1
name: small
seed: 3
params: { min_contains: 0.0, steps: 3 }
inputs: { raw: data/train.jsonl, exam: data/exam.jsonl }
stages:
  clean: { in: { sources: raw, held_out: exam }, with: { on_invalid: reject } }
  tokenizer: { in: { records: clean.records }, with: { vocab_size: 320 } }
  init:
    in: { tokenizer: tokenizer.tokenizer }
    with: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8 }
  render-prompts: { in: { records: clean.records, model: tokenizer.tokenizer }, with: { max_seq_len: 2048 } }
  train:
    in: { model: init.model, prompts: render-prompts.prompts }
    with: { max_steps: \"${params.steps}\", lora_r: 2, gradient_accumulation_steps: 1, logging_steps: 1 }
  merge: { in: { model: init.model, adapter: train.adapter } }
  eval: { in: { model: merge.model, data: exam }, with: { max_new_tokens: 4 } }
  eval-adapter: { uses: eval, in: { model: init.model, adapter: train.adapter, data: exam }, with: { max_new_tokens: 4 } }
  eval-base: { uses: eval, in: { model: init.model, data: exam }, with: { max_new_tokens: 4 } }
  gate:
    in: { reports: eval.report, baseline: eval-base.report }
    with: { rules: [{ metric: contains, min: \"${params.min_contains}\" }] }
exports: { outputs/adapter: { from: train.adapter } }
";
const STAGES: usize = 10;

/// A project in a folder of its own, with its cache inside unless told otherwise.
struct Project {
    folder: tempfile::TempDir,
    cache: PathBuf,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        Self::in_folder(folder, cache)
    }

    fn sharing_cache_of(other: &Self) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), other.cache.clone())
    }

    fn in_folder(folder: tempfile::TempDir, cache: PathBuf) -> Self {
        fs::create_dir_all(folder.path().join("data")).unwrap();
        fs::create_dir_all(folder.path().join("pipelines")).unwrap();
        let rows = (0..24).map(|row| {
            format!(
                "{{\"instruction\": \"What is the fee of house {row}?\", \"tools\": [{{\"name\": \"retrieve\", \"desc\": \"search\", \
                 \"args_schema\": {{\"query\": \"str\"}}}}], \"trajectory\": [{{\"thought\": \"Look.\", \"action\": {{\"tool\": \
                 \"retrieve\", \"args\": {{\"query\": \"fee {row}\"}}}}, \"observation\": \"Fee of {row}: ${}.\"}}], \
                 \"final_answer\": \"${0}\"}} // comment\n\n",
                row * 7 + 1
            )
        });
        fs::write(folder.path().join("data/train.jsonl"), rows.collect::<String>()).unwrap();
        let exam = (0..6).map(|row| {
            format!("{{\"query\": \"Tax of farm {row}?\", \"context\": \"It is {row}%.\", \"expected\": \"{row}%\"}}\n")
        });
        fs::write(folder.path().join("data/exam.jsonl"), exam.collect::<String>()).unwrap();
        let project = Self { folder, cache };
        project.write_manifest("small.yaml", MANIFEST);
        project
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    fn write_manifest(&self, name: &str, text: &str) {
        fs::write(self.path("pipelines").join(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
        command.args(arguments).current_dir(self.folder.path()).env("PIPE_CACHE", &self.cache).stdin(Stdio::null());
        command
    }

    fn pipe(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a manifest and gives its events.
    fn run(&self, arguments: &[&str]) -> Run {
        let output = self.pipe(&[&["run", "--json"], arguments].concat());
        Run::of(&output)
    }
}

struct Run {
    code: Option<i32>,
    events: Vec<Value>,
    stderr: String,
}

impl Run {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let events = text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
        Self { code: output.status.code(), events, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    fn stages(&self, event: &str) -> Vec<String> {
        let of_kind = self.events.iter().filter(|found| found["event"] == event);
        of_kind.map(|found| found["stage"].as_str().expect("a stage").to_owned()).collect()
    }

    fn finished(&self) -> &Value {
        self.events.last().filter(|event| event["event"] == "run_finished").unwrap_or_else(|| panic!("{}", self.stderr))
    }

    fn experiment(&self) -> String {
        self.finished()["experiment"].as_str().expect("a complete run").to_owned()
    }

    fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }
}

#[test]
fn the_second_run_executes_nothing_and_is_the_same_experiment() {
    let project = Project::new();
    let first = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(first.stages("stage_finished").len(), STAGES);
    assert!(project.path("outputs/adapter/adapter_model.safetensors").is_file());
    let second = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(second.stages("stage_hit").len(), STAGES);
    assert!(second.stages("stage_started").is_empty());
    assert_eq!(first.experiment(), second.experiment());
    let shown = project.pipe(&["run", "pipelines/small.yaml"]);
    assert!(String::from_utf8_lossy(&shown.stderr).contains("nothing executed, 10 from cache"));
}

#[test]
fn a_comment_a_file_name_or_a_stage_name_reruns_nothing() {
    let project = Project::new();
    let first = project.run(&["pipelines/small.yaml"]).succeeded();
    let renamed = MANIFEST.replace("eval-base", "baseline-eval").replace("seed: 3", "seed: 3 # the seed\n");
    project.write_manifest("other.yaml", &renamed);
    fs::rename(project.path("data/train.jsonl"), project.path("data/rows.jsonl")).unwrap();
    project.write_manifest("other.yaml", &renamed.replace("data/train.jsonl", "data/rows.jsonl"));
    let second = project.run(&["pipelines/other.yaml"]).succeeded();
    assert!(second.stages("stage_started").is_empty(), "{:?}", second.stages("stage_started"));
    assert_eq!(first.experiment(), second.experiment());
}

#[test]
fn a_threshold_reruns_only_the_gate_and_plan_names_the_change() {
    let project = Project::new();
    project.run(&["pipelines/small.yaml"]).succeeded();
    let plan = project.pipe(&["plan", "pipelines/small.yaml", "-p", "min_contains=1.0"]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.contains("0.0 → 1.0"), "{plan}");
    assert!(plan.contains("1 of 10 stages would run"), "{plan}");
    let failed = project.run(&["pipelines/small.yaml", "-p", "min_contains=1.0"]);
    assert_eq!(failed.stages("stage_started"), ["gate"]);
    assert_eq!(failed.code, Some(3), "an impossible threshold fails the gate");
}

#[test]
fn a_changed_setting_reruns_what_depends_on_it_and_says_why() {
    let project = Project::new();
    project.run(&["pipelines/small.yaml"]).succeeded();
    let why = project.pipe(&["why", "pipelines/small.yaml", "merge", "-p", "steps=4"]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("`train` runs first") && why.contains("`max_steps` changed: 3 → 4"), "{why}");
    let run = project.run(&["pipelines/small.yaml", "-p", "steps=4"]).succeeded();
    let mut started = run.stages("stage_started");
    // The gate runs only if the other adapter also gives other answers.
    started.retain(|stage| stage != "gate");
    started.sort();
    assert_eq!(started, ["eval", "eval-adapter", "merge", "train"]);
}

#[test]
fn two_cold_runs_in_two_clones_are_the_same_experiment() {
    let (one, other) = (Project::new(), Project::new());
    let first = one.run(&["pipelines/small.yaml"]).succeeded();
    let second = other.run(&["pipelines/small.yaml", "-j", "1"]).succeeded();
    assert_eq!(second.stages("stage_finished").len(), STAGES);
    assert_eq!(first.experiment(), second.experiment());
}

#[test]
fn an_experiment_is_reproduced_in_another_clone_from_the_cache_alone() {
    let project = Project::new();
    let id = project.run(&["pipelines/small.yaml"]).succeeded().experiment();
    let clone = Project::sharing_cache_of(&project);
    fs::remove_dir_all(clone.path("data")).unwrap();
    fs::remove_dir_all(clone.path("pipelines")).unwrap();
    let output = clone.pipe(&["reproduce", &id[..10]]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("every byte is identical"), "{text}");
}

#[test]
fn a_flipped_byte_is_found_quarantined_and_made_again() {
    let project = Project::new();
    let first = project.run(&["pipelines/small.yaml"]).succeeded();
    let shown: Value = serde_json::from_slice(&project.pipe(&["show", "--json", &first.experiment()]).stdout).unwrap();
    let stages = shown["stages"].as_array().unwrap();
    let prompts = stages.iter().find(|stage| stage["name"] == "render-prompts").unwrap();
    let digest = prompts["outputs"]["prompts"]["content"]["digest"].as_str().unwrap();
    let blob = project.cache.join("blobs").join(&digest[..2]).join(digest);
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(&blob).unwrap();
    bytes[10] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    let second = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(second.stages("stage_started"), ["render-prompts"]);
    assert!(second.events.iter().any(|event| event["event"] == "damaged"));
    assert_eq!(first.experiment(), second.experiment());
    assert!(fs::read_dir(project.cache.join("quarantine")).unwrap().count() > 0);
    assert_eq!(project.pipe(&["cache", "verify"]).status.code(), Some(0));
}

#[test]
fn cache_verify_finds_a_flipped_byte_behind_a_forged_time_stamp() {
    let project = Project::new();
    project.run(&["pipelines/small.yaml", "clean"]).succeeded();
    let blobs = walk(&project.cache.join("blobs"));
    let blob = blobs.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let modified = fs::metadata(blob).unwrap().modified().unwrap();
    fs::set_permissions(blob, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(blob).unwrap();
    bytes[5] ^= 4;
    fs::write(blob, &bytes).unwrap();
    fs::File::options().append(true).open(blob).unwrap().set_modified(modified).unwrap();
    assert_eq!(project.pipe(&["cache", "verify"]).status.code(), Some(5));
    project.run(&["pipelines/small.yaml", "clean"]).succeeded();
    assert_eq!(project.pipe(&["cache", "verify"]).status.code(), Some(0));
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn two_runs_at_once_both_succeed_and_execute_each_stage_once() {
    let project = Project::new();
    let start = || {
        project
            .command(&["run", "--json", "pipelines/small.yaml"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (one, other) = (start(), start());
    let ended = |child: Child| Run::of(&child.wait_with_output().unwrap()).succeeded();
    let (one, other) = (ended(one), ended(other));
    assert_eq!(one.experiment(), other.experiment());
    let executed = one.stages("stage_finished").len() + other.stages("stage_finished").len();
    assert_eq!(executed, STAGES);
}

#[test]
fn a_run_killed_in_training_completes_later_as_the_undisturbed_experiment() {
    let undisturbed = Project::new().run(&["pipelines/small.yaml", "-p", "steps=400"]).succeeded();
    let project = Project::new();
    let mut child = project
        .command(&["run", "--json", "pipelines/small.yaml", "-p", "steps=400"])
        .stdout(fs::File::create(project.path("events.jsonl")).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    let is_training = || {
        let events = fs::read_to_string(project.path("events.jsonl")).unwrap();
        events.lines().any(|line| line.contains("\"stage_progress\"") && line.contains("\"train\""))
    };
    while !is_training() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "training was never seen");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = project.run(&["pipelines/small.yaml", "-p", "steps=400"]).succeeded();
    assert!(resumed.stages("stage_hit").contains(&"render-prompts".to_owned()));
    assert!(resumed.stages("stage_started").contains(&"train".to_owned()));
    assert_eq!(resumed.experiment(), undisturbed.experiment());
    assert_eq!(project.pipe(&["cache", "verify"]).status.code(), Some(0));
    assert_eq!(fs::read_dir(project.cache.join("tmp")).unwrap().count(), 0, "nothing is left to clean by hand");
}

#[test]
fn an_export_the_user_changed_is_left_alone() {
    let project = Project::new();
    project.run(&["pipelines/small.yaml"]).succeeded();
    let config = project.path("outputs/adapter/adapter_config.json");
    fs::write(&config, "my own").unwrap();
    let second = project.run(&["pipelines/small.yaml", "-p", "steps=2"]).succeeded();
    assert!(second.events.iter().any(|event| event["event"] == "export_skipped"));
    assert_eq!(fs::read_to_string(&config).unwrap(), "my own");
}

#[test]
fn an_export_never_replaces_the_only_copy_of_a_large_input() {
    let project = Project::new();
    let mut large = fs::read(project.path("data/train.jsonl")).unwrap();
    large.resize(large.len() + (65 << 20), b'\n');
    fs::write(project.path("data/large.jsonl"), &large).unwrap();
    let manifest = |input: &str, exports: &str| {
        format!(
            "version: 1\nname: large\ninputs: {{ raw: {input} }}\nstages: {{ clean: {{ in: {{ sources: raw }} }} }}\n{exports}"
        )
    };
    project.write_manifest("reads.yaml", &manifest("data/large.jsonl", ""));
    project.run(&["pipelines/reads.yaml"]).succeeded();
    let exports = "exports: { data/large.jsonl: { from: clean.records, when: always } }\n";
    project.write_manifest("writes.yaml", &manifest("data/train.jsonl", exports));
    let run = project.run(&["pipelines/writes.yaml"]).succeeded();
    assert!(run.events.iter().any(|event| event["event"] == "export_skipped"));
    assert!(fs::read(project.path("data/large.jsonl")).unwrap() == large, "the user's file is as it was");
}

#[test]
fn an_interrupted_run_exits_130_and_leaves_a_valid_cache() {
    let project = Project::new();
    let events = project.path("events.jsonl");
    let mut child = project
        .command(&["run", "--json", "pipelines/small.yaml", "-p", "steps=100000"])
        .stdout(fs::File::create(&events).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !fs::read_to_string(&events).unwrap().contains("stage_progress\",\"stage\":\"train") {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "training was never seen");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(fs::read_to_string(&events).unwrap().lines().last().unwrap().contains("\"interrupted\":true"));
    assert_eq!(project.pipe(&["cache", "verify"]).status.code(), Some(0));
}

#[test]
fn adapter_and_merged_model_answer_alike() {
    let project = Project::new();
    let id = project.run(&["pipelines/small.yaml"]).succeeded().experiment();
    let shown: Value = serde_json::from_slice(&project.pipe(&["show", "--json", &id]).stdout).unwrap();
    let metrics = |name: &str| {
        let stages = shown["stages"].as_array().unwrap();
        stages.iter().find(|stage| stage["name"] == name).unwrap()["outcome"]["metrics"].clone()
    };
    assert_eq!(metrics("eval"), metrics("eval-adapter"));
}

#[test]
fn what_is_wrong_on_the_command_line_exits_2_and_says_what_would_be_right() {
    let project = Project::new();
    for (arguments, expected) in [
        (vec!["run", "pipelines/none.yaml"], "small.yaml"),
        (vec!["run", "pipelines/small.yaml", "trian"], "did you mean `train`?"),
        (vec!["run", "pipelines/small.yaml", "-p", "step=2"], "did you mean `steps`?"),
        (vec!["run", "pipelines/small.yaml", "--force", "trian"], "did you mean `train`?"),
        (vec!["why", "pipelines/small.yaml", "evla"], "did you mean `eval`?"),
        (vec!["show", "abcdef"], "pipe runs"),
        (vec!["run", "pipelines/small.yaml", "--backend", "cuda"], "ndarray"),
    ] {
        let output = project.pipe(&arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_backend_that_is_not_built_says_how_to_build_it() {
    let project = Project::new();
    let built_in = cfg!(feature = "wgpu");
    let output = project.pipe(&["run", "pipelines/small.yaml", "--backend", "wgpu", "clean"]);
    let names_the_feature = String::from_utf8_lossy(&output.stderr).contains("--features wgpu");
    assert!(built_in || names_the_feature, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_cache_that_can_not_be_made_is_named_in_the_error() {
    let project = Project::new();
    let file = project.path("a-file");
    fs::write(&file, "not a folder").unwrap();
    let output =
        project.command(&["run", "pipelines/small.yaml"]).env("PIPE_CACHE", file.join("cache")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a-file/cache"));
}
