//! Mutated weight files, archives and records: refused or read, never a panic, a hang or an allocation beyond the file's size.
//!
//! A few hundred mutations run always; `PIPE_FUZZ_SECONDS=600 cargo test --release fuzz` goes on for that long.

use std::fs;
use std::time::{Duration, Instant};

use pipe::device::DeviceSpec;
use pipe::digest::Digest;
use pipe::model::{CausalLm, tokenizer_spec};
use pipe::store::{GcOptions, Lookup, Pinned, Store};
use pipe::surroundings::Bare;
use pipe::text::tokenizer_folder::TokenizerFolder;

use crate::model::fixtures::golden;
use crate::store_archive::{archived, import, sample};

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

/// Numbers at which sizes and offsets go wrong.
const INTERESTING: [u64; 8] = [0, 1, u64::MAX, 1 << 63, 1 << 31, 1 << 32, 0xffff_ffff, 0x7fff_ffff_ffff_ffff];

/// A file with one to four changes, most of them in its first 2,500 bytes, where the header is.
fn mutate(whole: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..=random.below(4) {
        let reach = if random.below(8) == 0 { bytes.len() } else { bytes.len().min(2_500) };
        if reach < 16 {
            break;
        }
        let at = random.below(reach - 8);
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            2 => bytes[at..at + 8].copy_from_slice(&INTERESTING[random.below(8)].to_le_bytes()),
            3 => bytes.truncate(at + random.below(bytes.len() - at)),
            4 => drop(bytes.drain(at..at + random.below(8))),
            _ => {
                let copy = bytes[at..at + random.below(8)].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

/// Calls `read` on mutations for as long as is wanted.
fn fuzz(whole: &[u8], seed: u64, read: impl Fn(&[u8])) {
    const ALWAYS: usize = 400;
    let seconds = std::env::var("PIPE_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let (end, mut random) = (Instant::now() + Duration::from_secs(seconds), Random(seed));
    let mut round = 0;
    while round < ALWAYS || Instant::now() < end {
        let bytes = mutate(whole, &mut random);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&bytes)));
        if caught.is_err() {
            let kept = std::env::temp_dir().join(format!("pipe-fuzz-{seed}-{round}"));
            fs::write(&kept, &bytes).unwrap();
            panic!("mutation {round} of seed {seed} panics; it is kept as {}", kept.display());
        }
        round += 1;
    }
}

#[test]
fn mutated_gguf_files_never_panic() {
    let whole = fs::read(golden("gguf/llama.gguf")).unwrap();
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    fuzz(&whole, 17, |bytes| {
        fs::write(file.path(), bytes).unwrap();
        if let Ok(model) = CausalLm::load(file.path(), None, DeviceSpec::default()) {
            let _ = model.logits(&[vec![1, 2, 3]]);
        }
    });
}

#[test]
fn mutated_gguf_tokenizers_never_panic() {
    let mini = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/models/pipe-mini");
    let folder = tempfile::tempdir().unwrap();
    let spec = pipe::text::folder_spec::spec_of(&mini.as_path().into(), 1_536).unwrap();
    let path = folder.path().join("model.gguf");
    pipe::model::export_gguf(&mini, &spec, pipe::model::GgufFormat::Q8_0, &path).unwrap();
    // The header and what follows it for a bit: tokenizers need no weights, but tensors must lie in the file.
    let whole = fs::read(&path).unwrap();
    fuzz(&whole, 18, |bytes| {
        fs::write(&path, bytes).unwrap();
        if let Ok(Some(spec)) = tokenizer_spec(&path)
            && let Ok(files) = TokenizerFolder::from_spec(&spec)
            && let Ok(tokenizer) = pipe::text::tokenize::Tokenizer::load(&files)
        {
            let _ = tokenizer.encode("What is due? 12 €", true);
        }
    });
}

#[test]
fn mutated_safetensors_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(golden("model/llama/config.json"), folder.path().join("config.json")).unwrap();
    let whole = fs::read(golden("model/llama/model.safetensors")).unwrap();
    fuzz(&whole, 19, |bytes| {
        fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        if let Ok(model) = CausalLm::load(folder.path(), None, DeviceSpec::default()) {
            let _ = model.logits(&[vec![1, 2, 3]]);
        }
    });
}

