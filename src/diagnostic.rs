//! Diagnostics: what is wrong in a text somebody wrote, where, and what would be right.
//!
//! Made by the rooms that read manifests and data, collected (all of them, not the first), rendered only in `cli/`.

use std::sync::Arc;

/// A message with its chain of causes, none of them told twice.
#[must_use]
pub fn with_causes(message: String, cause: Option<&(dyn std::error::Error + 'static)>) -> String {
    std::iter::successors(cause, |error| error.source()).fold(message, |text, error| {
        let told = error.to_string();
        if text.contains(&told) { text } else { format!("{text}: {told}") }
    })
}

/// A text that diagnostics point into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// The name shown before the line number, as the user gave it.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
}

impl SourceText {
    /// A named text.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The 1-based line and column (in characters) of a byte offset; an offset past the end means the end.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// A range of bytes in a source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Span {
    /// The first byte.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look; the work goes on.
    Warning,
    /// Nothing runs until it is mended.
    Error,
}

/// A place with a note on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// A few words beside the underline; may be empty.
    pub text: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable code such as `manifest::unknown_key`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found and what was expected, lower case, no full stop.
    pub message: String,
    /// The text it points into, when there is one.
    pub source: Option<SourceText>,
    /// The places, the first being the main one.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without a place.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), source: None, labels: Vec::new(), help: None }
    }

    /// A warning without a place.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Points at a place in a text; the first call gives the main place.
    #[must_use]
    pub fn at(mut self, source: &SourceText, span: Span, text: impl Into<String>) -> Self {
        self.source = Some(source.clone());
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Offers the nearest of some names, when one is near enough.
    #[must_use]
    pub fn nearest<'a>(self, found: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(found, names) {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// `file:line:column` of the main place.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        let (source, label) = (self.source.as_ref()?, self.labels.first()?);
        let (line, column) = source.position(label.span.offset);
        Some(format!("{}:{line}:{column}", source.name))
    }
}

/// The name nearest to what was found: at most a third of its letters (and at least two) may differ.
#[must_use]
pub fn nearest<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let reach = (found.chars().count() / 3).max(2);
    names
        .into_iter()
        .map(|name| (edit_distance(found, name), name))
        .filter(|(distance, name)| *distance <= reach && *distance < name.chars().count())
        .min()
        .map(|(_, name)| name)
}

/// The optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours each cost one.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(128).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut previous_char = None;
    for (row, left_char) in left.chars().take(128).enumerate() {
        let mut current = vec![row + 1];
        for (column, right_char) in right.iter().enumerate() {
            let replace = last[column] + usize::from(left_char != *right_char);
            let mut best = replace.min(last[column + 1] + 1).min(current[column] + 1);
            if column > 0 && previous_char == Some(*right_char) && right[column - 1] == left_char {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        previous_char = Some(left_char);
        before_last = std::mem::replace(&mut last, current);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        assert_eq!(nearest("lerning_rate", ["learning_rate", "lora_r"]), Some("learning_rate"));
        assert_eq!(nearest("evla", ["eval", "gate"]), Some("eval"));
        assert_eq!(nearest("zzz", ["eval", "gate"]), None);
    }

    #[test]
    fn positions_count_characters_and_survive_any_offset() {
        let source = SourceText::new("a.yaml", "é: 1\nb: 2");
        assert_eq!(source.position(3), (1, 3));
        assert_eq!(source.position(6), (2, 1));
        assert_eq!(source.position(1), (1, 1));
        assert_eq!(source.position(999), (2, 5));
    }
}
