//! The machine that the engine runs on: counts its steps, lets calls fail, and is switched off at any step.
//!
//! Every call that leaves the engine goes through a [`Boot`], the engine's own connection to the world. A machine
//! that is off has no effect on anything until it is booted again. Invariant: what happens is decided by the seed
//! and by the order of calls, by nothing else.

use crate::oracle::Oracle;
use crate::random::Random;
use crate::world::business::Business;
use connect::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A source site, by name.
    Source(String),
    /// The target.
    Target,
    /// The log.
    Log,
    /// The state file.
    State,
}

/// Whether the call in which the machine stops still has its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It has none.
    Before,
    /// It has.
    After,
}

/// How often, of a thousand calls, something goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// The machine stops.
    pub crash: u64,
    /// A call to a site fails and has had no effect.
    pub before: u64,
    /// A call to a site fails and has had its effect.
    pub after: u64,
    /// A site goes away for a while.
    pub outage: u64,
    /// Somebody commits at a source while the call is under way.
    pub business: u64,
    /// The log's disk takes what waits while the call is under way.
    pub disk: u64,
}

/// What happens to one call.
enum Fate {
    Works,
    Before(Error),
    After(Error),
}

/// Lines of a trace that are kept.
const TRACE_MOST: usize = 4_000;

/// Calls that no run needs.
const STEPS_MOST: u64 = 150_000;

/// The machine.
pub struct Machine {
    /// Calls made so far.
    pub steps: u64,
    /// Boots so far.
    pub boots: u64,
    /// Whether it is off.
    pub off: bool,
    /// The machine stops at this step.
    pub stop_at: Option<(u64, Moment)>,
    /// What goes wrong by chance.
    pub rates: Rates,
    /// Crashes that may still happen by chance.
    pub crashes_left: u32,
    /// Transactions that may still be committed in the middle of calls: more of them than the engine can follow would
    /// never let it rest.
    pub business_left: u32,
    /// Whether lines are kept for people.
    pub recording: bool,
    /// Lines for people.
    pub trace: Vec<String>,
    random: Random,
    hash: u64,
    outages: BTreeMap<Place, u64>,
}

impl Machine {
    /// A machine that nothing goes wrong with yet.
    pub fn new(random: Random) -> Self {
        Machine {
            steps: 0,
            boots: 0,
            off: false,
            stop_at: None,
            rates: Rates::default(),
            crashes_left: 0,
            business_left: 40,
            recording: false,
            trace: Vec::new(),
            random,
            hash: 0xcbf2_9ce4_8422_2325,
            outages: BTreeMap::new(),
        }
    }

    /// Notes what happens, for people and for the comparison of two runs of one seed.
    pub fn note(&mut self, line: impl Fn() -> String) {
        let text = line();
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if self.recording {
            if self.trace.len() >= TRACE_MOST {
                self.trace.drain(..TRACE_MOST / 2);
            }
            self.trace.push(format!("{:>6}  {text}", self.steps));
        }
    }

    /// What two runs of one seed must agree on.
    pub fn fingerprint(&self) -> u64 {
        self.hash
    }

    /// From now on nothing goes wrong any more.
    pub fn calm(&mut self) {
        self.rates = Rates::default();
        self.stop_at = None;
        self.outages.clear();
    }

    /// Whether a site is away now.
    pub fn away(&self, place: &Place) -> bool {
        self.outages.get(place).is_some_and(|until| *until > self.steps)
    }

    /// A site goes away for so many steps.
    pub fn send_away(&mut self, place: Place, steps: u64) {
        self.outages.insert(place, self.steps + steps);
    }

    fn decide(&mut self, place: &Place, call: &'static str, after_possible: bool) -> Fate {
        self.steps += 1;
        assert!(self.steps < STEPS_MOST, "V live: the engine goes round and round");
        if let Some((step, moment)) = self.stop_at
            && step == self.steps
        {
            return self.stop(place, call, moment);
        }
        if self.crashes_left > 0 && self.rates.crash > 0 && self.chance(self.rates.crash) {
            self.crashes_left -= 1;
            let moment = if self.random.once_in(2) { Moment::Before } else { Moment::After };
            return self.stop(place, call, moment);
        }
        let site = matches!(place, Place::Source(_) | Place::Target);
        if site && self.away(place) {
            return Fate::Before(Error::unavailable("the site is away"));
        }
        if site && self.chance(self.rates.outage) {
            let steps = 3 + self.random.below(40);
            self.note(|| format!("{place:?} goes away for {steps} steps"));
            self.send_away(place.clone(), steps);
            return Fate::Before(Error::unavailable("the site went away"));
        }
        if site && self.chance(self.rates.before) {
            self.note(|| format!("{place:?} {call} fails before its effect"));
            return Fate::Before(Error::unavailable("the connection broke"));
        }
        if site && after_possible && self.chance(self.rates.after) {
            self.note(|| format!("{place:?} {call} fails after its effect"));
            return Fate::After(Error::unavailable("the connection broke; nobody knows"));
        }
        self.note(|| format!("{place:?} {call}"));
        Fate::Works
    }

