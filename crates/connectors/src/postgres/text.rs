//! Arrow rows into the text of COPY, for tables with columns whose bytes we do not know: the server parses them.
//!
//! The invariant: as in [`super::binary`]. Times before the year 1 are written as PostgreSQL writes them, with BC.

use super::names::literal;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use change::calendar::date_text;
use change::value::{FloatBits, decimal_text};
use change::{ColumnType, TableSchema, Value};
use connect::{Error, Result};
use std::fmt::Write;

const DAY: i64 = 86_400_000_000;

/// Appends all rows of a batch with the columns of `schema`.
///
/// # Errors
/// `Refused`, naming the column, when a cell has no text there.
pub(super) fn copy_rows(batch: &RecordBatch, schema: &TableSchema, out: &mut String) -> Result<()> {
    for row in 0..batch.num_rows() {
        for (i, (array, column)) in batch.columns().iter().zip(schema.columns()).enumerate() {
            if i > 0 {
                out.push('\t');
            }
            if array.is_null(row) {
                out.push_str("\\N");
            } else {
                cell(array, column.ty, row, out).map_err(|what| {
                    Error::refused(format!("a cell of column {} has no place there", column.name))
                        .found(what)
                })?;
            }
        }
        out.push('\n');
    }
    Ok(())
}

fn cell(
    array: &ArrayRef,
    ty: ColumnType,
    row: usize,
    out: &mut String,
) -> Result<(), &'static str> {
    let written = match ty {
        ColumnType::Bool => out.write_str(if array.as_boolean().value(row) { "t" } else { "f" }),
        ColumnType::Int64 => write!(out, "{}", array.as_primitive::<Int64Type>().value(row)),
        ColumnType::Float64 => {
            out.write_str(&float(array.as_primitive::<Float64Type>().value(row)))
        }
        ColumnType::Decimal { scale, .. } => {
            out.write_str(&decimal_text(array.as_primitive::<Decimal128Type>().value(row), scale))
        }
        ColumnType::Text => return escaped(array.as_string::<i32>().value(row), out),
        ColumnType::Bytes => {
            out.push_str("\\\\x");
            array
                .as_binary::<i32>()
                .value(row)
                .iter()
                .try_for_each(|byte| write!(out, "{byte:02x}"))
        }
        ColumnType::Date => {
            out.write_str(&date(i64::from(array.as_primitive::<Date32Type>().value(row))))
        }
        ColumnType::Timestamp => out
            .write_str(&timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row), "")),
        ColumnType::Instant => out.write_str(&timestamp(
            array.as_primitive::<TimestampMicrosecondType>().value(row),
            "+00",
        )),
        ColumnType::Any => return Err("a value that carries its own type has no column here"),
    };
    written.map_err(|_| "it cannot be written")
}

fn escaped(text: &str, out: &mut String) -> Result<(), &'static str> {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => return Err("PostgreSQL keeps no text with a zero byte"),
            other => out.push(other),
        }
    }
    Ok(())
}

fn float(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else {
        format!("{value:?}")
    }
}

/// A day as PostgreSQL reads it: the year before 1 is 1 BC.
fn date(days: i64) -> String {
    let text = date_text(days);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.as_str()),
    };
    let (year, rest) = digits.split_once('-').unwrap_or((digits, ""));
    let year: i64 = sign * year.parse::<i64>().unwrap_or(0);
    if year > 0 { format!("{year:04}-{rest}") } else { format!("{:04}-{rest} BC", 1 - year) }
}

fn timestamp(micros: i64, zone: &str) -> String {
    let day = date(micros.div_euclid(DAY));
    let (day, era) = match day.strip_suffix(" BC") {
        Some(day) => (day, " BC"),
        None => (day.as_str(), ""),
    };
    let rest = micros.rem_euclid(DAY);
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{day} {h:02}:{m:02}:{s:02}.{fraction:06}{zone}{era}")
}

/// A value as it stands in SQL, with its type.
pub(super) fn sql(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => format!("({i})::bigint"),
        Value::Float(FloatBits(bits)) => {
            format!("'{}'::double precision", float(f64::from_bits(*bits)))
        }
        Value::Decimal { unscaled, scale } => {
            format!("({})::numeric", decimal_text(*unscaled, *scale))
        }
        Value::Text(text) => format!("{}::text", literal(text)),
        Value::Bytes(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("decode('{digits}', 'hex')")
        }
        Value::Date(days) => format!("'{}'::date", date(i64::from(*days))),
        Value::Timestamp(micros) => format!("'{}'::timestamp", timestamp(*micros, "")),
        Value::Instant(micros) => format!("'{}'::timestamptz", timestamp(*micros, "+00")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_year_one() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-719_528), "0001-01-01 BC");
        assert_eq!(timestamp(-719_528 * DAY, "+00"), "0001-01-01 00:00:00.000000+00 BC");
        assert_eq!(timestamp(-1, ""), "1969-12-31 23:59:59.999999");
    }
}
