//! Columns of a Parquet file in exact types, with advice where there is none. The conversion itself is `connect`'s.

use arrow::datatypes::{Field, Schema};
use change::{Column, TableSchema};
use connect::exact::exact_type;
use connect::{Error, Result};

/// The columns of a file in exact types, without a key.
///
/// # Errors
/// `Invalid` when a column has no exact type, or a name that another has.
pub(super) fn exact_schema(schema: &Schema) -> Result<TableSchema> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let ty = exact_type(field).ok_or_else(|| inexact(field))?;
            Ok(Column::new(field.name(), ty, field.is_nullable()))
        })
        .collect::<Result<Vec<_>>>()?;
    TableSchema::new(columns, &[] as &[&str])
        .map_err(|e| Error::invalid(format!("the columns of the file: {e}")))
}

fn inexact(field: &Field) -> Error {
    Error::invalid(format!("column {} cannot be carried exactly", field.name()))
        .found(format!("its type is {}", field.data_type()))
        .fix("write the file with a type of: bool, int64, float64, decimal of at most 38 digits, text, bytes, date, timestamp")
}
