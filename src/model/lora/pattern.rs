//! PEFT's `rank_pattern` and `alpha_pattern`: modules with a number of their own instead of the one for all.
//!
//! PEFT matches each key as the regular expression `(.*\.)?(KEY)$`, and the first that matches wins
//! (`peft.utils.other.get_pattern_key`, since PEFT 0.15). Read here are keys that are the name of a module or the end of one:
//! a `^` pins a key to the beginning, `\.` is a dot and `.` any character. Other expressions are refused, not guessed at.

use serde_json::{Map, Value};

use crate::model::error::ModelError;

/// Numbers of single modules, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pattern<T> {
    keys: Vec<(Key, T)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    /// As the file has it.
    text: String,
    /// Whether it has to match from the beginning of the name.
    pinned: bool,
    /// What each character has to be; `None` matches any.
    characters: Vec<Option<char>>,
}

impl<T> Default for Pattern<T> {
    fn default() -> Self {
        Self { keys: Vec::new() }
    }
}

impl<T: Copy> Pattern<T> {
    /// Reads the object `field` of an adapter's configuration; `number` reads one of its values.
    ///
    /// # Errors
    /// It is no object, a key is an expression that is not read here, or a value is not as `expected`.
    pub(super) fn read(
        field: &str,
        value: Option<&Value>,
        expected: &str,
        number: impl Fn(&Value) -> Option<T>,
    ) -> Result<Self, ModelError> {
        let fields = match value {
            None => return Ok(Self::default()),
            Some(Value::Object(fields)) => fields,
            Some(other) => return Err(ModelError::field(field, other, "an object of module names and numbers")),
        };
        let entry = |(key, value): (&String, &Value)| {
            let number = number(value)
                .ok_or_else(|| ModelError::field(format!("{field}: {key}"), value, expected.to_owned()))?;
            Ok((Key::parse(field, key)?, number))
        };
        fields.iter().map(entry).collect::<Result<_, _>>().map(|keys| Self { keys })
    }

    /// The number of the module with this name, if it has one of its own.
    pub(super) fn get(&self, module: &str) -> Option<T> {
        self.keys.iter().find(|(key, _)| key.matches(module)).map(|(_, number)| *number)
    }

    /// The object as it was read.
    pub(super) fn to_json(&self, value: impl Fn(T) -> Value) -> Value {
        let fields: Map<String, Value> =
            self.keys.iter().map(|(key, number)| (key.text.clone(), value(*number))).collect();
        Value::Object(fields)
    }
}

impl Key {
    fn parse(field: &str, text: &str) -> Result<Self, ModelError> {
        let refused = || {
            let expected = "the name of a module or the end of one, as in `layers.0.mlp.up_proj`, with `^` before it or \
                            `\\.` for a dot; other regular expressions are not read";
            ModelError::field(field, text, expected)
        };
        let (pinned, rest) = text.strip_prefix('^').map_or((false, text), |rest| (true, rest));
        let mut characters = Vec::new();
        let mut left = rest.chars();
        while let Some(character) = left.next() {
            characters.push(match character {
                '.' => None,
                '\\' if left.next() == Some('.') => Some('.'),
                '\\' | '^' | '$' | '*' | '+' | '?' | '|' | '(' | ')' | '[' | ']' | '{' | '}' => return Err(refused()),
                other => Some(other),
            });
        }
        Ok(Self { text: text.to_owned(), pinned, characters })
    }

    fn matches(&self, module: &str) -> bool {
        let name: Vec<char> = module.chars().collect();
        let Some(start) = name.len().checked_sub(self.characters.len()) else { return false };
        let begins = start == 0 || !self.pinned && name[start - 1] == '.';
        begins && self.characters.iter().zip(&name[start..]).all(|(key, found)| key.is_none_or(|key| key == *found))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(key: &str, module: &str, expected: bool) {
        let pattern = Pattern::read("rank_pattern", Some(&json!({ key: 3 })), "a number", Value::as_u64);
        assert_eq!(pattern.expect("it is read").get(module).is_some(), expected, "`{key}` on `{module}`");
    }

    /// Each expectation is what `re.match(rf"(.*\.)?({key})$", module)` says.
    #[test]
    fn a_key_matches_what_pefts_expression_matches() {
        let module = "model.layers.11.self_attn.q_proj";
        for key in ["q_proj", "self_attn.q_proj", r"self_attn\.q_proj", module, "^model.layers.11.self_attn.q_proj"] {
            check(key, module, true);
        }
        check(r"^model\.layers\.11\.self_attn\.q_proj", module, true);
        check("layers.11.self_attn.q_proj", module, true);
        check("layers.1.self_attn.q_proj", module, false);
        check("1.self_attn.q_proj", module, false);
        check("^layers.11.self_attn.q_proj", module, false);
        check("proj", module, false);
        check("q.proj", module, true);
        check(r"q\.proj", module, false);
        check("q_pro", module, false);
        check("a.model.layers.11.self_attn.q_proj", module, false);
        check("", module, false);
    }

    #[test]
    fn the_first_key_that_matches_wins() {
        let json = json!({ "self_attn.q_proj": 1, "q_proj": 2 });
        let pattern = Pattern::read("rank_pattern", Some(&json), "a number", Value::as_u64).expect("it is read");
        assert_eq!(pattern.get("model.layers.0.self_attn.q_proj"), Some(1));
        assert_eq!(pattern.get("other.q_proj"), Some(2));
        assert_eq!(pattern.to_json(Value::from), json);
    }

    #[test]
    fn other_expressions_are_refused_by_name() {
        for key in
            [".*q_proj", "q_proj|k_proj", "(q)_proj", "layers.[01].q_proj", r"layers\.\d", "q_proj$", "a^b", "\\"]
        {
            let read = Pattern::read("rank_pattern", Some(&json!({ key: 3 })), "a number", Value::as_u64);
            let error = read.expect_err(key).to_string();
            assert!(error.contains("rank_pattern") && error.contains(key), "{error}");
        }
    }
}
