//! Laws of archives: they come back whole, elsewhere, twice; and no damaged or hostile one leaves a trace.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use pipe::artifact::{ArtifactKind, Content};
use pipe::digest::{ActionKey, Canonical, ExperimentId};
use pipe::store::{Checks, Imported, Lookup, Output, ResultRecord, Shipment, Store, StoreError};
use serde_json::{Value, json};

fn id() -> ExperimentId {
    ExperimentId::of(&Canonical::from("sample"))
}

fn key() -> ActionKey {
    ActionKey::of(&Canonical::from("sample"))
}

/// A small experiment in a store: a manifest, a folder as input, one result with a file and a folder.
pub fn sample(cache: &Path) -> Shipment {
    let store = Store::open(cache).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("config.json", "{}"), ("deep/weights", "0.5"), ("deep/same", "{}")] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let input = Content::Tree(store.put_tree(folder.path()).unwrap());
    fs::write(folder.path().join("more"), "more").unwrap();
    let model = Content::Tree(store.put_tree(folder.path()).unwrap());
    let report = Content::File(store.put_bytes(&b"report ".repeat(300)).unwrap());
    let manifest = Content::File(store.put_bytes(b"version: 1").unwrap());
    let output = |kind, content| Output { kind, content };
    let outputs = BTreeMap::from([
        ("model".to_owned(), output(ArtifactKind::Model, model)),
        ("report".to_owned(), output(ArtifactKind::Records, report)),
    ]);
    let record = ResultRecord::new(key(), "merge", outputs, json!({}), "r");
    let _ = store.commit(&json!({ "kind": "merge" }), &record).unwrap();
    store.put_experiment(&id(), &json!({ "name": "sample" })).unwrap();
    let results = BTreeMap::from([(key(), BTreeMap::from([("model".into(), model), ("report".into(), report)]))]);
    Shipment { id: id(), given: vec![manifest, input], results }
}

/// Takes an archive in, with the checks of somebody who knows what the sample is.
pub fn import(cache: &Path, archive: &Path, shipment: &Shipment) -> Result<Imported, StoreError> {
    let experiment = |record: &Value| {
        if record["name"] == "sample" { Ok(shipment.clone()) } else { Err("no sample".to_owned()) }
    };
    let action = |_: &ActionKey, action: &Value| {
        if action["kind"] == "merge" { Ok(()) } else { Err("no merge".to_owned()) }
    };
    Store::open(cache).unwrap().import(archive, Checks { experiment: &experiment, action: &action })
}

/// The sample's archive, and what is in it.
pub fn archived(folder: &Path) -> (PathBuf, Shipment) {
    let shipment = sample(&folder.join("from"));
    let archive = folder.join("sample.pipe");
    Store::open(&folder.join("from")).unwrap().export(&shipment, &archive).unwrap();
    (archive, shipment)
}

#[test]
fn an_archive_comes_back_whole_and_gives_the_same_bytes_again() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, shipment) = archived(folder.path());
    let cache = folder.path().join("to");
    let first = import(&cache, &archive, &shipment).unwrap();
    assert!(first.is_new && first.differing.is_empty());
    assert_eq!(first.blobs, 7, "two listings, three files of the folders, report and manifest");
    let store = Store::open(&cache).unwrap();
    let report = store.verify(&|_| ()).unwrap();
    assert!(report.is_clean() && report.strays.is_empty(), "{report:?}");
    assert_eq!(store.experiment(&id()).unwrap(), Lookup::Found(json!({ "name": "sample" })));
    let Lookup::Found(result) = store.result(&key()).unwrap() else { panic!("a result") };
    for output in result.outputs.values() {
        assert_eq!(store.check(output.content).unwrap(), None);
    }
    let again = folder.path().join("again.pipe");
    store.export(&shipment, &again).unwrap();
    assert_eq!(fs::read(&again).unwrap(), fs::read(&archive).unwrap());
    assert!(!import(&cache, &archive, &shipment).unwrap().is_new);
    assert!(matches!(store.export(&shipment, &again), Err(StoreError::Io { .. })), "never over a file");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "two caches, two archives, no draft: {left:?}");
}

