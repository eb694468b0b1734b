//! Which tokens of a rendered conversation are trained on.
//!
//! An assistant's turn begins where its prompt ends (the messages before it, rendered with the generation prompt) and
//! ends with its stop token. Both are found by rendering prefixes: for each assistant message `i` the prompt must be a
//! prefix of the whole text, or what is trained would not be what is seen at inference. The turn's end is that of
//! `messages[..=i]` when that rendering is a prefix too; templates that render a last message otherwise than an
//! earlier one break that, and then the first stop token after the prompt ends the turn.
//!
//! Spans of bytes become tokens through the encoding's offsets; a token that straddles a border is not trained, and
//! counted.

use std::collections::BTreeSet;
use std::ops::Range;

use super::chat_template::{Session, TemplateError};
use super::tokenize::Encoding;

/// The template doesn't render prefixes of a conversation as prefixes of its text.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// The prompt of a message is no prefix of the conversation.
    #[error(
        "the chat template is not prefix-consistent at message `{message}`: the prompt before it is no prefix of the \
         whole conversation, so its tokens can't be told from the others"
    )]
    Prefix {
        /// The 0-based index of the assistant's message.
        message: usize,
    },
    /// No stop token follows an assistant's message.
    #[error("no stop token follows message `{message}`; expected the assistant's turn to end with one")]
    NoStop {
        /// The 0-based index of the assistant's message.
        message: usize,
    },
    /// A prefix doesn't render.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Where one assistant's turn stands in the rendered text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnSpan {
    /// The index of the message.
    pub message: usize,
    /// From the end of its prompt to the end of its rendering; whatever follows the stop token is still in.
    pub bytes: Range<usize>,
    /// Whether the end is that of the message, not yet cut at its first stop token.
    pub exact: bool,
}

/// Finds the turns of the assistant in the whole rendering.
///
/// # Errors
/// [`MaskError::Prefix`], [`MaskError::Template`].
pub fn turn_spans(session: &Session<'_>, assistants: &[usize], whole: &str) -> Result<Vec<TurnSpan>, MaskError> {
    let mut spans: Vec<TurnSpan> = Vec::with_capacity(assistants.len());
    for &message in assistants {
        let prompt = match message {
            0 => String::new(),
            count => session.render(count, true)?,
        };
        if !whole.starts_with(&prompt) || spans.last().is_some_and(|last| last.bytes.start > prompt.len()) {
            return Err(MaskError::Prefix { message });
        }
        let end = if message + 1 == session.len() { whole.len() } else { rendered_end(session, message, whole)? };
        let exact = end >= prompt.len();
        let bytes = prompt.len()..if exact { end } else { whole.len() };
        spans.push(TurnSpan { message, bytes, exact });
    }
    Ok(spans)
}

/// The end of a message's rendering in the whole, 0 when the two differ.
fn rendered_end(session: &Session<'_>, message: usize, whole: &str) -> Result<usize, MaskError> {
    let until = session.render(message + 1, false)?;
    Ok(if whole.starts_with(&until) { until.len() } else { 0 })
}

/// A mask over tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LossMask {
    /// For each token whether it is a target.
    pub targets: Vec<bool>,
    /// How many tokens straddle a border of a turn.
    pub straddling: usize,
    /// The stop token of each turn, in order.
    pub stops: Vec<u32>,
}

/// Maps turns to tokens. `is_control` tells tokens that can end a turn, `known_stops` those that do.
///
/// # Errors
/// [`MaskError::NoStop`].
pub fn loss_mask(
    text: &str,
    encoding: &Encoding,
    spans: &[TurnSpan],
    is_control: impl Fn(u32) -> bool,
    known_stops: &BTreeSet<u32>,
) -> Result<LossMask, MaskError> {
    let mut mask = LossMask { targets: vec![false; encoding.ids.len()], ..LossMask::default() };
    for span in spans {
        let first = encoding.offsets.partition_point(|(_, end)| *end <= span.bytes.start);
        let after = encoding.offsets.partition_point(|(start, _)| *start < span.bytes.end).max(first);
        let stop = if span.exact {
            last_control(text, encoding, first..after, span.bytes.end, &is_control)
        } else {
            (first..after).find(|at| known_stops.contains(&encoding.ids[*at]))
        };
        let stop = stop.ok_or(MaskError::NoStop { message: span.message })?;
        for at in first..=stop {
            let (start, end) = encoding.offsets[at];
            if start >= span.bytes.start && end <= span.bytes.end {
                mask.targets[at] = true;
            } else {
                mask.straddling += 1;
            }
        }
        mask.stops.push(encoding.ids[stop]);
    }
    Ok(mask)
}

/// The last control token of a range that only white space follows.
fn last_control(
    text: &str,
    encoding: &Encoding,
    range: Range<usize>,
    end: usize,
    is_control: &impl Fn(u32) -> bool,
) -> Option<usize> {
    let last = range.rev().find(|at| is_control(encoding.ids[*at]))?;
    let after = encoding.offsets[last].1.min(end);
    text.get(after..end)?.trim().is_empty().then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(tokens: &[(u32, usize, usize)]) -> Encoding {
        Encoding {
            ids: tokens.iter().map(|token| token.0).collect(),
            offsets: tokens.iter().map(|token| (token.1, token.2)).collect(),
        }
    }

    fn span(bytes: Range<usize>, exact: bool) -> TurnSpan {
        TurnSpan { message: 1, bytes, exact }
    }

    #[test]
    fn targets_go_up_to_the_stop_token_and_a_straddling_token_is_counted() {
        // "QA: yes|\n" with the turn from byte 3 (" yes|\n"), `|` being the stop token 9.
        let tokens = encoding(&[(1, 0, 2), (2, 2, 4), (3, 4, 7), (9, 7, 8), (4, 8, 9)]);
        let mask = loss_mask("QA: yes|\n", &tokens, &[span(3..9, true)], |id| id == 9, &BTreeSet::new());
        let mask = mask.expect("a mask");
        assert_eq!(mask.targets, [false, false, true, true, false]);
        assert_eq!((mask.straddling, mask.stops), (1, vec![9]));
    }

    #[test]
    fn without_an_exact_end_the_first_known_stop_ends_the_turn() {
        let tokens = encoding(&[(1, 0, 1), (9, 1, 2), (2, 2, 3), (9, 3, 4)]);
        let mask = loss_mask("a|b|", &tokens, &[span(0..4, false)], |_| false, &BTreeSet::from([9])).expect("a mask");
        assert_eq!(mask.targets, [true, true, false, false]);
    }

    #[test]
    fn text_after_the_last_control_token_is_no_stop() {
        let tokens = encoding(&[(9, 0, 1), (2, 1, 2)]);
        let mask = loss_mask("|b", &tokens, &[span(0..2, true)], |id| id == 9, &BTreeSet::new());
        assert!(matches!(mask, Err(MaskError::NoStop { message: 1 })));
    }
}
