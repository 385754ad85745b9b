//! `status`: the first thing typed at 03:00. The worst first; healthy sites counted, not listed; the last line says
//! whether data is lost, and only as far as that is known.

use super::flow_of;
use crate::args::Global;
use crate::assemble::{project, running, state_to_read};
use crate::exit::{DONE, Failure};
use crate::output::Output;
use crate::proven::{self, Proven, Worth};
use crate::time::{count, counted, instant, span};
use connect::{Clock, SystemClock};
use engine::{
    FlowStatus, LaneStatus, LedgerNote, RunRecord, RunState, Standing, State, flow_status,
    lane_status,
};
use flow::{Apply, Flow, Mode, Project};
use serde_json::json;

/// What is known of one flow.
struct Known {
    flow: Flow,
    status: Option<(i64, FlowStatus)>,
    lanes: Vec<(String, LaneStatus)>,
    letters: u64,
    runs: Vec<RunRecord>,
    proof: Proofs,
    ledgers: Vec<LedgerNote>,
    /// When a ledger last proved a table equal.
    by_ledger: Option<i64>,
}

/// What the newest certificates say, over all tables and sites that have rows.
#[derive(Default)]
struct Proofs {
    tables: usize,
    equal: usize,
    oldest: i64,
    worst: Option<(Worth, String)>,
}

impl Proofs {
    fn of(newest: &[Proven]) -> Proofs {
        let full = |proven: &&Proven| proven.worth() != Worth::Empty;
        let all_empty = !newest.iter().any(|proven| full(&proven));
        let told: Vec<&Proven> = newest.iter().filter(|p| all_empty || full(p)).collect();
        let worst = told.first().filter(|proven| proven.worth() != Worth::Equal);
        // Only what was compared with the source counts as reconciled.
        let scans = || told.iter().filter(|proven| !proven.is_by_ledger());
        Proofs {
            tables: scans().count(),
            equal: scans().filter(|proven| proven.worth() == Worth::Equal).count(),
            oldest: scans().map(|proven| proven.stored.made_at).min().unwrap_or(0),
            worst: worst.map(|proven| {
                let site = proven.read.as_ref().map_or("a certificate", |c| c.site.as_str());
                (proven.worth(), format!("{site}: {}", proven.says()))
            }),
        }
    }
}

/// How a flow stands, in the order they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Stopped,
    Failed,
    Different,
    Unproven,
    Down,
    Behind,
    Letters,
    Paused,
    Idle,
    Ok,
}

impl Health {
    fn word(self) -> &'static str {
        match self {
            Health::Stopped => "STOPPED",
            Health::Failed => "FAILED",
            Health::Different => "DIFFERENT",
            Health::Unproven => "UNPROVEN",
            Health::Down => "DOWN",
            Health::Behind => "BEHIND",
            Health::Letters => "LETTERS",
            Health::Paused => "PAUSED",
            Health::Idle => "IDLE",
            Health::Ok => "OK",
        }
    }

    fn needs_you(self) -> bool {
        self < Health::Paused
    }
}

pub(crate) fn run(global: &Global, name: Option<&str>, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    let flows: Vec<&Flow> = match name {
        Some(name) => vec![flow_of(&project, name)?],
        None => project.flows.iter().collect(),
    };
    let Some(state) = state_to_read(&project)? else {
        output.summary("nothing has run yet: seamount run", &[("flows", json!(flows.len()))]);
        return Ok(DONE);
    };
    let alive = running(&project);
    let mut known: Vec<(Health, Known)> = Vec::new();
    for flow in flows {
        let found = learn(&state, flow)?;
        known.push((health(&found, alive.is_some()), found));
    }
    known.sort_by_key(|(health, known)| (*health, known.flow.name.clone()));
    match &alive {
        Some(holder) => {
            output.line(&format!("engine running since {} (pid {})\n", holder.since, holder.pid));
        }
        None => output.line("no engine is running: figures are of its last moment\n"),
    }
    for (health, known) in &known {
        tell(&project, *health, known, output);
    }
    summarise(&known, output);
    Ok(DONE)
}

