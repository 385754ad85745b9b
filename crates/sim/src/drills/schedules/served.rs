//! Serves one schedule as an engine does, and says at every look what had to be started.
//!
//! The engine is looked into from outside: it looks at its schedules now and then, a run keeps it busy for a while
//! (sometimes for longer than the interval), it is down for hours or days, it crashes between the start of a run
//! and remembering it, and its schedule is edited. The oracle knows the fires of the walk and the run that was
//! started last, and nothing of what the engine remembers.

use super::model::{EXPRESSIONS, MINUTE_US, Walk, first_of};
use super::{ONE_RUN, SERVED, instant};
use crate::drill::Violation;
use crate::random::Random;
use chrono_tz::Tz;
use flow::{CatchUp, Schedule, Served};

const SECOND_US: i64 = 1_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAYS: i64 = 25;
const POLICIES: &[CatchUp] = &[CatchUp::All, CatchUp::Latest, CatchUp::None];

/// Serves a schedule through some weeks.
pub(super) fn run(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let (zone, year) = *chance.pick(SERVED);
    let zone: Tz = zone.parse().expect("a zone of the list");
    // Some days before a change of the clock: a walk that began in a repeated hour would not know that it is one.
    let days = 1 + whole(&mut chance, 20);
    let start = change_of(zone, year, &mut chance) - days * 24 * HOUR_US;
    let walk = Walk::over(zone, start, start + DAYS * 24 * HOUR_US);
    let mut engine = Engine::new(walk, zone, *chance.pick(POLICIES), chance);
    while engine.now < engine.walk.upto {
        engine.step().map_err(|what| Violation {
            invariant: ONE_RUN,
            what: format!("{what}; {:?} in {zone}", engine.catch_up),
            trace: std::mem::take(&mut engine.trace),
        })?;
    }
    Ok(())
}

fn whole(chance: &mut Random, below: u64) -> i64 {
    i64::try_from(chance.below(below)).expect("a small number")
}

/// An instant at which the zone's clock is set, to the hour; the seed chooses among those of two years.
fn change_of(zone: Tz, year: i64, chance: &mut Random) -> i64 {
    use chrono::{Offset, TimeZone};
    let offset = |us: i64| {
        let utc = chrono::DateTime::from_timestamp_micros(us).expect("of our time").naive_utc();
        zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()
    };
    let (from, hours) = (first_of(year), 2 * 365 * 24);
    let changes: Vec<i64> = (1..hours)
        .map(|hour| from + hour * HOUR_US)
        .filter(|us| offset(*us) != offset(us - HOUR_US))
        .collect();
    *chance.pick(&changes)
}

/// An engine, and what the oracle knows of it.
struct Engine {
    walk: Walk,
    zone: Tz,
    catch_up: CatchUp,
    chance: Random,
    now: i64,
    expression: usize,
    schedule: Schedule,
    /// What the engine has stored.
    stored: Option<i64>,
    /// Since when it looks.
    since: i64,
    busy_until: i64,
    /// The oracle's: the fire whose run was started last and remembered, or when the schedule was seen first.
    done: i64,
    trace: Vec<String>,
}

impl Engine {
    fn new(walk: Walk, zone: Tz, catch_up: CatchUp, mut chance: Random) -> Self {
        let expression = pick(&mut chance);
        let now = walk.from + whole(&mut chance, 3600) * SECOND_US;
        Engine {
            schedule: read(expression, zone),
            expression,
            zone,
            catch_up,
            now,
            stored: None,
            since: now,
            busy_until: i64::MIN,
            done: i64::MIN,
            trace: Vec::new(),
            chance,
            walk,
        }
    }

    fn note(&mut self, what: &str) {
        self.trace.push(format!("{} {what}", instant(self.now)));
        let long = self.trace.len().saturating_sub(12);
        self.trace.drain(..long);
    }

    fn step(&mut self) -> Result<(), String> {
        let slow = self.chance.once_in(3);
        self.now += (1 + whole(&mut self.chance, if slow { 7200 } else { 240 })) * SECOND_US / 2;
        if self.chance.once_in(150) {
            self.down();
        }
        if self.chance.once_in(300) {
            self.edit();
        }
        // The walk ends here; what comes behind it nobody knows.
        let known = self.now <= self.walk.upto;
        if known && self.now >= self.busy_until { self.look() } else { Ok(()) }
    }

    /// The engine stops, perhaps for days, and starts again.
    fn down(&mut self) {
        let hours = whole(&mut self.chance, 80) + 1;
        self.now += hours * HOUR_US / (1 + whole(&mut self.chance, 50));
        self.since = self.now;
        self.busy_until = i64::MIN;
        self.note("the engine starts again");
    }

    /// The schedule is edited; the engine takes it when it starts again.
    fn edit(&mut self) {
        self.expression = pick(&mut self.chance);
        self.schedule = read(self.expression, self.zone);
        self.since = self.now;
        self.note(&format!("edited to {}", EXPRESSIONS[self.expression].text));
    }

    /// One look of the engine, as its service takes it, and the oracle's.
    fn look(&mut self) -> Result<(), String> {
        let Some(last_us) = self.stored else {
            self.stored = Some(self.now);
            self.done = self.now;
            return Ok(());
        };
        let served = Served { last_us, since_us: self.since };
        let due = self.schedule.due(served, self.now, self.catch_up);
        let expected = self.expected();
        if due != expected {
            let said = |fire: Option<i64>| fire.map_or("none".into(), instant);
            let text = EXPRESSIONS[self.expression].text;
            self.note("looks");
            return Err(format!("`{text}` starts {}, due is {}", said(due), said(expected)));
        }
        let Some(fire) = due else { return Ok(()) };
        let (now, long) = (self.now, self.chance.once_in(6));
        self.busy_until = now + whole(&mut self.chance, if long { 20_000 } else { 60 }) * SECOND_US;
        self.note(&format!("starts the run of {}", instant(fire)));
        if self.chance.once_in(40) {
            self.note("crashes before the start is remembered: the same run comes again");
            self.down();
            return Ok(());
        }
        self.stored = Some(self.schedule.started(fire, served, now));
        self.done = fire;
        Ok(())
    }

    /// The fire whose run has to start now.
    fn expected(&self) -> Option<i64> {
        let fires = &self.walk.fires[self.expression];
        let missed = if self.catch_up == CatchUp::None { self.since } else { i64::MIN };
        let open = fires.iter().filter(|fire| **fire > self.done.max(missed) && **fire <= self.now);
        match self.catch_up {
            CatchUp::All => open.min().copied(),
            CatchUp::Latest | CatchUp::None => open.max().copied(),
        }
    }
}

/// Any expression but the one of each minute, which would keep everybody busy.
fn pick(chance: &mut Random) -> usize {
    1 + usize::try_from(chance.below(EXPRESSIONS.len() as u64 - 1)).expect("a place")
}

fn read(expression: usize, zone: Tz) -> Schedule {
    Schedule::parse(EXPRESSIONS[expression].text, zone.name()).expect("an expression of the list")
}
