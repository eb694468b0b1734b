//! Texts to token ids and back, with the tokenizer of a Hugging Face folder.
//!
//! Ids are those of the `tokenizers` library, of which this is the only user besides [`super::train_bpe`]. Offsets are
//! bytes of the text as given, not trimmed, so that a loss mask can see a token that straddles a border. Truncation and
//! padding that a `tokenizer.json` may ask for are switched off: nothing is cut silently.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tokenizers::{DecoderWrapper, ModelWrapper, OffsetType, PostProcessor, PreTokenizedString, PreTokenizer};

use super::chat_template::{SpecialTokens, TemplateError};
use super::tokenizer_folder::TokenizerFolder;

/// The largest `tokenizer.json` that is read, in bytes; big vocabularies have some 30 MB.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// The file with everything but the special tokens' roles.
const FILE: &str = "tokenizer.json";

/// Why a tokenizer can't be loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// `tokenizer.json` can't be read.
    #[error("`{}`: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `tokenizer.json` is no tokenizer.
    #[error("`{}` is not valid: {reason}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The special tokens can't be read.
    #[error(transparent)]
    Config(#[from] TemplateError),
    /// The text can't be encoded, or the ids not decoded.
    #[error("the tokenizer fails: {0}")]
    Failed(String),
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: tokenizers::Error) -> TokenizerError {
    TokenizerError::Failed(error.to_string())
}

/// What the library gives. It panics on some tokenizers that are parsed all right, such as one that replaces the empty text.
fn surviving<T>(work: impl FnOnce() -> Result<T, TokenizerError>) -> Result<T, TokenizerError> {
    let panicked = |_| Err(TokenizerError::Failed("it panics; a part of `tokenizer.json` makes no sense".to_owned()));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

/// A text's token ids, each with the bytes it stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoding {
    /// The ids.
    pub ids: Vec<u32>,
    /// For each id its first byte and the byte after its last, in the text that was encoded.
    pub offsets: Vec<(usize, usize)>,
}

/// A loaded tokenizer. Encodes from many threads at once.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    roles: SpecialTokens,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).finish_non_exhaustive()
    }
}

/// A token outside the model's own vocabulary, matched in texts before anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedToken {
    /// Its text.
    pub content: String,
    /// Whether it is a control token, left out of decoded text.
    pub special: bool,
}

impl Tokenizer {
    /// Loads `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`; only the first must exist.
    ///
    /// # Errors
    /// [`TokenizerError::Read`], [`TokenizerError::Invalid`], [`TokenizerError::Config`].
    pub fn load(folder: &TokenizerFolder) -> Result<Self, TokenizerError> {
        let read = |source| TokenizerError::Read { path: folder.path(FILE), source };
        let bytes = folder.read(FILE, MAX_FILE_BYTES).map_err(read)?;
        let bytes = bytes.ok_or_else(|| read(std::io::ErrorKind::NotFound.into()))?;
        Self::parse(&bytes, &folder.path(FILE), SpecialTokens::load(folder)?)
    }

