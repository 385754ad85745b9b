//! Row-wise statements as a chain of compiled filters and projections; no plan runs per batch.
//!
//! The invariant: a filter sees a row before any expression above it does, as the statement is written.

use crate::classify::bare;
use crate::failure::{planning, running};
use crate::plan::{Planned, as_planned};
use arrow::array::{Array, AsArray, BooleanArray, BooleanBuilder, RecordBatch};
use arrow::compute::{filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::SchemaRef;
use change::TableSchema;
use connect::exact::{exact_batch, rebuilt};
use connect::{Error, Result, RowTransform};
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::simplify_expressions::{ExprSimplifier, SimplifyContext};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use std::sync::Arc;

/// One thing done to the rows.
#[derive(Debug)]
enum Step {
    Filter(Arc<dyn PhysicalExpr>),
    Project(Vec<Arc<dyn PhysicalExpr>>, SchemaRef),
}

/// A compiled row-wise statement.
#[derive(Debug)]
pub(crate) struct RowProgram {
    input: SchemaRef,
    /// In the order they are done.
    steps: Vec<Step>,
    carried: Vec<Option<usize>>,
    output: Arc<TableSchema>,
}

impl RowProgram {
    /// Compiles a statement that is not relational.
    ///
    /// # Errors
    /// `Invalid` when an expression cannot be compiled.
    pub(crate) fn of(planned: &Planned) -> Result<Self> {
        let mut nodes = Vec::new();
        let mut node = &planned.analysed;
        let scan = loop {
            node = match node {
                LogicalPlan::Projection(p) => {
                    nodes.push(node);
                    &p.input
                }
                LogicalPlan::Filter(f) => {
                    nodes.push(node);
                    &f.input
                }
                LogicalPlan::SubqueryAlias(alias) => &alias.input,
                LogicalPlan::TableScan(scan) => break scan,
                _ => return Err(Error::internal("a relational statement was taken for row-wise")),
            };
        };
        let input = Arc::new(scan.projected_schema.as_arrow().clone());
        let mut carried: Vec<Option<usize>> = (0..input.fields().len()).map(Some).collect();
        let mut steps = Vec::new();
        for node in nodes.into_iter().rev() {
            steps.push(step(planned, node)?);
            if let LogicalPlan::Projection(projection) = node {
                let below = projection.input.schema();
                carried = projection
                    .expr
                    .iter()
                    .map(|expr| match bare(expr) {
                        Expr::Column(c) => below.maybe_index_of_column(c).and_then(|i| carried[i]),
                        _ => None,
                    })
                    .collect();
            }
        }
        let output = Arc::new(planned.output()?);
        Ok(RowProgram { input, steps, carried, output })
    }

    /// The same program; its output has a key.
    pub(crate) fn with_output(mut self, output: TableSchema) -> Self {
        self.output = Arc::new(output);
        self
    }
}

fn step(planned: &Planned, node: &LogicalPlan) -> Result<Step> {
    match node {
        LogicalPlan::Filter(filter) => {
            Ok(Step::Filter(compiled(planned, &filter.predicate, filter.input.schema())?))
        }
        LogicalPlan::Projection(projection) => {
            let exprs = projection
                .expr
                .iter()
                .map(|expr| compiled(planned, expr, projection.input.schema()))
                .collect::<Result<_>>()?;
            Ok(Step::Project(exprs, Arc::new(projection.schema.as_arrow().clone())))
        }
        _ => Err(Error::internal("a row-wise statement has a step of another kind")),
    }
}

fn compiled(planned: &Planned, expr: &Expr, input: &DFSchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(input))
        .with_config_options(Arc::clone(planned.state.config_options()))
        .build();
    // Some functions (`coalesce`) exist only in their simplified form.
    let expr = ExprSimplifier::new(context).simplify(expr.clone()).map_err(|e| planning(&e))?;
    let properties = planned.state.execution_props();
    create_physical_expr(&expr, input, properties, &PhysicalPlanningContext::default())
        .map_err(|e| planning(&e))
}

impl RowTransform for RowProgram {
    fn output(&self) -> &Arc<TableSchema> {
        &self.output
    }

    fn carried(&self) -> &[Option<usize>] {
        &self.carried
    }

    fn evaluate(&self, rows: &RecordBatch) -> Result<(BooleanArray, RecordBatch)> {
        let mut now = as_planned(rows, &self.input)?;
        let mut kept: Option<BooleanArray> = None;
        for step in &self.steps {
            match step {
                Step::Filter(predicate) => {
                    let mask = mask(predicate.as_ref(), &now)?;
                    now = filter_record_batch(&now, &mask)
                        .map_err(|e| Error::internal("rows cannot be filtered").caused_by(e))?;
                    kept = Some(match kept {
                        None => mask,
                        Some(before) => narrowed(&before, &mask),
                    });
                }
                Step::Project(exprs, schema) => {
                    let arrays = exprs
                        .iter()
                        .map(|expr| {
                            let value = expr.evaluate(&now).map_err(|e| running(&e))?;
                            value.into_array(now.num_rows()).map_err(|e| running(&e))
                        })
                        .collect::<Result<Vec<_>>>()?;
                    now = rebuilt(schema, arrays, now.num_rows())?;
                }
            }
        }
        let kept = kept.unwrap_or_else(|| BooleanArray::from(vec![true; rows.num_rows()]));
        assert_eq!(kept.true_count(), now.num_rows(), "the filter keeps the rows that come out");
        Ok((kept, exact_batch(&now, &self.output)?))
    }
}

/// Which rows a predicate holds for; null counts as not holding.
fn mask(predicate: &dyn PhysicalExpr, rows: &RecordBatch) -> Result<BooleanArray> {
    let value = predicate.evaluate(rows).map_err(|e| running(&e))?;
    let array = value.into_array(rows.num_rows()).map_err(|e| running(&e))?;
    let mask = array
        .as_boolean_opt()
        .ok_or_else(|| Error::internal("a filter does not yield true or false"))?;
    Ok(if mask.null_count() > 0 { prep_null_mask_filter(mask) } else { mask.clone() })
}

/// Of the rows that `before` keeps, those that `then` keeps, over all rows.
fn narrowed(before: &BooleanArray, then: &BooleanArray) -> BooleanArray {
    let mut kept = BooleanBuilder::with_capacity(before.len());
    let mut place = 0;
    for row in 0..before.len() {
        let stays = before.value(row) && {
            place += 1;
            then.value(place - 1)
        };
        kept.append_value(stays);
    }
    kept.finish()
}
