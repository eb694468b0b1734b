//! How long it takes to find that nothing changed: the quick start as a whole process, next to `make` (which compares
//! time stamps only) and, when it is installed, `dvc repro` on eight trivial stages of the same graph.
//!
//! The first run of the quick start fills a cache of the bench's own, which takes its usual time.

#![expect(clippy::print_stdout, reason = "a bench reports to the terminal")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 31;
/// The stages of `pipelines/quickstart.yaml` and what each reads; a test in CI would not notice a new one, the bench only
/// compares with a graph of this size.
const GRAPH: [(&str, &[&str]); 8] = [
    ("clean", &["raw", "exam"]),
    ("render", &["clean", "base"]),
    ("train", &["render", "base"]),
    ("merge", &["train", "base"]),
    ("eval", &["merge", "exam"]),
    ("eval-base", &["base", "exam"]),
    ("eval-native", &["base", "exam"]),
    ("gate", &["eval", "eval-base"]),
];

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn pipe(project: &Path, cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
    command.args(arguments).current_dir(project).env("PIPE_CACHE", cache);
    command
}

fn makefile() -> String {
    let mut text = String::from("all: gate\n");
    for (stage, needs) in GRAPH {
        let _ = writeln!(text, "{stage}: {}\n\tcat $^ > $@", needs.join(" "));
    }
    text
}

fn dvc_yaml() -> String {
    let mut text = String::from("stages:\n");
    for (stage, needs) in GRAPH {
        let _ = writeln!(
            text,
            "  {stage}:\n    cmd: cat {} > {stage}\n    deps: [{}]\n    outs: [{stage}]",
            needs.join(" "),
            needs.join(", ")
        );
    }
    text
}

/// A folder in which the peer has built everything; nothing when the peer is not installed.
fn built(prepare: impl FnOnce(&Path) -> bool) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().expect("a folder");
    for input in ["raw", "exam", "base"] {
        std::fs::write(folder.path().join(input), input).expect("a file");
    }
    prepare(folder.path()).then_some(folder)
}

fn make(folder: &Path) -> Command {
    let mut command = Command::new("make");
    command.current_dir(folder);
    command
}

fn dvc(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("dvc");
    command.args(arguments).current_dir(folder).env("DVC_NO_ANALYTICS", "1");
    command
}

fn time(mut command: Command) -> Duration {
    let start = Instant::now();
    assert!(succeeds(&mut command), "{command:?}");
    start.elapsed()
}

/// The median and the fastest; on a busy machine the fastest says more about the work itself.
fn summary(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[0])
}

fn main() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cache = tempfile::tempdir().expect("a folder");
    let run = || pipe(project, cache.path(), &["run", "--quiet", "pipelines/quickstart.yaml"]);
    let start = Instant::now();
    assert!(succeeds(&mut run()), "the quick start passes");
    println!("quick start, cold: {:.1?}", start.elapsed());
    let make_folder = built(|folder| {
        std::fs::write(folder.join("Makefile"), makefile()).expect("a file");
        succeeds(&mut make(folder))
    });
    let dvc_folder = built(|folder| {
        std::fs::write(folder.join("dvc.yaml"), dvc_yaml()).expect("a file");
        succeeds(&mut dvc(folder, &["init", "--no-scm", "--quiet"])) && succeeds(&mut dvc(folder, &["repro"]))
    });
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        times[0].push(time(run()));
        times[1].push(time(pipe(project, cache.path(), &["--help"])));
        times[2].extend(make_folder.as_ref().map(|folder| time(make(folder.path()))));
        times[3].extend(dvc_folder.as_ref().map(|folder| time(dvc(folder.path(), &["repro"]))));
    }
    println!("unchanged rerun as a whole process, {ROUNDS} interleaved rounds: median (fastest), pipe's ratio");
    let ours = summary(times[0].clone());
    for (name, times) in ["pipe run", "pipe --help", "make", "dvc repro"].into_iter().zip(times) {
        if times.is_empty() {
            println!("  {name:<12} is not installed");
            continue;
        }
        let (median, fastest) = summary(times);
        println!("  {name:<12} {median:>10.2?} ({fastest:.2?})  {:.2}", ours.0.as_secs_f64() / median.as_secs_f64());
    }
}
