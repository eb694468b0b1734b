//! `hf:` sources against a hub on this machine: the shared cache, resuming, digests, tokens, offline.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::hub_server::{COMMIT, Hub, Manners, hex};

const SOURCE: &str = "hf:acme/toy@main";

fn weights() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn hub(manners: Manners) -> Hub {
    let files = [
        ("README.md", b"# toy".to_vec()),
        ("config.json", b"{}".to_vec()),
        ("tokenizer.json", b"{ }".to_vec()),
        ("pytorch_model.bin", b"pickle".to_vec()),
        ("model.safetensors", weights()),
    ];
    Hub::new(&files, manners)
}

/// A user's home and project.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn pipe(&self, hub: &Hub, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pipe"));
        command.args(arguments).current_dir(self.0.path()).env("PIPE_CACHE", self.path("cache"));
        for name in ["HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"]
        {
            command.env_remove(name);
        }
        command.env("HF_HOME", self.path("hf")).env("HF_ENDPOINT", hub.endpoint());
        command.envs(variables.iter().copied()).output().unwrap()
    }

    fn pull(&self, hub: &Hub, source: &str) -> Output {
        self.pipe(hub, &["models", "pull", source], &[])
    }

    fn blob(&self, bytes: &[u8]) -> PathBuf {
        self.path("hf/hub/models--acme--toy/blobs").join(hex(&Sha256::digest(bytes)))
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

#[test]
fn a_model_is_fetched_once_into_the_cache_that_python_shares() {
    let (hub, place) = (hub(Manners { token: Some("secret".to_owned()), ..Manners::default() }), Place::new());
    let output = place.pipe(&hub, &["models", "pull", SOURCE], &[("HF_TOKEN", "secret")]);
    succeeded(&output);
    assert!(!stderr(&output).contains("secret"));
    let model = place.path("hf/hub/models--acme--toy");
    assert_eq!(fs::read_to_string(model.join("refs/main")).unwrap(), COMMIT);
    let snapshot = model.join("snapshots").join(COMMIT);
    assert_eq!(fs::read(snapshot.join("model.safetensors")).unwrap(), weights());
    let link = fs::read_link(snapshot.join("model.safetensors")).unwrap();
    assert_eq!(link, PathBuf::from("../../blobs").join(hex(&Sha256::digest(weights()))));
    let mut names: Vec<_> =
        snapshot.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json"], "no more than a model needs");
    for request in hub.requests() {
        let has_token = request.headers.contains_key("authorization");
        assert_eq!(has_token, !request.path.starts_with("/cdn/"), "{request:?}");
    }
    let before = hub.requests().len();
    succeeded(&place.pull(&hub, SOURCE));
    succeeded(&place.pull(&hub, &format!("hf:acme/toy@{COMMIT}")));
    let list = place.pipe(&hub, &["models", "list"], &[]);
    assert!(String::from_utf8_lossy(&list.stdout).contains(&format!("hf:acme/toy@{COMMIT}")));
    assert_eq!(hub.requests().len(), before, "what is there is not asked for again");
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let (hub, place) = (hub(Manners { cut_at: Some(700_000), ..Manners::default() }), Place::new());
    succeeded(&place.pull(&hub, SOURCE));
    assert_eq!(fs::read(place.blob(&weights())).unwrap(), weights());
    let ranges: Vec<_> = hub.requests().iter().filter_map(|request| request.headers.get("range").cloned()).collect();
    assert_eq!(ranges, ["bytes=700000-"]);
}

#[test]
fn what_a_killed_program_left_is_taken_up_or_thrown_away() {
    for (manners, left, ranges) in [
        (Manners::default(), weights()[..1000].to_vec(), vec!["bytes=1000-"]),
        (Manners { ignores_ranges: true, ..Manners::default() }, weights()[..1000].to_vec(), vec!["bytes=1000-"]),
        (Manners::default(), vec![0; 2_000_000], vec![]),
    ] {
        let (hub, place) = (hub(manners), Place::new());
        let partial = place.blob(&weights()).with_extension("incomplete");
        fs::create_dir_all(partial.parent().unwrap()).unwrap();
        fs::write(&partial, left).unwrap();
        succeeded(&place.pull(&hub, SOURCE));
        assert_eq!(fs::read(place.blob(&weights())).unwrap(), weights());
        assert!(!partial.exists());
        let found: Vec<_> = hub.requests().iter().filter_map(|request| request.headers.get("range").cloned()).collect();
        assert_eq!(found, ranges);
    }
}

#[test]
fn bytes_with_another_digest_are_refused_and_removed() {
    let (hub, place) = (hub(Manners { lies: true, ..Manners::default() }), Place::new());
    let output = place.pull(&hub, SOURCE);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`model.safetensors` has the digest"), "{}", stderr(&output));
    let blob = place.blob(&weights());
    assert!(!blob.exists() && !blob.with_extension("incomplete").exists());
    // The mistake mended, the same command succeeds.
    hub.manners.lock().unwrap().lies = false;
    succeeded(&place.pull(&hub, SOURCE));
}

fn refused(manners: Manners, source: &str, variables: &[(&str, &str)], words: &str) {
    let (hub, place) = (hub(manners), Place::new());
    let output = place.pipe(&hub, &["models", "pull", source], variables);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(stderr(&output).contains(words), "`{words}` is not in: {}", stderr(&output));
}

#[test]
fn what_the_hub_refuses_is_explained() {
    let closed = Manners { token: Some("secret".to_owned()), ..Manners::default() };
    refused(closed.clone(), SOURCE, &[], "set HF_TOKEN");
    refused(closed, SOURCE, &[("HF_TOKEN", "other")], "the token in HF_TOKEN may not read it");
    refused(Manners::default(), "hf:acme/toy@v9", &[], "no such repository, revision or file");
    refused(Manners::default(), "hf:acme/toy@main/model.safetensor", &[], "did you mean `model.safetensors`?");
    refused(Manners { loops: true, ..Manners::default() }, SOURCE, &[], "redirects more than");
    refused(Manners::default(), SOURCE, &[("HF_ENDPOINT", "http://127.0.0.1:1")], "127.0.0.1:1");
}

#[test]
fn offline_nothing_is_asked_and_what_is_there_is_used() {
    let (hub, place) = (hub(Manners::default()), Place::new());
    let offline = [("HF_HUB_OFFLINE", "1")];
    let output = place.pipe(&hub, &["models", "pull", SOURCE], &offline);
    assert!(stderr(&output).contains("HF_HUB_OFFLINE"), "{}", stderr(&output));
    assert_eq!(hub.requests().len(), 0);
    succeeded(&place.pull(&hub, SOURCE));
    succeeded(&place.pipe(&hub, &["models", "pull", SOURCE], &offline));
    // The shared cache was cleared by somebody: links to nowhere are no model.
    fs::remove_dir_all(place.path("hf")).unwrap();
    assert!(!place.pipe(&hub, &["models", "pull", SOURCE], &offline).status.success());
    succeeded(&place.pull(&hub, SOURCE));
}
