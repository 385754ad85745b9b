//! One step: a world of its own, the fault in it, then a start without faults, and the verdict.

use super::steps::{Fault, Step, Work, traced};
use super::trace::{self, Room, Touched};
use crate::export::Export;
use crate::ledger::Ledger;
use crate::oracle::{differences, whole_bookings, whole_sales};
use crate::random::Random;
use crate::seamount::{Running, Seamount};
use crate::signal;
use crate::verdict::{GRACE, arrive, judge, judge_rows, run_all_once};
use crate::world::{World, open_to_read};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A traced run that has not come to its end by then is asked to stop: its fault keeps it from going on.
const TRACED_FOR: Duration = Duration::from_secs(4);

/// Transactions of each store before the traced run.
const BEFORE: u64 = 25;

/// How a step ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ended {
    /// The fault was reached.
    pub(super) reached: bool,
    /// The traced run came to its end in spite of it, by itself.
    pub(super) healed: bool,
    /// Until the next start worked.
    pub(super) recovered: Duration,
}

/// The scenery of one step.
struct Scene {
    world: World,
    seamount: Seamount,
    books: BTreeMap<String, Ledger>,
    export: Export,
    trace: PathBuf,
    /// The first snapshots are not there: tables come one after the other.
    first: bool,
}

impl Scene {
    fn build(root: &Path, binary: &Path, work: Work, seed: u64) -> Result<Scene> {
        let world = World::build(root)?;
        let seamount = world.seamount(binary);
        let (mut random, mut export) = (Random::part(seed, "scene"), world.export());
        export.write(&mut random)?;
        let mut stores = world.stores(seed)?;
        for round in 0..2 {
            for store in &mut stores {
                for _ in 0..BEFORE {
                    store.trade()?;
                }
            }
            if round == 0 && work != Work::First {
                run_all_once(&seamount)?;
                export.write(&mut random)?;
            }
        }
        let books = stores.into_iter().map(|store| (store.name.clone(), store.ledger)).collect();
        let first = work == Work::First;
        Ok(Scene { trace: root.join("trace"), world, seamount, books, export, first })
    }

    /// Runs the work under strace; the trace, and whether it came to its end.
    fn trace(&self, work: Work, words: Vec<String>) -> Result<(String, bool)> {
        let words = words.into_iter().map(Into::into).collect();
        let mut running = self.seamount.under(words).start(work.arguments())?;
        let done = self.watch(work, &mut running)?;
        // Without a child, strace is about to end, too.
        let child = signal::child_of(running.pid());
        if let (Some(engine), true) = (child, running.lives()?) {
            running.is(engine);
            if work.is_service() {
                running.must_speak_of_trouble(done, &self.seamount)?;
            }
            running.end_by_force_within(GRACE)?;
        } else {
            running.tracer_has_ended_within(GRACE)?;
        }
        let text = std::fs::read_to_string(&self.trace).context("strace has written nothing")?;
        Ok((text, done))
    }

    /// Waits for the work's end, for the process's end, or until it is clear that there is none.
    fn watch(&self, work: Work, running: &mut Running) -> Result<bool> {
        let began = Instant::now();
        let centre = self.world.central_path();
        while began.elapsed() < TRACED_FOR && running.lives()? {
            if work.is_service() && centre.exists() {
                let centre = open_to_read(&centre)?;
                if !self.first {
                    whole_bookings(&centre)?;
                }
                whole_sales(&centre)?;
                if differences(&centre, &self.books)?.is_empty() {
                    return Ok(true);
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(!work.is_service() && !running.lives()?)
    }
}

/// The calls of a run without faults.
///
/// # Errors
/// It does not come to its end.
pub(super) fn baseline(
    root: &Path,
    binary: &Path,
    work: Work,
    seed: u64,
) -> Result<BTreeMap<Room, Touched>> {
    let scene = Scene::build(root, binary, work, seed)?;
    let words = traced(&scene.trace, &trace::CALLS.join(","));
    let (text, done) = scene.trace(work, words)?;
    if !done {
        bail!("{work:?} does not come to its end under strace, without any fault");
    }
    Ok(trace::read(&text, root))
}

/// Runs a step, and everything after it.
///
/// # Errors
/// What did not hold.
pub(super) fn run(
    root: &Path,
    binary: &Path,
    step: &Step,
    again: Option<&Step>,
    seed: u64,
) -> Result<Ended> {
    let scene = Scene::build(root, binary, step.work, seed)?;
    let (text, done) = scene.trace(step.work, step.words(root, &scene.trace))?;
    let reached = match step.fault {
        Fault::Kill => trace::killed(&text),
        Fault::Slow(_) => true,
        _ => trace::injected(&text) > 0,
    };
    if let (Some(again), true) = (again, reached) {
        // The second level: killed again while it recovers.
        scene.trace(Work::Changes, again.words(root, &scene.trace)).context("in recovery")?;
    }
    let (mut service, recovered) = scene.seamount.serve(&[]).context("the start after it")?;
    arrive(&scene.world, &mut service, &scene.books)?;
    service.terminate(GRACE)?;
    if seed.is_multiple_of(4) {
        judge(&scene.world, &scene.seamount, &scene.books, &scene.export)?;
    } else {
        judge_rows(&scene.world, &scene.seamount, &scene.books, &scene.export)?;
    }
    Ok(Ended { reached, healed: done && step.fault != Fault::Kill, recovered })
}
