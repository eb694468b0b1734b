//! The runner itself next to DVC, Snakemake and GNU make, all on the same pipelines in the same run, as whole processes.
//!
//! `PIPE_BENCH_PEERS=VENV/bin cargo bench --bench runner [-- CASE…]`, where VENV has `pip install dvc snakemake`; a peer that is not
//! installed is left out. make compares time stamps and hashes nothing; a peer that takes longer than a minute for one run is
//! not asked again. The large inputs take 4 GB of the temporary folder.

#![expect(clippy::print_stdout, reason = "a bench reports to the terminal")]

mod graph;
mod peers;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use graph::Graph;
use peers::{Dvc, Make, Peer, Pipe, Snakemake, Work, succeeds};

const PEERS: [&dyn Peer; 4] = [&Pipe, &Dvc, &Snakemake, &Make];
const ROUNDS: usize = 7;
const PATIENCE: Duration = Duration::from_mins(1);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |case: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == case);
    if wanted("six") {
        six();
    }
    if wanted("matrix") {
        built("16 cells between one stage and a report: first build, then unchanged", &graph::sixteen_cells());
    }
    if wanted("build") {
        built("200 independent stages: first build, then unchanged", &graph::independent(200));
        built("a chain of 200 stages: first build, then unchanged", &graph::chain(200));
    }
    if wanted("plan") {
        for stages in [1_000, 10_000] {
            planned(stages);
        }
    }
    if wanted("large") {
        large("an input of 2 GB: first run, then unchanged", |folder| write_large(&folder.join("raw")));
        large("an input of 100,000 files: first run, then unchanged", |folder| write_many(&folder.join("raw")));
    }
}

/// A project for each peer that is installed.
fn projects(graph: &Graph, work: Work, inputs: impl Fn(&Path)) -> Vec<(&'static dyn Peer, tempfile::TempDir)> {
    let ready = PEERS.into_iter().filter_map(|peer| {
        let folder = tempfile::tempdir().expect("a folder");
        if !peer.is_ready(folder.path()) {
            println!("  {:<10} is not installed", peer.name());
            return None;
        }
        inputs(folder.path());
        peer.write(folder.path(), graph, 1, work);
        Some((peer, folder))
    });
    ready.collect()
}

fn small_inputs(graph: &Graph) -> impl Fn(&Path) {
    let inputs = graph.inputs.clone();
    move |folder| inputs.iter().for_each(|input| fs::write(folder.join(input), input).expect("a file"))
}

fn time(mut command: Command) -> Duration {
    let start = Instant::now();
    assert!(succeeds(&mut command), "{command:?}");
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A line: the peer's times in milliseconds, and how many times ours each is.
fn line(name: &str, times: &[Duration], ours: &[Duration]) {
    let cells = times.iter().zip(ours).map(|(time, ours)| {
        format!("{:>10.1} ms {:>7.1}x", 1e3 * time.as_secs_f64(), time.as_secs_f64() / ours.as_secs_f64())
    });
    println!("  {name:<10} {}", cells.collect::<Vec<_>>().join("   "));
}

/// An unchanged rerun, and one parameter changed, medians of interleaved rounds.
fn six() {
    println!("six stages: unchanged rerun; one parameter changed, four stages run");
    let graph = graph::six();
    let projects = projects(&graph, Work::Concatenate, small_inputs(&graph));
    let mut times = vec![[Vec::new(), Vec::new()]; projects.len()];
    for (peer, folder) in &projects {
        time(peer.run(folder.path()));
    }
    for round in 0..ROUNDS {
        for ((peer, folder), times) in projects.iter().zip(&mut times) {
            times[0].push(time(peer.run(folder.path())));
            peer.write(folder.path(), &graph, round + 2, Work::Concatenate);
            times[1].push(time(peer.run(folder.path())));
        }
    }
    let medians: Vec<[Duration; 2]> = times.into_iter().map(|times| times.map(median)).collect();
    for ((peer, _), times) in projects.iter().zip(&medians) {
        line(peer.name(), times, &medians[0]);
    }
}

fn built(title: &str, graph: &Graph) {
    println!("{title}");
    let mut ours = None;
    for (peer, folder) in projects(graph, Work::Concatenate, small_inputs(graph)) {
        let first = time(peer.run(folder.path()));
        let again = median((0..3).map(|_| time(peer.run(folder.path()))).collect());
        let times = [first, again];
        line(peer.name(), &times, ours.get_or_insert(times));
    }
}

fn planned(stages: usize) {
    println!("a chain of {stages} stages, planned before anything was run");
    let graph = graph::chain(stages);
    let mut ours = None;
    for (peer, folder) in projects(&graph, Work::Concatenate, small_inputs(&graph)) {
        let mut times = vec![time(peer.plan(folder.path()))];
        while times.len() < 3 && times[0] < PATIENCE {
            times.push(time(peer.plan(folder.path())));
        }
        let times = [median(times)];
        line(peer.name(), &times, ours.get_or_insert(times));
    }
}

fn large(title: &str, inputs: impl Fn(&Path)) {
    println!("{title}");
    let graph = graph::one();
    let mut ours = None;
    for peer in PEERS {
        // One at a time: the inputs are large.
        let folder = tempfile::tempdir().expect("a folder");
        if !peer.is_ready(folder.path()) {
            continue;
        }
        inputs(folder.path());
        peer.write(folder.path(), &graph, 1, Work::Look);
        let first = time(peer.run(folder.path()));
        let again = median((0..3).map(|_| time(peer.run(folder.path()))).collect());
        let times = [first, again];
        line(peer.name(), &times, ours.get_or_insert(times));
    }
}

fn write_large(path: &Path) {
    let mut file = fs::File::create(path).expect("a file");
    for block in 0..2_048_u64 {
        let bytes: Vec<u8> = (0..(1 << 17)).flat_map(|at: u64| (block << 17 | at).to_le_bytes()).collect();
        file.write_all(&bytes).expect("2 GB of space");
    }
}

fn write_many(path: &Path) {
    for folder in 0..100 {
        let folder = path.join(folder.to_string());
        fs::create_dir_all(&folder).expect("a folder");
        (0..1_000).for_each(|file| fs::write(folder.join(file.to_string()), file.to_string()).expect("a file"));
    }
}
