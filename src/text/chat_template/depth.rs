//! Bounds how deep a template's syntax tree can get, before it is compiled.
//!
//! The compiler walks the tree by recursion. It limits brackets and blocks inside each other, but not chains:
//! `a.b.c…`, `1 + 1 + …`, `x | f | f…`, `not not …` and `elif` after `elif` nest one level a link, so that a template of some
//! hundred kilobytes would overflow the stack, which ends the program. Templates in the wild have some tens of links.

use super::rewrite::{Quoting, closing, keyword, next_opening, raw_end};

/// The most links in one tag, and the most `elif` in a template.
const MAX_LINKS: usize = 1000;

/// The 1-based line of a tag that is too deep, if there is one.
pub(super) fn too_deep(source: &str) -> Option<usize> {
    let (mut rest, mut branches) = (source, 0);
    while let Some((_, opening)) = next_opening(rest) {
        let close = match &opening[..2] {
            "{#" => opening.find("#}").map(|at| at + 2),
            "{{" => closing(opening, "}}"),
            _ => closing(opening, "%}"),
        };
        // An unclosed tag is parsed too, before it is refused.
        let (tag, after) = opening.split_at(close.unwrap_or(opening.len()));
        rest = after;
        if tag.starts_with("{#") {
            continue;
        }
        let word = keyword(tag);
        branches += usize::from(word == "elif");
        if branches > MAX_LINKS || links(tag) > MAX_LINKS {
            let before = &source[..source.len() - opening.len()];
            return Some(before.matches('\n').count() + 1);
        }
        if word == "raw" && tag.starts_with("{%") {
            rest = &rest[raw_end(rest)..];
        }
    }
    None
}

/// How many operators, accesses, calls and filters a tag has at most; commas between the items of a list are none.
fn links(tag: &str) -> usize {
    let mut quoting = Quoting::default();
    let (mut links, mut word) = (0, String::new());
    for letter in tag.chars() {
        let is_text = quoting.inside(letter);
        if !is_text && (letter.is_ascii_alphanumeric() || letter == '_') {
            // Longer words are names.
            if word.len() < 8 {
                word.push(letter);
            }
            continue;
        }
        links += usize::from(matches!(word.as_str(), "not" | "and" | "or" | "in" | "is" | "if" | "else"));
        word.clear();
        links += usize::from(
            !is_text && matches!(letter, '.' | '|' | '[' | '(' | '+' | '-' | '*' | '/' | '%' | '~' | '<' | '>' | '='),
        );
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_bounded_and_long_texts_and_lists_are_not() {
        let repeat = |part: &str, times: usize| part.repeat(times);
        for part in [".a", "|f", " + 1", " ~ 'a'", "[0]", " and x", " if x else y"] {
            assert_eq!(too_deep(&format!("\n{{{{ x{} }}}}", repeat(part, 1001))), Some(2), "{part}");
            assert_eq!(too_deep(&format!("{{{{ x{} }}}}", repeat(part, 400))), None, "{part}");
        }
        assert_eq!(too_deep(&format!("{{{{ {}x", repeat("not ", 1001))), Some(1), "unclosed");
        assert_eq!(too_deep(&repeat("{% elif x %}\n", 1001)), Some(1001));
        assert_eq!(too_deep(&repeat("{{ x.y }}", 5000)), None);
        assert_eq!(too_deep(&format!("{{{{ [{}] }}}}", repeat("'a.b', ", 5000))), None);
        assert_eq!(too_deep(&format!("{{{{ '{}' }}}}", repeat("a. (b) + ", 5000))), None);
        assert_eq!(too_deep(&format!("{{# {} #}}{}", repeat("+", 5000), repeat("a + b. ", 5000))), None);
        assert_eq!(too_deep(&format!("{{% raw %}}{{{{ {} }}}}{{% endraw %}}", repeat("+", 5000))), None);
    }
}
