//! The pinned clock behind `strftime_now`.
//!
//! Some templates print today's date. A rendering that changes overnight can't be reproduced, so the time is a setting
//! and the real clock is never read. Calendar arithmetic after Howard Hinnant, "chrono-compatible low-level date
//! algorithms".

use std::fmt::Write as _;
use std::str::FromStr;

/// A civil time without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    year: i32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

impl Default for Clock {
    /// The first of January 2026, midnight.
    fn default() -> Self {
        Self { year: 2026, month: 1, day: 1, hour: 0, minute: 0, second: 0 }
    }
}

/// The text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("time is `{0}`; expected `YYYY-MM-DD` or `YYYY-MM-DDThh:mm:ss`")]
pub struct BadClock(String);

impl FromStr for Clock {
    type Err = BadClock;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadClock(text.chars().take(40).collect());
        let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00"));
        let [year, month, day] = fields(date, '-', [4, 2, 2]).ok_or_else(bad)?;
        let [hour, minute, second] = fields(time, ':', [2, 2, 2]).ok_or_else(bad)?;
        let year = i32::try_from(year).map_err(|_| bad())?;
        let valid = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if valid { Ok(Self { year, month, day, hour, minute, second }) } else { Err(bad()) }
    }
}

fn fields(text: &str, separator: char, widths: [usize; 3]) -> Option<[u32; 3]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let mut numbers = [0; 3];
    if parts.len() != 3 {
        return None;
    }
    for ((number, part), width) in numbers.iter_mut().zip(parts).zip(widths) {
        let digits = part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = digits.then(|| part.parse().ok())??;
    }
    Some(numbers)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Clock {
    /// Formats like C's `strftime` in the C locale; an unknown directive is kept as it is, like glibc does.
    #[must_use]
    pub fn format(&self, format: &str) -> String {
        let mut out = String::new();
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                out.push(letter);
                continue;
            }
            match letters.next() {
                Some('-') => {
                    let directive = letters.next();
                    let padded = directive.and_then(|directive| self.directive(directive)).unwrap_or_default();
                    let bare = padded.trim_start_matches(['0', ' ']);
                    out.push_str(if bare.is_empty() { "0" } else { bare });
                }
                Some(directive) => match self.directive(directive) {
                    Some(text) => out.push_str(&text),
                    None => out.extend(['%', directive]),
                },
                None => out.push('%'),
            }
        }
        out
    }

    fn directive(&self, directive: char) -> Option<String> {
        let month = MONTHS[self.month as usize - 1];
        let weekday = WEEKDAYS[self.weekday()];
        Some(match directive {
            'Y' => format!("{:04}", self.year),
            'y' => format!("{:02}", self.year % 100),
            'm' => format!("{:02}", self.month),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'H' => format!("{:02}", self.hour),
            'I' => format!("{:02}", (self.hour + 11) % 12 + 1),
            'M' => format!("{:02}", self.minute),
            'S' => format!("{:02}", self.second),
            'f' => "000000".into(),
            'p' => if self.hour < 12 { "AM" } else { "PM" }.into(),
            'B' => month.into(),
            'b' | 'h' => month[..3].into(),
            'A' => weekday.into(),
            'a' => weekday[..3].into(),
            'j' => format!("{:03}", self.day_of_year()),
            'F' => self.format("%Y-%m-%d"),
            'T' | 'X' => self.format("%H:%M:%S"),
            'R' => self.format("%H:%M"),
            'D' | 'x' => self.format("%m/%d/%y"),
            'c' => self.format("%a %b %e %H:%M:%S %Y"),
            'n' => "\n".into(),
            't' => "\t".into(),
            '%' => "%".into(),
            'z' | 'Z' => String::new(),
            _ => return None,
        })
    }

    fn day_of_year(&self) -> u32 {
        (1..self.month).map(|month| days_in_month(self.year, month)).sum::<u32>() + self.day
    }

    fn weekday(&self) -> usize {
        // Days since the first of March of year 0, a Wednesday.
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let month = i64::from((self.month + 9) % 12);
        let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
            + year.div_euclid(400)
            + (153 * month + 2) / 5
            + i64::from(self.day)
            - 1;
        usize::try_from((days + 3).rem_euclid(7)).unwrap_or(0)
    }

    /// `YYYY-MM-DDThh:mm:ss`.
    #[must_use]
    pub fn iso(&self) -> String {
        let mut out = self.format("%F");
        // Writing to a `String` has no way to fail.
        let _ = write!(out, "T{}", self.format("%T"));
        out
    }
}

fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_formatted_as_c_does() {
        let clock: Clock = "2025-03-04T05:06:07".parse().expect("a time");
        assert_eq!(clock.format("%d %b %Y"), "04 Mar 2025");
        assert_eq!(clock.format("%A, %B %-d, %I:%M %p %j %% %q"), "Tuesday, March 4, 05:06 AM 063 % %q");
        assert_eq!("2024-02-29".parse::<Clock>().expect("a leap day").format("%a %j"), "Thu 060");
        assert_eq!("2000-01-01".parse::<Clock>().expect("a time").format("%A %-H"), "Saturday 0");
        assert_eq!(clock.iso(), "2025-03-04T05:06:07");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "2025", "2025-13-01", "2025-02-29", "2025-1-1", "2025-01-01T24:00:00", "+025-01-01", "é-01-01"]
        {
            assert!(bad.parse::<Clock>().is_err(), "{bad}");
        }
    }
}
