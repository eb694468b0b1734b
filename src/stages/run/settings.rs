//! What a `run:` stage says, and what can be wrong with it before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::argv::{self, Part};
use super::forms;
use crate::artifact::ArtifactKind;
use crate::diagnostic::nearest;
use crate::reference::Name;
use crate::relative_path;
use crate::stage::ConfigIssue;

/// The keys of a `run:` stage. They stand in the stage itself, not under `with`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// The command and its arguments, each a text of its own; no shell reads them. `{in.NAME}` and `{out.SLOT}` become
    /// paths. The command itself is one of the tools.
    #[schemars(with = "Vec<forms::Scalar>", length(min = 1))]
    #[serde(deserialize_with = "forms::words")]
    pub run: Vec<String>,
    /// The names under `in`, which are the stage's own.
    #[serde(default, rename = "in")]
    #[schemars(skip)]
    pub inputs: BTreeSet<String>,
    /// What the command writes: slot to artifact kind, or to `{ path, kind }`. Without a kind it is a `file`, without a
    /// path it lies at the slot's name.
    #[serde(default)]
    pub out: BTreeMap<String, Output>,
    /// The environment: names whose values are taken from that of `pipe` and enter the key, or a map of names to values.
    #[schemars(with = "forms::Env")]
    #[serde(default, deserialize_with = "forms::env")]
    pub env: BTreeMap<String, Option<String>>,
    /// Names of variables that are handed over while their values enter neither key, record nor log: whatever they are,
    /// the stored result is taken for right.
    #[serde(default)]
    pub secrets: BTreeSet<String>,
    /// Further programs that the command starts; the digest of each one's file enters the key, that of its libraries
    /// does not.
    #[serde(default)]
    pub tools: BTreeSet<String>,
}

/// What the command writes at one slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Where, below the folder it starts in; at the slot's name unless given.
    pub path: Option<String>,
    /// What it is.
    pub kind: ArtifactKind,
}

/// Variables that are made here.
const MADE: [&str; 2] = ["PATH", "TMPDIR"];

impl RunSettings {
    /// The program, the first word of the command.
    pub(super) fn program(&self) -> Option<&String> {
        self.run.first()
    }

    /// Where an output is written, relative to the folder the command starts in.
    pub(super) fn path_of<'a>(slot: &'a str, output: &'a Output) -> &'a str {
        output.path.as_deref().unwrap_or(slot)
    }

    pub(super) fn issues(&self) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        self.check_command(&mut issues);
        self.check_names(&mut issues);
        self.check_paths(&mut issues);
        self.check_environment(&mut issues);
        issues
    }

    fn check_command(&self, issues: &mut Vec<ConfigIssue>) {
        if self.run.is_empty() {
            issues.push(ConfigIssue::invalid("run", "run is empty; expected a program and its arguments"));
        }
        let tools = self.tools.iter().map(|tool| (vec!["tools".to_owned()], tool));
        for (path, tool) in self.program().map(|tool| (at("run", "0"), tool)).into_iter().chain(tools) {
            if tool.is_empty() || tool.starts_with('.') || tool.contains(['/', '{', '\0']) {
                let message = format!("the program is `{tool}`; expected a name that is on the search path");
                let help = "to run a script of the project, name it under `inputs` and hand it to its interpreter: \
                            `[python3, \"{in.script}\"]`";
                issues.push(invalid(path, message).help(help));
            }
        }
        for (index, word) in self.run.iter().enumerate() {
            let place = || at("run", &index.to_string());
            if word.contains('\0') {
                issues.push(invalid(place(), "the argument holds a NUL byte; expected none".to_owned()));
            }
            for part in argv::split(word) {
                issues.extend(self.unknown(part).map(|(message, help)| invalid(place(), message).help(help)));
            }
        }
    }

    /// What is wrong with a placeholder, and what would be right.
    fn unknown(&self, part: Part<'_>) -> Option<(String, String)> {
        let (word, name, known): (_, _, Vec<&str>) = match part {
            Part::Literal(_) => return None,
            Part::Input(name) => ("in", name, self.inputs.iter().map(String::as_str).collect()),
            Part::Output(name) => ("out", name, self.out.keys().map(String::as_str).collect()),
        };
        if known.contains(&name) {
            return None;
        }
        let help = match nearest(name, known) {
            Some(near) => format!("did you mean `{{{word}.{near}}}`?"),
            None => format!("declare `{name}` under `{word}`"),
        };
        Some((format!("`{{{word}.{name}}}` names nothing under `{word}`"), help))
    }

    fn check_names(&self, issues: &mut Vec<ConfigIssue>) {
        let inputs = self.inputs.iter().map(|name| ("in", name));
        for (field, name) in inputs.chain(self.out.keys().map(|name| ("out", name))) {
            if let Err(error) = name.parse::<Name>() {
                let message = format!("the name under `{field}` is `{}`; expected {}", error.found, error.expected);
                issues.push(invalid(at(field, name), message));
            }
        }
    }

    fn check_paths(&self, issues: &mut Vec<ConfigIssue>) {
        let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
        for (slot, output) in &self.out {
            let path = Self::path_of(slot, output);
            if relative_path::normalise(path).ok().as_deref() != Some(path) {
                let message = format!("the path of `{slot}` is `{path}`; expected one below the folder of the command");
                issues.push(invalid(at("out", slot), message));
                continue;
            }
            let holds = |one: &str, other: &str| one == other || other.starts_with(&format!("{one}/"));
            if let Some((_, other)) = taken.iter().find(|(other, _)| holds(other, path) || holds(path, other)) {
                let message = format!("the path of `{slot}` is `{path}`; expected one apart from that of `{other}`");
                issues.push(invalid(at("out", slot), message));
            }
            taken.insert(path, slot);
        }
    }

    fn check_environment(&self, issues: &mut Vec<ConfigIssue>) {
        let names = self.env.keys().map(|name| ("env", name));
        for (field, name) in names.chain(self.secrets.iter().map(|name| ("secrets", name))) {
            if let Some((name, _)) = name.split_once('=') {
                let help = format!("write a map: `env: {{ {name}: … }}`");
                let message = format!("the variable is `{name}=…`; expected a name");
                issues.push(invalid(vec![field.to_owned()], message).help(help));
            } else if name.is_empty() || name.contains('\0') || MADE.contains(&name.as_str()) {
                let message = format!("the variable is `{name}`; expected a name other than {}", MADE.join(", "));
                let help = "PATH holds the declared tools, TMPDIR a folder that goes with the stage";
                issues.push(invalid(vec![field.to_owned()], message).help(help));
            }
        }
        for name in self.secrets.iter().filter(|name| self.env.contains_key(*name)) {
            let message = format!("the variable `{name}` is under `env` and `secrets`; expected one of them");
            issues.push(invalid(vec!["secrets".to_owned()], message));
        }
        let values = self.env.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        for (name, _) in values.filter(|(_, value)| value.contains('\0')) {
            issues.push(invalid(at("env", name), format!("the value of `{name}` holds a NUL byte; expected none")));
        }
    }
}

fn at(field: &str, part: &str) -> Vec<String> {
    vec![field.to_owned(), part.to_owned()]
}

fn invalid(path: Vec<String>, message: String) -> ConfigIssue {
    ConfigIssue { path, code: "config::invalid_value", message, help: None }
}
