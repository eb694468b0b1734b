//! `pipe doctor` from outside: what it says, what it keeps to itself, and when it fails.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::project::Project;

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

#[test]
fn a_healthy_machine_gets_a_page_and_exit_code_0() {
    let project = Project::new();
    let output = project.pipe(&["doctor"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for line in [
        "pipe       0.",
        "backend    flex: works",
        "cpu ",
        "memory ",
        "cache ",
        "hub ",
        "pip ",
        "variable   PIPE_CACHE=",
    ] {
        assert!(text.contains(line), "{line:?} in\n{text}");
    }
    assert!(!project.cache.exists(), "looking makes no cache");
}

#[test]
fn the_document_has_every_part() {
    let project = Project::new();
    let output = project.pipe(&["doctor", "--json"]);
    let found = document(&output);
    assert_eq!((found["version"].as_u64(), output.status.code()), (Some(1), Some(0)), "{found}");
    let backends: Vec<_> = found["backends"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(backends, ["flex", "ndarray", "wgpu"]);
    assert_eq!(found["backends"][0]["works"], true);
    for backend in found["backends"].as_array().expect("a list").iter().filter(|one| one["built_in"] == false) {
        let name = backend["name"].as_str().expect("a name");
        assert_eq!(backend["reason"], format!("cargo build --release --features {name}"));
    }
    assert!(found["machine"]["threads"].as_u64().is_some_and(|threads| threads > 0), "{found}");
    assert_eq!(found["cache"]["path"].as_str(), project.cache.to_str());
    assert_eq!((&found["cache"]["writable"], &found["cache"]["exists"]), (&true.into(), &false.into()));
    assert!(found["cache"]["free_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{found}");
}

#[test]
fn a_cache_that_can_not_be_written_is_broken() {
    let project = Project::new();
    // A file where the folder's parent would be stops every user, root too.
    fs::write(project.path("file"), "").unwrap();
    let output = project.command(&["doctor", "--json"]).env("PIPE_CACHE", project.path("file/cache")).output().unwrap();
    let found = document(&output);
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert_eq!(found["cache"]["writable"], false);
    let problem = found["problems"].as_array().expect("a list").iter().find(|one| one["broken"] == true);
    let problem = problem.expect("a broken thing");
    assert!(problem["what"].as_str().is_some_and(|what| what.contains("can't be written")), "{problem}");
    assert!(problem["help"].as_str().is_some_and(|help| help.contains("PIPE_CACHE")), "{problem}");
}

#[test]
fn secrets_stay_out_and_misspelt_variables_are_told() {
    let project = Project::new();
    let run = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("HF_TOKEN", "qz-secret").env("HF_ENDPOINT", "http://user:qz-secret@127.0.0.1:9/");
        command.env("HF_HOME", project.path("home")).env("HF_HUB_OFFLINE", "1").env("PIPE_CAHCE", "qz-secret");
        command.output().unwrap()
    };
    for arguments in [&["doctor"][..], &["doctor", "--json"]] {
        let output = run(arguments);
        let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{all}");
        assert!(!all.contains("qz-secret"), "{all}");
        assert!(all.contains("did you mean `PIPE_CACHE`?"), "{all}");
    }
    let hub = document(&run(&["doctor", "--json"]))["hub"].clone();
    assert_eq!((&hub["token_present"], &hub["offline"]), (&true.into(), &true.into()));
    assert_eq!(hub["endpoint"], "http://127.0.0.1:9");
    assert_eq!(hub["home"].as_str(), project.path("home").to_str());
}

#[test]
fn without_pip_there_is_a_warning_and_no_failure() {
    let project = Project::new();
    let output = project.command(&["doctor", "--json"]).env("PATH", project.path("data")).output().unwrap();
    let found = document(&output);
    assert_eq!((output.status.code(), &found["pip"]), (Some(0), &Value::Null), "{found}");
    let told = found["problems"].as_array().expect("a list").iter().any(|one| one["broken"] == false);
    assert!(told, "{found}");
}
