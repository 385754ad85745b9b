//! One flow by itself: its sites, target, owner and settings come together to a [`Flow`], or problems say why not.

use super::sites::Sites;
use super::times::{ScheduleAt, check_schedule};
use super::{loads, tables};
use crate::diagnostic::Problem;
use crate::flow::{
    Batch, CatchUp, DeadLetter, Events, Flow, Mode, NewColumns, Reconcile, Repair, TransactionMode,
    Writer,
};
use crate::source_text::{At, SourceText};
use crate::spec::flow::FlowSpec;
use crate::suggest::nearest;
use connect::Load;
use std::time::Duration;

/// Scheme of sites that are folders of files.
pub(crate) const FOLDER: &str = "files";

/// Checks a flow; `None` when anything in its file is wrong. `sites` is `None` when sites could not be read: what
/// depends on them is then not said to be wrong.
pub(crate) fn resolve(
    source: &SourceText,
    name: &str,
    spec: &FlowSpec,
    sites: Option<&Sites>,
) -> Option<Flow> {
    let read_sites = expand_sites(source, spec, sites);
    check_target(source, spec, sites);
    let planned = tables::plan(source, spec);
    if let Some(sites) = sites {
        tables::check_kinds(source, spec, &read_sites, sites);
    }
    tables::check_owner(source, spec, &read_sites);
    let batch = ScheduleAt {
        section: "batch",
        expression: spec.batch.schedule.as_ref(),
        timezone: spec.batch.timezone.as_ref(),
    };
    check_schedule(source, &batch);
    let reconcile = ScheduleAt {
        section: "reconcile",
        expression: spec.reconcile.schedule.as_ref(),
        timezone: spec.reconcile.timezone.as_ref(),
    };
    check_schedule(source, &reconcile);
    loads::check_batch(source, spec);
    loads::check_writer(source, spec);
    warn_never_reconciled(source, spec);
    if source.has_errors() || sites.is_none() {
        return None;
    }
    let (from, tables) = planned?;
    Some(Flow {
        name: name.to_string(),
        mode: spec.mode.as_ref()?.value,
        about: spec.about.as_ref().map(|about| about.value.clone()),
        file: source.path().to_path_buf(),
        sites: read_sites,
        from,
        target: spec.to.site.as_ref()?.value.clone(),
        tables,
        site_column: spec.from.site_column.as_ref().map(|c| c.value.clone()),
        owner: spec.to.owner.as_ref().map(|c| c.value.clone()),
        writer: writer(spec),
        transform: spec.transform.as_ref().map(|sql| sql.value.clone()),
        new_columns: spec.from.new_columns.as_ref().map_or(NewColumns::Add, |word| word.value),
        events: events(spec),
        batch: batch_of(spec),
        reconcile: reconcile_of(spec),
        max_staleness: spec.max_staleness.as_ref().map(|at| at.value),
    })
}

/// Who writes the target.
pub(crate) fn writer(spec: &FlowSpec) -> Writer {
    spec.to.writer.as_ref().map_or(Writer::Flow, |word| word.value)
}

/// The flow's mode, where it reads.
pub(crate) fn mode(spec: &FlowSpec) -> Option<Mode> {
    spec.mode.as_ref().map(|mode| mode.value)
}

/// The names of the sites that a flow reads: groups expanded, each once.
fn expand_sites(source: &SourceText, spec: &FlowSpec, sites: Option<&Sites>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let Some(known) = sites else {
        return spec.from.sites.iter().map(|name| name.value.clone()).collect();
    };
    for name in &spec.from.sites {
        let members = match known.groups.get(&name.value) {
            Some(group) => group.sites.clone(),
            None if known.sites.contains_key(&name.value) => vec![name.value.clone()],
            None => {
                unknown_site(source, name, known);
                continue;
            }
        };
        for member in members {
            if !names.contains(&member) {
                names.push(member);
            }
        }
    }
    names
}

