//! Chat templates: how a model wants its conversations written, as the Jinja that comes with its tokenizer.
//!
//! Renders byte for byte what `apply_chat_template` of transformers renders, and fails where it fails. A template is
//! foreign code: its size, the work of one rendering and the size of its output are bounded. It reads no clock; the
//! date it may print is pinned in [`TemplateOptions`].

mod clock;
mod depth;
mod dialect;
mod folder;
mod generator;
mod json_dumps;
mod kept;
mod markup;
mod methods;
mod python;
mod rewrite;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use minijinja::value::Value;
use minijinja::{Environment, ErrorKind};
use serde_json::Map;

pub use clock::{BadClock, Clock};
pub use folder::SpecialTokens;
pub(crate) use folder::read_json;

use super::messages::{Message, tool_schema};
use super::record::ToolSpec;
use super::tokenizer_folder::TokenizerFolder;

/// The longest template that is compiled, in bytes; the longest in the wild has some 20 kB.
const MAX_SOURCE_BYTES: usize = 1 << 20;
/// The longest text one rendering may give, in bytes.
const MAX_OUTPUT_BYTES: usize = 64 << 20;
const NAME: &str = "chat_template";

/// What goes into every rendering besides the conversation.
#[derive(Debug, Clone, Default)]
pub struct TemplateOptions {
    /// What `strftime_now` says.
    pub clock: Clock,
    /// Further variables of the template, such as `enable_thinking`.
    pub arguments: Map<String, serde_json::Value>,
}

/// Why a template can't be used, or didn't render.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A file of the tokenizer folder can't be read or isn't what it should be.
    #[error("`{}`: {message}", .path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The folder has no chat template.
    #[error("no chat template in `{}`; expected `chat_template.jinja` or `chat_template` in `tokenizer_config.json`", .0.display())]
    Missing(PathBuf),
    /// The template has too many bytes.
    #[error("the chat template has `{0}` bytes; expected at most `{MAX_SOURCE_BYTES}`")]
    TooLong(usize),
    /// The template is no Jinja.
    #[error("the chat template is not valid at line `{line}`: {message}")]
    Syntax {
        /// The 1-based line.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// The template itself refuses the conversation, with `raise_exception`.
    #[error("the chat template refuses the conversation: {0}")]
    Raised(String),
    /// The template fails on the conversation.
    #[error("the chat template fails at line `{line}`: {message}")]
    Render {
        /// The 1-based line.
        line: usize,
        /// What went wrong there.
        message: String,
    },
    /// The rendering takes too much work or gives too much text.
    #[error("the chat template needs more work or output than is allowed for one conversation")]
    TooMuch,
    /// There is nothing to render.
    #[error("the conversation has no message; expected at least one")]
    NoMessages,
}

