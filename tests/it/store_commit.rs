//! Laws of committing: what stands, what is refused, and what a result implies.

use std::collections::BTreeMap;
use std::fs;

use pipe::artifact::{ArtifactKind, Content, Projection};
use pipe::digest::{ActionKey, Canonical, Digest};
use pipe::store::{Access, Committed, Lookup, Output, ResultRecord, Store, StoreError};
use serde_json::json;

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cache")).unwrap();
    (folder, store)
}

fn key(name: &str) -> ActionKey {
    ActionKey::of(&Canonical::from(name))
}

fn record(key: ActionKey, content: Content) -> ResultRecord {
    let output = Output { kind: ArtifactKind::Records, content };
    ResultRecord::new(key, "clean", BTreeMap::from([("records".to_owned(), output)]), json!({ "rows": 3 }), "run-1")
}

#[test]
fn a_committed_result_and_its_action_read_back_in_another_process_s_store() {
    let (_folder, store) = open();
    let content = Content::File(store.put_bytes(b"rows").unwrap());
    let record = ResultRecord { seconds: 1.5, numerics_class: Some("x".into()), ..record(key("a"), content) };
    assert_eq!(store.result(&key("a")).unwrap(), Lookup::Absent);
    assert_eq!(store.commit(&json!({ "kind": "clean" }), &record).unwrap(), Committed::New);
    let other = Store::open(store.path()).unwrap();
    assert_eq!(other.result(&key("a")).unwrap(), Lookup::Found(record));
    assert_eq!(other.action(&key("a")).unwrap(), Lookup::Found(json!({ "kind": "clean" })));
}

#[test]
fn the_first_result_stands_and_one_with_other_bytes_is_reported_as_diverged() {
    let (_folder, store) = open();
    let first = record(key("a"), Content::File(store.put_bytes(b"one").unwrap()));
    let again = ResultRecord { seconds: 9.0, run: "run-2".into(), ..first.clone() };
    let other = record(key("a"), Content::File(store.put_bytes(b"two").unwrap()));
    assert_eq!(store.commit(&json!({}), &first).unwrap(), Committed::New);
    assert_eq!(store.commit(&json!({}), &again).unwrap(), Committed::Same(Box::new(first.clone())));
    assert_eq!(store.commit(&json!({}), &other).unwrap(), Committed::Diverged { existing: Box::new(first.clone()) });
    assert_eq!(store.result(&key("a")).unwrap(), Lookup::Found(first));
    assert!(store.retire_result(&key("a"), "its bytes are lost").unwrap().is_some());
    assert_eq!(store.commit(&json!({}), &other).unwrap(), Committed::New);
}

#[test]
fn a_result_whose_bytes_are_not_in_the_store_is_refused_and_leaves_no_trace() {
    let (folder, store) = open();
    let absent = record(key("a"), Content::File(Digest::of(b"never put")));
    assert!(matches!(store.commit(&json!({}), &absent), Err(StoreError::Incomplete { .. })));
    let source = folder.path().join("model");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("weights"), "w").unwrap();
    let tree = store.put_tree(&source).unwrap();
    let weights = store.read_tree(&tree).unwrap().get("weights").unwrap().digest;
    fs::remove_file(store.verified_path(&weights).unwrap()).unwrap();
    let partial = record(key("a"), Content::Tree(tree));
    assert!(matches!(store.commit(&json!({}), &partial), Err(StoreError::Incomplete { .. })));
    assert_eq!(store.result(&key("a")).unwrap(), Lookup::Absent);
    assert_eq!(store.action(&key("a")).unwrap(), Lookup::Absent);
}

