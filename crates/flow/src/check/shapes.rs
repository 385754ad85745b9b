//! The shapes of a flow's tables: at its sites, through its transform, at its target.

use super::online::{Inspect, problem};
use crate::diagnostic::Problem;
use crate::flow::{Flow, FlowTable, From, Mode};
use change::{Column, ColumnType, TableSchema};
use connect::{Kind, Shape, SqlPlanner};

/// What the sites said.
#[derive(Default)]
pub(crate) struct Shapes {
    /// Each source table's shape, from the first site that has it.
    pub(crate) tables: Vec<(String, TableSchema)>,
    /// The first site and table without a key.
    pub(crate) keyless: Option<(String, String)>,
    /// Why the transform is relational.
    pub(crate) because: Option<String>,
    /// The columns that come out of the transform.
    pub(crate) output: Option<Vec<Column>>,
}

/// Asks every site for every table. Sites that differ are named against the first.
pub(crate) fn of_sites(
    flow: &Flow,
    inspect: &mut dyn Inspect,
    problems: &mut Vec<Problem>,
) -> Shapes {
    let mut shapes = Shapes::default();
    for table in &flow.tables {
        let mut first: Option<(&String, TableSchema)> = None;
        for site in &flow.sites {
            let shape = match &flow.from {
                From::Tables => inspect.describe(site, &table.source),
                From::Files { pattern, types } => inspect.describe_files(site, pattern, types),
            };
            let shape = match shape {
                Ok(shape) => shape,
                Err(error) => {
                    problems.push(cannot_describe(flow, site, table, &error));
                    continue;
                }
            };
            if shape.key().is_empty() && shapes.keyless.is_none() && flow.from == From::Tables {
                shapes.keyless = Some((site.clone(), table.source.clone()));
            }
            match &first {
                None => first = Some((site, shape)),
                Some((like, expected)) => {
                    problems.extend(differs(flow, table, (like, expected), (site, &shape)));
                }
            }
        }
        shapes.tables.extend(first.map(|(_, shape)| (table.source.clone(), shape)));
    }
    shapes
}

/// A site that did not answer, or has no such table.
fn cannot_describe(flow: &Flow, site: &str, table: &FlowTable, error: &connect::Error) -> Problem {
    let inner = Problem::from_error(error, "E0401");
    let mut found = error.what.clone();
    if let Some(more) = &error.found {
        found = format!("{found}: {more}");
    }
    let fix = match error.kind {
        Kind::Unavailable => format!("seamount sites test {site}"),
        _ => format!("create `{}` at {site}, or take the site out of the flow", table.source),
    };
    problem(flow, inner.code, format!("`{}` at {site} cannot be looked at", table.source))
        .found(found)
        .effect(inner.effect.unwrap_or_else(|| format!("nothing of {site} would be moved")))
        .fix(inner.fix.unwrap_or(fix))
}

/// How one site's table differs from the first one's, if it does.
fn differs(
    flow: &Flow,
    table: &FlowTable,
    (like, expected): (&str, &TableSchema),
    (site, shape): (&str, &TableSchema),
) -> Option<Problem> {
    let mut found: Vec<String> = Vec::new();
    for column in expected.columns() {
        match shape.index_of(&column.name).map(|place| &shape.columns()[place]) {
            None => found.push(format!("{site} has no `{}`", column.name)),
            Some(other) if other.ty != column.ty => found.push(format!(
                "`{}` is {} at {like} and {} at {site}",
                column.name, column.ty, other.ty
            )),
            Some(_) => {}
        }
    }
    let extra = shape.columns().iter().filter(|c| expected.index_of(&c.name).is_none());
    found.extend(extra.map(|column| format!("only {site} has `{}`", column.name)));
    if !expected.key_names().eq(shape.key_names()) {
        found.push(format!("the key is another at {site}"));
    }
    if found.is_empty() {
        return None;
    }
    Some(
        problem(flow, "E0405", format!("`{}` is not the same at {like} and {site}", table.source))
            .found(found.join("; "))
            .effect("values would have to change to meet in one table")
            .fix("make the tables alike, or move the sites in flows of their own"),
    )
}

/// Plans the transform; learns whether it is relational, and what comes out.
pub(crate) fn check_transform(
    flow: &Flow,
    shapes: &mut Shapes,
    planner: &dyn SqlPlanner,
    problems: &mut Vec<Problem>,
) -> Option<Shape> {
    let sql = flow.transform.as_ref()?;
    if shapes.tables.len() < flow.tables.len() {
        return None;
    }
    match planner.classify(sql, &shapes.tables) {
        Ok(classified) => {
            shapes.because = classified.because;
            shapes.output = Some(classified.output.columns().to_vec());
            Some(classified.shape)
        }
        Err(error) => {
            let inner = Problem::from_error(&error, "E0411");
            let found = match &error.found {
                Some(found) => format!("{}: {found}", error.what),
                None => error.what.clone(),
            };
            problems.push(
                problem(flow, "E0411", "the transform does not fit the tables")
                    .found(found)
                    .effect(
                        inner
                            .effect
                            .unwrap_or_else(|| "nothing of this flow would be moved".into()),
                    )
                    .fix(inner.fix.unwrap_or_else(|| "correct [transform] sql".into())),
            );
            None
        }
    }
}