#[test]
fn mutated_archives_never_panic_and_only_whole_ones_are_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, shipment) = archived(folder.path());
    let whole = fs::read(&archive).unwrap();
    let hostile = folder.path().join("hostile.pipe");
    fuzz(&whole, 20, |bytes| {
        fs::write(&hostile, bytes).unwrap();
        let cache = tempfile::tempdir().unwrap();
        if import(cache.path(), &hostile, &shipment).is_ok() {
            let report = Store::open(cache.path()).unwrap().verify(&|_| ()).unwrap();
            assert!(report.is_clean(), "{report:?}");
        }
    });
}

#[test]
fn mutated_records_never_panic_in_any_reader() {
    let folder = tempfile::tempdir().unwrap();
    let shipment = sample(folder.path());
    let store = Store::open(folder.path()).unwrap();
    let key = *shipment.results.keys().next().unwrap();
    let run = store.start_run().unwrap().id().to_owned();
    store.put_run(&run, &serde_json::json!({ "run": run, "keys": { "merge": key } })).unwrap();
    store.pin(Pinned::Experiment(shipment.id), "sample", "").unwrap();
    let sharded = |class: &str, name: String| format!("{class}/{}/{name}", &name[..2]);
    let places = [
        sharded("results", key.to_string()),
        sharded("actions", key.to_string()),
        format!("experiments/{}", shipment.id),
        format!("runs/{run}/record"),
        format!("roots/pins/{}", shipment.id),
    ];
    let options = GcOptions { roots: &[], keep_runs: 9, grace: Duration::ZERO, max_bytes: Some(1) };
    for (seed, place) in (21..).zip(places) {
        let path = folder.path().join(place);
        let whole = fs::read(&path).unwrap();
        fuzz(&whole, seed, |bytes| {
            // Half of them prove what they say all the same, so that the readers behind the proof are reached.
            let text = bytes.len().checked_sub(72).map_or(bytes, |end| &bytes[..end]);
            let sealed = [text, format!("blake3 {}\n", Digest::of(text)).as_bytes()].concat();
            for bytes in [bytes, &sealed] {
                let _ = fs::remove_file(&path);
                fs::write(&path, bytes).unwrap();
                let _ = (store.garbage(&options), store.pins(), store.shares(&[vec![*shipment.id.digest()]]));
                let _ = (store.result(&key), store.action(&key), store.run(&run));
                if let Ok(Lookup::Found(record)) = store.experiment(&shipment.id) {
                    let _ = pipe::engine::shipment(&record);
                    let _ = pipe::engine::typed::<pipe::engine::record::RunRecord>("run", record);
                }
            }
        });
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn mutated_locks_never_panic_and_are_read_only_if_their_parts_belong_together() {
    let whole = fs::read(project_file("pipelines/quickstart.lock")).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fuzz(&whole, 30, |bytes| {
        fs::write(file.path(), bytes).unwrap();
        if let Ok(Some(lock)) = pipe::lock::read(file.path()) {
            assert!(lock.is_consistent());
        }
    });
}

#[test]
fn mutated_manifests_never_panic() {
    for (seed, name) in [(31, "pipelines/quickstart.yaml"), (32, "tests/fixtures/manifests/valid/matrix.yaml")] {
        let whole = fs::read(project_file(name)).unwrap();
        fuzz(&whole, seed, |bytes| {
            if let Ok(manifest) = pipe::manifest::read("mutated.yaml", bytes, &[]) {
                let recorded = pipe::artifact::Content::File(Digest::of(b""));
                let inputs: Vec<_> =
                    manifest.inputs.iter().map(|input| (input.name.value.as_str(), recorded)).collect();
                let _ = pipe::plan::Planner::plan_recorded(pipe::stages::registry(), &manifest, &inputs, &Bare);
            }
        });
    }
}

/// A file of this repository.
fn project_file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
