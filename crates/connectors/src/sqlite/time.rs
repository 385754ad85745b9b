//! Dates and times as SQLite stores them by convention: ISO text that sorts by its bytes.
//!
//! Years are 0000 to 9999: others would neither sort nor be understood by SQLite's own functions.

use change::value::{date_text, timestamp_text};

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

/// Reads `YYYY-MM-DD`.
pub(super) fn read_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(&bytes[..4])?, number(&bytes[5..7])?, number(&bytes[8..])?);
    if !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    // 30 February is another date written wrong.
    let days = (date_text(days) == text).then_some(days)?;
    i32::try_from(days).ok()
}

/// Reads `YYYY-MM-DD HH:MM:SS[.f]` with one to six digits behind the point; `T` may stand for the space.
pub(super) fn read_timestamp(text: &str) -> Option<i64> {
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes()[10], b' ' | b'T') {
        return None;
    }
    let bytes = time.as_bytes();
    if bytes.len() < 8 || bytes[2] != b':' || bytes[5] != b':' {
        return None;
    }
    let (h, m, s) = (number(&bytes[..2])?, number(&bytes[3..5])?, number(&bytes[6..8])?);
    if h > 23 || m > 59 || s > 59 {
        return None;
    }
    let fraction = match &bytes[8..] {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            number(digits)? * 10i64.pow(6 - u32::try_from(digits.len()).ok()?)
        }
        _ => return None,
    };
    let seconds = i64::from(read_date(date)?) * 86_400 + h * 3600 + m * 60 + s;
    Some(seconds * 1_000_000 + fraction)
}

/// Reads a timestamp that ends in `Z` or `+00:00`.
pub(super) fn read_instant(text: &str) -> Option<i64> {
    read_timestamp(text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |n: i64, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
}

/// Days since 1970-01-01 (Howard Hinnant's days_from_civil).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_date_is_not_read_as_another() {
        assert_eq!(read_date("1970-01-01"), Some(0));
        assert_eq!(read_date("2024-02-29"), Some(19_782));
        for bad in ["2023-02-29", "2024-13-01", "2024-00-10", "24-01-01", "2024-1-01", "2024/01/01"]
        {
            assert_eq!(read_date(bad), None, "{bad}");
        }
        assert_eq!(read_timestamp("1970-01-01T00:00:01.5"), Some(1_500_000));
        for bad in [
            "1970-01-01",
            "1970-01-01 24:00:00",
            "1970-01-01 00:00",
            "1970-01-01 00:00:00Z",
            "1970-01-01 00:00:00.1234567",
            "1970-01-01 00:00:00.",
            "1970-01-0é 00:00:00",
        ] {
            assert_eq!(read_timestamp(bad), None, "{bad}");
        }
        assert_eq!(read_instant("1970-01-01 00:00:00"), None);
        assert_eq!(read_instant("1970-01-01 00:00:01+00:00"), Some(1_000_000));
        assert_eq!(write_date(i32::MAX), None);
        assert_eq!(write_date(-719_528).as_deref(), Some("0000-01-01"));
        assert_eq!(write_date(2_932_896).as_deref(), Some("9999-12-31"));
    }

    proptest! {
        #[test]
        fn times_read_back(days in -719_528i32..=2_932_896, rest in 0..DAY_MICROS) {
            prop_assert_eq!(read_date(&write_date(days).unwrap()), Some(days));
            let micros = i64::from(days) * DAY_MICROS + rest;
            prop_assert_eq!(read_timestamp(&write_timestamp(micros).unwrap()), Some(micros));
            prop_assert_eq!(read_instant(&write_instant(micros).unwrap()), Some(micros));
        }
    }
}
