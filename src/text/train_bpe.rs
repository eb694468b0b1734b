//! Trains a byte-level BPE tokenizer and writes it as a Hugging Face folder.
//!
//! The 256 bytes are always in the vocabulary, so no text is unknown. Ids: special tokens, further added tokens, bytes,
//! then merges in the order they were made. Among equally frequent pairs the one with the smaller ids goes first, so the
//! same texts in any order give the same bytes; the trainer of the `tokenizers` library walks hash maps where that
//! can matter, so only its pre-tokenizers and file format are used here. Source: Sennrich et al., "Neural Machine Translation of Rare Words with
//! Subword Units"; Radford et al., "Language Models are Unsupervised Multitask Learners" (bytes).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

/// How many bytes there are.
const ALPHABET: usize = 256;

/// Whether digits may merge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DigitStyle {
    /// Every digit is a token of its own, so that numbers are spelled one way only.
    #[default]
    Single,
    /// Frequent numbers become tokens.
    Merged,
}

/// What to train.
#[derive(Debug, Clone)]
pub struct BpeOptions {
    /// The most tokens, special and added ones included.
    pub vocab_size: usize,
    /// How often a pair must occur to be merged.
    pub min_frequency: u64,
    /// Whether digits may merge.
    pub digits: DigitStyle,
    /// Control tokens.
    pub special_tokens: Vec<String>,
    /// Further single tokens, part of decoded text.
    pub added_tokens: Vec<String>,
    /// The token that ends a text or turn; one of the special tokens.
    pub eos_token: String,
    /// The token that fills up batches; one of the special tokens.
    pub pad_token: String,
}

/// Why no tokenizer comes out.
#[derive(Debug, thiserror::Error)]
pub enum TrainBpeError {
    /// The vocabulary can't hold what must be in it.
    #[error("vocab_size is `{found}`; expected at least `{least}`: {ALPHABET} bytes and the special and added tokens")]
    VocabTooSmall {
        /// What was asked for.
        found: usize,
        /// What is needed.
        least: usize,
    },
    /// A token is too short (a single character may be a byte's own token), or there twice.
    #[error("token `{0}` is given twice or has fewer than two characters")]
    BadToken(String),
    /// A role names no special token.
    #[error("{role} is `{token}`; expected one of special_tokens")]
    NotSpecial {
        /// `eos_token` or `pad_token`.
        role: &'static str,
        /// The token.
        token: String,
    },
    /// The library fails.
    #[error("the tokenizer can't be trained: {0}")]
    Failed(String),
}

impl From<tokenizers::Error> for TrainBpeError {
    fn from(error: tokenizers::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Checks options without training.
///
/// # Errors
/// [`TrainBpeError::VocabTooSmall`], [`TrainBpeError::BadToken`], [`TrainBpeError::NotSpecial`].
pub fn check_options(options: &BpeOptions) -> Result<(), TrainBpeError> {
    let mut seen = BTreeSet::new();
    for token in options.special_tokens.iter().chain(&options.added_tokens) {
        if token.chars().nth(1).is_none() || !seen.insert(token) {
            return Err(TrainBpeError::BadToken(token.clone()));
        }
    }
    let roles = [("eos_token", &options.eos_token), ("pad_token", &options.pad_token)];
    if let Some((role, token)) = roles.into_iter().find(|(_, token)| !options.special_tokens.contains(token)) {
        return Err(TrainBpeError::NotSpecial { role, token: token.clone() });
    }
    let least = ALPHABET + seen.len();
    if options.vocab_size < least {
        return Err(TrainBpeError::VocabTooSmall { found: options.vocab_size, least });
    }
    Ok(())
}

/// How often each word occurs in the texts.
pub struct WordCounts {
    pre_tokenizer: Sequence,
    counts: HashMap<String, u64>,
}

impl WordCounts {
    /// No words yet.
    #[must_use]
    pub fn new(digits: DigitStyle) -> Self {
        Self { pre_tokenizer: pre_tokenizer(digits), counts: HashMap::new() }
    }

    /// Counts the words of a text.
    ///
    /// # Errors
    /// [`TrainBpeError::Failed`].
    pub fn add(&mut self, text: &str) -> Result<(), TrainBpeError> {
        let mut split = PreTokenizedString::from(text);
        self.pre_tokenizer.pre_tokenize(&mut split)?;
        for (word, _, _) in split.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            match self.counts.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(self.counts.insert(word.to_owned(), 1)),
            }
        }
        Ok(())
    }

    /// Takes in what was counted elsewhere.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (word, count) in other.counts {
            *self.counts.entry(word).or_default() += count;
        }
        self
    }

    /// The words by name, so that nothing depends on the order of a hash map.
    fn sorted(self) -> Vec<(String, u64)> {
        let mut words: Vec<(String, u64)> = self.counts.into_iter().collect();
        words.sort();
        words
    }
}

fn pre_tokenizer(digits: DigitStyle) -> Sequence {
    // No space is put before the first word: decoding gives back the text.
    let bytes = ByteLevel::new(false, true, true);
    match digits {
        DigitStyle::Single => Sequence::new(vec![Digits::new(true).into(), bytes.into()]),
        DigitStyle::Merged => Sequence::new(vec![bytes.into()]),
    }
}

type Pair = (u32, u32);

/// Learns merges from counted words.
struct Learner {
    tokens: Vec<String>,
    ids: HashMap<String, u32>,
    /// Tokens that no merge may spell, else plain text would turn into a control token.
    reserved: HashSet<String>,
    words: Vec<(Vec<u32>, u64)>,
    counts: HashMap<Pair, u64>,
    /// The words a pair was seen in; some may have lost it since.
    places: HashMap<Pair, Vec<usize>>,
    /// Most frequent first, then the smaller ids; entries whose count has changed since are skipped.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
    merges: Vec<(String, String)>,
}

