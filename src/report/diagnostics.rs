//! Diagnostics as people read them: the message, each place with its line, what to do.
//!
//! A pure function of the diagnostic. Text from a manifest can't move the cursor or change colours: control characters
//! are shown as their pictures; a long line is cut around what it is about.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Label, Severity, SourceText};
use crate::engine::event::EVENT_VERSION;

/// A diagnostic as text, ending in a line break; with the terminal's colours or plain.
#[must_use]
pub fn render(diagnostic: &Diagnostic, colour: bool) -> String {
    let paint = Paint { colour, accent: if diagnostic.severity == Severity::Error { "1;31" } else { "1;33" } };
    let word = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let head = paint.accent(&format!("{word}[{}]", diagnostic.code));
    let mut text = format!("{head}: {}\n", paint.bold(&printable(&diagnostic.message)));
    let places = places(diagnostic);
    let gutter = places.iter().map(|place| place.line.to_string().len()).max().unwrap_or(1);
    for (index, place) in places.iter().enumerate() {
        write_place(&mut text, place, gutter, index == 0, &paint);
    }
    if let Some(help) = &diagnostic.help {
        let margin = if places.is_empty() { 1 } else { gutter + 1 };
        let lines = printable_lines(help).join(&format!("\n{:margin$}       ", ""));
        let _ = writeln!(text, "{:margin$}{} {}: {lines}", "", paint.dim("="), paint.bold("help"));
    }
    text
}

/// A diagnostic as one line of JSON, in the form of an event: `v`, `event`, `severity`, `code`, `message`, `places` (each
/// `file`, `line`, `column`, both 1-based and counted in characters, `text`) and `help`.
#[must_use]
pub fn to_json_line(diagnostic: &Diagnostic) -> String {
    let severity = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
    let place = |label: &Label| {
        let source = diagnostic.source.as_ref()?;
        let (line, column) = source.position(label.span.offset);
        Some(json!({ "file": &*source.name, "line": line, "column": column, "text": label.text }))
    };
    let places: Vec<Value> = diagnostic.labels.iter().filter_map(place).collect();
    let (code, message, help) = (diagnostic.code, &diagnostic.message, &diagnostic.help);
    json!({
        "v": EVENT_VERSION, "event": "diagnostic", "severity": severity, "code": code,
        "message": message, "places": places, "help": help,
    })
    .to_string()
}

/// Several diagnostics, with an empty line between them.
#[must_use]
pub fn render_all(diagnostics: &[Diagnostic], colour: bool) -> String {
    diagnostics.iter().map(|diagnostic| render(diagnostic, colour)).collect::<Vec<_>>().join("\n")
}

/// The most characters of a source line that are shown.
const WIDEST: usize = 120;

/// A label with its line of the source.
struct Place {
    file: String,
    line: usize,
    column: usize,
    shown: String,
    /// How far the underline is from the start of what is shown, and how long it is.
    underline: (usize, usize),
    text: String,
}

fn places(diagnostic: &Diagnostic) -> Vec<Place> {
    let Some(source) = &diagnostic.source else { return Vec::new() };
    diagnostic.labels.iter().map(|label| place(source, label)).collect()
}

fn place(source: &SourceText, label: &Label) -> Place {
    let (line, column) = source.position(label.span.offset);
    let text = source.text.split('\n').nth(line - 1).unwrap_or_default().trim_end_matches('\r');
    let characters: Vec<char> = text.chars().collect();
    let start = (column - 1).min(characters.len());
    let end = source.position(label.span.offset.saturating_add(label.span.length));
    let end = if end.0 == line { end.1 - 1 } else { characters.len() };
    let length = end.clamp(start, characters.len()) - start;
    let (shown, before) = cut(&characters, start, length);
    let underline = (before, length.clamp(1, WIDEST));
    Place {
        file: printable(&source.name),
        line,
        column,
        shown: printable(&shown),
        underline,
        text: printable(&label.text),
    }
}

/// The part of a line that is shown, and how many of its characters come before `start`.
fn cut(line: &[char], start: usize, length: usize) -> (String, usize) {
    if line.len() <= WIDEST {
        return (line.iter().collect(), start);
    }
    let room = WIDEST.saturating_sub(length) / 2;
    let first = start.saturating_sub(room).min(line.len() - WIDEST);
    let last = first + WIDEST;
    let mut shown = String::new();
    if first > 0 {
        shown.push('…');
    }
    shown.extend(&line[first..last]);
    if last < line.len() {
        shown.push('…');
    }
    (shown, start - first + usize::from(first > 0))
}

