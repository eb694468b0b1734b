//! Damage of every sort is found when bytes are consumed and by `verify`, quarantined, reported, and mended by putting
//! the same bytes again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pipe::artifact::{ArtifactKind, Content, Projection};
use pipe::digest::{ActionKey, Canonical, Digest};
use pipe::store::{Access, Class, Committed, Lookup, Output, ResultRecord, Store, StoreError};
use serde_json::json;

const BYTES: &[u8] = b"some bytes worth keeping";

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cache")).unwrap();
    (folder, store)
}

fn blob(store: &Store, digest: &Digest) -> PathBuf {
    let hex = digest.to_hex();
    store.folder(Class::Blobs).join(&hex[..2]).join(hex)
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    overwrite(path, &bytes);
}

type Consume = fn(&Store, &Digest) -> Result<(), StoreError>;

/// Every way to consume a blob, each of which must find the damage.
fn consumers() -> [(&'static str, Consume); 5] {
    fn place(store: &Store, digest: &Digest, access: Access) -> Result<(), StoreError> {
        let sandbox = store.sandbox()?;
        let to = sandbox.path().join("to");
        let placed = store.materialise(Content::File(*digest), Projection::Whole, &to, access);
        assert_eq!(placed.is_ok(), to.exists(), "something was left behind");
        placed.map(|_| ())
    }
    [
        ("open_verified", |store, digest| store.open_verified(digest).map(|_| ())),
        ("verified_path", |store, digest| store.verified_path(digest).map(|_| ())),
        ("read", |store, digest| store.read(digest).map(|_| ())),
        ("read-only", |store, digest| place(store, digest, Access::ReadOnly)),
        ("writable", |store, digest| place(store, digest, Access::Writable)),
    ]
}

#[test]
fn a_flipped_a_truncated_and_a_longer_blob_are_found_quarantined_and_mended_by_every_reader() {
    let damages: [fn(&Path); 4] = [
        flip,
        |path| overwrite(path, &BYTES[..7]),
        |path| overwrite(path, &[BYTES, b"x"].concat()),
        |path| overwrite(path, b""),
    ];
    let (_folder, store) = open();
    let mut quarantined = 0;
    for (name, consume) in consumers() {
        for damage in damages {
            let digest = store.put_bytes(BYTES).unwrap();
            consume(&store, &digest).unwrap();
            damage(&blob(&store, &digest));
            let error = consume(&store, &digest).unwrap_err();
            let StoreError::Damaged { digest: found, damage } = &error else { panic!("{name}: {error}") };
            assert_eq!(*found, digest);
            assert!(damage.quarantined_to.as_ref().unwrap().exists(), "{name}");
            assert!(!store.contains(Content::File(digest)).unwrap(), "{name}");
            quarantined += 1;
            assert_eq!(store.quarantined().unwrap().len(), quarantined);
        }
    }
    let first = &store.quarantined().unwrap()[0];
    assert_eq!((first.class.as_str(), first.name.as_str()), ("blobs", Digest::of(BYTES).to_hex().as_str()));
}

#[test]
fn a_failed_materialise_leaves_what_was_at_its_target_alone() {
    let (folder, store) = open();
    let to = folder.path().join("mine");
    fs::write(&to, "mine").unwrap();
    let digest = store.put_bytes(BYTES).unwrap();
    let reference = folder.path().join("large");
    fs::File::create(&reference).unwrap().set_len((64 << 20) + 1).unwrap();
    let large = store.snapshot(&reference).unwrap();
    for content in [Content::File(digest), large, Content::File(Digest::of(b"absent"))] {
        for access in [Access::ReadOnly, Access::Writable] {
            assert!(store.materialise(content, Projection::Whole, &to, access).is_err());
            assert_eq!(fs::read(&to).unwrap(), b"mine");
        }
    }
    fs::remove_file(&reference).unwrap();
    flip(&blob(&store, &digest));
    for content in [Content::File(digest), large] {
        assert!(store.materialise(content, Projection::Whole, &to, Access::Writable).is_err());
        assert_eq!(fs::read(&to).unwrap(), b"mine");
    }
}

#[test]
fn a_missing_blob_and_a_folder_in_its_place_are_damage_too() {
    let (_folder, store) = open();
    for (name, consume) in consumers() {
        let digest = store.put_bytes(BYTES).unwrap();
        let path = blob(&store, &digest);
        fs::remove_file(&path).unwrap();
        let error = consume(&store, &digest).unwrap_err();
        assert!(error.to_string().contains("is missing"), "{name}: {error}");
        fs::create_dir(&path).unwrap();
        let error = consume(&store, &digest).unwrap_err();
        assert!(error.to_string().contains("is a folder"), "{name}: {error}");
        assert!(!path.exists());
    }
}

#[test]
fn putting_good_bytes_over_a_damaged_blob_mends_it() {
    let (folder, store) = open();
    let source = folder.path().join("source");
    let puts: [fn(&Store, &Path) -> Digest; 3] = [
        |store, _| store.put_bytes(BYTES).unwrap(),
        |store, path| store.put_file(path).unwrap(),
        |store, path| *store.adopt(path).unwrap().digest(),
    ];
    for put in puts {
        fs::write(&source, BYTES).unwrap();
        let digest = store.put_bytes(BYTES).unwrap();
        flip(&blob(&store, &digest));
        assert_eq!(put(&store, &source), digest);
        assert_eq!(store.read(&digest).unwrap(), BYTES);
        let _ = fs::remove_file(&source);
    }
}

#[test]
fn a_stage_that_writes_to_its_input_is_found_out() {
    let (_folder, store) = open();
    let digest = store.put_bytes(BYTES).unwrap();
    let sandbox = store.sandbox().unwrap();
    let to = sandbox.path().join("in");
    let read = store.materialise(Content::File(digest), Projection::Whole, &to, Access::ReadOnly).unwrap();
    read.check_unchanged().unwrap();
    overwrite(&to, b"rewritten by a defective stage");
    assert!(matches!(read.check_unchanged(), Err(StoreError::ChangedWhileRead { .. })));
}

fn commit(store: &Store, bytes: &[u8], name: &str) -> (ActionKey, Digest) {
    let key = ActionKey::of(&Canonical::from(name));
    let digest = store.put_bytes(bytes).unwrap();
    let output = Output { kind: ArtifactKind::Records, content: Content::File(digest) };
    let outputs = BTreeMap::from([("records".to_owned(), output)]);
    let committed = store.commit(&json!({ "kind": name }), &ResultRecord::new(key, name, outputs, json!({}), "r"));
    assert!(matches!(committed.unwrap(), Committed::New | Committed::Same(_)));
    (key, digest)
}

fn record_path(store: &Store, class: Class, key: &ActionKey) -> PathBuf {
    store.folder(class).join(&key.to_string()[..2]).join(key.to_string())
}

#[test]
fn a_corrupt_result_is_reported_once_then_absent_and_can_be_committed_anew() {
    let (_folder, store) = open();
    for cut in [0, 10, usize::MAX] {
        let (key, _) = commit(&store, BYTES, "a");
        let path = record_path(&store, Class::Results, &key);
        if cut == usize::MAX {
            flip(&path);
        } else {
            let bytes = fs::read(&path).unwrap();
            overwrite(&path, &bytes[..cut]);
        }
        let Lookup::Damaged(damage) = store.result(&key).unwrap() else { panic!("a silent miss") };
        assert!(damage.quarantined_to.unwrap().exists());
        assert_eq!(store.result(&key).unwrap(), Lookup::Absent);
    }
    let (key, _) = commit(&store, BYTES, "a");
    flip(&record_path(&store, Class::Results, &key));
    commit(&store, BYTES, "a");
    assert!(matches!(store.result(&key).unwrap(), Lookup::Found(_)));
}

#[test]
fn swapped_results_and_swapped_blobs_are_found() {
    let (_folder, store) = open();
    let (one, one_digest) = commit(&store, b"one", "one");
    let (two, two_digest) = commit(&store, b"two", "two");
    let swap = |left: &Path, right: &Path| {
        let (first, second) = (fs::read(left).unwrap(), fs::read(right).unwrap());
        overwrite(left, &second);
        overwrite(right, &first);
    };
    swap(&record_path(&store, Class::Results, &one), &record_path(&store, Class::Results, &two));
    assert!(matches!(store.result(&one).unwrap(), Lookup::Damaged(_)));
    assert!(matches!(store.result(&two).unwrap(), Lookup::Damaged(_)));
    swap(&blob(&store, &one_digest), &blob(&store, &two_digest));
    assert!(matches!(store.read(&one_digest), Err(StoreError::Damaged { .. })));
    assert!(matches!(store.read(&two_digest), Err(StoreError::Damaged { .. })));
}

#[test]
fn verify_finds_every_damage_once_and_names_the_results_that_hang() {
    let (folder, store) = open();
    let (flipped_key, flipped) = commit(&store, b"flipped", "flipped");
    let (missing_key, missing) = commit(&store, b"missing", "missing");
    let (corrupt_key, _) = commit(&store, b"corrupt", "corrupt");
    let (action_key, _) = commit(&store, b"action", "action");
    let large = folder.path().join("large");
    fs::File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    store.snapshot(&large).unwrap();
    let clean = store.verify(&|_| ()).unwrap();
    assert!(clean.is_clean());
    assert_eq!((clean.blobs, clean.records), (4, 9));

    flip(&blob(&store, &flipped));
    fs::remove_file(blob(&store, &missing)).unwrap();
    flip(&record_path(&store, Class::Results, &corrupt_key));
    flip(&record_path(&store, Class::Actions, &action_key));
    fs::write(store.folder(Class::Blobs).join("stray"), "x").unwrap();
    fs::remove_file(&large).unwrap();
    let seen = std::sync::Mutex::new(Vec::new());
    let report = store.verify(&|progress| seen.lock().unwrap().push(progress)).unwrap();
    assert!(!report.is_clean());
    assert_eq!(report.damaged.len(), 3);
    let mut dangling: Vec<ActionKey> = report.dangling.iter().map(|dangling| dangling.key).collect();
    dangling.sort_unstable();
    let mut expected = [flipped_key, missing_key];
    expected.sort_unstable();
    assert_eq!(dangling, expected);
    assert_eq!(report.strays.len(), 1);
    assert_eq!(report.lost_references.len(), 1);
    let last = seen.into_inner().unwrap().into_iter().map(|progress| (progress.bytes, progress.total)).max().unwrap();
    assert_eq!(last.0, last.1);
    assert_eq!(store.quarantined().unwrap().len(), 3);
    let again = store.verify(&|_| ()).unwrap();
    assert!(again.damaged.is_empty());
    assert_eq!(again.dangling.len(), 2);
}

#[test]
fn a_hostile_listing_reaches_nothing_outside_its_folder() {
    let (folder, store) = open();
    let evil = store.put_bytes(b"evil").unwrap();
    for path in ["../escaped", "/tmp/escaped", "a/../../escaped", "a\u{1b}[2J"] {
        let listing = format!("pipe tree v1\n{evil} 4 {path}\n");
        let content = Content::Tree(store.put_bytes(listing.as_bytes()).unwrap());
        let to = folder.path().join("to");
        let error = store.materialise(content, Projection::Whole, &to, Access::Writable).unwrap_err();
        assert!(matches!(error, StoreError::BadTree { .. }), "{error}");
        assert!(!to.exists());
        assert!(!folder.path().join("escaped").exists());
    }
}

#[test]
fn a_listing_cannot_be_fooled_by_a_link_at_its_target() {
    let (folder, store) = open();
    let source = folder.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "x").unwrap();
    let content = Content::Tree(store.put_tree(&source).unwrap());
    let to = folder.path().join("to");
    std::os::unix::fs::symlink(folder.path(), &to).unwrap();
    assert!(store.materialise(content, Projection::Whole, &to, Access::Writable).is_err());
    assert!(!folder.path().join("file").exists());
}
