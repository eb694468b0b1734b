//! YAML 1.2 text into a spanned tree: the only file that knows the YAML library.
//!
//! Bounds size, depth, nodes and what aliases may expand to, so that no text makes it hang or grow. Refuses several
//! documents, custom tags, duplicate keys, NaN and infinities. Source: YAML 1.2.2, core schema; `<<` merges as in 1.1.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, NonFiniteFloatPolicy, Options};

use super::problems::Problems;
use super::tree::{Entry, Node, Spanned, Yaml, excerpt};
use crate::diagnostic::{Diagnostic, SourceText, Span};

const LARGEST_TEXT: usize = 4 << 20;
const LARGEST_SCALAR: usize = 64 << 10;
const MOST_NODES: usize = 200_000;
const MOST_ALIASED: usize = 20_000;
const DEEPEST: usize = 32;

/// Text as the source that spans point into: UTF-8, without a byte order mark.
///
/// # Errors
/// A diagnostic when it is too large or no UTF-8.
pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<SourceText, Box<Diagnostic>> {
    if bytes.len() > LARGEST_TEXT {
        let message = format!("`{name}` has {} bytes; expected at most {LARGEST_TEXT}", bytes.len());
        return Err(Box::new(Diagnostic::error("manifest::too_large", message).help("is this a manifest?")));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(SourceText::new(name, text)),
        Err(error) => {
            let source = SourceText::new(name, &String::from_utf8_lossy(bytes));
            let span = Span { offset: error.valid_up_to(), length: '\u{fffd}'.len_utf8() };
            let message = format!("byte `0x{:02x}` is not UTF-8", bytes[error.valid_up_to()]);
            let diagnostic = Diagnostic::error("manifest::not_utf8", message).at(&source, span, "");
            Err(Box::new(diagnostic.help("save the file as UTF-8")))
        }
    }
}

/// The tree of a text; what the tree may not hold is reported and marked invalid.
///
/// # Errors
/// A diagnostic when the text is no YAML.
pub(super) fn parse(source: &SourceText, problems: &mut Problems) -> Result<Node, Box<Diagnostic>> {
    let raw: serde_saphyr::Spanned<Raw> = serde_saphyr::from_str_with_options(&source.text, options())
        .map_err(|error| Box::new(syntax_error(source, &error)))?;
    Ok(node(raw, problems))
}

/// The text of a scalar whatever it looks like, as a typed reader of strings sees it: `1` is "1".
pub(super) fn scalar_text(text: &str) -> Option<String> {
    serde_saphyr::from_str_with_options(text, options()).ok()
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 3 * MOST_NODES,
            max_nodes: MOST_NODES,
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_documents: 1,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
            max_recorded_anchor_events: MOST_NODES,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_ALIASED,
            max_replay_stack_depth: 8,
        },
        // Seen by `node`, which reports every one of them instead of stopping at the first.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        // The core schema: `yes` and `1_000` are strings.
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        leading_zero_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
        emit_comments: false,
    }
}

