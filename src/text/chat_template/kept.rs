//! What a template may keep in a variable or walk in a loop.
//!
//! Fuel bounds the instructions of a template, but minijinja joins lists lazily, so that a loop of `x = x + x` costs
//! nothing until somebody looks, and nested values recurse when they are compared, printed or dropped. So every value
//! that is assigned or walked goes through here: lazy lists become lists, and size and nesting are bounded.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::generator::Generator;

/// How many values one value may hold, all levels together.
const MAX_NODES: usize = 500_000;
/// How deep a value may nest.
const MAX_DEPTH: usize = 100;

/// `{% set name = value %}`, an argument of a macro, a name of a `with` block.
pub(super) fn kept(state: &State, value: Value) -> Result<Value, Error> {
    checked(state, value, false)
}

/// `{% set namespace.name = value %}`: no namespace may come to hold itself.
pub(super) fn kept_in_namespace(state: &State, value: Value) -> Result<Value, Error> {
    checked(state, value, true)
}

/// What a loop walks: anything Python can iterate. minijinja takes none for an empty list.
pub(super) fn each(state: &State, value: Value) -> Result<Value, Error> {
    if value.kind() == ValueKind::Plain || super::dialect::is_iterable(&value) {
        checked(state, value, false)
    } else {
        Err(refused(format!("value of type `{}` is not iterable", value.kind())))
    }
}

fn checked(state: &State, value: Value, no_namespace: bool) -> Result<Value, Error> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
        return Ok(value);
    }
    let mut walk = Walk { nodes: 0, no_namespace };
    walk.visit(&value, 0)?;
    state.consume_fuel(walk.nodes as u64 / 4)?;
    let lazy = value.as_object().is_some_and(|object| object.type_name().contains("::Merge"));
    match value.kind() {
        ValueKind::Iterable if !is_generator(&value) => Ok(value.try_iter()?.collect()),
        ValueKind::Seq if lazy => Ok(value.try_iter()?.collect()),
        ValueKind::Map if lazy => {
            let pairs = value.try_iter()?.map(|key| value.get_item(&key).map(|item| (key, item)));
            Ok(Value::from_pairs(pairs.collect::<Result<Vec<_>, Error>>()?))
        }
        _ => Ok(value),
    }
}

struct Walk {
    nodes: usize,
    no_namespace: bool,
}

impl Walk {
    fn visit(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(refused(format!("a value holds more than `{MAX_NODES}` others")));
        }
        if depth > MAX_DEPTH {
            return Err(refused(format!("a value nests deeper than `{MAX_DEPTH}` levels")));
        }
        match value.kind() {
            ValueKind::Map => {
                let namespace = value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"));
                if self.no_namespace && namespace {
                    return Err(refused("a namespace is put into a namespace".to_owned()));
                }
                value.try_iter()?.try_for_each(|key| self.visit(&value.get_item(&key)?, depth + 1))
            }
            ValueKind::Seq => value.try_iter()?.try_for_each(|item| self.visit(&item, depth + 1)),
            // A generator's values were bounded when it was made, and looking would use it up.
            ValueKind::Iterable if !is_generator(value) => {
                value.try_iter()?.try_for_each(|item| self.visit(&item, depth + 1))
            }
            _ => Ok(()),
        }
    }
}

fn is_generator(value: &Value) -> bool {
    value.downcast_object_ref::<Generator>().is_some()
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