#[test]
fn importing_mends_damaged_bytes_and_leaves_another_result_that_stands() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, shipment) = archived(folder.path());
    let cache = folder.path().join("to");
    let store = Store::open(&cache).unwrap();
    let content = Content::File(store.put_bytes(b"other bytes").unwrap());
    let outputs = BTreeMap::from([("report".to_owned(), Output { kind: ArtifactKind::Records, content })]);
    let standing = ResultRecord::new(key(), "merge", outputs, json!({}), "r");
    let _ = store.commit(&json!({ "kind": "merge" }), &standing).unwrap();
    let digest = store.put_bytes(b"version: 1").unwrap();
    let blob = store.verified_path(&digest).unwrap();
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, "version: 2").unwrap();
    assert_eq!(import(&cache, &archive, &shipment).unwrap().differing, [key()]);
    assert_eq!(store.read(&digest).unwrap(), b"version: 1");
    assert_eq!(store.result(&key()).unwrap(), Lookup::Found(standing));
    let error = store.export(&shipment, &folder.path().join("no.pipe")).unwrap_err();
    assert!(matches!(error, StoreError::NotExportable { .. }), "{error}");
}

#[test]
fn what_is_missing_or_damaged_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("from");
    let shipment = sample(&cache);
    let store = Store::open(&cache).unwrap();
    let blob = store.verified_path(shipment.given[0].digest()).unwrap();
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, "version: 2").unwrap();
    let to = folder.path().join("no.pipe");
    assert!(matches!(store.export(&shipment, &to), Err(StoreError::Damaged { .. })));
    assert!(matches!(store.export(&shipment, &to), Err(StoreError::Damaged { .. })), "now it is missing");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "neither archive nor draft");
}

#[test]
fn a_large_input_travels_with_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let mut shipment = sample(&folder.path().join("from"));
    let large = folder.path().join("large");
    fs::File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    let store = Store::open(&folder.path().join("from")).unwrap();
    let content = store.snapshot(&large).unwrap();
    assert!(!store.holds_copy(content).unwrap());
    shipment.given.push(content);
    let archive = folder.path().join("large.pipe");
    store.export(&shipment, &archive).unwrap();
    fs::remove_file(&large).unwrap();
    import(&folder.path().join("to"), &archive, &shipment).unwrap();
    let elsewhere = Store::open(&folder.path().join("to")).unwrap();
    assert!(elsewhere.holds_copy(content).unwrap());
    assert!(elsewhere.verify(&|_| ()).unwrap().is_clean());
}

/// An archive's entries, to be put together otherwise.
type Entries = Vec<(tar::Header, Vec<u8>, Vec<u8>)>;