#[test]
fn racing_commits_of_different_bytes_leave_exactly_one_winner() {
    let (folder, store) = open();
    store.put_bytes(b"x").unwrap();
    let committed: Vec<Committed> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|index: u32| {
                let root = folder.path().join("cache");
                scope.spawn(move || {
                    let store = Store::open(&root).unwrap();
                    let content = Content::File(store.put_bytes(&index.to_le_bytes()).unwrap());
                    store.commit(&json!({}), &record(key("a"), content)).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(committed.iter().filter(|committed| **committed == Committed::New).count(), 1);
    let diverged = committed.iter().filter(|committed| matches!(committed, Committed::Diverged { .. })).count();
    assert_eq!(diverged, 7);
}

#[test]
fn duration_without_a_number_does_not_spoil_the_record() {
    let (_folder, store) = open();
    let content = Content::File(store.put_bytes(b"x").unwrap());
    let record = ResultRecord { seconds: f64::NAN, ..record(key("a"), content) };
    assert_eq!(store.commit(&json!({}), &record).unwrap(), Committed::New);
    assert!(matches!(store.result(&key("a")).unwrap(), Lookup::Found(found) if found.seconds == 0.0));
}

#[test]
fn swapping_the_contents_of_two_inputs_swaps_their_digests() {
    let (folder, store) = open();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    fs::write(&one, "1").unwrap();
    fs::write(&two, "2").unwrap();
    let before = (store.snapshot(&one).unwrap(), store.snapshot(&two).unwrap());
    let aside = folder.path().join("aside");
    fs::rename(&one, &aside).unwrap();
    fs::rename(&two, &one).unwrap();
    fs::rename(&aside, &two).unwrap();
    assert_eq!((store.snapshot(&two).unwrap(), store.snapshot(&one).unwrap()), before);
}

#[test]
fn a_folder_is_materialised_whole_projected_read_only_and_writable() {
    let (folder, store) = open();
    let source = folder.path().join("model");
    fs::create_dir_all(source.join("deep")).unwrap();
    fs::write(source.join("config.json"), "{}").unwrap();
    fs::write(source.join("deep/weights"), "w").unwrap();
    let content = Content::Tree(store.put_tree(&source).unwrap());
    let sandbox = store.sandbox().unwrap();
    let whole = sandbox.path().join("whole");
    store.materialise(content, Projection::Whole, &whole, Access::ReadOnly).unwrap().check_unchanged().unwrap();
    assert_eq!(fs::read_to_string(whole.join("deep/weights")).unwrap(), "w");
    let projected = sandbox.path().join("projected");
    let files = Projection::Files(&["config.json", "absent"]);
    store.materialise(content, files, &projected, Access::ReadOnly).unwrap().check_unchanged().unwrap();
    assert_eq!(fs::read_dir(&projected).unwrap().count(), 1);
    let exported = folder.path().join("exported");
    let copies = store.materialise(content, Projection::Whole, &exported, Access::Writable).unwrap();
    fs::write(exported.join("config.json"), "{ \"mine\": 1 }").unwrap();
    assert!(matches!(copies.check_unchanged(), Err(StoreError::ChangedWhileRead { .. })));
    assert!(store.verify(&|_| ()).unwrap().is_clean());
    let again = store.materialise(content, Projection::Whole, &exported, Access::Writable);
    assert!(again.is_err(), "nothing is overwritten");
    assert_eq!(fs::read_to_string(exported.join("config.json")).unwrap(), "{ \"mine\": 1 }");
}

#[test]
fn a_large_input_is_referenced_in_place_and_its_change_is_found_when_it_is_read() {
    let (folder, store) = open();
    let path = folder.path().join("model.gguf");
    let file = fs::File::create(&path).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    let content = store.snapshot(&path).unwrap();
    assert!(store.contains(content).unwrap());
    assert!(store.stat().unwrap().bytes() < 1 << 20, "it was copied");
    let sandbox = store.sandbox().unwrap();
    let read = store.materialise(content, Projection::Whole, &sandbox.path().join("in"), Access::ReadOnly).unwrap();
    read.check_unchanged().unwrap();
    assert_eq!(store.verified_path(content.digest()).unwrap(), path.canonicalize().unwrap());
    fs::File::options().write(true).open(&path).unwrap().set_len(64 << 20).unwrap();
    assert!(matches!(read.check_unchanged(), Err(StoreError::ChangedWhileRead { .. })));
    assert!(!store.contains(content).unwrap());
    let error = store.open_verified(content.digest()).unwrap_err();
    assert!(matches!(&error, StoreError::ReferenceLost { .. }), "{error}");
    assert!(path.exists(), "a user's file is never moved");
    fs::remove_file(&path).unwrap();
    assert!(store.open_verified(content.digest()).unwrap_err().to_string().contains("is gone"));
}

#[test]
fn an_experiment_is_kept_once_and_found_by_its_first_digits() {
    let (_folder, store) = open();
    let id = pipe::digest::ExperimentId::of(&Canonical::Null);
    assert!(store.put_experiment(&id, &json!({ "manifest": "version: 1" })).unwrap());
    assert!(!store.put_experiment(&id, &json!({ "manifest": "other" })).unwrap());
    assert_eq!(store.experiment(&id).unwrap(), Lookup::Found(json!({ "manifest": "version: 1" })));
    assert_eq!(store.find_experiment(&id.to_string()[..6]).unwrap(), id);
    assert_eq!(store.experiments().unwrap(), [id]);
    assert!(matches!(store.find_experiment("zz"), Err(StoreError::NotFound { .. })));
}
