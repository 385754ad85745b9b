//! Values out of the text that PostgreSQL prints for them, for the capture only.
//!
//! Shares nothing with the decoder of cuts, which reads binary: the proof must not repeat the faults of this one. The
//! invariant: a text is the value that PostgreSQL meant, or it is refused; nothing is rounded, wrapped or cut off.

/// Why a text is no value of its column's type, in words without the value.
pub(super) type Why = &'static str;

const DAY: i64 = 86_400_000_000;
const DIGITS: Why = "it has more digits than its type";
const FORM: Why = "it has another form than its type";
const INFINITE: Why = "it is infinite";
const FAR: Why = "its year is behind what the type holds";

/// An integer.
pub(super) fn integer(text: &[u8]) -> Result<i64, Why> {
    let (negative, digits) = sign(text);
    let mut value = 0i64;
    if digits.is_empty() {
        return Err(FORM);
    }
    for byte in digits {
        let digit = i64::from(digit(*byte)?);
        // Towards the negative: there is one more number there.
        value = value.checked_mul(10).and_then(|v| v.checked_sub(digit)).ok_or(DIGITS)?;
    }
    if negative { Ok(value) } else { value.checked_neg().ok_or(DIGITS) }
}

/// A truth value.
pub(super) fn boolean(text: &[u8]) -> Result<bool, Why> {
    match text {
        b"t" => Ok(true),
        b"f" => Ok(false),
        _ => Err(FORM),
    }
}

/// A binary64.
pub(super) fn double(text: &[u8]) -> Result<f64, Why> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(FORM)
}

/// A binary32, widened: the text is that of the nearest binary32.
pub(super) fn real(text: &[u8]) -> Result<f64, Why> {
    let value: Option<f32> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    value.map(f64::from).ok_or(FORM)
}

/// A decimal as `unscaled / 10^scale`, smaller than `limit`.
pub(super) fn decimal(text: &[u8], scale: usize, limit: i128) -> Result<i128, Why> {
    match text {
        b"NaN" => return Err("it is NaN"),
        b"Infinity" | b"-Infinity" => return Err(INFINITE),
        _ => {}
    }
    let (negative, digits) = sign(text);
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, fraction) = (&digits[..point], digits.get(point + 1..).unwrap_or_default());
    if whole.is_empty() {
        return Err(FORM);
    }
    let mut value = 0i128;
    let mut push = |digit: u8| -> Result<(), Why> {
        value =
            value.checked_mul(10).and_then(|v| v.checked_add(i128::from(digit))).ok_or(DIGITS)?;
        Ok(())
    };
    for byte in whole {
        push(digit(*byte)?)?;
    }
    for place in 0..scale.max(fraction.len()) {
        let digit = fraction.get(place).map_or(Ok(0), |byte| digit(*byte))?;
        if place < scale {
            push(digit)?;
        } else if digit != 0 {
            return Err(DIGITS);
        }
    }
    match value < limit {
        true => Ok(if negative { -value } else { value }),
        false => Err(DIGITS),
    }
}

/// Days since 1970-01-01.
pub(super) fn date(text: &[u8]) -> Result<i32, Why> {
    let (text, before_christ) = era(finite(text)?);
    i32::try_from(days(text, before_christ)?).map_err(|_| FAR)
}

/// Microseconds since 1970-01-01T00:00:00, without a zone.
pub(super) fn timestamp(text: &[u8]) -> Result<i64, Why> {
    let (text, before_christ) = era(finite(text)?);
    micros(text, before_christ)
}

/// The same of an instant; our sessions have it printed in UTC.
pub(super) fn instant(text: &[u8]) -> Result<i64, Why> {
    let (text, before_christ) = era(finite(text)?);
    micros(text.strip_suffix(b"+00").ok_or(FORM)?, before_christ)
}

/// Bytes in hex behind `\\x`, appended.
pub(super) fn bytes(text: &[u8], into: &mut Vec<u8>) -> Result<(), Why> {
    let digits = text.strip_prefix(b"\\x").filter(|digits| digits.len() % 2 == 0).ok_or(FORM)?;
    let nibble = |byte: u8| char::from(byte).to_digit(16).map(|value| value as u8).ok_or(FORM);
    into.reserve(digits.len() / 2);
    for pair in digits.chunks_exact(2) {
        into.push(nibble(pair[0])? << 4 | nibble(pair[1])?);
    }
    Ok(())
}

fn finite(text: &[u8]) -> Result<&[u8], Why> {
    match text {
        b"infinity" | b"-infinity" => Err(INFINITE),
        text => Ok(text),
    }
}

fn era(text: &[u8]) -> (&[u8], bool) {
    match text.strip_suffix(b" BC") {
        Some(text) => (text, true),
        None => (text, false),
    }
}

