//! Writes the training files the way they arrive from people: comments, blank lines, duplicates, a broken line.
//! Every blemish is listed in `data/README.md`; none damages a good row.

use super::record::{Question, Trajectory};
use crate::random::Random;

/// The held-out file, which is clean.
pub fn clean(questions: &[Question]) -> String {
    let mut content = String::new();
    for question in questions {
        content.push_str(&question.json().to_string());
        content.push('\n');
    }
    content
}

/// The school file: line and block comments, a URL in a string, a trailing comma, a broken line, duplicates, a leak.
pub fn school(rows: &[Trajectory], stolen: &[Trajectory], random: &mut Random) -> String {
    let mut lines: Vec<String> = rows.iter().map(|row| row.json().to_string()).collect();
    for position in [3, 40, 77] {
        let copy = lines[position].clone();
        let place = random.between(position + 1, lines.len());
        lines.insert(place, copy);
    }
    for row in stolen {
        let place = random.index(lines.len());
        lines.insert(place, row.json().to_string());
    }
    lines[10].push_str("  // checked with the registrar");
    lines[25].push(',');
    lines[60] = format!("{} /* second opinion wanted */", lines[60]);
    lines.insert(90, LINKED.to_owned());
    lines.insert(120, BROKEN.to_owned());
    lines.insert(121, String::new());
    lines.insert(200, "/* rows from the spring term".to_owned());
    lines.insert(201, "   copied by hand, see https://example.org/notes */".to_owned());
    lines.insert(0, "// SFT samples: one JSON object per line".to_owned());
    lines.insert(1, String::new());
    format!("{}\n", lines.join("\n"))
}

const LINKED: &str = r#"{"instruction": "Where is the syllabus of Harbor High?", "tools": [{"name": "retrieve", "desc": "semantic search over notes", "args_schema": {"query": "str"}}], "trajectory": [{"thought": "Search the notes.", "action": {"tool": "retrieve", "args": {"query": "syllabus of Harbor High"}}, "observation": "Syllabus: https://harbor.example/s1. Map: https://harbor.example/m4."}], "final_answer": "https://harbor.example/s1"}"#;
const BROKEN: &str =
    r#"{"instruction": "Find the quiz weight for Oakdale High.", "tools": [{"name": "retrieve", "desc": "sem"#;

/// The algebra file: a byte order mark, Windows line ends, comments, blank lines, a duplicate.
pub fn algebra(rows: &[Trajectory], random: &mut Random) -> String {
    let mut lines: Vec<String> = rows.iter().map(|row| row.json().to_string()).collect();
    let copy = lines[5].clone();
    let place = random.between(6, lines.len());
    lines.insert(place, copy);
    lines[2].push_str(" // two steps");
    lines.insert(8, String::new());
    lines.insert(9, "// harder ones below".to_owned());
    lines.insert(0, "// Algebra SFT Dataset".to_owned());
    format!("\u{feff}{}\r\n", lines.join("\r\n"))
}
