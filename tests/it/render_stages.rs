//! The stages `tokenizer` and `render-prompts`, from files to files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pipe::artifact::ArtifactKind;
use pipe::cell::Cell;
use pipe::device::DeviceSpec;
use pipe::diagnostic::Diagnostic;
use pipe::digest::Digest;
use pipe::stage::{Cancel, Input, Outcome, Progress, StageContext, StageError, StageKind, StageObserver};
use pipe::stages::render_prompts::{RenderPrompts, RenderSettings};
use pipe::stages::tokenizer::{Tokenizer, TokenizerSettings};
use pipe::surroundings::Surroundings;
use pipe::text::prompts::{Overlong, read_prompts};
use serde_json::Value;

use super::render_support::CORPUS;

struct Silent;

impl StageObserver for Silent {
    fn progress(&self, _: Progress) {}
    fn warning(&self, diagnostic: Diagnostic) {
        panic!("{diagnostic:?}");
    }
    fn line(&self, text: &str) {
        panic!("{text}");
    }
}

fn run<K: StageKind>(
    config: &K::Config,
    inputs: &[(&'static str, ArtifactKind, &Path)],
    output: &Path,
) -> Result<Outcome, StageError> {
    fs::create_dir_all(output).expect("folder");
    let mut ports: BTreeMap<&'static str, Vec<Input>> = BTreeMap::new();
    for (port, kind, path) in inputs {
        let input = Input { label: (*port).to_owned(), kind: *kind, cell: Cell::default(), path: path.to_path_buf() };
        ports.entry(port).or_default().push(input);
    }
    let device = DeviceSpec::default();
    let output_folder = output.to_path_buf();
    let cancel = Cancel::default();
    K::run(
        config,
        &StageContext {
            inputs: ports,
            output_folder,
            device,
            surroundings: &Surroundings::default(),
            observer: &Silent,
            cancel,
        },
    )
}

fn records(folder: &Path) -> PathBuf {
    let path = folder.join("records");
    let mut lines: Vec<String> = CORPUS.iter().map(|text| serde_json::json!({ "text": text }).to_string()).collect();
    lines.push(
        r#"{"conversation":{"tools":[{"name":"retrieve","parameters":{"type":"object"}}],"turns":[{"user":"How much?",
        "steps":[{"thought":"Look.","calls":[{"name":"retrieve","arguments":{"query":"q"},"observation":"18%"}]}],
        "answer":"18%"}]}}"#
            .replace('\n', ""),
    );
    let lines: Vec<String> = lines.iter().cycle().take(lines.len() * 30).cloned().collect();
    fs::write(&path, lines.join("\n") + "\n").expect("write");
    path
}

fn settings() -> TokenizerSettings {
    TokenizerSettings { vocab_size: 420, ..TokenizerSettings::default() }
}

fn train(folder: &Path, records: &Path) -> PathBuf {
    let inputs = [("records", ArtifactKind::Records, records)];
    run::<Tokenizer>(&settings(), &inputs, folder).expect("a tokenizer");
    folder.join("tokenizer")
}

fn digest(folder: &Path) -> String {
    let names = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];
    let bytes: Vec<u8> = names.iter().flat_map(|name| fs::read(folder.join(name)).expect("a file")).collect();
    Digest::of(&bytes).to_hex()
}

#[test]
fn a_tokenizer_has_the_same_bytes_in_every_process_and_for_any_order_of_rows() {
    let folder = tempfile::tempdir().expect("folder");
    let records = records(folder.path());
    let first = digest(&train(&folder.path().join("a"), &records));
    let mut lines: Vec<String> = fs::read_to_string(&records).expect("records").lines().map(str::to_owned).collect();
    lines.reverse();
    fs::write(&records, lines.join("\n")).expect("write");
    assert_eq!(digest(&train(&folder.path().join("b"), &records)), first);
    // The digest of another process: it changes with the trainer, the template and the file format only.
    let vocabulary = fs::read(folder.path().join("a/tokenizer/tokenizer.json")).expect("a file");
    assert_eq!(Digest::of(&vocabulary).short(), "03519ee2df6d");
}

#[test]
fn a_trained_tokenizer_gives_back_every_text_and_keeps_digits_apart() {
    let folder = tempfile::tempdir().expect("folder");
    let tokenizer = train(folder.path(), &records(folder.path()));
    let tokenizer = pipe::text::tokenize::Tokenizer::load(&tokenizer.as_path().into()).expect("a tokenizer");
    assert_eq!(tokenizer.vocab_size(), 420);
    for text in ["The attendance is 74.5 percent.", " naïve 🙂\t\r\n", "\u{0}\u{7f}", "", "日本語 12345"] {
        let encoding = tokenizer.encode(text, false).expect("ids");
        assert_eq!(tokenizer.decode(&encoding.ids, false).expect("text"), text);
    }
    let digits = tokenizer.encode("12345", false).expect("ids").ids;
    assert_eq!(digits.len(), 5);
    assert!(tokenizer.encode("attendance", false).expect("ids").ids.len() < 4);
    assert_eq!(tokenizer.encode("<tool_call>x", false).expect("ids").ids.len(), 2);
    assert_eq!([tokenizer.pad_id(), tokenizer.eos_id()], [Some(0), Some(2)]);
}

