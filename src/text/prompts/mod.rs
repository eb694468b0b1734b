//! Records become token rows: the one renderer that training, evaluation and serving share.
//!
//! A record is guarded against its own special tokens, turned into messages (natively, or inline where the template
//! knows no tools), rendered, encoded and masked. What the template would lose is found out once, when it is loaded.

mod options;
mod overlong;
mod probe;
mod rows;
mod stop_tokens;

use std::collections::BTreeSet;
use std::fmt;

use super::chat_template::{ChatTemplate, SpecialTokens, TemplateError};
use super::guard::{Guard, Guarded, NoMark};
use super::inline_tools::{CALL_CLOSE, CALL_OPEN, RESPONSE_CLOSE, RESPONSE_OPEN, inline_messages, merge_system};
use super::loss_mask::{LossMask, MaskError, loss_mask, turn_spans};
use super::messages::{Message, messages};
use super::record::{Conversation, Record, ToolSpec};
use super::tokenize::{Tokenizer, TokenizerError};
use super::tokenizer_folder::TokenizerFolder;

pub use options::{Overlong, RenderOptions, Thoughts, ToolMode};
pub use probe::Unusable;
pub use rows::{BadRow, PromptsError, TokenRow, read_prompts};
pub(crate) use stop_tokens::end_ids;

/// Why a renderer can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The tokenizer can't.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The chat template can't.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The template loses what it is given.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// Why a record can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The template fails on it.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Its targets can't be told from the rest.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// The tokenizer fails on it.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Its special tokens can't be marked.
    #[error(transparent)]
    NoMark(#[from] NoMark),
    /// The template writes data so that a mark can't be taken out again.
    #[error("the record holds special tokens, and the chat template escapes the character that marks them as text")]
    EscapedMark,
    /// It has too many tokens.
    #[error("the row has `{tokens}` tokens; expected at most `{max}` (max_seq_len)")]
    TooLong {
        /// How many.
        tokens: usize,
        /// How many may be.
        max: usize,
    },
    /// There is no chat template for a conversation.
    #[error("the record is a conversation, and the tokenizer folder has no chat template")]
    NoTemplate,
    /// There is no token to end a text with.
    #[error("the record is plain text, and the tokenizer folder names no end-of-text token")]
    NoEos,
    /// There is nothing left for the assistant to say.
    #[error("the conversation ends with the assistant's message; expected one that the assistant is to continue")]
    Complete,
}

/// How conversations are put into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Tools are written inline rather than by the template.
    pub inline: bool,
    /// The system text stands before the first user's text.
    pub merged_system: bool,
}

impl fmt::Display for Style {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.inline { "inline" } else { "native" };
        let system = if self.merged_system { " with the system text merged" } else { "" };
        write!(formatter, "{mode} mode{system}")
    }
}

/// A training row and what happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The row.
    pub row: TokenRow,
    /// How many tokens straddle a border of the assistant's turns and are left untrained.
    pub straddling: usize,
    /// Whether observations were shortened.
    pub truncated: bool,
}

/// A tokenizer, its chat template and the settings. Renders from many threads at once.
#[derive(Debug)]
pub struct Renderer {
    tokenizer: Tokenizer,
    chat: Option<Chat>,
    text_guard: Guard,
    eos: Vec<u32>,
    options: RenderOptions,
}

/// What conversations need.
#[derive(Debug)]
struct Chat {
    template: ChatTemplate,
    guard: Guard,
    style: Style,
    stops: BTreeSet<u32>,
    /// What the styles that would have been taken before this one lose.
    avoided: Vec<String>,
    thoughts: Thoughts,
}

impl Renderer {
    /// Loads a Hugging Face tokenizer or model folder; `template` replaces the folder's own chat template.
    ///
    /// # Errors
    /// [`LoadError`]; a folder without template is none, it renders plain text.
    pub fn load(folder: &TokenizerFolder, template: Option<&str>, options: RenderOptions) -> Result<Self, LoadError> {
        let tokenizer = Tokenizer::load(folder)?;
        let source = match template {
            Some(source) => Some(source.to_owned()),
            None => ChatTemplate::source_in(folder)?,
        };
        let eos = stop_tokens::end_ids(folder, &tokenizer)?;
        let chat = match source {
            Some(source) => Some(Chat::new(&source, &tokenizer, &SpecialTokens::load(folder)?, &options)?),
            None => None,
        };
        let text_guard = Guard::new(&tokenizer, "");
        Ok(Self { tokenizer, chat, text_guard, eos, options })
    }

    /// The row a record is trained on.
    ///
    /// # Errors
    /// [`RenderError`]; [`RenderError::TooLong`] also where overlong rows are to be dropped.
    pub fn training(&self, record: &Record) -> Result<TokenRow, RenderError> {
        self.rendered(record).map(|rendered| rendered.row)
    }

    /// The same with what happened to it.
    ///
    /// # Errors
    /// Those of [`Self::training`].
    pub fn rendered(&self, record: &Record) -> Result<Rendered, RenderError> {
        let conversation = match record {
            Record::Text(text) => return self.text(text),
            Record::Conversation(conversation) => conversation,
        };
        let chat = self.chat.as_ref().ok_or(RenderError::NoTemplate)?;
        let max = self.options.max_seq_len;
        let (row, mask) = chat.row(&self.tokenizer, conversation)?;
        let tokens = row.input_ids.len();
        if tokens <= max {
            return Ok(Rendered { row, straddling: mask.straddling, truncated: false });
        }
        if self.options.overlong == Overlong::TruncateObservation
            && let Some((row, mask)) = overlong::truncate_observations(chat, &self.tokenizer, conversation, max)?
        {
            return Ok(Rendered { row, straddling: mask.straddling, truncated: true });
        }
        Err(RenderError::TooLong { tokens, max })
    }

