//! Canonical row encoding, version 1: equal rows give equal bytes on every system.
//!
//! Each cell is `tag, length (u32 little-endian), bytes`; null is a tag of its own. Integers and decimals are
//! one class: coefficient without trailing zeros, exponent. Floats are their bits, with one NaN and one zero.
//! Text is its UTF-8 bytes. Length prefixes, not separators: ("p|q","r") and ("p","q|r") must not meet.

use crate::any::{self, Tagged};
use crate::schema::{ColumnType, TableSchema};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use std::ops::{DivAssign, Rem};

/// The version that certificates name.
pub const VERSION: u32 = 1;

const NULL: u8 = 0;
const NUMERIC: u8 = 1;
const FLOAT: u8 = 2;
const TEXT: u8 = 3;
const BYTES: u8 = 4;
const BOOL: u8 = 5;
const DATE: u8 = 6;
const TIMESTAMP: u8 = 7;
const INSTANT: u8 = 8;

/// Encodes rows of one batch, in the order of the columns given.
pub struct Rows<'a> {
    columns: Vec<Column<'a>>,
}

/// A column whose type was looked up once, for all of its cells.
struct Column<'a> {
    nulls: Option<&'a NullBuffer>,
    cells: Cells<'a>,
}

enum Cells<'a> {
    Bool(&'a BooleanArray),
    Int(&'a [i64]),
    Decimal(&'a [i128], i8),
    Float(&'a [f64]),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Date(&'a [i32]),
    Micros(u8, &'a [i64]),
    Any(&'a BinaryArray),
}

impl<'a> Rows<'a> {
    /// All columns of a table.
    pub fn all(batch: &'a RecordBatch, schema: &TableSchema) -> Self {
        Self::of(batch, schema, 0..schema.columns().len())
    }

    /// The key columns, in key order.
    pub fn keys(batch: &'a RecordBatch, schema: &TableSchema) -> Self {
        Self::of(batch, schema, schema.key().iter().copied())
    }

    /// Chosen columns, by place.
    ///
    /// # Panics
    /// When an array is not of its column's Arrow type: a broken invariant, never data.
    pub fn of(
        batch: &'a RecordBatch,
        schema: &TableSchema,
        places: impl IntoIterator<Item = usize>,
    ) -> Self {
        let columns = places.into_iter();
        let columns = columns.map(|i| Column::of(batch.column(i), schema.columns()[i].ty));
        Rows { columns: columns.collect() }
    }

    /// Appends the encoding of one row.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        for column in &self.columns {
            column.encode(row, out);
        }
    }
}

impl<'a> Column<'a> {
    fn of(array: &'a ArrayRef, ty: ColumnType) -> Self {
        let micros = || array.as_primitive::<TimestampMicrosecondType>().values();
        let cells = match ty {
            ColumnType::Bool => Cells::Bool(array.as_boolean()),
            ColumnType::Int64 => Cells::Int(array.as_primitive::<Int64Type>().values()),
            ColumnType::Decimal { scale, .. } => {
                Cells::Decimal(array.as_primitive::<Decimal128Type>().values(), scale)
            }
            ColumnType::Float64 => Cells::Float(array.as_primitive::<Float64Type>().values()),
            ColumnType::Text => Cells::Text(array.as_string::<i32>()),
            ColumnType::Bytes => Cells::Bytes(array.as_binary::<i32>()),
            ColumnType::Date => Cells::Date(array.as_primitive::<Date32Type>().values()),
            ColumnType::Timestamp => Cells::Micros(TIMESTAMP, micros()),
            ColumnType::Instant => Cells::Micros(INSTANT, micros()),
            ColumnType::Any => Cells::Any(array.as_binary::<i32>()),
        };
        Column { nulls: array.nulls(), cells }
    }

    fn encode(&self, row: usize, out: &mut Vec<u8>) {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.push(NULL);
            return;
        }
        match &self.cells {
            Cells::Bool(array) => cell(BOOL, &[u8::from(array.value(row))], out),
            Cells::Int(values) => numeric(i128::from(values[row]), 0, out),
            Cells::Decimal(values, scale) => numeric(values[row], *scale, out),
            Cells::Float(values) => float(values[row], out),
            Cells::Text(array) => cell(TEXT, array.value(row).as_bytes(), out),
            Cells::Bytes(array) => cell(BYTES, array.value(row), out),
            Cells::Date(values) => cell(DATE, &values[row].to_le_bytes(), out),
            Cells::Micros(tag, values) => cell(*tag, &values[row].to_le_bytes(), out),
            Cells::Any(array) => match any::decode(array.value(row)) {
                Some(Tagged::Integer(i)) => numeric(i128::from(i), 0, out),
                Some(Tagged::Float(f)) => float(f, out),
                Some(Tagged::Text(text)) => cell(TEXT, text.as_bytes(), out),
                Some(Tagged::Bytes(bytes)) => cell(BYTES, bytes, out),
                None => panic!("a tagged cell holds bytes that are no tagged value"),
            },
        }
    }
}

fn cell(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    let length = u32::try_from(bytes.len()).expect("a cell is smaller than 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

fn numeric(coefficient: i128, scale: i8, out: &mut Vec<u8>) {
    let exponent = if coefficient == 0 { 0 } else { -i16::from(scale) };
    // Nearly every number fits 64 bits, where a division by ten is a multiplication.
    let (coefficient, exponent) = match i64::try_from(coefficient) {
        Ok(small) => {
            let (small, exponent) = without_zeros(small, exponent);
            (i128::from(small), exponent)
        }
        Err(_) => without_zeros(coefficient, exponent),
    };
    // Tag, length and bytes in one piece: most cells of most tables come here.
    let mut bytes = [0; 23];
    bytes[0] = NUMERIC;
    bytes[1..5].copy_from_slice(&18_u32.to_le_bytes());
    bytes[5..21].copy_from_slice(&coefficient.to_le_bytes());
    bytes[21..].copy_from_slice(&exponent.to_le_bytes());
    out.extend_from_slice(&bytes);
}

/// The same number without zeros at its end.
fn without_zeros<N>(mut coefficient: N, mut exponent: i16) -> (N, i16)
where
    N: Copy + PartialEq + From<i8> + Rem<Output = N> + DivAssign,
{
    let (zero, ten) = (N::from(0), N::from(10));
    while coefficient != zero && coefficient % ten == zero {
        coefficient /= ten;
        exponent += 1;
    }
    (coefficient, exponent)
}

fn float(value: f64, out: &mut Vec<u8>) {
    let one = if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    };
    cell(FLOAT, &one.to_bits().to_le_bytes(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Column;
    use crate::value::{Value, batch};

    fn bytes(ty: ColumnType, value: Value) -> Vec<u8> {
        let schema = TableSchema::new::<&str>(vec![Column::new("v", ty, true)], &[]).unwrap();
        let batch = batch(&schema, &[vec![value]]).unwrap();
        let mut out = Vec::new();
        Rows::all(&batch, &schema).encode(0, &mut out);
        out
    }

    #[test]
    fn equal_numbers_of_different_types_are_equal() {
        let cents = ColumnType::Decimal { precision: 12, scale: 2 };
        let one = bytes(ColumnType::Int64, Value::Int(10));
        assert_eq!(one, bytes(cents, Value::Decimal { unscaled: 1000, scale: 2 }));
        assert_eq!(one, bytes(ColumnType::Any, Value::Int(10)));
        assert_ne!(one, bytes(ColumnType::Float64, Value::float(10.0)));
        assert_ne!(one, bytes(ColumnType::Int64, Value::Int(1)));
    }

    /// The bytes of version 1, spelled out: whoever makes the encoder quicker must not change them.
    #[test]
    fn the_bytes_of_numbers_are_those_of_version_1() {
        let expected = |coefficient: i128, exponent: i16| {
            let mut bytes = vec![1, 18, 0, 0, 0];
            bytes.extend(coefficient.to_le_bytes());
            bytes.extend(exponent.to_le_bytes());
            bytes
        };
        for (number, coefficient, exponent) in [
            (0, 0, 0),
            (7, 7, 0),
            (-1200, -12, 2),
            (i64::MAX, i128::from(i64::MAX), 0),
            (i64::MIN, i128::from(i64::MIN), 0),
            (-1_000_000_000_000_000_000, -1, 18),
        ] {
            let found = bytes(ColumnType::Int64, Value::Int(number));
            assert_eq!(found, expected(coefficient, exponent), "{number}");
        }
        let wide = ColumnType::Decimal { precision: 38, scale: 4 };
        let ten = |power: u32| 10i128.pow(power);
        for (unscaled, coefficient, exponent) in [
            (0, 0, 0),
            (12_300, 123, -2),
            (-ten(37), -1, 33),
            (ten(37) + 1, ten(37) + 1, -4),
            (i128::from(i64::MAX) * 10, i128::from(i64::MAX), -3),
            ((i128::from(i64::MAX) + 1) * 100, i128::from(i64::MAX) + 1, -2),
        ] {
            let found = bytes(wide, Value::Decimal { unscaled, scale: 4 });
            assert_eq!(found, expected(coefficient, exponent), "{unscaled}");
        }
    }

    #[test]
    fn floats_have_one_zero_and_one_nan() {
        let float = |f| bytes(ColumnType::Float64, Value::float(f));
        assert_eq!(float(0.0), float(-0.0));
        assert_eq!(float(f64::NAN), float(-f64::NAN));
        assert_ne!(float(0.1), float(0.100_000_000_000_000_02));
    }

    /// A separator-joined encoding calls these two rows equal (proof.md 2).
    #[test]
    fn moving_a_character_between_columns_shows() {
        let schema = TableSchema::new::<&str>(
            vec![
                Column::new("a", ColumnType::Text, true),
                Column::new("b", ColumnType::Text, true),
            ],
            &[],
        )
        .unwrap();
        let text = |s: &str| Value::Text(s.into());
        let rows =
            batch(&schema, &[vec![text("p|q"), text("r")], vec![text("p"), text("q|r")]]).unwrap();
        let encoder = Rows::all(&rows, &schema);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        encoder.encode(0, &mut first);
        encoder.encode(1, &mut second);
        assert_ne!(first, second);
    }

    #[test]
    fn null_is_not_empty() {
        assert_ne!(
            bytes(ColumnType::Text, Value::Null),
            bytes(ColumnType::Text, Value::Text(String::new()))
        );
    }
}
