//! Rows that go without being named: all of an owner, and what a snapshot did not hold.

use super::super::filter::Filter;
use super::arrays::{arrays, parameters, unnested};
use super::plan::{Plan, same_key};
use super::session::{BY_KEY, IN_BULK, Session};
use arrow::array::RecordBatch;
use connect::read::KeyRange;
use connect::{Error, Result};

fn sweeping(plan: &Plan) -> String {
    format!("cannot sweep {}", plan.shown())
}

fn owned(plan: &Plan) -> Result<Filter> {
    let filter = Filter::default();
    match &plan.table.owner {
        Some(owner) => filter.owned(&plan.shape, owner),
        None => Ok(filter),
    }
}

/// Deletes what lies in the range and is not kept.
pub(super) fn retain(
    session: &mut Session,
    plan: &Plan,
    range: &KeyRange,
    keep: &RecordBatch,
) -> Result<u64> {
    if plan.key.is_empty() {
        return Err(Error::invalid(format!("table {} has no key to sweep by", plan.shown())));
    }
    plan.require_columns(keep, &plan.table.schema.key_schema())?;
    let filter = owned(plan)?.within(&plan.shape, &plan.table.schema, range)?;
    let name = plan.shape.name.sql();
    if keep.num_rows() == 0 {
        let answers =
            session.script(&format!("DELETE FROM {name} AS t{}", filter.sql()), &sweeping(plan))?;
        return Ok(answers.last().map_or(0, |answer| answer.affected));
    }
    let sql = format!(
        "DELETE FROM {name} AS t WHERE NOT EXISTS (SELECT FROM {} WHERE {}){}",
        unnested(&plan.key),
        same_key(&plan.key),
        filter.and_sql()
    );
    // Whatever the planner thinks of the number of keys: not each row against each of them.
    let bulk = format!("{IN_BULK}; SET LOCAL enable_nestloop = off");
    session.script(&bulk, &sweeping(plan))?;
    let arrays = arrays(keep, &plan.key)?;
    let swept = session.execute_once(&sql, &parameters(&arrays), &sweeping(plan))?;
    session.script(&format!("{BY_KEY}; SET LOCAL enable_nestloop = on"), &sweeping(plan))?;
    Ok(swept)
}

/// Deletes all rows (of the owner).
pub(super) fn clear(session: &mut Session, plan: &Plan) -> Result<u64> {
    let sql = format!("DELETE FROM {} AS t{}", plan.shape.name.sql(), owned(plan)?.sql());
    let answers = session.script(&sql, &format!("cannot clear {}", plan.shown()))?;
    Ok(answers.last().map_or(0, |answer| answer.affected))
}
