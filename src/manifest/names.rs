//! Names of the things a manifest declares.

use super::problems::Problems;
use super::tree::{Spanned, excerpt};
use crate::diagnostic::Diagnostic;
use crate::reference::Name;

/// A name of any sort: inputs and params may use `_`.
pub(super) fn any(key: &Spanned<String>, what: &str, problems: &mut Problems) -> Option<Spanned<Name>> {
    match key.value.parse::<Name>() {
        Ok(name) => Some(Spanned::new(name, key.span)),
        Err(error) => {
            problems.add(|source| {
                let message = format!("the {what} name is `{}`; expected {}", excerpt(&key.value), error.expected);
                with_proposal(Diagnostic::error("manifest::bad_name", message).at(source, key.span, ""), &key.value)
            });
            None
        }
    }
}

/// A kebab-case name: of the manifest and its stages. One that is only not kebab-case is reported and kept, so that
/// what refers to it is not reported too.
pub(super) fn kebab(key: &Spanned<String>, what: &str, problems: &mut Problems) -> Option<Spanned<Name>> {
    let name = any(key, what, problems)?;
    if key.value.contains('_') {
        problems.add(|source| {
            let message = format!("the {what} name is `{}`; expected `-` between words", key.value);
            with_proposal(Diagnostic::error("manifest::bad_name", message).at(source, key.span, ""), &key.value)
        });
    }
    Some(name)
}

fn with_proposal(diagnostic: Diagnostic, found: &str) -> Diagnostic {
    let proposal = found.trim().to_ascii_lowercase().replace(['_', ' ', '.'], "-");
    match proposal.parse::<Name>() {
        Ok(name) => diagnostic.help(format!("did you mean `{name}`?")),
        Err(_) => diagnostic,
    }
}
