//! `postgres-chaos`: under the bank's load engine, source and target are killed and the links between them fail, at
//! moments and in an order of the seed. At the end everything must have arrived, once.

use super::audit::{arrive, audit};
use super::bank::Bank;
use super::faults::{ALL, Deck, Event, QUICK};
use super::memory::Memory;
use super::pair::{Pair, Side};
use super::witness::Witness;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::random::Random;
use crate::seamount::Running;
use crate::stage::Stage;
use crate::verdict::GRACE;
use anyhow::{Context, Result, bail};
use seamount_torture::proxy::Cut;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// After a fault, what was committed before it is at the target within this.
const RECOVERS_WITHIN: Duration = Duration::from_secs(150);

/// The last words of a transaction, as they go over the wire.
const COMMIT: &[u8] = b"COMMIT\0";

/// The engine needs no more memory than this, whatever goes wrong; in MB.
const MEMORY: u64 = 512;

/// How long things last, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Pace {
    kinds: &'static [Event],
    /// Until the next fault.
    rest: (u64, u64),
    /// A fault.
    fault: (u64, u64),
    /// One of many, so that patience of minutes is reached; `None` in a short run.
    long: Option<(u64, u64)>,
}

const SMALL: Pace = Pace { kinds: &QUICK, rest: (30, 200), fault: (50, 400), long: None };
const USUAL: Pace = Pace { kinds: &ALL, rest: (300, 5_000), fault: (100, 8_000), long: None };
const PATIENT: Pace = Pace { long: Some((40_000, 90_000)), ..USUAL };

/// Runs it.
///
/// # Errors
/// What did not hold.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    if let Some(missing) = super::missing() {
        return Ok(missing);
    }
    let minutes = options.minutes.unwrap_or(30);
    let (lasts, pace) = match minutes {
        _ if options.in_small => (Duration::ZERO, SMALL),
        0..10 => (Duration::from_secs(minutes * 60), USUAL),
        _ => (Duration::from_secs(minutes * 60), PATIENT),
    };
    Stage::with(|stage| {
        let pair = Pair::build(&stage.path("pair"), &options.seamount)?;
        pair.first_load()?;
        let mut ordeal = Ordeal::begin(&pair, options.seed, pace)?;
        let done = ordeal.go(lasts);
        if done.is_err() {
            eprintln!("postgres-chaos: events: {}", ordeal.story.join(", "));
        }
        let faults = done?;
        ordeal.end(faults).map(Outcome::Held)
    })
}

struct Ordeal<'a> {
    pair: &'a Pair,
    pace: Pace,
    random: Random,
    bank: Bank,
    witness: Witness,
    memory: Memory,
    service: Option<Running>,
    counts: BTreeMap<Event, u64>,
    /// Commits whose answer was really lost.
    unanswered: u64,
    slowest: Duration,
    began: Instant,
    story: Vec<String>,
}

