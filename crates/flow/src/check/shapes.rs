//! The shapes of a flow's tables at its sites, and what its transform makes of them.

use super::masks;
use super::online::{Inspect, problem};
use crate::diagnostic::Problem;
use crate::flow::{Flow, FlowTable, From, Site};
use change::{Column, TableSchema};
use connect::{Kind, Shape, SqlPlanner};
use std::collections::BTreeMap;

/// What the sites said.
#[derive(Default)]
pub(crate) struct Shapes {
    /// Each source table's shape, from the first site that has it.
    pub(crate) tables: Vec<(String, TableSchema)>,
    /// The first site and table without a key.
    pub(crate) keyless: Option<(String, String)>,
    /// The first site and table whose old rows are not kept whole, where the transform needs them.
    pub(crate) forgetful: Option<(String, String)>,
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
            let wants_old = flow.transform.is_some() && flow.from == From::Tables;
            if wants_old
                && shapes.forgetful.is_none()
                && let Ok(false) = inspect.keeps_old_rows(site, &table.source)
            {
                shapes.forgetful = Some((site.clone(), table.source.clone()));
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
    sites: &BTreeMap<String, Site>,
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
            let mut found = match &error.found {
                Some(found) => format!("{}: {found}", error.what),
                None => error.what.clone(),
            };
            let dropped = masks::dropped(flow, sites);
            if !dropped.is_empty() {
                found = format!("{found}; `mask` in sites.toml drops {}", dropped.join(", "));
            }
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
