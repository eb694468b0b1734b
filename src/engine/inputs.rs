//! Inputs of the manifest, kept in the store, so that an experiment can be done again from there alone.

use crate::engine::EngineError;
use crate::plan::Plan;
use crate::store::Store;

/// Copies inputs into the store before the first stage reads them. What is there already is not read again.
///
/// # Errors
/// [`EngineError::InputChanged`] when an input is no longer what was planned; the store's.
pub fn keep_inputs(plan: &Plan, store: &Store) -> Result<(), EngineError> {
    for input in plan.inputs() {
        // Before the look, so that what is seen can't be collected afterwards.
        store.renew(input.content)?;
        if store.check(input.content)?.is_none() {
            continue;
        }
        // An input that is known by a pinned digest alone is not here to be kept.
        let kept = input.path.as_deref().map(|path| store.snapshot(path)).transpose()?;
        if kept != Some(input.content) {
            return Err(EngineError::InputChanged { input: input.name.to_string() });
        }
    }
    Ok(())
}
