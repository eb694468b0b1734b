//! Reads a map key by key, and complains about the keys nobody asked for.

use super::problems::Problems;
use super::tree::{Entry, Node, Spanned, Yaml, excerpt};
use crate::diagnostic::{Diagnostic, Span, nearest};

/// The entries of a map that are not read yet.
pub(super) struct Fields {
    /// What the map is, for messages: "the manifest", "stage `train`".
    owner: String,
    span: Span,
    entries: Vec<Option<Entry>>,
    asked: Vec<&'static str>,
    missing: Vec<Missing>,
}

/// A key that has to be there and is not.
struct Missing {
    key: &'static str,
    help: String,
}

impl Fields {
    /// The entries of a map; anything else is reported. Nothing at all is an empty map.
    pub(super) fn open(node: Node, owner: &str, problems: &mut Problems) -> Option<Self> {
        let found = node.describe();
        let entries = match node.value {
            Yaml::Map(entries) => entries,
            Yaml::Null => Vec::new(),
            Yaml::Invalid => return None,
            _ => {
                wrong_type(owner, &found, "a map", node.span, problems);
                return None;
            }
        };
        let entries = entries.into_iter().map(Some).collect();
        Some(Self { owner: owner.to_owned(), span: node.span, entries, asked: Vec::new(), missing: Vec::new() })
    }

    /// The entry of a known key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.asked.push(key);
        self.take_unasked(key)
    }

    /// The entry of a key, left where it is.
    pub(super) fn peek(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().flatten().find(|entry| entry.key.value == key)
    }

    /// The entry of a key that is not offered to whoever misspells another.
    pub(super) fn take_unasked(&mut self, key: &str) -> Option<Entry> {
        self.entries.iter_mut().find(|entry| entry.as_ref().is_some_and(|entry| entry.key.value == key))?.take()
    }

    /// The entry of a key that has to be there; `finish` reports it when it is not.
    pub(super) fn require(&mut self, key: &'static str, help: &str) -> Option<Entry> {
        let entry = self.take(key);
        if entry.is_none() {
            self.missing.push(Missing { key, help: help.to_owned() });
        }
        entry
    }

    /// The entries of a map whose keys are names given by the author.
    pub(super) fn all(self) -> impl Iterator<Item = Entry> {
        self.entries.into_iter().flatten()
    }

    /// Reports what is left, with the advice of `hint` or else the nearest of the known keys, and what is missing,
    /// unless a key that is left was meant to be it.
    pub(super) fn finish(mut self, problems: &mut Problems, hint: impl Fn(&str) -> Option<String>) {
        for entry in self.entries.into_iter().flatten() {
            let key = &entry.key;
            problems.add(|source| {
                let message = format!("{} has no key `{}`", self.owner, excerpt(&key.value));
                let near = nearest(&key.value, self.asked.iter().copied());
                self.missing.retain(|missing| Some(missing.key) != near);
                let help = hint(&key.value)
                    .or_else(|| near.map(|name| format!("did you mean `{name}`?")))
                    .unwrap_or_else(|| format!("expected {}", quoted(&self.asked)));
                Diagnostic::error("manifest::unknown_key", message).at(source, key.span, "").help(help)
            });
        }
        let start = Span { offset: self.span.offset, length: 0 };
        for Missing { key, help } in &self.missing {
            problems.advise("manifest::missing_key", start, "", || format!("{} lacks `{key}`", self.owner), help);
        }
    }
}

/// A list of names in backticks.
pub(super) fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Reports a value of the wrong type.
pub(super) fn wrong_type(what: &str, found: &str, expected: &str, span: Span, problems: &mut Problems) {
    problems.error("manifest::wrong_type", span, "", || format!("{what} is {found}; expected {expected}"));
}

/// A text; `${…}` in it is reported, for only settings are filled in.
pub(super) fn text(node: &Node, what: &str, problems: &mut Problems) -> Option<Spanned<String>> {
    let Yaml::Text(text) = &node.value else {
        if node.value != Yaml::Invalid {
            wrong_type(what, &node.describe(), "a text", node.span, problems);
        }
        return None;
    };
    if text.contains("${") {
        problems.advise(
            "manifest::misplaced_interpolation",
            node.span,
            "",
            || format!("{what} is `{}`; expected a plain text", excerpt(text)),
            "`${…}` is filled in only in settings, under `with`",
        );
        return None;
    }
    Some(Spanned::new(text.clone(), node.span))
}
