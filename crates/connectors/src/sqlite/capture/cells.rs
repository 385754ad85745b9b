//! Stored cells into Arrow columns, for the capture only: the cuts have a decoder of their own.
//!
//! A cell becomes exactly the value that its declared column promises, or it is refused by its storage class.

use arrow::array::{
    ArrayRef, BinaryBuilder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
};
use change::any::{self, Tagged};
use change::value::parse_decimal;
use change::{ColumnType, TableSchema};
use connect::{Error, Result};
use rusqlite::types::ValueRef;
use std::sync::Arc;

/// Bytes that a cell takes beside its text or blob.
const CELL: usize = 8;

/// One column of images that grows cell by cell.
pub(super) enum Cells {
    Integer(Int64Builder),
    Real(Float64Builder),
    Decimal(Decimal128Builder, Digits),
    Text(StringBuilder),
    Blob(BinaryBuilder),
    Tagged(BinaryBuilder, Vec<u8>),
}

/// What fits a decimal column.
#[derive(Clone, Copy)]
pub(super) struct Digits {
    precision: u8,
    scale: i8,
    /// 10 to the power of the scale; exact up to 10^22.
    unit: f64,
    /// 10 to the power of the precision.
    limit: i128,
}

/// Empty columns for the images of a table.
pub(super) fn columns(table: &str, schema: &TableSchema) -> Result<Vec<Cells>> {
    let column = |column: &change::Column| {
        Cells::new(column.ty).ok_or_else(|| {
            Error::invalid(format!(
                "column {table}.{} cannot be captured as {}",
                column.name, column.ty
            ))
        })
    };
    schema.columns().iter().map(column).collect()
}

impl Cells {
    fn new(ty: ColumnType) -> Option<Cells> {
        Some(match ty {
            ColumnType::Int64 => Cells::Integer(Int64Builder::new()),
            ColumnType::Float64 => Cells::Real(Float64Builder::new()),
            ColumnType::Text => Cells::Text(StringBuilder::new()),
            ColumnType::Bytes => Cells::Blob(BinaryBuilder::new()),
            ColumnType::Any => Cells::Tagged(BinaryBuilder::new(), Vec::new()),
            ColumnType::Decimal { precision, scale } => {
                let digits = Digits {
                    precision,
                    scale,
                    unit: 10f64.powi(i32::from(scale)),
                    limit: 10i128.checked_pow(u32::from(precision))?,
                };
                Cells::Decimal(Decimal128Builder::new().with_data_type(ty.arrow()), digits)
            }
            // No declaration of SQLite gives these.
            ColumnType::Bool | ColumnType::Date | ColumnType::Timestamp | ColumnType::Instant => {
                return None;
            }
        })
    }

    /// Takes a cell and returns its size in bytes, or the storage class that does not fit.
    #[inline]
    pub(super) fn push(&mut self, cell: ValueRef<'_>) -> Result<usize, &'static str> {
        let mut size = CELL;
        match (self, cell) {
            (column, ValueRef::Null) => column.push_null(),
            (Cells::Integer(b), ValueRef::Integer(i)) => b.append_value(i),
            (Cells::Real(b), ValueRef::Real(f)) => b.append_value(f),
            (Cells::Text(b), ValueRef::Text(bytes)) => {
                size += bytes.len();
                b.append_value(utf8(bytes)?);
            }
            (Cells::Blob(b), ValueRef::Blob(bytes)) => {
                size += bytes.len();
                b.append_value(bytes);
            }
            (Cells::Decimal(b, digits), cell) => {
                b.append_value(digits.of(cell).ok_or_else(|| class(cell))?);
            }
            (Cells::Tagged(b, scratch), cell) => {
                let tagged = match cell {
                    ValueRef::Integer(i) => Tagged::Integer(i),
                    ValueRef::Real(f) => Tagged::Float(f),
                    ValueRef::Text(bytes) => Tagged::Text(utf8(bytes)?),
                    ValueRef::Blob(bytes) => Tagged::Bytes(bytes),
                    ValueRef::Null => unreachable!("nulls were taken above"),
                };
                scratch.clear();
                any::encode(tagged, scratch);
                size += scratch.len();
                b.append_value(scratch);
            }
            (_, other) => return Err(class(other)),
        }
        Ok(size)
    }

    /// A cell of an image that is not there, or null.
    #[inline]
    pub(super) fn push_null(&mut self) {
        match self {
            Cells::Integer(b) => b.append_null(),
            Cells::Real(b) => b.append_null(),
            Cells::Decimal(b, _) => b.append_null(),
            Cells::Text(b) => b.append_null(),
            Cells::Blob(b) | Cells::Tagged(b, _) => b.append_null(),
        }
    }

    /// The column.
    pub(super) fn finish(mut self) -> ArrayRef {
        match &mut self {
            Cells::Integer(b) => Arc::new(b.finish()),
            Cells::Real(b) => Arc::new(b.finish()),
            Cells::Decimal(b, _) => Arc::new(b.finish()),
            Cells::Text(b) => Arc::new(b.finish()),
            Cells::Blob(b) | Cells::Tagged(b, _) => Arc::new(b.finish()),
        }
    }
}

impl Digits {
    /// The decimal that a number is, where it has no more digits than the column.
    fn of(self, cell: ValueRef<'_>) -> Option<i128> {
        let unscaled = match cell {
            ValueRef::Integer(i) => {
                i128::from(i).checked_mul(10i128.checked_pow(u32::try_from(self.scale).ok()?)?)?
            }
            ValueRef::Real(f) => self.of_real(f)?,
            _ => return None,
        };
        (unscaled.abs() < self.limit).then_some(unscaled)
    }

