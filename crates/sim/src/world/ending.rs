//! The end: faults have stopped. The engine must come to rest, and the target must be the source.

use super::operator::Found;
use super::story::{Restart, World, tables_of};
use crate::drill::Violation;
use crate::oracle::{Rows, View, rows_of};
use crate::world::machine::locked;
use crate::world::room::{Keep, Outcome, Room};
use connect::State as Named;
use connect::memory::MemoryTarget;
use engine::TakeOver;
use flow::{Apply, Mode};
use proof::{Reason, Verdict};

/// Rounds within which everything must be at rest, whatever there is to do.
const ROUNDS_MOST: u64 = 3_000;
/// Times that a change may be moved before that: it is captured, applied by two flows, and replayed uncompacted.
const MOVES_MOST: u64 = 4;

impl World {
    /// Nothing goes wrong any more.
    pub(super) fn end(&mut self) -> Result<(), Violation> {
        self.note(|| "faults stop".into());
        self.machine().calm();
        locked(&self.business).well_behaved = true;
        self.outside.log.release();
        self.zombie = None;
        if self.machine().off {
            self.restart(Restart::PowerCut, TakeOver::Asked)?;
        } else if self.definitions.flow("books").apply() != Apply::Events {
            self.set_mode(Mode::Event)?;
        } else {
            self.restart(Restart::Clean, TakeOver::Asked)?;
        }
        locked(&self.business).fill(&mut locked(&self.oracle));
        self.come_to_rest()?;
        self.check_all()?;
        self.outside.target.accept();
        self.replay_letters()?;
        self.come_to_rest()?;
        self.check_all()?;
        self.no_letter_waits()?;
        for name in self.names(Apply::Events) {
            self.mend(&name)?;
        }
        self.observe()?;
        self.check_all()?;
        self.apply_again()
    }

    /// Steps everything until nothing moves; what stands is brought back as its error says.
    pub(super) fn come_to_rest(&mut self) -> Result<(), Violation> {
        // An applier that opens asks its capture for rows: one idle round says nothing yet.
        let mut idle = 0;
        let rounds = self.rounds_most();
        for _ in 0..rounds {
            let mut moved = self.step_all()? == Found::Something;
            self.observe()?;
            if !moved && !self.stopped.is_empty() {
                if self.stopped.values().any(|state| *state == Some(Named::Fenced)) {
                    self.restart(Restart::Clean, TakeOver::Asked)?;
                }
                for flow in self.names(Apply::Events) {
                    self.resync(&flow)?;
                }
                self.stopped.clear();
                moved = true;
            }
            idle = if moved { 0 } else { idle + 1 };
            if idle == 3 {
                return Ok(());
            }
        }
        Err(Violation::new("V live", format!("not at rest after {rounds} rounds")))
    }

    /// A round moves at least as much as one call may, of whatever is left to move, or one group that stands in the log:
    /// a flow that begins again walks all of them.
    fn rounds_most(&self) -> u64 {
        let oracle = self.oracle();
        let work: u64 = oracle.sites.values().map(|site| site.work()).sum();
        let groups: usize = oracle.groups.values().map(|lane| lane.len()).sum();
        ROUNDS_MOST + MOVES_MOST * (work / self.plan.bounds.changes as u64 + groups as u64)
    }

    /// One step of every capture and every applier.
    pub(super) fn step_all(&mut self) -> Result<Found, Violation> {
        let mut found = Found::Nothing;
        for site in self.plan.sites.clone() {
            if self.capture(&site)? == Found::Something {
                found = Found::Something;
            }
        }
        for flow in self.names(Apply::Events) {
            if self.apply(&flow)? == Found::Something {
                found = Found::Something;
            }
        }
        Ok(found)
    }

