//! Scores with which llama.cpp merges a text as a list of ranked merges does.
//!
//! The `tokenizers` library joins the neighbours whose pair has the lowest rank; llama.cpp (`llm_tokenizer_spm_session`), and
//! SentencePiece, those whose joined text is the token of the highest score; both the leftmost among equals.
//!
//! Why it is enough to look at the tokens themselves: as long as nothing was merged across the ends of a span, what happened
//! inside of it is what happens to the span's text alone, since choices inside do not depend on what is outside. So whatever
//! text a token is made in, its last merge is that of its own text alone, and joins the same two parts always. Other pairs with
//! the same result never come to be joined, and may be left out. If now for each token both ways end with the same two parts, or
//! neither makes the token, then both have the same pairs, one a token; and with scores in the order of those pairs' ranks they
//! choose the same pair each time, in every text.

use std::collections::HashMap;

/// The longest token, in letters, that is looked at; those of SentencePiece have 16 unless told otherwise.
pub(super) const MAX_LETTERS: usize = 128;

/// What merges a text.
pub(super) struct Merges<'a> {
    /// The ids of texts.
    pub(super) vocabulary: HashMap<&'a str, u32>,
    /// The ranks of pairs of ids.
    pub(super) ranks: HashMap<(u32, u32), u32>,
}

impl Merges<'_> {
    fn rank(&self, left: &str, right: &str) -> Option<u32> {
        let id = |text| self.vocabulary.get(text).copied();
        self.ranks.get(&(id(left)?, id(right)?)).copied()
    }
}

/// One score a token, no two alike. `is_merged` says of each whether a text comes to it by merging, and not before.
///
/// # Errors
/// The first token to which llama.cpp would come otherwise.
pub(super) fn scores(tokens: &[String], is_merged: &[bool], merges: &Merges) -> Result<Vec<f64>, usize> {
    let merged = || tokens.iter().enumerate().filter(|(id, _)| is_merged[*id]);
    let by_rank = |span: &str, cut: usize| merges.rank(&span[..cut], &span[cut..]);
    let mut cuts = vec![None; tokens.len()];
    merged().for_each(|(id, token)| cuts[id] = last_cut(token, by_rank));
    let mut order: Vec<usize> = (0..tokens.len()).collect();
    // What is made by no merge comes last.
    order.sort_by_key(|id| cuts[*id].and_then(|cut| by_rank(&tokens[*id], cut)).unwrap_or(u32::MAX));
    let mut places = vec![0_u32; tokens.len()];
    (0..).zip(&order).for_each(|(place, id)| places[*id] = place);
    let known: HashMap<&str, u32> = merged().map(|(id, token)| (token.as_str(), places[id])).collect();
    let by_score = |span: &str, _| known.get(span).copied();
    match merged().find(|(id, token)| last_cut(token, by_score) != cuts[*id]) {
        Some((id, _)) => Err(id),
        None => Ok(places.into_iter().map(|place| -f64::from(place)).collect()),
    }
}

/// Merges a text, the least `rank` of a joined span and the place of its cut first, and the leftmost among equals: the place of
/// the last cut, if one token is left.
fn last_cut(text: &str, rank: impl Fn(&str, usize) -> Option<u32>) -> Option<usize> {
    let mut borders: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut last = None;
    while borders.len() > 2 {
        let ranked = borders.windows(3).enumerate().filter_map(|(at, span)| {
            let (start, cut, end) = (span[0], span[1], span[2]);
            Some((rank(&text[start..end], cut - start)?, at))
        });
        let (_, at) = ranked.min()?;
        last = Some(borders.remove(at + 1));
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens of the letters a to d and of the merges, with the merges' ranks in order.
    fn check(merges: &[(&str, &str)], more: &[&str]) -> Result<Vec<String>, String> {
        let mut tokens: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let joined = merges.iter().map(|(left, right)| format!("{left}{right}"));
        for token in joined.chain(more.iter().map(|token| (*token).to_owned())) {
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        let vocabulary: HashMap<&str, u32> = tokens.iter().map(String::as_str).zip(0..).collect();
        let id = |text: &str| vocabulary[text];
        let ranks = merges.iter().map(|(left, right)| (id(left), id(right))).zip(0..).collect();
        let merges = Merges { vocabulary: vocabulary.clone(), ranks };
        let scores = scores(&tokens, &vec![true; tokens.len()], &merges).map_err(|id| tokens[id].clone())?;
        let mut order: Vec<usize> = (4..tokens.len()).collect();
        order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
        Ok(order.into_iter().map(|id| tokens[id].clone()).collect())
    }

    #[test]
    fn scores_follow_the_merges_that_are_ever_made() {
        let expected = |tokens: &[&str]| Ok(tokens.iter().map(|token| (*token).to_owned()).collect());
        assert_eq!(check(&[("b", "c"), ("a", "b"), ("ab", "c"), ("a", "bc")], &[]), expected(&["bc", "ab", "abc"]));
        // `ab` + `c` ranks before all others and is never made, since `b` + `c` comes before `a` + `b`.
        assert_eq!(check(&[("ab", "c"), ("b", "c"), ("a", "b"), ("a", "bc")], &[]), expected(&["bc", "ab", "abc"]));
        // Runs, in the order of transformers.
        let runs = [("a", "a"), ("aa", "a"), ("a", "aa"), ("aa", "aa")];
        assert_eq!(check(&runs, &[]), expected(&["aa", "aaa", "aaaa"]));
    }

    #[test]
    fn merges_that_no_scores_express_are_refused() {
        // `abc` has only the merge of a pair that never meets; by scores it would be made of `a` and `bc`.
        assert_eq!(check(&[("b", "c"), ("a", "b"), ("ab", "c")], &[]), Err("abc".to_owned()));
        // A token without any merge, whose parts are neighbours in the end.
        assert_eq!(check(&[("a", "b")], &["abd"]), Err("abd".to_owned()));
        // A token with a letter that is none is never made here, though llama.cpp would make it.
        assert_eq!(check(&[("a", "b")], &["xy"]), Err("xy".to_owned()));
        // A token whose parts are never neighbours is harmless.
        assert!(check(&[("a", "b")], &["acbd"]).is_ok());
    }
}
