//! Rewrites of a template's text before it is compiled, each keeping lines and whitespace control.
//!
//! `{% generation %}`, transformers' mark around what the assistant says, becomes a filter block that changes nothing
//! and has the same scope. What loops walk and what is assigned goes through a filter (see [`super::kept`]):
//! `{% for x in EXPRESSION %}` walks `(EXPRESSION) | each_item`, `{% set x = EXPRESSION %}` sets
//! `(EXPRESSION) | kept`, and the names of `macro` and `with` blocks are set again. Comments, raw blocks and plain
//! text are left alone. Printed sums with a `safe` part are [`super::markup`]'s.

use std::borrow::Cow;
use std::ops::Range;

use super::markup;

/// The filter that stands for a generation block.
pub(super) const GENERATION: &str = "generation";
/// The filter around what a loop walks.
pub(super) const EACH: &str = "each_item";
/// The filter around what is assigned to a name.
pub(super) const KEPT: &str = "kept";
/// The filter around what is assigned to a name in a namespace.
pub(super) const KEPT_IN_NAMESPACE: &str = "kept_in_namespace";

/// Rewrites a template.
pub(super) fn rewrite(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + source.len() / 16);
    let mut rest = source;
    while let Some((before, opening)) = next_opening(rest) {
        out.push_str(before);
        let close = match &opening[..2] {
            "{#" => opening.find("#}").map(|at| at + 2),
            "{{" => closing(opening, "}}"),
            _ => closing(opening, "%}"),
        };
        let Some(end) = close else {
            out.push_str(opening);
            return out;
        };
        let (tag, after) = opening.split_at(end);
        rest = after;
        if !tag.starts_with("{%") {
            out.push_str(&markup::rewritten(tag).map_or(Cow::Borrowed(tag), Cow::Owned));
            continue;
        }
        push_tag(&mut out, tag);
        if keyword(tag) == "raw" {
            let end = raw_end(rest);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    out
}

pub(super) fn next_opening(text: &str) -> Option<(&str, &str)> {
    let at = text.as_bytes().windows(2).position(|pair| matches!(pair, b"{%" | b"{{" | b"{#"))?;
    Some(text.split_at(at))
}

/// The end of a tag, not fooled by its delimiter inside a string.
pub(super) fn closing(tag: &str, delimiter: &str) -> Option<usize> {
    let mut quoting = Quoting::default();
    let mut depth = 0usize;
    for (at, letter) in tag.char_indices().skip(2) {
        if quoting.inside(letter) {
            continue;
        }
        // `{{ {"a": {}} }}` closes at the last pair only.
        if depth == 0 && tag[at..].starts_with(delimiter) {
            return Some(at + 2);
        }
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn push_tag(out: &mut String, tag: &str) {
    match keyword(tag) {
        "generation" => out.push_str(&tag.replacen("generation", &format!("filter {GENERATION}"), 1)),
        "endgeneration" => out.push_str(&tag.replacen("endgeneration", "endfilter", 1)),
        "for" => push_filtered(out, tag, looped(tag), EACH),
        "set" => {
            let assigned = assigned(tag);
            let attribute = assigned.is_some_and(|(start, _)| tag[..start].contains('.'));
            push_filtered(out, tag, assigned, if attribute { KEPT_IN_NAMESPACE } else { KEPT });
        }
        "macro" => {
            let open = tag.find('(').map_or(tag.len(), |at| at + 1);
            push_named(out, tag, open..tag.rfind(')').unwrap_or(0));
        }
        "with" => push_named(out, tag, tag.find("with").map_or(0, |at| at + 4)..body_end(tag)),
        _ => out.push_str(tag),
    }
}

fn push_filtered(out: &mut String, tag: &str, expression: Option<(usize, usize)>, filter: &str) {
    let Some((start, end)) = expression else {
        out.push_str(tag);
        return;
    };
    out.push_str(&tag[..start]);
    out.push_str(" (");
    out.push_str(&tag[start..end]);
    out.push_str(") | ");
    out.push_str(filter);
    out.push(' ');
    out.push_str(&tag[end..]);
}

/// The tag, and after it an assignment for each name that the list in its middle declares.
fn push_named(out: &mut String, tag: &str, list: Range<usize>) {
    out.push_str(tag);
    if list.is_empty() {
        return;
    }
    let text = &tag[list];
    let mut commas: Vec<usize> = top_level(text).filter(|(_, letter)| *letter == ',').map(|(at, _)| at).collect();
    commas.push(text.len());
    let mut start = 0;
    for comma in commas {
        let declared = &text[start..comma];
        start = comma + 1;
        let name = declared.split('=').next().unwrap_or_default().trim();
        let is_name = name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        if is_name && name.starts_with(|first: char| first.is_alphabetic() || first == '_') {
            let close = &tag[body_end(tag)..];
            out.extend(["{% set ", name, " = ", name, " | ", KEPT, " ", close]);
        }
    }
}

/// Where a tag's closing delimiter begins, with its whitespace control.
fn body_end(tag: &str) -> usize {
    let end = tag.len() - 2;
    end - usize::from(tag[..end].ends_with(['-', '+']))
}

/// The bytes of the expression after the `=` of an assignment; a block assignment has none.
fn assigned(tag: &str) -> Option<(usize, usize)> {
    let end = body_end(tag);
    let bytes = tag.as_bytes();
    let equals = top_level(&tag[..end]).map(|(at, _)| at).find(|at| {
        bytes[*at] == b'=' && bytes[at + 1] != b'=' && !matches!(bytes[at - 1], b'=' | b'!' | b'<' | b'>')
    })?;
    Some((equals + 1, end))
}

/// The characters of a tag, or of a part of one, outside strings and brackets.
pub(super) fn top_level(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quoting = Quoting::default();
    let mut depth = 0usize;
    // The tag's own `{%` is no bracket.
    let start = if text.starts_with("{%") { 2 } else { 0 };
    text.char_indices().skip(start).filter(move |(_, letter)| {
        if quoting.inside(*letter) {
            return false;
        }
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    })
}

pub(super) fn keyword(tag: &str) -> &str {
    let inner = tag[2..].trim_start_matches(['-', '+']).trim_start();
    inner.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next().unwrap_or_default()
}

/// The bytes of the expression between `in` and the loop's `if`, `recursive` or end.
fn looped(tag: &str) -> Option<(usize, usize)> {
    let body_end = body_end(tag);
    let (mut start, mut word_start) = (None, None::<(usize, usize)>);
    for (at, letter) in top_level(&tag[..body_end]).chain([(body_end, ' ')]) {
        let joins = letter.is_alphanumeric() || letter == '_' || letter == '.';
        // A string or bracket in between ends a word too.
        let word = word_start.filter(|(_, end)| !joins || *end != at);
        if let Some((from, to)) = word {
            match (&tag[from..to], start) {
                ("in", None) => start = Some(to),
                ("if" | "recursive", Some(start)) => return Some((start, from)),
                _ => {}
            }
            word_start = None;
        }
        if joins {
            let end = at + letter.len_utf8();
            word_start = Some((word_start.map_or(at, |(from, _)| from), end));
        }
    }
    start.map(|start| (start, body_end))
}

/// Where the tag that ends a raw block begins.
pub(super) fn raw_end(text: &str) -> usize {
    let ends = text.match_indices("{%").map(|(at, _)| at);
    ends.into_iter().find(|at| keyword(&text[*at..]) == "endraw").unwrap_or(text.len())
}

/// Whether a letter belongs to a string literal.
#[derive(Default)]
pub(super) struct Quoting {
    quote: Option<char>,
    escaped: bool,
}

impl Quoting {
    pub(super) fn inside(&mut self, letter: char) -> bool {
        match self.quote {
            None if letter == '"' || letter == '\'' => self.quote = Some(letter),
            None => return false,
            Some(_) if self.escaped => self.escaped = false,
            Some(_) if letter == '\\' => self.escaped = true,
            Some(quote) if letter == quote => self.quote = None,
            Some(_) => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_and_generation_blocks_are_rewritten_and_nothing_else() {
        let cases = [
            ("{%- for m in messages -%}", "{%- for m in ( messages ) | each_item -%}"),
            ("{% for k, v in a['in if'].b() %}", "{% for k, v in ( a['in if'].b() ) | each_item %}"),
            ("{% for m in x if m in y %}", "{% for m in ( x ) | each_item if m in y %}"),
            ("{% for m in (a if b) recursive %}", "{% for m in ( (a if b) ) | each_item recursive %}"),
            ("{%- generation -%}a{% endgeneration %}", "{%- filter generation -%}a{% endfilter %}"),
            ("{# {% for m in x %} #}", "{# {% for m in x %} #}"),
            ("{% raw %}{% for m in x %}{% endraw %}", "{% raw %}{% for m in x %}{% endraw %}"),
            ("{{ '{% generation %}' }}", "{{ '{% generation %}' }}"),
            ("{% for m in (x)if(y) %}", "{% for m in ( (x)) | each_item if(y) %}"),
            ("{{ {'a': {}} }}{% set y = {'b': 1} -%}", "{{ {'a': {}} }}{% set y = ( {'b': 1} ) | kept -%}"),
            ("{% set a.b = c == d %}", "{% set a.b = ( c == d ) | kept_in_namespace %}"),
            ("{% set x | default(v=1) %}y{% endset %}", "{% set x | default(v=1) %}y{% endset %}"),
            ("{% set ns = namespace(a=1) %}", "{% set ns = ( namespace(a=1) ) | kept %}"),
            (
                "{%- macro f(a, b='x,y') -%}",
                "{%- macro f(a, b='x,y') -%}{% set a = a | kept -%}{% set b = b | kept -%}",
            ),
            ("{% macro f() %}", "{% macro f() %}"),
            (
                "{% with a = (1, 2), b = 3 %}",
                "{% with a = (1, 2), b = 3 %}{% set a = a | kept %}{% set b = b | kept %}",
            ),
        ];
        for (source, expected) in cases {
            assert_eq!(rewrite(source), expected);
        }
    }

    #[test]
    fn unclosed_and_foreign_text_comes_through() {
        for source in ["{% for", "{{ 'a", "{# é", "é {", "{%%}", "{%-%}", "{% for x in", "{%macro%}", "{% with %}"] {
            assert_eq!(rewrite(source), source);
        }
    }
}
