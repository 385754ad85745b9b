//! `run`: a flow once, or all of them as a service.

use super::reconcile::{self, Asked};
use super::{flow_of, service};
use crate::args::{Global, Run};
use crate::assemble::{Held, open, project};
use crate::door;
use crate::exit::{self, DONE, FAILED, Failure, SKIPPED, UNREACHABLE};
use crate::output::Output;
use crate::progress::watch;
use crate::report;
use crate::time::{count, counted, instant, span};
use engine::{Act, ByHand, Interval, Loader, Mending, RunOutcome, RunState, Stepping};
use flow::{Apply, Flow, Mode};
use proof::{Limits, Tier};
use serde_json::json;

pub(crate) fn run(global: &Global, what: &Run, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    let flows: Vec<Flow> = match &what.flow {
        Some(name) => vec![flow_of(&project, name)?.clone()],
        None => project.flows.clone(),
    };
    if !what.once {
        door::refuse(&project, &door::newcomers(&project, &flows)?)?;
        let held = open(project, global)?;
        return service::run(&held, &flows, output);
    }
    let [flow] = flows.as_slice() else {
        return Err(Failure::Usage("--once takes one flow: seamount run FLOW --once".into()));
    };
    door::refuse(&project, &[flow])?;
    let held = open(project, global)?;
    let assembly = &held.engine.assembly;
    let interval = what.interval.as_ref().map_or(String::new(), |i| format!(", interval {i}"));
    let detail = format!("flow {}{interval}", flow.name);
    assembly.state.audit(Act { at: assembly.environment.clock.now(), what: "run", detail })?;
    let code = match flow.apply() {
        Apply::Runs => batch(&held, flow, what.interval.as_deref(), output)?,
        Apply::Events | Apply::Nothing => drain(&held, flow, output)?,
    };
    Ok(if code == SKIPPED && !what.skip_code { DONE } else { code })
}

/// Moves everything that is there now; a hybrid flow is reconciled then.
fn drain(held: &Held, flow: &Flow, output: &Output) -> Result<u8, Failure> {
    let clock = &held.engine.assembly.environment.clock;
    let began = clock.steady();
    let mut stepping = Stepping::open(&held.engine, flow)?;
    let drained = {
        let watch = watch(output);
        stepping.drain(watch.as_ref())?
    };
    for (site, error) in &drained.down {
        output.talk(&format!("{site} is down: {error}"));
        output.object(&json!({ "type": "site_down", "site": site, "what": error.to_string() }));
    }
    if flow.mode == Mode::Hybrid && flow.apply() == Apply::Events && drained.down.is_empty() {
        let mut motion = ByHand { stepping: &mut stepping, apply: flow.apply() };
        let asked = Asked { tier: Tier::Scan, mending: mending(flow), most: usize::MAX };
        let answer = reconcile::prove(&held.engine, flow, asked, &mut motion, output)?;
        report::print(output, &answer);
        output.object(&answer);
        let captured = format!("{} captured; ", counted(drained.captured, "change"));
        output.summary(&format!("{captured}{}", report::summary(&answer)), &[]);
        return Ok(report::exit_code(&answer));
    }
    let took = u64::try_from((clock.steady() - began).as_micros()).unwrap_or(u64::MAX);
    let sites = flow.sites.len() - drained.down.len();
    let text = format!(
        "{}: {} captured, {} applied from {} in {}{}",
        flow.name,
        counted(drained.captured, "change"),
        count(drained.applied),
        counted(sites as u64, "site"),
        span(took),
        if drained.down.is_empty() { ". No data lost." } else { "; the others wait." }
    );
    let fields = [
        ("captured", json!(drained.captured)),
        ("applied", json!(drained.applied)),
        ("sites_down", json!(drained.down.len())),
    ];
    output.summary(&text, &fields);
    Ok(match (drained.down.is_empty(), drained.captured + drained.applied) {
        (false, _) => UNREACHABLE,
        (true, 0) => SKIPPED,
        (true, _) => DONE,
    })
}

/// What a flow lets be mended by itself.
pub(crate) fn mending(flow: &Flow) -> Mending {
    match &flow.reconcile.repair {
        Some(limits) => {
            Mending::Within(Limits { max_rows: limits.max_rows, max_share: limits.max_share })
        }
        None => Mending::Dry,
    }
}

/// Runs every interval that is due, or the one that was named.
fn batch(held: &Held, flow: &Flow, interval: Option<&str>, output: &Output) -> Result<u8, Failure> {
    let identity = held.engine.identify(flow)?;
    let watch = watch(output);
    let mut loader = Loader::open(&held.engine, flow, &identity, watch.as_ref())?;
    let micros = held.engine.assembly.environment.clock.now();
    let now = instant(micros);
    let due = match (interval, &flow.from) {
        (Some(label), flow::From::Files { .. }) => {
            let mut all = loader.all_of_files()?;
            all.retain(|interval| interval.label == label);
            if all.is_empty() {
                return Err(Failure::Usage(format!("no file is named for interval {label}")));
            }
            all
        }
        // By hand it runs each time it is asked for, also twice in a second: the content of tables is whatever they
        // hold now.
        (label, flow::From::Tables) => {
            let label = label.unwrap_or(&now);
            vec![Interval::of_tables(label, format!("{label} by hand at {micros}"))]
        }
        (None, flow::From::Files { .. }) => loader.due(&now)?,
    };
    let mut done = Vec::new();
    for (n, interval) in due.iter().enumerate() {
        watch.progress("runs", n as u64, Some(due.len() as u64));
        let outcome = loader.run(interval, "by hand")?;
        tell(&outcome, output);
        let failed = outcome.error.is_some();
        done.push(outcome);
        if failed {
            break;
        }
    }
    Ok(summarise(flow, &done, due.len(), output))
}

/// One run, in a line.
pub(crate) fn tell(outcome: &RunOutcome, output: &Output) {
    let run = &outcome.record;
    output.object(&json!({ "type": "run", "run": run, "warnings": outcome.warnings }));
    for warning in &outcome.warnings {
        output.talk(&format!("warning: check `{warning}` does not hold for {}", run.interval));
    }
    if let Some(error) = &outcome.error {
        output.error(error);
    }
}

fn summarise(flow: &Flow, done: &[RunOutcome], due: usize, output: &Output) -> u8 {
    let rows_in: u64 = done.iter().map(|outcome| outcome.record.rows_read).sum();
    let rows_out: u64 = done.iter().map(|outcome| outcome.record.rows_out).sum();
    let published =
        done.iter().filter(|outcome| outcome.record.state == RunState::Published).count();
    let fields =
        [("runs", json!(published)), ("rows_in", json!(rows_in)), ("rows_out", json!(rows_out))];
    if let Some(error) = done.iter().find_map(|outcome| outcome.error.as_ref()) {
        let text = format!(
            "{}: {} of {} published; then failed: {error}. Nothing of it is visible.",
            flow.name, published, due
        );
        output.summary(&text, &fields);
        let code = exit::of(error);
        return if code == DONE { FAILED } else { code };
    }
    if published == 0 {
        output.summary(&format!("{}: nothing new to run", flow.name), &fields);
        return SKIPPED;
    }
    let text = format!(
        "{}: {} published, {} in, {} out",
        flow.name,
        counted(published as u64, "run"),
        counted(rows_in, "row"),
        counted(rows_out, "row")
    );
    output.summary(&text, &fields);
    DONE
}
