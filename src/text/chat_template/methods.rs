//! Python's methods of strings and dicts, each paid for before it is called.
//!
//! minijinja's own filters check that the fuel pays for what they will write; the methods of `minijinja_contrib` do not,
//! and `x.replace('', long).replace('', long)` would fill the memory at the cost of two instructions.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, State};

/// How many bytes cost one unit of fuel, as in minijinja.
const BYTES_PER_UNIT: usize = 64;
/// What a value that is no text may have as text, for an estimate.
const PLAIN_BYTES: usize = 32;

/// Calls a method; for `set_unknown_method_callback`.
pub(super) fn call(state: &mut State, value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let bytes = value.as_str().map_or(0, |text| written(text, method, arguments));
    state.consume_fuel((bytes / BYTES_PER_UNIT) as u64)?;
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)
}

/// At most how many bytes a method of a text gives.
fn written(text: &str, method: &str, arguments: &[Value]) -> usize {
    let argument = |at: usize| arguments.get(at).and_then(Value::as_str).unwrap_or_default();
    match method {
        "replace" => {
            let times = match argument(0) {
                "" => text.len() + 1,
                old => text.matches(old).count(),
            };
            text.len().saturating_add(times.saturating_mul(argument(1).len()))
        }
        "join" => arguments.first().map_or(0, |items| joined(items, text.len())),
        "format" => {
            // A width or precision such as `{:>99999999}`, and what is put in.
            let numbers = text.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| !digits.is_empty());
            let widths = numbers.map(|digits| digits.parse().unwrap_or(usize::MAX)).fold(0, usize::saturating_add);
            let largest = arguments.iter().map(size).max().unwrap_or(0);
            text.len().saturating_add(widths).saturating_add(text.matches('{').count().saturating_mul(largest))
        }
        // The others give at most what they have, twice for letters whose capitals are longer.
        _ => text.len().saturating_mul(2),
    }
}

fn joined(items: &Value, separator: usize) -> usize {
    let sizes = items.try_iter().into_iter().flatten().map(|item| size(&item).saturating_add(separator));
    sizes.fold(0, usize::saturating_add)
}

fn size(value: &Value) -> usize {
    if value.kind() == ValueKind::String { value.as_str().map_or(0, str::len) } else { PLAIN_BYTES }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_method_writes_is_estimated_from_above() {
        let texts = |texts: &[&str]| texts.iter().map(|text| Value::from(*text)).collect::<Vec<_>>();
        assert_eq!(written("aba", "replace", &texts(&["a", "xyz"])), 3 + 2 * 3);
        assert_eq!(written("aba", "replace", &texts(&["", "xyz"])), 3 + 4 * 3);
        assert_eq!(written(", ", "join", &[Value::from(texts(&["one", "two"]))]), 2 * 3 + 2 * 2);
        assert!(written("{:>9999}", "format", &[Value::from(1)]) >= 9999);
        assert_eq!(written("{:>99999999999999999999999}", "format", &[Value::from(1)]), usize::MAX);
        assert!(written("{}{}", "format", &texts(&["x".repeat(100).as_str()])) >= 200);
        assert_eq!(written("abc", "upper", &[]), 6);
    }
}
