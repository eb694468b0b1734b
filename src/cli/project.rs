//! Where the project and its cache are. One of the few places that read the environment.

use std::path::{Path, PathBuf};

/// The environment variable that moves the cache.
const CACHE_VARIABLE: &str = "PIPE_CACHE";

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
    flag.map(Path::to_owned).or_else(variable).unwrap_or_else(|| root.join("cache"))
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
