//! Stored cells into Arrow columns, for cuts only; the capture has a decoder of its own, so that the proof does
//! not share its faults.
//!
//! A cell becomes exactly the value that the scan wants, or the scan is refused; nothing is rounded or guessed.

use super::time::read_instant;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder,
    Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use change::ColumnType;
use change::any::{self, Tagged};
use change::calendar::{parse_date, parse_timestamp};
use change::value::parse_decimal;
use rusqlite::types::ValueRef;
use std::sync::Arc;

/// A stored cell is not what was asked for. Carries the storage class found.
pub(super) struct Unfit(pub(super) &'static str);

/// Collects the cells of one column.
pub(super) enum Decoder {
    Bool(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Instant(TimestampMicrosecondBuilder),
    Any(BinaryBuilder, Vec<u8>),
}

impl Decoder {
    /// An empty column of a type.
    pub(super) fn new(ty: ColumnType) -> Decoder {
        let times = || TimestampMicrosecondBuilder::new().with_data_type(ty.arrow());
        match ty {
            ColumnType::Bool => Decoder::Bool(BooleanBuilder::new()),
            ColumnType::Int64 => Decoder::Int64(Int64Builder::new()),
            ColumnType::Float64 => Decoder::Float64(Float64Builder::new()),
            ColumnType::Decimal { precision, scale } => Decoder::Decimal(
                Decimal128Builder::new().with_data_type(ty.arrow()),
                precision,
                scale,
            ),
            ColumnType::Text => Decoder::Text(StringBuilder::new()),
            ColumnType::Bytes => Decoder::Bytes(BinaryBuilder::new()),
            ColumnType::Date => Decoder::Date(Date32Builder::new()),
            ColumnType::Timestamp => Decoder::Timestamp(times()),
            ColumnType::Instant => Decoder::Instant(times()),
            ColumnType::Any => Decoder::Any(BinaryBuilder::new(), Vec::new()),
        }
    }

    /// Takes one stored cell.
    pub(super) fn append(&mut self, cell: ValueRef<'_>) -> Result<(), Unfit> {
        if let ValueRef::Null = cell {
            self.append_null();
            return Ok(());
        }
        let unfit = || Unfit(class(cell));
        match self {
            Decoder::Bool(b) => b.append_value(boolean(cell).ok_or_else(unfit)?),
            Decoder::Int64(b) => b.append_value(integer(cell).ok_or_else(unfit)?),
            Decoder::Float64(b) => b.append_value(real(cell).ok_or_else(unfit)?),
            Decoder::Decimal(b, precision, scale) => {
                b.append_value(decimal(cell, *precision, *scale).ok_or_else(unfit)?);
            }
            Decoder::Text(b) => b.append_value(text(cell).ok_or_else(unfit)?),
            Decoder::Bytes(b) => match cell {
                ValueRef::Blob(bytes) => b.append_value(bytes),
                _ => return Err(unfit()),
            },
            Decoder::Date(b) => {
                b.append_value(text(cell).and_then(parse_date).ok_or_else(unfit)?);
            }
            Decoder::Timestamp(b) => {
                b.append_value(text(cell).and_then(parse_timestamp).ok_or_else(unfit)?);
            }
            Decoder::Instant(b) => {
                b.append_value(text(cell).and_then(read_instant).ok_or_else(unfit)?);
            }
            Decoder::Any(b, scratch) => {
                let tagged = match cell {
                    ValueRef::Integer(i) => Tagged::Integer(i),
                    ValueRef::Real(f) => Tagged::Float(f),
                    ValueRef::Blob(bytes) => Tagged::Bytes(bytes),
                    _ => Tagged::Text(text(cell).ok_or_else(unfit)?),
                };
                scratch.clear();
                any::encode(tagged, scratch);
                b.append_value(scratch);
            }
        }
        Ok(())
    }

    fn append_null(&mut self) {
        match self {
            Decoder::Bool(b) => b.append_null(),
            Decoder::Int64(b) => b.append_null(),
            Decoder::Float64(b) => b.append_null(),
            Decoder::Decimal(b, ..) => b.append_null(),
            Decoder::Text(b) => b.append_null(),
            Decoder::Bytes(b) | Decoder::Any(b, _) => b.append_null(),
            Decoder::Date(b) => b.append_null(),
            Decoder::Timestamp(b) | Decoder::Instant(b) => b.append_null(),
        }
    }

    /// The column so far; begins a new one.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Decoder::Bool(b) => Arc::new(b.finish()),
            Decoder::Int64(b) => Arc::new(b.finish()),
            Decoder::Float64(b) => Arc::new(b.finish()),
            Decoder::Decimal(b, ..) => Arc::new(b.finish()),
            Decoder::Text(b) => Arc::new(b.finish()),
            Decoder::Bytes(b) | Decoder::Any(b, _) => Arc::new(b.finish()),
            Decoder::Date(b) => Arc::new(b.finish()),
            Decoder::Timestamp(b) | Decoder::Instant(b) => Arc::new(b.finish()),
        }
    }
}

