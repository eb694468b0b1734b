//! Laws of the collector, on the store alone: what goes, what stays, what comes back, and what a killed one leaves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use pipe::artifact::{ArtifactKind, Content};
use pipe::digest::{ActionKey, Canonical, Digest};
use pipe::store::{Class, GcOptions, Lookup, Output, Pinned, ResultRecord, Root, Store, StoreError};
use serde_json::json;

fn key(name: &str) -> ActionKey {
    ActionKey::of(&Canonical::from(name))
}

/// Makes a result with its own bytes, in a session that ends at once.
fn make(folder: &Path, name: &str, bytes: &[u8]) -> Content {
    let store = Store::open(folder).unwrap();
    let content = Content::File(store.put_bytes(bytes).unwrap());
    let outputs = BTreeMap::from([("records".to_owned(), Output { kind: ArtifactKind::Records, content })]);
    let record = ResultRecord::new(key(name), "clean", outputs, json!({}), "r");
    let _ = store.commit(&json!({ "kind": name }), &record).unwrap();
    content
}

/// Waits until the clock that stamps files has ticked, so that what was made before is older than what is made now.
fn tick(folder: &Path) {
    let changed = |path: &Path| {
        fs::write(path, "x").unwrap();
        let metadata = fs::metadata(path).unwrap();
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let path = folder.with_extension("clock");
    let before = changed(&path);
    while changed(&path) == before {
        std::thread::yield_now();
    }
}

const NOTHING_KEPT: GcOptions<'static> = GcOptions { roots: &[], keep_runs: 0, grace: Duration::ZERO, max_bytes: None };

fn has_result(store: &Store, name: &str) -> bool {
    matches!(store.result(&key(name)).unwrap(), Lookup::Found(_))
}

fn root_of(name: &str) -> Root {
    Root::of_text("test".to_owned(), key(name).to_string().as_bytes()).unwrap()
}

/// Every file of the classes that are collected, with its bytes and modification time.
fn picture(folder: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for class in ["blobs", "references", "actions", "results", "experiments", "runs"] {
        let mut waiting = vec![folder.join(class)];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.exists() {
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                files.insert(path.display().to_string(), (fs::read(&path).unwrap(), modified));
            }
        }
    }
    files
}

#[test]
fn what_no_root_leads_to_goes_and_what_one_leads_to_stays() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    make(&cache, "kept", b"kept bytes");
    make(&cache, "loose", b"loose bytes");
    tick(&cache);
    let store = Store::open(&cache).unwrap();
    let roots = [root_of("kept")];
    let options = GcOptions { roots: &roots, ..NOTHING_KEPT };
    let before = picture(&cache);
    let planned = store.garbage(&options).unwrap();
    assert_eq!(picture(&cache), before, "a dry run moves nothing");
    assert_eq!(planned.going.len(), 3, "result, action and blob: {planned:?}");
    let done = store.collect_garbage(&options).unwrap();
    let sorted = |mut going: Vec<pipe::store::Going>| {
        going.sort_by(|one, other| (one.class, &one.name).cmp(&(other.class, &other.name)));
        going
    };
    assert_eq!(sorted(done.going), sorted(planned.going));
    assert!(has_result(&store, "kept") && !has_result(&store, "loose"));
    assert_eq!(store.read(&Digest::of(b"kept bytes")).unwrap(), b"kept bytes");
    assert!(store.read(&Digest::of(b"loose bytes")).is_err());
    assert!(store.verify(&|_| ()).unwrap().is_clean());
}

#[test]
fn undo_restores_everything_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    for name in ["a", "b", "c"] {
        make(&cache, name, name.as_bytes());
    }
    drop(Store::open(&cache).unwrap().start_run().unwrap());
    tick(&cache);
    let before = picture(&cache);
    let store = Store::open(&cache).unwrap();
    let report = store.collect_garbage(&NOTHING_KEPT).unwrap();
    assert!(picture(&cache).is_empty(), "{:?}", picture(&cache).keys());
    let restored = store.restore_trash(None).unwrap();
    assert_eq!(picture(&cache), before);
    assert_eq!(Some(restored.name), report.trash);
    assert!(store.trashes().unwrap().is_empty(), "nothing is left in the trash");
    assert!(matches!(store.restore_trash(None), Err(StoreError::NotFound { .. })));
}

