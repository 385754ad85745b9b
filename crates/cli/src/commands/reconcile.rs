//! `reconcile` and `diff`: by stepping the flow ourselves, or through the engine that runs.

use super::{flow_of, run::mending};
use crate::args::{Diff, Global, Reconcile};
use crate::assemble::{open, project, running, state_to_write};
use crate::exit::Failure;
use crate::output::Output;
use crate::progress::watch;
use crate::report;
use connect::{Clock, Error, SystemClock};
use engine::{ByHand, Engine, Mending, Motion, RequestStatus, Stepping, Unwatched};
use flow::{Flow, Project};
use proof::{Limits, Tier};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a running engine gets to take a request, and to answer it.
const ANSWER_WITHIN: Duration = Duration::from_secs(3600);

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    /// What the target is compared with.
    pub(crate) tier: Tier,
    /// Whether differences are mended.
    pub(crate) mending: Mending,
    /// Most differences listed.
    pub(crate) most: usize,
}

pub(crate) fn run(global: &Global, what: &Reconcile, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    let flow = flow_of(&project, &what.flow)?.clone();
    let asked = Asked { tier: what.tier.into(), mending: wanted(what, &flow), most: what.most };
    let answer = answer(global, project, &flow, asked, output)?;
    report::print(output, &answer);
    output.summary(&report::summary(&answer), &fields(&answer));
    Ok(report::exit_code(&answer))
}

fn wanted(what: &Reconcile, flow: &Flow) -> Mending {
    if !what.repair {
        return Mending::Dry;
    }
    let own = match mending(flow) {
        Mending::Within(limits) => limits,
        Mending::Dry => Limits::default(),
    };
    Mending::Within(Limits {
        max_rows: what.max_rows.unwrap_or(own.max_rows),
        max_share: what.max_share.map_or(own.max_share, |percent| percent / 100.0),
    })
}

fn fields(answer: &Value) -> Vec<(&'static str, Value)> {
    ["flow", "tier", "verdict", "rows", "differences", "repaired", "dropped", "refused"]
        .into_iter()
        .map(|name| (name, answer[name].clone()))
        .collect()
}

/// Proves, wherever the engine is.
fn answer(
    global: &Global,
    project: Project,
    flow: &Flow,
    asked: Asked,
    output: &Output,
) -> Result<Value, Failure> {
    if running(&project).is_some() {
        return ask(&project, flow, asked);
    }
    let held = open(project, global)?;
    let mut stepping = Stepping::open(&held.engine, flow)?;
    {
        let watch = watch(output);
        stepping.drain(watch.as_ref())?;
    }
    let mut motion = ByHand { stepping: &mut stepping, apply: flow.apply() };
    prove(&held.engine, flow, asked, &mut motion, output)
}

/// Proves in this process.
pub(crate) fn prove(
    engine: &Engine,
    flow: &Flow,
    asked: Asked,
    motion: &mut dyn Motion,
    output: &Output,
) -> Result<Value, Failure> {
    let watch = watch(output);
    let Asked { tier, mending, most } = asked;
    let done = engine::reconcile(engine, flow, tier, mending, motion, watch.as_ref())?;
    Ok(report::reconciliation(&flow.name, &done, most))
}

/// Proves beside running threads; what a service answers a request with.
pub(crate) fn prove_in_service(engine: &Engine, flow: &Flow, argument: &Value) -> Value {
    let limits = Limits {
        max_rows: report::number(argument, "max_rows"),
        max_share: argument["max_share"].as_f64().unwrap_or(0.0),
    };
    let mending = if argument["repair"] == true { Mending::Within(limits) } else { Mending::Dry };
    let most = usize::try_from(report::number(argument, "most")).unwrap_or(usize::MAX);
    let tier = if argument["tier"] == Tier::Ledger.name() { Tier::Ledger } else { Tier::Scan };
    let done = engine::ByService::new(engine, flow).and_then(|mut motion| {
        engine::reconcile(engine, flow, tier, mending, &mut motion, &Unwatched)
    });
    match done {
        Ok(done) => report::reconciliation(&flow.name, &done, most),
        Err(error) => crate::output::error_json(&error),
    }
}