fn class(cell: ValueRef<'_>) -> &'static str {
    match cell {
        ValueRef::Null => "null",
        ValueRef::Integer(_) => "integer",
        ValueRef::Real(_) => "real",
        ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_err() => "text that is no UTF-8",
        ValueRef::Text(_) => "text",
        ValueRef::Blob(_) => "blob",
    }
}

fn text(cell: ValueRef<'_>) -> Option<&str> {
    match cell {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn boolean(cell: ValueRef<'_>) -> Option<bool> {
    match cell {
        ValueRef::Integer(0) => Some(false),
        ValueRef::Integer(1) => Some(true),
        _ => None,
    }
}

fn integer(cell: ValueRef<'_>) -> Option<i64> {
    match cell {
        ValueRef::Integer(i) => Some(i),
        ValueRef::Text(_) => {
            let text = text(cell)?;
            text.parse().ok().filter(|i: &i64| i.to_string() == text)
        }
        _ => None,
    }
}

fn real(cell: ValueRef<'_>) -> Option<f64> {
    match cell {
        ValueRef::Real(f) => Some(f),
        ValueRef::Integer(i) => {
            let f = i as f64;
            (f as i128 == i128::from(i)).then_some(f)
        }
        _ => None,
    }
}

fn decimal(cell: ValueRef<'_>, precision: u8, scale: i8) -> Option<i128> {
    match cell {
        ValueRef::Integer(i) => {
            let unscaled =
                i128::from(i).checked_mul(10i128.checked_pow(u32::try_from(scale).ok()?)?)?;
            (unscaled.unsigned_abs() < 10u128.checked_pow(u32::from(precision))?)
                .then_some(unscaled)
        }
        ValueRef::Real(f) => decimal_of_real(f, precision, scale),
        ValueRef::Text(_) => parse_decimal(text(cell)?, precision, scale),
        _ => None,
    }
}

/// The decimal that a real is written as: its shortest digits, if they fit.
fn decimal_of_real(value: f64, precision: u8, scale: i8) -> Option<i128> {
    let unit = 10f64.powi(i32::from(scale));
    let unscaled = (value * unit).round();
    let limit = 10f64.powi(i32::from(precision.min(15)));
    // Two decimals of at most 15 digits are never the same real, so the one that is this real is its shortest.
    if unscaled.abs() < limit && scale <= 15 && unscaled / unit == value {
        return Some(unscaled as i128);
    }
    if !value.is_finite() {
        return None;
    }
    parse_decimal(&value.to_string(), precision, scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Decimal128Type;
    use proptest::prelude::*;

    fn decoded(ty: ColumnType, cell: ValueRef<'_>) -> Result<ArrayRef, &'static str> {
        let mut decoder = Decoder::new(ty);
        decoder.append(cell).map_err(|unfit| unfit.0)?;
        Ok(decoder.finish())
    }

    fn money(cell: ValueRef<'_>) -> Option<i128> {
        let ty = ColumnType::Decimal { precision: 12, scale: 2 };
        decoded(ty, cell).ok().map(|array| array.as_primitive::<Decimal128Type>().value(0))
    }

    #[test]
    fn decimals_keep_every_digit_or_are_refused() {
        assert_eq!(money(ValueRef::Real(12.5)), Some(1250));
        assert_eq!(money(ValueRef::Real(-0.07)), Some(-7));
        assert_eq!(money(ValueRef::Integer(3)), Some(300));
        assert_eq!(money(ValueRef::Text(b"0012.50")), Some(1250));
        for lost in [
            ValueRef::Real(0.1 + 0.2),
            ValueRef::Real(2.555),
            ValueRef::Real(f64::INFINITY),
            ValueRef::Integer(10_000_000_000),
            ValueRef::Text(b"1e3"),
            ValueRef::Blob(b"1"),
        ] {
            assert_eq!(money(lost), None, "{lost:?}");
        }
    }

    #[test]
    fn other_classes_are_named_not_guessed() {
        let refused = |ty, cell| decoded(ty, cell).unwrap_err();
        assert_eq!(refused(ColumnType::Int64, ValueRef::Text(b"007")), "text");
        assert_eq!(refused(ColumnType::Int64, ValueRef::Real(1.5)), "real");
        assert_eq!(refused(ColumnType::Bool, ValueRef::Integer(2)), "integer");
        assert_eq!(refused(ColumnType::Text, ValueRef::Integer(2)), "integer");
        assert_eq!(refused(ColumnType::Text, ValueRef::Text(&[255])), "text that is no UTF-8");
        assert_eq!(refused(ColumnType::Float64, ValueRef::Integer((1 << 53) + 1)), "integer");
        assert!(decoded(ColumnType::Int64, ValueRef::Null).unwrap().is_null(0));
    }

    proptest! {
        #[test]
        fn fifteen_digits_survive_a_real(unscaled in -999_999_999_999_999i64..=999_999_999_999_999, scale in 0i8..=15) {
            let stored = unscaled as f64 / 10f64.powi(i32::from(scale));
            prop_assert_eq!(decimal_of_real(stored, 15, scale), Some(i128::from(unscaled)));
        }

        /// The fast way and the shortest digits agree wherever both speak.
        #[test]
        fn reals_read_as_they_are_written(value in -1e9f64..1e9) {
            prop_assert_eq!(decimal_of_real(value, 15, 2), parse_decimal(&value.to_string(), 15, 2));
        }
    }
}
