//! Times as people write and read them.

use change::calendar::{parse_date, timestamp_text};

/// `2026-11-24T02:00:00Z` of microseconds since 1970-01-01T00:00:00Z, to the second.
pub(crate) fn instant(micros: i64) -> String {
    format!("{}Z", timestamp_text(micros.div_euclid(1_000_000) * 1_000_000))
}

/// Microseconds of `2026-11-24`, `2026-11-24T02:00` or `2026-11-24T02:00:00Z`, all in UTC.
pub(crate) fn parse_instant(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let days = i64::from(parse_date(date)?);
    let mut parts = clock.split(':');
    let mut next = |most: i64| -> Option<i64> {
        match parts.next() {
            None => Some(0),
            Some(part) if part.len() == 2 => part.parse().ok().filter(|n| (0..most).contains(n)),
            Some(_) => None,
        }
    };
    let (hours, minutes, seconds) = (next(24)?, next(60)?, next(60)?);
    if parts.next().is_some() {
        return None;
    }
    Some((days * 86_400 + hours * 3600 + minutes * 60 + seconds) * 1_000_000)
}

/// `3h 14m`, `4m 12s`, `0.8s` of microseconds.
pub(crate) fn span(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        0..10 => format!("{:.1}s", micros as f64 / 1e6),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `1,204,331`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `17 rows`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back_and_wrong_ones_are_refused() {
        let text = "2026-11-24T02:30:05Z";
        assert_eq!(instant(parse_instant(text).unwrap()), text);
        assert_eq!(parse_instant("1970-01-02"), Some(86_400_000_000));
        assert_eq!(parse_instant("1970-01-01T00:01"), Some(60_000_000));
        for wrong in ["", "yesterday", "2026-02-30", "2026-11-24T25:00", "2026-11-24T1:00"] {
            assert_eq!(parse_instant(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_and_spans_read_easily() {
        assert_eq!(count(1_204_331), "1,204,331");
        assert_eq!(count(999), "999");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(span(800_000), "0.8s");
        assert_eq!(span(252_000_000), "4m 12s");
        assert_eq!(span(11_640_000_000), "3h 14m");
    }
}
