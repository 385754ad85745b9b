//! What only the sites can say: columns, keys, capabilities; which modes a flow can run, and what each promises.
//!
//! Asks through [`Inspect`], so that nothing here knows a connector; writes nothing.

use super::shapes::{self, Shapes};
use super::targets;
use crate::diagnostic::{Place, Problem};
use crate::flow::{Flow, From, Mode, Project, TransactionMode, Writer};
use change::TableSchema;
use connect::{Capabilities, Load, Result, Shape, SqlPlanner};
use std::collections::BTreeMap;

/// Asks sites what they hold.
pub trait Inspect {
    /// The shape of a table.
    ///
    /// # Errors
    /// The site cannot be reached, or has no such table.
    fn describe(&mut self, site: &str, table: &str) -> Result<TableSchema>;

    /// The shape of the files that match a pattern, without a key.
    ///
    /// # Errors
    /// The site cannot be reached, no file matches, or one has no readable header.
    fn describe_files(
        &mut self,
        site: &str,
        pattern: &str,
        types: &BTreeMap<String, String>,
    ) -> Result<TableSchema>;

    /// Whether the old row of every update and delete of a table can be captured whole.
    ///
    /// # Errors
    /// As [`Inspect::describe`].
    fn keeps_old_rows(&mut self, _site: &str, _table: &str) -> Result<bool> {
        Ok(true)
    }

    /// What the site's connector can do.
    fn capabilities(&self, site: &str) -> Capabilities;
}

/// What a mode comes to for a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeReport {
    /// The mode.
    pub mode: Mode,
    /// Whether the flow could run in it.
    pub runs: bool,
    /// The guarantee it reaches; or, when it does not run, why not.
    pub says: String,
}

/// What `check --online` learned of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowReport {
    /// The flow.
    pub flow: String,
    /// All modes, whichever the file names.
    pub modes: Vec<ModeReport>,
    /// Whether its transform looks at one row at a time; `None` without a transform.
    pub shape: Option<Shape>,
    /// Columns and key of each target table, as far as they could be worked out.
    pub targets: Vec<(String, TableSchema)>,
}

/// Checks a flow against its sites.
pub fn check_online(
    project: &Project,
    flow: &Flow,
    inspect: &mut dyn Inspect,
    planner: &dyn SqlPlanner,
) -> (Vec<Problem>, FlowReport) {
    let mut problems = Vec::new();
    let mut shapes = shapes::of_sites(flow, inspect, &mut problems);
    let shape = shapes::check_transform(flow, &project.sites, &mut shapes, planner, &mut problems);
    let targets = targets::of_flow(flow, &shapes, planner, shape, &mut problems);
    let modes: Vec<ModeReport> = [Mode::Event, Mode::Batch, Mode::Hybrid]
        .into_iter()
        .map(|mode| mode_report(project, flow, mode, &shapes, shape, inspect))
        .collect();
    let own = modes.iter().find(|report| report.mode == flow.mode);
    if let Some(report) = own.filter(|report| !report.runs)
        && problems.is_empty()
    {
        problems.push(refused_mode(flow, report, shape, &modes));
    }
    (problems, FlowReport { flow: flow.name.clone(), modes, shape, targets })
}

/// A problem of a flow's file as a whole.
pub(crate) fn problem(flow: &Flow, code: &'static str, what: impl Into<String>) -> Problem {
    Problem::error(code, what).at(Place { file: flow.file.clone(), spot: None })
}

/// The word of a mode.
pub fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Event => "event",
        Mode::Batch => "batch",
        Mode::Hybrid => "hybrid",
    }
}

/// The problem of a flow whose own mode cannot run.
fn refused_mode(
    flow: &Flow,
    report: &ModeReport,
    shape: Option<Shape>,
    modes: &[ModeReport],
) -> Problem {
    let others: Vec<&str> = modes.iter().filter(|m| m.runs).map(|m| word(m.mode)).collect();
    let relational = shape == Some(Shape::Relational) && flow.mode != Mode::Batch;
    let code = if relational { "E0406" } else { "E0416" };
    let what = format!("flow {} cannot run in {} mode", flow.name, word(flow.mode));
    let fix = match (relational, others.is_empty()) {
        (true, _) => "mode = \"batch\"      # keep the join as batch\n\
                      trigger = { on = \"events\", quiet = \"30s\" }      # in [batch]: events start it"
            .to_string(),
        (false, false) => format!("mode = \"{}\"", others[0]),
        (false, true) => "seamount explain E0416".to_string(),
    };
    let effect = "nothing of this flow would be moved";
    problem(flow, code, what).found(report.says.clone()).effect(effect).fix(fix)
}