/// Works out each target table, and checks key, owner and interval columns against it.
pub(crate) fn targets(
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
        let Some(columns) = produced else { continue };
        let target = check_columns(flow, table, input, columns, shape, planner, problems);
        targets.extend(target.map(|schema| (table.target.clone(), schema)));
    }
    targets
}

/// Checks the columns of one target table; returns its shape when they are right.
fn check_columns(
    flow: &Flow,
    table: &FlowTable,
    input: &TableSchema,
    mut columns: Vec<Column>,
    shape: Option<Shape>,
    planner: &dyn SqlPlanner,
    problems: &mut Vec<Problem>,
) -> Option<TableSchema> {
    let before = problems.len();
    if let Some(name) = &flow.site_column {
        if columns.iter().any(|column| column.name == *name) {
            problems.push(
                problem(flow, "E0415", format!("`{}` has a column `{name}` already", table.source))
                    .found("`site_column` would add a second one of this name")
                    .effect("the column's own values would be lost")
                    .fix("owner = \"...\"      # in [to], where rows carry the site; or another site_column"),
            );
            return None;
        }
        columns.push(Column::new(name, ColumnType::Text, false));
    }
    let has = |name: &str| columns.iter().any(|column| column.name == name);
    let missing = |code, what: String, effect: &str| {
        let known: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        problem(flow, code, what)
            .found(format!("what comes out is {}", known.join(", ")))
            .effect(effect.to_string())
    };
    let key = key_of(flow, table, input, shape);
    for column in key.iter().filter(|column| !has(column)) {
        let what = format!("key column `{column}` is not among the rows for `{}`", table.target);
        let code = if flow.transform.is_some() && input.index_of(column).is_some() {
            "E0404"
        } else {
            "E0402"
        };
        let fix = if code == "E0404" {
            format!("select {column}, ...      # in [transform] sql")
        } else {
            "name a column that is there in `key`".into()
        };
        problems.push(missing(code, what, "rows could not be told apart, nor deleted").fix(fix));
    }
    let adds_only = flow.mode == Mode::Batch && flow.batch.load == connect::Load::Append;
    if key.is_empty() && !adds_only {
        let what = format!("`{}` has no key", table.target);
        problems.push(
            missing("E0410", what, "a row that comes again could not be told from a new one")
                .fix("key = [\"...\"]      # in [from]; or give the table a primary key"),
        );
    }
    if let Some(owner) = &flow.owner {
        let what = format!("owner column `{owner}` is not among the rows for `{}`", table.target);
        if !has(owner) {
            problems.push(
                missing("E0403", what, "no site could be held to its own rows")
                    .fix("select it in the transform, or name another column in `owner`"),
            );
        } else if flow.sites.len() > 1 && !key.is_empty() && !key.contains(owner) {
            let what =
                format!("owner column `{owner}` is not part of the key of `{}`", table.target);
            problems.push(
                problem(flow, "E0403", what)
                    .found(format!("the key is {}", key.join(", ")))
                    .effect("rows of one site would overwrite those of another")
                    .fix(format!(
                        "key = [\"{owner}\", \"{}\"]      # in [from]",
                        key.join("\", \"")
                    )),
            );
        }
    }
    if let Some(column) =
        flow.batch.interval_by.as_ref().filter(|column| flow.mode == Mode::Batch && !has(column))
    {
        let what =
            format!("`interval_by` column `{column}` is not among the rows for `{}`", table.target);
        problems.push(
            missing("E0408", what, "a run could not find the rows it replaces")
                .fix("select it in the transform"),
        );
    }
    check_carried(flow, table, input, shape, &key, planner, problems);
    (problems.len() == before).then(|| TableSchema::new(columns, &key).ok()).flatten()
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

/// A row-wise transform must compile with the flow's key, as the engine will compile it.
fn check_carried(
    flow: &Flow,
    table: &FlowTable,
    input: &TableSchema,
    shape: Option<Shape>,
    key: &[String],
    planner: &dyn SqlPlanner,
    problems: &mut Vec<Problem>,
) {
    let (Some(sql), Some(Shape::RowWise), true) = (&flow.transform, shape, problems.is_empty())
    else {
        return;
    };
    let inner: Vec<String> =
        key.iter().filter(|column| Some(*column) != flow.site_column.as_ref()).cloned().collect();
    if let Err(error) = planner.compile(sql, &table.source, input, &inner) {
        problems.push(
            problem(flow, "E0404", "the transform does not carry the key")
                .found(error.to_string())
                .effect("rows could not be told apart, nor deleted")
                .fix(format!("select {}, ...      # in [transform] sql", inner.join(", "))),
        );
    }
}
