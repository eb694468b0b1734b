//! Real processes: killed in the middle of a put, racing for one key. Each test starts itself again as a child.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use pipe::artifact::{ArtifactKind, Content};
use pipe::digest::{ActionKey, Canonical, Digest};
use pipe::store::{Class, GcOptions, Lookup, Output, ResultRecord, Store};
use serde_json::json;

use crate::store_archive::{archived, import};

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

#[test]
fn a_collector_killed_anywhere_leaves_no_result_without_its_bytes_and_all_comes_back() {
    const RESULTS: u32 = 60;
    let nothing_kept = GcOptions { roots: &[], keep_runs: 0, grace: Duration::ZERO, max_bytes: None };
    if let Some(path) = role() {
        say("collecting");
        Store::open(&path).unwrap().collect_garbage(&nothing_kept).unwrap();
        say("done");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let mut interrupted = 0;
    for round in 0..8_u32 {
        let key = |index: u32| ActionKey::of(&Canonical::from(index));
        {
            let store = Store::open(&cache).unwrap();
            for index in 0..RESULTS {
                let content = Content::File(store.put_bytes(&index.to_le_bytes().repeat(100)).unwrap());
                let outputs = BTreeMap::from([("o".to_owned(), Output { kind: ArtifactKind::Records, content })]);
                let record = ResultRecord::new(key(index), "k", outputs, json!({}), "r");
                let _ = store.commit(&json!({}), &record).unwrap();
            }
        }
        let mut child =
            child("a_collector_killed_anywhere_leaves_no_result_without_its_bytes_and_all_comes_back", &cache);
        let _output = wait_for(&mut child, "collecting");
        // Killed once so many results and blobs have gone, so that each round ends at another place.
        let place = |class: &str, name: String| cache.join(class).join(&name[..2]).join(name);
        let gone = || -> u32 {
            let places = (0..RESULTS).flat_map(|index| {
                let blob = Digest::of(&index.to_le_bytes().repeat(100));
                [place("results", key(index).to_string()), place("blobs", blob.to_string())]
            });
            places.map(|place| u32::from(!place.exists())).sum()
        };
        while gone() < round * 15 {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        interrupted += u32::from(gone() < 2 * RESULTS);
        let store = Store::open(&cache).unwrap();
        let report = store.verify(&|_| ()).unwrap();
        assert!(report.is_clean(), "{report:?}");
        while !store.trashes().unwrap().is_empty() {
            assert_eq!(store.restore_trash(None).unwrap().made_again, 0);
        }
        assert_eq!(gone(), 0, "round {round}: all is back");
        assert!(store.verify(&|_| ()).unwrap().is_clean());
    }
    assert!(interrupted > 0, "some collector was killed before its end");
}

#[test]
fn an_import_killed_anywhere_leaves_nothing_that_is_not_whole_and_can_be_done_again() {
    if let Some(folder) = role() {
        let (archive, shipment) = (folder.join("sample.pipe"), crate::store_archive::sample(&folder.join("child")));
        say("importing");
        for round in 0.. {
            import(&folder.join(format!("to-{round}")), &archive, &shipment).unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (archive, shipment) = archived(folder.path());
    for round in 0..6 {
        let mut child =
            child("an_import_killed_anywhere_leaves_nothing_that_is_not_whole_and_can_be_done_again", folder.path());
        let _output = wait_for(&mut child, "importing");
        while !folder.path().join(format!("to-{round}")).exists() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for cache in fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if cache.file_name().is_some_and(|name| name.to_string_lossy().starts_with("to-")) {
                let report = Store::open(&cache).unwrap().verify(&|_| ()).unwrap();
                assert!(report.is_clean() && report.strays.is_empty(), "{report:?}");
                import(&cache, &archive, &shipment).unwrap();
                let store = Store::open(&cache).unwrap();
                assert!(matches!(store.experiment(&shipment.id).unwrap(), Lookup::Found(_)));
                assert!(shipment.given.iter().all(|content| store.check(*content).unwrap().is_none()));
            }
        }
    }
}