    /// A tokenizer from the bytes of a `tokenizer.json` alone: it has no end or padding token.
    ///
    /// # Errors
    /// [`TokenizerError::Invalid`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenizerError> {
        Self::with_roles(bytes, SpecialTokens::default())
    }

    /// A tokenizer from the bytes of a `tokenizer.json` and its special tokens by role.
    ///
    /// # Errors
    /// [`TokenizerError::Invalid`].
    pub fn with_roles(bytes: &[u8], roles: SpecialTokens) -> Result<Self, TokenizerError> {
        Self::parse(bytes, Path::new(FILE), roles)
    }

    /// `path` is for messages.
    fn parse(bytes: &[u8], path: &Path, roles: SpecialTokens) -> Result<Self, TokenizerError> {
        let refused = |reason: String| TokenizerError::Invalid { path: path.to_owned(), reason };
        let invalid = |error: tokenizers::Error| refused(error.to_string());
        // The library panics on some parts, such as a character map that is none.
        let parsed = catch_unwind(|| tokenizers::Tokenizer::from_bytes(bytes));
        let mut inner = parsed.map_err(|_| refused("a part of it makes no sense".to_owned()))?.map_err(invalid)?;
        if let ModelWrapper::BPE(model) = inner.get_model()
            && let Some(dropout) = model.dropout.filter(|dropout| *dropout > 0.0)
        {
            return Err(refused(format!(
                "model.dropout is `{dropout}`; expected null, or each text has random tokens"
            )));
        }
        inner.with_truncation(None).map_err(invalid)?;
        inner.with_padding(None);
        Ok(Self { inner, roles })
    }

    /// Encodes a text in which special tokens are control tokens: for texts that this program wrote.
    ///
    /// # Errors
    /// [`TokenizerError::Failed`].
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Encoding, TokenizerError> {
        self.encode_guarded(text, None, add_special_tokens)
    }

    /// Encodes a text from which the guard's mark is taken out after special tokens were found, so that special tokens
    /// with a mark inside are ordinary text. Offsets count the marks.
    ///
    /// # Errors
    /// [`TokenizerError::Failed`].
    pub(crate) fn encode_guarded(
        &self,
        text: &str,
        mark: Option<char>,
        add_special_tokens: bool,
    ) -> Result<Encoding, TokenizerError> {
        surviving(|| self.encode_unguarded(text, mark, add_special_tokens))
    }

    /// The same where the library may panic.
    fn encode_unguarded(
        &self,
        text: &str,
        mark: Option<char>,
        add_special_tokens: bool,
    ) -> Result<Encoding, TokenizerError> {
        let vocabulary = self.inner.get_added_vocabulary();
        let mut split: PreTokenizedString = vocabulary.extract_and_normalize(self.inner.get_normalizer(), text);
        if let Some(mark) = mark {
            let unmark = |text: &mut tokenizers::NormalizedString| {
                text.filter(|letter| letter != mark);
                Ok(())
            };
            split.normalize(unmark).map_err(failed)?;
        }
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut split).map_err(failed)?;
        }
        let model = self.inner.get_model();
        split.tokenize(|word| tokenizers::Model::tokenize(model, word.get())).map_err(failed)?;
        let mut encoding = split.into_encoding(None, 0, OffsetType::Byte).map_err(failed)?;
        if add_special_tokens && let Some(processor) = self.inner.get_post_processor() {
            encoding = processor.process(encoding, None, true).map_err(failed)?;
        }
        Ok(Encoding { ids: encoding.get_ids().to_vec(), offsets: encoding.get_offsets().to_vec() })
    }

    /// The ids of a text with special tokens around it, at most so many: what is too long loses its end, as
    /// sentence-transformers cuts it, and keeps the special tokens.
    ///
    /// # Errors
    /// [`TokenizerError::Failed`].
    pub fn encode_cut(&self, text: &str, max_tokens: usize) -> Result<Vec<u32>, TokenizerError> {
        surviving(|| {
            let mut encoding = self.inner.encode_fast(text, false).map_err(failed)?;
            let processor = self.inner.get_post_processor();
            let around = processor.map_or(0, |processor| processor.added_tokens(false));
            encoding.truncate(max_tokens.saturating_sub(around), 0, tokenizers::TruncationDirection::Right);
            if let Some(processor) = processor {
                encoding = processor.process(encoding, None, true).map_err(failed)?;
            }
            Ok(encoding.get_ids().to_vec())
        })
    }

    /// The text of some ids.
    ///
    /// # Errors
    /// [`TokenizerError::Failed`].
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TokenizerError> {
        surviving(|| self.inner.decode(ids, skip_special_tokens).map_err(failed))
    }

    /// The id of a token.
    #[must_use]
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id, as the vocabulary spells it.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of the token that ends a text, when the folder names one.
    #[must_use]
    pub fn eos_id(&self) -> Option<u32> {
        self.token_id(self.roles.get("eos_token")?)
    }

    /// The id of the token that fills up a batch, when the folder names one.
    #[must_use]
    pub fn pad_id(&self) -> Option<u32> {
        self.token_id(self.roles.get("pad_token")?)
    }

    /// How texts are cut, in the field's words.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.inner.get_model() {
            ModelWrapper::BPE(model) if model.byte_fallback => "BPE with byte fallback",
            ModelWrapper::BPE(_) if matches!(self.inner.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) => {
                "byte-level BPE"
            }
            ModelWrapper::BPE(_) => "BPE",
            ModelWrapper::WordPiece(_) => "WordPiece",
            ModelWrapper::WordLevel(_) => "WordLevel",
            ModelWrapper::Unigram(_) => "Unigram",
        }
    }

    /// The special tokens by role.
    #[must_use]
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.roles
    }

    /// The number of tokens, added ones included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The added tokens in the order of their ids.
    #[must_use]
    pub fn added_tokens(&self) -> Vec<(u32, AddedToken)> {
        let decoder = self.inner.get_added_tokens_decoder();
        let mut tokens: Vec<(u32, AddedToken)> = decoder
            .into_iter()
            .map(|(id, token)| (id, AddedToken { content: token.content, special: token.special }))
            .collect();
        tokens.sort_by_key(|(id, _)| *id);
        tokens
    }

    /// Whether the tokenizer's own normalisation leaves a character in the middle of a text as it is.
    #[must_use]
    pub(crate) fn keeps(&self, letter: char) -> bool {
        let Some(normalizer) = self.inner.get_normalizer() else { return true };
        let mut text = tokenizers::NormalizedString::from(format!("a{letter}b"));
        let normalize = || tokenizers::Normalizer::normalize(normalizer, &mut text).map_err(failed);
        surviving(normalize).is_ok() && text.get().contains(letter)
    }
}