fn learn(state: &State, flow: &Flow) -> Result<Known, Failure> {
    let mut known = Known {
        flow: flow.clone(),
        status: flow_status(state, &flow.name)?,
        lanes: Vec::new(),
        letters: 0,
        runs: Vec::new(),
        proof: Proofs::default(),
        ledgers: Vec::new(),
        by_ledger: None,
    };
    if flow.captures() {
        for site in &flow.sites {
            if let Some((_, status)) = lane_status(state, site)? {
                known.lanes.push((site.clone(), status));
            }
        }
    }
    let Some(identity) = state.flow(&flow.name)? else { return Ok(known) };
    known.letters = state.letters_waiting(identity.id)?;
    known.runs = state.runs(identity.id, 1)?;
    let all = proven::all(state, identity.id)?;
    let by_ledger = |proven: &&Proven| proven.is_by_ledger() && proven.worth() == Worth::Equal;
    known.by_ledger = all.iter().filter(by_ledger).map(|proven| proven.stored.made_at).max();
    known.proof = Proofs::of(&proven::newest(all));
    known.ledgers = state.ledger_notes(identity.id)?;
    Ok(known)
}

fn health(known: &Known, alive: bool) -> Health {
    let standing = known.status.as_ref().map(|(_, status)| status.standing);
    let lane_stopped = known.lanes.iter().any(|(_, lane)| lane.standing == Standing::Stopped);
    if standing == Some(Standing::Stopped) || lane_stopped {
        return Health::Stopped;
    }
    if known.runs.first().is_some_and(|r| matches!(r.state, RunState::Failed | RunState::Rejected))
    {
        return Health::Failed;
    }
    match known.proof.worst.as_ref().map(|(worth, _)| *worth) {
        Some(Worth::Damaged | Worth::Different) => return Health::Different,
        Some(Worth::Unproven | Worth::Empty) => return Health::Unproven,
        Some(Worth::Equal) | None => {}
    }
    let lane_down = known.lanes.iter().any(|(_, lane)| lane.standing == Standing::Down);
    if alive && (standing == Some(Standing::Down) || lane_down) {
        return Health::Down;
    }
    let limit = u64::try_from(known.flow.events.max_lag.as_micros()).unwrap_or(u64::MAX);
    if worst_lag(known).is_some_and(|(_, lag)| lag > limit) {
        return Health::Behind;
    }
    if known.letters > 0 {
        return Health::Letters;
    }
    if standing == Some(Standing::Paused) {
        return Health::Paused;
    }
    if known.status.is_none() && known.runs.is_empty() && known.proof.tables == 0 {
        return Health::Idle;
    }
    Health::Ok
}

fn worst_lag(known: &Known) -> Option<(String, u64)> {
    let lanes = &known.status.as_ref()?.1.lanes;
    lanes.iter().max_by_key(|lane| lane.lag_us).map(|lane| (lane.site.clone(), lane.lag_us))
}

fn mode_word(flow: &Flow) -> &'static str {
    match (flow.apply(), flow.mode) {
        (Apply::Nothing, _) => "prove",
        (_, Mode::Event) => "event",
        (_, Mode::Batch) => "batch",
        (_, Mode::Hybrid) => "hybrid",
    }
}

