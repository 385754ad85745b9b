//! One seed from its beginning to its end: the world is opened, acts follow each other, faults stop, all must be well.

use crate::drill::Violation;
use crate::oracle::{Oracle, View, Waiting};
use crate::random::Random;
use crate::runner::Shared;
use crate::world::backups::Backups;
use crate::world::business::{Business, TABLES};
use crate::world::machine::{Boot, Machine, Rates, locked};
use crate::world::plan::{Feature, Plan};
use crate::world::project::Definitions;
use crate::world::room::{Counting, Outside, Room};
use crate::world::{Ran, Recording};
use change::LogId;
use connect::State as Named;
use connect::clock::ManualClock;
use connect::memory::{MemoryLog, MemoryTarget};
use engine::{FlowIdentity, Letter, LetterStatus, TakeOver};
use flow::{Apply, Flow};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard};

/// Boots in a row that may fail before that is no accident any more.
const BOOTS_MOST: u32 = 50;

/// How the machine is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// What the process held between its queue and the disk is written.
    Clean,
    /// What was not durable is lost.
    PowerCut,
}

/// The world of one seed.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) random: Random,
    pub(super) machine: Arc<Mutex<Machine>>,
    pub(super) business: Arc<Mutex<Business>>,
    pub(super) oracle: Arc<Mutex<Oracle>>,
    pub(super) outside: Outside,
    pub(super) definitions: Definitions,
    pub(super) folders: tempfile::TempDir,
    pub(super) folder: PathBuf,
    pub(super) room: Room,
    pub(super) zombie: Option<Room>,
    /// What stands until somebody acts: sites and flows, and in which state.
    pub(super) stopped: BTreeMap<String, Option<Named>>,
    /// States that something the world did may lead to.
    pub(super) justified: HashSet<Named>,
    pub(super) backups: Backups,
    pub(super) runs: u64,
    pub(super) folders_made: u32,
    pub(super) booted_at: u64,
}

/// Tells the story of a plan.
pub(super) fn tell(plan: &Plan, recording: Recording, shared: &Shared) -> Ran {
    told(plan, recording, shared, World::live)
}

/// Plays a scene in a world where nothing goes wrong by itself.
pub(super) fn play(
    plan: &Plan,
    shared: &Shared,
    scene: impl FnOnce(&mut World) -> Result<(), Violation>,
) -> Ran {
    told(plan, Recording::Kept, shared, scene)
}

fn told(
    plan: &Plan,
    recording: Recording,
    shared: &Shared,
    story: impl FnOnce(&mut World) -> Result<(), Violation>,
) -> Ran {
    let mut random = Random::new(plan.seed);
    let mut machine = Machine::new(random.split());
    machine.recording = recording == Recording::Kept;
    let mut oracle = Oracle::default();
    let business = Business::open(plan, random.split(), &mut oracle);
    let machine = Arc::new(Mutex::new(machine));
    let oracle = Arc::new(Mutex::new(oracle));
    shared.watch(&machine, &oracle);
    let mut world = World::open(plan, random, machine, business, oracle);
    let violation = story(&mut world).err();
    world.close(violation)
}

impl World {
    fn open(
        plan: &Plan,
        random: Random,
        machine: Arc<Mutex<Machine>>,
        business: Business,
        oracle: Arc<Mutex<Oracle>>,
    ) -> World {
        let outside = Outside {
            sources: business.sources.clone(),
            target: MemoryTarget::new(),
            log: MemoryLog::new(LogId::mint(77)),
            clock: Arc::new(ManualClock::at(1_000_000)),
            random: Arc::new(Counting(AtomicU64::new(1 + (plan.seed << 20)))),
            bounds: plan.bounds,
        };
        if plan.has(Feature::Parking) {
            outside.target.refuse(|table, row| {
                let refused = table == "account" || table == "mirror";
                let bad = matches!(&row[2], change::Value::Text(note) if note.starts_with("bad"));
                (refused && bad).then(|| "check \"note\" failed".to_string())
            });
        }
        let memory = std::path::Path::new("/dev/shm");
        let folders =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folders = folders.expect("a folder for the state file");
        let business = Arc::new(Mutex::new(business));
        let definitions = Definitions::of(plan);
        let folder = folders.path().to_path_buf();
        locked(&machine).boots = 1;
        let boot = Boot {
            machine: machine.clone(),
            business: business.clone(),
            oracle: oracle.clone(),
            number: 1,
            zombie: Arc::new(AtomicBool::new(false)),
        };
        locked(&oracle).log = Some(outside.log.clone());
        let room = Room::start(&outside, &definitions, &folder, boot, TakeOver::Never)
            .expect("an empty folder can be opened");
        World {
            plan: plan.clone(),
            random,
            machine,
            business,
            oracle,
            outside,
            definitions,
            folders,
            folder,
            room,
            zombie: None,
            stopped: BTreeMap::new(),
            justified: HashSet::new(),
            backups: Backups::default(),
            runs: 0,
            folders_made: 0,
            booted_at: 0,
        }
    }

