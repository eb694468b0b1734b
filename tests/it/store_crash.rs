//! Real processes: killed in the middle of a put, racing for one key. Each test starts itself again as a child.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use pipe::artifact::{ArtifactKind, Content};
use pipe::digest::{ActionKey, Canonical, Digest};
use pipe::store::{Class, Lookup, Output, ResultRecord, Store};
use serde_json::json;

const ROLE: &str = "PIPE_TEST_STORE";

/// The store's folder, when this process is a child.
fn role() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(PathBuf::from)
}

/// This very test as another process.
fn child(test: &str, store: &Path) -> Child {
    let module = module_path!().split_once("::").map_or("", |(_, module)| module);
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{test}"), "--nocapture"])
        .env(ROLE, store)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Reads the child's output up to a word. The pipe stays open with what is returned, so that the child can go on.
fn wait_for(child: &mut Child, word: &str) -> BufReader<ChildStdout> {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.trim_end().ends_with(word) {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child ended without `{word}`");
    }
    output
}

fn say(word: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{word}").unwrap();
    out.flush().unwrap();
}

fn key() -> ActionKey {
    ActionKey::of(&Canonical::Null)
}

#[test]
fn a_killed_process_leaves_nothing_half_done_visible_or_locked() {
    if let Some(path) = role() {
        let store = Store::open(&path).unwrap();
        let _claim = store.claim(&key(), &|| false, &mut |_| ()).unwrap();
        let sandbox = store.sandbox().unwrap();
        for index in 0_u32.. {
            let file = sandbox.path().join("output");
            fs::write(&file, index.to_le_bytes().repeat(1 << 20)).unwrap();
            let content = store.adopt(&file).unwrap();
            let key = ActionKey::of(&Canonical::from(index));
            let output = Output { kind: ArtifactKind::Records, content };
            let outputs = BTreeMap::from([("records".to_owned(), output)]);
            let _ = store.commit(&json!({}), &ResultRecord::new(key, "k", outputs, json!({}), "r")).unwrap();
            if index == 1 {
                say("busy");
            }
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let mut child = child("a_killed_process_leaves_nothing_half_done_visible_or_locked", folder.path());
        let _output = wait_for(&mut child, "busy");
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(fs::read_dir(store.folder(Class::Tmp)).unwrap().count(), 2, "the killed one left its corner");
        let report = store.verify(&|_| ()).unwrap();
        assert!(report.is_clean() && report.strays.is_empty(), "{report:?}");
        assert!(report.blobs >= 2);
        drop(store.claim(&key(), &|| true, &mut |_| ()).unwrap());
        drop(store);
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }
}

#[test]
fn of_racing_processes_one_makes_the_result_and_the_others_are_served() {
    if let Some(path) = role() {
        let store = Store::open(&path).unwrap();
        let claim = store.claim(&key(), &|| false, &mut |_| ()).unwrap();
        if store.result(&key()).unwrap() == Lookup::Absent {
            let mut log = fs::File::options().create(true).append(true).open(path.with_extension("log")).unwrap();
            log.write_all(b"made\n").unwrap();
            let content = Content::File(store.put_bytes(b"bytes").unwrap());
            let output = Output { kind: ArtifactKind::Records, content };
            let outputs = BTreeMap::from([("records".to_owned(), output)]);
            let _ = store.commit(&json!({}), &ResultRecord::new(key(), "k", outputs, json!({}), "r")).unwrap();
        }
        drop(claim);
        assert_eq!(store.read(&Digest::of(b"bytes")).unwrap(), b"bytes");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let children: Vec<Child> =
        (0..6).map(|_| child("of_racing_processes_one_makes_the_result_and_the_others_are_served", &path)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(fs::read_to_string(path.with_extension("log")).unwrap(), "made\n");
}

#[test]
fn a_waiting_process_goes_on_when_the_holder_is_killed() {
    if let Some(path) = role() {
        let store = Store::open(&path).unwrap();
        let _claim = store.claim(&key(), &|| false, &mut |_| ()).unwrap();
        say("holding");
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = child("a_waiting_process_goes_on_when_the_holder_is_killed", folder.path());
    let _output = wait_for(&mut child, "holding");
    let store = Store::open(folder.path()).unwrap();
    let pid = child.id();
    let mut holders = Vec::new();
    let claim = store.claim(&key(), &|| false, &mut |holder| {
        holders.push(holder.pid);
        child.kill().unwrap();
        child.wait().unwrap();
    });
    assert!(claim.is_ok());
    assert_eq!(holders, [Some(pid)]);
}
