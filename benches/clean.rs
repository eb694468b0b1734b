//! Cleaning against the source pipeline's `sed | grep`, in one run over the same file.
//!
//! `cargo bench --bench clean -- [MIB] [ROUNDS] [NAME]`: the file is generated, 1024 MiB by default; the best of the rounds
//! counts. On a shared machine the processor seconds (user and system, from `/proc`) say more than the wall clock, and
//! GB/s per core is by them. The peer strips comments and blank lines and validates nothing; it runs in the C locale, its fastest.

#![expect(clippy::print_stdout, reason = "a bench is asked for its figures")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use pipe::artifact::ArtifactKind;
use pipe::cell::Cell;
use pipe::device::DeviceSpec;
use pipe::diagnostic::Diagnostic;
use pipe::stage::{Cancel, Input, Progress, StageContext, StageKind, StageObserver};
use pipe::stages::clean::{Clean, CleanSettings, Dedupe, OnInvalid, OverlapRule};
use pipe::surroundings::Surroundings;

const PEER: &str = r"sed -e 's#//.*$##' -e '/^[[:space:]]*$/d' rows.jsonl | grep -E '^[[:space:]]*\{' > peer.jsonl";

/// What is measured, and how.
type Contestant = (&'static str, fn(&Path) -> Result<Took, Box<dyn Error>>);

const CONTESTANTS: [Contestant; 4] = [
    ("sed | grep", peer),
    ("clean", |folder| clean(folder, OverlapRule::Off, Dedupe::Exact)),
    ("clean, no dedupe", |folder| clean(folder, OverlapRule::Off, Dedupe::Off)),
    ("clean, 1,000 rows held out", |folder| clean(folder, OverlapRule::Reject, Dedupe::Exact)),
];

struct Silent;

impl StageObserver for Silent {
    fn progress(&self, _progress: Progress) {}
    fn warning(&self, _diagnostic: Diagnostic) {}
    fn line(&self, _text: &str) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    let only = std::env::args().skip(1).find(|word| word.parse::<u64>().is_err() && !word.starts_with('-'));
    let (mebibytes, rounds) = (numbers.next().unwrap_or(1024), numbers.next().unwrap_or(3));
    let folder = tempfile::tempdir()?;
    let size = generate(&folder.path().join("rows.jsonl"), mebibytes << 20)?;
    fs::write(folder.path().join("exam.jsonl"), exam())?;
    let mut best: BTreeMap<&str, Took> = BTreeMap::new();
    for _ in 0..rounds {
        for (name, work) in CONTESTANTS {
            if only.as_ref().is_none_or(|only| only == name) {
                let took = work(folder.path())?;
                let best = best.entry(name).or_insert(took);
                *best = Took { wall: took.wall.min(best.wall), processor: took.processor.min(best.processor) };
            }
        }
    }
    let reference = best.get("sed | grep").map_or(f64::NAN, |took| took.wall);
    println!("{size} bytes, best of {rounds}, {} cores", std::thread::available_parallelism()?);
    println!("{:28} {:>8} {:>7} {:>9} {:>9} {:>14}", "", "wall s", "GB/s", "x sed|grep", "cpu s", "GB/s per core");
    for (name, took) in &best {
        let (rate, ratio) = (size as f64 / 1e9 / took.wall, reference / took.wall);
        let per_core = size as f64 / 1e9 / took.processor;
        println!("{name:28} {:8.3} {rate:7.3} {ratio:10.2} {:9.2} {per_core:14.3}", took.wall, took.processor);
    }
    Ok(())
}

/// How long something took, in seconds.
#[derive(Clone, Copy)]
struct Took {
    wall: f64,
    processor: f64,
}

fn measure(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Took, Box<dyn Error>> {
    let (start, before) = (Instant::now(), processor_seconds());
    work()?;
    Ok(Took { wall: start.elapsed().as_secs_f64(), processor: processor_seconds() - before })
}

/// User and system time of this process and the children it waited for; NaN where there is no `/proc`.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(4);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    if ticks.len() == 4 { ticks.iter().sum::<f64>() / 100.0 } else { f64::NAN }
}

fn peer(folder: &Path) -> Result<Took, Box<dyn Error>> {
    measure(|| {
        let status = Command::new("sh").args(["-c", PEER]).env("LC_ALL", "C").current_dir(folder).status()?;
        if status.success() { Ok(()) } else { Err(format!("sed | grep ended with {status}").into()) }
    })
}

fn clean(folder: &Path, overlap: OverlapRule, dedupe: Dedupe) -> Result<Took, Box<dyn Error>> {
    let outputs = folder.join("outputs");
    fs::create_dir_all(&outputs)?;
    let input = |name: &str| Input {
        label: name.to_owned(),
        kind: ArtifactKind::File,
        cell: Cell::default(),
        path: folder.join(name),
    };
    let inputs = BTreeMap::from([("sources", vec![input("rows.jsonl")]), ("held_out", vec![input("exam.jsonl")])]);
    let context = StageContext {
        inputs,
        output_folder: outputs,
        device: DeviceSpec::default(),
        surroundings: &Surroundings::default(),
        observer: &Silent,
        cancel: Cancel::default(),
    };
    let settings = CleanSettings { on_invalid: OnInvalid::Reject, overlap, dedupe, ..CleanSettings::default() };
    measure(|| Ok(Clean::run(&settings, &context).map(drop)?))
}

/// Rows like the source's: trajectories of one to four steps with prose and escapes, every eighth with a URL, 1 % of them twice.
fn generate(path: &Path, at_least: u64) -> Result<u64, Box<dyn Error>> {
    let mut out = BufWriter::new(File::create(path)?);
    let (mut size, mut number) = (0, 0);
    while size < at_least {
        let text = row(if number % 100 == 99 { number - 50 } else { number });
        out.write_all(text.as_bytes())?;
        (size, number) = (size + text.len() as u64, number + 1);
    }
    out.flush()?;
    Ok(size)
}

fn row(number: u64) -> String {
    let prose = |salt: u64, words: u64| -> String {
        let word = |index: u64| {
            let mixed = (number.wrapping_mul(31) ^ salt).wrapping_add(index).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
            WORDS[usize::try_from(mixed).unwrap_or(0) % WORDS.len()]
        };
        (0..words).map(word).collect::<Vec<_>>().join(" ")
    };
    let place = if number.is_multiple_of(8) { "https://lms.example.edu/" } else { "page " };
    let steps: Vec<String> = (0..=number % 4)
        .map(|step| {
            format!(
                r#"{{"thought":"{}.","action":{{"tool":"retrieve","args":{{"query":"{}","top_k":{step}}}}},"observation":"{}: \"{}\" ({place}{number})."}}"#,
                prose(step, 8), prose(step + 10, 4), prose(step + 20, 20), prose(step + 30, 12)
            )
        })
        .collect();
    let comment = if number.is_multiple_of(50) { " // checked" } else { "" };
    format!(
        r#"{{"instruction":"{} {number}?","tools":[{{"name":"retrieve","desc":"semantic search over notes","args_schema":{{"query":"str","top_k":"int?"}}}}],"trajectory":[{}],"final_answer":"{}"}}{comment}{}"#,
        prose(1, 12),
        steps.join(","),
        prose(2, 6),
        "\n"
    )
}

fn exam() -> String {
    let row = |number: u64| {
        format!(
            "{{\"query\":\"exam question {number}\",\"context\":\"{}\",\"expected\":\"x\"}}\n",
            format!("word{number} ").repeat(60)
        )
    };
    (0..1000).map(row).collect()
}

const WORDS: [&str; 24] = [
    "attendance",
    "policy",
    "the",
    "late",
    "work",
    "loses",
    "ten",
    "percent",
    "a",
    "day",
    "grade",
    "of",
    "students",
    "in",
    "course",
    "é",
    "syllabus",
    "deadline",
    "and",
    "credit",
    "load",
    "is",
    "listed",
    "twelve",
];
