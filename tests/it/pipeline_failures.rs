//! The program from outside when things go wrong: killed, interrupted, damaged bytes, full disks, files in the way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::disk::Disk;
use crate::project::{Project, Run};

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
fn what_an_export_finds_damaged_is_made_again_in_the_same_run() {
    let project = Project::new();
    let first = project.run(&["pipelines/small.yaml"]).succeeded();
    let weights = project.path("outputs/adapter/adapter_model.safetensors");
    let whole = fs::read(&weights).unwrap();
    let blobs = walk(&project.cache.join("blobs"));
    let blob = blobs.iter().find(|path| fs::read(path).unwrap() == whole).expect("the adapter's weights");
    // As rot does it: mode bits and times stay, so nothing shows before the bytes are read.
    let times = fs::metadata(blob).unwrap().modified().unwrap();
    fs::set_permissions(blob, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = whole.clone();
    bytes[100] ^= 1;
    fs::write(blob, bytes).unwrap();
    fs::File::options().append(true).open(blob).unwrap().set_modified(times).unwrap();
    fs::remove_dir_all(project.path("outputs")).unwrap();

    let second = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(second.stages("stage_started"), ["train"]);
    assert_eq!(second.finished()["executed"], 1);
    assert!(second.events.iter().any(|event| event["event"] == "damaged"));
    assert_eq!(fs::read(&weights).unwrap(), whole);
    assert_eq!(first.experiment(), second.experiment());
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
fn a_cache_that_can_not_be_made_is_named_in_the_error() {
    let project = Project::new();
    let file = project.path("a-file");
    fs::write(&file, "not a folder").unwrap();
    let output =
        project.command(&["run", "pipelines/small.yaml"]).env("PIPE_CACHE", file.join("cache")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a-file/cache"));
}

#[test]
fn a_bad_row_is_shown_in_its_file_not_under_the_inputs_name() {
    let project = Project::new();
    fs::write(project.path("data/train.jsonl"), "{\"instruction\": 3}\n").unwrap();
    project.write_manifest(
        "bad.yaml",
        "version: 1\nname: bad\ninputs: { raw: data/train.jsonl }\nstages: { clean: { in: { sources: raw } } }\n",
    );
    let output = project.pipe(&["run", "pipelines/bad.yaml"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("--> data/train.jsonl:1:17"), "{text}");
    assert_eq!(
        text.matches("`instruction`: found `number`").count(),
        2,
        "in the stage's line and with its place: {text}"
    );
}

#[test]
fn a_model_folder_without_weights_is_named_as_the_manifest_names_it() {
    let project = Project::new();
    fs::create_dir(project.path("data/base")).unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
        let embedded = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/models/pipe-mini").join(name);
        fs::copy(embedded, project.path("data/base").join(name)).unwrap();
    }
    project.write_manifest(
        "empty.yaml",
        "version: 1\nname: empty\ninputs: { exam: data/exam.jsonl, base: data/base }\nstages: { eval: { in: { model: base, data: exam } } }\n",
    );
    let output = project.pipe(&["run", "pipelines/empty.yaml"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("`base` has no weights; expected `model.safetensors`"), "{text}");
}

#[test]
fn prompts_of_another_tokenizer_are_refused_with_the_likely_cause() {
    let project = Project::new();
    let other = "  other: { uses: tokenizer, in: { records: clean.records }, with: { vocab_size: 300 } }\n  init:\n    in: { tokenizer: other.tokenizer }";
    let manifest = crate::project::MANIFEST.replace("  init:\n    in: { tokenizer: tokenizer.tokenizer }", other);
    project.write_manifest("mixed.yaml", &manifest.replace("vocab_size: 320", "vocab_size: 400"));
    let output = project.pipe(&["run", "pipelines/mixed.yaml", "train"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("expected below vocab_size `300`") && text.contains("another tokenizer"), "{text}");
}

/// The digest of an output in the record of an experiment.
fn digest_of(project: &Project, experiment: &str, path: &str) -> String {
    let shown: Value = serde_json::from_slice(&project.pipe(&["show", "--json", experiment]).stdout).unwrap();
    shown.pointer(path).unwrap_or_else(|| panic!("{path} in {shown}"))["digest"].as_str().unwrap().to_owned()
}

fn blob(project: &Project, digest: &str) -> PathBuf {
    project.cache.join("blobs").join(&digest[..2]).join(digest)
}

#[test]
fn a_lost_result_that_comes_out_otherwise_gives_way_instead_of_failing_for_ever() {
    let project = Project::new();
    let first = project.run(&["pipelines/small.yaml"]).succeeded();
    // A result as another build might have left it: other bytes, which are gone.
    let digest = digest_of(&project, &first.experiment(), "/stages/0/outputs/records/content");
    let named = |path: &PathBuf| fs::read_to_string(path).unwrap().contains(&digest);
    let result = walk(&project.cache.join("results"))
        .into_iter()
        .find(|path| named(path) && fs::read_to_string(path).unwrap().contains("\"kind\": \"clean\""));
    let result = result.expect("the result of clean");
    let text = fs::read_to_string(&result).unwrap().replace(&digest, &"0".repeat(digest.len()));
    let body = &text[..=text.trim_end().rfind('\n').unwrap()];
    fs::set_permissions(&result, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&result, format!("{body}blake3 {}\n", blake3::hash(body.as_bytes()).to_hex())).unwrap();
    let second = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(second.stages("stage_started"), ["clean"]);
    assert!(second.stages("stage_warning").contains(&"clean".to_owned()), "{:?}", second.events);
    assert_eq!(second.experiment(), first.experiment());
    assert!(project.run(&["pipelines/small.yaml"]).succeeded().stages("stage_started").is_empty());
}

#[test]
fn a_lost_input_copy_is_kept_again_by_a_run_in_which_nothing_executes() {
    let project = Project::new();
    let id = project.run(&["pipelines/small.yaml"]).succeeded().experiment();
    let manifest: Value = serde_json::from_slice(&project.pipe(&["show", "--json", &id]).stdout).unwrap();
    fs::remove_file(blob(&project, manifest["manifest"].as_str().unwrap())).unwrap();
    fs::remove_file(blob(&project, &digest_of(&project, &id, "/inputs/raw"))).unwrap();
    let verified = project.pipe(&["cache", "verify"]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert_eq!(verified.status.code(), Some(5));
    assert!(text.contains("its manifest is gone") && text.contains("its input `raw` is gone"), "{text}");
    assert!(project.run(&["pipelines/small.yaml"]).succeeded().stages("stage_started").is_empty());
    assert_eq!(project.pipe(&["cache", "verify"]).status.code(), Some(0));
    assert_eq!(project.pipe(&["reproduce", &id]).status.code(), Some(0));
}

#[test]
fn a_large_input_that_moved_is_found_where_it_is_now() {
    let project = Project::new();
    let mut large = fs::read(project.path("data/train.jsonl")).unwrap();
    large.resize(large.len() + (65 << 20), b'\n');
    let manifest = |input: &str| {
        format!(
            "version: 1\nname: large\ninputs: {{ raw: {input} }}\nstages: {{ clean: {{ in: {{ sources: raw }} }} }}\n"
        )
    };
    fs::write(project.path("data/one.jsonl"), &large).unwrap();
    project.write_manifest("large.yaml", &manifest("data/one.jsonl"));
    let first = project.run(&["pipelines/large.yaml"]).succeeded();
    // The same bytes elsewhere, and others of the same size where they were.
    fs::rename(project.path("data/one.jsonl"), project.path("data/two.jsonl")).unwrap();
    large[0] ^= 1;
    fs::write(project.path("data/one.jsonl"), &large).unwrap();
    project.write_manifest("large.yaml", &manifest("data/two.jsonl"));
    let second = project.run(&["pipelines/large.yaml", "--force", "clean"]).succeeded();
    assert_eq!(second.experiment(), first.experiment());
}

#[test]
fn a_full_disk_fails_the_run_with_what_to_do_and_the_next_one_goes_on() {
    let Some(disk) = Disk::mount("the full disk under a run") else { return };
    let project = Project::with_cache(disk.path().join("cache"));
    project.run(&["pipelines/small.yaml", "clean"]).succeeded();
    let filler = disk.fill_but(24 << 10);
    let full = project.run(&["pipelines/small.yaml"]);
    assert_eq!(full.code, Some(1), "{}", full.stderr);
    assert!(
        full.stderr.contains("free some space")
            || full
                .events
                .iter()
                .any(|event| { event["message"].as_str().is_some_and(|message| message.contains("No space left")) }),
        "{} {:?}",
        full.stderr,
        full.events
    );
    assert!(full.finished()["failed"].as_u64().unwrap() > 0, "the end is told all the same");
    fs::remove_file(filler).unwrap();
    let second = project.run(&["pipelines/small.yaml"]).succeeded();
    assert!(second.stages("stage_hit").contains(&"clean".to_owned()));
    assert_eq!(project.pipe(&["cache", "verify"]).status.code(), Some(0));
}

#[test]
fn a_read_only_cache_serves_an_unchanged_run_and_names_the_remedy_for_a_changed_one() {
    let Some(disk) = Disk::mount("the read-only cache under a run") else { return };
    let project = Project::with_cache(disk.path().join("cache"));
    let first = project.run(&["pipelines/small.yaml"]).succeeded();
    if !disk.make_read_only() {
        return;
    }
    let second = project.run(&["pipelines/small.yaml"]).succeeded();
    assert!(second.stages("stage_started").is_empty());
    assert_eq!(second.experiment(), first.experiment());
    let output = project.pipe(&["run", "pipelines/small.yaml", "-p", "min_contains=0.5"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("PIPE_CACHE"), "{text}");
}

#[test]
fn runs_that_export_to_one_place_at_once_all_succeed_and_leave_one_whole_export() {
    let project = Project::new();
    let start = |steps: usize| {
        let mut command = project.command(&["run", "--json", "pipelines/small.yaml", "-p", &format!("steps={steps}")]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (1..=4).map(start).collect();
    for child in children {
        Run::of(&child.wait_with_output().unwrap()).succeeded();
    }
    let exported = fs::read(project.path("outputs/adapter/adapter_model.safetensors")).unwrap();
    let blobs = walk(&project.cache.join("blobs"));
    assert!(blobs.iter().any(|path| fs::read(path).unwrap() == exported), "it is one of the four");
    let beside: Vec<_> =
        fs::read_dir(project.path("outputs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["adapter"], "nothing is left beside it");
}
