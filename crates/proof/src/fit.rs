//! Cells as they are stored, put back into the types that their columns declare, where they fit exactly.
//!
//! Only for targets that somebody damaged: what fits compares as if it had been read as declared, and what does
//! not keeps the class that it is stored in. Since the canonical encoding tags classes, a cell that does not fit
//! never encodes as a value of its column. Nothing is rounded.

use arrow::array::RecordBatch;
use change::value::{FloatBits, parse_decimal};
use change::{ColumnType, Key, TableSchema, Value, canonical, value};
use connect::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A row out of its cells as stored.
pub(crate) struct StoredRow {
    /// Its cells: of the declared type where they fit, as stored where not.
    pub(crate) cells: Vec<Value>,
    /// Places of the columns whose cells do not fit.
    pub(crate) misfits: Vec<usize>,
}

impl StoredRow {
    /// One row of a batch that was read with the columns of `asked`, as a row of `declared`.
    pub(crate) fn read(
        batch: &RecordBatch,
        asked: &TableSchema,
        declared: &TableSchema,
        row: usize,
    ) -> StoredRow {
        let mut misfits = Vec::new();
        let cells = Value::row(batch, asked, row).into_iter().zip(declared.columns()).enumerate();
        let cells = cells.map(|(place, (cell, column))| match fitted(&cell, column.ty) {
            Some(fitted) => fitted,
            None => {
                misfits.push(place);
                cell
            }
        });
        let cells = cells.collect();
        StoredRow { cells, misfits }
    }

    /// Its key, misfits as stored.
    pub(crate) fn key(&self, declared: &TableSchema) -> Key {
        Key(declared.key().iter().map(|&place| self.cells[place].clone()).collect())
    }
}

/// Rows as batches, one for each set of columns that cells do not fit; such columns carry their types with them.
pub(crate) fn batches(
    rows: Vec<StoredRow>,
    declared: &TableSchema,
) -> Result<Vec<(Arc<TableSchema>, RecordBatch)>> {
    let mut sets: BTreeMap<Vec<usize>, Vec<Vec<Value>>> = BTreeMap::new();
    for row in rows {
        sets.entry(row.misfits).or_default().push(row.cells);
    }
    let batches = sets.into_iter().map(|(misfits, rows)| {
        let schema = relaxed(declared, |place| misfits.contains(&place));
        let batch = value::batch(&schema, &rows).map_err(outside)?;
        Ok((Arc::new(schema), batch))
    });
    batches.collect()
}

/// Canonical bytes of a key that may hold misfits.
pub(crate) fn key_bytes(key: &Key, key_schema: &TableSchema) -> Result<Vec<u8>> {
    let columns = key_schema.columns();
    let schema = relaxed(key_schema, |place| !holds(columns[place].ty, &key.0[place]));
    let batch = value::batch(&schema, std::slice::from_ref(&key.0)).map_err(outside)?;
    let mut bytes = Vec::new();
    canonical::Rows::all(&batch, &schema).encode(0, &mut bytes);
    Ok(bytes)
}

/// Whether every cell of a key is there and of its column's type, so that readers take it as a bound.
pub(crate) fn is_bound(key: &Key, schema: &TableSchema) -> bool {
    let columns = schema.key().iter().map(|&place| schema.columns()[place].ty);
    columns.zip(&key.0).all(|(ty, cell)| *cell != Value::Null && holds(ty, cell))
}

/// The same columns and key, the chosen columns with values that carry their own type.
pub(crate) fn relaxed(schema: &TableSchema, chosen: impl Fn(usize) -> bool) -> TableSchema {
    let mut columns = schema.columns().to_vec();
    for (place, column) in columns.iter_mut().enumerate() {
        if chosen(place) {
            column.ty = ColumnType::Any;
        }
    }
    let key: Vec<&str> = schema.key_names().collect();
    TableSchema::new(columns, &key).expect("the columns and the key keep their names")
}

/// The stored cell as a value of a type, where it is one exactly. Forms that a reader takes for the type are
/// taken here too, or a row that is fine would differ as soon as its neighbour is damaged.
fn fitted(stored: &Value, ty: ColumnType) -> Option<Value> {
    if let ColumnType::Decimal { precision, scale } = ty {
        let digits = match stored {
            Value::Int(i) => i.to_string(),
            // The shortest digits that read back as this float, never in exponents.
            Value::Float(FloatBits(bits)) => f64::from_bits(*bits).to_string(),
            Value::Text(text) => text.clone(),
            other => return holds(ty, other).then(|| other.clone()),
        };
        let unscaled = parse_decimal(&digits, precision, scale)?;
        return Some(Value::Decimal { unscaled, scale });
    }
    match (ty, stored) {
        (ColumnType::Float64, Value::Int(i)) => {
            let float = *i as f64;
            (float as i128 == i128::from(*i)).then(|| Value::float(float))
        }
        (ColumnType::Int64, Value::Text(text)) => {
            text.parse().ok().filter(|i: &i64| i.to_string() == *text).map(Value::Int)
        }
        _ => holds(ty, stored).then(|| stored.clone()),
    }
}