fn tell(project: &Project, health: Health, known: &Known, output: &Output) {
    let flow = &known.flow;
    let sites = match flow.sites.as_slice() {
        [one] => one.clone(),
        many => format!("{} sites", many.len()),
    };
    let proven = match (&known.proof.worst, known.proof.tables) {
        (Some((_, worst)), _) => worst.clone(),
        (None, 0) if flow.apply() == Apply::Runs => String::new(),
        (None, 0) => "never reconciled  (!)".into(),
        (None, _) => format!("proven equal {}", instant(known.proof.oldest)),
    };
    output.line(&format!(
        "{:<16} {:<7} {:<9} {sites} -> {}   {proven}",
        flow.name,
        mode_word(flow),
        health.word(),
        flow.target
    ));
    tell_events(known, output);
    tell_lanes(project, known, output);
    if known.letters > 0 {
        output.line(&format!("  letters  {} set aside", counted(known.letters, "change")));
    }
    tell_ledgers(known, output);
    if let Some(run) = known.runs.first() {
        output.line(&format!(
            "  run      {} {} at {}: {} in, {} out{}",
            run.interval,
            run.state.word(),
            instant(run.ended_at.unwrap_or(run.started_at)),
            count(run.rows_read),
            count(run.rows_out),
            run.detail.as_ref().map(|detail| format!("\n           {detail}")).unwrap_or_default()
        ));
    }
    output.line("");
    output.object(&as_json(health, known));
}

fn tell_events(known: &Known, output: &Output) {
    let Some((_, status)) = &known.status else { return };
    if let Some(trouble) = &status.trouble {
        output.line(&format!("  stopped  {}", trouble.what));
        for (label, text) in [("effect", &trouble.effect), ("fix", &trouble.fix)] {
            if let Some(text) = text {
                output.line(&format!("           {label}: {text}"));
            }
        }
    }
    let counters = &status.counters;
    let behind = status.lanes.iter().filter(|lane| lane.groups_waiting > 0).count();
    let worst = worst_lag(known)
        .filter(|(_, lag)| *lag > 0)
        .map(|(site, lag)| format!("worst lag {} ({site})", span(lag)))
        .unwrap_or_else(|| "no lag".into());
    output.line(&format!(
        "  events   {}, {behind} behind   {worst}, limit {}",
        counted(status.lanes.len() as u64, "site"),
        span(u64::try_from(known.flow.events.max_lag.as_micros()).unwrap_or(u64::MAX))
    ));
    output.line(&format!(
        "  changes  {} read = {} applied + {} superseded + {} filtered + {} parked{}",
        count(counters.read),
        count(counters.applied),
        count(counters.superseded),
        count(counters.filtered),
        count(counters.parked),
        if counters.conserved() { "" } else { "   NOT CONSERVED" }
    ));
    if let (Some(p50), Some(p99)) = (status.latency_p50_us, status.latency_p99_us) {
        output.line(&format!(
            "  latency  p50 {}  p99 {} from capture to target",
            millis(p50),
            millis(p99)
        ));
    }
}

/// What the ledgers hold, over all sites; those that hold nothing are named, the first of them with the reason.
fn tell_ledgers(known: &Known, output: &Output) {
    let whole: Vec<&LedgerNote> = known.ledgers.iter().filter(|note| note.whole).collect();
    if let Some(offset) = whole.iter().map(|note| note.offset).min() {
        let proven = known.by_ledger.map_or("never proved by it".into(), |at| {
            format!("target proved equal to it {}", instant(at))
        });
        let dirty: u64 = whole.iter().map(|note| note.dirty).sum();
        let dirty = match dirty {
            0 => String::new(),
            leaves => format!(", {} to be looked up", counted(leaves, "leaf range")),
        };
        output.line(&format!(
            "  ledger   {} of {} at offset {offset}{dirty}   {proven}",
            counted(whole.iter().map(|note| note.rows).sum(), "row"),
            counted(whole.len() as u64, "table"),
        ));
    }
    let others = known.ledgers.iter().filter(|note| !note.whole);
    for note in others.take(1) {
        let why = match note.lacks.as_deref() {
            None | Some("") => "a snapshot is being folded",
            Some(why) => why,
        };
        output.line(&format!("  ledger   none of {} yet: {why}", note.table));
    }
}

fn millis(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1000.0)
}

