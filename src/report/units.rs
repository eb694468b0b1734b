//! Figures as people read them.

use serde_json::{Map, Value};

/// A duration: `812 ms`, `4.2 s`, `3 min 05 s`, `2 h 10 min`.
#[must_use]
pub fn seconds(value: f64) -> String {
    if value < 1.0 {
        format!("{:.0} ms", value * 1e3)
    } else if value < 60.0 {
        format!("{value:.1} s")
    } else if value < 3600.0 {
        format!("{:.0} min {:02.0} s", (value / 60.0).floor(), value % 60.0)
    } else {
        format!("{:.0} h {:02.0} min", (value / 3600.0).floor(), (value % 3600.0) / 60.0)
    }
}

/// A count with its noun: `1 stage`, `2 stages`.
#[must_use]
pub fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A size in binary units: `512 B`, `1.5 MiB`.
#[must_use]
pub fn bytes(value: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if value < 1024 {
        return format!("{value} B");
    }
    let mut scaled = value as f64 / 1024.0;
    let mut unit = 0;
    while scaled >= 1024.0 && unit + 1 < units.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", units[unit])
}

/// A number without needless digits: counts with thousands separators, others with four significant digits.
#[must_use]
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return grouped(&format!("{value:.0}"));
    }
    let magnitude = value.abs();
    if magnitude >= 1000.0 {
        grouped(&format!("{value:.0}"))
    } else if magnitude >= 1e-3 {
        format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.2e}")
    }
}

fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Metrics on one line: `exact 0.83, contains 0.9`.
#[must_use]
pub fn metrics(fields: &Map<String, Value>) -> String {
    let shown = fields.iter().map(|(name, value)| match value.as_f64() {
        Some(figure) => format!("{} {}", name.replace('_', " "), number(figure)),
        None => {
            format!("{} {}", name.replace('_', " "), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well_at_every_size() {
        assert_eq!(seconds(0.0124), "12 ms");
        assert_eq!(seconds(185.0), "3 min 05 s");
        assert_eq!(bytes(1536 * 1024), "1.5 MiB");
        assert_eq!(number(1_234_567.0), "1,234,567");
        assert_eq!(number(-0.8333), "-0.8333");
        assert_eq!(number(0.000_021), "2.10e-5");
    }
}
