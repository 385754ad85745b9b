//! Cells of an Arrow column, bound to a statement without a value in between.
//!
//! The inverse of reading: what is bound here reads back as the same cell, or is refused.

use super::form::{Form, looks_numeric};
use super::time::{write_date, write_instant, write_timestamp};
use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array,
    Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use change::any::{self, Tagged};
use change::value::{column, decimal_text};
use change::{ColumnType, Value};
use connect::{Error, Result};
use rusqlite::types::Null;
use rusqlite::{Statement, ToSql};

/// One column, ready to be bound row by row.
pub(super) enum Cells {
    Integer(Int64Array),
    Bool(BooleanArray),
    Real(Float64Array),
    DecimalReal(Decimal128Array, f64),
    DecimalInteger(Decimal128Array),
    DecimalText(Decimal128Array, i8),
    Text(StringArray),
    Bytes(BinaryArray),
    Date(Date32Array),
    Timestamp(TimestampMicrosecondArray),
    Instant(TimestampMicrosecondArray),
    Any(BinaryArray),
    AnyNumeric(BinaryArray),
}

/// Why a cell was not bound.
pub(super) enum Unbound {
    /// SQLite would store something else.
    Unfit(&'static str),
    /// SQLite failed.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Unbound {
    fn from(error: rusqlite::Error) -> Self {
        Unbound::Failed(error)
    }
}

impl Cells {
    /// The cells of an array, to be stored in a form of its type.
    ///
    /// # Panics
    /// When the array is not of the form's type: a broken invariant, the caller has compared schemas.
    pub(super) fn new(array: &dyn Array, form: Form) -> Cells {
        let decimals = || array.as_primitive::<Decimal128Type>().clone();
        let times = || array.as_primitive::<TimestampMicrosecondType>().clone();
        match form {
            Form::Integer => Cells::Integer(array.as_primitive::<Int64Type>().clone()),
            Form::Bool => Cells::Bool(array.as_boolean().clone()),
            Form::Real => Cells::Real(array.as_primitive::<Float64Type>().clone()),
            Form::DecimalReal => {
                let array = decimals();
                let unit = 10f64.powi(i32::from(array.scale()));
                Cells::DecimalReal(array, unit)
            }
            Form::DecimalInteger => Cells::DecimalInteger(decimals()),
            Form::DecimalText => {
                let array = decimals();
                let scale = array.scale();
                Cells::DecimalText(array, scale)
            }
            Form::Text => Cells::Text(array.as_string::<i32>().clone()),
            Form::Bytes => Cells::Bytes(array.as_binary::<i32>().clone()),
            Form::Date => Cells::Date(array.as_primitive::<Date32Type>().clone()),
            Form::Timestamp => Cells::Timestamp(times()),
            Form::Instant => Cells::Instant(times()),
            Form::Any => Cells::Any(array.as_binary::<i32>().clone()),
            Form::AnyNumeric => Cells::AnyNumeric(array.as_binary::<i32>().clone()),
        }
    }

    /// One cell, for owners and the bounds of ranges.
    pub(super) fn one(value: &Value, ty: ColumnType, form: Form) -> Result<Cells> {
        let array = column(ty, std::iter::once(value)).map_err(|_| {
            Error::invalid(format!("a value given for a {ty} column is of another type"))
        })?;
        Ok(Cells::new(array.as_ref(), form))
    }

    /// Whether the cell of a row is null.
    pub(super) fn is_null(&self, row: usize) -> bool {
        match self {
            Cells::Integer(a) => a.is_null(row),
            Cells::Bool(a) => a.is_null(row),
            Cells::Real(a) => a.is_null(row),
            Cells::DecimalReal(a, _) | Cells::DecimalInteger(a) | Cells::DecimalText(a, _) => {
                a.is_null(row)
            }
            Cells::Text(a) => a.is_null(row),
            Cells::Bytes(a) | Cells::Any(a) | Cells::AnyNumeric(a) => a.is_null(row),
            Cells::Date(a) => a.is_null(row),
            Cells::Timestamp(a) | Cells::Instant(a) => a.is_null(row),
        }
    }

    /// Binds the cell of a row to a parameter, counted from 1.
    pub(super) fn bind(
        &self,
        statement: &mut Statement<'_>,
        parameter: usize,
        row: usize,
    ) -> Result<(), Unbound> {
        let mut put = Put { statement, parameter };
        if self.is_null(row) {
            return put.value(Null);
        }
        match self {
            Cells::Integer(a) => put.value(a.value(row)),
            Cells::Bool(a) => put.value(i64::from(a.value(row))),
            Cells::Real(a) => put.real(a.value(row)),
            // Both operands are exact in binary64, so the quotient is the real nearest to the decimal.
            Cells::DecimalReal(a, unit) => put.value(a.value(row) as f64 / unit),
            Cells::DecimalInteger(a) => match i64::try_from(a.value(row)) {
                Ok(value) => put.value(value),
                Err(_) => Err(Unbound::Unfit("has more digits than an integer holds")),
            },
            Cells::DecimalText(a, scale) => put.value(decimal_text(a.value(row), *scale)),
            Cells::Text(a) => put.value(a.value(row)),
            Cells::Bytes(a) => put.value(a.value(row)),
            Cells::Date(a) => put.time(write_date(a.value(row))),
            Cells::Timestamp(a) => put.time(write_timestamp(a.value(row))),
            Cells::Instant(a) => put.time(write_instant(a.value(row))),
            Cells::Any(a) => put.tagged(tagged(a, row)),
            Cells::AnyNumeric(a) => put.numeric(tagged(a, row)),
        }
    }
}

fn tagged(array: &BinaryArray, row: usize) -> Tagged<'_> {
    any::decode(array.value(row)).expect("a tagged column holds tagged values")
}

struct Put<'a, 'c> {
    statement: &'a mut Statement<'c>,
    parameter: usize,
}

impl Put<'_, '_> {
    fn value(&mut self, value: impl ToSql) -> Result<(), Unbound> {
        Ok(self.statement.raw_bind_parameter(self.parameter, value)?)
    }

    fn real(&mut self, value: f64) -> Result<(), Unbound> {
        if value.is_nan() {
            return Err(Unbound::Unfit("is NaN, which SQLite would store as null"));
        }
        self.value(value)
    }

    fn time(&mut self, text: Option<String>) -> Result<(), Unbound> {
        let text = text.ok_or(Unbound::Unfit("has a year outside 0000 to 9999"))?;
        self.value(text)
    }

    fn tagged(&mut self, value: Tagged<'_>) -> Result<(), Unbound> {
        match value {
            Tagged::Integer(i) => self.value(i),
            Tagged::Float(f) => self.real(f),
            Tagged::Text(text) => self.value(text),
            Tagged::Bytes(bytes) => self.value(bytes),
        }
    }

    fn numeric(&mut self, value: Tagged<'_>) -> Result<(), Unbound> {
        match value {
            Tagged::Text(text) if looks_numeric(text) => {
                Err(Unbound::Unfit("is text that the column would turn into a number"))
            }
            Tagged::Float(f) if f.fract() == 0.0 && f.abs() < 1e19 => {
                Err(Unbound::Unfit("is a real that the column would turn into an integer"))
            }
            other => self.tagged(other),
        }
    }
}
