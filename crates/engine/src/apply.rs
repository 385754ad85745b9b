//! The applier of one flow: durable groups in, rows and progress out, in one target transaction.
//!
//! A batch takes what is there, up to a bound, over all lanes, and ends at transaction boundaries. It is compacted
//! by key first; when the target refuses that, it is applied uncompacted in source order, and only a row that is
//! refused there is bad. Whatever fails, nothing is written: the step is taken again from the target's progress.

use crate::assembly::{Assembly, Step};
use crate::engine::Engine;
use crate::fates::Told;
use crate::lane::Lane;
use crate::orders::Orders;
use crate::repairs::Repairs;
use crate::state::{FlowIdentity, Letter};
use crate::write::one::not_there;
use crate::write::{Manner, Writer};
use change::planted::{Defect, is_planted};
use change::{Group, Offset};
use connect::{Bounds, Error, Fate, Kind, Result, RowWork, State as Named, Target};
use flow::{Flow, TransactionMode};
use std::sync::Arc;
use std::time::Duration;

/// Changes read before the parked share can stop a flow.
const SHARE_COUNTS_FROM: u64 = 1_000;

/// What one batch takes. Larger ones cost the target less a change; the wait of a change does not grow, since a batch
/// takes what is there.
const BATCH: Bounds = Bounds { changes: 50_000, bytes: 24 << 20 };

/// Commit times that are kept until somebody asks for them.
const COMMIT_TIMES_MOST: usize = 10_000;

/// Groups of one lane that are applied together.
pub(crate) struct Taken {
    pub(crate) lane: usize,
    pub(crate) groups: Vec<Arc<Group>>,
}

/// Which groups a replay takes, by commit time in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

/// The applier of one flow.
pub struct Applier {
    assembly: Assembly,
    flow: Flow,
    identity: FlowIdentity,
    target: Box<dyn Target>,
    lanes: Vec<Lane>,
    repairs: Repairs,
    attempts: u32,
    /// A step failed, and whether the target has its effect is not known yet.
    unsure: bool,
    /// Parts of a transaction whose shape was not planned when they were reached.
    unplanned: Vec<Taken>,
    first_lane: usize,
    commit_times: Vec<i64>,
    window: Window,
}

impl Applier {
    /// Opens the flow at the target's progress.
    ///
    /// # Errors
    /// `Conflict` when another engine or generation has taken over, `Corrupt` with `LOG_BEHIND_TARGET`, `Invalid`
    /// when a path does not fit.
    pub fn open(engine: &Engine, flow: &Flow, identity: &FlowIdentity) -> Result<Self> {
        Self::open_with(engine, flow, identity, &engine.orders, Window::default())
    }

    /// Opens a replay: a flow with a target table of its own, over what the log holds.
    ///
    /// # Errors
    /// As [`Applier::open`]; `Invalid` when the log no longer holds the beginning.
    pub(crate) fn open_replay(
        engine: &Engine,
        flow: &Flow,
        identity: &FlowIdentity,
        window: Window,
    ) -> Result<Self> {
        let orders = Orders::only_asked();
        let mut applier = Self::open_with(engine, flow, identity, &orders, window)?;
        if window.from.is_none() && !orders.is_empty() {
            return Err(Error::invalid(
                "the log does not hold this flow's history from its snapshot on",
            )
            .effect("nothing was replayed")
            .fix("replay --from TIME takes what the log still holds; [log] keep says how much")
            .state(Named::PositionLost)
            .code("E0502"));
        }
        if let Some(from) = window.from {
            for lane in &mut applier.lanes {
                lane.skip_before(engine.assembly.log.as_ref(), from)?;
            }
        }
        Ok(applier)
    }

    fn open_with(
        engine: &Engine,
        flow: &Flow,
        identity: &FlowIdentity,
        orders: &Orders,
        window: Window,
    ) -> Result<Self> {
        let Engine { assembly, repairs, .. } = engine;
        let mut target = engine.open_target(&flow.target)?;
        target.adopt(identity.id, identity.generation)?;
        let mut applier = Applier {
            assembly: assembly.clone(),
            flow: flow.clone(),
            identity: identity.clone(),
            target,
            lanes: Vec::new(),
            repairs: repairs.clone(),
            attempts: 0,
            unsure: false,
            unplanned: Vec::new(),
            first_lane: 0,
            commit_times: Vec::new(),
            window,
        };
        applier.open_lanes(orders)?;
        Ok(applier)
    }

    fn open_lanes(&mut self, orders: &Orders) -> Result<()> {
        let told = Told::by(self.target.as_mut(), self.identity.id)?;
        for name in self.flow.sites.clone() {
            let site = self.assembly.project.sites.get(&name).cloned().ok_or_else(|| {
                Error::internal(format!("flow {} names unknown site {name}", self.flow.name))
            })?;
            let mut lane =
                Lane::open(&self.assembly, orders, &self.flow, &self.identity, site, &told)?;
            lane.plan_from_source(
                &self.assembly,
                &self.flow,
                &self.identity,
                self.target.as_mut(),
            )?;
            lane.recover(&self.assembly, &self.flow, &self.identity, self.target.as_mut())?;
            self.lanes.push(lane);
        }
        Ok(())
    }

