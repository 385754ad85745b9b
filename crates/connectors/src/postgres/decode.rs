//! Rows of COPY BINARY into Arrow columns: what cuts read.
//!
//! Not the decoder of the capture, which reads the text of the write-ahead log: the proof must not share its faults.
//! The invariant: a cell is the value, or it is refused; nothing is rounded, wrapped or cut off.

use super::types::Wire;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder,
    Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use change::ColumnType;
use std::sync::Arc;

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
pub(super) const EPOCH_DAYS: i32 = 10_957;

/// The same in microseconds.
pub(super) const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Why a cell is no value of its column's type, in words without the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit(pub(super) &'static str);

/// Cells of one column as they come.
pub(super) struct Decoder {
    wire: Wire,
    cells: Cells,
}

enum Cells {
    Int(Int64Builder),
    Bool(BooleanBuilder),
    Float(Float64Builder),
    Decimal(Decimal128Builder, i8, u8),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Micros(TimestampMicrosecondBuilder),
}

impl Decoder {
    /// A decoder of cells that come in `wire` and are delivered as `ty`.
    ///
    /// # Panics
    /// When the two do not belong together: `PgColumn::wire_as` says which do.
    pub(super) fn new(ty: ColumnType, wire: Wire) -> Decoder {
        let cells = match ty {
            ColumnType::Int64 => Cells::Int(Int64Builder::new()),
            ColumnType::Bool => Cells::Bool(BooleanBuilder::new()),
            ColumnType::Float64 => Cells::Float(Float64Builder::new()),
            ColumnType::Decimal { precision, scale } => Cells::Decimal(
                Decimal128Builder::new().with_data_type(ty.arrow()),
                scale,
                precision,
            ),
            ColumnType::Text => Cells::Text(StringBuilder::new()),
            ColumnType::Bytes => Cells::Bytes(BinaryBuilder::new()),
            ColumnType::Date => Cells::Date(Date32Builder::new()),
            ColumnType::Timestamp | ColumnType::Instant => {
                Cells::Micros(TimestampMicrosecondBuilder::new().with_data_type(ty.arrow()))
            }
            ColumnType::Any => unreachable!("no column of PostgreSQL moves as any"),
        };
        Decoder { wire, cells }
    }

    /// Appends a cell; `None` is null.
    pub(super) fn append(&mut self, cell: Option<&[u8]>) -> Result<(), Unfit> {
        let wire = self.wire;
        match &mut self.cells {
            Cells::Int(b) => b.append_option(cell.map(|c| integer(wire, c)).transpose()?),
            Cells::Bool(b) => b.append_option(cell.map(boolean).transpose()?),
            Cells::Float(b) => b.append_option(cell.map(|c| float(wire, c)).transpose()?),
            Cells::Decimal(b, scale, precision) => {
                b.append_option(cell.map(|c| decimal(c, *scale, *precision)).transpose()?);
            }
            Cells::Text(b) => match cell {
                Some(cell) if wire == Wire::Uuid => b.append_value(uuid(cell)?),
                Some(cell) => b.append_value(text(wire, cell)?),
                None => b.append_null(),
            },
            Cells::Bytes(b) => b.append_option(cell),
            Cells::Date(b) => b.append_option(cell.map(date).transpose()?),
            Cells::Micros(b) => b.append_option(cell.map(micros).transpose()?),
        }
        Ok(())
    }

    /// The cells so far; the decoder begins anew.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match &mut self.cells {
            Cells::Int(b) => Arc::new(b.finish()),
            Cells::Bool(b) => Arc::new(b.finish()),
            Cells::Float(b) => Arc::new(b.finish()),
            Cells::Decimal(b, ..) => Arc::new(b.finish()),
            Cells::Text(b) => Arc::new(b.finish()),
            Cells::Bytes(b) => Arc::new(b.finish()),
            Cells::Date(b) => Arc::new(b.finish()),
            Cells::Micros(b) => Arc::new(b.finish()),
        }
    }
}

const LENGTH: Unfit = Unfit("it has another length than its type");

fn fixed<const N: usize>(cell: &[u8]) -> Result<[u8; N], Unfit> {
    cell.try_into().map_err(|_| LENGTH)
}

fn integer(wire: Wire, cell: &[u8]) -> Result<i64, Unfit> {
    Ok(match wire {
        Wire::Int2 => i64::from(i16::from_be_bytes(fixed(cell)?)),
        Wire::Int4 => i64::from(i32::from_be_bytes(fixed(cell)?)),
        Wire::Oid => i64::from(u32::from_be_bytes(fixed(cell)?)),
        _ => i64::from_be_bytes(fixed(cell)?),
    })
}

fn boolean(cell: &[u8]) -> Result<bool, Unfit> {
    Ok(fixed::<1>(cell)?[0] != 0)
}

