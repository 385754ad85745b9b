//! From any Arrow type to the exact types of columns: for results of SQL and for files.
//!
//! The invariant: a converted value is the value, or there is an error. Nothing is rounded or cut off here.

use crate::error::{Error, Result};
use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, PrimitiveArray, RecordBatch, RecordBatchOptions,
    TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date64Type, Decimal128Type, Field, SchemaRef, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use change::{ColumnType, TableSchema};
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;
const MOST_DIGITS: u8 = 38;

/// The exact type that holds every value of a field; `None` where there is none.
pub fn exact_type(field: &Field) -> Option<ColumnType> {
    Some(match field.data_type() {
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
            decimal(*p, *s)?
        }
        DataType::Dictionary(_, values) => {
            exact_type(&field.clone().with_data_type(values.as_ref().clone()))?
        }
        _ => ColumnType::from_arrow(field)?,
    })
}

/// The decimal type with a scale from 0 to the precision that holds `digits` digits, `scale` behind the point.
fn decimal(digits: u8, scale: i8) -> Option<ColumnType> {
    let behind = scale.max(0);
    let before = i16::from(digits) - i16::from(scale);
    let precision = u8::try_from((before.max(0) + i16::from(behind)).max(1)).ok()?;
    (precision <= MOST_DIGITS).then_some(ColumnType::Decimal { precision, scale: behind })
}

/// The batch in the columns of `schema`, whose types [`exact_type`] gave.
///
/// # Errors
/// `Refused` when a value does not fit; `Internal` when the batch is of another shape.
pub fn exact_batch(batch: &RecordBatch, schema: &TableSchema) -> Result<RecordBatch> {
    if batch.num_columns() != schema.columns().len() {
        return Err(Error::internal("rows have other columns than were described"));
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
pub fn rebuilt(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
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
                _ => Err(Error::refused("a time has digits behind the microsecond").fix(
                    "cut them off where they come from: `date_trunc('microsecond', ...)` in SQL",
                )),
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
