//! What an operator does, and foreign hands: runs, reconciliations, new snapshots, letters, modes, trimming, takeovers.

use super::story::{Restart, World, tables_of};
use crate::drill::Violation;
use crate::oracle::rows_of;
use crate::world::machine::locked;
use crate::world::plan::Feature;
use crate::world::room::{Outcome, Room, outcome_of};
use change::{Key, Value};
use connect::{Published, Result as Edge, State as Named};
use engine::{ByHand, Interval, Loader, Mending, Stepping, TakeOver, Unwatched};
use flow::{Apply, Flow, Mode};
use proof::{Limits, Tier, Verdict};
use std::sync::atomic::Ordering;

/// Whether a step moved something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It did.
    Something,
    /// It did not.
    Nothing,
}

impl World {
    /// Ends an act of an operator: an error is judged like that of a step.
    pub(super) fn judge<T>(&mut self, who: &str, done: Edge<T>) -> Result<Option<T>, Violation> {
        match done {
            Ok(value) => Ok(Some(value)),
            Err(e) => self.settle_outcome(who, outcome_of(&e)).map(|_| None),
        }
    }

    /// A batch flow runs once, now.
    pub(super) fn run_batch(&mut self) -> Result<(), Violation> {
        let flows = self.names(Apply::Runs);
        if flows.is_empty() {
            return Ok(());
        }
        let name = self.random.pick(&flows).clone();
        if self.stopped.contains_key(&name) {
            return Ok(());
        }
        if !self.random.once_in(4) {
            self.runs += 1;
        }
        let label = format!("run {}", self.runs);
        let before = self.lengths();
        let flow = self.definitions.flow(&name).clone();
        let engine = self.room.engine.clone();
        let run = || -> Edge<Option<Published>> {
            let identity = engine.identify(&flow)?;
            let mut loader = Loader::open(&engine, &flow, &identity, &Unwatched)?;
            let outcome = loader.run(&Interval::of_tables(&label, &label), "world")?;
            match outcome.error {
                Some(e) if e.kind == connect::Kind::Refused => Ok(None),
                Some(e) => Err(connect::Error {
                    kind: e.kind,
                    state: e.state,
                    ..connect::Error::internal(e.to_string())
                }),
                None => Ok(outcome.published),
            }
        };
        let done = run();
        self.note(|| format!("{name} {label}: {}", if done.is_ok() { "done" } else { "failed" }));
        if let Some(Some(Published::Now { .. })) = self.judge(&name, done)? {
            self.oracle().reached("batch_published");
            self.check_published(&flow, &before);
        }
        self.check_published_once(&flow);
        Ok(())
    }

    /// How many states each site has gone through.
    fn lengths(&self) -> Vec<(String, usize)> {
        let oracle = self.oracle();
        oracle.sites.iter().map(|(site, ledger)| (site.clone(), ledger.length())).collect()
    }

    /// Everything of one run is of one moment, between its beginning and its end.
    fn check_published(&self, flow: &Flow, before: &[(String, usize)]) {
        let mut oracle = self.oracle();
        for (site, length) in before {
            let found: Vec<_> = tables_of(flow)
                .into_iter()
                .map(|(source, table)| (source, rows_of(&self.outside.target, &table, site)))
                .collect();
            let ledger = &oracle.sites[site];
            let whole = ledger.since(*length).any(|books| {
                found.iter().all(|(source, rows)| {
                    rows.len() == books[source].len()
                        && rows.iter().all(|((_, key), row)| books[source].get(key) == Some(row))
                })
            });
            if !whole {
                oracle.broke(
                    "B batch atomic",
                    format!("{}: the run shows {site} as it never was at one moment", flow.name),
                );
            }
        }
    }

    /// One interval with one content is published once.
    fn check_published_once(&self, flow: &Flow) {
        let Some(identity) = self.identity(flow) else { return };
        let mut target = self.outside.target.open();
        let runs = connect::Target::published(&mut target, identity.id).unwrap_or_default();
        let mut seen = std::collections::BTreeSet::new();
        for run in runs {
            if !seen.insert((run.interval.clone(), run.content.clone())) {
                self.oracle().broke(
                    "B batch atomic",
                    format!("{}: {} was published twice", flow.name, run.interval),
                );
            }
        }
    }

    /// A foreign hand changes, adds or removes a row of a flow's target.
    pub(super) fn tamper(&mut self) {
        let flows = self.names(Apply::Events);
        let Some(name) = flows.first() else { return };
        let tables = tables_of(self.definitions.flow(name));
        let table = self.random.pick(&tables).1.clone();
        let Ok(rows) = self.outside.target.rows(&table) else { return };
        if rows.is_empty() {
            return;
        }
        let mut row = self.random.pick(&rows).clone();
        let sites = &self.plan.sites;
        let own = sites.iter().find(|site| row[3..].contains(&Value::Text((*site).clone())));
        let site = own.unwrap_or(&sites[0]).clone();
        let Value::Int(mut key) = row[0] else { return };
        let done = match self.random.below(4) {
            0 => {
                let schema_key = if self.plan.sites.len() > 1 {
                    vec![Value::Text(site.clone()), Value::Int(key)]
                } else {
                    vec![Value::Int(key)]
                };
                self.outside.target.tamper_delete(&table, &[Key(schema_key)])
            }
            1 => {
                key = 70 + self.random.below(9) as i64;
                row[0] = Value::Int(key);
                self.outside.target.tamper(&table, vec![row])
            }
            _ => {
                row[1] = Value::Int(-4711);
                self.outside.target.tamper(&table, vec![row])
            }
        };
        if done.is_ok() {
            self.note(|| format!("a foreign hand changes key {key} of {site} in {table}"));
            self.oracle().tampered.insert((table, site, key));
        }
    }

