//! Strings and numbers: checked here to the last digit, copied as they are later.

use super::fault::{Fault, FaultKind};
use super::parse::{Parsed, Parser};
use super::scan::plain_end;
use super::string::Spelling;
use super::value::Kind;

impl Parser<'_, '_> {
    /// Passes a string.
    pub fn string(&mut self) -> Parsed<()> {
        let start = self.at + 1;
        let mut spelling = Spelling::Plain;
        self.at = start;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let found = self.escape()?;
                    if spelling != Spelling::Free {
                        spelling = found;
                    }
                }
                Some(control) => return Err(Fault::new(self.at, FaultKind::ControlCharacter(control))),
                None => return Err(self.unexpected("the `\"` that ends the string")),
            }
        }
        self.push(Kind::Text(spelling), start, self.at);
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Parsed<Spelling> {
        let spelling = match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => Spelling::Canonical,
            Some(b'/') => Spelling::Free,
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(Fault::new(self.at, FaultKind::BadEscape(self.excerpt(2)))),
        };
        self.at += 2;
        Ok(spelling)
    }

    fn unicode_escape(&mut self) -> Parsed<Spelling> {
        let unit = |at: usize| {
            let digits = self.bytes.get(at..at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
        };
        let length = match unit(self.at + 2) {
            None => return Err(Fault::new(self.at, FaultKind::BadEscape(self.excerpt(6)))),
            Some(0xd800..=0xdbff) => match self.bytes.get(self.at + 6..self.at + 8) {
                Some(b"\\u") if matches!(unit(self.at + 8), Some(0xdc00..=0xdfff)) => 12,
                _ => return Err(Fault::new(self.at, FaultKind::LoneSurrogate(self.excerpt(6)))),
            },
            Some(0xdc00..=0xdfff) => return Err(Fault::new(self.at, FaultKind::LoneSurrogate(self.excerpt(6)))),
            Some(_) => 6,
        };
        self.at += length;
        Ok(Spelling::Free)
    }

    /// Passes a number.
    pub fn number(&mut self) -> Parsed<()> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let leading_zero = self.peek() == Some(b'0');
        let digits = self.digits()?;
        if leading_zero && digits > 1 {
            self.at = start;
            return Err(self.unexpected("a number without leading zeros"));
        }
        let mut float = false;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            float = true;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
            float = true;
        }
        let text = &self.text[start..self.at];
        // `-0` is no integer: its sign would be lost.
        let kind = if float || text == "-0" { Kind::Float } else { Kind::Integer };
        if kind == Kind::Float && !text.parse().is_ok_and(f64::is_finite) {
            return Err(Fault::new(start, FaultKind::FloatTooLarge(self.number_excerpt(start))));
        }
        if kind == Kind::Integer && digits > 18 && text.parse::<i64>().is_err() && text.parse::<u64>().is_err() {
            return Err(Fault::new(start, FaultKind::IntegerTooLarge(self.number_excerpt(start))));
        }
        self.push(kind, start, self.at);
        Ok(())
    }

    fn digits(&mut self) -> Parsed<usize> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.unexpected("a digit"));
        }
        self.at += count;
        Ok(count)
    }

    #[cold]
    fn excerpt(&self, characters: usize) -> String {
        self.text[self.at..].chars().take(characters).collect()
    }

    #[cold]
    fn number_excerpt(&self, start: usize) -> String {
        let text = &self.text[start..self.at];
        if text.len() <= 40 { text.to_owned() } else { format!("{}… ({} characters)", &text[..40], text.len()) }
    }
}
