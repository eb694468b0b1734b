//! Sizes and times as people write them: `20GB`, `512 MiB`, `24h`.

use std::time::Duration;

/// A number of bytes. `KB` and its kin count in thousands, `KiB` and its kin in 1024s, as the standards have it.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(format!("unit is `{unit}`; expected B, KB, MB, GB, TB, KiB, MiB, GiB or TiB")),
    };
    scaled(number, factor)
}

/// A time. Zero needs no unit.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" if number == "0" => 1,
        "s" => 1,
        "m" | "min" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(format!("unit is `{unit}`; expected s, min, h or d")),
    };
    scaled(number, factor).map(Duration::from_secs)
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

fn scaled(number: &str, factor: u64) -> Result<u64, String> {
    let too_large = || format!("`{number}` is too large");
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(too_large);
    }
    let value: f64 = number.parse().map_err(|_| format!("number is `{number}`; expected digits before the unit"))?;
    let scaled = value * factor as f64;
    // Everything below 2^63 that is finite and not negative is a whole number of bytes or seconds once it is rounded.
    if scaled >= 9.2e18 {
        return Err(too_large());
    }
    format!("{scaled:.0}").parse().map_err(|_| too_large())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_mean_what_they_say() {
        for (text, bytes) in
            [("20GB", 20_000_000_000), ("1GiB", 1 << 30), ("1.5 KiB", 1536), ("0", 0), ("7", 7), ("2m", 2_000_000)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, seconds) in [("24h", 86_400), ("0", 0), ("7d", 604_800), ("1.5min", 90), ("3s", 3)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "GB", "1XB", "-1GB", "99999999999TB", "1e400GB", "1..2GB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        for text in ["", "5", "1w", "-1h", "999999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
