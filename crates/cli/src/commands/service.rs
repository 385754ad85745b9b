//! `run` without `--once`: threads at work, schedules, requests, until a signal says stop.

use super::reconcile::prove_in_service;
use super::run::{mending, tell};
use super::standstill;
use crate::assemble::{Held, state_folder};
use crate::exit::{DONE, Failure};
use crate::output::Output;
use crate::private;
use crate::report::{self, list};
use crate::time::{counted, instant};
use connect::Error;
use engine::{
    Act, Board, ByService, Engine, Loader, Mending, Request, RunState, Service, Stop, Unwatched,
    discard_letters, replay_letters,
};
use flow::{Apply, CatchUp, Flow, Schedule, Served};
use proof::Tier;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const LOOK_EACH: Duration = Duration::from_millis(100);
const OBSERVE_EACH: Duration = Duration::from_secs(1);
const RETAIN_EACH: Duration = Duration::from_secs(60);

/// What is done beside the threads that move changes, one job for each flow at a time.
#[derive(Clone)]
struct Jobs {
    engine: Engine,
    flows: Arc<Vec<Flow>>,
    busy: Arc<Mutex<BTreeSet<String>>>,
    board: Board,
    /// Since when this engine looks at its schedules.
    since_us: i64,
}

pub(crate) fn run(held: &Held, flows: &[Flow], output: &Output) -> Result<u8, Failure> {
    let clock = held.engine.assembly.environment.clock.clone();
    let stop = Stop::default();
    let signalled = watch_signals(&stop)?;
    note(held, "engine start", flows)?;
    standstill::release(&held.engine, flows)?;
    let service = Service::start(&held.engine, flows, &stop)?;
    output.talk(&format!("running {}; stop with ctrl-c", counted(flows.len() as u64, "flow")));
    let jobs = Jobs {
        engine: held.engine.clone(),
        flows: Arc::new(flows.to_vec()),
        busy: Arc::default(),
        board: service.board().clone(),
        since_us: clock.now(),
    };
    // A service that never lives for a minute lets go of its log too.
    let (mut observed, mut retained) = (Duration::ZERO, None);
    while !stop.asked() {
        jobs.take_requests()?;
        jobs.start_due()?;
        if clock.steady() >= observed + OBSERVE_EACH {
            observed = clock.steady();
            service.observe()?;
        }
        if retained.is_none_or(|at| clock.steady() >= at + RETAIN_EACH) {
            retained = Some(clock.steady());
            private::close(&state_folder(&held.engine.assembly.project));
            // A target that is down now only keeps the log longer.
            if let Err(Failure::Edge(error)) = crate::commands::retention::retain(held) {
                output.error(&error);
            }
        }
        clock.sleep(LOOK_EACH);
    }
    service.shut_down()?;
    note(held, "engine stop", flows)?;
    let signal = *signalled.lock().unwrap_or_else(PoisonError::into_inner);
    output.summary("stopped; everything acknowledged is durable", &[]);
    Ok(signal.map_or(DONE, |signal| 128 + u8::try_from(signal).unwrap_or(0)))
}

/// Tells the audit log of the service's beginning and end.
fn note(held: &Held, what: &'static str, flows: &[Flow]) -> Result<(), Failure> {
    let assembly = &held.engine.assembly;
    let detail = format!("process {}, {}", std::process::id(), counted(flows.len() as u64, "flow"));
    Ok(assembly.state.audit(Act { at: assembly.environment.clock.now(), what, detail })?)
}

/// Stops at the first signal; a second one ends the process as usual.
fn watch_signals(stop: &Stop) -> Result<Arc<Mutex<Option<i32>>>, Failure> {
    let failed = |e| Error::unavailable("signals cannot be watched").caused_by(e);
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let seen = Arc::new(Mutex::new(None));
    let (stop, note) = (stop.clone(), seen.clone());
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(signal);
            stop.ask();
        }
    });
    Ok(seen)
}

