//! Placeholders in the words of a command: `{in.NAME}` and `{out.SLOT}`. All other braces stand for themselves.

/// A part of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Literal(&'a str),
    Input(&'a str),
    Output(&'a str),
}

/// The parts of a word, in order.
pub(super) fn split(word: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = word;
    while let Some((before, part, after)) = first(rest) {
        parts.extend((!before.is_empty()).then_some(Part::Literal(before)));
        parts.push(part);
        rest = after;
    }
    parts.extend((!rest.is_empty() || parts.is_empty()).then_some(Part::Literal(rest)));
    parts
}

/// The first placeholder, with what is before and after it.
fn first(word: &str) -> Option<(&str, Part<'_>, &str)> {
    word.match_indices('{').find_map(|(at, _)| {
        let (inside, after) = word[at + 1..].split_once('}')?;
        let part = match inside.split_once('.')? {
            ("in", name) => Part::Input(name),
            ("out", slot) => Part::Output(slot),
            _ => return None,
        };
        Some((&word[..at], part, after))
    })
}

/// The words that a word stands for. An input of several files that is a word of its own becomes as many words; inside a
/// word it is an error, given as its name.
pub(super) fn fill(
    word: &str,
    inputs: impl Fn(&str) -> Vec<String>,
    output: impl Fn(&str) -> String,
) -> Result<Vec<String>, String> {
    let parts = split(word);
    if let [Part::Input(name)] = parts.as_slice() {
        return Ok(inputs(name));
    }
    let mut filled = String::new();
    for part in parts {
        match part {
            Part::Literal(text) => filled.push_str(text),
            Part::Output(slot) => filled.push_str(&output(slot)),
            Part::Input(name) => match inputs(name).as_slice() {
                [only] => filled.push_str(only),
                _ => return Err(name.to_owned()),
            },
        }
    }
    Ok(vec![filled])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_inputs_and_outputs_are_placeholders() {
        use Part::{Input, Literal, Output};
        assert_eq!(split("--in={in.rows}"), [Literal("--in="), Input("rows")]);
        assert_eq!(split("{in.a}{out.b}"), [Input("a"), Output("b")]);
        for literal in ["", "{\"a\": 1}", "{in}", "{ in.a", "${x.y}", "{}", "{env.HOME}"] {
            assert_eq!(split(literal), [Literal(literal)]);
        }
        assert_eq!(split("{{in.a}}"), [Literal("{"), Input("a"), Literal("}")]);
    }

    #[test]
    fn several_files_are_several_words_or_an_error() {
        let inputs = |_: &str| vec!["1".to_owned(), "2".to_owned()];
        let output = |slot: &str| format!("out/{slot}");
        assert_eq!(fill("{in.a}", inputs, output), Ok(vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(fill("x={in.a}", inputs, output), Err("a".to_owned()));
        assert_eq!(fill("x={out.a}", inputs, output), Ok(vec!["x=out/a".to_owned()]));
    }
}
