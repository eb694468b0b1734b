//! The runners: how each is told of a graph, run, and asked what it would do.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::graph::{Graph, Step};

/// What a stage does to its inputs.
#[derive(Clone, Copy)]
pub enum Work {
    /// Puts them into its output, one after the other.
    Concatenate,
    /// Says that it saw them.
    Look,
}

/// A runner.
pub trait Peer {
    fn name(&self) -> &'static str;
    /// Writes what the runner reads; the inputs are there.
    fn write(&self, folder: &Path, graph: &Graph, scale: usize, work: Work);
    /// Runs what is out of date.
    fn run(&self, folder: &Path) -> Command;
    /// Says what would run.
    fn plan(&self, folder: &Path) -> Command;
    /// Whether it is installed, and is made ready in a folder.
    fn is_ready(&self, folder: &Path) -> bool;
}

/// Whether a program ends well; it says nothing.
pub fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The shell's part of a stage, with how the runner names inputs and output.
fn shell(step: &Step, work: Work, scale: &str, inputs: &str, output: &str) -> String {
    match (work, step.is_scaled) {
        (Work::Look, _) => format!("echo seen > {output}"),
        (Work::Concatenate, false) => format!("cat {inputs} > {output}"),
        (Work::Concatenate, true) => format!("(cat {inputs}; echo {scale}) > {output}"),
    }
}

fn program(name: &str, folder: &Path) -> Command {
    // Where the peers are, when not on PATH: the `bin` of a virtual environment.
    let place = std::env::var_os("PIPE_BENCH_PEERS").map(|place| Path::new(&place).join(name));
    let mut command = Command::new(place.filter(|path| path.exists()).unwrap_or_else(|| name.into()));
    if let Some(path) = std::env::var_os("PIPE_BENCH_PEERS") {
        let own = std::env::var_os("PATH").unwrap_or_default();
        command.env("PATH", [path, own].join(std::ffi::OsStr::new(":")));
    }
    command.current_dir(folder);
    command
}

pub struct Pipe;

impl Peer for Pipe {
    fn name(&self) -> &'static str {
        "pipe"
    }

    fn write(&self, folder: &Path, graph: &Graph, scale: usize, work: Work) {
        let mut text = format!("version: 1\nname: bench\nparams: {{ scale: {scale} }}\ninputs:\n");
        for input in &graph.inputs {
            let _ = writeln!(text, "  {input}: {input}");
        }
        text.push_str("stages:\n");
        for step in &graph.steps {
            let from = |need: &String| {
                if graph.inputs.contains(&need.as_str()) { need.clone() } else { format!("{need}.out") }
            };
            let needs: Vec<String> = step.needs.iter().map(from).collect();
            let scale = if step.is_scaled { "${params.scale}" } else { "" };
            // Its name stands in the command, as it does for the peers; else equal stages would be one action, run once.
            let shell = format!(": {}; {}", step.name, shell(step, work, "$0", "\"$@\"", "out"));
            let _ = writeln!(
                text,
                "  {}: {{ run: [sh, -c, '{shell}', \"s{scale}\", \"{{in.all}}\"], in: {{ all: [{}] }}, out: {{ out: file }}, tools: [cat] }}",
                step.name,
                needs.join(", ")
            );
        }
        if !graph.steps.iter().any(|step| step.is_scaled) {
            text = text.replacen(&format!("params: {{ scale: {scale} }}\n"), "", 1);
        }
        fs::create_dir_all(folder.join("pipelines")).expect("a folder");
        fs::write(folder.join("pipelines/bench.yaml"), text).expect("a file");
    }

    fn run(&self, folder: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
        command.args(["run", "--quiet", "pipelines/bench.yaml"]).current_dir(folder).env_remove("PIPE_CACHE");
        command
    }

    fn plan(&self, folder: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
        command.args(["plan", "pipelines/bench.yaml"]).current_dir(folder).env_remove("PIPE_CACHE");
        command
    }

    fn is_ready(&self, _: &Path) -> bool {
        true
    }
}

pub struct Dvc;

