//! One field of delimited text into one cell of a typed column.
//!
//! The invariant: the cell is what the text says, or the field is refused. Nothing is trimmed or rounded.

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use change::ColumnType;
use change::calendar::{parse_date, parse_instant, parse_timestamp};
use change::value::parse_decimal;
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
            Cells::Date(b) => append!(b, parse_date(text)),
            Cells::Timestamp(b) => append!(b, parse_timestamp(text)),
            Cells::Instant(b) => append!(b, parse_instant(text)),
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
