//! Columns of a query result in exact types, with advice where there is none. The conversion itself is `connect`'s.

use arrow::datatypes::{DataType, Field, Schema};
use change::{Column, SchemaError, TableSchema};
use connect::exact::exact_type;
use connect::{Error, Result};

/// The columns of a query result in exact types, without a key.
///
/// # Errors
/// `Invalid` when a column has no exact type, no name of its own, or a name that another has.
pub(crate) fn exact_schema(schema: &Schema) -> Result<TableSchema> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let ty = exact_type(field).ok_or_else(|| inexact(field))?;
            Ok(Column::new(field.name(), ty, field.is_nullable()))
        })
        .collect::<Result<Vec<_>>>()?;
    TableSchema::new(columns, &[] as &[&str]).map_err(|e| {
        let error = Error::invalid(format!("the columns of the statement: {e}"));
        match e {
            SchemaError::DuplicateColumn(name) => {
                error.fix(format!("give one of them another name: `... as other_{name}`"))
            }
            _ => error,
        }
    })
}

fn inexact(field: &Field) -> Error {
    let fix = match field.data_type() {
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => {
            "cast it: `cast(... as decimal(38, 10))`, or as many digits as fit"
        }
        DataType::Decimal256(..) => "cast it to 38 digits or fewer: `cast(... as decimal(38, 10))`",
        DataType::Null => "say what it is null of: `cast(null as bigint)`",
        DataType::Interval(_)
        | DataType::Duration(_)
        | DataType::Time32(_)
        | DataType::Time64(_) => "cast it to text or to a number of units",
        DataType::Dictionary(_, values) => {
            return inexact(&field.clone().with_data_type(values.as_ref().clone()));
        }
        _ => "take its parts, or cast it to text",
    };
    Error::invalid(format!("column {} cannot be carried exactly", field.name()))
        .found(format!("its type is {}", field.data_type()))
        .fix(fix)
}
