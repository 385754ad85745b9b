//! Arrow rows into COPY BINARY: the fastest way into PostgreSQL, for columns whose bytes we know.
//!
//! Columns that travel in their own way (`Wire::Cast`) go by [`super::text`]. The invariant: a cell is written as the
//! value, or the rows are refused and nothing of them is sent.

use super::decode::{EPOCH_DAYS, EPOCH_MICROS, Unfit};
use super::types::Wire;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    Float64Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use connect::{Error, Result};

/// What stands before the first row.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What stands behind the last one.
pub(super) const TRAILER: &[u8] = &[0xff, 0xff];

/// Cells of one column, as their type.
enum Cells<'a> {
    Int(&'a Int64Array),
    Bool(&'a BooleanArray),
    Float(&'a Float64Array),
    Decimal(&'a Decimal128Array, u32),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Date(&'a Date32Array),
    Micros(&'a PrimitiveArray<TimestampMicrosecondType>),
}

/// Appends all rows of a batch; `wires` has one entry for each column.
///
/// # Errors
/// `Refused`, naming the column, when a cell has no place in its column.
pub(super) fn copy_rows(batch: &RecordBatch, wires: &[Wire], out: &mut Vec<u8>) -> Result<()> {
    let columns: Vec<(Cells<'_>, Wire)> = batch
        .columns()
        .iter()
        .zip(wires)
        .map(|(array, &wire)| (cells(array, wire), wire))
        .collect();
    let count =
        i16::try_from(columns.len()).map_err(|_| Error::invalid("a table has too many columns"))?;
    for row in 0..batch.num_rows() {
        out.extend_from_slice(&count.to_be_bytes());
        for (i, (cells, wire)) in columns.iter().enumerate() {
            if batch.column(i).is_null(row) {
                out.extend_from_slice(&(-1i32).to_be_bytes());
                continue;
            }
            cell(cells, *wire, row, out).map_err(|unfit| {
                let name = batch.schema_ref().field(i).name().clone();
                Error::refused(format!("a cell of column {name} has no place there")).found(unfit.0)
            })?;
        }
    }
    Ok(())
}

/// Appends all cells of one column, as the elements of an array stand behind its head; says whether one is null.
///
/// # Errors
/// As [`copy_rows`].
pub(super) fn elements(
    name: &str,
    array: &ArrayRef,
    wire: Wire,
    out: &mut Vec<u8>,
) -> Result<bool> {
    let cells = cells(array, wire);
    for row in 0..array.len() {
        if array.is_null(row) {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            continue;
        }
        cell(&cells, wire, row, out).map_err(|unfit| {
            Error::refused(format!("a cell of column {name} has no place there")).found(unfit.0)
        })?;
    }
    Ok(array.null_count() > 0)
}

fn cells(array: &ArrayRef, wire: Wire) -> Cells<'_> {
    match wire {
        Wire::Int2 | Wire::Int4 | Wire::Int8 | Wire::Oid => {
            Cells::Int(array.as_primitive::<Int64Type>())
        }
        Wire::Bool => Cells::Bool(array.as_boolean()),
        Wire::Float4 | Wire::Float8 => Cells::Float(array.as_primitive::<Float64Type>()),
        Wire::Numeric => {
            let decimals = array.as_primitive::<Decimal128Type>();
            Cells::Decimal(decimals, u32::from(decimals.scale().max(0).unsigned_abs()))
        }
        Wire::Text | Wire::Jsonb | Wire::Uuid | Wire::Cast => Cells::Text(array.as_string::<i32>()),
        Wire::Bytes => Cells::Bytes(array.as_binary::<i32>()),
        Wire::Date => Cells::Date(array.as_primitive::<Date32Type>()),
        Wire::Timestamp => Cells::Micros(array.as_primitive::<TimestampMicrosecondType>()),
    }
}

fn cell(cells: &Cells<'_>, wire: Wire, row: usize, out: &mut Vec<u8>) -> Result<(), Unfit> {
    match cells {
        Cells::Int(a) => integer(wire, a.value(row), out)?,
        Cells::Bool(a) => put(&[u8::from(a.value(row))], out),
        Cells::Float(a) => float(wire, a.value(row), out)?,
        Cells::Decimal(a, scale) => numeric(a.value(row), *scale, out),
        Cells::Text(a) => text(wire, a.value(row), out)?,
        Cells::Bytes(a) => put(a.value(row), out),
        Cells::Date(a) => {
            let days = a.value(row).checked_sub(EPOCH_DAYS).filter(|days| *days > i32::MIN);
            put(&days.ok_or(Unfit("the day is too early"))?.to_be_bytes(), out);
        }
        Cells::Micros(a) => {
            let micros = a.value(row).checked_sub(EPOCH_MICROS).filter(|micros| *micros > i64::MIN);
            put(&micros.ok_or(Unfit("the time is too early"))?.to_be_bytes(), out);
        }
    }
    Ok(())
}

fn put(bytes: &[u8], out: &mut Vec<u8>) {
    let length = i32::try_from(bytes.len()).expect("a cell is smaller than 2 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn integer(wire: Wire, value: i64, out: &mut Vec<u8>) -> Result<(), Unfit> {
    const LARGE: Unfit = Unfit("the number is too large for the column");
    match wire {
        Wire::Int2 => put(&i16::try_from(value).map_err(|_| LARGE)?.to_be_bytes(), out),
        Wire::Int4 => put(&i32::try_from(value).map_err(|_| LARGE)?.to_be_bytes(), out),
        Wire::Oid => put(&u32::try_from(value).map_err(|_| LARGE)?.to_be_bytes(), out),
        _ => put(&value.to_be_bytes(), out),
    }
    Ok(())
}

fn float(wire: Wire, value: f64, out: &mut Vec<u8>) -> Result<(), Unfit> {
    if wire == Wire::Float8 {
        put(&value.to_be_bytes(), out);
        return Ok(());
    }
    let short = value as f32;
    if f64::from(short) != value && !value.is_nan() {
        return Err(Unfit("the number has more digits than a real"));
    }
    put(&short.to_be_bytes(), out);
    Ok(())
}

fn text(wire: Wire, value: &str, out: &mut Vec<u8>) -> Result<(), Unfit> {
    if value.contains('\0') {
        return Err(Unfit("PostgreSQL keeps no text with a zero byte"));
    }
    match wire {
        Wire::Uuid => {
            let digits: String = value.chars().filter(|c| *c != '-').collect();
            let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32);
            put(&number.ok_or(Unfit("it is no uuid"))?.to_be_bytes(), out);
        }
        Wire::Jsonb => {
            let length = i32::try_from(value.len() + 1).expect("a cell is smaller than 2 GiB");
            out.extend_from_slice(&length.to_be_bytes());
            out.push(1);
            out.extend_from_slice(value.as_bytes());
        }
        _ => put(value.as_bytes(), out),
    }
    Ok(())
}

/// `unscaled / 10^scale` in digits to the base of 10,000, the groups laid out from the point.
fn numeric(unscaled: i128, scale: u32, out: &mut Vec<u8>) {
    let negative = unscaled < 0;
    let (whole, fraction) = match 10u128.checked_pow(scale) {
        Some(power) => (unscaled.unsigned_abs() / power, unscaled.unsigned_abs() % power),
        None => (0, unscaled.unsigned_abs()),
    };
    // 39 digits are at most 10 groups, and a fraction of 38 digits 10 more.
    let mut groups = [0u16; 24];
    let (mut first, mut rest) = (12, whole);
    while rest > 0 {
        first -= 1;
        groups[first] = u16::try_from(rest % 10_000).expect("a group is below 10,000");
        rest /= 10_000;
    }
    let weight = 12 - i16::try_from(first).expect("a small number") - 1;
    let behind = usize::try_from(scale.div_ceil(4)).expect("a small number");
    let (mut rest, mut left) = (fraction, scale);
    for group in groups[12..12 + behind].iter_mut().rev() {
        // The last group may have fewer than four digits of its own.
        let own = if left % 4 == 0 { 4 } else { left % 4 };
        let power = 10u128.pow(own);
        *group = u16::try_from(rest % power).expect("a group is below 10,000") * 10u16.pow(4 - own);
        rest /= power;
        left -= own;
    }
    let used = &groups[first..12 + behind];
    let leading = used.iter().take_while(|group| **group == 0).count();
    let trailing = used[leading..].iter().rev().take_while(|group| **group == 0).count();
    let digits = &used[leading..used.len() - trailing];
    let weight = if digits.is_empty() {
        0
    } else {
        weight - i16::try_from(leading).expect("a small number")
    };
    let length = i32::try_from(8 + 2 * digits.len()).expect("a small number");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&u16::try_from(digits.len()).expect("a small number").to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&if negative { 0x4000u16 } else { 0 }.to_be_bytes());
    out.extend_from_slice(&u16::try_from(scale).expect("a small number").to_be_bytes());
    digits.iter().for_each(|digit| out.extend_from_slice(&digit.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use super::super::decode::Decoder;
    use super::*;
    use change::ColumnType;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_numeric_reads_back(unscaled in -10i128.pow(38) + 1..10i128.pow(38), scale in 0u32..=38) {
            let mut bytes = Vec::new();
            numeric(unscaled, scale, &mut bytes);
            let ty = ColumnType::Decimal { precision: 38, scale: scale as i8 };
            let mut decoder = Decoder::new(ty, Wire::Numeric);
            decoder.append(Some(&bytes[4..])).unwrap();
            let back = decoder.finish();
            prop_assert_eq!(back.as_primitive::<Decimal128Type>().value(0), unscaled);
        }
    }

    #[test]
    fn a_real_takes_only_what_it_holds() {
        let mut out = Vec::new();
        assert!(float(Wire::Float4, 0.5, &mut out).is_ok());
        assert!(float(Wire::Float4, 0.1, &mut out).is_err());
        assert!(float(Wire::Float4, f64::NAN, &mut out).is_ok());
    }
}
