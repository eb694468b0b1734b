//! The Jinja that transformers speaks, on top of minijinja.
//!
//! Five things differ from plain minijinja: `tojson` is Python's `json.dumps`; values print as Python's `str`;
//! `{% generation %}` blocks exist; generators are generators; what is added to a `safe` string is escaped. Source: `transformers.utils.chat_template_utils`.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior};

use super::clock::Clock;
use super::generator::{self, Generator};
use super::json_dumps::{JsonStyle, json_dumps};
use super::kept;
use super::markup;
use super::methods;
use super::python::str_of;
use super::rewrite;

/// What one rendering may spend: an instruction costs 1, 64 bytes cost 1. A long conversation of a big template needs
/// some ten thousand.
const FUEL: u64 = 4_000_000;

/// An environment that renders chat templates as transformers does.
pub(super) fn environment(clock: Clock) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_syntax(syntax());
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|out, state, value| {
        if value.kind() == ValueKind::String {
            out.write_str(value.as_str().unwrap_or_default()).map_err(Error::from)
        } else {
            let text = str_of(value)?;
            state.consume_fuel(text.len() as u64 / 4)?;
            out.write_str(&text).map_err(Error::from)
        }
    });
    environment.add_filter("tojson", to_json);
    environment.add_filter("string", |value: &Value| str_of(value));
    environment.add_filter(rewrite::GENERATION, |body: Value| body);
    environment.add_filter(markup::SUM, |parts: &Value| markup::sum(parts));
    environment.add_filter(rewrite::EACH, kept::each);
    environment.add_filter(rewrite::KEPT, kept::kept);
    environment.add_filter(rewrite::KEPT_IN_NAMESPACE, kept::kept_in_namespace);
    // `self.NAME` of a template without blocks is undefined, not an error.
    environment.add_global("self", Value::from_pairs(std::iter::empty::<(&str, Value)>()));
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", is_sequence);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", move |format: &str| clock.format(format));
    generator::install(&mut environment);
    environment
}

fn syntax() -> SyntaxConfig {
    let mut builder = SyntaxConfig::builder();
    builder.trim_blocks(true).lstrip_blocks(true);
    // Only custom delimiters can be refused, and there are none.
    builder.build().unwrap_or_default()
}

/// `{{ value | tojson(ensure_ascii, indent, separators, sort_keys) }}`.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands arguments over by value")]
fn to_json(state: &State, value: &Value, arguments: Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let argument = |position: usize, name: &str| -> Result<Value, Error> {
        match arguments.get(position) {
            Some(value) => Ok(value.clone()),
            None => Ok(named.get::<Option<Value>>(name)?.unwrap_or_default()),
        }
    };
    let mut style = JsonStyle { ensure_ascii: argument(0, "ensure_ascii")?.is_true(), ..JsonStyle::default() };
    style.indent = indent_of(&argument(1, "indent")?)?;
    if style.indent.is_some() {
        style.item_separator = ",".into();
    }
    let separators = argument(2, "separators")?;
    if !separators.is_undefined() && !separators.is_none() {
        let pair: Vec<String> = separators.try_iter()?.map(|part| part.to_string()).collect();
        let [item, key] = <[String; 2]>::try_from(pair)
            .map_err(|_| Error::new(ErrorKind::InvalidOperation, "separators must be a pair"))?;
        style.item_separator = item;
        style.key_separator = key;
    }
    style.sort_keys = argument(3, "sort_keys")?.is_true();
    named.assert_all_used()?;
    let json = json_dumps(value, &style)?;
    state.consume_fuel(json.len() as u64 / 4)?;
    Ok(Value::from(json))
}

fn indent_of(value: &Value) -> Result<Option<String>, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(None),
        ValueKind::String => Ok(value.as_str().map(str::to_owned)),
        _ => match value.as_usize().or_else(|| value.is_true().then_some(1)) {
            Some(width) if width <= 64 => Ok(Some(" ".repeat(width))),
            _ => Err(Error::new(ErrorKind::InvalidOperation, format!("indent is `{value}`; expected at most `64`"))),
        },
    }
}

pub(super) fn is_iterable(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
        || value.is_undefined()
}

/// Whatever has a length and takes an index: in Python that is a string and a dict as well, but no generator.
fn is_sequence(value: &Value) -> bool {
    match value.kind() {
        ValueKind::String | ValueKind::Seq | ValueKind::Map => true,
        ValueKind::Iterable => value.downcast_object_ref::<Generator>().is_none(),
        _ => value.is_undefined(),
    }
}

/// The detail under which a template's own `raise_exception` travels through minijinja.
pub(super) const RAISED: &str = "raised: ";

fn raise_exception(message: &Value) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
}