    fn text(&self, text: &str) -> Result<Rendered, RenderError> {
        let eos = *self.eos.first().ok_or(RenderError::NoEos)?;
        let Guarded { value, mark } = self.text_guard.text(text)?;
        let mut input_ids = self.tokenizer.encode_guarded(&value, mark, true)?.ids;
        // Some tokenizers append the token themselves.
        if input_ids.last() != Some(&eos) {
            input_ids.push(eos);
        }
        let (tokens, max) = (input_ids.len(), self.options.max_seq_len);
        if tokens > max {
            return Err(RenderError::TooLong { tokens, max });
        }
        let row = TokenRow { loss_mask: vec![true; tokens], input_ids };
        Ok(Rendered { row, straddling: 0, truncated: false })
    }

    /// The prompt that makes the assistant go on; it ends with the generation prompt and isn't cut to `max_seq_len`.
    ///
    /// # Errors
    /// [`RenderError`].
    pub fn generation(&self, conversation: &Conversation) -> Result<Vec<u32>, RenderError> {
        let chat = self.chat.as_ref().ok_or(RenderError::NoTemplate)?;
        let prepared = chat.prepare(conversation)?;
        if prepared.messages.last().is_some_and(|last| last.role() == "assistant") {
            return Err(RenderError::Complete);
        }
        let text = chat.template.render(&prepared.messages, &prepared.tools, true)?;
        prepared.check(&text)?;
        Ok(self.tokenizer.encode_guarded(&text, prepared.mark, false)?.ids)
    }

    /// The tokens at which generation stops, ascending: those of the folder's configs and the template's own.
    #[must_use]
    pub fn stop_ids(&self) -> Vec<u32> {
        let template = self.chat.iter().flat_map(|chat| &chat.stops);
        self.eos.iter().chain(template).copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// How conversations are put into messages; `None` without a chat template.
    #[must_use]
    pub fn style(&self) -> Option<Style> {
        self.chat.as_ref().map(|chat| chat.style)
    }

    /// Why conversations are not put otherwise: each style that comes before the one in use, with what it loses.
    #[must_use]
    pub fn avoided(&self) -> &[String] {
        self.chat.as_ref().map_or(&[], |chat| &chat.avoided)
    }
}

/// A conversation as the template takes it.
struct Prepared {
    messages: Vec<Message>,
    tools: Vec<ToolSpec>,
    mark: Option<char>,
}

impl Prepared {
    /// A mark that was escaped (`\ua490`) would stay in the text.
    fn check(&self, text: &str) -> Result<(), RenderError> {
        let Some(mark) = self.mark else { return Ok(()) };
        let escape = format!("\\u{:04x}", u32::from(mark));
        if text.contains(&escape) { Err(RenderError::EscapedMark) } else { Ok(()) }
    }
}

impl Chat {
    fn new(
        source: &str,
        tokenizer: &Tokenizer,
        special_tokens: &SpecialTokens,
        options: &RenderOptions,
    ) -> Result<Self, LoadError> {
        let template = ChatTemplate::with_options(source, special_tokens, &options.template)?;
        let control_texts = [source, CALL_OPEN, CALL_CLOSE, RESPONSE_OPEN, RESPONSE_CLOSE].join("\n");
        let mut chat = Self {
            template,
            guard: Guard::new(tokenizer, &control_texts),
            style: Style { inline: false, merged_system: false },
            stops: BTreeSet::new(),
            avoided: Vec::new(),
            thoughts: options.thoughts,
        };
        probe::probe(&mut chat, tokenizer, options)?;
        Ok(chat)
    }

    fn prepare(&self, conversation: &Conversation) -> Result<Prepared, RenderError> {
        let Guarded { value: mut conversation, mark } = self.guard.conversation(conversation)?;
        if self.thoughts == Thoughts::Omit {
            let steps = conversation.turns.iter_mut().flat_map(|turn| &mut turn.steps);
            steps.for_each(|step| step.thought.clear());
        }
        let mut list = if self.style.inline { inline_messages(&conversation)? } else { messages(&conversation) };
        if self.style.merged_system {
            list = merge_system(list);
        }
        let tools = if self.style.inline { Vec::new() } else { conversation.tools };
        Ok(Prepared { messages: list, tools, mark })
    }

    /// The whole conversation as text, marks included.
    fn text(&self, conversation: &Conversation) -> Result<String, RenderError> {
        let prepared = self.prepare(conversation)?;
        Ok(self.template.render(&prepared.messages, &prepared.tools, false)?)
    }

    fn row(&self, tokenizer: &Tokenizer, conversation: &Conversation) -> Result<(TokenRow, LossMask), RenderError> {
        let prepared = self.prepare(conversation)?;
        let session = self.template.session(&prepared.messages, &prepared.tools);
        let text = session.render(session.len(), false)?;
        prepared.check(&text)?;
        let indices = 0..prepared.messages.len();
        let assistants: Vec<usize> = indices.filter(|at| prepared.messages[*at].role() == "assistant").collect();
        let spans = turn_spans(&session, &assistants, &text)?;
        let encoding = tokenizer.encode_guarded(&text, prepared.mark, false)?;
        let is_control = |id| self.guard.is_control(id);
        let mut stops = self.stops.clone();
        if stops.is_empty() {
            // While probing: turns with a known end teach the stop tokens of the others.
            let exact: Vec<_> = spans.iter().filter(|span| span.exact).cloned().collect();
            stops.extend(loss_mask(&text, &encoding, &exact, is_control, &stops)?.stops);
        }
        let mask = loss_mask(&text, &encoding, &spans, is_control, &stops)?;
        let row = TokenRow { input_ids: encoding.ids, loss_mask: mask.targets.clone() };
        Ok((row, mask))
    }
}