    /// A real stands for the decimal that it is written as. Below 2^53 the candidate is exact, and dividing it by
    /// an exact power of ten gives the real nearest to the decimal: if that is ours, so is the decimal.
    fn of_real(self, value: f64) -> Option<i128> {
        let candidate = (value * self.unit).round();
        if candidate.abs() < 1e15 && self.scale <= 22 && candidate / self.unit == value {
            return Some(candidate as i128);
        }
        if !value.is_finite() {
            return None;
        }
        parse_decimal(&value.to_string(), self.precision, self.scale)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(bytes).map_err(|_| "text that is no UTF-8")
}

fn class(cell: ValueRef<'_>) -> &'static str {
    match cell {
        ValueRef::Null => "null",
        ValueRef::Integer(_) => "integer",
        ValueRef::Real(_) => "real",
        ValueRef::Text(_) => "text",
        ValueRef::Blob(_) => "blob",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::Decimal128Type;

    fn one(ty: ColumnType, cell: ValueRef<'_>) -> Result<ArrayRef, &'static str> {
        let mut cells = Cells::new(ty).unwrap();
        cells.push(cell)?;
        Ok(cells.finish())
    }

    #[test]
    fn cells_fit_their_column_or_are_refused_by_class() {
        for (ty, cell, found) in [
            (ColumnType::Int64, ValueRef::Text(b"7"), "text"),
            (ColumnType::Int64, ValueRef::Real(7.5), "real"),
            (ColumnType::Text, ValueRef::Blob(b"x"), "blob"),
            (ColumnType::Text, ValueRef::Text(&[0xff]), "text that is no UTF-8"),
            (ColumnType::Bytes, ValueRef::Integer(1), "integer"),
            (ColumnType::Any, ValueRef::Text(&[0xff]), "text that is no UTF-8"),
        ] {
            assert_eq!(one(ty, cell).unwrap_err(), found, "{ty}");
        }
        assert_eq!(one(ColumnType::Text, ValueRef::Null).unwrap().null_count(), 1);
    }

    #[test]
    fn decimals_keep_every_digit() {
        let ty = ColumnType::Decimal { precision: 12, scale: 2 };
        let read = |cell| one(ty, cell).ok().map(|a| a.as_primitive::<Decimal128Type>().value(0));
        assert_eq!(read(ValueRef::Real(-0.07)), Some(-7));
        assert_eq!(read(ValueRef::Real(9_999_999_999.99)), Some(999_999_999_999));
        assert_eq!(read(ValueRef::Integer(3)), Some(300));
        for lost in [
            ValueRef::Real(2.555),
            ValueRef::Real(0.1 + 0.2),
            ValueRef::Real(f64::INFINITY),
            ValueRef::Integer(10_000_000_000),
            ValueRef::Text(b"1.5"),
        ] {
            assert_eq!(read(lost), None, "{lost:?}");
        }
    }
}
