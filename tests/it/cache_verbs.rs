//! `pipe cache` from outside, on a small real pipeline: collecting, undoing, pinning, and moving to another machine.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::project::{Project, Run, STAGES};

/// A verb of the cache that has to succeed; what it wrote as JSON.
fn cache(project: &Project, arguments: &[&str]) -> Value {
    let output = project.pipe(&[&["cache", "--json"], arguments].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Collects whatever no lock and no pin keeps.
const COLLECT: [&str; 6] = ["gc", "--yes", "--grace", "0", "--keep-runs", "0"];

/// Collects what no pin keeps, also where a lock would.
fn collect_without_locks(project: &Project) -> Value {
    let lock = project.path("pipelines/small.lock");
    if lock.exists() {
        fs::remove_file(lock).unwrap();
    }
    cache(project, &COLLECT)
}

fn started(project: &Project, arguments: &[&str]) -> Vec<String> {
    let mut started = project.run(&[&["pipelines/small.yaml"], arguments].concat()).succeeded().stages("stage_started");
    started.sort();
    started
}

#[test]
fn gc_never_changes_what_an_unchanged_rerun_of_a_locked_manifest_does() {
    let project = Project::new();
    let other = project.run(&["pipelines/small.yaml", "-p", "steps=4"]).succeeded().experiment();
    let id = project.run(&["pipelines/small.yaml"]).succeeded().experiment();
    fs::write(project.path("pipelines/kept.lock"), format!("experiment: {id}\n")).unwrap();
    let dry = cache(&project, &["gc", "--grace", "0", "--keep-runs", "0"]);
    assert_eq!(dry["trash"], Value::Null);
    let done = cache(&project, &COLLECT);
    assert!(done["going_bytes"].as_u64().unwrap() > 0, "{done}");
    let names = |value: &Value| {
        let mut going: Vec<String> = value["going"].as_array().unwrap().iter().map(ToString::to_string).collect();
        going.sort();
        going
    };
    assert_eq!(names(&done), names(&dry), "the dry run told what would go");
    let again = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(again.stages("stage_hit").len(), STAGES);
    assert_eq!(again.experiment(), id);
    assert_eq!(project.pipe(&["reproduce", &id]).status.code(), Some(0));
    assert_eq!(project.pipe(&["cache", "verify"]).status.code(), Some(0));
    assert_eq!(project.pipe(&["show", &other]).status.code(), Some(2), "the other experiment went");
    cache(&project, &["gc", "--undo"]);
    assert!(started(&project, &["-p", "steps=4"]).is_empty(), "and is back with all its results");
}

#[test]
fn without_a_root_everything_goes_and_the_same_experiment_is_made_again() {
    let project = Project::new();
    let id = project.run(&["pipelines/small.yaml"]).succeeded().experiment();
    let lock = project.path("pipelines/small.lock");
    let _ = fs::remove_file(lock);
    let spared = cache(&project, &["gc", "--yes", "--grace", "0"]);
    assert!(spared["going"].as_array().unwrap().is_empty(), "the latest runs are kept by default: {spared}");
    let spared = cache(&project, &["gc", "--yes", "--keep-runs", "0"]);
    assert!(spared["going"].as_array().unwrap().is_empty(), "what is a day old is kept by default: {spared}");
    collect_without_locks(&project);
    assert_eq!(cache(&project, &["gc"])["total_bytes"], 0);
    let emptied = cache(&project, &["gc", "--empty-trash"]);
    assert_eq!(emptied["dry_run"], true);
    cache(&project, &["gc", "--empty-trash", "--yes"]);
    assert_eq!(project.pipe(&["cache", "gc", "--undo"]).status.code(), Some(2), "there is nothing to undo");
    let again = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(again.stages("stage_finished").len(), STAGES);
    assert_eq!(again.experiment(), id);
}

#[test]
fn a_run_beside_a_collector_that_keeps_nothing_loses_nothing() {
    let project = Project::new();
    let id = project.run(&["pipelines/small.yaml"]).succeeded().experiment();
    for force in [&[][..], &["--force", "train"]] {
        let run = project
            .command(&[&["run", "--json", "pipelines/small.yaml"], force].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let waiting = std::thread::spawn(move || Run::of(&run.wait_with_output().unwrap()));
        while !waiting.is_finished() {
            collect_without_locks(&project);
        }
        let run = waiting.join().unwrap().succeeded();
        assert_eq!(run.experiment(), id);
        assert_eq!(project.pipe(&["cache", "verify"]).status.code(), Some(0));
    }
}

#[test]
fn a_pinned_stage_stays_and_the_rest_goes() {
    let project = Project::new();
    project.run(&["pipelines/small.yaml"]).succeeded();
    let pinned = cache(&project, &["pin", "train", "--note", "the adapter"]);
    assert_eq!(pinned["pinned"][0]["label"], "train");
    collect_without_locks(&project);
    let mut ran = started(&project, &[]);
    assert!(!ran.contains(&"train".to_owned()) && ran.len() == STAGES - 1, "{ran:?}");
    let id = project.run(&["pipelines/small.yaml"]).succeeded().experiment();
    cache(&project, &["pin", &id[..12]]);
    collect_without_locks(&project);
    assert!(started(&project, &[]).is_empty());
    assert_eq!(cache(&project, &["pins"])["pinned"].as_array().unwrap().len(), 2);
    let key = pinned["pinned"][0]["pinned"]["name"].as_str().unwrap();
    cache(&project, &["unpin", &id[..12], &key[..12]]);
    collect_without_locks(&project);
    ran = started(&project, &[]);
    assert_eq!(ran.len(), STAGES);
    let unknown = project.pipe(&["cache", "pin", "trian"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn a_lock_or_pin_that_names_nothing_stops_gc_with_exit_code_5() {
    let project = Project::new();
    project.run(&["pipelines/small.yaml"]).succeeded();
    fs::write(project.path("pipelines/torn.lock"), "").unwrap();
    for arguments in [&COLLECT[..], &["gc"]] {
        let output = project.pipe(&[&["cache"], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{text}");
        assert!(text.contains("torn.lock") && text.contains("nothing was moved"), "{text}");
    }
    assert!(started(&project, &[]).is_empty());
    let output = project.pipe(&["cache", "gc", "--max-size", "5 pounds"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn another_machine_takes_an_experiment_in_reproduces_it_and_hits() {
    let project = Project::new();
    let id = project.run(&["pipelines/small.yaml"]).succeeded().experiment();
    let archive = project.path("small.pipe");
    let archive = archive.to_str().unwrap();
    cache(&project, &["export", &id[..10], "small.pipe"]);
    assert_eq!(project.pipe(&["cache", "export", &id, archive]).status.code(), Some(2), "never over a file");
    let elsewhere = Project::new();
    let imported = cache(&elsewhere, &["import", archive]);
    assert_eq!(imported["imported"]["experiment"], id.as_str());
    assert_eq!(elsewhere.pipe(&["cache", "verify"]).status.code(), Some(0));
    let run = elsewhere.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(run.stages("stage_hit").len(), STAGES);
    assert_eq!(run.experiment(), id);
    fs::remove_dir_all(elsewhere.path("data")).unwrap();
    let reproduced = elsewhere.pipe(&["reproduce", &id]);
    assert_eq!(reproduced.status.code(), Some(0), "{}", String::from_utf8_lossy(&reproduced.stderr));
    let again = elsewhere.path("again.pipe");
    cache(&elsewhere, &["export", &id, again.to_str().unwrap()]);
    assert_eq!(fs::read(again).unwrap(), fs::read(archive).unwrap());
    fs::write(project.path("no.pipe"), "no archive").unwrap();
    assert_eq!(elsewhere.pipe(&["cache", "import", project.path("no.pipe").to_str().unwrap()]).status.code(), Some(2));
}

#[test]
fn du_tells_shared_bytes_from_those_of_one_experiment_alone() {
    let project = Project::new();
    project.run(&["pipelines/small.yaml"]).succeeded();
    let one = cache(&project, &["du"]);
    let share = |value: &Value, index: usize, what: &str| value["experiments"][index]["share"][what].as_u64().unwrap();
    assert_eq!(share(&one, 0, "bytes"), share(&one, 0, "alone_bytes"));
    project.run(&["pipelines/small.yaml", "-p", "steps=4"]).succeeded();
    let two = cache(&project, &["du"]);
    for index in 0..2 {
        assert!(
            share(&two, index, "alone_bytes") > 0 && share(&two, index, "alone_bytes") < share(&two, index, "bytes")
        );
    }
    let kinds: Vec<&str> = two["kinds"].as_array().unwrap().iter().filter_map(|kind| kind["kind"].as_str()).collect();
    assert!(kinds.contains(&"train") && kinds.contains(&"gate"), "{kinds:?}");
    let shown = project.pipe(&["cache", "du"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("of no experiment"));
}