    pub(super) fn reconcile_any(&mut self) -> Result<(), Violation> {
        let flows = self.names(Apply::Events);
        let Some(name) = flows.first().cloned() else { return Ok(()) };
        if self.stopped.is_empty() {
            self.reconcile(&name)?;
        }
        Ok(())
    }

    /// Proves a flow and mends what it finds; `None` when that could not be done now.
    pub(super) fn reconcile(&mut self, name: &str) -> Result<Option<Verdict>, Violation> {
        self.sync();
        if !self.room.hand_over() {
            return Ok(None);
        }
        let flow = self.definitions.flow(name).clone();
        let clean = self.is_clean(&flow);
        let engine = self.room.engine.clone();
        let run = || -> Edge<Option<engine::Reconciliation>> {
            let mut stepping = Stepping::open(&engine, &flow)?;
            let drained = stepping.drain(&Unwatched)?;
            if !drained.down.is_empty() {
                return Ok(None);
            }
            let limits = Limits { max_rows: 10_000, max_share: 1.0 };
            let mut motion = ByHand { stepping: &mut stepping, apply: flow.apply() };
            let mending = Mending::Within(limits);
            engine::reconcile(&engine, &flow, Tier::Scan, mending, &mut motion, &Unwatched)
                .map(Some)
        };
        let done = run();
        // A stepping that ends waits for the disk.
        self.sync();
        self.note(|| format!("{name} is reconciled: {}", outcome_word(&done)));
        let Some(Some(outcome)) = self.judge(name, done)? else { return Ok(None) };
        let verdict = outcome.verdict();
        self.note(|| format!("{name}: {verdict}, {} mended", outcome.repaired));
        let mut oracle = self.oracle();
        oracle.reached_when(outcome.repaired > 0, "rows_repaired");
        let tables = tables_of(&flow);
        if verdict == Verdict::Equal {
            oracle.tampered.retain(|(table, _, _)| !tables.iter().any(|(_, t)| t == table));
        }
        let found_differences =
            outcome.found.iter().any(|proof| matches!(proof.verdict, Verdict::Different { .. }));
        if clean && found_differences {
            oracle.broke("E equal", format!("{name}: {verdict}, and nothing was wrong"));
        }
        Ok(Some(verdict))
    }

    /// Whether nothing of a flow was changed by foreign hands or set aside.
    fn is_clean(&self, flow: &Flow) -> bool {
        let waiting = self.identity(flow).map(|identity| self.waiting(&identity));
        let tables = tables_of(flow);
        let tampered = self.oracle().tampered.clone();
        waiting.is_some_and(|waiting| waiting.is_empty())
            && !tampered.iter().any(|(table, _, _)| tables.iter().any(|(_, t)| t == table))
            && !self.has(Feature::Parking)
            && !self.oracle().situations.contains("source_set_back")
    }

    pub(super) fn resync_any(&mut self) -> Result<(), Violation> {
        let flows = self.names(Apply::Events);
        if flows.is_empty() {
            return Ok(());
        }
        let name = self.random.pick(&flows).clone();
        self.resync(&name).map(drop)
    }

    /// A new snapshot of a flow: the way out of a lost place.
    pub(super) fn resync(&mut self, name: &str) -> Result<Found, Violation> {
        self.sync();
        if !self.room.hand_over() {
            return Ok(Found::Nothing);
        }
        let flow = self.definitions.flow(name).clone();
        let engine = self.room.engine.clone();
        let done = engine::resync(&engine, &flow, &Unwatched);
        self.sync();
        self.note(|| format!("{name} gets a new snapshot: {}", outcome_word(&done)));
        for site in &flow.sites {
            self.stopped.remove(site);
        }
        self.stopped.remove(name);
        self.learn_lanes();
        match self.judge(name, done)? {
            Some(_) => {
                self.oracle().reached("resync");
                Ok(Found::Something)
            }
            None => Ok(Found::Nothing),
        }
    }

    /// The flow `books` changes its mode; the engine is started again with the new definition.
    pub(super) fn switch_mode(&mut self) -> Result<(), Violation> {
        let modes = [Mode::Event, Mode::Hybrid, Mode::Batch];
        let mode = *self.random.pick(&modes);
        self.set_mode(mode)
    }

