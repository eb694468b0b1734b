//! Tokens that are looked for in a text before anything else, where llama.cpp finds them as the `tokenizers` library does.
//!
//! The library takes the leftmost and among those the longest (`AddedVocabulary`), llama.cpp all places of the longest token, then
//! of the next (`tokenizer_st_partition`). That is the same if no token begins with the end of another: places in a text are then
//! apart or inside of each other, and both take the outer one. Runs of one letter may overlap: both take the longest ones first.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::NoSpec;
use super::sentencepiece::SPACE;

/// A token as `tokenizer.json` lists it.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the form of the file")]
pub(super) struct Added {
    pub(super) id: usize,
    pub(super) content: String,
    #[serde(default)]
    pub(super) special: bool,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    /// Whether it is looked for in normalised text.
    #[serde(default)]
    normalized: bool,
}

impl Added {
    /// Whether it is found before texts are merged. The spelling of spaces stands in no text, so what has it is merged, as it is
    /// in the library unless a text has that very letter.
    pub(super) fn is_found_first(&self) -> bool {
        self.special || !self.content.contains(SPACE)
    }
}

/// The added tokens. `space_first` says whether texts are normalised by a space before them.
///
/// # Errors
/// llama.cpp would not find one, or not in the same places.
pub(super) fn added_tokens(json: &Value, space_first: bool) -> Result<Vec<Added>, NoSpec> {
    let listed = json.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    let tokens: Vec<Added> = listed.filter_map(|token| Added::deserialize(token).ok()).collect();
    let refused = |token: &Added, expected: &str| NoSpec::unsupported("the added token", &token.content, expected);
    let found: Vec<&Added> = tokens.iter().filter(|token| token.is_found_first()).collect();
    for token in &found {
        if token.single_word || token.lstrip || token.rstrip {
            return Err(refused(token, "no `single_word`, `lstrip` or `rstrip`"));
        }
        let changes = space_first || token.content.contains(' ');
        let holds = |other: &&Added| !other.normalized && token.content.contains(&other.content);
        if token.normalized && (changes || found.iter().copied().any(|other| holds(&other))) {
            return Err(refused(token, "one that is looked for before texts are normalised"));
        }
    }
    let contents: BTreeSet<&str> = found.iter().map(|token| token.content.as_str()).collect();
    for token in found {
        if let Some(other) = begun_by_the_end(&token.content, &contents) {
            return Err(refused(token, &format!("its end not to begin another, `{other}`")));
        }
    }
    Ok(tokens)
}

/// Another token that begins with the end of this one, unless both are runs of one letter.
fn begun_by_the_end<'a>(token: &str, all: &BTreeSet<&'a str>) -> Option<&'a str> {
    let is_run = |text: &str| text.chars().all(|letter| text.starts_with(letter));
    let ends = token.char_indices().skip(1).map(|(at, _)| &token[at..]);
    let begun = |end: &str| {
        let range = (std::ops::Bound::Excluded(end), std::ops::Bound::Unbounded);
        let mut others = all.range::<str, _>(range).take_while(|other| other.starts_with(end));
        others.find(|other| **other != token && !(is_run(token) && is_run(other))).copied()
    };
    ends.into_iter().find_map(begun)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(contents: &[&str]) -> Result<usize, String> {
        let listed: Vec<Value> = contents.iter().map(|content| json!({ "id": 0, "content": content })).collect();
        added_tokens(&json!({ "added_tokens": listed }), false).map(|tokens| tokens.len()).map_err(|no| no.to_string())
    }

    #[test]
    fn tokens_that_overlap_are_refused_unless_they_are_runs() {
        assert_eq!(check(&["<s>", "</s>", "[INST]", "[/INST]", "<|im_start|>", "<|im"]), Ok(6));
        assert_eq!(check(&["\n", "\n\n", "\n\n\n", "aba"]), Ok(4));
        assert!(check(&["ab", "bcd"]).is_err_and(|reason| reason.contains("its end not to begin another, `bcd`")));
        assert!(check(&["br>\n", "\n\n"]).is_err());
    }

    #[test]
    fn tokens_that_are_looked_for_otherwise_are_refused() {
        let check = |field: &str, space_first| {
            let listed = json!([{ "id": 0, "content": "<s>" }, { "id": 1, "content": "<<s>>", field: true }]);
            added_tokens(&json!({ "added_tokens": listed }), space_first).map_err(|no| no.to_string())
        };
        assert!(check("special", true).is_ok());
        for field in ["lstrip", "rstrip", "single_word"] {
            assert!(check(field, false).is_err_and(|reason| reason.contains("no `single_word`")), "{field}");
        }
        // Found after `<s>` was, which cuts it.
        assert!(check("normalized", false).is_err_and(|reason| reason.contains("before texts are normalised")));
    }
}