/// Asks the engine that runs, and waits for its answer.
fn ask(project: &Project, flow: &Flow, asked: Asked) -> Result<Value, Failure> {
    let Asked { tier, mending, most } = asked;
    let limits = match mending {
        Mending::Within(limits) => limits,
        Mending::Dry => Limits { max_rows: 0, max_share: 0.0 },
    };
    let argument = json!({
        "tier": tier.name(),
        "repair": mending != Mending::Dry,
        "max_rows": limits.max_rows,
        "max_share": limits.max_share,
        "most": most,
    });
    let answer = ask_engine(project, "reconcile", &flow.name, &argument)?;
    if answer["type"] == "error" {
        let what = answer["what"].as_str().unwrap_or("the engine answered with an error");
        return Err(Error::unavailable(what).code("E0516").into());
    }
    Ok(answer)
}

/// Puts a request into the mailbox of the engine that runs, and waits for its answer.
pub(crate) fn ask_engine(
    project: &Project,
    kind: &str,
    flow: &str,
    argument: &Value,
) -> Result<Value, Failure> {
    let clock = SystemClock::default();
    let state = state_to_write(project)?;
    let text = argument.to_string();
    // A proof alone changes nothing; its certificate is told of by the engine.
    let id = match kind == "reconcile" && argument["repair"] == false {
        true => state.ask(kind, flow, &text, clock.now())?,
        false => state.order(kind, flow, &text, clock.now())?,
    };
    let deadline = clock.steady() + ANSWER_WITHIN;
    loop {
        let request = state.request(id)?;
        let answer = match request {
            Some(request) if request.status != RequestStatus::Done => None,
            Some(request) => {
                state.forget_request(id)?;
                let answer = serde_json::from_str(&request.answer.unwrap_or_default());
                let wrong = Error::corrupt("the engine's answer cannot be read");
                Some(answer.map_err(|e| wrong.caused_by(e))?)
            }
            // An engine that began since has forgotten it.
            None => Some(Value::Null),
        };
        if answer == Some(Value::Null) {
            return Err(Error::unavailable("the engine stopped before it answered")
                .effect("nothing is known of the outcome; the next run says")
                .fix("the same command again")
                .code("E0516")
                .into());
        }
        if let Some(answer) = answer {
            return Ok(answer);
        }
        if clock.steady() > deadline || running(project).is_none() {
            return Err(Error::unavailable("the running engine did not answer")
                .fix("seamount status")
                .code("E0516")
                .into());
        }
        clock.sleep(Duration::from_millis(50));
    }
}

pub(crate) fn diff(global: &Global, what: &Diff, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    let flow = flow_of(&project, &what.flow)?.clone();
    let asked = Asked { tier: Tier::Scan, mending: Mending::Dry, most: what.most };
    let answer = answer(global, project, &flow, asked, output)?;
    for row in report::list(&answer["rows_that_differ"]) {
        output.object(row);
        side_by_side(row, output);
    }
    output.summary(&report::summary(&answer), &fields(&answer));
    Ok(report::exit_code(&answer))
}

/// One row of both sides, column by column, and the changes that led there.
fn side_by_side(row: &Value, output: &Output) {
    let texts = |field: &str| -> Vec<String> {
        let cells = report::list(&row[field]).iter();
        cells.map(|cell| cell.as_str().unwrap_or_default().to_string()).collect()
    };
    let word = |field: &str| row[field].as_str().unwrap_or_default();
    output.line(&format!(
        "{} {}  ({})  {}, {} side",
        word("site"),
        word("table"),
        texts("key").join(", "),
        word("kind"),
        word("side")
    ));
    let sides = (texts("expected"), texts("found"));
    let (columns, differing) = (texts("target_columns"), texts("columns"));
    for (place, column) in columns.iter().enumerate() {
        let cell = |side: &Vec<String>| side.get(place).cloned();
        let mark = if differing.contains(column) { "*" } else { " " };
        match (cell(&sides.0), cell(&sides.1)) {
            (Some(source), Some(target)) if source == target => {
                output.line(&format!("   {mark} {column:<20} {source}"));
            }
            (source, target) => {
                let there = |cell: Option<String>| cell.unwrap_or_else(|| "(no row)".into());
                let (source, target) = (there(source), there(target));
                output.line(&format!("   {mark} {column:<20} source {source}   target {target}"));
            }
        }
    }
    for change in report::list(&row["changes"]) {
        let text = |field: &str| change[field].as_str().unwrap_or_default();
        let shown = match text("shown_by") {
            "" => String::new(),
            side => format!("   the {side} shows this"),
        };
        output.line(&format!(
            "     log {:>6}  {}  {}{shown}",
            change["offset"],
            text("at"),
            text("what")
        ));
    }
    if report::list(&row["changes"]).is_empty() {
        output.line("     log         no change of this key is in it");
    }
}
