//! The shapes of a flow's target tables: key, owner and interval columns must come out of what is read.

use super::online::problem;
use super::shapes::Shapes;
use crate::diagnostic::Problem;
use crate::flow::{Flow, FlowTable, Mode};
use change::{Column, ColumnType, TableSchema};
use connect::{Load, Shape, SqlPlanner};

/// Works out each target table, and checks it.
pub(crate) fn of_flow(
    flow: &Flow,
    shapes: &Shapes,
    planner: &dyn SqlPlanner,
    shape: Option<Shape>,
    problems: &mut Vec<Problem>,
) -> Vec<(String, TableSchema)> {
    let mut targets: Vec<(String, TableSchema)> = Vec::new();
    for (name, input) in &shapes.tables {
        let Some(table) = flow.tables.iter().find(|table| table.source == *name) else { continue };
        if targets.iter().any(|(target, _)| *target == table.target) {
            continue;
        }
        let produced = match &flow.transform {
            None => Some(input.columns().to_vec()),
            Some(_) => shapes.output.clone(),
        };
        let Some(mut columns) = produced else { continue };
        if let Some(taken) = add_site_column(flow, table, &mut columns) {
            problems.push(taken);
            continue;
        }
        let key = key_of(flow, table, input, shape);
        let rows = Rows { flow, table, input, columns: &columns, key: &key };
        let mut found = rows.check_key();
        found.extend(rows.check_owner());
        found.extend(rows.check_interval());
        if found.is_empty() && shape == Some(Shape::RowWise) {
            found.extend(rows.check_carried(planner));
        }
        if found.is_empty() {
            let schema = TableSchema::new(columns, &key).ok();
            targets.extend(schema.map(|schema| (table.target.clone(), schema)));
        }
        problems.extend(found);
    }
    targets
}

/// The column with the site's name, which must not be there yet.
fn add_site_column(flow: &Flow, table: &FlowTable, columns: &mut Vec<Column>) -> Option<Problem> {
    let name = flow.site_column.as_ref()?;
    if !columns.iter().any(|column| column.name == *name) {
        columns.push(Column::new(name, ColumnType::Text, false));
        return None;
    }
    let what = format!("`{}` has a column `{name}` already", table.source);
    let fix = "owner = \"...\"      # in [to], where rows carry the site; or another site_column";
    Some(
        problem(flow, "E0415", what)
            .found("`site_column` would add a second one of this name")
            .effect("the column's own values would be lost")
            .fix(fix),
    )
}

/// The key of the target's rows: declared, or the source's own behind the site column. What comes out of a
/// relational statement has none but the declared one.
fn key_of(
    flow: &Flow,
    table: &FlowTable,
    input: &TableSchema,
    shape: Option<Shape>,
) -> Vec<String> {
    if let Some(key) = &table.key {
        return key.clone();
    }
    if input.key().is_empty() || shape == Some(Shape::Relational) {
        return vec![];
    }
    flow.site_column.iter().cloned().chain(input.key_names().map(String::from)).collect()
}

/// Rows on their way into one target table.
struct Rows<'a> {
    flow: &'a Flow,
    table: &'a FlowTable,
    input: &'a TableSchema,
    columns: &'a [Column],
    key: &'a [String],
}

impl Rows<'_> {
    /// Whether a column comes out.
    fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }

    /// A problem with what comes out.
    fn missing(&self, code: &'static str, what: String, effect: &str) -> Problem {
        let known: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
        let found = format!("what comes out is {}", known.join(", "));
        problem(self.flow, code, what).found(found).effect(effect)
    }

    /// The key must be there, unless rows are only added.
    fn check_key(&self) -> Vec<Problem> {
        let target = &self.table.target;
        let adds_only = self.flow.mode == Mode::Batch && self.flow.batch.load == Load::Append;
        if self.key.is_empty() && !adds_only {
            let effect = "a row that comes again could not be told from a new one";
            let fix = "key = [\"...\"]      # in [from]; or give the table a primary key";
            return vec![self.missing("E0410", format!("`{target}` has no key"), effect).fix(fix)];
        }
        let absent = self.key.iter().filter(|column| !self.has(column));
        let report = |column: &String| {
            let what = format!("key column `{column}` is not among the rows for `{target}`");
            let effect = "rows could not be told apart, nor deleted";
            if self.flow.transform.is_some() && self.input.index_of(column).is_some() {
                let fix = format!("select {column}, ...      # in [transform] sql");
                return self.missing("E0404", what, effect).fix(fix);
            }
            self.missing("E0402", what, effect).fix("name a column that is there in `key`")
        };
        absent.map(report).collect()
    }

    /// The owner column must be there, and in the key where sites meet.
    fn check_owner(&self) -> Option<Problem> {
        let owner = self.flow.owner.as_ref()?;
        let target = &self.table.target;
        if !self.has(owner) {
            let what = format!("owner column `{owner}` is not among the rows for `{target}`");
            let effect = "no site could be held to its own rows";
            let fix = "select it in the transform, or name another column in `owner`";
            return Some(self.missing("E0403", what, effect).fix(fix));
        }
        if self.flow.sites.len() < 2 || self.key.is_empty() || self.key.contains(owner) {
            return None;
        }
        let what = format!("owner column `{owner}` is not part of the key of `{target}`");
        Some(
            problem(self.flow, "E0403", what)
                .found(format!("the key is {}", self.key.join(", ")))
                .effect("rows of one site would overwrite those of another")
                .fix(format!(
                    "key = [\"{owner}\", \"{}\"]      # in [from]",
                    self.key.join("\", \"")
                )),
        )
    }

    /// The interval's column must be there.
    fn check_interval(&self) -> Option<Problem> {
        let column = self.flow.batch.interval_by.as_ref()?;
        if self.flow.mode != Mode::Batch || self.has(column) {
            return None;
        }
        let target = &self.table.target;
        let what = format!("`interval_by` column `{column}` is not among the rows for `{target}`");
        let effect = "a run could not find the rows it replaces";
        Some(self.missing("E0408", what, effect).fix("select it in the transform"))
    }

    /// A row-wise transform must compile with the flow's key, as the engine will compile it.
    fn check_carried(&self, planner: &dyn SqlPlanner) -> Option<Problem> {
        let sql = self.flow.transform.as_ref()?;
        let site_column = self.flow.site_column.as_ref();
        let inner: Vec<String> =
            self.key.iter().filter(|column| Some(*column) != site_column).cloned().collect();
        let error = planner.compile(sql, &self.table.source, self.input, &inner).err()?;
        Some(
            problem(self.flow, "E0404", "the transform does not carry the key")
                .found(error.to_string())
                .effect("rows could not be told apart, nor deleted")
                .fix(format!("select {}, ...      # in [transform] sql", inner.join(", "))),
        )
    }
}
