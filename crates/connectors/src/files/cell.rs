//! One field of delimited text into one cell of a typed column.
//!
//! The invariant: the cell is what the text says, or the field is refused. Nothing is trimmed or rounded.

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use change::ColumnType;
use change::value::{date_text, parse_decimal};
use connect::{Error, Result};
use std::sync::Arc;

/// Reads the name of a type as flows write it.
///
/// # Errors
/// `Invalid` when there is no such type, or delimited text cannot hold it.
pub(super) fn column_type(name: &str) -> Result<ColumnType> {
    Ok(match name.trim() {
        "bool" => ColumnType::Bool,
        "int64" => ColumnType::Int64,
        "float64" => ColumnType::Float64,
        "text" => ColumnType::Text,
        "date" => ColumnType::Date,
        "timestamp" => ColumnType::Timestamp,
        "instant" => ColumnType::Instant,
        other => decimal(other).ok_or_else(|| {
            Error::invalid(format!("`{other}` is no type of a column"))
                .fix("one of: int64, float64, decimal(12,4), text, bool, date, timestamp, instant")
        })?,
    })
}

fn decimal(name: &str) -> Option<ColumnType> {
    let digits = name.strip_prefix("decimal(")?.strip_suffix(')')?;
    let (precision, scale) = digits.split_once(',').unwrap_or((digits, "0"));
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: i8 = scale.trim().parse().ok()?;
    let fits = (1..=38).contains(&precision) && scale >= 0 && scale.unsigned_abs() <= precision;
    fits.then_some(ColumnType::Decimal { precision, scale })
}

/// A column being filled.
pub(super) enum Cells {
    Bool(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Text(StringBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Instant(TimestampMicrosecondBuilder),
}

impl Cells {
    /// An empty column; `None` where text cannot hold the type.
    pub(super) fn new(ty: ColumnType) -> Option<Self> {
        Some(match ty {
            ColumnType::Bool => Cells::Bool(BooleanBuilder::new()),
            ColumnType::Int64 => Cells::Int64(Int64Builder::new()),
            ColumnType::Float64 => Cells::Float64(Float64Builder::new()),
            ColumnType::Decimal { precision, scale } => {
                let builder = Decimal128Builder::new().with_data_type(ty.arrow());
                Cells::Decimal(builder, precision, scale)
            }
            ColumnType::Text => Cells::Text(StringBuilder::new()),
            ColumnType::Date => Cells::Date(Date32Builder::new()),
            ColumnType::Timestamp => {
                Cells::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(ty.arrow()))
            }
            ColumnType::Instant => {
                Cells::Instant(TimestampMicrosecondBuilder::new().with_data_type(ty.arrow()))
            }
            ColumnType::Bytes | ColumnType::Any => return None,
        })
    }

    /// Appends a field; an empty one is null. `None` where the text is no value of the type.
    pub(super) fn append(&mut self, text: &str) -> Option<()> {
        macro_rules! append {
            ($builder:expr, $read:expr) => {
                match text {
                    "" => $builder.append_null(),
                    _ => $builder.append_value($read?),
                }
            };
        }
        match self {
            Cells::Bool(b) => append!(b, read_bool(text)),
            Cells::Int64(b) => append!(b, text.parse().ok()),
            Cells::Float64(b) => append!(b, read_float(text)),
            Cells::Decimal(b, precision, scale) => {
                append!(b, parse_decimal(text, *precision, *scale));
            }
            Cells::Text(b) => append!(b, Some(text)),
            Cells::Date(b) => append!(b, read_date(text)),
            Cells::Timestamp(b) => append!(b, read_timestamp(text)),
            Cells::Instant(b) => append!(b, read_instant(text)),
        }
        Some(())
    }

    /// The column, and an empty one again.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Cells::Bool(b) => Arc::new(b.finish()),
            Cells::Int64(b) => Arc::new(b.finish()),
            Cells::Float64(b) => Arc::new(b.finish()),
            Cells::Decimal(b, ..) => Arc::new(b.finish()),
            Cells::Text(b) => Arc::new(b.finish()),
            Cells::Date(b) => Arc::new(b.finish()),
            Cells::Timestamp(b) | Cells::Instant(b) => Arc::new(b.finish()),
        }
    }
}