#[test]
fn undo_leaves_what_was_made_again_and_keeps_the_trashed_one() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    make(&cache, "a", b"first");
    tick(&cache);
    let store = Store::open(&cache).unwrap();
    store.collect_garbage(&NOTHING_KEPT).unwrap();
    let second = make(&cache, "a", b"second");
    let restored = store.restore_trash(None).unwrap();
    assert_eq!((restored.things, restored.made_again), (1, 2), "the first bytes are back; action and result stood");
    let Lookup::Found(record) = store.result(&key("a")).unwrap() else { panic!("a result") };
    assert_eq!(record.outputs["records"].content, second);
    assert_eq!(store.trashes().unwrap().len(), 1);
    assert_eq!(store.empty_trash(Duration::ZERO).unwrap().names.len(), 1);
    assert!(store.trashes().unwrap().is_empty());
}

#[test]
fn whatever_a_live_process_has_put_or_renewed_stays_without_any_grace() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    make(&cache, "renewed", b"renewed");
    make(&cache, "not renewed", b"not renewed");
    tick(&cache);
    let live = Store::open(&cache).unwrap();
    let _sandbox = live.sandbox().unwrap();
    live.renew_result(&key("renewed")).unwrap();
    live.put_bytes(b"in the middle of a commit").unwrap();
    tick(&cache);
    let collector = Store::open(&cache).unwrap();
    collector.collect_garbage(&NOTHING_KEPT).unwrap();
    assert!(has_result(&live, "renewed") && !has_result(&live, "not renewed"));
    assert_eq!(live.read(&Digest::of(b"renewed")).unwrap(), b"renewed", "a young result keeps its old bytes");
    assert!(live.read(&Digest::of(b"in the middle of a commit")).is_ok());
    assert!(live.read(&Digest::of(b"not renewed")).is_err());
}

#[test]
fn bytes_that_are_put_again_are_young_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let large = folder.path().join("input");
    fs::write(&large, "an input").unwrap();
    {
        let store = Store::open(&cache).unwrap();
        store.put_bytes(b"bytes").unwrap();
        store.snapshot(&large).unwrap();
    }
    tick(&cache);
    let live = Store::open(&cache).unwrap();
    live.put_bytes(b"bytes").unwrap();
    live.snapshot(&large).unwrap();
    tick(&cache);
    let report = Store::open(&cache).unwrap().collect_garbage(&NOTHING_KEPT).unwrap();
    assert!(report.going.is_empty(), "{report:?}");
}

#[test]
fn the_grace_period_spares_what_is_young() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    make(&cache, "a", b"a");
    tick(&cache);
    let store = Store::open(&cache).unwrap();
    let hour = GcOptions { grace: Duration::from_hours(1), ..NOTHING_KEPT };
    assert!(store.collect_garbage(&hour).unwrap().going.is_empty());
    assert_eq!(store.collect_garbage(&NOTHING_KEPT).unwrap().going.len(), 3);
}

#[test]
fn least_recently_used_results_go_first_and_only_as_many_as_needed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    for name in ["first", "second", "third"] {
        make(&cache, name, &name.as_bytes().repeat(2000));
        tick(&cache);
    }
    // Used again, so that it is no longer the oldest.
    Store::open(&cache).unwrap().renew_result(&key("first")).unwrap();
    tick(&cache);
    let store = Store::open(&cache).unwrap();
    let total = store.garbage(&NOTHING_KEPT).unwrap().total_bytes;
    let smaller = GcOptions { max_bytes: Some(total - 5_000), ..NOTHING_KEPT };
    let report = store.collect_garbage(&smaller).unwrap();
    assert_eq!(report.over_bytes, 0);
    let left: Vec<bool> = ["first", "second", "third"].iter().map(|name| has_result(&store, name)).collect();
    assert_eq!(left, [true, false, true], "{report:?}");
    let roots = [root_of("first"), root_of("third")];
    let impossible = GcOptions { roots: &roots, max_bytes: Some(10), ..NOTHING_KEPT };
    let report = store.collect_garbage(&impossible).unwrap();
    assert!(report.over_bytes > 10_000 && report.going.is_empty(), "{report:?}");
}