fn entries_of(archive: &Path) -> Entries {
    let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        let mut entry = entry.unwrap();
        let (header, name, mut bytes) = (entry.header().clone(), entry.path_bytes().into_owned(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        (header, name, bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

fn write(archive: &Path, entries: &Entries) {
    let mut bytes = Vec::new();
    for (header, name, body) in entries {
        let mut header = header.clone();
        // Written by hand, since the library refuses to write what climbs.
        header.as_old_mut().name.fill(0);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(body);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    fs::write(archive, bytes).unwrap();
}

/// Makes sure that an archive is refused, and that nothing of it is to be seen.
fn refused(folder: &Path, shipment: &Shipment, what: &str, expected: &str) {
    let cache = folder.join("refusing");
    let error = import(&cache, &folder.join("hostile.pipe"), shipment).unwrap_err();
    assert!(matches!(error, StoreError::BadArchive { .. }), "{what}: {error}");
    assert!(error.to_string().contains(expected), "{what}: {error}");
    assert!(!error.to_string().contains('\u{1b}'), "{what}: {error:?}");
    for class in ["blobs", "actions", "results", "experiments"] {
        assert!(!cache.join(class).exists(), "{what}: something is in {class}");
    }
    let drafts = fs::read_dir(cache.join("tmp")).into_iter().flatten().count();
    assert_eq!(drafts, 0, "{what}: drafts are left");
}

#[test]
fn every_hostile_archive_is_refused_with_its_reason_and_leaves_nothing() {
    type Change = fn(&mut Entries);
    let cases: [(&str, &str, Change); 15] = [
        ("no entries", "ends before `pipe-archive`", Vec::clear),
        ("a later version", "version is `pipe archive 2`", |entries| entries[0].2[13] = b'2'),
        ("a name that climbs", "is `../../evil`; expected", |entries| entries[5].1 = b"../../evil".to_vec()),
        ("an absolute name", "is `/etc/passwd`; expected", |entries| entries[1].1 = b"/etc/passwd".to_vec()),
        ("a name that fools a terminal", r"is `\u{1b}[2J`", |entries| entries[1].1 = b"\x1b[2J".to_vec()),
        ("an entry twice", "expected `blobs/", |entries| entries.insert(5, entries[4].clone())),
        ("the last entry twice", "expected the end", |entries| entries.push(entries[10].clone())),
        ("another order", "expected `blobs/", |entries| entries.swap(5, 6)),
        ("an entry left out", "ends before `blobs/", |entries| drop(entries.pop())),
        ("a symbolic link", "Symlink; expected a plain file", |entries| {
            entries[6].0.set_entry_type(tar::EntryType::Symlink);
            entries[6].0.set_link_name("/etc/passwd").unwrap();
        }),
        ("a long name", "expected", |entries| entries[6].0.set_entry_type(tar::EntryType::GNULongName)),
        ("a flipped byte in a file", "has the digest", |entries| entries[7].2[0] ^= 1),
        ("a flipped byte in a listing", "blobs/", |entries| entries[4].2[20] ^= 1),
        ("a flipped byte in a record", "does not prove the rest", |entries| entries[3].2[20] ^= 1),
        ("a huge length", "has 4611686018427387904 bytes; expected 3", |entries| {
            let last = entries.len() - 1;
            entries[last].0.set_size(1 << 62);
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    let (archive, shipment) = archived(folder.path());
    let good = entries_of(&archive);
    assert_eq!(good.len(), 11);
    for (what, expected, change) in cases {
        let mut entries = good.clone();
        change(&mut entries);
        write(&folder.path().join("hostile.pipe"), &entries);
        refused(folder.path(), &shipment, what, expected);
    }
}

#[test]
fn a_million_entries_are_refused_at_the_first_that_nobody_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, shipment) = archived(folder.path());
    let mut bytes = fs::read(&archive).unwrap();
    bytes.truncate(bytes.len() - 1024);
    let mut header = entries_of(&archive)[10].0.clone();
    header.set_size(0);
    header.set_cksum();
    bytes.extend(header.as_bytes().repeat(1_000_000));
    fs::write(folder.path().join("hostile.pipe"), bytes).unwrap();
    refused(folder.path(), &shipment, "a million entries", "entry 12 is");
}

#[test]
fn every_truncation_and_whatever_follows_the_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, shipment) = archived(folder.path());
    let whole = fs::read(&archive).unwrap();
    // The end of a tar is two blocks of zeros; all bytes that mean something are before it.
    let end = whole.len() - 1024;
    let hostile = folder.path().join("hostile.pipe");
    for length in (0..end).step_by(512).chain([1, 700, end - 511 - 512]) {
        fs::write(&hostile, &whole[..length]).unwrap();
        refused(folder.path(), &shipment, &format!("cut to {length}"), "");
    }
    fs::write(&hostile, b"\x1b[2J\n".repeat(300)).unwrap();
    refused(folder.path(), &shipment, "no tar at all", "");
    fs::write(&hostile, [&whole[..], b"and more"].concat()).unwrap();
    refused(folder.path(), &shipment, "more after the end", "follows the last entry");
}