/// Checks the site that is written.
fn check_target(source: &SourceText, spec: &FlowSpec, sites: Option<&Sites>) {
    let (Some(target), Some(known)) = (&spec.to.site, sites) else { return };
    if known.groups.contains_key(&target.value) {
        source.report(
            Problem::error(
                "E0390",
                format!("`to.site` is the group `{}`: fan-out is not built yet", target.value),
            )
            .at(source.place(&target.span, "a group, where one site is expected"))
            .effect("only one of its sites could be written")
            .fix("write one flow for each target"),
        );
    } else if !known.sites.contains_key(&target.value) {
        unknown_site(source, target, known);
    } else if known.sites[&target.value].settings.scheme() == FOLDER {
        source.report(
            Problem::error(
                "E0310",
                format!("`{}` is a folder of files and cannot be written", target.value),
            )
            .at(source.place(&target.span, "rows and progress need one transaction"))
            .effect("a crash could leave half a run visible")
            .fix("write to a database: url = \"sqlite:target.db\""),
        );
    }
}

/// Reports a site or group that is not in `sites.toml`.
fn unknown_site(source: &SourceText, name: &At<String>, known: &Sites) {
    let names = || known.sites.keys().chain(known.groups.keys()).map(String::as_str);
    let meant = nearest(&name.value, names());
    let label = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "not in sites.toml".to_string(),
    };
    let mut groups: Vec<&str> = known.groups.keys().map(String::as_str).collect();
    groups.extend(known.sites.values().filter(|s| s.group.is_none()).map(|s| s.name.as_str()));
    let problem = Problem::error("E0201", format!("there is no site or group `{}`", name.value))
        .at(source.place(&name.span, label))
        .found(match groups.is_empty() {
            true => "sites.toml names none".to_string(),
            false => format!("sites.toml has {}", groups.join(", ")),
        })
        .effect("nothing of this flow would be moved");
    source.report(match meant {
        Some(meant) => problem.fix(format!("write \"{meant}\"")),
        None => problem.fix(format!("[{}]\nurl = \"sqlite:...\"      # in sites.toml", name.value)),
    });
}

/// A flow that never proves is allowed, and said.
fn warn_never_reconciled(source: &SourceText, spec: &FlowSpec) {
    let proves = mode(spec) == Some(Mode::Hybrid) || writer(spec) == Writer::Other;
    let (true, None, Some(mode)) = (proves, &spec.reconcile.schedule, &spec.mode) else { return };
    source.report(
        Problem::warning("E0323", "this flow is never reconciled on its own")
            .at(source.place(&mode.span, "its proof has no schedule"))
            .effect("a difference stays unseen until somebody runs `seamount reconcile`")
            .fix("[reconcile]\nschedule = \"0 2 * * *\"\ntimezone = \"Europe/Berlin\""),
    );
}

/// Event settings with their defaults.
fn events(spec: &FlowSpec) -> Events {
    let events = &spec.events;
    let after = events.after.as_ref().map_or(5, |at| at.value);
    Events {
        max_lag: events.max_lag.as_ref().map_or(Duration::from_secs(30), |at| at.value),
        transactions: events
            .transactions
            .as_ref()
            .map_or(TransactionMode::Coalesce, |word| word.value),
        dead_letter: DeadLetter {
            after: u32::try_from(after).unwrap_or(u32::MAX),
            stop_at: events.stop_at.as_ref().map_or(0.01, |at| at.value),
        },
    }
}

/// Batch settings with their defaults.
fn batch_of(spec: &FlowSpec) -> Batch {
    let batch = &spec.batch;
    let text = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
    Batch {
        schedule: text(&batch.schedule),
        timezone: text(&batch.timezone).unwrap_or_else(|| "UTC".into()),
        window: batch.window.as_ref().map(|at| at.value),
        load: batch.load.as_ref().and_then(|word| word.value.load()).unwrap_or(Load::Replace),
        interval_by: text(&batch.interval_by),
        after: batch.after.iter().map(|name| name.value.clone()).collect(),
        checks: batch.checks.clone(),
        zero_rows: batch.zero_rows,
        catch_up: batch.catch_up.as_ref().map_or(CatchUp::Latest, |word| word.value),
    }
}

/// Reconciliation settings with their defaults.
fn reconcile_of(spec: &FlowSpec) -> Reconcile {
    let reconcile = &spec.reconcile;
    let repair = match (&reconcile.max_rows, &reconcile.max_share) {
        (Some(rows), Some(share)) => Some(Repair { max_rows: rows.value, max_share: share.value }),
        _ => None,
    };
    Reconcile {
        schedule: reconcile.schedule.as_ref().map(|at| at.value.clone()),
        timezone: reconcile.timezone.as_ref().map_or("UTC".into(), |at| at.value.clone()),
        repair,
    }
}