    pub(super) fn set_mode(&mut self, mode: Mode) -> Result<(), Violation> {
        self.definitions.flow_mut("books").mode = mode;
        if mode == Mode::Batch {
            // Nobody may want a table then; its rows are read again later, and the log keeps nothing for the flow.
            if self.has(Feature::Trim) {
                self.justified.insert(Named::PositionLost);
            }
            for site in self.plan.sites.clone() {
                self.forget_coverage(&site);
            }
        }
        self.note(|| format!("books is {mode:?} from now on"));
        self.oracle().reached("mode_switched");
        self.restart(Restart::Clean, TakeOver::Never)
    }

    /// Letters of the flow `books` are replayed.
    pub(super) fn replay_letters(&mut self) -> Result<(), Violation> {
        for name in self.names(Apply::Events) {
            if self.stopped.contains_key(&name) {
                continue;
            }
            self.room.close_flow(&name);
            let flow = self.definitions.flow(&name).clone();
            let engine = self.room.engine.clone();
            let done = engine::replay_letters(&engine, &flow, None, "world");
            self.note(|| format!("letters of {name} are replayed: {}", outcome_word(&done)));
            if let Some(replayed) = self.judge(&name, done)? {
                self.oracle().reached_when(replayed.applied > 0, "letters_replayed");
            }
        }
        Ok(())
    }

    /// The log lets go of what no flow needs.
    pub(super) fn trim(&mut self) -> Result<(), Violation> {
        let engine = self.room.engine.clone();
        let floors = engine::floors(&engine);
        let Some(floors) = self.judge("trim", floors)? else { return Ok(()) };
        for (lane, floor) in floors {
            if floor.0 > 1 {
                self.note(|| format!("the log lets go of everything before {floor}"));
                let done = engine.assembly.log.trim(lane, change::Offset(floor.0 - 1));
                self.judge("trim", done)?;
                self.oracle().reached("log_trimmed");
            }
        }
        Ok(())
    }

    /// A column comes at a source.
    pub(super) fn widen(&mut self) -> Result<(), Violation> {
        let site = self.random.pick(&self.plan.sites.clone()).clone();
        locked(&self.business).widen(&site);
        self.note(|| format!("{site} gets a column"));
        self.oracle().reached("schema_grew");
        Ok(())
    }

    /// The engine is paused, and another one on a copy of its folder takes its place.
    pub(super) fn take_over(&mut self) -> Result<(), Violation> {
        // An engine that holds nothing is none that anybody has to fear.
        let held = self.room.engine.open_target(crate::world::faulty::CENTRAL).map(drop);
        if self.zombie.is_some() || held.is_err() || self.machine().off {
            return Ok(());
        }
        let folder = self.copy_folder();
        let log = self.outside.log.copy();
        self.outside.log.release();
        let before = std::mem::replace(&mut self.outside.log, log);
        drop(before);
        self.folder = folder;
        let old_boot = self.room.boot.clone();
        old_boot.zombie.store(true, Ordering::Relaxed);
        let room = self.replaced_room()?;
        self.zombie = Some(room);
        self.note(|| "another engine takes over".into());
        for _ in 0..50 {
            let claimed = self.room.engine.open_target(crate::world::faulty::CENTRAL).map(drop);
            match claimed {
                Ok(()) => return Ok(()),
                Err(_) if self.machine().off => {
                    self.restart(Restart::Clean, TakeOver::Asked)?;
                }
                Err(e) if e.kind == connect::Kind::Unavailable => {}
                Err(e) => {
                    return Err(Violation::new("F fencing", format!("nobody can take over: {e}")));
                }
            }
        }
        self.zombie = None;
        Ok(())
    }

    /// Starts the next engine and gives the one before.
    fn replaced_room(&mut self) -> Result<Room, Violation> {
        self.outside.log.release();
        self.oracle().log = Some(self.outside.log.clone());
        let boot = self.fresh_boot();
        let room =
            Room::start(&self.outside, &self.definitions, &self.folder, boot, TakeOver::Asked);
        let room = room.map_err(|e| Violation::new("V live", format!("no engine starts: {e}")))?;
        self.stopped.clear();
        Ok(std::mem::replace(&mut self.room, room))
    }

    /// The paused engine goes on: nothing of what it does may have an effect.
    pub(super) fn step_zombie(&mut self) -> Result<(), Violation> {
        let Some(mut zombie) = self.zombie.take() else { return Ok(()) };
        let flows = self.names(Apply::Events);
        let Some(name) = flows.first().cloned() else { return Ok(()) };
        let before = self.outside.target.backup();
        let outcome = zombie.apply(&name, super::room::Keep::Applier);
        self.note(|| format!("the engine that was paused applies {name}"));
        if self.outside.target.backup() != before {
            return Err(Violation::new(
                "F fencing",
                format!("{name}: an engine whose place was taken wrote to the target"),
            ));
        }
        if let Outcome::Stopped(Some(Named::Fenced), _) = outcome {
            self.oracle().reached("zombie_fenced");
            return Ok(());
        }
        self.zombie = Some(zombie);
        Ok(())
    }
}

fn outcome_word<T>(done: &Edge<T>) -> String {
    match done {
        Ok(_) => "done".into(),
        Err(e) => e.to_string(),
    }
}