/// Only sites that are not well.
fn tell_lanes(project: &Project, known: &Known, output: &Output) {
    let now = SystemClock::default().now();
    for (site, lane) in &known.lanes {
        let word = match lane.standing {
            Standing::Down => "DOWN",
            Standing::Stopped => "STOPPED",
            Standing::Starting | Standing::Live | Standing::Paused => continue,
        };
        let since = now.saturating_sub(lane.since).max(0).unsigned_abs();
        let region = project.sites.get(site).and_then(|s| s.region.clone()).unwrap_or_default();
        output.line(&format!("           {site} {region}  {word} for {}", span(since)));
        if let Some(trouble) = &lane.trouble {
            output.line(&format!("             {}", trouble.what));
            if let Some(fix) = &trouble.fix {
                output.line(&format!("             fix: {fix}"));
            }
        }
        if lane.retained_changes > 0 {
            let kept = counted(lane.retained_changes, "change");
            output.line(&format!("             its database keeps {kept} for us"));
        }
    }
}

fn as_json(health: Health, known: &Known) -> serde_json::Value {
    let status = known.status.as_ref().map(|(_, status)| status);
    json!({
        "type": "flow",
        "flow": known.flow.name,
        "mode": mode_word(&known.flow),
        "health": health.word(),
        "observed_at": known.status.as_ref().map(|(at, _)| at),
        "status": status,
        "lanes": known.lanes.iter().map(|(site, lane)| json!({ "site": site, "status": lane })).collect::<Vec<_>>(),
        "letters": known.letters,
        "last_run": known.runs.first(),
        "proven_tables": known.proof.tables,
        "equal_tables": known.proof.equal,
        "proven_at": known.proof.oldest,
        "ledgers": known.ledgers.iter().map(|note| json!({
            "lane": note.lane.to_string(),
            "table": note.table,
            "offset": note.offset.0,
            "epoch": note.epoch,
            "rows": note.rows,
            "leaves": note.leaves,
            "dirty_leaves": note.dirty,
            "whole": note.whole,
            "lacks": note.lacks,
        })).collect::<Vec<_>>(),
        "proven_by_ledger_at": known.by_ledger,
    })
}

fn summarise(known: &[(Health, Known)], output: &Output) {
    for line in next_steps(known) {
        output.line(&line);
    }
    let needy = known.iter().filter(|(health, _)| health.needs_you()).count();
    let conserved = known.iter().all(|(_, known)| {
        known.status.as_ref().is_none_or(|(_, status)| status.counters.conserved())
    });
    let different = known.iter().any(|(health, _)| *health == Health::Different);
    let lost = match (conserved, different) {
        (false, _) => "Changes are not conserved: see above.",
        (true, true) => "A target differs from its source: see above.",
        (true, false) => "No data lost.",
    };
    let text = match needy {
        0 => format!("{} fine. {lost}", counted(known.len() as u64, "flow")),
        n => format!("{n} of {} need you. {lost}", counted(known.len() as u64, "flow")),
    };
    output.summary(
        &text,
        &[
            ("flows", json!(known.len())),
            ("need_you", json!(needy)),
            ("conserved", json!(conserved)),
        ],
    );
}

/// What to type next, for the worst first.
fn next_steps(known: &[(Health, Known)]) -> Vec<String> {
    let mut steps = Vec::new();
    for (health, known) in known.iter().filter(|(health, _)| health.needs_you()) {
        let name = &known.flow.name;
        steps.push(match health {
            Health::Different => format!("seamount diff {name}     see the rows that differ"),
            Health::Unproven => {
                format!("seamount certificate list {name}     see what could not be proved")
            }
            Health::Failed => format!("seamount runs list {name}     see why its run failed"),
            Health::Letters => format!("seamount dlq list {name}     see what was set aside"),
            Health::Down | Health::Behind => {
                "seamount sites test     see which sites answer".to_string()
            }
            _ => format!("seamount status {name}     see the fix above"),
        });
    }
    steps.dedup();
    steps.truncate(3);
    let label =
        |(n, step): (usize, String)| format!("{} {step}", if n == 0 { "Next:" } else { "     " });
    steps.into_iter().enumerate().map(label).collect()
}