    fn stop(&mut self, place: &Place, call: &'static str, moment: Moment) -> Fate {
        self.note(|| format!("the machine stops {moment:?} {place:?} {call}"));
        self.off = true;
        match moment {
            Moment::Before => Fate::Before(off()),
            Moment::After => Fate::After(off()),
        }
    }

    fn chance(&mut self, of_thousand: u64) -> bool {
        of_thousand > 0 && self.random.below(1000) < of_thousand
    }
}

/// What an engine is told on a machine that is off. Nobody acts on it.
pub fn off() -> Error {
    Error::unavailable("the machine is off")
}

/// One engine's connection to the world.
#[derive(Clone)]
pub struct Boot {
    /// The machine it runs on.
    pub machine: Arc<Mutex<Machine>>,
    /// Who commits at the sources.
    pub business: Arc<Mutex<Business>>,
    /// Who watches.
    pub oracle: Arc<Mutex<Oracle>>,
    /// Which boot of the machine this is.
    pub number: u64,
    /// An engine that was paused and goes on on a machine of its own: nothing fails there, nobody watches its log.
    pub zombie: Arc<std::sync::atomic::AtomicBool>,
}

impl Boot {
    /// The machine.
    pub fn machine(&self) -> MutexGuard<'_, Machine> {
        locked(&self.machine)
    }

    /// The oracle.
    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        locked(&self.oracle)
    }

    /// Whether this engine goes on although another has taken its place.
    pub fn is_zombie(&self) -> bool {
        self.zombie.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Makes a call that may fail before or after its effect.
    ///
    /// # Errors
    /// Of the call, or of the world.
    pub fn call<T>(
        &self,
        place: &Place,
        call: &'static str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.made(place, call, true, work)
    }

    /// Makes a call that works or has had no effect, unless the machine stops in it.
    ///
    /// # Errors
    /// Of the call, or of the world.
    pub fn sure<T>(
        &self,
        place: &Place,
        call: &'static str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.made(place, call, false, work)
    }

    fn made<T>(
        &self,
        place: &Place,
        call: &'static str,
        after_possible: bool,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if self.is_zombie() {
            return work();
        }
        let fate = {
            let mut machine = self.machine();
            if machine.off || machine.boots != self.number {
                return Err(off());
            }
            machine.decide(place, call, after_possible)
        };
        self.business_goes_on();
        self.disk_goes_on();
        match fate {
            Fate::Works => work(),
            Fate::Before(error) => Err(error),
            Fate::After(error) => {
                if work().is_ok() {
                    self.oracle().reached_when(call == "commit", "ambiguous_commit");
                }
                Err(error)
            }
        }
    }

    /// Whether the state file may commit now: `false` refuses it.
    pub fn may_commit_state(&self) -> bool {
        if self.is_zombie() {
            return true;
        }
        let mut machine = self.machine();
        if machine.off || machine.boots != self.number {
            return false;
        }
        !matches!(machine.decide(&Place::State, "commit", false), Fate::Before(_))
    }

    /// A slow disk is done in the middle of other things.
    fn disk_goes_on(&self) {
        let now = {
            let mut machine = self.machine();
            let rate = machine.rates.disk;
            !machine.off && machine.chance(rate)
        };
        if now && let Some(log) = &self.oracle().log {
            log.release();
            log.hold();
        }
    }

    /// The world does not wait for the engine.
    fn business_goes_on(&self) {
        let now = {
            let mut machine = self.machine();
            let rate = machine.rates.business;
            let now = machine.business_left > 0 && !machine.off && machine.chance(rate);
            machine.business_left -= u32::from(now);
            now
        };
        if now {
            let done = locked(&self.business).transact(&mut self.oracle());
            self.machine().note(|| format!("meanwhile {done}"));
        }
    }
}

/// A lock whose holder never leaves it half done.
pub fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
