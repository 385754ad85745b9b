//! `sum` that never wraps. It takes the place of DataFusion's, whose 64-bit and 128-bit totals overflow silently.
//!
//! The invariant: the total is kept in 256 bits and is exact; what does not fit the result's type is an error.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Float64Type, Int64Type, i256,
};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, ReversedUDAF, Signature, Volatility,
};
use std::sync::Arc;

/// Digits that a total may have on the way.
const TOTAL_DIGITS: u8 = 76;

/// The aggregate function `sum`: exact over integers and decimals.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExactSum {
    signature: Signature,
}

impl ExactSum {
    pub(crate) fn new() -> Self {
        ExactSum { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [argument] = arguments else {
            return plan_err!("sum takes one argument");
        };
        Ok(vec![match argument {
            DataType::Null => DataType::Int64,
            DataType::UInt64 => DataType::Decimal128(20, 0),
            t if t.is_integer() => DataType::Int64,
            t if t.is_floating() => DataType::Float64,
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
                DataType::Decimal128(*p, *s)
            }
            other => return plan_err!("sum does not take {other}; cast it to a number"),
        }])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match &arguments[0] {
            DataType::Decimal128(p, s) => DataType::Decimal128((*p + 10).min(38), *s),
            other => other.clone(),
        })
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if arguments.is_distinct {
            return plan_err!("sum(distinct ...) is not supported");
        }
        Ok(match arguments.return_type() {
            DataType::Float64 => Box::new(FloatTotal::default()),
            exact => Box::new(ExactTotal::new(exact.clone())),
        })
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let ty = match arguments.return_type() {
            DataType::Float64 => DataType::Float64,
            exact => DataType::Decimal256(TOTAL_DIGITS, scale_of(exact)),
        };
        Ok(vec![Arc::new(Field::new(format_state_name(arguments.name, "sum"), ty, true))])
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn scale_of(ty: &DataType) -> i8 {
    match ty {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    }
}

fn overflow() -> DataFusionError {
    ArrowError::ArithmeticOverflow("a sum does not fit its type".into()).into()
}

/// A total of integers or decimals.
#[derive(Debug)]
struct ExactTotal {
    total: i256,
    rows: u64,
    ty: DataType,
}

impl ExactTotal {
    fn new(ty: DataType) -> Self {
        ExactTotal { total: i256::ZERO, rows: 0, ty }
    }

    /// Total and number of the values that are not null.
    fn of(values: &ArrayRef) -> Result<(i256, u64)> {
        let mut total = i256::ZERO;
        let mut part = 0_i128;
        let mut add = |value: i128| match part.checked_add(value) {
            Some(sum) => part = sum,
            None => {
                total = total.wrapping_add(i256::from_i128(part));
                part = value;
            }
        };
        match values.data_type() {
            DataType::Int64 => {
                values
                    .as_primitive::<Int64Type>()
                    .iter()
                    .flatten()
                    .for_each(|v| add(i128::from(v)));
            }
            DataType::Decimal128(..) => {
                values.as_primitive::<Decimal128Type>().iter().flatten().for_each(add);
            }
            other => return plan_err!("sum over {other}"),
        }
        let rows = (values.len() - values.null_count()) as u64;
        Ok((total.wrapping_add(i256::from_i128(part)), rows))
    }
}

impl Accumulator for ExactTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (total, rows) = Self::of(&values[0])?;
        self.total = self.total.checked_add(total).ok_or_else(overflow)?;
        self.rows += rows;
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (total, rows) = Self::of(&values[0])?;
        self.total = self.total.checked_sub(total).ok_or_else(overflow)?;
        self.rows -= rows;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total = match self.rows {
            0 => None,
            _ => Some(self.total.to_i128().ok_or_else(overflow)?),
        };
        match self.ty {
            DataType::Decimal128(precision, scale) => {
                let bound = 10_i128.pow(u32::from(precision));
                match total {
                    Some(t) if t <= -bound || t >= bound => Err(overflow()),
                    _ => Ok(ScalarValue::Decimal128(total, precision, scale)),
                }
            }
            _ => {
                let total = total.map(i64::try_from).transpose().map_err(|_| overflow())?;
                Ok(ScalarValue::Int64(total))
            }
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let total = (self.rows > 0).then_some(self.total);
        Ok(vec![ScalarValue::Decimal256(total, TOTAL_DIGITS, scale_of(&self.ty))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for total in states[0].as_primitive::<Decimal256Type>().iter().flatten() {
            self.total = self.total.checked_add(total).ok_or_else(overflow)?;
            self.rows += 1;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// A total of floats; IEEE-754 has its own idea of overflow.
#[derive(Debug, Default)]
struct FloatTotal {
    total: f64,
    rows: u64,
}

impl Accumulator for FloatTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Float64Type>().iter().flatten() {
            self.total += value;
            self.rows += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Float64Type>().iter().flatten() {
            self.total -= value;
            self.rows -= 1;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64((self.rows > 0).then_some(self.total)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
