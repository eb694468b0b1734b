//! Disks that are full or read-only, at the level of the store. Skipped without the right to mount.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pipe::artifact::{ArtifactKind, Content, Projection};
use pipe::digest::{ActionKey, Canonical};
use pipe::store::{Access, Committed, Lookup, Output, ResultRecord, Store, StoreError};
use serde_json::json;

use crate::disk::Disk;

fn key() -> ActionKey {
    ActionKey::of(&Canonical::Null)
}

fn record(content: Content) -> ResultRecord {
    let output = Output { kind: ArtifactKind::Records, content };
    ResultRecord::new(key(), "clean", BTreeMap::from([("records".to_owned(), output)]), json!({}), "r")
}

#[test]
fn a_full_disk_is_an_error_that_loses_nothing_and_shows_nothing_half_written() {
    let Some(disk) = Disk::mount("the full disk") else { return };
    let store = Store::open(&disk.path().join("cache")).unwrap();
    let kept = store.put_bytes(b"kept").unwrap();
    let outside = tempfile::tempdir().unwrap();
    let large = outside.path().join("large");
    fs::write(&large, vec![7; 2 << 20]).unwrap();
    let puts: [&dyn Fn() -> Result<(), StoreError>; 4] = [
        &|| store.put_bytes(&vec![7; 2 << 20]).map(|_| ()),
        &|| store.put_file(&large).map(|_| ()),
        &|| store.put_tree(outside.path()).map(|_| ()),
        &|| store.snapshot(&large).map(|_| ()),
    ];
    for (index, put) in puts.iter().enumerate() {
        let error = put().unwrap_err();
        assert!(matches!(&error, StoreError::Io { operation: "write", .. }), "{index}: {error}");
        let help = error.help().unwrap();
        assert!(help.contains("nothing that was stored is lost") && help.contains("free some space"), "{help}");
        assert_eq!(store.read(&kept).unwrap(), b"kept");
        let report = store.verify(&|_| ()).unwrap();
        assert!(report.is_clean() && report.strays.is_empty() && report.blobs == 1, "{index}: {report:?}");
    }
    // The space of the failed drafts is free again, so that small things still fit.
    let content = Content::File(store.put_bytes(&vec![1; 500 << 10]).unwrap());
    assert_eq!(store.commit(&json!({}), &record(content)).unwrap(), Committed::New);
}

#[test]
fn a_disk_that_fills_up_before_the_commit_leaves_no_result() {
    let Some(disk) = Disk::mount("the disk that fills up") else { return };
    let store = Store::open(&disk.path().join("cache")).unwrap();
    let content = Content::File(store.put_bytes(b"rows").unwrap());
    let mut filler = fs::File::create(disk.path().join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 512]).is_ok() {}
    let error = store.commit(&json!({}), &record(content)).unwrap_err();
    assert!(matches!(&error, StoreError::Io { .. }), "{error}");
    assert!(error.help().unwrap().contains("free some space"));
    assert_eq!(store.result(&key()).unwrap(), Lookup::Absent);
    drop(filler);
    fs::remove_file(disk.path().join("filler")).unwrap();
    assert_eq!(store.commit(&json!({}), &record(content)).unwrap(), Committed::New);
}

#[test]
fn a_read_only_cache_serves_hits_and_a_write_says_what_to_do() {
    let Some(disk) = Disk::mount("the read-only cache") else { return };
    let root = disk.path().join("cache");
    let writable = Store::open(&root).unwrap();
    let content = Content::File(writable.put_bytes(b"rows").unwrap());
    let _ = writable.commit(&json!({}), &record(content)).unwrap();
    let damaged = writable.put_bytes(b"about to rot").unwrap();
    let path = writable.verified_path(&damaged).unwrap();
    drop(writable);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "rotten").unwrap();
    if !disk.make_read_only() {
        return;
    }
    let store = Store::open(&root).unwrap();
    assert!(matches!(store.result(&key()).unwrap(), Lookup::Found(_)));
    assert!(store.contains(content).unwrap());
    assert_eq!(store.read(content.digest()).unwrap(), b"rows");
    let outside = tempfile::tempdir().unwrap();
    let input = outside.path().join("input");
    fs::write(&input, "rows").unwrap();
    assert_eq!(store.digest_of(&input).unwrap(), content);
    assert_eq!(store.put_bytes(b"rows").unwrap(), *content.digest());
    let to = outside.path().join("to");
    store.materialise(content, Projection::Whole, &to, Access::ReadOnly).unwrap().check_unchanged().unwrap();
    let StoreError::Damaged { damage, .. } = store.read(&damaged).unwrap_err() else { panic!("damage is found") };
    assert_eq!(damage.quarantined_to, None);
    for error in [
        store.put_bytes(b"new").unwrap_err(),
        store.sandbox().unwrap_err(),
        store.start_run().unwrap_err(),
        store.claim(&key(), &|| true, &mut |_| ()).unwrap_err(),
        Store::open(&disk.path().join("new")).unwrap().put_bytes(b"new").unwrap_err(),
    ] {
        assert!(error.to_string().contains(&disk.path().display().to_string()), "{error}");
        assert!(error.help().unwrap().contains("PIPE_CACHE"), "{error}");
    }
}

#[test]
fn content_is_copied_where_the_target_lies_on_another_file_system() {
    let Some(disk) = Disk::mount("the other file system") else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let digest = store.put_bytes(b"rows").unwrap();
    let to = disk.path().join("to");
    let read = store.materialise(Content::File(digest), Projection::Whole, &to, Access::ReadOnly).unwrap();
    read.check_unchanged().unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"rows");
    fs::write(disk.path().join("output"), "made elsewhere").unwrap();
    let content = store.adopt(&disk.path().join("output")).unwrap();
    assert_eq!(store.read(content.digest()).unwrap(), b"made elsewhere");
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_what_was_tried() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for root in [file.path().join("below/a/file"), Path::new("/proc/pipe-cache").to_owned()] {
        let Ok(store) = Store::open(&root) else { continue };
        let error = store.put_bytes(b"x").unwrap_err();
        assert!(error.to_string().starts_with("cannot create `"), "{error}");
    }
}