#[test]
fn a_root_that_cannot_be_read_stops_the_collector_before_anything_moves() {
    type Damaging = fn(&Path);
    let damages: [(&str, Damaging); 5] = [
        ("does not prove the rest", |pin| flip(pin, 30)),
        ("name no digest", |pin| fs::write(pin, "").unwrap()),
        ("no plain file", |pin| {
            fs::remove_file(pin).unwrap();
            std::os::unix::fs::symlink("/etc/hostname", pin).unwrap();
        }),
        ("not in the cache any more", |pin| fs::write(pin, Digest::of(b"elsewhere").to_hex()).unwrap()),
        ("does not prove the rest", |pin| {
            let cache = pin.ancestors().nth(3).unwrap();
            flip(&cache.join("results").join(&key("a").to_string()[..2]).join(key("a").to_string()), 40);
        }),
    ];
    for (expected, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        make(&cache, "a", b"a");
        make(&cache, "loose", b"loose");
        let store = Store::open(&cache).unwrap();
        store.pin(Pinned::Result(key("a")), "a", "a note").unwrap();
        damage(&cache.join("roots/pins").join(key("a").to_string()));
        drop(store);
        tick(&cache);
        let before = picture(&cache);
        let error = Store::open(&cache).unwrap().collect_garbage(&NOTHING_KEPT).unwrap_err();
        assert!(matches!(error, StoreError::UnreadableRoot { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(picture(&cache), before);
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_pin_keeps_a_result_until_it_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    make(&cache, "a", b"a");
    let store = Store::open(&cache).unwrap();
    let missing = store.pin(Pinned::Result(key("missing")), "m", "");
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
    let pin = store.pin(Pinned::Result(key("a")), "a", "for the paper").unwrap();
    assert_eq!(store.pins().unwrap(), [pin]);
    drop(store);
    tick(&cache);
    let store = Store::open(&cache).unwrap();
    assert!(store.collect_garbage(&NOTHING_KEPT).unwrap().going.is_empty());
    store.unpin(&key("a").to_string()[..8]).unwrap();
    assert!(store.pins().unwrap().is_empty());
    assert_eq!(store.collect_garbage(&NOTHING_KEPT).unwrap().going.len(), 3);
}

#[test]
fn links_and_strays_are_neither_followed_nor_moved() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    make(&cache, "a", b"a");
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let thesis = outside.join(Digest::of(b"thesis").to_hex());
    fs::write(&thesis, "thesis").unwrap();
    let shard = cache.join("blobs").join(&Digest::of(b"thesis").to_hex()[..2]);
    std::os::unix::fs::symlink(&outside, &shard).unwrap();
    let link = cache.join("blobs").join(&Digest::of(b"link").to_hex()[..2]);
    fs::create_dir_all(&link).unwrap();
    std::os::unix::fs::symlink(&thesis, link.join(Digest::of(b"link").to_hex())).unwrap();
    tick(&cache);
    let store = Store::open(&cache).unwrap();
    assert_eq!(store.collect_garbage(&NOTHING_KEPT).unwrap().going.len(), 3);
    assert_eq!(fs::read(&thesis).unwrap(), b"thesis");
    assert!(fs::symlink_metadata(link.join(Digest::of(b"link").to_hex())).unwrap().is_symlink());
    fs::remove_dir_all(cache.join("trash")).unwrap();
    std::os::unix::fs::symlink(&outside, cache.join("trash")).unwrap();
    assert!(matches!(store.collect_garbage(&NOTHING_KEPT), Err(StoreError::Unsupported { .. })));
    assert!(matches!(store.empty_trash(Duration::ZERO), Err(StoreError::Unsupported { .. })));
    assert!(thesis.exists());
}

#[test]
fn of_a_large_input_only_the_note_goes_and_the_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let large = folder.path().join("weights");
    fs::File::create(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    Store::open(&cache).unwrap().snapshot(&large).unwrap();
    tick(&cache);
    let store = Store::open(&cache).unwrap();
    let report = store.collect_garbage(&NOTHING_KEPT).unwrap();
    assert_eq!(report.going.iter().map(|going| going.class).collect::<Vec<_>>(), [Class::References]);
    assert_eq!(fs::metadata(&large).unwrap().len(), (64 << 20) + 1);
}

#[test]
fn runs_beside_the_collector_never_see_a_result_without_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    Store::open(&cache).unwrap().put_bytes(b"").unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut moved = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                moved += Store::open(&cache).unwrap().collect_garbage(&NOTHING_KEPT).unwrap().going.len();
            }
            moved
        });
        for _ in 0..60 {
            // Each round is a process of its own as far as the store can tell.
            let store = Store::open(&cache).unwrap();
            let _sandbox = store.sandbox().unwrap();
            for name in ["a", "b", "c"] {
                store.renew_result(&key(name)).unwrap();
                if has_result(&store, name) {
                    let content = Content::File(Digest::of(name.as_bytes()));
                    assert_eq!(store.check(content).unwrap(), None, "a result implies its bytes");
                } else {
                    make(&cache, name, name.as_bytes());
                }
            }
            for name in ["a", "b", "c"] {
                assert!(has_result(&store, name), "what a live run relied on is still there");
                assert_eq!(store.read(&Digest::of(name.as_bytes())).unwrap(), name.as_bytes());
            }
            drop(store);
            tick(&cache);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(collector.join().unwrap() > 0, "the collector had something to do");
    });
}