impl Jobs {
    /// Starts work for a flow on a thread of its own, unless it has some already; says whether it did.
    fn start(&self, flow: &Flow, work: impl FnOnce(&Jobs, &Flow) + Send + 'static) -> bool {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if !busy.insert(flow.name.clone()) {
            return false;
        }
        let (jobs, flow) = (self.clone(), flow.clone());
        std::thread::spawn(move || {
            work(&jobs, &flow);
            jobs.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&flow.name);
        });
        true
    }

    fn is_busy(&self, flow: &str) -> bool {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).contains(flow)
    }

    /// Takes what commands ask for. A flow that is busy is asked later.
    fn take_requests(&self) -> Result<(), Failure> {
        while let Some(request) = self.engine.assembly.state.take_request()? {
            let Some(flow) = self.flows.iter().find(|flow| flow.name == request.flow) else {
                let answer =
                    json!({ "type": "error", "what": "the engine does not run this flow" });
                self.engine.assembly.state.answer(request.id, &answer.to_string())?;
                continue;
            };
            let taken = request.clone();
            if !self.start(flow, move |jobs, flow| jobs.serve(&taken, flow)) {
                let what = format!("flow {} is being proved or run already", flow.name);
                let answer = json!({ "type": "error", "what": what });
                self.engine.assembly.state.answer(request.id, &answer.to_string())?;
            }
        }
        Ok(())
    }

    fn serve(&self, request: &Request, flow: &Flow) {
        let argument: Value = serde_json::from_str(&request.argument).unwrap_or(Value::Null);
        let answer = match request.kind.as_str() {
            "reconcile" => prove_in_service(&self.engine, flow, &argument),
            "replay-letters" => self.replay(flow, &argument),
            "discard-letters" => self.discard(flow, &argument),
            other => json!({ "type": "error", "what": format!("unknown request {other}") }),
        };
        if let Err(e) = self.engine.assembly.state.answer(request.id, &answer.to_string()) {
            eprintln!("{}", crate::output::error_text(&e));
        }
    }

    fn replay(&self, flow: &Flow, argument: &Value) -> Value {
        let ids: Option<Vec<i64>> =
            argument["ids"].as_array().map(|ids| ids.iter().filter_map(Value::as_i64).collect());
        let note = argument["note"].as_str().unwrap_or("by hand");
        let replayed = standstill::during(&self.engine, &self.board, flow, || {
            replay_letters(&self.engine, flow, ids.as_deref(), note)
        });
        match replayed {
            Ok(done) => {
                json!({ "applied": done.applied, "refused": done.refused, "reason": done.reason })
            }
            Err(error) => crate::output::error_json(&error),
        }
    }

    fn discard(&self, flow: &Flow, argument: &Value) -> Value {
        let ids: Vec<i64> = list(&argument["ids"]).iter().filter_map(Value::as_i64).collect();
        let note = argument["note"].as_str().unwrap_or("by hand");
        let settled = standstill::during(&self.engine, &self.board, flow, || {
            discard_letters(&self.engine, flow, &ids, note)
        });
        match settled {
            Ok(discarded) => json!({ "discarded": discarded }),
            Err(error) => crate::output::error_json(&error),
        }
    }

    /// Starts runs and reconciliations whose time has come.
    fn start_due(&self) -> Result<(), Failure> {
        let assembly = &self.engine.assembly;
        let now = assembly.environment.clock.now();
        for flow in self.flows.iter().filter(|flow| !self.is_busy(&flow.name)) {
            let identity = self.engine.identify(flow)?;
            let batch = flow.batch.schedule.as_ref().filter(|_| flow.apply() == Apply::Runs);
            let reconcile = flow.reconcile.schedule.as_ref();
            // Of reconciliations that were missed, one says all.
            for (what, expression, zone, catch_up) in [
                ("batch", batch, &flow.batch.timezone, flow.batch.catch_up),
                ("reconcile", reconcile, &flow.reconcile.timezone, CatchUp::Latest),
            ] {
                let Some(schedule) = expression.and_then(|e| Schedule::parse(e, zone).ok()) else {
                    continue;
                };
                let Some(last_us) = assembly.state.fired(identity.id, what)? else {
                    assembly.state.set_fired(identity.id, what, now)?;
                    continue;
                };
                let served = Served { last_us, since_us: self.since_us };
                let Some(fire) = schedule.due(served, now, catch_up) else {
                    continue;
                };
                if what == "batch" && !self.others_published(flow, &instant(fire))? {
                    continue;
                }
                let started = match what {
                    "batch" => self.start(flow, move |jobs, flow| jobs.run_batch(flow, fire)),
                    _ => self.start(flow, |jobs, flow| jobs.reconcile(flow)),
                };
                if started {
                    let remembered = schedule.started(fire, served, now);
                    assembly.state.set_fired(identity.id, what, remembered)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the flows that must come first have published the same interval.
    fn others_published(&self, flow: &Flow, interval: &str) -> Result<bool, Failure> {
        for name in &flow.batch.after {
            let Some(other) = self.engine.assembly.state.flow(name)? else { return Ok(false) };
            let runs = self.engine.assembly.state.runs(other.id, 1000)?;
            let published = runs.iter().any(|run| {
                run.interval == interval
                    && matches!(run.state, RunState::Published | RunState::Already)
            });
            if !published {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn run_batch(&self, flow: &Flow, fire: i64) {
        let output = Output::for_service();
        let done = self.engine.identify(flow).and_then(|identity| {
            let mut loader = Loader::open(&self.engine, flow, &identity, &Unwatched)?;
            for interval in loader.due(&instant(fire))? {
                let outcome = loader.run(&interval, "schedule")?;
                tell(&outcome, &output);
                if outcome.error.is_some() {
                    break;
                }
            }
            Ok(())
        });
        if let Err(error) = done {
            output.error(&error);
        }
    }

    fn reconcile(&self, flow: &Flow) {
        let output = Output::for_service();
        let mending: Mending = mending(flow);
        let done = ByService::new(&self.engine, flow).and_then(|mut motion| {
            engine::reconcile(&self.engine, flow, Tier::Scan, mending, &mut motion, &Unwatched)
        });
        match done {
            Ok(done) => {
                let answer = report::reconciliation(&flow.name, &done, 0);
                output.talk(&report::summary(&answer));
            }
            Err(error) => output.error(&error),
        }
    }
}
