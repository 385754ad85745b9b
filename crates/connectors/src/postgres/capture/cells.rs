//! Columns of images that grow cell by cell, out of the text of the write-ahead log.
//!
//! What a text means is [`super::parse`]'s business. Invariant: a cell is exactly the value, or it is refused.

use super::super::types::Wire;
use super::parse::{self, Why};
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder,
    Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use change::ColumnType;
use std::sync::Arc;

/// Bytes that a cell takes beside its text.
const CELL: usize = 8;

/// One column.
pub(super) enum Cells {
    Int(Int64Builder),
    Bool(BooleanBuilder),
    Real(Float64Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, usize, i128),
    Text(StringBuilder),
    Bytes(BinaryBuilder, Vec<u8>),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Instant(TimestampMicrosecondBuilder),
}

impl Cells {
    /// An empty column.
    pub(super) fn new(ty: ColumnType, wire: Wire) -> Cells {
        match ty {
            ColumnType::Int64 => Cells::Int(Int64Builder::new()),
            ColumnType::Bool => Cells::Bool(BooleanBuilder::new()),
            ColumnType::Float64 if wire == Wire::Float4 => Cells::Real(Float64Builder::new()),
            ColumnType::Float64 => Cells::Double(Float64Builder::new()),
            ColumnType::Decimal { precision, scale } => {
                let limit = 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
                let builder = Decimal128Builder::new().with_data_type(ty.arrow());
                Cells::Decimal(builder, usize::try_from(scale).unwrap_or(0), limit)
            }
            // No column of PostgreSQL carries its own type.
            ColumnType::Text | ColumnType::Any => Cells::Text(StringBuilder::new()),
            ColumnType::Bytes => Cells::Bytes(BinaryBuilder::new(), Vec::new()),
            ColumnType::Date => Cells::Date(Date32Builder::new()),
            ColumnType::Timestamp => {
                Cells::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(ty.arrow()))
            }
            ColumnType::Instant => {
                Cells::Instant(TimestampMicrosecondBuilder::new().with_data_type(ty.arrow()))
            }
        }
    }

    /// Takes a text and returns its size in bytes.
    #[inline]
    pub(super) fn push(&mut self, text: &[u8]) -> Result<usize, Why> {
        match self {
            Cells::Int(b) => b.append_value(parse::integer(text)?),
            Cells::Bool(b) => b.append_value(parse::boolean(text)?),
            Cells::Real(b) => b.append_value(parse::real(text)?),
            Cells::Double(b) => b.append_value(parse::double(text)?),
            Cells::Decimal(b, scale, limit) => {
                b.append_value(parse::decimal(text, *scale, *limit)?);
            }
            Cells::Text(b) => {
                b.append_value(std::str::from_utf8(text).map_err(|_| "it is not UTF-8")?);
            }
            Cells::Bytes(b, scratch) => {
                scratch.clear();
                parse::bytes(text, scratch)?;
                b.append_value(scratch);
            }
            Cells::Date(b) => b.append_value(parse::date(text)?),
            Cells::Timestamp(b) => b.append_value(parse::timestamp(text)?),
            Cells::Instant(b) => b.append_value(parse::instant(text)?),
        }
        Ok(CELL + text.len())
    }

    /// Null, or a cell of an image that is not there.
    #[inline]
    pub(super) fn push_null(&mut self) {
        match self {
            Cells::Int(b) => b.append_null(),
            Cells::Bool(b) => b.append_null(),
            Cells::Real(b) | Cells::Double(b) => b.append_null(),
            Cells::Decimal(b, ..) => b.append_null(),
            Cells::Text(b) => b.append_null(),
            Cells::Bytes(b, _) => b.append_null(),
            Cells::Date(b) => b.append_null(),
            Cells::Timestamp(b) | Cells::Instant(b) => b.append_null(),
        }
    }

    /// The column.
    pub(super) fn finish(mut self) -> ArrayRef {
        match &mut self {
            Cells::Int(b) => Arc::new(b.finish()),
            Cells::Bool(b) => Arc::new(b.finish()),
            Cells::Real(b) | Cells::Double(b) => Arc::new(b.finish()),
            Cells::Decimal(b, ..) => Arc::new(b.finish()),
            Cells::Text(b) => Arc::new(b.finish()),
            Cells::Bytes(b, _) => Arc::new(b.finish()),
            Cells::Date(b) => Arc::new(b.finish()),
            Cells::Timestamp(b) | Cells::Instant(b) => Arc::new(b.finish()),
        }
    }
}