/// Days of `YEAR-MM-DD`; the year 1 BC is the year 0.
fn days(text: &[u8], before_christ: bool) -> Result<i64, Why> {
    let at = text.len().checked_sub(6).ok_or(FORM)?;
    let (year, rest) = text.split_at(at);
    let [b'-', m1, m2, b'-', d1, d2] = rest else { return Err(FORM) };
    let year = integer(year)?;
    let year = if before_christ { 1 - year } else { year };
    let (month, day) = (two(*m1, *m2)?, two(*d1, *d2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(FORM);
    }
    // Years from March, so that the day of the leap year is the last one (the civil calendar of Hinnant).
    let shifted = if month <= 2 { year - 1 } else { year };
    let (cycle, of_cycle) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Ok(cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - 719_468)
}

/// Microseconds of `YEAR-MM-DD HH:MM:SS[.ffffff]`.
fn micros(text: &[u8], before_christ: bool) -> Result<i64, Why> {
    let at = text.iter().position(|byte| *byte == b' ').ok_or(FORM)?;
    let days = days(&text[..at], before_christ)?;
    let [h1, h2, b':', m1, m2, b':', s1, s2, fraction @ ..] = &text[at + 1..] else {
        return Err(FORM);
    };
    let seconds = two(*h1, *h2)? * 3600 + two(*m1, *m2)? * 60 + two(*s1, *s2)?;
    let fraction = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            let value = integer(digits)?;
            value * 10i64.pow(6 - digits.len() as u32)
        }
        _ => return Err(FORM),
    };
    let of_day = seconds * 1_000_000 + fraction;
    days.checked_mul(DAY).and_then(|days| days.checked_add(of_day)).ok_or(FAR)
}

fn two(high: u8, low: u8) -> Result<i64, Why> {
    Ok(i64::from(digit(high)? * 10 + digit(low)?))
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    }
}

fn digit(byte: u8) -> Result<u8, Why> {
    let value = byte.wrapping_sub(b'0');
    if value < 10 { Ok(value) } else { Err(FORM) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use change::calendar;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_exact_or_refused() {
        assert_eq!(integer(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(integer(b"9223372036854775807"), Ok(i64::MAX));
        for wrong in [&b"9223372036854775808"[..], b"", b"-", b"1.5", b"+1"] {
            assert!(integer(wrong).is_err());
        }
        let money = |text: &[u8]| decimal(text, 2, 1_000_000);
        assert_eq!(money(b"-0.07"), Ok(-7));
        assert_eq!(money(b"9999.990"), Ok(999_999));
        assert_eq!(money(b"12"), Ok(1200));
        for wrong in [&b"9999.999"[..], b"10000.00", b"NaN", b"Infinity", b"", b".5", b"1e5"] {
            assert!(money(wrong).is_err());
        }
        let most = 10i128.pow(38);
        assert_eq!(decimal(&[b'9'; 38], 0, most), Ok(most - 1));
        assert!(decimal(&[b'9'; 39], 0, most).is_err());
        assert_eq!(real(b"0.1"), Ok(f64::from(0.1f32)));
        assert_eq!(double(b"-Infinity"), Ok(f64::NEG_INFINITY));
        assert!(double(b"NaN").unwrap().is_nan());
    }

    #[test]
    fn times_of_all_eras() {
        assert_eq!(date(b"1970-01-01"), Ok(0));
        assert_eq!(date(b"0001-01-01 BC"), Ok(-719_528));
        assert_eq!(date(b"5874897-12-31"), Ok(2_145_042_905));
        assert_eq!(date(b"4714-11-24 BC"), Ok(-2_440_588));
        assert_eq!(timestamp(b"1969-12-31 23:59:59.999999"), Ok(-1));
        assert_eq!(timestamp(b"1970-01-01 00:00:00.5"), Ok(500_000));
        assert_eq!(instant(b"0001-01-01 00:00:00+00 BC"), Ok(-719_528 * DAY));
        assert_eq!(timestamp(b"294246-12-31 23:59:59"), Ok(9_223_371_244_799_000_000));
        for wrong in [&b"294276-12-31 23:59:59"[..], b"infinity", b"-infinity", b"2024-01-01"] {
            assert!(timestamp(wrong).is_err());
        }
        assert!(instant(b"2024-01-01 00:00:00+02").is_err());
    }

    #[test]
    fn bytes_are_hex() {
        let read = |text: &[u8]| {
            let mut out = Vec::new();
            bytes(text, &mut out).map(|()| out)
        };
        assert_eq!(read(b"\\x00ff27"), Ok(vec![0, 0xff, 0x27]));
        assert_eq!(read(b"\\x"), Ok(vec![]));
        assert!(read(b"\\x0").is_err() && read(b"abc").is_err() && read(b"\\x0g").is_err());
    }

    proptest! {
        #[test]
        fn dates_agree_with_the_calendar(days in -719_162i64..2_932_896) {
            prop_assert_eq!(date(calendar::date_text(days).as_bytes()), Ok(days as i32));
        }

        #[test]
        fn decimals_agree_with_their_text(unscaled in -10i128.pow(20)..10i128.pow(20), scale in 0u8..12) {
            let text = change::value::decimal_text(unscaled, scale.cast_signed());
            prop_assert_eq!(decimal(text.as_bytes(), usize::from(scale), 10i128.pow(38)), Ok(unscaled));
        }
    }
}