/// Whether a value is of a type as it is.
fn holds(ty: ColumnType, value: &Value) -> bool {
    match (ty, value) {
        (_, Value::Null)
        | (ColumnType::Bool, Value::Bool(_))
        | (ColumnType::Int64, Value::Int(_))
        | (ColumnType::Float64, Value::Float(_))
        | (ColumnType::Text, Value::Text(_))
        | (ColumnType::Bytes, Value::Bytes(_))
        | (ColumnType::Date, Value::Date(_))
        | (ColumnType::Timestamp, Value::Timestamp(_))
        | (ColumnType::Instant, Value::Instant(_))
        | (ColumnType::Any, Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Bytes(_)) => {
            true
        }
        (ColumnType::Decimal { scale, .. }, Value::Decimal { scale: found, .. }) => scale == *found,
        _ => false,
    }
}

fn outside(e: value::WrongType) -> Error {
    Error::internal("a cell is of no type that a stored value can have").caused_by(e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use change::Column;
    use proptest::prelude::*;

    const MONEY: ColumnType = ColumnType::Decimal { precision: 12, scale: 4 };

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn cells_fit_exactly_or_not_at_all() {
        let money = |unscaled| Some(Value::Decimal { unscaled, scale: 4 });
        for (stored, ty, expected) in [
            (Value::float(213.95), MONEY, money(2_139_500)),
            (Value::float(213.950_000_000_000_02), MONEY, None),
            (Value::float(-0.0), MONEY, money(0)),
            (Value::float(1e300), MONEY, None),
            (Value::float(f64::NAN), MONEY, None),
            (Value::float(f64::INFINITY), MONEY, None),
            (Value::Int(7), MONEY, money(70_000)),
            (Value::Int(100_000_000), MONEY, None),
            (text("2.5"), MONEY, money(25_000)),
            (text("2.5 "), MONEY, None),
            (Value::Bytes(vec![50]), MONEY, None),
            (Value::Null, MONEY, Some(Value::Null)),
            (text("-12"), ColumnType::Int64, Some(Value::Int(-12))),
            (text("012"), ColumnType::Int64, None),
            (Value::float(12.0), ColumnType::Int64, None),
            (Value::Int(5), ColumnType::Float64, Some(Value::float(5.0))),
            (Value::Int((1 << 53) + 1), ColumnType::Float64, None),
            (Value::Int(i64::MAX), ColumnType::Float64, None),
            (Value::Int(5), ColumnType::Text, None),
            (text("5"), ColumnType::Bytes, None),
            (Value::Date(3), ColumnType::Date, Some(Value::Date(3))),
        ] {
            assert_eq!(fitted(&stored, ty), expected, "{stored:?} as {ty}");
        }
    }

    fn stored_cell() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Int),
            (-3i64..3).prop_map(Value::Int),
            any::<f64>().prop_map(Value::float),
            (-3000i32..3000).prop_map(|n| Value::float(f64::from(n) / 100.0)),
            "-?[0-9]{0,3}\\.?[0-9]{0,5}".prop_map(Value::Text),
            ".*".prop_map(Value::Text),
            prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::Bytes),
        ]
    }

    fn types() -> [ColumnType; 5] {
        [MONEY, ColumnType::Int64, ColumnType::Float64, ColumnType::Text, ColumnType::Bytes]
    }

    proptest! {
        /// Whatever two cells are: one that fits never encodes as one that does not.
        #[test]
        fn a_misfit_encodes_as_no_value_of_its_column(
            ty in prop::sample::select(types().to_vec()),
            (a, b) in (stored_cell(), stored_cell()),
        ) {
            let schema = TableSchema::new(vec![Column::new("v", ty, true)], &["v"]).unwrap();
            let (Some(fits), None) = (fitted(&a, ty), fitted(&b, ty)) else { return Ok(()) };
            let bytes = |cell: Value| key_bytes(&Key(vec![cell]), &schema).unwrap();
            prop_assert_ne!(bytes(fits.clone()), bytes(b.clone()));
            prop_assert!(!is_bound(&Key(vec![b]), &schema));
            prop_assert_eq!(is_bound(&Key(vec![fits.clone()]), &schema), fits != Value::Null);
        }
    }
}
