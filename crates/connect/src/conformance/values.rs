//! One table that holds every kind of value at its edges, for the round trip through a system.
//!
//! A harness may declare kinds of columns that its system cannot hold; they are left out, nothing else is.

use change::{Column, ColumnType, TableSchema, Value};
use std::sync::Arc;

const WIDE: ColumnType = ColumnType::Decimal { precision: 38, scale: 10 };
const MONEY: ColumnType = ColumnType::Decimal { precision: 12, scale: 2 };

/// Every kind of column.
pub const KINDS: [ColumnType; 11] = [
    ColumnType::Bool,
    ColumnType::Int64,
    ColumnType::Float64,
    MONEY,
    WIDE,
    ColumnType::Text,
    ColumnType::Bytes,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::Instant,
    ColumnType::Any,
];

/// A table with a column of each kind that is not among `lacking`, keyed by a number.
///
/// # Panics
/// Never: names are numbered.
pub fn shape(lacking: &[ColumnType]) -> Arc<TableSchema> {
    let id = Column::new("id", ColumnType::Int64, false);
    let kinds = KINDS.iter().enumerate().filter(|(_, kind)| !lacking.contains(kind));
    let columns = kinds.map(|(i, kind)| Column::new(format!("v{i}"), *kind, true));
    let columns = std::iter::once(id).chain(columns).collect();
    Arc::new(TableSchema::new(columns, &["id"]).expect("numbered columns are distinct"))
}

/// Rows of [`shape`]: each value of each kind once, nulls in all other cells, and one row of nulls.
pub fn rows(schema: &TableSchema) -> Vec<Vec<Value>> {
    let width = schema.columns().len();
    let mut rows = vec![vec![Value::Null; width]];
    for (place, column) in schema.columns().iter().enumerate().skip(1) {
        for value in edges(column.ty) {
            let mut row = vec![Value::Null; width];
            row[place] = value;
            rows.push(row);
        }
    }
    for (id, row) in (-3..).zip(&mut rows) {
        row[0] = Value::Int(id);
    }
    rows
}

/// Values at the edges of a kind.
fn edges(kind: ColumnType) -> Vec<Value> {
    let decimal = |unscaled, scale| Value::Decimal { unscaled, scale };
    let integers = [i64::MIN, -1, 0, 1, (1 << 53) + 1, i64::MAX].map(Value::Int);
    let floats = [
        0.0,
        -0.0,
        0.1,
        1e300,
        f64::MIN_POSITIVE / 8.0,
        f64::MAX,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ]
    .map(Value::float);
    let texts = ["", " padded ", "é\u{1F30A}", "a\0b", "'\"\\\n", "NULL", "1"];
    let texts = texts.map(|text| Value::Text(text.into()));
    let bytes = [vec![], vec![0], vec![0xff, 0, 0x27, 0x5c]].map(Value::Bytes);
    match kind {
        ColumnType::Bool => vec![Value::Bool(true), Value::Bool(false)],
        ColumnType::Int64 => integers.to_vec(),
        ColumnType::Float64 => floats.to_vec(),
        ColumnType::Decimal { precision, scale } => {
            let most = 10_i128.pow(u32::from(precision)) - 1;
            [0, 1, -1, 100, most, -most].map(|unscaled| decimal(unscaled, scale)).to_vec()
        }
        ColumnType::Text => texts.to_vec(),
        ColumnType::Bytes => bytes.to_vec(),
        ColumnType::Date => [-719_162, -1, 0, 19_782, 2_932_896].map(Value::Date).to_vec(),
        ColumnType::Timestamp => instants().map(Value::Timestamp).to_vec(),
        ColumnType::Instant => instants().map(Value::Instant).to_vec(),
        ColumnType::Any => integers.into_iter().chain(floats).chain(texts).chain(bytes).collect(),
    }
}

/// Year 1 to year 9999, with microseconds.
fn instants() -> [i64; 5] {
    [-62_135_596_800_000_000, -1, 0, 1_709_164_800_123_456, 253_402_300_799_999_999]
}

/// Rows of [`rows`] that a system holds, and those it refuses because of one value.
pub fn divide(
    schema: &TableSchema,
    refuses: &dyn Fn(&Value) -> bool,
) -> (Vec<Vec<Value>>, Vec<Vec<Value>>) {
    rows(schema).into_iter().partition(|row| !row.iter().any(refuses))
}

/// Says that rows read back are the rows written, cell by cell: floats by their bits, with one NaN and one zero.
///
/// # Panics
/// When they are not.
pub fn assert_same(schema: &TableSchema, read: &[Vec<Value>], written: &[Vec<Value>]) {
    assert_eq!(read.len(), written.len(), "every row written is read back, and no other");
    for (read, written) in read.iter().zip(written) {
        for ((read, written), column) in read.iter().zip(written).zip(schema.columns()) {
            assert!(same(read, written), "{} reads back as {read} after {written}", column.ty);
        }
    }
}

fn same(read: &Value, written: &Value) -> bool {
    let (Value::Float(a), Value::Float(b)) = (read, written) else { return read == written };
    let (x, y) = (f64::from_bits(a.0), f64::from_bits(b.0));
    a == b || (x.is_nan() && y.is_nan()) || (x == 0.0 && y == 0.0)
}
