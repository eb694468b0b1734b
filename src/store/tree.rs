//! Listings of folders: canonical text whose digest is the folder's digest.
//!
//! ```text
//! pipe tree v1
//! <digest> <size in bytes> <path>
//! ```
//! One line a file, sorted bytewise by path, each line ending in a newline; `/` between the parts of a path. Only files
//! are listed: an empty folder leaves no trace (as in git), permissions and times neither. The listing of no files is
//! the header alone. Anything else is refused, so that a folder has exactly one listing and a hostile listing can't
//! reach outside the folder it is materialised in.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::digest::Digest;

pub(super) const HEADER: &str = "pipe tree v1\n";

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The path below the folder.
    pub path: String,
    /// The digest of the file's bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// The files of a folder, valid and sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    entries: Vec<TreeEntry>,
}

/// The text is no canonical listing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BadTree {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl Tree {
    /// A listing of these files, in any order.
    ///
    /// # Errors
    /// [`BadTree`] for a path that is absolute, climbs, has an empty part or control characters, is listed twice, or
    /// is a file and a folder at once.
    pub fn new(mut entries: Vec<TreeEntry>) -> Result<Self, BadTree> {
        entries.sort_unstable_by(|left, right| left.path.cmp(&right.path));
        let tree = Self { entries };
        tree.check()?;
        Ok(tree)
    }

    /// Reads a listing.
    ///
    /// # Errors
    /// [`BadTree`] for any text but the canonical one of a valid listing.
    pub fn parse(text: &[u8]) -> Result<Self, BadTree> {
        let bad = |line: usize, problem: &str| BadTree { line, problem: problem.to_owned() };
        let text = std::str::from_utf8(text).map_err(|_| bad(1, "not UTF-8"))?;
        let lines = text.strip_prefix(HEADER).ok_or_else(|| bad(1, "expected the header `pipe tree v1`"))?;
        if !lines.is_empty() && !lines.ends_with('\n') {
            return Err(bad(lines.lines().count() + 1, "expected a newline at the end"));
        }
        let mut entries = Vec::new();
        for (index, line) in lines.split_terminator('\n').enumerate() {
            let entry = parse_line(line).ok_or_else(|| bad(index + 2, "expected `<digest> <size> <path>`"))?;
            entries.push(entry);
        }
        let tree = Self { entries };
        tree.check()?;
        Ok(tree)
    }

    /// The canonical text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = HEADER.to_owned();
        for TreeEntry { path, digest, size } in &self.entries {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{digest} {size} {path}");
        }
        text
    }

    /// The digest of the canonical text: the folder's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_text().as_bytes())
    }

    /// The files, sorted bytewise by path.
    #[must_use]
    pub fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// The file at a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&TreeEntry> {
        let found = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
        self.entries.get(found)
    }

    /// The listing restricted to the files with these names at the folder's top; absent ones are left out, and `*.gguf` stands
    /// for all that end so.
    #[must_use]
    pub fn project(&self, names: &[&str]) -> Self {
        let is_named = |path: &str| {
            names.iter().any(|name| match name.strip_prefix('*') {
                Some(ending) => path.ends_with(ending) && !path.contains('/'),
                None => path == *name,
            })
        };
        Self { entries: self.entries.iter().filter(|entry| is_named(&entry.path)).cloned().collect() }
    }

    /// How many bytes all files have together.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.size))
    }

    fn check(&self) -> Result<(), BadTree> {
        let mut folders = BTreeSet::new();
        let mut previous: Option<&str> = None;
        for (index, entry) in self.entries.iter().enumerate() {
            let path = entry.path.as_str();
            let bad = |problem: String| BadTree { line: index + 2, problem };
            let shown = path.escape_debug();
            if path.starts_with('/') {
                return Err(bad(format!("path is `{shown}`; expected a relative one")));
            }
            path.split('/').try_for_each(check_component).map_err(&bad)?;
            match previous.map(|previous| previous.cmp(path)) {
                Some(std::cmp::Ordering::Equal) => return Err(bad(format!("`{shown}` is listed twice"))),
                Some(std::cmp::Ordering::Greater) => return Err(bad(format!("`{shown}` is not in bytewise order"))),
                _ => previous = Some(path),
            }
            folders.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
        }
        let clash = self.entries.iter().position(|entry| folders.contains(entry.path.as_str()));
        clash.map_or(Ok(()), |index| {
            let path = self.entries[index].path.escape_debug();
            Err(BadTree { line: index + 2, problem: format!("`{path}` is both a file and a folder") })
        })
    }
}

