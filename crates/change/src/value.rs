//! Single cells and keys, for the slow paths: dead letters, differences, chunk bounds, messages.
//!
//! The hot path stays in Arrow columns; nothing here is called once per moved row.

use crate::any::{self, Tagged};
use crate::calendar::{date_text, timestamp_text};
use crate::schema::{ColumnType, TableSchema};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
    Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// 64-bit signed integer.
    Int(i64),
    /// IEEE-754 binary64, as bits, so that stored letters read back exactly (NaN included).
    Float(FloatBits),
    /// Exact decimal `unscaled / 10^scale`; text in storage, since JSON numbers are not 128 bits wide.
    Decimal {
        /// All digits.
        #[serde(with = "digits")]
        unscaled: i128,
        /// Digits behind the point.
        scale: i8,
    },
    /// UTF-8 text.
    Text(String),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00 without a zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Instant(i64),
}

/// A float as its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloatBits(pub u64);

impl Value {
    /// A float value.
    pub fn float(value: f64) -> Self {
        Value::Float(FloatBits(value.to_bits()))
    }

    /// Reads one cell of a column. A tagged cell gives the value inside.
    ///
    /// # Panics
    /// When the array is not of the column's Arrow type: a broken invariant, never data.
    pub fn read(array: &dyn Array, ty: ColumnType, row: usize) -> Value {
        if array.is_null(row) {
            return Value::Null;
        }
        match ty {
            ColumnType::Bool => Value::Bool(array.as_boolean().value(row)),
            ColumnType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
            ColumnType::Float64 => Value::float(array.as_primitive::<Float64Type>().value(row)),
            ColumnType::Decimal { scale, .. } => Value::Decimal {
                unscaled: array.as_primitive::<Decimal128Type>().value(row),
                scale,
            },
            ColumnType::Text => Value::Text(array.as_string::<i32>().value(row).to_string()),
            ColumnType::Bytes => Value::Bytes(array.as_binary::<i32>().value(row).to_vec()),
            ColumnType::Date => Value::Date(array.as_primitive::<Date32Type>().value(row)),
            ColumnType::Timestamp => {
                Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row))
            }
            ColumnType::Instant => {
                Value::Instant(array.as_primitive::<TimestampMicrosecondType>().value(row))
            }
            ColumnType::Any => match any::decode(array.as_binary::<i32>().value(row)) {
                Some(Tagged::Integer(i)) => Value::Int(i),
                Some(Tagged::Float(f)) => Value::float(f),
                Some(Tagged::Text(text)) => Value::Text(text.to_string()),
                Some(Tagged::Bytes(bytes)) => Value::Bytes(bytes.to_vec()),
                None => panic!("a tagged cell holds bytes that are no tagged value"),
            },
        }
    }

    /// All cells of one row.
    pub fn row(batch: &RecordBatch, schema: &TableSchema, row: usize) -> Vec<Value> {
        schema
            .columns()
            .iter()
            .zip(batch.columns())
            .map(|(column, array)| Value::read(array.as_ref(), column.ty, row))
            .collect()
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(b) => b.fmt(f),
            Value::Int(i) => i.fmt(f),
            Value::Float(FloatBits(bits)) => write!(f, "{:?}", f64::from_bits(*bits)),
            Value::Decimal { unscaled, scale } => f.write_str(&decimal_text(*unscaled, *scale)),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Bytes(bytes) => {
                f.write_str("x'")?;
                bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))?;
                f.write_str("'")
            }
            Value::Date(days) => f.write_str(&date_text(i64::from(*days))),
            Value::Timestamp(micros) => f.write_str(&timestamp_text(*micros)),
            Value::Instant(micros) => write!(f, "{}Z", timestamp_text(*micros)),
        }
    }
}

/// `unscaled / 10^scale` in plain digits, every digit of the scale kept.
pub fn decimal_text(unscaled: i128, scale: i8) -> String {
    if scale <= 0 {
        return format!("{unscaled}{}", "0".repeat(usize::from(scale.unsigned_abs())));
    }
    let scale = usize::from(scale.unsigned_abs());
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{fraction}", if unscaled < 0 { "-" } else { "" })
}

/// Parses plain decimal digits into exactly `scale` digits behind the point.
/// `None` where a digit would be lost, or where the text is no plain decimal.
pub fn parse_decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept = fraction.trim_end_matches('0');
    if kept.len() > scale {
        return None;
    }
    let digits = format!("{whole}{kept:0<scale$}");
    let digits = digits.trim_start_matches('0');
    if digits.len() > usize::from(precision) {
        return None;
    }
    let unscaled: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Some(if negative { -unscaled } else { unscaled })
}

/// A row's key: its key cells in key order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key(pub Vec<Value>);