impl Peer for Dvc {
    fn name(&self) -> &'static str {
        "DVC"
    }

    fn write(&self, folder: &Path, graph: &Graph, scale: usize, work: Work) {
        let mut text = String::from("stages:\n");
        for step in &graph.steps {
            let shell = shell(step, work, "${scale}", &step.needs.join(" "), &step.name);
            let params = if step.is_scaled { "\n    params: [scale]" } else { "" };
            let (name, needs) = (&step.name, step.needs.join(", "));
            let _ = writeln!(text, "  {name}:\n    cmd: {shell}\n    deps: [{needs}]\n    outs: [{name}]{params}");
        }
        fs::write(folder.join("dvc.yaml"), text).expect("a file");
        fs::write(folder.join("params.yaml"), format!("scale: {scale}\n")).expect("a file");
    }

    fn run(&self, folder: &Path) -> Command {
        let mut command = program("dvc", folder);
        command.args(["repro", "--quiet"]).env("DVC_NO_ANALYTICS", "1");
        command
    }

    fn plan(&self, folder: &Path) -> Command {
        let mut command = program("dvc", folder);
        command.args(["repro", "--dry"]).env("DVC_NO_ANALYTICS", "1");
        command
    }

    fn is_ready(&self, folder: &Path) -> bool {
        succeeds(program("dvc", folder).args(["init", "--no-scm", "--quiet"]).env("DVC_NO_ANALYTICS", "1"))
    }
}

pub struct Snakemake;

impl Peer for Snakemake {
    fn name(&self) -> &'static str {
        "Snakemake"
    }

    fn write(&self, folder: &Path, graph: &Graph, scale: usize, work: Work) {
        let mut text = String::new();
        let last = graph.steps.iter().map(|step| format!("\"{}\"", step.name)).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "rule all:\n    input: {last}");
        for step in &graph.steps {
            let inputs: Vec<String> = step.needs.iter().map(|need| format!("\"{need}\"")).collect();
            let shell = shell(step, work, "{params.scale}", "{input}", "{output}");
            let params = if step.is_scaled { format!("\n    params: scale={scale}") } else { String::new() };
            let (name, inputs) = (&step.name, inputs.join(", "));
            let _ = writeln!(
                text,
                "rule {name}:\n    input: {inputs}\n    output: \"{name}\"{params}\n    shell: \"{shell}\""
            );
        }
        fs::write(folder.join("Snakefile"), text).expect("a file");
    }

    fn run(&self, folder: &Path) -> Command {
        let mut command = program("snakemake", folder);
        command.args(["--cores", "2", "--quiet"]);
        command
    }

    fn plan(&self, folder: &Path) -> Command {
        let mut command = program("snakemake", folder);
        command.args(["--cores", "2", "--dry-run", "--quiet"]);
        command
    }

    fn is_ready(&self, folder: &Path) -> bool {
        succeeds(program("snakemake", folder).arg("--version"))
    }
}

pub struct Make;

impl Peer for Make {
    fn name(&self) -> &'static str {
        "make"
    }

    fn write(&self, folder: &Path, graph: &Graph, scale: usize, work: Work) {
        let all: Vec<&str> = graph.steps.iter().map(|step| step.name.as_str()).collect();
        let mut text = format!("all: {}\n", all.join(" "));
        for step in &graph.steps {
            let shell = shell(step, work, "$$(cat scale)", "$(filter-out scale,$^)", "$@");
            let scale = if step.is_scaled { " scale" } else { "" };
            let _ = writeln!(text, "{}: {}{scale}\n\t{shell}", step.name, step.needs.join(" "));
        }
        fs::write(folder.join("Makefile"), text).expect("a file");
        fs::write(folder.join("scale"), scale.to_string()).expect("a file");
    }

    fn run(&self, folder: &Path) -> Command {
        let mut command = Command::new("make");
        command.args(["-s", "-j2"]).current_dir(folder);
        command
    }

    fn plan(&self, folder: &Path) -> Command {
        let mut command = Command::new("make");
        command.args(["-n"]).current_dir(folder);
        command
    }

    fn is_ready(&self, _: &Path) -> bool {
        succeeds(Command::new("make").arg("--version"))
    }
}
