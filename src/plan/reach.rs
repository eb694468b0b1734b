//! What lies before and behind stages of a plan: for choosing what runs, and for saying what a change reaches.

use std::collections::BTreeSet;

use super::{Plan, StageId};
use crate::diagnostic::Diagnostic;

impl Plan {
    /// The stages that these names mean, as [`Plan::address`] takes them.
    ///
    /// # Errors
    /// A diagnostic for each name that means none.
    pub fn named(&self, names: &[impl AsRef<str>]) -> Result<BTreeSet<StageId>, Vec<Diagnostic>> {
        let (mut found, mut unknown) = (BTreeSet::new(), Vec::new());
        for name in names.iter().map(AsRef::as_ref) {
            match self.address(name) {
                Ok(ids) => found.extend(ids),
                Err(diagnostic) => unknown.push(*diagnostic),
            }
        }
        if unknown.is_empty() { Ok(found) } else { Err(unknown) }
    }

    /// All stages that these read from, directly or through others; these themselves only where one reads from another.
    #[must_use]
    pub fn before(&self, stages: &BTreeSet<StageId>) -> BTreeSet<StageId> {
        let mut reached = BTreeSet::new();
        // Who reads comes after what is read, so one pass from the end reaches everything.
        for id in self.order().iter().rev() {
            if stages.contains(id) || reached.contains(id) {
                reached.extend(self.upstream(*id));
            }
        }
        reached
    }

    /// All stages that read from these, directly or through others; these themselves only where one reads from another.
    #[must_use]
    pub fn behind(&self, stages: &BTreeSet<StageId>) -> BTreeSet<StageId> {
        let mut reached = BTreeSet::new();
        for id in self.order() {
            if stages.contains(id) || reached.contains(id) {
                reached.extend(self.downstream(*id));
            }
        }
        reached
    }
}
