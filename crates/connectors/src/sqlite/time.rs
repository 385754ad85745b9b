//! Dates and times as SQLite stores them by convention: ISO text that sorts by its bytes.
//!
//! Years are 0000 to 9999: others would neither sort nor be understood by SQLite's own functions.

use change::calendar::{date_text, parse_timestamp, timestamp_text};

const DAY_MICROS: i64 = 86_400_000_000;
const FIRST_DAY: i64 = -719_528;
const LAST_DAY: i64 = 2_932_896;

/// `YYYY-MM-DD`.
pub(super) fn write_date(days: i32) -> Option<String> {
    (FIRST_DAY..=LAST_DAY).contains(&i64::from(days)).then(|| date_text(i64::from(days)))
}

/// `YYYY-MM-DD HH:MM:SS[.ffffff]`.
pub(super) fn write_timestamp(micros: i64) -> Option<String> {
    let days = micros.div_euclid(DAY_MICROS);
    (FIRST_DAY..=LAST_DAY).contains(&days).then(|| {
        let mut text = timestamp_text(micros);
        text.replace_range(10..11, " ");
        text
    })
}

/// `YYYY-MM-DD HH:MM:SS[.ffffff]Z`.
pub(super) fn write_instant(micros: i64) -> Option<String> {
    write_timestamp(micros).map(|text| text + "Z")
}

/// Reads a timestamp that ends in `Z` or `+00:00`.
pub(super) fn read_instant(text: &str) -> Option<i64> {
    parse_timestamp(text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use change::calendar::parse_date;
    use proptest::prelude::*;

    #[test]
    fn only_utc_and_only_four_digits() {
        assert_eq!(read_instant("1970-01-01 00:00:00"), None);
        assert_eq!(read_instant("1970-01-01 00:00:01+00:00"), Some(1_000_000));
        assert_eq!(read_instant("1970-01-01 00:00:01+01:00"), None);
        assert_eq!(write_date(i32::MAX), None);
        assert_eq!(write_date(-719_528).as_deref(), Some("0000-01-01"));
        assert_eq!(write_date(2_932_896).as_deref(), Some("9999-12-31"));
    }

    proptest! {
        #[test]
        fn times_read_back(days in -719_528i32..=2_932_896, rest in 0..DAY_MICROS) {
            prop_assert_eq!(parse_date(&write_date(days).unwrap()), Some(days));
            let micros = i64::from(days) * DAY_MICROS + rest;
            prop_assert_eq!(parse_timestamp(&write_timestamp(micros).unwrap()), Some(micros));
            prop_assert_eq!(read_instant(&write_instant(micros).unwrap()), Some(micros));
        }
    }
}