    fn live(&mut self) -> Result<(), Violation> {
        self.let_things_fail();
        for _ in 0..self.plan.acts {
            self.act()?;
            self.outside.clock.advance(std::time::Duration::from_millis(7));
            if self.machine().off {
                let cut = self.has(Feature::PowerCuts) && self.random.once_in(2);
                let how = if cut { Restart::PowerCut } else { Restart::Clean };
                self.crashed(how)?;
            }
            self.observe()?;
        }
        self.end()
    }

    fn let_things_fail(&mut self) {
        let rate = |feature, of_thousand| if self.has(feature) { of_thousand } else { 0 };
        let rates = Rates {
            crash: rate(Feature::Crashes, 6),
            before: rate(Feature::Transients, 15),
            after: rate(Feature::Ambiguous, 15),
            outage: rate(Feature::Outages, 4),
            business: rate(Feature::Busy, 12),
            disk: rate(Feature::SlowDisk, 25),
        };
        let crashes = 1 + self.random.below(9) as u32;
        let mut machine = self.machine();
        machine.rates = rates;
        machine.crashes_left = crashes;
        drop(machine);
        if self.has(Feature::SlowDisk) {
            self.outside.log.hold();
        }
    }

    fn close(self, violation: Option<Violation>) -> Ran {
        let mut oracle = locked(&self.oracle);
        let machine = locked(&self.machine);
        let mut violation = oracle.verdict().or(violation);
        if let Some(violation) = &mut violation {
            violation.trace.clone_from(&machine.trace);
        }
        Ran {
            violation,
            fingerprint: machine.fingerprint(),
            steps: machine.steps,
            situations: std::mem::take(&mut oracle.situations),
        }
    }

    pub(super) fn has(&self, feature: Feature) -> bool {
        self.plan.has(feature)
    }

