//! What must hold before a run is published: quality checks over the staged rows.

use crate::assembly::Assembly;
use change::{RunId, TableSchema, Value};
use connect::{Error, Input, Result, TargetTable};
use flow::{Flow, OnFail};

/// How the checks of a run came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Checks that failed and forbid publishing.
    pub failed: Vec<String>,
    /// Checks that failed and only warn.
    pub warned: Vec<String>,
}

/// Evaluates all checks of a flow in one pass over the staged rows.
///
/// # Errors
/// A check that is no condition, or the stage cannot be read.
pub(crate) fn evaluate(
    assembly: &Assembly,
    flow: &Flow,
    run: RunId,
    table: &TargetTable,
) -> Result<Verdicts> {
    if flow.batch.checks.is_empty() {
        return Ok(Verdicts::default());
    }
    let conditions: Vec<String> = flow
        .batch
        .checks
        .iter()
        .enumerate()
        .map(|(n, check)| format!("({}) as check_{n}", check.sql))
        .collect();
    let quoted = table.name.replace('"', "\"\"");
    let sql = format!("select {} from \"{quoted}\"", conditions.join(", "));
    let staged = (table.name.clone(), table.schema.as_ref().clone());
    let output = assembly.planner.classify(&sql, std::slice::from_ref(&staged))?.output;
    let mut answers = None;
    let sink = &mut |rows: arrow::array::RecordBatch| {
        if rows.num_rows() > 0 {
            answers = Some(Value::row(&rows, &output, 0));
        }
        Ok(())
    };
    assembly.batch.run(&sql, vec![staged_input(assembly, flow, run, table)?], &output, sink)?;
    let answers = answers
        .ok_or_else(|| Error::invalid("checks that are no aggregates say nothing of no rows"))?;
    verdicts(flow, &output, &answers)
}

fn verdicts(flow: &Flow, output: &TableSchema, answers: &[Value]) -> Result<Verdicts> {
    let mut verdicts = Verdicts::default();
    for ((check, answer), column) in flow.batch.checks.iter().zip(answers).zip(output.columns()) {
        match answer {
            Value::Bool(true) => {}
            // Null: the condition could not be evaluated, so it does not hold.
            Value::Bool(false) | Value::Null => match check.on_fail {
                OnFail::Fail => verdicts.failed.push(check.sql.clone()),
                OnFail::Warn => verdicts.warned.push(check.sql.clone()),
            },
            _ => {
                return Err(Error::invalid(format!(
                    "flow {}: check `{}` is {}, not true or false",
                    flow.name, check.sql, column.ty
                ))
                .code("E0407"));
            }
        }
    }
    Ok(verdicts)
}

/// The staged rows as an input, read through a connection of their own.
fn staged_input(
    assembly: &Assembly,
    flow: &Flow,
    run: RunId,
    table: &TargetTable,
) -> Result<Input> {
    let site = &assembly.project.sites.get(&flow.target);
    let site =
        site.ok_or_else(|| Error::internal("the flow's target is no site"))?.settings.clone();
    let (connectors, staged) = (assembly.connectors.clone(), table.clone());
    Ok(Input {
        table: table.name.clone(),
        schema: table.schema.as_ref().clone(),
        feed: Box::new(move |sink| {
            connectors.of(&site)?.target(&site)?.read_staged(run, &staged, sink)?;
            Ok(())
        }),
    })
}