    /// Compares every flow with its sources as they are now, whatever was seen on the way.
    fn check_all(&mut self) -> Result<(), Violation> {
        self.observe()?;
        for flow in self.definitions.flows.clone() {
            if flow.apply() != Apply::Events {
                continue;
            }
            let Some(identity) = self.identity(&flow) else {
                return Err(Violation::new("V live", format!("{} never began", flow.name)));
            };
            let waiting = self.waiting(&identity);
            let tables = tables_of(&flow);
            let view = View {
                target: &self.outside.target,
                flow: identity.id,
                generation: identity.generation,
                name: &flow.name,
                tables: &tables,
                waiting: &waiting,
            };
            self.oracle().compare_end(&view);
        }
        match self.oracle().verdict() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }

    /// Everything that was set aside has been replayed.
    fn no_letter_waits(&self) -> Result<(), Violation> {
        for flow in &self.definitions.flows {
            let Some(identity) = self.identity(flow) else { continue };
            let waiting = self.waiting(&identity);
            if let Some(first) = waiting.first() {
                let what = format!("{}: letters cannot be replayed: {first:?}", flow.name);
                return Err(Violation::new("V live", what));
            }
        }
        Ok(())
    }

    /// Foreign changes are found and mended, and a proof says so.
    fn mend(&mut self, name: &str) -> Result<(), Violation> {
        let mut verdict = None;
        for _ in 0..3 {
            verdict = self.reconcile(name)?;
            if verdict == Some(Verdict::Equal) {
                return Ok(());
            }
        }
        // Positions of a history that was given up stand in the log beside those of the new one: a proof that cannot
        // tell a place says so.
        let set_back = self.oracle().situations.contains("source_set_back");
        match verdict {
            Some(Verdict::Unproven(Reason::Empty)) => Ok(()),
            Some(Verdict::Unproven(_) | Verdict::Different { .. }) if set_back => Ok(()),
            Some(verdict) => Err(Violation::new(
                "E equal",
                format!("{name}: the proof says {verdict} after it mended what it could"),
            )),
            None => Err(Violation::new("V live", format!("{name} cannot be proved"))),
        }
    }

    /// The log, applied again into an empty target, gives the same rows.
    fn apply_again(&mut self) -> Result<(), Violation> {
        let before: Vec<(String, Rows)> = self.all_rows(&self.outside.target.clone());
        let mut again = self.outside.clone();
        again.target = MemoryTarget::new();
        again.log = self.outside.log.copy();
        let folder = self.copy_folder();
        let boot = self.fresh_boot();
        boot.zombie.store(true, std::sync::atomic::Ordering::Relaxed);
        let room = Room::start(&again, &self.definitions, &folder, boot, TakeOver::Never);
        let mut room =
            room.map_err(|e| Violation::new("V live", format!("no engine starts: {e}")))?;
        self.note(|| "everything is applied again into an empty target".into());
        let (mut last, mut idle) = (Vec::new(), 0);
        while idle < 3 {
            last = self.plan.sites.iter().map(|site| room.capture(site)).collect::<Vec<_>>();
            for flow in self.names(Apply::Events) {
                last.push(room.apply(&flow, Keep::Applier));
            }
            let moved = last.iter().any(|outcome| matches!(outcome, Outcome::Moved));
            idle = if moved { 0 } else { idle + 1 };
        }
        let after = self.all_rows(&again.target);
        for ((table, before), (_, after)) in before.iter().zip(&after) {
            if before != after {
                return Err(Violation::new(
                    "R replay idempotent",
                    format!(
                        "{table}: the log applied again gives other rows: {before:?}, {after:?}; {last:?}"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn all_rows(&self, target: &MemoryTarget) -> Vec<(String, Rows)> {
        let mut all = Vec::new();
        for name in self.names(Apply::Events) {
            for (_, table) in tables_of(self.definitions.flow(&name)) {
                for site in &self.plan.sites {
                    let found = rows_of(target, &table, site);
                    // What a foreign hand changed, and no proof could tell, is not the log's.
                    let foreign = &self.oracle().tampered;
                    let ours = |key: i64| !foreign.contains(&(table.clone(), site.clone(), key));
                    let rows = found.into_iter().map(|((_, key), row)| (key, row));
                    let rows = rows.filter(|(key, _)| ours(*key)).collect();
                    all.push((format!("{table} of {site}"), rows));
                }
            }
        }
        all
    }
}