/// Whether a mode can run, and what it promises.
fn mode_report(
    project: &Project,
    flow: &Flow,
    mode: Mode,
    shapes: &Shapes,
    shape: Option<Shape>,
    inspect: &dyn Inspect,
) -> ModeReport {
    let blocked = match mode {
        Mode::Batch => batch_blocked(project, flow, inspect),
        Mode::Event | Mode::Hybrid => events_blocked(project, flow, shapes, shape, inspect),
    };
    match blocked {
        Some(says) => ModeReport { mode, runs: false, says },
        None => ModeReport { mode, runs: true, says: guarantee(flow, mode) },
    }
}

/// Why runs cannot be made, if so.
fn batch_blocked(project: &Project, flow: &Flow, inspect: &dyn Inspect) -> Option<String> {
    if flow.writer == Writer::Other || !project.sites.contains_key(&flow.target) {
        return None;
    }
    let target = inspect.capabilities(&flow.target);
    let staged = target.staged_target && target.transactional_target;
    (!staged).then(|| format!("{} cannot publish a run in one transaction", flow.target))
}

/// Why changes cannot be moved as they happen, if so.
fn events_blocked(
    project: &Project,
    flow: &Flow,
    shapes: &Shapes,
    shape: Option<Shape>,
    inspect: &dyn Inspect,
) -> Option<String> {
    if let From::Files { .. } = flow.from {
        return Some("files send no changes".into());
    }
    if shape == Some(Shape::Relational) {
        let because = shapes.because.as_deref().unwrap_or("more than one row at a time");
        return Some(format!(
            "its transform is relational ({because}): one change is not one row of the result"
        ));
    }
    if let Some((site, table)) = &shapes.keyless {
        return Some(format!(
            "{table} at {site} has no key: a change could not be told from another"
        ));
    }
    if flow.batch.load == Load::Append && flow.writer == Writer::Flow && flow.mode == Mode::Batch {
        return Some("load = \"append\" keeps rows that events would update or delete".into());
    }
    let silent = flow.sites.iter().find(|site| !inspect.capabilities(site).capture);
    if let Some(site) = silent {
        return Some(format!("{site} cannot capture changes"));
    }
    let no_old = flow.sites.iter().find(|site| !inspect.capabilities(site).old_images);
    if let (Some(site), true) = (no_old, flow.transform.is_some()) {
        return Some(format!(
            "{site} sends no old rows, which the transform needs for updates and deletes"
        ));
    }
    if let Some((site, table)) = &shapes.forgetful {
        return Some(format!(
            "{site} keeps only the key of old rows of {table}, and the transform needs them whole \
             (PostgreSQL: ALTER TABLE {table} REPLICA IDENTITY FULL)"
        ));
    }
    let writes = flow.writer == Writer::Flow && project.sites.contains_key(&flow.target);
    let transactional = inspect.capabilities(&flow.target).transactional_target;
    (writes && !transactional)
        .then(|| format!("{} cannot keep rows and progress in one transaction", flow.target))
}

/// What a mode that runs promises, in the words of `product.md`.
fn guarantee(flow: &Flow, mode: Mode) -> String {
    if flow.writer == Writer::Other {
        return "prove-only: differences are named row by row, nothing is written".into();
    }
    let whole = match flow.events.transactions {
        TransactionMode::Coalesce => "source transactions visible whole, neighbours together",
        TransactionMode::Exact => "source transactions visible one by one",
    };
    match mode {
        Mode::Event => format!("effectively-once; {whole}; never proved unless reconciled"),
        Mode::Batch if flow.batch.load == Load::Append => {
            "all or nothing for each run; the same interval is added once".into()
        }
        Mode::Batch => "all or nothing for each run; the same run again changes nothing".into(),
        Mode::Hybrid if flow.reconcile.schedule.is_none() => {
            format!("effectively-once; {whole}; proved only when asked: no schedule")
        }
        Mode::Hybrid => format!("effectively-once; {whole}; proved equal on schedule"),
    }
}