    /// The flow.
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Lanes with their progress.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Commit times of the groups applied since this was asked last.
    pub(crate) fn take_commit_times(&mut self) -> impl Iterator<Item = i64> {
        std::mem::take(&mut self.commit_times).into_iter()
    }

    /// Applies one batch.
    ///
    /// # Errors
    /// `Unavailable`: take the step again later. Everything else stops the flow.
    pub fn step(&mut self) -> Result<Step> {
        if self.unsure {
            self.reload()?;
        }
        let done = self.take_step();
        self.unsure = matches!(&done, Err(e) if e.kind == Kind::Unavailable);
        done
    }

    fn take_step(&mut self) -> Result<Step> {
        self.repair()?;
        let taken = self.gather()?;
        if taken.is_empty() {
            return Ok(Step::Idle);
        }
        for part in std::mem::take(&mut self.unplanned).iter().chain(&taken) {
            self.plan(part)?;
        }
        match self.write(&taken, Manner::Compacted) {
            Err(e) if e.kind == Kind::Refused => {}
            done => return self.after(done, &taken),
        }
        let manner = match self.flow.events.transactions {
            TransactionMode::Exact => Manner::InOrder,
            TransactionMode::Coalesce
                if self.attempts + 1 >= self.flow.events.dead_letter.after =>
            {
                Manner::InOrderParking
            }
            TransactionMode::Coalesce => Manner::InOrder,
        };
        match self.write(&taken, manner) {
            Err(e) if e.kind == Kind::Refused => self.refused(e),
            done => self.after(done, &taken),
        }
    }

    /// A row was refused in source order: another attempt, or the end under `exact`.
    fn refused(&mut self, error: Error) -> Result<Step> {
        if self.flow.events.transactions == TransactionMode::Exact {
            return Err(Error { kind: Kind::Invalid, ..error }
                .state(Named::RowsRefused)
                .effect("nothing of its transaction was written; the flow stands before it")
                .code("E0508"));
        }
        self.attempts += 1;
        self.reload()?;
        Ok(Step::Refused)
    }

    fn after(&mut self, done: Result<u64>, taken: &[Taken]) -> Result<Step> {
        match done {
            Ok(moved) => {
                self.attempts = 0;
                if self.commit_times.len() < COMMIT_TIMES_MOST {
                    let groups = taken.iter().flat_map(|part| &part.groups);
                    self.commit_times.extend(groups.map(|group| group.body.commit_time));
                }
                self.check_parked_share()?;
                Ok(Step::Moved(moved))
            }
            Err(e) => {
                // Whether the commit happened is for the target to say.
                if e.kind == Kind::Unavailable {
                    self.reload()?;
                }
                Err(e)
            }
        }
    }

    /// Takes progress from the target again, and the parked keys with it.
    fn reload(&mut self) -> Result<()> {
        let told = Told::by(self.target.as_mut(), self.identity.id)?;
        for lane in &mut self.lanes {
            lane.resume(&self.assembly, &self.identity, &told)?;
        }
        Ok(())
    }

    /// Durable groups behind each lane's progress, up to one batch in all, beginning with another lane each time.
    fn gather(&mut self) -> Result<Vec<Taken>> {
        let mut left = match self.flow.events.transactions {
            TransactionMode::Coalesce => BATCH,
            TransactionMode::Exact => Bounds { changes: 1, bytes: 1 },
        };
        let count = self.lanes.len();
        let mut taken = Vec::new();
        for turn in 0..count {
            let lane = (self.first_lane + turn) % count;
            let Lane { id, progress, .. } = &self.lanes[lane];
            let mut groups = self.assembly.log.read(*id, progress.offset, left)?;
            if let Some(to) = self.window.to {
                let inside = groups.iter().take_while(|group| group.body.commit_time < to).count();
                groups.truncate(inside);
            }
            if groups.is_empty() {
                continue;
            }
            for group in &groups {
                left.changes = left.changes.saturating_sub(group.body.changes());
                left.bytes = left.bytes.saturating_sub(group.body.memory());
            }
            taken.push(Taken { lane, groups });
            if left.changes == 0 || left.bytes == 0 {
                break;
            }
        }
        self.first_lane = (self.first_lane + 1) % count.max(1);
        Ok(taken)
    }

    /// Plans paths for schemas not seen before, which may add tables or columns at the target.
    fn plan(&mut self, taken: &Taken) -> Result<()> {
        let Applier { assembly, flow, identity, target, lanes, .. } = self;
        let lane = &mut lanes[taken.lane];
        taken
            .groups
            .iter()
            .try_for_each(|group| lane.plan_group(assembly, flow, identity, target.as_mut(), group))
    }

