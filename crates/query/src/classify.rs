//! Looks at a plan: one row at a time or relational, which tables, and what is refused in every mode.
//!
//! It looks at the statement as it was written, before any rewriting: `where 1 = 0` stays a filter.

use crate::plan::is_any;
use arrow::datatypes::DataType;
use connect::{Error, Result};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, LogicalPlan, Volatility, WindowFunctionDefinition,
};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, Visit, Visitor};
use std::ops::ControlFlow;

/// Expressions are evaluated on the stack of whoever moves the rows.
const EXPRESSION_DEPTH: usize = 128;
/// Decimals of more digits than this could overflow DataFusion's running total of an average.
const AVERAGE_DIGITS: u8 = 28;

/// The tables a statement reads, each once, in the order met.
pub(crate) fn tables(plan: &LogicalPlan) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    for name in scans(plan) {
        if !tables.contains(&name) {
            tables.push(name);
        }
    }
    tables
}

/// The tables a statement reads, once for each time it reads them.
pub(crate) fn scans(plan: &LogicalPlan) -> Vec<String> {
    let mut scans = Vec::new();
    visit(plan, |node| {
        if let LogicalPlan::TableScan(scan) = node {
            scans.push(scan.table_name.table().to_string());
        }
        Ok(())
    })
    .expect("the visitor refuses nothing");
    scans
}

/// Why a statement is relational; `None` when it looks at one row of one table at a time.
pub(crate) fn relational(plan: &LogicalPlan) -> Option<String> {
    let mut why = None;
    visit(plan, |node| {
        if why.is_none() {
            why = reason(node).map(String::from);
        }
        Ok(())
    })
    .expect("the visitor refuses nothing");
    why.or_else(|| match scans(plan).len() {
        1 => None,
        0 => Some("no table".into()),
        _ => Some("more than one table".into()),
    })
}

fn reason(node: &LogicalPlan) -> Option<&'static str> {
    Some(match node {
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) if has_subquery(node) => "subquery",
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::TableScan(_) => return None,
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => "aggregate",
        LogicalPlan::Aggregate(_) => "group by",
        LogicalPlan::Window(_) => "window function",
        LogicalPlan::Sort(_) => "order by",
        LogicalPlan::Limit(_) => "limit",
        LogicalPlan::Join(_) => "join",
        LogicalPlan::Union(_) => "union",
        LogicalPlan::Distinct(_) => "distinct",
        LogicalPlan::Subquery(_) => "subquery",
        LogicalPlan::EmptyRelation(_) => "no table",
        LogicalPlan::Values(_) => "values",
        LogicalPlan::Unnest(_) => "unnest",
        LogicalPlan::RecursiveQuery(_) => "recursive query",
        _ => "more than a filter and a projection",
    })
}

fn has_subquery(node: &LogicalPlan) -> bool {
    node.expressions().iter().any(|expr| {
        expr.exists(|e| {
            Ok(matches!(
                e,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::SetComparison(_)
            ))
        })
        .expect("the visitor refuses nothing")
    })
}

/// Refuses expressions too deep to be evaluated. Looks at the syntax tree: planning a chain of operators takes
/// time that grows with the square of its length.
///
/// # Errors
/// `Invalid`.
pub(crate) fn refuse_deep(statement: &Statement) -> Result<()> {
    struct Depth {
        now: usize,
        most: usize,
    }
    impl Visitor for Depth {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            // Parentheses are gone when the expression is evaluated.
            self.now += usize::from(!matches!(expr, ast::Expr::Nested(_)));
            self.most = self.most.max(self.now);
            ControlFlow::Continue(())
        }
        fn post_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            self.now -= usize::from(!matches!(expr, ast::Expr::Nested(_)));
            ControlFlow::Continue(())
        }
    }
    let mut depth = Depth { now: 0, most: 0 };
    if let Statement::Statement(statement) = statement {
        // The visitor never breaks off.
        let _ = statement.visit(&mut depth);
    }
    if depth.most <= EXPRESSION_DEPTH {
        return Ok(());
    }
    Err(Error::invalid("an expression is nested too deeply")
        .found(format!("{} levels; at most {EXPRESSION_DEPTH}", depth.most))
        .fix("split it over nested selects: `from (select ... from t)`"))
}

