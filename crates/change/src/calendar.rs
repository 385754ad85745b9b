//! Days and times as ISO text, and back: the one calendar of the product (proleptic Gregorian, no leap seconds).
//!
//! Not here: time zones, and how a system spells its times beyond this. Invariant: what is read is written the same
//! way again, or it is refused; 30 February is no day.

const DAY: i64 = 86_400_000_000;

/// `YYYY-MM-DD` of days since 1970-01-01; years beyond four digits keep their sign.
pub fn date_text(days: i64) -> String {
    // Howard Hinnant's civil_from_days.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Days since 1970-01-01 of `YYYY-MM-DD`; `None` where the text is no such day.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(&bytes[..4])?, number(&bytes[5..7])?, number(&bytes[8..])?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Howard Hinnant's days_from_civil.
    let shifted = year - i64::from(month <= 2);
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    // A day that the month does not have comes back as another.
    (date_text(days) == text).then(|| i32::try_from(days).ok())?
}

/// `YYYY-MM-DDTHH:MM:SS[.ffffff]` of microseconds since 1970-01-01T00:00:00.
pub fn timestamp_text(micros: i64) -> String {
    let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let whole = format!("{}T{h:02}:{m:02}:{s:02}", date_text(days));
    if fraction == 0 { whole } else { format!("{whole}.{fraction:06}") }
}

/// Microseconds since 1970-01-01T00:00:00 of `YYYY-MM-DD HH:MM:SS[.f]`, with one to six digits behind the point; `T`
/// may stand for the space. `None` where a digit would be lost, or where there is no such time.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, time) = (text.get(..10)?, text.get(11..)?.as_bytes());
    if !matches!(text.as_bytes()[10], b' ' | b'T') {
        return None;
    }
    if time.len() < 8 || time[2] != b':' || time[5] != b':' {
        return None;
    }
    let (h, m, s) = (number(&time[..2])?, number(&time[3..5])?, number(&time[6..8])?);
    if h > 23 || m > 59 || s > 59 {
        return None;
    }
    let fraction = match &time[8..] {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            number(digits)? * 10i64.pow(6 - u32::try_from(digits.len()).ok()?)
        }
        _ => return None,
    };
    let seconds = i64::from(parse_date(date)?) * 86_400 + h * 3600 + m * 60 + s;
    Some(seconds * 1_000_000 + fraction)
}

/// Microseconds since 1970-01-01T00:00:00Z of a timestamp that ends in `Z` or in an offset `+HH:MM`.
pub fn parse_instant(text: &str) -> Option<i64> {
    if let Some(utc) = text.strip_suffix('Z') {
        return parse_timestamp(utc);
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let bytes = offset.as_bytes();
    let (h, m) = (number(&bytes[1..3])?, number(&bytes[4..])?);
    if !matches!(bytes[0], b'+' | b'-') || bytes[3] != b':' || h > 23 || m > 59 {
        return None;
    }
    let ahead = (h * 60 + m) * 60_000_000;
    parse_timestamp(local)?.checked_sub(if bytes[0] == b'-' { -ahead } else { ahead })
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |n: i64, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_iso() {
        assert_eq!(date_text(0), "1970-01-01");
        assert_eq!(date_text(-1), "1969-12-31");
        assert_eq!(date_text(19_782), "2024-02-29");
        assert_eq!(timestamp_text(-1), "1969-12-31T23:59:59.999999");
    }

    #[test]
    fn what_is_no_time_is_not_read_as_another() {
        assert_eq!(parse_date("2024-02-29"), Some(19_782));
        assert_eq!(parse_date("1969-12-31"), Some(-1));
        for bad in [
            "2023-02-29",
            "2024-04-31",
            "2024-13-01",
            "2024-00-10",
            "2024-01-00",
            "24-01-01",
            "2024-1-1",
            "2024-1-01",
            "2024/01/01",
            "2024-01-0x",
            "29.02.2024",
            "",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
        assert_eq!(parse_timestamp("1970-01-01T00:00:01.5"), Some(1_500_000));
        for bad in [
            "1970-01-01",
            "1970-01-01 24:00:00",
            "1970-01-01 00:00",
            "1970-01-01 00:00:00Z",
            "1970-01-01 00:00:00.1234567",
            "1970-01-01 00:00:00.",
            "1970-01-0é 00:00:00",
        ] {
            assert_eq!(parse_timestamp(bad), None, "{bad}");
        }
        assert_eq!(parse_instant("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(parse_instant("1969-12-31T22:30:00-01:30"), Some(0));
        for bad in ["1970-01-01 00:00:00", "1970-01-01 00:00:00+2", "Z", "é", ""] {
            assert_eq!(parse_instant(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn times_read_back(days in -719_528i32..=2_932_896, rest in 0..DAY) {
            prop_assert_eq!(parse_date(&date_text(i64::from(days))), Some(days));
            let micros = i64::from(days) * DAY + rest;
            let text = timestamp_text(micros);
            prop_assert_eq!(parse_timestamp(&text), Some(micros));
            prop_assert_eq!(parse_instant(&format!("{text}Z")), Some(micros));
        }
    }
}