    /// One target transaction over everything taken. A huge transaction is read on, part by part, while the
    /// target's stays open.
    fn write(&mut self, taken: &[Taken], manner: Manner) -> Result<u64> {
        let Applier { assembly, flow, identity, target, lanes, unplanned, .. } = self;
        let txn = target.begin(identity.id, identity.generation)?;
        let mut writer = Writer::new(assembly, flow, identity, txn, manner);
        let mut moved = 0;
        for Taken { lane, groups } in taken {
            let number = *lane;
            let lane = &mut lanes[number];
            moved += writer.write(lane, groups)?;
            let mut last = groups.last().cloned();
            while let Some(group) = last.filter(|group| !group.body.part.last) {
                if is_planted(Defect::ProgressWithFirstPart) {
                    break;
                }
                let offset = group.offset;
                let more = next_parts(assembly, lane, offset)?;
                if !lane.has_paths(&more) {
                    unplanned.push(Taken { lane: number, groups: more });
                    return Err(Error::unavailable(
                        "a transaction changed shape half way; planning again",
                    ));
                }
                moved += writer.write(lane, &more)?;
                last = more.last().cloned();
            }
        }
        writer.commit(lanes)?;
        Ok(moved)
    }

    /// Mends rows that a proof found wrong, between two batches.
    fn repair(&mut self) -> Result<()> {
        while let Some(order) = self.repairs.take(&self.flow.name, |order| {
            self.lanes.iter().any(|l| l.id == order.lane && l.progress.offset >= order.known_at)
        }) {
            let Applier { assembly, identity, target, lanes, .. } = self;
            let lane = lanes.iter_mut().find(|lane| lane.id == order.lane).expect("matched above");
            crate::repairs::apply(assembly, identity, target.as_mut(), lane, &order)?;
        }
        Ok(())
    }

    /// Writes the letters of one key, in order, and that they were, in one transaction; progress stays where it is.
    ///
    /// # Errors
    /// `Refused` when the target refuses one of them still; nothing was written then.
    pub(crate) fn write_letters(&mut self, letters: &[&Letter]) -> Result<()> {
        let Applier { identity, target, lanes, .. } = self;
        let lane_of = |letter: &Letter| lanes.iter().find(|lane| lane.id == letter.change.lane);
        let mut txn = target.begin(identity.id, identity.generation)?;
        let mut progress = Vec::new();
        for letter in letters {
            let lane = lane_of(letter).ok_or_else(|| {
                Error::refused("the letter's site is not one of the flow any more")
            })?;
            let path = lane.path_to(&letter.change.table).ok_or_else(|| {
                Error::unavailable(format!("{} is not planned yet", letter.change.table))
            })?;
            let (table, works) = crate::letters::writes(letter, path)?;
            for work in &works {
                let written = txn.write(&table, work)?;
                if matches!(work, RowWork::Update(_)) && written == 0 {
                    return Err(not_there());
                }
            }
            progress = vec![lane.progress.clone()];
            lane.tell(txn.as_mut())?;
        }
        let replayed = letters.iter().map(|letter| (letter.change.place(), Fate::Replayed));
        txn.record_letters(&replayed.collect::<Vec<_>>())?;
        txn.commit(&progress)?;
        self.reload()
    }

    /// Too many changes that wait mean a contract error, not bad rows. What was replayed or discarded counts no more.
    fn check_parked_share(&self) -> Result<()> {
        let counters = self.lanes.iter().map(|lane| &lane.progress.counters);
        let (read, ever_parked) = counters.fold((0, 0), |(r, p), c| (r + c.read, p + c.parked));
        if read < SHARE_COUNTS_FROM || ever_parked == 0 {
            return Ok(());
        }
        let waiting = self.assembly.state.letters_waiting(self.identity.id)?;
        let limit = self.flow.events.dead_letter.stop_at;
        if waiting as f64 / read as f64 <= limit {
            return Ok(());
        }
        Err(Error::invalid(format!("flow {}: too many changes were set aside", self.flow.name))
            .found(format!("{waiting} of {read}; stop_at is {:.1} %", limit * 100.0))
            .effect("they wait as letters, nothing is lost; the flow stands")
            .fix(format!("seamount dlq list {}", self.flow.name))
            .state(Named::RowsRefused)
            .code("E0509"))
    }
}

/// Further parts of a transaction, which were durable before its last part was.
fn next_parts(assembly: &Assembly, lane: &Lane, after: Offset) -> Result<Vec<Arc<Group>>> {
    let mut seen = 0;
    loop {
        let mut more = assembly.log.read(lane.id, after, Bounds::BATCH)?;
        if !more.is_empty() {
            // What follows the transaction is the next batch's, and may have a shape that is not planned yet.
            let end = more.iter().position(|group| group.body.part.last);
            more.truncate(end.map_or(more.len(), |end| end + 1));
            return Ok(more);
        }
        let now = assembly.log.changed(seen, Duration::from_secs(10));
        if now == seen {
            return Err(Error::unavailable("the rest of a transaction is not in the log yet"));
        }
        seen = now;
    }
}