fn write_place(text: &mut String, place: &Place, gutter: usize, is_main: bool, paint: &Paint) {
    let arrow = paint.dim(if is_main { "-->" } else { ":::" });
    let bar = paint.dim("|");
    let number = paint.dim(&format!("{:>gutter$}", place.line));
    let (before, length) = place.underline;
    let marks = if is_main { paint.accent(&"^".repeat(length)) } else { paint.dim(&"-".repeat(length)) };
    let label = if place.text.is_empty() { String::new() } else { format!(" {}", place.text) };
    let _ = writeln!(text, "{:gutter$}{arrow} {}:{}:{}", "", place.file, place.line, place.column);
    let _ = writeln!(text, "{:gutter$} {bar}", "");
    let _ = writeln!(text, "{number} {bar} {}", place.shown.trim_end());
    let _ = writeln!(text, "{:gutter$} {bar} {:before$}{marks}{label}", "", "");
}

/// One character of width for each character: control characters as their pictures, a tab as a space.
fn printable(text: &str) -> String {
    let picture = |character: char| match character {
        '\t' => ' ',
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        // The other controls, and those that reorder or hide text.
        '\u{80}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => '\u{fffd}',
        other => other,
    };
    text.chars().map(picture).collect()
}

fn printable_lines(text: &str) -> Vec<String> {
    text.split('\n').map(printable).collect()
}

struct Paint {
    colour: bool,
    accent: &'static str,
}

impl Paint {
    fn accent(&self, text: &str) -> String {
        self.with(self.accent, text)
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Span;

    fn at(text: &str, offset: usize, length: usize) -> Diagnostic {
        let source = SourceText::new("a.yaml", text);
        Diagnostic::error("manifest::x", "it is wrong").at(&source, Span { offset, length }, "here")
    }

    #[test]
    fn a_place_shows_its_line_and_underlines_what_it_is_about() {
        let diagnostic = at("a: 1\nbé: two\n", 10, 3).help("write 2");
        let expected = "\
error[manifest::x]: it is wrong
 --> a.yaml:2:5
  |
2 | bé: two
  |     ^^^ here
  = help: write 2
";
        assert_eq!(render(&diagnostic, false), expected);
    }

    #[test]
    fn as_json_it_names_every_place() {
        let line = to_json_line(&at("a: 1\nbé: two\n", 10, 3).help("write 2"));
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["places"], json!([{ "file": "a.yaml", "line": 2, "column": 5, "text": "here" }]));
        assert_eq!((&value["event"], &value["severity"]), (&json!("diagnostic"), &json!("error")));
        assert_eq!((&value["code"], &value["help"]), (&json!("manifest::x"), &json!("write 2")));
    }

    #[test]
    fn without_a_place_there_is_no_margin() {
        let diagnostic = Diagnostic::warning("store::x", "careful").help("do");
        assert_eq!(render(&diagnostic, false), "warning[store::x]: careful\n = help: do\n");
        let red = render(&at("x", 0, 1), true);
        assert!(red.starts_with("\u{1b}[1;31merror[manifest::x]\u{1b}[0m: "), "{red:?}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}needle{}", "é".repeat(500), "y".repeat(500));
        let shown = render(&at(&text, 1000, 6), false);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() < 140), "{shown}");
        let (source, marks) = (lines[3], lines[4]);
        let column = marks.chars().position(|mark| mark == '^').expect("marks");
        assert_eq!(source.chars().skip(column).take(6).collect::<String>(), "needle");
    }

    #[test]
    fn a_span_over_several_lines_is_underlined_on_the_first() {
        let shown = render(&at("a:\n  b: 1\n  c: 2\n", 5, 11), false);
        assert!(shown.contains("2 |   b: 1\n  |   ^^^^ here"), "{shown}");
    }

    #[test]
    fn control_characters_of_a_source_do_not_reach_the_terminal() {
        let shown = render(&at("a: \u{1b}[31m\u{202e}x\ty\r\n", 3, 5), false);
        assert!(shown.chars().all(|character| character == '\n' || !character.is_control()), "{shown:?}");
        assert!(!shown.contains('\u{202e}'));
    }

    #[test]
    fn no_span_is_out_of_reach() {
        for (offset, length) in [(0, 0), (3, 99), (99, 1), (2, 0), (1, usize::MAX)] {
            assert!(render(&at("é\n", offset, length), false).contains("a.yaml:"));
        }
        assert!(render(&at("", 0, 0), false).contains("a.yaml:1:1"));
    }
}
