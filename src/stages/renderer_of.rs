//! What the stages that render prompts share: a template wired into a port, and what can be told before anything runs.

use std::fs;
use std::path::Path;

use super::tokenizer_of::tokenizer_of;
use crate::stage::{ConfigIssue, LocalInputs, Preflight, StageError};
use crate::text::prompts::{LoadError, RenderOptions, Renderer, ToolMode};

/// The longest template that is read, in bytes.
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;

/// The text of a chat template.
///
/// # Errors
/// It can't be read, or is too long.
pub(super) fn read_template(path: &Path) -> Result<String, StageError> {
    let size = fs::metadata(path).map_err(|error| StageError::io(path, &error))?.len();
    if size > MAX_TEMPLATE_BYTES {
        let path = path.display();
        let message = format!("the template `{path}` has `{size}` bytes; expected at most `{MAX_TEMPLATE_BYTES}`");
        return Err(StageError::failed(message));
    }
    fs::read_to_string(path).map_err(|error| StageError::io(path, &error))
}

/// Whether the tools of a conversation will reach the model, where tokenizer and template are here already: those of the
/// ports `model` and `template`.
pub(super) fn preflight(inputs: &LocalInputs<'_>, options: RenderOptions) -> Preflight {
    let (Some([model]), Some(template)) = (inputs.get("model"), inputs.get("template")) else {
        return Preflight::default();
    };
    // All that decides the answer: how long rows may be, for one, does not.
    let RenderOptions { tool_mode, thoughts, template: options_of_template, .. } = &options;
    let question = format!("{:?}", (model, template, tool_mode, thoughts, options_of_template));
    inputs.once(question, || answer(model, template.first().copied(), options))
}

fn answer(model: &Path, template: Option<&Path>, options: RenderOptions) -> Preflight {
    let mode = options.tool_mode;
    let issue = |code: &'static str, message: String, help: &str| {
        let issue = ConfigIssue { path: vec!["tool_mode".to_owned()], code, message, help: None };
        Preflight { issues: vec![issue.help(help)], notes: Vec::new() }
    };
    match load(model, template, options) {
        Ok(renderer) => Preflight { issues: Vec::new(), notes: note(mode, &renderer).into_iter().collect() },
        Err(Unloadable::Render(LoadError::Unusable(lost))) if mode == ToolMode::Native => {
            let help = "leave `tool_mode` out: tools are then shown as text wherever the template loses them";
            issue("render::tools_lost", format!("tool_mode is `native`, but {lost}"), help)
        }
        Err(Unloadable::Render(LoadError::Unusable(lost))) => {
            issue("render::tools_lost", lost.to_string(), "wire a chat template that shows everything into `template`")
        }
        Err(other) => {
            let message = format!("the model's tokenizer or chat template can't be used: {}", other.message());
            issue("render::unusable_model", message, "mend the files, or wire another model in")
        }
    }
}

/// Only what nobody would expect: that `auto` has not chosen what the template itself does.
fn note(mode: ToolMode, renderer: &Renderer) -> Option<String> {
    let style = renderer.style().filter(|style| mode == ToolMode::Auto && style.inline)?;
    Some(format!("tools are shown in {style}: {}", renderer.avoided().first()?))
}

/// Why there is no renderer.
enum Unloadable {
    Input(StageError),
    Render(LoadError),
}

impl Unloadable {
    fn message(&self) -> String {
        match self {
            Self::Input(error) => error.to_string(),
            Self::Render(error) => error.to_string(),
        }
    }
}

fn load(model: &Path, template: Option<&Path>, options: RenderOptions) -> Result<Renderer, Unloadable> {
    let template = template.map(read_template).transpose().map_err(Unloadable::Input)?;
    let folder = tokenizer_of(model).map_err(Unloadable::Input)?;
    Renderer::load(&folder, template.as_deref(), options).map_err(Unloadable::Render)
}