/// Refuses what cannot give the same exact result every time.
///
/// # Errors
/// `Invalid`: a volatile function, a tagged column in an expression, an aggregate that cannot be exact.
pub(crate) fn refuse_inexact(plan: &LogicalPlan) -> Result<()> {
    visit(plan, |node| {
        let input = merge_schema(&node.inputs());
        let projects = matches!(node, LogicalPlan::Projection(_));
        for expr in node.expressions() {
            if projects && matches!(bare(&expr), Expr::Column(_)) {
                continue;
            }
            let mut refused = None;
            expr.apply(|part| {
                if let Expr::IsNull(inner) | Expr::IsNotNull(inner) = part
                    && matches!(inner.as_ref(), Expr::Column(_))
                {
                    return Ok(TreeNodeRecursion::Jump);
                }
                refused = refusal(part, &input);
                Ok(match refused {
                    Some(_) => TreeNodeRecursion::Stop,
                    None => TreeNodeRecursion::Continue,
                })
            })
            .expect("the visitor refuses nothing");
            if let Some(error) = refused {
                return Err(error);
            }
        }
        Ok(())
    })
}

/// The expression without the names it is given.
pub(crate) fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => bare(&alias.expr),
        other => other,
    }
}

fn refusal(expr: &Expr, input: &DFSchema) -> Option<Error> {
    match expr {
        Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
            Some(
                Error::invalid(format!("{}() gives another result every time", call.func.name()))
                    .effect("a re-run or a replay would not give the same rows, and no proof could hold")
                    .fix("take the time from a column of the row, or from the run's interval"),
            )
        }
        Expr::Column(column) => {
            let (_, field) = input.qualified_field_from_column(column).ok()?;
            is_any(field).then(|| {
                Error::invalid(format!("column {} cannot be used in an expression", column.name))
                    .found("its values carry their own types: the source declares none for it")
                    .fix("select it as it is, or give it a type at the source")
            })
        }
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            inexact_aggregate(func, params.distinct, &params.args, input)
        }
        Expr::WindowFunction(window) => {
            let WindowFunction { fun, params } = window.as_ref();
            match fun {
                WindowFunctionDefinition::AggregateUDF(func) => {
                    inexact_aggregate(func, params.distinct, &params.args, input)
                }
                WindowFunctionDefinition::WindowUDF(_) => None,
            }
        }
        _ => None,
    }
}

fn inexact_aggregate(
    func: &AggregateUDF,
    distinct: bool,
    arguments: &[Expr],
    input: &DFSchema,
) -> Option<Error> {
    if func.name() == "sum" && distinct {
        return Some(
            Error::invalid("sum(distinct ...) is not supported")
                .fix("sum over a subquery: `select sum(x) from (select distinct x from t)`"),
        );
    }
    let digits = match arguments.first()?.get_type(input) {
        Ok(DataType::Decimal128(digits, _) | DataType::Decimal256(digits, _)) => digits,
        _ => return None,
    };
    (func.name() == "avg" && digits > AVERAGE_DIGITS).then(|| {
        Error::invalid(format!("avg over decimals of {digits} digits could overflow unseen"))
            .fix("write `sum(x) / count(x)`, which is checked, or cast to fewer digits")
    })
}

/// Calls `look` on every node, those of subqueries included, until it refuses.
fn visit(plan: &LogicalPlan, mut look: impl FnMut(&LogicalPlan) -> Result<()>) -> Result<()> {
    let mut result = Ok(());
    plan.apply_with_subqueries(|node| {
        result = look(node);
        Ok(if result.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })
    .map_err(|_| Error::internal("a plan cannot be walked"))?;
    result
}
