//! A stream of any bytes as lines that people can be shown, in bounded memory.

use std::io::Read;

/// The longest line that is shown whole, in bytes.
const LONGEST: usize = 4096;

/// Reads to the end and gives each line: what is no UTF-8 and what would steer a terminal is replaced, what a carriage
/// return overwrites is left out, what is too long is cut. A stream that breaks has ended.
pub(super) fn read(mut stream: impl Read, mut line: impl FnMut(&str)) {
    let mut buffer = [0; 16 << 10];
    let mut begun = Line::default();
    loop {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => {
                for part in buffer[..count].split_inclusive(|byte| *byte == b'\n') {
                    begun.push(part.strip_suffix(b"\n").unwrap_or(part));
                    if part.ends_with(b"\n") {
                        line(&std::mem::take(&mut begun).shown());
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
        }
    }
    if !begun.bytes.is_empty() {
        line(&begun.shown());
    }
}

#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    cut: bool,
}

impl Line {
    fn push(&mut self, part: &[u8]) {
        let room = LONGEST - self.bytes.len();
        self.cut |= part.len() > room;
        self.bytes.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn shown(self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        let last = text.rsplit('\r').next().unwrap_or_default();
        let clean = |letter: char| if letter.is_control() && letter != '\t' { '\u{fffd}' } else { letter };
        let cut = self.cut.then_some('…');
        last.chars().map(clean).chain(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        read(bytes, |line| found.push(line.to_owned()));
        found
    }

    #[test]
    fn lines_are_cleaned_and_a_last_one_needs_no_end() {
        assert_eq!(lines(b"one\r\n\ntwo\xff\x1b[31m\nthree"), ["one", "", "two\u{fffd}\u{fffd}[31m", "three"]);
        assert_eq!(lines(b"10%\r50%\r100%\n"), ["100%"]);
    }

    #[test]
    fn a_line_without_end_costs_no_more_than_a_long_one() {
        let found = lines(&vec![b'x'; 1 << 20]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].chars().count(), LONGEST + 1);
        assert!(found[0].ends_with('…'));
    }
}
