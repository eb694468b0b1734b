//! The house rules, enforced: a room imports only lower floors, and some crates live in one room only.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room with ten times its floor. Rooms of floor 1 never see each other.
const FLOORS: &[(&str, u32)] = &[
    ("digest", 0),
    ("artifact", 0),
    ("cell", 0),
    ("stage_name", 0),
    ("diagnostic", 0),
    ("reference", 0),
    ("device", 0),
    ("tokenizer_spec", 0),
    ("source", 0),
    ("relative_path", 0),
    ("surroundings", 0),
    ("text", 10),
    ("sources", 10),
    ("store", 10),
    ("model", 10),
    ("command", 10),
    ("stage", 20),
    ("stage_config", 21),
    ("stages", 30),
    ("manifest", 40),
    ("plan", 50),
    ("lock", 55),
    ("engine", 60),
    ("report", 70),
    ("cli", 80),
    ("main", 80),
    ("lib", 90),
];

/// Crates that only these places may name.
const CONFINED: &[(&str, &[&str])] = &[
    ("burn", &["model"]),
    ("burn_flex", &["model"]),
    ("safetensors", &["model"]),
    ("tokenizers", &["text"]),
    ("minijinja", &["text"]),
    ("minijinja_contrib", &["text"]),
    ("serde_saphyr", &["manifest"]),
    ("petgraph", &["plan"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("landlock", &["command"]),
    ("zip", &["sources"]),
    ("sha1", &["sources"]),
    ("sha2", &["sources"]),
    ("ureq", &["sources"]),
    ("comfy_table", &["report"]),
    ("tar", &["store"]),
    ("indicatif", &["report"]),
];

/// Words that only the command line may use outside tests: it alone prints, exits and reads the environment.
const CLI_ONLY: &[&str] = &["println!", "eprintln!", "process::exit", "env::var", "env::args", "env::current_dir"];

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&root).expect("below src");
                let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
                let room = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).expect("UTF-8 source");
                files.push((room, path, text));
            }
        }
    }
    assert!(files.len() > 30, "the walk found the sources");
    files
}

/// The code of a file without comments and without its trailing test module.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    body.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn floor(room: &str) -> u32 {
    let known = FLOORS.iter().find(|(name, _)| *name == room);
    known.unwrap_or_else(|| panic!("`{room}` is no room of the house: add it to FLOORS and ARCHITECTURE.md")).1
}

/// The rooms that `crate::…` paths of some code name.
fn imports(code: &str) -> Vec<String> {
    let names = |rest: &str| -> Vec<String> {
        let identifier = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default().split(',').map(identifier).collect(),
            None => vec![identifier(rest)],
        }
    };
    code.match_indices("crate::").flat_map(|(at, word)| names(&code[at + word.len()..])).collect()
}

#[test]
fn a_room_imports_only_lower_floors() {
    let mut wrong = Vec::new();
    for (room, path, text) in sources() {
        for import in imports(&code(&text)) {
            let known = FLOORS.iter().any(|(name, _)| *name == import);
            if known && import != room && floor(&import) >= floor(&room) && floor(&room) > 0 {
                wrong.push(format!("{} imports `{import}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn engine_and_plan_know_no_concrete_stage() {
    for (room, path, text) in sources() {
        if room == "engine" || room == "plan" {
            assert!(!imports(&code(&text)).contains(&"stages".to_owned()), "{}", path.display());
        }
    }
}

#[test]
fn confined_crates_stay_in_their_room() {
    let mut wrong = Vec::new();
    for (room, path, text) in sources() {
        let code = code(&text);
        for (name, rooms) in CONFINED {
            let used = [format!("use {name}::"), format!(" {name}::"), format!("({name}::")];
            if !rooms.contains(&room.as_str()) && used.iter().any(|pattern| code.contains(pattern)) {
                wrong.push(format!("{} uses `{name}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_command_line_prints_exits_and_reads_the_environment() {
    let mut wrong = Vec::new();
    for (room, path, text) in sources() {
        for word in CLI_ONLY.iter().filter(|_| room != "cli" && room != "main") {
            if code(&text).contains(word) {
                wrong.push(format!("{} uses `{word}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for (_, path, text) in sources() {
        assert!(text.starts_with("//!"), "{} opens without `//!`", path.display());
    }
}