/// What the library hands over, before it is checked.
enum Raw {
    Scalar(Yaml),
    List(Vec<serde_saphyr::Spanned<Raw>>),
    Map(Vec<(serde_saphyr::Spanned<String>, serde_saphyr::Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Yaml::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(Yaml::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Yaml::Int(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Yaml::Int(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Yaml::Float(value)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(Yaml::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// Checks what the library lets through.
fn node(raw: serde_saphyr::Spanned<Raw>, problems: &mut Problems) -> Node {
    let span = byte_span(&raw.defined).unwrap_or_default();
    match raw.value {
        Raw::Scalar(value) => Node { span, value: scalar(value, span, problems) },
        Raw::List(items) => {
            let items: Vec<Node> = items.into_iter().map(|item| node(item, problems)).collect();
            Node { span: enclosing(span, items.iter().map(|item| item.span)), value: Yaml::List(items) }
        }
        Raw::Map(raw) => {
            let mut first: HashMap<String, Span> = HashMap::with_capacity(raw.len());
            let mut entries = Vec::with_capacity(raw.len());
            for (key, value) in raw {
                let key = Spanned::new(key.value, byte_span(&key.defined).unwrap_or_default());
                let node = node(value, problems);
                if let Some(before) = first.get(&key.value) {
                    duplicate_key(&key, *before, problems);
                } else {
                    first.insert(key.value.clone(), key.span);
                    entries.push(Entry { key, node });
                }
            }
            let spans = entries.iter().flat_map(|entry| [entry.key.span, entry.node.span]);
            Node { span: enclosing(span, spans), value: Yaml::Map(entries) }
        }
    }
}

fn duplicate_key(key: &Spanned<String>, before: Span, problems: &mut Problems) {
    problems.add(|source| {
        Diagnostic::error("manifest::duplicate_key", format!("the key `{}` occurs twice", excerpt(&key.value)))
            .at(source, key.span, "again here")
            .at(source, before, "first here")
            .help("remove one of them")
    });
}

fn scalar(value: Yaml, span: Span, problems: &mut Problems) -> Yaml {
    match &value {
        Yaml::Float(number) if !number.is_finite() => {
            let text = problems.text(span);
            problems
                .error("manifest::not_finite", span, "", || format!("the number is `{text}`; expected a finite one"));
            Yaml::Invalid
        }
        Yaml::Text(text) if text.len() > LARGEST_SCALAR => {
            let length = text.len();
            problems.error("manifest::too_large", span, "", || {
                format!("the text has {length} bytes; expected at most {LARGEST_SCALAR}")
            });
            Yaml::Invalid
        }
        _ => value,
    }
}

/// The span from a collection's first byte to the end of what it holds; what came through an alias lies before it.
fn enclosing(start: Span, within: impl Iterator<Item = Span>) -> Span {
    let end = start.offset + start.length;
    let end =
        within.filter(|span| span.offset >= start.offset).map(|span| span.offset + span.length).fold(end, usize::max);
    Span { offset: start.offset, length: end - start.offset }
}

fn byte_span(location: &Location) -> Option<Span> {
    let span = location.span();
    let offset = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    Some(Span { offset, length })
}

/// Where in a text the library found a mistake.
pub(super) fn syntax_span(source: &SourceText, error: &Error) -> Span {
    error.location().map_or_else(Span::default, |location| {
        byte_span(&location).unwrap_or_else(|| character_span(&source.text, &location))
    })
}

fn syntax_error(source: &SourceText, error: &Error) -> Diagnostic {
    let span = syntax_span(source, error);
    let (code, message, help) = explain(error.without_snippet());
    let diagnostic = Diagnostic::error(code, message).at(source, span, "");
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// The scanner counts characters; spans count bytes.
fn character_span(text: &str, location: &Location) -> Span {
    let skip = usize::try_from(location.span().offset()).unwrap_or(usize::MAX);
    let offset = text.char_indices().nth(skip).map_or(text.len(), |(offset, _)| offset);
    Span { offset, length: text[offset..].chars().next().map_or(0, char::len_utf8) }
}

fn explain(error: &Error) -> (&'static str, String, Option<&'static str>) {
    const SYNTAX: &str = "manifest::syntax";
    const LARGE: &str = "manifest::too_large";
    let said = without_position(&error.to_string());
    match error {
        Error::MultipleDocuments { .. } | Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            (SYNTAX, "a second document begins here; expected one".to_owned(), Some("remove the line `---`"))
        }
        Error::NullIntoString { .. } => (SYNTAX, "a key is empty; expected a name".to_owned(), None),
        Error::Unexpected { expected: "string scalar", .. } => {
            (SYNTAX, "a key is a list or a map; expected a name".to_owned(), None)
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            (SYNTAX, "an alias stands inside its own anchor".to_owned(), None)
        }
        Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } => {
            (LARGE, format!("aliases expand to too much; expected at most {MOST_ALIASED} values"), None)
        }
        Error::Budget { breach, .. } => (LARGE, budget(breach), None),
        Error::AliasError { error, .. } => explain(error),
        _ if said == "recursion limit exceeded" => {
            (LARGE, format!("the nesting is too deep; expected at most {DEEPEST} levels"), None)
        }
        _ if said.contains("tab") => (SYNTAX, said, Some("indent with spaces")),
        _ => (SYNTAX, said, None),
    }
}

fn budget(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => format!("the nesting is too deep; expected at most {DEEPEST} levels"),
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            format!("there are too many values; expected at most {MOST_NODES}")
        }
        _ => "there are too many anchors, aliases or merges".to_owned(),
    }
}

/// The library's message without the position, which the diagnostic has already.
pub(super) fn without_position(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}
