//! `pipe models show`: what a model is, without running it. One that is not supported is shown as far as it can be read.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, models, project};
use crate::diagnostic::with_causes;
use crate::model::{self, Description, FormatUsage, ModelFile, Sizes};
use crate::report::units;
use crate::source::Source;
use crate::stages::tokenizer_of;
use crate::text::prompts::{LoadError, RenderOptions, Renderer};
use crate::text::tokenize::Tokenizer;

/// What is shown; with `--json`, the document.
#[derive(Debug, Serialize)]
struct Shown {
    version: u32,
    path: PathBuf,
    size_bytes: u64,
    model: Description,
    tokenizer: Option<TokenizerShown>,
    chat_template: TemplateShown,
    /// What is wrong with the tokenizer or the template.
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct TokenizerShown {
    kind: &'static str,
    tokens: usize,
    added_tokens: usize,
    special_tokens: Vec<Special>,
    /// The ids at which generation stops.
    stop_ids: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct Special {
    role: String,
    token: String,
    /// None where the vocabulary has no such token.
    id: Option<u32>,
}

#[derive(Debug, Default, Serialize)]
struct TemplateShown {
    present: bool,
    /// Whether a conversation with tools reaches the model whole, as the template itself writes it.
    native_tools: Option<bool>,
    /// How conversations would be put, `tool_mode: auto`.
    style: Option<String>,
    /// What better styles lose.
    lost: Vec<String>,
}

pub fn show(model: &str, session: &Session) -> Result<Exit, Failure> {
    let path = place(model, session)?;
    let description = model::describe(&path).map_err(|error| {
        let cause = std::error::Error::source(&error);
        Failure::Usage(with_causes(error.to_string(), cause))
    })?;
    let mut shown = Shown {
        version: 1,
        size_bytes: models::size_bytes(&path, models::Links::Followed),
        path,
        model: description,
        tokenizer: None,
        chat_template: TemplateShown::default(),
        problems: Vec::new(),
    };
    look_at_text(&mut shown);
    if session.console.json {
        say(&serde_json::to_string(&shown).unwrap_or_default());
    } else {
        say(&page(&shown));
    }
    Ok(Exit::Ok)
}

/// Where the model lies: a path as it is, a source where it was fetched to.
fn place(model: &str, session: &Session) -> Result<PathBuf, Failure> {
    match Source::parse(model).map_err(|error| Failure::Usage(error.to_string()))? {
        Source::File(path) => Ok(PathBuf::from(path)),
        Source::Experiment(_) => Err(Failure::Usage(format!("`{model}` is no model's folder, GGUF file or source"))),
        source => models::sources_of(session, &project::current_root()).locate(&source).ok_or_else(|| {
            Failure::Usage(format!("`{source}` was not fetched yet; `pipe models pull {source}` fetches it"))
        }),
    }
}

/// Tokenizer and chat template; what can't be read is a problem, since the rest is still worth showing.
fn look_at_text(shown: &mut Shown) {
    let folder = match tokenizer_of(&shown.path) {
        Ok(folder) => folder,
        Err(error) => return shown.problems.push(error.to_string()),
    };
    let tokenizer = match Tokenizer::load(&folder) {
        Ok(tokenizer) => tokenizer,
        Err(error) => return shown.problems.push(error.to_string()),
    };
    let special = tokenizer.special_tokens().iter().map(|(role, token)| Special {
        role: role.to_owned(),
        token: token.to_owned(),
        id: tokenizer.token_id(token),
    });
    shown.tokenizer = Some(TokenizerShown {
        kind: tokenizer.kind(),
        tokens: tokenizer.vocab_size(),
        added_tokens: tokenizer.added_tokens().len(),
        special_tokens: special.collect(),
        stop_ids: Vec::new(),
    });
    let template = &mut shown.chat_template;
    match Renderer::load(&folder, None, RenderOptions::default()) {
        Ok(renderer) => {
            let style = renderer.style();
            template.present = style.is_some();
            template.native_tools = style.map(|style| !style.inline);
            template.style = style.map(|style| style.to_string());
            template.lost = renderer.avoided().to_vec();
            if let Some(tokenizer) = &mut shown.tokenizer {
                tokenizer.stop_ids = renderer.stop_ids();
            }
        }
        Err(LoadError::Unusable(unusable)) => {
            *template = TemplateShown { present: true, native_tools: Some(false), style: None, lost: unusable.0 };
        }
        Err(error) => shown.problems.push(error.to_string()),
    }
}

fn page(shown: &Shown) -> String {
    let Description { file, family, sizes, tied_head, parameters, formats, tensors_fit, problems } = &shown.model;
    let mut lines = Vec::new();
    let mut line = |label: &str, text: String| lines.push(format!("{label:<12} {text}").trim_end().to_owned());
    let stored = match file {
        ModelFile::Safetensors => "safetensors",
        ModelFile::Gguf => "GGUF",
    };
    line("path", shown.path.display().to_string());
    line("family", format!("{} ({stored})", family.as_deref().unwrap_or("unknown")));
    line("sizes", sizes_text(sizes));
    let head = match tied_head {
        Some(true) => "the embedding",
        Some(false) => "of its own",
        None => "none, or unknown",
    };
    line("head", head.to_owned());
    line("parameters", units::number(*parameters as f64));
    for FormatUsage { format, tensors, numbers, size_bytes, readable } in formats {
        let bytes = size_bytes.map_or_else(|| "size unknown".to_owned(), units::bytes);
        let refused = if *readable { "" } else { ", can't be read" };
        let tensors = units::count(usize::try_from(*tensors).unwrap_or(usize::MAX), "tensor");
        line("weights", format!("{format}: {tensors}, {} numbers, {bytes}{refused}", units::number(*numbers as f64)));
    }
    let fit = match tensors_fit {
        Some(true) => "all of the configuration's, and no other",
        Some(false) => "not those of the configuration",
        None => "not compared with the configuration",
    };
    line("tensors", fit.to_owned());
    line("on disk", units::bytes(shown.size_bytes));
    match &shown.tokenizer {
        None => line("tokenizer", "none that can be read".to_owned()),
        Some(tokenizer) => {
            let TokenizerShown { kind, tokens, added_tokens, special_tokens, stop_ids } = tokenizer;
            line("tokenizer", format!("{kind}, {}, {added_tokens} of them added", units::count(*tokens, "token")));
            for Special { role, token, id } in special_tokens {
                let id = id.map_or_else(|| "not in the vocabulary".to_owned(), |id| id.to_string());
                line("", format!("{role} {token:?} ({id})"));
            }
            let ids: Vec<String> = stop_ids.iter().map(ToString::to_string).collect();
            line("stops at", if ids.is_empty() { "no token".to_owned() } else { ids.join(", ") });
        }
    }
    let template = &shown.chat_template;
    let text = match (template.present, template.native_tools, &template.style) {
        (false, ..) => "none".to_owned(),
        (true, Some(true), _) => "present; shows tools natively".to_owned(),
        (true, _, Some(style)) => format!("present; does not show tools, which go in {style}"),
        (true, _, None) => "present; can't show a conversation with tools".to_owned(),
    };
    line("template", text);
    for lost in &template.lost {
        line("", lost.clone());
    }
    for problem in problems {
        line("NOT RUNNABLE", problem.clone());
    }
    for problem in &shown.problems {
        line("PROBLEM", problem.clone());
    }
    lines.join("\n")
}

fn sizes_text(sizes: &Sizes) -> String {
    let Sizes { layers, d_model, d_ff, n_heads, n_kv_heads, head_dim, vocab, context } = sizes;
    let all = [
        ("layers", layers),
        ("d_model", d_model),
        ("d_ff", d_ff),
        ("n_heads", n_heads),
        ("n_kv_heads", n_kv_heads),
        ("head_dim", head_dim),
        ("vocab", vocab),
        ("context", context),
    ];
    let known = all.iter().filter_map(|(name, size)| Some(format!("{name} {}", (**size)?)));
    let text = known.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "unknown".to_owned() } else { text }
}