impl Learner {
    fn new(options: &BpeOptions, counts: WordCounts) -> Self {
        let mut tokens: Vec<String> = options.special_tokens.iter().chain(&options.added_tokens).cloned().collect();
        let reserved = tokens.iter().cloned().collect();
        let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
        alphabet.sort_unstable();
        tokens.extend(alphabet.iter().map(char::to_string));
        let ids: HashMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
        let id = |letter: char| ids[letter.encode_utf8(&mut [0; 4]) as &str];
        let words = counts.sorted().into_iter().map(|(word, count)| (word.chars().map(id).collect(), count)).collect();
        let mut learner = Self {
            tokens,
            ids,
            reserved,
            words,
            counts: HashMap::new(),
            places: HashMap::new(),
            queue: BinaryHeap::new(),
            merges: Vec::new(),
        };
        let mut changed = HashSet::new();
        (0..learner.words.len()).for_each(|word| learner.count(word, &mut changed));
        learner.enqueue(changed);
        learner
    }

    fn learn(&mut self, vocab_size: usize, min_frequency: u64) {
        while self.tokens.len() < vocab_size {
            let Some((count, Reverse(pair))) = self.queue.pop() else { return };
            if self.counts.get(&pair) != Some(&count) {
                continue;
            }
            if count < min_frequency.max(1) {
                return;
            }
            let left = self.tokens[pair.0 as usize].clone();
            let right = self.tokens[pair.1 as usize].clone();
            let merged = format!("{left}{right}");
            if self.reserved.contains(&merged) {
                self.counts.remove(&pair);
                continue;
            }
            let next = u32::try_from(self.tokens.len()).expect("a vocabulary has fewer than 2^32 tokens");
            let id = *self.ids.entry(merged.clone()).or_insert(next);
            if id == next {
                self.tokens.push(merged);
            }
            self.merges.push((left, right));
            self.merge(pair, id);
        }
    }

    fn merge(&mut self, pair: Pair, id: u32) {
        let mut places = self.places.remove(&pair).unwrap_or_default();
        places.sort_unstable();
        places.dedup();
        let mut changed = HashSet::new();
        for word in places {
            self.discount(word, &mut changed);
            let symbols = &mut self.words[word].0;
            let mut merged = Vec::with_capacity(symbols.len());
            for symbol in symbols.drain(..) {
                if symbol == pair.1 && merged.last() == Some(&pair.0) {
                    merged.pop();
                    merged.push(id);
                } else {
                    merged.push(symbol);
                }
            }
            *symbols = merged;
            self.count(word, &mut changed);
        }
        self.counts.remove(&pair);
        self.enqueue(changed);
    }

    fn count(&mut self, word: usize, changed: &mut HashSet<Pair>) {
        let (symbols, count) = &self.words[word];
        for pair in symbols.windows(2).map(|pair| (pair[0], pair[1])) {
            *self.counts.entry(pair).or_default() += count;
            let places = self.places.entry(pair).or_default();
            if places.last() != Some(&word) {
                places.push(word);
            }
            changed.insert(pair);
        }
    }

    fn discount(&mut self, word: usize, changed: &mut HashSet<Pair>) {
        let (symbols, count) = &self.words[word];
        for pair in symbols.windows(2).map(|pair| (pair[0], pair[1])) {
            if let Some(total) = self.counts.get_mut(&pair) {
                *total -= count;
            }
            changed.insert(pair);
        }
    }

    fn enqueue(&mut self, changed: HashSet<Pair>) {
        for pair in changed {
            if let Some(count) = self.counts.get(&pair).filter(|count| **count > 0) {
                self.queue.push((*count, Reverse(pair)));
            }
        }
    }
}

/// A trained tokenizer as the files of its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// Name and text of each.
    pub files: Vec<(&'static str, String)>,
    /// How many tokens there are.
    pub vocab_size: usize,
    /// How many merges were learnt.
    pub merges: usize,
}

/// Trains a tokenizer; `chat_template` goes into its folder.
///
/// # Errors
/// Those of [`check_options`], and [`TrainBpeError::Failed`].
pub fn train_bpe(
    options: &BpeOptions,
    counts: WordCounts,
    chat_template: &str,
) -> Result<TokenizerFiles, TrainBpeError> {
    check_options(options)?;
    let mut learner = Learner::new(options, counts);
    learner.learn(options.vocab_size, options.min_frequency);
    let merges = learner.merges.len();
    let model = BPE::builder().vocab_and_merges(learner.ids.into_iter().collect::<Vocab>(), learner.merges).build()?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer(options.digits)));
    tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
    tokenizer.add_special_tokens(options.special_tokens.iter().map(|token| AddedToken::from(token.as_str(), true)))?;
    let added = options.added_tokens.iter();
    tokenizer.add_tokens(added.map(|token| AddedToken::from(token.as_str(), false).normalized(false)))?;
    let roles = json!({"eos_token": options.eos_token, "pad_token": options.pad_token});
    let mut config = Map::new();
    config.insert("clean_up_tokenization_spaces".into(), false.into());
    config.insert("eos_token".into(), options.eos_token.as_str().into());
    config.insert("pad_token".into(), options.pad_token.as_str().into());
    config.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
    let pretty = |value: &serde_json::Value| format!("{value:#}\n");
    let vocab_size = tokenizer.get_vocab_size(true);
    let files = vec![
        ("tokenizer.json", tokenizer.to_string(true)? + "\n"),
        ("tokenizer_config.json", pretty(&config.into())),
        ("special_tokens_map.json", pretty(&roles)),
        ("chat_template.jinja", chat_template.to_owned()),
    ];
    Ok(TokenizerFiles { files, vocab_size, merges })
}
