//! `runs`: what ran, the newest first.

use super::flow_of;
use crate::args::{Global, Runs};
use crate::assemble::{project, state_to_read};
use crate::exit::{DONE, Failure};
use crate::output::Output;
use crate::time::{counted, instant, span};
use change::RunId;
use engine::{RunRecord, State};
use flow::Project;
use serde_json::json;

pub(crate) fn run(global: &Global, what: Option<&Runs>, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    let Some(state) = state_to_read(&project)? else {
        if let Some(Runs::Show { id }) = what {
            return Err(Failure::Usage(format!("there is no run {id}: nothing has run yet")));
        }
        output.summary("no run yet", &[("runs", json!(0))]);
        return Ok(DONE);
    };
    match what {
        None => list(&project, &state, None, 20, output),
        Some(Runs::List { flow, most }) => list(&project, &state, flow.as_deref(), *most, output),
        Some(Runs::Show { id }) => show(&project, &state, id, output),
    }
}

fn list(
    project: &Project,
    state: &State,
    name: Option<&str>,
    most: usize,
    output: &Output,
) -> Result<u8, Failure> {
    let flows: Vec<&flow::Flow> = match name {
        Some(name) => vec![flow_of(project, name)?],
        None => project.flows.iter().collect(),
    };
    let mut all: Vec<(String, RunRecord)> = Vec::new();
    for flow in flows {
        let Some(identity) = state.flow(&flow.name)? else { continue };
        let runs = state.runs(identity.id, most)?;
        all.extend(runs.into_iter().map(|run| (flow.name.clone(), run)));
    }
    all.sort_by_key(|(_, run)| std::cmp::Reverse(run.started_at));
    all.truncate(most);
    for (flow, run) in &all {
        output.object(&json!({ "type": "run", "flow": flow, "run": run }));
        output.line(&line(flow, run));
    }
    let text = counted(all.len() as u64, "run");
    output.summary(&text, &[("runs", json!(all.len()))]);
    Ok(DONE)
}

fn line(flow: &str, run: &RunRecord) -> String {
    let took = run.ended_at.map_or("at work".into(), |ended| {
        span(ended.saturating_sub(run.started_at).max(0).unsigned_abs())
    });
    format!(
        "{}  {flow}  {:<18} {:<17} {} in, {} out  {took}{}",
        instant(run.started_at),
        run.interval,
        run.state.word(),
        run.rows_read,
        run.rows_out,
        run.detail.as_ref().map(|detail| format!("\n    {detail}")).unwrap_or_default()
    )
}

fn show(project: &Project, state: &State, id: &str, output: &Output) -> Result<u8, Failure> {
    let parsed = u64::from_str_radix(id, 16)
        .map_err(|_| Failure::Usage(format!("{id} is no run id: 16 hexadecimal digits")))?;
    let Some(run) = state.run(RunId::mint(parsed))? else {
        return Err(Failure::Usage(format!("there is no run {id}")));
    };
    let mut name = run.flow.to_string();
    for flow in &project.flows {
        if state.flow(&flow.name)?.is_some_and(|identity| identity.id == run.flow) {
            name.clone_from(&flow.name);
        }
    }
    output.object(&json!({ "type": "run", "flow": name, "run": run }));
    for (label, value) in [
        ("run", run.id.to_string()),
        ("flow", name),
        ("interval", run.interval.clone()),
        ("state", run.state.word().to_string()),
        ("asked by", run.asked_by.clone()),
        ("began", instant(run.started_at)),
        ("ended", run.ended_at.map_or("-".into(), instant)),
        ("rows read", run.rows_read.to_string()),
        ("filtered", run.filtered.to_string()),
        ("rows out", run.rows_out.to_string()),
        ("detail", run.detail.clone().unwrap_or_else(|| "-".into())),
    ] {
        output.line(&format!("{label:<10} {value}"));
    }
    output.summary(&format!("run {} is {}", run.id, run.state.word()), &[]);
    Ok(DONE)
}
