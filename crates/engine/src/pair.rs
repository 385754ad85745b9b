//! One table of one site, with what its proof needs; or why there is nothing to look at.
//!
//! A site that is away, or a table there that is not what the flow declares, is unproven, and the others are proved.

use crate::assembly::Assembly;
use crate::path::TablePath;
use crate::state::FlowIdentity;
use change::TableSchema;
use connect::{Error, Kind, Result};
use flow::{Flow, FlowTable, Site};
use proof::{Excluded, Reason, RowPath, Subject, Writer};
use std::sync::Arc;

/// One table of one site, ready to be proved.
pub(crate) struct Pair {
    pub(crate) site: Site,
    pub(crate) subject: Subject,
}

/// Who writes the flow's target.
pub(crate) fn writer_of(flow: &Flow) -> Writer {
    match flow.writer {
        flow::Writer::Flow => Writer::Flow,
        flow::Writer::Other => {
            let max_lag = i64::try_from(flow.events.max_lag.as_micros()).unwrap_or(i64::MAX);
            Writer::Other { max_lag_us: max_lag }
        }
    }
}

impl Pair {
    /// Looks a table up at its site and at the target.
    ///
    /// # Errors
    /// What is broken; what only cannot be seen is a reason.
    pub(crate) fn find(
        assembly: &Assembly,
        flow: &Flow,
        identity: &FlowIdentity,
        site: &Site,
        table: &FlowTable,
    ) -> Result<Result<Pair, Reason>> {
        match pair(assembly, flow, identity, site, table) {
            Ok(pair) => Ok(Ok(pair)),
            Err(e) if e.kind == Kind::Unavailable => Ok(Err(Reason::Unavailable(e.to_string()))),
            Err(e) if e.kind == Kind::Invalid => Ok(Err(Reason::Unsupported(e.to_string()))),
            Err(e) => Err(e),
        }
    }
}

fn pair(
    assembly: &Assembly,
    flow: &Flow,
    identity: &FlowIdentity,
    site: &Site,
    table: &FlowTable,
) -> Result<Pair> {
    let mut source = assembly.connectors.of(&site.settings)?.readable(&site.settings)?;
    let schema = Arc::new(source.describe(&table.source).map_err(|e| e.at(&site.name))?);
    let subject = subject(assembly, flow, identity, site, table, schema)?;
    Ok(Pair { site: site.clone(), subject })
}

/// What is proved of a table that has these columns at its site.
///
/// # Errors
/// `Invalid` when the flow does not fit them, `Unavailable` when the site was never captured or the target is away.
pub(crate) fn subject(
    assembly: &Assembly,
    flow: &Flow,
    identity: &FlowIdentity,
    site: &Site,
    table: &FlowTable,
    schema: Arc<TableSchema>,
) -> Result<Subject> {
    let path = TablePath::plan(flow, table, site, schema, &*assembly.planner)?;
    let lane = assembly.state.lane(&site.name)?.ok_or_else(|| {
        Error::unavailable(format!("{} was never captured", site.name)).fix("seamount run")
    })?;
    let mut excluded = kept_at_site(site, table);
    excluded.extend(not_carried(&path));
    excluded.extend(not_written(assembly, flow, &path)?);
    Ok(Subject {
        flow: identity.id,
        flow_name: flow.name.clone(),
        generation: identity.generation,
        site: site.name.clone(),
        lane: lane.id,
        path: row_path(&path)?,
        writer: writer_of(flow),
        excluded,
    })
}

/// A way of rows, for the proof to walk by itself.
///
/// # Errors
/// `Invalid` when it does not give the target's columns.
pub(crate) fn row_path(path: &TablePath) -> Result<RowPath> {
    let site_column = path.site_column().map(|(name, value)| (name.into(), value.into()));
    let (transform, target) = (path.transform().cloned(), path.target().clone());
    RowPath::new(path.source_table(), path.input().clone(), transform, site_column, target)
}

/// Columns that a mask keeps at their site, or covers.
fn kept_at_site(site: &Site, table: &FlowTable) -> Vec<Excluded> {
    let mask = site.settings.masks.of(&table.source);
    let columns = mask.into_iter().flat_map(|mask| &mask.columns);
    let columns = columns.map(|(column, rule)| {
        let wholly = *rule == change::mask::Rule::Drop;
        let why = match wholly {
            true => "dropped by a mask".into(),
            false => format!("compared behind its mask, `{}`", rule.word()),
        };
        Excluded { side: "source".into(), column: column.clone(), why, wholly }
    });
    columns.collect()
}

/// Source columns that the transform does not carry as they are.
fn not_carried(path: &TablePath) -> Vec<Excluded> {
    let Some(transform) = path.transform() else { return Vec::new() };
    let columns = path.input().columns().iter().enumerate();
    let others = columns.filter(|(place, _)| !transform.carried().contains(&Some(*place)));
    let others = others.map(|(_, column)| Excluded {
        side: "source".into(),
        column: column.name.clone(),
        why: "left out by the transform, or compared as what it computes of it".into(),
        wholly: false,
    });
    others.collect()
}

/// Columns of the target that the flow does not write.
fn not_written(assembly: &Assembly, flow: &Flow, path: &TablePath) -> Result<Vec<Excluded>> {
    let target = assembly.project.sites.get(&flow.target);
    let target = target.ok_or_else(|| Error::internal("the flow's target is no site"))?;
    let mut readable =
        assembly.connectors.of(&target.settings)?.readable(&target.settings.as_target())?;
    let of_target = |column: &str, why: String| Excluded {
        side: "target".into(),
        column: column.into(),
        why,
        wholly: true,
    };
    Ok(match readable.describe(&path.target().name) {
        Ok(there) => others(&there, &path.target().schema)
            .map(|column| of_target(column, "not written by the flow".into()))
            .collect(),
        Err(e) if e.kind == Kind::Unavailable => return Err(e.at(&flow.target)),
        Err(e) => vec![of_target("*", format!("whether there are more columns is not known: {e}"))],
    })
}

fn others<'a>(there: &'a TableSchema, own: &'a TableSchema) -> impl Iterator<Item = &'a str> {
    let is_own = |name: &str| own.columns().iter().any(|c| c.name.eq_ignore_ascii_case(name));
    there.columns().iter().map(|c| c.name.as_str()).filter(move |name| !is_own(name))
}
