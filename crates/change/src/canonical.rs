//! Canonical row encoding, version 1: equal rows give equal bytes on every system.
//!
//! Each cell is `tag, length (u32 little-endian), bytes`; null is a tag of its own. Integers and decimals are
//! one class: coefficient without trailing zeros, exponent. Floats are their bits, with one NaN and one zero.
//! Text is its UTF-8 bytes. Length prefixes, not separators: ("p|q","r") and ("p","q|r") must not meet.

use crate::any::{self, Tagged};
use crate::schema::{ColumnType, TableSchema};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};

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
    columns: Vec<(&'a ArrayRef, ColumnType)>,
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
    pub fn of(
        batch: &'a RecordBatch,
        schema: &TableSchema,
        places: impl IntoIterator<Item = usize>,
    ) -> Self {
        let columns =
            places.into_iter().map(|i| (batch.column(i), schema.columns()[i].ty)).collect();
        Rows { columns }
    }

    /// Appends the encoding of one row.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        for (array, ty) in &self.columns {
            encode_cell(array.as_ref(), *ty, row, out);
        }
    }
}

fn encode_cell(array: &dyn Array, ty: ColumnType, row: usize, out: &mut Vec<u8>) {
    if array.is_null(row) {
        out.push(NULL);
        return;
    }
    match ty {
        ColumnType::Bool => cell(BOOL, &[u8::from(array.as_boolean().value(row))], out),
        ColumnType::Int64 => {
            numeric(i128::from(array.as_primitive::<Int64Type>().value(row)), 0, out);
        }
        ColumnType::Decimal { scale, .. } => {
            numeric(array.as_primitive::<Decimal128Type>().value(row), scale, out);
        }
        ColumnType::Float64 => float(array.as_primitive::<Float64Type>().value(row), out),
        ColumnType::Text => cell(TEXT, array.as_string::<i32>().value(row).as_bytes(), out),
        ColumnType::Bytes => cell(BYTES, array.as_binary::<i32>().value(row), out),
        ColumnType::Date => {
            cell(DATE, &array.as_primitive::<Date32Type>().value(row).to_le_bytes(), out);
        }
        ColumnType::Timestamp => cell(TIMESTAMP, &micros(array, row), out),
        ColumnType::Instant => cell(INSTANT, &micros(array, row), out),
        ColumnType::Any => match any::decode(array.as_binary::<i32>().value(row)) {
            Some(Tagged::Integer(i)) => numeric(i128::from(i), 0, out),
            Some(Tagged::Float(f)) => float(f, out),
            Some(Tagged::Text(text)) => cell(TEXT, text.as_bytes(), out),
            Some(Tagged::Bytes(bytes)) => cell(BYTES, bytes, out),
            None => panic!("a tagged cell holds bytes that are no tagged value"),
        },
    }
}

fn micros(array: &dyn Array, row: usize) -> [u8; 8] {
    array.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes()
}

fn cell(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    let length = u32::try_from(bytes.len()).expect("a cell is smaller than 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

fn numeric(mut coefficient: i128, scale: i8, out: &mut Vec<u8>) {
    let mut exponent = -i16::from(scale);
    if coefficient == 0 {
        exponent = 0;
    }
    while coefficient != 0 && coefficient % 10 == 0 {
        coefficient /= 10;
        exponent += 1;
    }
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&coefficient.to_le_bytes());
    bytes[16..].copy_from_slice(&exponent.to_le_bytes());
    cell(NUMERIC, &bytes, out);
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