    pub(super) fn machine(&self) -> MutexGuard<'_, Machine> {
        locked(&self.machine)
    }

    pub(super) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        locked(&self.oracle)
    }

    pub(super) fn note(&self, line: impl Fn() -> String) {
        self.machine().note(line);
    }

    fn crashed(&mut self, how: Restart) -> Result<(), Violation> {
        let steps = self.machine().steps;
        self.oracle().reached_when(steps < self.booted_at + 40, "crash_in_recovery");
        self.restart(how, TakeOver::Never)
    }

    /// The engine ends, the machine is started again, and another engine begins.
    pub(super) fn restart(&mut self, how: Restart, take_over: TakeOver) -> Result<(), Violation> {
        if how == Restart::Clean {
            self.outside.log.release();
        }
        self.note_losses();
        self.outside.log = self.outside.log.crash();
        if self.has(Feature::SlowDisk) && !self.calm() {
            self.outside.log.hold();
        }
        self.oracle().log = Some(self.outside.log.clone());
        for _ in 0..BOOTS_MOST {
            let boot = self.next_boot();
            let started =
                Room::start(&self.outside, &self.definitions, &self.folder, boot, take_over);
            match started {
                Ok(room) => {
                    self.room = room;
                    self.stopped.clear();
                    let now = self.machine().steps;
                    self.booted_at = now;
                    self.note(|| format!("an engine starts ({how:?})"));
                    return Ok(());
                }
                Err(e) if self.machine().off => drop(e),
                Err(e) => return Err(Violation::new("V live", format!("no engine starts: {e}"))),
            }
        }
        Err(Violation::new("V live", "no engine starts any more"))
    }

    /// Whether faults have stopped.
    pub(super) fn calm(&self) -> bool {
        locked(&self.business).well_behaved
    }

    /// A connection for an engine that is not the machine's own.
    pub(super) fn fresh_boot(&self) -> Boot {
        self.next_boot()
    }

    fn next_boot(&self) -> Boot {
        let mut machine = self.machine();
        machine.boots += 1;
        machine.off = false;
        let number = machine.boots;
        drop(machine);
        Boot {
            machine: self.machine.clone(),
            business: self.business.clone(),
            oracle: self.oracle.clone(),
            number,
            zombie: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Whether the log held something that a loss of power takes.
    fn note_losses(&mut self) {
        let mut oracle = self.oracle();
        let lanes: Vec<_> = oracle.lanes.values().copied().collect();
        for lane in lanes {
            let Ok(tail) = connect::Log::tail(&self.outside.log, lane) else { continue };
            let groups = oracle.groups.entry(lane).or_default();
            let lost = groups.split_off(&(tail.durable.0 + 1));
            let chunk = lost.values().any(|group| group.chunk.is_some());
            oracle.reached_when(!lost.is_empty(), "power_cut_lost_groups");
            oracle.reached_when(chunk, "snapshot_interrupted");
        }
    }

    /// The identity of a flow, where it has one and applies changes.
    pub(super) fn identity(&self, flow: &Flow) -> Option<FlowIdentity> {
        self.room.engine.assembly.state.flow(&flow.name).ok().flatten()
    }

    /// Lets the oracle look at everything.
    pub(super) fn observe(&mut self) -> Result<(), Violation> {
        self.learn_lanes();
        for flow in &self.definitions.flows {
            if flow.apply() != Apply::Events {
                continue;
            }
            let Some(identity) = self.identity(flow) else { continue };
            let waiting = self.waiting(&identity);
            let tables = tables_of(flow);
            let view = View {
                target: &self.outside.target,
                flow: identity.id,
                generation: identity.generation,
                name: &flow.name,
                tables: &tables,
                waiting: &waiting,
            };
            self.oracle().observe(&view);
        }
        match self.oracle().verdict() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }

    pub(super) fn learn_lanes(&self) {
        for site in &self.plan.sites {
            if let Ok(Some(lane)) = self.room.engine.assembly.state.lane(site) {
                self.oracle().lanes.insert(site.clone(), lane.id);
            }
        }
    }

    /// Keys of a flow that wait behind letters.
    pub(super) fn waiting(&self, identity: &FlowIdentity) -> Vec<Waiting> {
        let letters = self.room.engine.assembly.state.letters(identity.id, None);
        let mut target = self.outside.target.open();
        let progress = connect::Target::progress(&mut target, identity.id).ok().flatten();
        let recorded = connect::Target::letters(&mut target, identity.id).unwrap_or_default();
        let oracle = self.oracle();
        let mut waiting = Vec::new();
        for letter in letters.unwrap_or_default() {
            let passed = progress.as_ref().and_then(|p| p.lanes.get(&letter.change.lane));
            let recorded = recorded.get(&letter.change.place());
            let settled = recorded.is_some_and(|fate| *fate != connect::Fate::Waits);
            if settled || !waits(&letter, passed.map_or(0, |lane| lane.offset.0)) {
                continue;
            }
            let lane = oracle.lanes.iter().find(|(_, lane)| **lane == letter.change.lane);
            let rows = [
                Some(&letter.change.row),
                letter.change.moved_from.as_ref().map(|moved| &moved.row),
            ];
            for row in rows.into_iter().flatten() {
                if let (Some((site, _)), Some(change::Value::Int(key))) = (lane, row.first()) {
                    waiting.push(Waiting {
                        table: letter.change.table.clone(),
                        site: site.clone(),
                        key: *key,
                        offset: letter.change.offset.0,
                    });
                }
            }
        }
        waiting
    }

    /// A stop in a state that nothing has led to is a defect; otherwise it is remembered.
    pub(super) fn stop(
        &mut self,
        who: &str,
        state: Option<Named>,
        why: &str,
    ) -> Result<(), Violation> {
        self.note(|| format!("{who} stops: {why}"));
        let justified = state.is_some_and(|state| self.justified.contains(&state));
        if !justified {
            return Err(Violation::new("V live", format!("{who} stopped without a cause: {why}")));
        }
        let reached = match state {
            Some(Named::LogBehindTarget) => Some("log_behind_target"),
            Some(Named::PositionLost | Named::HistoryChanged) => Some("position_lost"),
            _ => None,
        };
        if let Some(reached) = reached {
            self.oracle().reached(reached);
        }
        self.stopped.insert(who.to_string(), state);
        Ok(())
    }
}

/// Whether a key waits behind a letter of which the target records nothing: until a person gives it up, and if an
/// emptied table or a snapshot has settled it, until that is passed. A replay that the target does not record has never
/// been, or the target was set back behind it.
fn waits(letter: &Letter, progress: u64) -> bool {
    let by_the_source = ["emptied the table at offset ", "read this key again at offset "];
    let note = letter.note.as_deref().unwrap_or_default();
    let settled_at = by_the_source.iter().find_map(|said| note.split_once(said));
    match letter.status {
        LetterStatus::Parked => true,
        LetterStatus::Discarded => {
            settled_at.is_some_and(|(_, at)| at.parse().is_ok_and(|at: u64| at > progress))
        }
        LetterStatus::Replayed => letter.change.offset.0 <= progress,
    }
}

/// Tables of a flow: at the source, and at the target.
pub(super) fn tables_of(flow: &Flow) -> Vec<(&'static str, String)> {
    let source = |name: &str| TABLES.iter().copied().find(|table| *table == name);
    flow.tables.iter().filter_map(|t| Some((source(&t.source)?, t.target.clone()))).collect()
}
