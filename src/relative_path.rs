//! Paths as manifests write them: relative to the project, `/`-separated, never out of it.
//!
//! Looks at the text alone; what symbolic links do about it is seen when a plan is made.

/// A path brought to its one spelling: no `.`, no doubled or trailing `/`.
///
/// # Errors
/// What was expected instead.
pub(crate) fn normalise(path: &str) -> Result<String, &'static str> {
    let drive = path.as_bytes().get(1) == Some(&b':') && path.starts_with(|letter: char| letter.is_ascii_alphabetic());
    if path.starts_with('/') || path.starts_with('~') || drive {
        return Err("a path relative to the project");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return Err("a path with `/` between its parts and no control characters");
    }
    if path.split('/').any(|part| part == "..") {
        return Err("a path inside the project, without `..`");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() { Err("a path below the project's folder") } else { Ok(parts.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling_and_stays_inside() {
        assert_eq!(normalise("./data//a b.jsonl"), Ok("data/a b.jsonl".to_owned()));
        assert_eq!(normalise("a/..b/c/"), Ok("a/..b/c".to_owned()));
        for bad in
            ["/etc/passwd", "~/x", "../x", "a/../../x", "a/..", "C:/x", "c:x", "a\\b", "a\0b", "", ".", "./", "a\nb"]
        {
            assert!(normalise(bad).is_err(), "{bad:?}");
        }
    }
}
