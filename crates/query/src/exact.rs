//! Arithmetic that never wraps: an analyzer rule that puts checked functions in the place of `+`, `-`, `*` over
//! integers and decimals, which DataFusion evaluates with wrapping kernels and without a look at the digits.
//!
//! It runs after type coercion, on row-wise and relational statements alike, and keeps every column's name.

use arrow::array::AsArray;
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::analyzer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;
use std::sync::Arc;

/// The rule.
#[derive(Debug)]
pub(crate) struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let mut schema = merge_schema(&plan.inputs());
            if let LogicalPlan::TableScan(scan) = &plan {
                schema.merge(&DFSchema::try_from_qualified_schema(
                    scan.table_name.clone(),
                    &scan.source.schema(),
                )?);
            }
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(expr
                    .transform_up(|expr| checked(expr, &schema))?
                    .update_data(|expr| name.restore(expr)))
            })?
            .map_data(LogicalPlan::recompute_schema)
        })
        .map(|plan| plan.data)
    }
}

/// The checked form of one node whose parts are checked already.
fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
                && counts(&left.get_type(schema)?)
                && counts(&right.get_type(schema)?) =>
        {
            Ok(Transformed::yes(call(op, *left, *right)))
        }
        Expr::Negative(inner) if inner.get_type(schema)?.is_signed_integer() => {
            let zero = ScalarValue::new_zero(&inner.get_type(schema)?)?;
            Ok(Transformed::yes(call(Operator::Minus, Expr::Literal(zero, None), *inner)))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn counts(ty: &DataType) -> bool {
    ty.is_integer() || matches!(ty, DataType::Decimal128(..) | DataType::Decimal256(..))
}

fn call(op: Operator, left: Expr, right: Expr) -> Expr {
    let function = ScalarUDF::new_from_impl(Checked::new(op));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![left, right]))
}

/// One operator as a function that fails where the operator would wrap.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    op: Operator,
    signature: Signature,
}

impl Checked {
    fn new(op: Operator) -> Self {
        Checked { op, signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.op {
            Operator::Plus => "checked_add",
            Operator::Minus => "checked_sub",
            _ => "checked_mul",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        BinaryTypeCoercer::new(&arguments[0], &self.op, &arguments[1]).get_result_type()
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = arguments.args.as_slice() else {
            return exec_err!("{} takes two arguments", self.name());
        };
        let value = match self.op {
            Operator::Plus => apply(left, right, add)?,
            Operator::Minus => apply(left, right, sub)?,
            _ => apply(left, right, mul)?,
        };
        check_digits(&value)?;
        Ok(value)
    }
}

/// Refuses decimals with more digits than their type says.
fn check_digits(value: &ColumnarValue) -> Result<()> {
    let DataType::Decimal128(precision, _) = value.data_type() else {
        return Ok(());
    };
    let array = match value {
        ColumnarValue::Array(array) => Arc::clone(array),
        ColumnarValue::Scalar(scalar) => scalar.to_array()?,
    };
    array
        .as_primitive::<Decimal128Type>()
        .validate_decimal_precision(precision)
        .map_err(|_| ArrowError::ArithmeticOverflow("a decimal has too many digits".into()))?;
    Ok(())
}
