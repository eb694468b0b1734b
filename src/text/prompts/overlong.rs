//! Shortens observations until a row fits.
//!
//! All observations share one cap in tokens, the largest that fits, so that the longest pay first. What is cut is marked
//! with `…`. Calls, answers, stop tokens, user and system texts are never touched.

use super::{Chat, RenderError, TokenRow};
use crate::text::loss_mask::LossMask;
use crate::text::record::Conversation;
use crate::text::tokenize::{Encoding, Tokenizer};

/// The row with the longest observations that fit into `max` tokens; `None` when even none would not.
///
/// # Errors
/// Those of rendering.
pub(super) fn truncate_observations(
    chat: &Chat,
    tokenizer: &Tokenizer,
    conversation: &Conversation,
    max: usize,
) -> Result<Option<(TokenRow, LossMask)>, RenderError> {
    let mut encodings = Vec::new();
    for observation in observations(&mut conversation.clone()) {
        encodings.push(tokenizer.encode(observation, false)?);
    }
    let longest = encodings.iter().map(|encoding| encoding.ids.len()).max().unwrap_or(0);
    let (mut fitting, mut too_long) = (None, longest);
    let mut low = 0;
    while low < too_long {
        let cap = low + (too_long - low) / 2;
        let mut shorter = conversation.clone();
        for (observation, encoding) in observations(&mut shorter).zip(&encodings) {
            cut(observation, encoding, cap);
        }
        let rendered = chat.row(tokenizer, &shorter)?;
        if rendered.0.input_ids.len() <= max {
            fitting = Some(rendered);
            low = cap + 1;
        } else {
            too_long = cap;
        }
    }
    Ok(fitting)
}

fn observations(conversation: &mut Conversation) -> impl Iterator<Item = &mut String> {
    let steps = conversation.turns.iter_mut().flat_map(|turn| &mut turn.steps);
    steps.flat_map(|step| &mut step.calls).filter_map(|call| call.observation.as_mut())
}

fn cut(observation: &mut String, encoding: &Encoding, cap: usize) {
    if encoding.ids.len() <= cap {
        return;
    }
    let end = cap.checked_sub(1).map_or(0, |last| encoding.offsets[last].1);
    observation.truncate(observation.floor_char_boundary(end));
    observation.push('…');
}