#[test]
fn records_are_rendered_in_order_with_statistics() {
    let folder = tempfile::tempdir().expect("folder");
    let records = records(folder.path());
    let tokenizer = train(folder.path(), &records);
    let inputs = [
        ("records", ArtifactKind::Records, &*records),
        ("records", ArtifactKind::Records, &*records),
        ("model", ArtifactKind::Tokenizer, &*tokenizer),
    ];
    let output = folder.path().join("out");
    let outcome = run::<RenderPrompts>(&RenderSettings::default(), &inputs, &output).expect("prompts");
    let rows = read_prompts(&output.join("prompts")).expect("rows");
    assert_eq!(rows.len(), 300);
    assert_eq!(rows[..150], rows[150..]);
    let tokens: usize = rows.iter().map(|row| row.input_ids.len()).sum();
    let targets: usize = rows.iter().map(pipe::text::prompts::TokenRow::targets).sum();
    assert_eq!(outcome.metrics["rows"], 300);
    assert_eq!(outcome.metrics["tokens"], tokens);
    let statistics: Value =
        serde_json::from_slice(&fs::read(output.join("statistics")).expect("a file")).expect("JSON");
    assert_eq!(statistics["trained_tokens"], targets);
    assert_eq!(statistics["tool_mode"], "native");
    assert_eq!(statistics["dropped"]["overlong"], 0);
    let bars: u64 =
        statistics["length_histogram"].as_array().expect("bars").iter().filter_map(|bar| bar["rows"].as_u64()).sum();
    assert_eq!(bars, 300);
    let again = folder.path().join("again");
    run::<RenderPrompts>(&RenderSettings::default(), &inputs, &again).expect("prompts");
    for slot in ["prompts", "statistics"] {
        assert_eq!(fs::read(output.join(slot)).expect("a file"), fs::read(again.join(slot)).expect("a file"));
    }
}

#[test]
fn every_bad_row_is_named_with_its_line() {
    let folder = tempfile::tempdir().expect("folder");
    let good = records(folder.path());
    let tokenizer = train(folder.path(), &good);
    let bad = folder.path().join("bad");
    let lines = [
        r#"{"text":"fine"}"#,
        "{",
        r#"{"conversation":{"turns":[{"user":"no answer"}]}}"#,
        r#"{"conversation":{"turns":[]}}"#,
    ];
    fs::write(&bad, lines.join("\n")).expect("write");
    let inputs = [("records", ArtifactKind::Records, &*bad), ("model", ArtifactKind::Tokenizer, &*tokenizer)];
    let error = run::<RenderPrompts>(&RenderSettings::default(), &inputs, &folder.path().join("out"));
    let Err(StageError::Data(diagnostics)) = error else { panic!("{error:?}") };
    let starts =
        ["`records` line 2: not a record", "`records` line 3: the row has no token", "`records` line 4: the con"];
    assert_eq!(diagnostics.len(), starts.len());
    for (diagnostic, start) in diagnostics.iter().zip(starts) {
        assert!(diagnostic.message.starts_with(start), "{}", diagnostic.message);
    }
}

#[test]
fn overlong_rows_are_dropped_and_counted() {
    let folder = tempfile::tempdir().expect("folder");
    let records = records(folder.path());
    let tokenizer = train(folder.path(), &records);
    let inputs = [("records", ArtifactKind::Records, &*records), ("model", ArtifactKind::Tokenizer, &*tokenizer)];
    let config = RenderSettings { max_seq_len: 60, overlong: Overlong::Drop, ..RenderSettings::default() };
    let outcome = run::<RenderPrompts>(&config, &inputs, &folder.path().join("out")).expect("prompts");
    let rows = read_prompts(&folder.path().join("out/prompts")).expect("rows");
    assert!(rows.iter().all(|row| row.input_ids.len() <= 60));
    assert_eq!(
        outcome.metrics["rows"].as_u64().expect("rows") + outcome.metrics["dropped"].as_u64().expect("rows"),
        150
    );
    assert!(outcome.metrics["dropped"].as_u64() >= Some(30));
}

#[test]
fn settings_out_of_range_are_issues() {
    let config = RenderSettings {
        max_seq_len: 1,
        now: "yesterday".into(),
        template_arguments: serde_json::from_str(r#"{"messages":[]}"#).expect("JSON"),
        ..RenderSettings::default()
    };
    let fields: Vec<_> = RenderPrompts::check(&config).into_iter().flat_map(|issue| issue.path).collect();
    assert_eq!(fields, ["max_seq_len", "now", "template_arguments"]);
    let config = TokenizerSettings { vocab_size: 100, max_rows: Some(0), ..TokenizerSettings::default() };
    let fields: Vec<_> = Tokenizer::check(&config).into_iter().flat_map(|issue| issue.path).collect();
    assert_eq!(fields, ["vocab_size", "max_rows"]);
}