fn parse_line(line: &str) -> Option<TreeEntry> {
    let mut fields = line.splitn(3, ' ');
    let digest = fields.next()?.parse().ok()?;
    let digits = fields.next()?;
    let size: u64 = digits.parse().ok()?;
    let path = fields.next()?.to_owned();
    // Only one spelling of a number is canonical: neither `+1` nor `01`.
    (size.to_string() == digits).then_some(TreeEntry { path, digest, size })
}

/// Refuses a part of a path that is empty, climbs or could fool a terminal.
pub(super) fn check_component(name: &str) -> Result<(), String> {
    let shown = name.escape_debug();
    match name {
        "" => Err("a path with an empty part".to_owned()),
        "." | ".." => Err(format!("a path with the part `{name}`")),
        _ if name.contains('/') || name.chars().any(char::is_control) => {
            Err(format!("a path with control characters: `{shown}`"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> TreeEntry {
        TreeEntry { path: path.to_owned(), digest: Digest::of(path.as_bytes()), size: path.len() as u64 }
    }

    #[test]
    fn a_listing_has_one_text_and_reads_back() {
        let tree = Tree::new(vec![entry("b"), entry("a/é x.txt"), entry("a-1")]).unwrap();
        let paths: Vec<&str> = tree.entries().iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["a-1", "a/é x.txt", "b"]);
        assert_eq!(Tree::parse(tree.to_text().as_bytes()).unwrap(), tree);
        assert_eq!(Tree::default().to_text(), "pipe tree v1\n");
        assert_eq!(tree.get("a-1").unwrap().size, 3);
        assert!(tree.get("a").is_none());
    }

    #[test]
    fn the_published_vector_holds() {
        let tree =
            Tree::new(vec![TreeEntry { path: "config.json".into(), digest: Digest::of(b"{}"), size: 2 }]).unwrap();
        let line = format!("pipe tree v1\n{} 2 config.json\n", Digest::of(b"{}"));
        assert_eq!(tree.to_text(), line);
        assert_eq!(tree.digest(), Digest::of(line.as_bytes()));
    }

    #[test]
    fn a_projection_takes_names_at_the_top_only() {
        let tree = Tree::new(vec![entry("config.json"), entry("deep/config.json"), entry("w")]).unwrap();
        let part = tree.project(&["config.json", "absent"]);
        assert_eq!(part.entries(), [entry("config.json")]);
        assert_ne!(part.digest(), tree.digest());
        let tree = Tree::new(vec![entry("a.gguf"), entry("deep/b.gguf"), entry("gguf")]).unwrap();
        assert_eq!(tree.project(&["*.gguf"]).entries(), [entry("a.gguf")]);
    }

    #[test]
    fn every_hostile_or_uncanonical_listing_is_refused() {
        let good = Digest::of(b"");
        let cases: [(&str, &str); 18] = [
            ("../evil", "the part `..`"),
            ("a/../../evil", "the part `..`"),
            ("./a", "the part `.`"),
            ("/etc/passwd", "relative"),
            ("a//b", "empty part"),
            ("a/", "empty part"),
            ("", "empty part"),
            ("a\tb", "control"),
            ("a\u{1b}[2Jb", "control"),
            ("a\u{7f}", "control"),
            ("a\u{85}", "control"),
            ("a\0b", "control"),
            ("a\r", "control"),
            ("b\n{d} 1 a", "order"),
            ("a\n{d} 1 a", "twice"),
            ("a\n{d} 1 a-b\n{d} 1 a/b", "both a file and a folder"),
            ("a\n\n", "expected `<digest>"),
            ("a\n{d} 01 b", "expected `<digest>"),
        ];
        for (path, expected) in cases {
            let text = format!("pipe tree v1\n{good} 1 {}\n", path.replace("{d}", &good.to_hex()));
            let error = Tree::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{path:?}: {error}");
        }
        let huge = format!("pipe tree v1\n{good} 18446744073709551616 a\n");
        let torn = format!("pipe tree v1\n{good} 1 a");
        let upper = format!("pipe tree v1\n{} 1 a\n", good.to_hex().to_uppercase());
        for text in ["", "pipe tree v2\n", "pipe tree v1", "pipe tree v1\r\n", &huge, &torn, &upper] {
            assert!(Tree::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Tree::parse(b"pipe tree v1\n\xff\xfe").is_err());
    }
}