fn read_bool(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The nearest binary64 of plain or scientific digits; what would be infinite is refused.
fn read_float(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(number)
}

/// `YYYY-MM-DD`.
fn read_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(&bytes[..4])?, number(&bytes[5..7])?, number(&bytes[8..])?);
    let days = days_from_civil(year, (1..=12).contains(&month).then_some(month)?, day);
    // 30 February is another date written wrong.
    let days = (date_text(days) == text).then_some(days)?;
    i32::try_from(days).ok()
}

/// `YYYY-MM-DD HH:MM:SS[.f]` with one to six digits behind the point; `T` may stand for the space.
fn read_timestamp(text: &str) -> Option<i64> {
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
    let seconds = i64::from(read_date(date)?) * 86_400 + h * 3600 + m * 60 + s;
    Some(seconds * 1_000_000 + fraction)
}

/// A timestamp that ends in `Z` or in an offset `+HH:MM`.
fn read_instant(text: &str) -> Option<i64> {
    if let Some(utc) = text.strip_suffix('Z') {
        return read_timestamp(utc);
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let bytes = offset.as_bytes();
    let (h, m) = (number(&bytes[1..3])?, number(&bytes[4..])?);
    if !matches!(bytes[0], b'+' | b'-') || bytes[3] != b':' || h > 23 || m > 59 {
        return None;
    }
    let ahead = (h * 60 + m) * 60_000_000;
    read_timestamp(local)?.checked_sub(if bytes[0] == b'-' { -ahead } else { ahead })
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

    fn fits(ty: &str, text: &str) -> bool {
        Cells::new(column_type(ty).unwrap()).unwrap().append(text).is_some()
    }

    #[test]
    fn what_fits_and_what_does_not() {
        for (ty, good, bad) in [
            (
                "int64",
                vec!["1", "-9223372036854775808", "007", "+5"],
                vec!["1.0", " 1", "9223372036854775808", "1e3", "x", "-"],
            ),
            ("float64", vec!["1", "-0.5", "1e3"], vec!["1e999", "NaN", "inf", "0x1", "1,5", " 1"]),
            (
                "decimal(5,2)",
                vec!["123.45", "-0.10", "1.500"],
                vec!["1.234", "1234.5", "1e2", "", " 1"],
            ),
            ("bool", vec!["true", "FALSE", "0", "1"], vec!["yes", "2", "t"]),
            (
                "date",
                vec!["2024-02-29"],
                vec!["2023-02-29", "2024-2-9", "29.02.2024", "2024-00-01", "2024-01-00"],
            ),
            (
                "timestamp",
                vec!["2010-12-01 08:26:00", "2010-12-01T08:26:00.123456"],
                vec![
                    "2010-12-01",
                    "2010-12-01 24:00:00",
                    "2010-12-01 08:26:00.1234567",
                    "2010-12-01 08:26:00Z",
                    "2010-12-01é08:26:00",
                ],
            ),
            (
                "instant",
                vec!["2010-12-01 08:26:00Z", "2010-12-01T08:26:00+02:00"],
                vec!["2010-12-01 08:26:00", "2010-12-01T08:26:00+2", "Z", "é"],
            ),
        ] {
            for text in good {
                assert!(fits(ty, text), "{ty} {text}");
            }
            for text in bad {
                assert!(text.is_empty() || !fits(ty, text), "{ty} {text}");
            }
        }
        assert_eq!(read_instant("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(read_instant("1969-12-31T22:30:00-01:30"), Some(0));
    }

    #[test]
    fn unknown_types_are_named() {
        for bad in ["int", "decimal(39,2)", "decimal(2,3)", "decimal(5,-1)", "bytes", "any", ""] {
            assert!(column_type(bad).is_err(), "{bad}");
        }
        assert_eq!(column_type("decimal(12, 4)").unwrap().to_string(), "decimal(12,4)");
        assert_eq!(column_type("decimal(12)").unwrap().to_string(), "decimal(12,0)");
    }
}