fn float(wire: Wire, cell: &[u8]) -> Result<f64, Unfit> {
    Ok(match wire {
        Wire::Float4 => f64::from(f32::from_be_bytes(fixed(cell)?)),
        _ => f64::from_be_bytes(fixed(cell)?),
    })
}

fn text(wire: Wire, cell: &[u8]) -> Result<&str, Unfit> {
    let cell = match wire {
        Wire::Jsonb => {
            cell.strip_prefix(&[1]).ok_or(Unfit("jsonb comes in a version that is not known"))?
        }
        _ => cell,
    };
    std::str::from_utf8(cell).map_err(|_| Unfit("it is not UTF-8"))
}

fn uuid(cell: &[u8]) -> Result<String, Unfit> {
    let digits = format!("{:032x}", u128::from_be_bytes(fixed(cell)?));
    Ok([&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-"))
}

fn date(cell: &[u8]) -> Result<i32, Unfit> {
    match i32::from_be_bytes(fixed(cell)?) {
        i32::MAX | i32::MIN => Err(Unfit("it is infinite")),
        days => days.checked_add(EPOCH_DAYS).ok_or(Unfit("its year is too late")),
    }
}

fn micros(cell: &[u8]) -> Result<i64, Unfit> {
    match i64::from_be_bytes(fixed(cell)?) {
        i64::MAX | i64::MIN => Err(Unfit("it is infinite")),
        micros => micros.checked_add(EPOCH_MICROS).ok_or(Unfit("its year is behind 294246")),
    }
}

/// A numeric as `unscaled / 10^scale`: digits to the base of 10,000, the place of the first, a sign.
/// (Format: `numeric_send` of PostgreSQL, src/backend/utils/adt/numeric.c.)
fn decimal(cell: &[u8], scale: i8, precision: u8) -> Result<i128, Unfit> {
    const HOLDS: Unfit = Unfit("it has more digits than its type");
    let word = |i: usize| -> Result<u16, Unfit> {
        Ok(u16::from_be_bytes(fixed(cell.get(2 * i..2 * i + 2).ok_or(LENGTH)?)?))
    };
    let (count, weight, sign) = (usize::from(word(0)?), word(1)?.cast_signed(), word(2)?);
    match sign {
        0xC000 => return Err(Unfit("it is NaN")),
        0xD000 | 0xF000 => return Err(Unfit("it is infinite")),
        _ => {}
    }
    let (mut value, mut place) = (0i128, i32::from(weight) * 4 + i32::from(scale));
    for i in 0..count {
        let digit = i128::from(word(4 + i)?);
        let shifted = if place >= 0 {
            let power = 10i128.checked_pow(place.unsigned_abs()).ok_or(HOLDS)?;
            digit.checked_mul(power).ok_or(HOLDS)?
        } else {
            let power = 10i128.checked_pow(place.unsigned_abs().min(5)).ok_or(HOLDS)?;
            if digit % power != 0 {
                return Err(HOLDS);
            }
            digit / power
        };
        value = value.checked_add(shifted).ok_or(HOLDS)?;
        place -= 4;
    }
    if value >= 10i128.pow(u32::from(precision.min(38))) {
        return Err(HOLDS);
    }
    Ok(if sign == 0x4000 { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let head = [digits.len() as u16, weight.cast_unsigned(), sign, 4];
        head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn numerics_are_exact_or_refused() {
        // 12345.67 = [1, 2345, 6700], the first at 10000^1.
        let cell = numeric(1, 0, &[1, 2345, 6700]);
        assert_eq!(decimal(&cell, 2, 10), Ok(1_234_567));
        assert_eq!(decimal(&cell, 4, 10), Ok(123_456_700));
        assert!(decimal(&cell, 1, 10).is_err(), "a digit would be lost");
        assert!(decimal(&cell, 4, 8).is_err(), "it does not fit");
        assert_eq!(decimal(&numeric(-1, 0x4000, &[500]), 2, 4), Ok(-5));
        assert_eq!(decimal(&numeric(0, 0, &[]), 2, 4), Ok(0));
        assert!(decimal(&numeric(0, 0xC000, &[]), 2, 4).is_err());
    }

    #[test]
    fn infinite_times_are_refused() {
        assert!(micros(&i64::MAX.to_be_bytes()).is_err());
        assert!(micros(&(i64::MAX - 1).to_be_bytes()).is_err());
        assert_eq!(micros(&0i64.to_be_bytes()), Ok(EPOCH_MICROS));
        assert!(date(&i32::MIN.to_be_bytes()).is_err());
    }

    #[test]
    fn a_uuid_is_spelt_as_postgresql_does() {
        let cell: Vec<u8> = (0..16).collect();
        assert_eq!(uuid(&cell).unwrap(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
