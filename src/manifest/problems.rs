//! Collects what is wrong with a text, all of it up to a bound, so that a hostile manifest costs no more than an
//! honest one.

use std::collections::HashSet;

use super::tree::excerpt;
use crate::diagnostic::{Diagnostic, SourceText, Span};

/// More than anybody reads; what comes after is counted, not described.
const MOST: usize = 100;

/// The diagnostics about one manifest.
#[derive(Debug, Clone)]
pub(crate) struct Problems {
    source: SourceText,
    list: Vec<Diagnostic>,
    omitted: usize,
}

impl Problems {
    pub(crate) fn new(source: &SourceText) -> Self {
        Self { source: source.clone(), list: Vec::new(), omitted: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are, to see whether there are more later.
    pub(crate) fn count(&self) -> usize {
        self.list.len() + self.omitted
    }

    /// Takes over what was found; of `cells`, which are many stages at one place, each mistake once for a place.
    pub(crate) fn absorb(&mut self, found: Self, cells: bool) {
        let mut places = HashSet::new();
        self.omitted += if cells { 0 } else { found.omitted };
        for diagnostic in found.list {
            let place = (diagnostic.code, diagnostic.labels.first().map(|label| label.span));
            if places.insert(place) || !cells {
                self.add(|_| diagnostic);
            }
        }
    }

    /// The name of the text they point into.
    pub(crate) fn source_name(&self) -> &str {
        &self.source.name
    }

    /// What is written at a span, cut where it would drown a message.
    pub(crate) fn text(&self, span: Span) -> String {
        excerpt(self.source.text.get(span.offset..span.offset + span.length).unwrap_or_default())
    }

    /// Adds a diagnostic; it is not even made when there are too many.
    pub(crate) fn add(&mut self, make: impl FnOnce(&SourceText) -> Diagnostic) {
        if self.list.len() < MOST {
            self.list.push(make(&self.source));
        } else {
            self.omitted += 1;
        }
    }

    /// Adds an error about one place.
    pub(crate) fn error(&mut self, code: &'static str, span: Span, label: &str, message: impl FnOnce() -> String) {
        self.add(|source| Diagnostic::error(code, message()).at(source, span, label));
    }

    /// Adds an error about one place, with what to do about it.
    pub(crate) fn advise(
        &mut self,
        code: &'static str,
        span: Span,
        label: &str,
        message: impl FnOnce() -> String,
        help: &str,
    ) {
        self.add(|source| Diagnostic::error(code, message()).at(source, span, label).help(help));
    }

    /// All of them in the order of the text; those of other texts, such as `-p` on the command line, first.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        let place = |diagnostic: &Diagnostic| {
            let here = diagnostic.source.as_ref() == Some(&self.source);
            (here, diagnostic.labels.first().map_or(0, |label| label.span.offset))
        };
        self.list.sort_by_key(place);
        if self.omitted > 0 {
            self.list.push(Diagnostic::error("manifest::too_many", format!("and {} more errors", self.omitted)));
        }
        self.list
    }
}
