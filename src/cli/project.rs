//! Where the project and its cache are. One of the few places that read the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::sources::HubSettings;

/// The environment variable that moves the cache.
const CACHE_VARIABLE: &str = "PIPE_CACHE";
/// The variable by which a shell asks what could come next on a command line.
pub const COMPLETE_VARIABLE: &str = "PIPE_COMPLETE";
/// Every variable of its own that this program or its tests read.
pub const VARIABLES: [&str; 3] = [CACHE_VARIABLE, COMPLETE_VARIABLE, "PIPE_TEST_MODELS"];
/// The hub that is meant when `HF_ENDPOINT` names no other.
const HUB: &str = "https://huggingface.co";

/// The project a manifest belongs to: the parent of its `pipelines` folder; else the nearest folder above it with a
/// `.git`; else its own folder. Paths in the manifest are relative to it.
#[must_use]
pub fn root_of(manifest: &Path) -> PathBuf {
    let absolute = std::path::absolute(manifest).unwrap_or_else(|_| manifest.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let above = |name: &str| folder.ancestors().find(|above| above.file_name().is_some_and(|last| last == name));
    let repository = || folder.ancestors().find(|above| above.join(".git").exists());
    above("pipelines").and_then(Path::parent).or_else(repository).unwrap_or(folder).to_owned()
}

/// The project of the current folder, for verbs without a manifest.
#[must_use]
pub fn current_root() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let root = here.ancestors().find(|above| above.join("pipelines").is_dir() || above.join(".git").exists());
    root.unwrap_or(&here).to_owned()
}

/// The cache folder: the flag, else the variable, else `cache` in the project.
#[must_use]
pub fn cache_folder(flag: Option<&Path>, root: &Path) -> PathBuf {
    let variable = || std::env::var_os(CACHE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    absolute(flag.map(Path::to_owned).or_else(variable).unwrap_or_else(|| root.join("cache")))
}

/// The same path from the root on: what is kept there outlives the current folder.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// A variable of the environment that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The folder of Python's `huggingface_hub`: `HF_HOME`, else `huggingface` in the user's cache.
#[must_use]
pub fn hub_home() -> PathBuf {
    let home = variable("HF_HOME").map(PathBuf::from).or_else(|| {
        let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
        Some(cache.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))?.join("huggingface"))
    });
    home.unwrap_or_else(|| PathBuf::from(".huggingface"))
}

/// How the hub is reached: the variables that Python's `huggingface_hub` reads.
#[must_use]
pub fn hub() -> HubSettings {
    let home = hub_home();
    let stored = || std::fs::read_to_string(home.join("token")).ok().filter(|token| !token.trim().is_empty());
    let is_on = |value: String| matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE");
    HubSettings {
        endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned()).trim_end_matches('/').to_owned(),
        token: variable("HF_TOKEN").or_else(stored).map(|token| token.trim().to_owned()),
        cache: absolute(variable("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from)),
        offline: variable("HF_HUB_OFFLINE").is_some_and(is_on),
    }
}

/// The variables that begin with `PIPE_`, by name: those that this program reads with their values, the others, which may
/// hold anything, without.
#[must_use]
pub fn own_variables() -> BTreeMap<String, Option<String>> {
    let names = std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value));
    let own = names.filter(|(name, _)| name.starts_with("PIPE_"));
    own.map(|(name, value)| {
        let shown = VARIABLES.contains(&name.as_str()).then(|| value.to_string_lossy().into_owned());
        (name, shown)
    })
    .collect()
}

/// A path as the user would write it: relative to the current folder where it lies below it.
#[must_use]
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_the_pipelines_folder_is_the_project() {
        assert_eq!(root_of(Path::new("/a/b/pipelines/x.yaml")), Path::new("/a/b"));
        assert_eq!(root_of(Path::new("/a/b/pipelines/team/x.yaml")), Path::new("/a/b"));
        assert_eq!(root_of(Path::new("/no-such-folder/b/x.yaml")), Path::new("/no-such-folder/b"));
    }
}
