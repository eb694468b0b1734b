//! Sums with a `| safe` part: in Python the part is a `Markup`, and what is added to it is escaped for HTML.
//!
//! A chat template has no use for HTML, but some say `safe`, and then what a model was trained on holds `&#34;`. A printed
//! sum with such a part is rewritten to a list and the filter [`SUM`]. Of such a sum that is assigned to a name first, or
//! stands inside of brackets, nothing is known here. Source: `markupsafe`, `Markup.__add__` and `escape`.

use minijinja::value::Value;
use minijinja::{Error, ErrorKind};

use super::rewrite::top_level;

/// The filter around the parts of a sum.
pub(super) const SUM: &str = "markup_sum";

/// A `{{ … }}` tag whose expression is such a sum, in its other form.
pub(super) fn rewritten(tag: &str) -> Option<String> {
    if !tag.contains("safe") {
        return None;
    }
    let (open, close) = (opening(tag)?, closing(tag)?);
    let expression = tag.get(open..close)?;
    let mut borders = vec![];
    for (at, letter) in top_level(expression) {
        match letter {
            '+' => borders.push(at),
            // Another operator: not a sum alone.
            '-' | '~' | '*' | '/' | '%' | '<' | '>' | '=' | '!' | ',' => return None,
            _ => {}
        }
    }
    let is_operator = |word: &str| matches!(word, "if" | "else" | "and" | "or" | "not" | "in" | "is");
    if words(expression).any(is_operator) || borders.is_empty() {
        return None;
    }
    let mut parts = Vec::new();
    let mut start = 0;
    for border in borders.into_iter().chain([expression.len()]) {
        parts.push(expression[start..border].trim());
        start = border + 1;
    }
    let is_safe = |part: &&str| part.rsplit_once('|').is_some_and(|(_, filter)| filter.trim() == "safe");
    if !parts.iter().any(is_safe) || parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    Some(format!("{} [{}] | {SUM} {}", &tag[..open], parts.join(", "), &tag[close..]))
}

fn opening(tag: &str) -> Option<usize> {
    let rest = tag.strip_prefix("{{")?;
    Some(2 + usize::from(rest.starts_with(['-', '+'])))
}

fn closing(tag: &str) -> Option<usize> {
    let rest = tag.strip_suffix("}}")?;
    Some(rest.len() - usize::from(rest.ends_with(['-', '+'])))
}

/// The words outside of strings and brackets.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    let mut kept = vec![false; expression.len()];
    top_level(expression).for_each(|(at, letter)| kept[at] = letter.is_alphanumeric() || letter == '_');
    let mut words = Vec::new();
    let mut start = None;
    for at in 0..=expression.len() {
        match (start, kept.get(at).copied().unwrap_or(false)) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                words.extend(expression.get(from..at));
                start = None;
            }
            _ => {}
        }
    }
    words.into_iter()
}

/// The sum of strings, from left to right.
pub(super) fn sum(parts: &Value) -> Result<Value, Error> {
    let mut total = String::new();
    let mut is_markup = false;
    for (index, part) in parts.try_iter()?.enumerate() {
        let Some(text) = part.as_str() else {
            let message = format!("a {} is added to a string", part.kind());
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        };
        if part.is_safe() && !is_markup && index > 0 {
            total = escape(&total);
        }
        if is_markup && !part.is_safe() {
            total.push_str(&escape(text));
        } else {
            total.push_str(text);
        }
        is_markup |= part.is_safe();
    }
    Ok(if is_markup { Value::from_safe_string(total) } else { Value::from(total) })
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&#34;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_printed_sums_with_a_safe_part_are_rewritten() {
        assert_eq!(
            rewritten(r#"{{- "a + b"|safe + c["+"] + d | tojson() }}"#).as_deref(),
            Some(r#"{{- ["a + b"|safe, c["+"], d | tojson()] | markup_sum }}"#),
        );
        for tag in [
            "{{ a + b }}",
            "{{ a | safe }}",
            "{{ a + (b | safe + c) }}",
            "{{ 'safe' + b }}",
            "{{ a | safe + b if c else d }}",
            "{{ a | safe ~ b + c }}",
            "{{ a | safe + }}",
            "{{ é | safe",
            "{{}}",
        ] {
            assert_eq!(rewritten(tag), None, "{tag}");
        }
    }

    #[test]
    fn what_is_added_to_markup_is_escaped_on_either_side() {
        let safe = |text: &str| Value::from_safe_string(text.to_owned());
        let check = |parts: Vec<Value>, expected: &str| {
            assert_eq!(sum(&Value::from(parts)).expect("strings").as_str(), Some(expected));
        };
        // By markupsafe 3.0: `Markup("<") + "<'>" + Markup("&")`, `"a&" + Markup("<") + "\""`, `"<" + "&"`.
        check(vec![safe("<"), Value::from("<'>"), safe("&")], "<&lt;&#39;&gt;&");
        check(vec![Value::from("a&"), safe("<"), Value::from("\"")], "a&amp;<&#34;");
        check(vec![Value::from("<"), Value::from("&")], "<&");
        assert!(sum(&Value::from(vec![safe("a"), Value::from(1)])).is_err());
    }
}
