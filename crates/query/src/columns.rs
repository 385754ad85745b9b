//! From the types of a query result to the exact types of columns, for planning and for data.
//!
//! The invariant: a converted value is the value, or there is an error. Nothing is rounded or cut off here.

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, PrimitiveArray, RecordBatch, RecordBatchOptions,
    TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date64Type, Decimal128Type, Field, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use change::{Column, ColumnType, SchemaError, TableSchema};
use connect::{Error, Result};
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;
const MOST_DIGITS: u8 = 38;

/// The columns of a query result in exact types, without a key.
///
/// # Errors
/// `Invalid` when a column has no exact type, no name of its own, or a name that another has.
pub(crate) fn exact_schema(schema: &Schema) -> Result<TableSchema> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| Ok(Column::new(field.name(), exact_type(field)?, field.is_nullable())))
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

/// The exact type that holds every value of a field.
pub(crate) fn exact_type(field: &Field) -> Result<ColumnType> {
    Ok(match field.data_type() {
        DataType::Int8 | DataType::Int16 | DataType::Int32 => ColumnType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => ColumnType::Int64,
        DataType::UInt64 => ColumnType::Decimal { precision: 20, scale: 0 },
        DataType::Float16 | DataType::Float32 => ColumnType::Float64,
        DataType::Utf8View | DataType::LargeUtf8 => ColumnType::Text,
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
            ColumnType::Bytes
        }
        DataType::Date64 => ColumnType::Date,
        DataType::Timestamp(_, None) => ColumnType::Timestamp,
        DataType::Timestamp(_, Some(_)) => ColumnType::Instant,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
            decimal(*p, *s).ok_or_else(|| {
                inexact(field, "cast it: `cast(... as decimal(38, 10))`, or as many digits as fit")
            })?
        }
        DataType::Dictionary(_, values) => {
            exact_type(&field.clone().with_data_type(values.as_ref().clone()))?
        }
        DataType::Decimal256(..) => {
            return Err(inexact(
                field,
                "cast it to 38 digits or fewer: `cast(... as decimal(38, 10))`",
            ));
        }
        DataType::Null => {
            return Err(inexact(field, "say what it is null of: `cast(null as bigint)`"));
        }
        DataType::Interval(_)
        | DataType::Duration(_)
        | DataType::Time32(_)
        | DataType::Time64(_) => {
            return Err(inexact(field, "cast it to text or to a number of units"));
        }
        _ => ColumnType::from_arrow(field)
            .ok_or_else(|| inexact(field, "take its parts, or cast it to text"))?,
    })
}

/// The decimal type with a scale from 0 to the precision that holds `digits` digits, `scale` behind the point.
fn decimal(digits: u8, scale: i8) -> Option<ColumnType> {
    let behind = scale.max(0);
    let before = i16::from(digits) - i16::from(scale);
    let precision = u8::try_from((before.max(0) + i16::from(behind)).max(1)).ok()?;
    (precision <= MOST_DIGITS).then_some(ColumnType::Decimal { precision, scale: behind })
}

fn inexact(field: &Field, fix: &str) -> Error {
    Error::invalid(format!("column {} cannot be carried exactly", field.name()))
        .found(format!("its type is {}", field.data_type()))
        .fix(fix)
}

/// The batch in the columns of `schema`, which [`exact_schema`] made of its schema.
///
/// # Errors
/// `Refused` when a value does not fit; `Internal` when the batch is of another shape.
pub(crate) fn exact_batch(batch: &RecordBatch, schema: &TableSchema) -> Result<RecordBatch> {
    if batch.num_columns() != schema.columns().len() {
        return Err(Error::internal("a query result has other columns than were planned"));
    }
    let arrays = schema
        .columns()
        .iter()
        .zip(batch.columns())
        .map(|(column, array)| {
            exact_array(array, column.ty).map_err(|e| e.at(format!("column {}", column.name)))
        })
        .collect::<Result<Vec<_>>>()?;
    rebuilt(schema.images(), arrays, batch.num_rows())
}

/// The batch with another schema over the same arrays, checked.
///
/// # Errors
/// `Internal` when the arrays are not of the schema's types, or hold nulls it does not allow.
pub(crate) fn rebuilt(
    schema: &SchemaRef,
    arrays: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
        .map_err(|e| Error::internal("rows do not have the shape that was declared").caused_by(e))
}

/// The array in the Arrow type of `ty`, value for value.
fn exact_array(array: &ArrayRef, ty: ColumnType) -> Result<ArrayRef> {
    let exact = match (array.data_type(), ty) {
        (DataType::Dictionary(_, values), _) => return exact_array(&cast(array, values)?, ty),
        (DataType::Timestamp(unit, _), ColumnType::Timestamp | ColumnType::Instant) => {
            let micros = micros(array, *unit)?;
            let micros = match ty {
                ColumnType::Instant => micros.with_timezone("UTC"),
                _ => micros,
            };
            Arc::new(micros) as ArrayRef
        }
        (DataType::Date64, ColumnType::Date) => Arc::new(days(array)?),
        (found, _) if *found == ty.arrow() => Arc::clone(array),
        _ => cast(array, &ty.arrow())?,
    };
    if let ColumnType::Decimal { precision, .. } = ty {
        exact
            .as_primitive::<Decimal128Type>()
            .validate_decimal_precision(precision)
            .map_err(|_| too_long())?;
    }
    Ok(exact)
}

/// A cast that widens; where it would not, it fails.
fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options).map_err(|_| too_long())
}

fn too_long() -> Error {
    Error::refused("a value does not fit the column's type")
}

fn micros(array: &ArrayRef, unit: TimeUnit) -> Result<TimestampMicrosecondArray> {
    fn scaled<T: arrow::datatypes::ArrowPrimitiveType<Native = i64>>(
        array: &ArrayRef,
        factor: i64,
    ) -> Result<TimestampMicrosecondArray> {
        let times: &PrimitiveArray<T> = array.as_primitive();
        times.try_unary(|t| {
            t.checked_mul(factor)
                .ok_or_else(|| Error::refused("a time lies outside the range of microseconds"))
        })
    }
    match unit {
        TimeUnit::Second => scaled::<TimestampSecondType>(array, 1_000_000),
        TimeUnit::Millisecond => scaled::<TimestampMillisecondType>(array, 1_000),
        TimeUnit::Microsecond => scaled::<TimestampMicrosecondType>(array, 1),
        TimeUnit::Nanosecond => {
            array.as_primitive::<TimestampNanosecondType>().try_unary(|t| match t % 1_000 {
                0 => Ok(t / 1_000),
                _ => Err(Error::refused("a time has digits behind the microsecond")
                    .fix("say what becomes of them: `date_trunc('microsecond', ...)`")),
            })
        }
    }
}

fn days(array: &ArrayRef) -> Result<Date32Array> {
    array.as_primitive::<Date64Type>().try_unary(|ms| {
        let day = (ms % DAY_MS == 0).then_some(ms / DAY_MS);
        day.and_then(|d| i32::try_from(d).ok())
            .ok_or_else(|| Error::refused("a date is no whole day, or too far away"))
    })
}