/// A compiled chat template with the special tokens it may print. Renders from many threads at once.
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    globals: BTreeMap<String, Value>,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ChatTemplate").field("bytes", &self.source.len()).finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// Compiles a template, with default options.
    ///
    /// # Errors
    /// [`TemplateError::TooLong`], [`TemplateError::Syntax`].
    pub fn from_source(source: &str, special_tokens: &SpecialTokens) -> Result<Self, TemplateError> {
        Self::with_options(source, special_tokens, &TemplateOptions::default())
    }

    /// Compiles a template.
    ///
    /// # Errors
    /// [`TemplateError::TooLong`], [`TemplateError::Syntax`].
    pub fn with_options(
        source: &str,
        special_tokens: &SpecialTokens,
        options: &TemplateOptions,
    ) -> Result<Self, TemplateError> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(TemplateError::TooLong(source.len()));
        }
        if let Some(line) = depth::too_deep(source) {
            let message =
                "it nests deeper than is allowed: too many operators in one tag, or too many `elif`".to_owned();
            return Err(TemplateError::Syntax { line, message });
        }
        let mut environment = dialect::environment(options.clock);
        environment
            .add_template_owned(NAME, rewrite::rewrite(source))
            .map_err(|error| TemplateError::Syntax { line: error.line().unwrap_or(1), message: describe(&error) })?;
        let mut globals = special_tokens.variables();
        globals.extend(options.arguments.iter().map(|(name, value)| (name.clone(), python::value_of(value))));
        Ok(Self { environment, source: source.to_owned(), globals })
    }

    /// Reads and compiles the template of a Hugging Face tokenizer folder, with default options.
    ///
    /// # Errors
    /// [`TemplateError::Folder`], [`TemplateError::Missing`], and those of [`Self::from_source`].
    pub fn load(folder: &TokenizerFolder) -> Result<Self, TemplateError> {
        let source = Self::source_in(folder)?.ok_or_else(|| TemplateError::Missing(folder.place().into_owned()))?;
        Self::from_source(&source, &SpecialTokens::load(folder)?)
    }

    /// The text of a folder's template, `None` when it has none.
    ///
    /// # Errors
    /// [`TemplateError::Folder`].
    pub fn source_in(folder: &TokenizerFolder) -> Result<Option<String>, TemplateError> {
        folder::template_source(folder)
    }

    /// The template's text as it came.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders a conversation; with `add_generation_prompt` the text ends where the assistant goes on.
    ///
    /// # Errors
    /// Everything that fails in Python fails here: [`TemplateError::Raised`], [`TemplateError::Render`],
    /// [`TemplateError::NoMessages`]; and [`TemplateError::TooMuch`].
    pub fn render(
        &self,
        messages: &[Message],
        tools: &[ToolSpec],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        self.session(messages, tools).render(messages.len(), add_generation_prompt)
    }

    /// Prepares a conversation of which several prefixes will be rendered.
    #[must_use]
    pub fn session(&self, messages: &[Message], tools: &[ToolSpec]) -> Session<'_> {
        let messages = messages.iter().map(message_value).collect();
        let tools = match tools {
            [] => Value::from(()),
            tools => tools.iter().map(|tool| python::value_of(&tool_schema(tool))).collect(),
        };
        Session { template: self, messages, tools }
    }

    fn evaluate(&self, context: BTreeMap<String, Value>) -> Result<String, TemplateError> {
        let template = self.environment.get_template(NAME).map_err(|error| failure(&error))?;
        let mut output = Bounded(Vec::with_capacity(1024));
        let context = Value::from_pairs(context);
        match template.render_captured_to(context, &mut output) {
            Ok(_) => String::from_utf8(output.0)
                .map_err(|_| TemplateError::Render { line: 1, message: "the output is not UTF-8".to_owned() }),
            Err(_) if output.0.len() > MAX_OUTPUT_BYTES => Err(TemplateError::TooMuch),
            Err(error) => Err(failure(&error)),
        }
    }
}

/// A conversation ready to be rendered up to any of its messages.
pub struct Session<'a> {
    template: &'a ChatTemplate,
    messages: Vec<Value>,
    tools: Value,
}

impl Session<'_> {
    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Renders the first `count` messages.
    ///
    /// # Errors
    /// Those of [`ChatTemplate::render`].
    pub fn render(&self, count: usize, add_generation_prompt: bool) -> Result<String, TemplateError> {
        let messages = &self.messages[..count.min(self.messages.len())];
        if messages.is_empty() {
            return Err(TemplateError::NoMessages);
        }
        let mut context = self.template.globals.clone();
        context.insert("messages".into(), messages.iter().cloned().collect());
        context.insert("tools".into(), self.tools.clone());
        context.insert("documents".into(), Value::from(()));
        context.insert("add_generation_prompt".into(), Value::from(add_generation_prompt));
        self.template.evaluate(context)
    }
}

/// `json.dumps(value, ensure_ascii=False)`: the JSON that models have seen.
///
/// # Errors
/// [`TemplateError::Render`] when the value nests too deep.
pub fn json_text(value: &serde_json::Value) -> Result<String, TemplateError> {
    json_dumps::json_dumps(&python::value_of(value), &json_dumps::JsonStyle::default()).map_err(|error| failure(&error))
}

/// transformers drops a `content` that is null before the template sees the message.
fn message_value(message: &Message) -> Value {
    let fields = message.fields().iter().filter(|(name, value)| *name != "content" || !value.is_null());
    Value::from_pairs(fields.map(|(name, value)| (name.as_str(), python::value_of(value))))
}

/// Takes output until there is too much.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        if self.0.len() > MAX_OUTPUT_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failure(error: &minijinja::Error) -> TemplateError {
    let mut cause: &minijinja::Error = error;
    loop {
        if cause.kind() == ErrorKind::OutOfFuel {
            return TemplateError::TooMuch;
        }
        if let Some(message) = cause.detail().and_then(|detail| detail.strip_prefix(dialect::RAISED)) {
            return TemplateError::Raised(message.to_owned());
        }
        match std::error::Error::source(cause).and_then(|source| source.downcast_ref()) {
            Some(inner) => cause = inner,
            None => break,
        }
    }
    TemplateError::Render { line: cause.line().or(error.line()).unwrap_or(1), message: describe(cause) }
}

fn describe(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
