//! The place a command runs in: beside its inputs, a folder of links to its tools, one for scratch, and the one it starts
//! in, which takes its outputs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::argv;
use super::settings::RunSettings;
use crate::command::Order;
use crate::stage::{StageContext, StageError};

/// The folders of one command.
pub(super) struct Place {
    root: PathBuf,
    bin: PathBuf,
    scratch: PathBuf,
}

impl Place {
    /// Makes them, beside the folder of the outputs.
    pub(super) fn prepare(context: &StageContext<'_>) -> Result<Self, StageError> {
        let root = context.output_folder.parent().unwrap_or(&context.output_folder).to_owned();
        let place = Self { bin: root.join("bin"), scratch: root.join("scratch"), root };
        for folder in [&place.bin, &place.scratch] {
            fs::create_dir(folder).map_err(|error| StageError::io(folder, &error))?;
        }
        for (name, tool) in &context.surroundings.tools {
            let link = place.bin.join(name);
            symlink(&tool.path, &link).map_err(|error| StageError::io(&link, &error))?;
        }
        Ok(place)
    }

    /// A folder beside the outputs that the command can't reach.
    pub(super) fn apart(&self, name: &str) -> Result<PathBuf, StageError> {
        let folder = self.root.join(name);
        fs::create_dir(&folder).map_err(|error| StageError::io(&folder, &error))?;
        Ok(folder)
    }

    /// What to start here.
    pub(super) fn order(&self, config: &RunSettings, context: &StageContext<'_>) -> Result<Order, StageError> {
        let mut words = Vec::new();
        for word in &config.run {
            let inputs = |name: &str| context.inputs(name).iter().map(|input| self.shown(&input.path)).collect();
            let output = |slot: &str| RunSettings::path_of(slot, &config.out[slot]).to_owned();
            words.extend(argv::fill(word, inputs, output).map_err(|name| {
                let message = format!("`{word}` holds `{{in.{name}}}`, which is several files; expected it alone");
                StageError::failed(message)
            })?);
        }
        let program = words.remove(0);
        let tools = &context.surroundings.tools;
        let program = tools.get(&program).map(|tool| tool.path.clone()).ok_or_else(|| {
            StageError::failed(format!("the program `{program}` was not looked for when the plan was made"))
        })?;
        let mut reads = vec![self.bin.clone(), self.root.join("in")];
        for tool in tools.values() {
            reads.push(tool.path.clone());
            reads.extend(tool.folders.iter().cloned());
        }
        for input in context.inputs.values().flatten() {
            readable(&input.path, &mut reads).map_err(|error| StageError::io(&input.path, &error))?;
        }
        Ok(Order {
            program,
            arguments: words,
            environment: self.environment(config, context),
            folder: context.output_folder.clone(),
            reads,
            writes: vec![context.output_folder.clone(), self.scratch.clone()],
            status: self.root.join("status.json"),
        })
    }

    fn environment(&self, config: &RunSettings, context: &StageContext<'_>) -> BTreeMap<String, String> {
        let taken = context.surroundings.variables.iter().chain(&context.surroundings.secrets);
        let taken = taken.map(|(name, value)| (name.clone(), value.reveal().to_owned()));
        let given = config.env.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        let made = [("PATH", &self.bin), ("TMPDIR", &self.scratch)];
        let made = made.map(|(name, folder)| (name.to_owned(), folder.to_string_lossy().into_owned()));
        taken.chain(given).chain(made).collect()
    }

    /// A path as the command is told it: from the folder it starts in, so that it is the same in every run.
    fn shown(&self, path: &Path) -> String {
        match path.strip_prefix(&self.root) {
            Ok(below) => Path::new("..").join(below).to_string_lossy().into_owned(),
            Err(_) => path.to_string_lossy().into_owned(),
        }
    }
}

/// An input with everything that links in it lead to: large inputs are links to where they lie.
fn readable(path: &Path, reads: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        reads.push(path.canonicalize()?);
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() || kind.is_symlink() {
                readable(&entry.path(), reads)?;
            }
        }
    }
    reads.push(path.to_owned());
    Ok(())
}
