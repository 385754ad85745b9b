//! `plan`: what would be created at each site, and when what runs next. Writes nothing.

use crate::args::Global;
use crate::assemble::{connectors, project, state_to_read};
use crate::exit::{DIFFERENT, DONE, Failure};
use crate::inspect::Asking;
use crate::output::Output;
use crate::time::{counted, instant};
use change::TableSchema;
use connect::{Clock, Connectors, SystemClock};
use flow::{Apply, Flow, Project, Schedule};
use serde_json::json;

pub(crate) fn run(global: &Global, detailed: bool, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    let known = connectors();
    let sql = query::Sql::new();
    let mut changes = 0;
    for flow in &project.flows {
        let mut asking = Asking::new(&project, &known);
        let (problems, report) = flow::check_online(&project, flow, &mut asking, &sql);
        output.problems(&problems);
        output.line(&flow.name);
        changes += tell_sources(&project, &known, flow, output)?;
        changes += tell_masks(&project, flow, output)?;
        for (table, schema) in &report.targets {
            changes += tell_target(&project, &known, flow, table, schema, output);
        }
        tell_schedules(flow, output);
    }
    let text = match changes {
        0 => "nothing to change".to_string(),
        n => format!("{} to be made by seamount run", counted(n, "change")),
    };
    output.summary(&text, &[("changes", json!(changes))]);
    Ok(if detailed && changes > 0 { DIFFERENT } else { DONE })
}

/// Capture that is not installed yet, counted by site.
fn tell_sources(
    project: &Project,
    known: &Connectors,
    flow: &Flow,
    output: &Output,
) -> Result<u64, Failure> {
    if !flow.captures() {
        return Ok(0);
    }
    let state = state_to_read(project)?;
    let mut waiting = Vec::new();
    for name in &flow.sites {
        let seen = match &state {
            Some(state) => state.lane(name)?.is_some_and(|lane| lane.history.is_some()),
            None => false,
        };
        let site = &project.sites[name];
        let reachable = known.of(&site.settings).and_then(|c| c.readable(&site.settings)).is_ok();
        if !reachable {
            output.line(&format!("  {name}: cannot be reached now"));
        } else if !seen {
            waiting.push(name.as_str());
        }
    }
    if !waiting.is_empty() {
        let tables: Vec<&str> = flow.tables.iter().map(|t| t.source.as_str()).collect();
        output.line(&format!(
            "  + capture of {} at {} ({}), then a snapshot",
            tables.join(", "),
            counted(waiting.len() as u64, "site"),
            shortened(&waiting)
        ));
    }
    for site in &waiting {
        output.object(
            &json!({ "type": "change", "flow": flow.name, "site": site, "what": "capture" }),
        );
    }
    Ok(waiting.len() as u64)
}

/// Masks that are others than those the log was written under: what it holds already stays as it is.
fn tell_masks(project: &Project, flow: &Flow, output: &Output) -> Result<u64, Failure> {
    let Some(state) = state_to_read(project)?.filter(|_| flow.captures()) else { return Ok(0) };
    let mut changed = 0;
    for name in &flow.sites {
        let Some(lane) = state.lane(name)?.filter(|lane| lane.history.is_some()) else { continue };
        for table in &flow.tables {
            let masks = &project.sites[name].settings.masks;
            if state.mask(lane.id, &table.source)?.definition == masks.definition(&table.source) {
                continue;
            }
            changed += 1;
            let what = format!("the mask of {} at {name} has changed", table.source);
            output.line(&format!(
                "  ~ {what}: a new snapshot; the log keeps what it holds under the old one until it is trimmed"
            ));
            output.object(
                &json!({ "type": "change", "flow": flow.name, "site": name, "what": what }),
            );
        }
    }
    Ok(changed)
}

fn shortened(names: &[&str]) -> String {
    match names {
        [a, b, c, rest @ ..] if !rest.is_empty() => {
            format!("{a}, {b}, {c} and {} more", rest.len())
        }
        few => few.join(", "),
    }
}

/// A target table that is missing, or lacks columns.
fn tell_target(
    project: &Project,
    known: &Connectors,
    flow: &Flow,
    table: &str,
    schema: &TableSchema,
    output: &Output,
) -> u64 {
    if flow.apply() == Apply::Nothing {
        return 0;
    }
    let site = &project.sites[&flow.target];
    let there = known
        .of(&site.settings)
        .and_then(|connector| connector.readable(&site.settings.as_target()))
        .and_then(|mut target| target.describe(table));
    let what = match there {
        Err(_) => format!("table {table} at {} with {}", flow.target, columns(schema)),
        Ok(found) => {
            let missing: Vec<&str> = schema
                .columns()
                .iter()
                .filter(|column| found.index_of(&column.name).is_none())
                .map(|column| column.name.as_str())
                .collect();
            if missing.is_empty() {
                return 0;
            }
            format!("column {} of {table} at {}", missing.join(", "), flow.target)
        }
    };
    output.line(&format!("  + {what}"));
    output
        .object(&json!({ "type": "change", "flow": flow.name, "site": flow.target, "what": what }));
    1
}

fn columns(schema: &TableSchema) -> String {
    let key: Vec<&str> = schema.key_names().collect();
    let count = counted(schema.columns().len() as u64, "column");
    if key.is_empty() {
        format!("{count}, no key")
    } else {
        format!("{count}, key {}", key.join(", "))
    }
}

/// The next three times of each schedule.
fn tell_schedules(flow: &Flow, output: &Output) {
    let batch = flow.batch.schedule.as_ref().filter(|_| flow.apply() == Apply::Runs);
    for (what, expression, zone) in [
        ("run", batch, &flow.batch.timezone),
        ("reconcile", flow.reconcile.schedule.as_ref(), &flow.reconcile.timezone),
    ] {
        let Some(schedule) = expression.and_then(|text| Schedule::parse(text, zone).ok()) else {
            continue;
        };
        let now = SystemClock::default().now();
        let fires: Vec<String> =
            std::iter::successors(schedule.next_after(now), |fire| schedule.next_after(*fire))
                .take(3)
                .map(instant)
                .collect();
        output.line(&format!("  {what:<9} next {}", fires.join(", ")));
        output
            .object(&json!({ "type": "schedule", "flow": flow.name, "what": what, "next": fires }));
    }
}