impl<'a> Ordeal<'a> {
    fn begin(pair: &'a Pair, seed: u64, pace: Pace) -> Result<Ordeal<'a>> {
        let mut ordeal = Ordeal {
            pair,
            pace,
            random: Random::part(seed, "postgres-chaos"),
            bank: Bank::open(&pair.source.url(), seed, Duration::from_millis(8)),
            witness: Witness::start(&pair.target.url()),
            memory: Memory::watch(),
            service: None,
            counts: BTreeMap::new(),
            unanswered: 0,
            slowest: Duration::ZERO,
            began: Instant::now(),
            story: Vec::new(),
        };
        ordeal.start_engine()?;
        ordeal.recovers().context("before any fault")?;
        Ok(ordeal)
    }

    /// Has things go wrong for a time, each kind at least once; how many did.
    fn go(&mut self, lasts: Duration) -> Result<u64> {
        let mut deck = Deck::of(self.pace.kinds);
        let mut faults = 0;
        while faults < self.pace.kinds.len() as u64 || self.began.elapsed() < lasts {
            self.rest(self.pace.rest);
            let event = deck.next(&mut self.random);
            faults += 1;
            let at = self.began.elapsed().as_secs_f64();
            self.story.push(format!("{at:.1} s {event:?}"));
            let what = || format!("fault {faults}, {event:?}");
            self.cause(event).with_context(what)?;
            *self.counts.entry(event).or_default() += 1;
            // Otherwise the next fault falls into the recovery.
            if self.random.percent(50) {
                self.recovers().with_context(what)?;
            }
            self.look().with_context(what)?;
            if faults % 20 == 0 {
                let (made, memory) = (self.bank.made(), self.memory.since(self.began));
                eprintln!("postgres-chaos: {faults} faults, {made} transactions, {memory:?} MB");
            }
        }
        Ok(faults)
    }

    fn cause(&mut self, event: Event) -> Result<()> {
        let (source, target) = (&self.pair.source, &self.pair.target);
        match event {
            Event::EngineKilled => {
                self.kill_engine()?;
                self.start_engine()
            }
            Event::EngineStopped => {
                self.engine()?.terminate(GRACE)?;
                self.start_engine()
            }
            Event::SourceCrashed => self.crash(source),
            Event::TargetCrashed => self.crash(target),
            Event::EngineBeforeSource => self.crash_with_engine(source),
            Event::EngineBeforeTarget => self.crash_with_engine(target),
            Event::SourceCut => self.cut(source),
            Event::TargetCut => self.cut(target),
            Event::SourceStalled => self.stall(source),
            Event::TargetStalled => self.stall(target),
            Event::SourceHalfOpen => self.half_open(source),
            Event::TargetHalfOpen => self.half_open(target),
            Event::CommitCut => self.ambush(Cut::Close).map(drop),
            Event::CommitSilenced => {
                self.ambush(Cut::Silence)?;
                self.last();
                target.link.break_all();
                Ok(())
            }
            Event::CommitKilled => {
                self.ambush(Cut::Silence)?;
                self.kill_engine()?;
                target.link.break_all();
                self.start_engine()
            }
        }
    }

    fn crash(&mut self, side: &Side) -> Result<()> {
        side.server.crash()?;
        self.last();
        side.server.resume()
    }

    fn crash_with_engine(&mut self, side: &Side) -> Result<()> {
        side.server.crash()?;
        self.kill_engine()?;
        self.start_engine()?;
        self.last();
        side.server.resume()
    }

    fn cut(&mut self, side: &Side) -> Result<()> {
        // Now and then several times in a row: the login is cut, too.
        for _ in 0..self.random.between(1, 4) {
            side.link.break_all();
            std::thread::sleep(Duration::from_millis(self.random.below(60)));
        }
        Ok(())
    }

    fn stall(&mut self, side: &Side) -> Result<()> {
        side.link.fall_silent();
        self.last();
        side.link.speak();
        Ok(())
    }

    fn half_open(&mut self, side: &Side) -> Result<()> {
        side.link.lose_servers();
        self.last();
        side.link.break_all();
        Ok(())
    }

    /// Waits until somebody commits at the target, and cuts it there; whether somebody did.
    fn ambush(&mut self, how: Cut) -> Result<()> {
        let link = &self.pair.target.link;
        let before = link.passed().faults;
        link.cut_behind(COMMIT, how);
        let began = Instant::now();
        while link.passed().faults == before && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.unanswered += u64::from(link.sprung());
        Ok(())
    }

    fn start_engine(&mut self) -> Result<()> {
        let (service, _) = self.pair.seamount.serve(&[])?;
        self.memory.of(service.pid());
        self.service = Some(service);
        Ok(())
    }

    fn engine(&mut self) -> Result<Running> {
        self.service.take().context("the engine does not run")
    }

    fn kill_engine(&mut self) -> Result<()> {
        self.engine()?.kill()
    }

    fn rest(&mut self, (least, most): (u64, u64)) {
        std::thread::sleep(Duration::from_millis(self.random.between(least, most)));
    }

    /// Waits as long as a fault lasts.
    fn last(&mut self) {
        let long = self.pace.long.filter(|_| self.random.percent(4));
        self.rest(long.unwrap_or(self.pace.fault));
    }

    /// Waits until what is committed now is at the target.
    fn recovers(&mut self) -> Result<()> {
        let (due, began) = (self.bank.answered(), Instant::now());
        while !self.witness.has_seen(&due) || due.contains(&0) && !self.witness.has_seen(&[1; 4]) {
            self.look()?;
            if began.elapsed() > RECOVERS_WITHIN {
                let (seen, words) =
                    (self.witness.seen(), self.service.as_ref().map(Running::words));
                bail!("after {RECOVERS_WITHIN:?} {due:?} is due and {seen:?} is there: {words:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.slowest = self.slowest.max(began.elapsed());
        Ok(())
    }

    /// Fails when somebody is gone who should be there, or has seen what should not be.
    fn look(&mut self) -> Result<()> {
        self.bank.must_live()?;
        self.witness.has_seen_nothing_wrong()?;
        self.service.as_mut().map_or(Ok(()), Running::must_live)
    }

    /// Closes the bank, lets everything through, and judges.
    fn end(mut self, faults: u64) -> Result<String> {
        self.bank.close()?;
        let mut service = self.engine()?;
        let settled = arrive(self.pair, &mut service, &mut self.witness, RECOVERS_WITHIN)?;
        let memory = self.memory.since(self.began);
        let audited = audit(self.pair, service, &self.bank)?;
        let looks = self.witness.stop()?;
        if self.unanswered == 0 {
            bail!("no commit at the target was cut: the run does not reach what it is for");
        }
        if memory.highest > MEMORY {
            bail!("the engine needed {} MB of memory, more than {MEMORY}", memory.highest);
        }
        let of =
            |events: &[Event]| -> u64 { events.iter().filter_map(|e| self.counts.get(e)).sum() };
        Ok(format!(
            "{} transactions over {} lost sessions, {faults} faults: {} kills of the engine, {} crashes of the source, \
             {} of the target, {} resets, {} stalls, {} half open, {} commits unanswered; 0 lost, 0 twice, {} rows equal by query and by proof, {} changes \
             conserved, {looks} looks; slowest recovery {:.1} s, last arrived in {:.1} s; engine {}/{}/{} MB \
             (first/highest/last)",
            self.bank.made(),
            self.bank.lost(),
            of(&[
                Event::EngineKilled,
                Event::EngineBeforeSource,
                Event::EngineBeforeTarget,
                Event::CommitKilled
            ]),
            of(&[Event::SourceCrashed, Event::EngineBeforeSource]),
            of(&[Event::TargetCrashed, Event::EngineBeforeTarget]),
            of(&[Event::SourceCut, Event::TargetCut]),
            of(&[Event::SourceStalled, Event::TargetStalled]),
            of(&[Event::SourceHalfOpen, Event::TargetHalfOpen]),
            self.unanswered,
            audited.rows,
            audited.changes,
            self.slowest.as_secs_f64(),
            settled.as_secs_f64(),
            memory.first,
            memory.highest,
            memory.last,
        ))
    }
}