impl Key {
    /// The key of one row of a batch that has the table's columns.
    pub fn read(batch: &RecordBatch, schema: &TableSchema, row: usize) -> Key {
        Key(schema
            .key()
            .iter()
            .map(|&i| Value::read(batch.column(i).as_ref(), schema.columns()[i].ty, row))
            .collect())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (i, value) in self.0.iter().enumerate() {
            write!(f, "{}{value}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str(")")
    }
}

/// Why cells do not make a column.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{value} is no value of a {ty} column")]
pub struct WrongType {
    /// The cell.
    pub value: Value,
    /// The column's type.
    pub ty: ColumnType,
}

/// Builds a column out of cells.
///
/// # Errors
/// A cell of another type. Only an exact widening is done: none at all.
pub fn column<'a>(
    ty: ColumnType,
    cells: impl Iterator<Item = &'a Value>,
) -> Result<ArrayRef, WrongType> {
    macro_rules! build {
        ($builder:expr, $($pattern:pat $(if $guard:expr)? => $value:expr),+) => {{
            let mut builder = $builder;
            for cell in cells {
                match cell {
                    Value::Null => builder.append_null(),
                    $($pattern $(if $guard)? => builder.append_value($value),)+
                    other => return Err(WrongType { value: other.clone(), ty }),
                }
            }
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    Ok(match ty {
        ColumnType::Bool => build!(BooleanBuilder::new(), Value::Bool(b) => *b),
        ColumnType::Int64 => build!(Int64Builder::new(), Value::Int(i) => *i),
        ColumnType::Float64 => {
            build!(Float64Builder::new(), Value::Float(FloatBits(bits)) => f64::from_bits(*bits))
        }
        ColumnType::Decimal { scale, .. } => build!(
            Decimal128Builder::new().with_data_type(ty.arrow()),
            Value::Decimal { unscaled, scale: found } if *found == scale => *unscaled
        ),
        ColumnType::Text => build!(StringBuilder::new(), Value::Text(text) => text),
        ColumnType::Bytes => build!(BinaryBuilder::new(), Value::Bytes(bytes) => bytes),
        ColumnType::Date => build!(Date32Builder::new(), Value::Date(days) => *days),
        ColumnType::Timestamp => build!(
            TimestampMicrosecondBuilder::new().with_data_type(ty.arrow()),
            Value::Timestamp(micros) => *micros
        ),
        ColumnType::Instant => build!(
            TimestampMicrosecondBuilder::new().with_data_type(ty.arrow()),
            Value::Instant(micros) => *micros
        ),
        ColumnType::Any => build!(
            BinaryBuilder::new(),
            Value::Int(i) => tagged(Tagged::Integer(*i)),
            Value::Float(FloatBits(bits)) => tagged(Tagged::Float(f64::from_bits(*bits))),
            Value::Text(text) => tagged(Tagged::Text(text)),
            Value::Bytes(bytes) => tagged(Tagged::Bytes(bytes))
        ),
    })
}

/// Builds a batch with the table's columns out of rows of cells.
///
/// # Errors
/// A cell of another type than its column.
pub fn batch(schema: &TableSchema, rows: &[Vec<Value>]) -> Result<RecordBatch, WrongType> {
    let columns = schema
        .columns()
        .iter()
        .enumerate()
        .map(|(i, c)| column(c.ty, rows.iter().map(|row| &row[i])))
        .collect::<Result<Vec<_>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(schema.images().clone(), columns, &options)
        .expect("columns were built from the schema"))
}

fn tagged(value: Tagged<'_>) -> Vec<u8> {
    let mut cell = Vec::new();
    any::encode(value, &mut cell);
    cell
}

mod digits {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(n: &i128, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&n.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<i128, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_and_decimals_read_as_people_write_them() {
        assert_eq!(decimal_text(-5, 2), "-0.05");
        assert_eq!(decimal_text(1250, 2), "12.50");
        assert_eq!(parse_decimal("2.550", 15, 2), Some(255));
        assert_eq!(parse_decimal("2.555", 15, 2), None);
        assert_eq!(parse_decimal("1e3", 15, 2), None);
        assert_eq!(parse_decimal("-.5", 15, 2), Some(-50));
        assert_eq!(parse_decimal("-", 15, 2), None);
    }

    proptest! {
        #[test]
        fn a_decimal_reads_back(unscaled in -10i128.pow(30)..10i128.pow(30), scale in 0i8..20) {
            prop_assert_eq!(parse_decimal(&decimal_text(unscaled, scale), 38, scale), Some(unscaled));
        }

        #[test]
        fn cells_survive_a_column(cells in prop::collection::vec(any_cell(), 0..20)) {
            let array = column(ColumnType::Any, cells.iter()).unwrap();
            let back: Vec<Value> =
                (0..cells.len()).map(|i| Value::read(array.as_ref(), ColumnType::Any, i)).collect();
            prop_assert_eq!(back, cells);
        }
    }

    fn any_cell() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::float),
            ".*".prop_map(Value::Text),
            prop::collection::vec(any::<u8>(), 0..9).prop_map(Value::Bytes),
        ]
    }
}
