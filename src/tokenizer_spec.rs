//! A tokenizer as plain data: what a GGUF file says of it, on its way from the model's room to the text's.

/// Everything needed to build a tokenizer and to render a chat.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerSpec {
    /// The text of each id, in the spelling of the vocabulary.
    pub tokens: Vec<String>,
    /// What each id is; as many as tokens.
    pub kinds: Vec<TokenKind>,
    /// How texts are cut.
    pub algorithm: Algorithm,
    /// The id that begins a text.
    pub bos: Option<u32>,
    /// The id that ends a text.
    pub eos: Option<u32>,
    /// The id for what has no other.
    pub unknown: Option<u32>,
    /// The id of padding.
    pub padding: Option<u32>,
    /// All ids that end a text or a turn.
    pub end_ids: Vec<u32>,
    /// Whether `bos` is put before a text that is encoded with special tokens.
    pub adds_bos: bool,
    /// Whether `eos` is put after it.
    pub adds_eos: bool,
    /// The Jinja source of the chat template.
    pub chat_template: Option<String>,
}

/// What a token is (`llama_token_type` of llama.cpp).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Part of ordinary text.
    Normal,
    /// What stands for the unknown.
    Unknown,
    /// A control token.
    Control,
    /// A token that is always found whole, though it is text.
    UserDefined,
    /// Nothing.
    Unused,
    /// One byte.
    Byte,
}

/// How texts are cut into tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum Algorithm {
    /// Byte-level byte-pair encoding, as GPT-2's.
    ByteLevelBpe {
        /// The merges in order, `left right`.
        merges: Vec<String>,
        /// The rules that cut a text into words, by llama.cpp's name for them.
        pre_tokenizer: String,
    },
    /// SentencePiece's byte-pair encoding with byte fallback, as Llama 2's.
    SentencePiece {
        /// One a token; higher is merged first.
        scores: Vec<f64>,
        /// Whether a space is put before a text.
        adds_space: bool,
    },
}
