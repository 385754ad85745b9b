//! `postgres-target-down`: the target's server is gone while the bank works at full rate. The engine's memory stays flat,
//! the source lets go of nothing that the engine would still need (it is killed now and then, and must lose nothing), and
//! everything arrives when the target is back.

use super::audit::{arrive, audit};
use super::bank::Bank;
use super::memory::Memory;
use super::pair::Pair;
use super::witness::Witness;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::seamount::Running;
use crate::stage::Stage;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// The engine is killed so many times while the target is down; less often in a short run.
const KILLS: u32 = 4;

/// Memory that grows by no more than this is flat: caches fill, allocators keep. In MB.
const FLAT: u64 = 64;

/// What the source holds of its slot: how far the engine has said it is (bytes of WAL), and what is kept for it.
const SLOT: &str = "SELECT (confirmed_flush_lsn - '0/0'::pg_lsn)::bigint, \
     (pg_current_wal_lsn() - confirmed_flush_lsn)::bigint, active FROM pg_replication_slots";

/// Runs it.
///
/// # Errors
/// What did not hold.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    if let Some(missing) = super::missing() {
        return Ok(missing);
    }
    let lasts = match options.in_small {
        true => Duration::from_secs(3),
        false => Duration::from_secs(options.minutes.unwrap_or(60) * 60),
    };
    Stage::with(|stage| {
        let pair = Pair::build(&stage.path("pair"), &options.seamount)?;
        pair.first_load()?;
        let bank = Bank::open(&pair.source.url(), options.seed, Duration::ZERO);
        let witness = Witness::start(&pair.target.url());
        let mut outage = Outage {
            pair: &pair,
            bank,
            witness,
            memory: Memory::watch(),
            confirmed: 0,
            most_kept: 0,
            moved: 0,
        };
        let kills = if options.in_small { 2 } else { KILLS };
        outage.go(lasts, kills).map(Outcome::Held)
    })
}

struct Outage<'a> {
    pair: &'a Pair,
    bank: Bank,
    witness: Witness,
    memory: Memory,
    /// The slot's position when it was last looked at.
    confirmed: i64,
    /// Most bytes of WAL that the source kept for us.
    most_kept: i64,
    /// How often the position was a later one.
    moved: u64,
}

impl Outage<'_> {
    fn go(&mut self, lasts: Duration, kills: u32) -> Result<String> {
        let mut service = self.serve()?;
        while !self.witness.has_seen(&[20; 4]) {
            self.look(&mut service)?;
            std::thread::sleep(Duration::from_millis(10));
        }
        let warm = Duration::from_secs(60).min(lasts / 4);
        self.pair.target.server.crash()?;
        let (down, made, log) = (Instant::now(), self.bank.made(), self.pair.log_bytes());
        for round in 1..=kills {
            while down.elapsed() < lasts * round / kills {
                std::thread::sleep(Duration::from_millis(250));
                self.look(&mut service)?;
                self.slot()?;
            }
            if round == kills {
                service.must_speak_of_trouble(false, &self.pair.seamount)?;
            }
            service.kill()?;
            self.slot().context("behind a kill")?;
            service = self.serve().context("a start without the target")?;
            let minutes = down.elapsed().as_secs_f64() / 60.0;
            let memory = self.memory.since(down);
            eprintln!(
                "postgres-target-down: {minutes:.1} min, {} transactions, {memory:?} MB",
                self.bank.made()
            );
        }
        self.bank.close()?;
        let (took, made) = (down.elapsed(), self.bank.made() - made);
        let memory = self.memory.since(down + warm);
        let log = self.pair.log_bytes().saturating_sub(log);
        self.pair.target.server.resume()?;
        let patience = Duration::from_secs(120) + took * 2;
        let arrived = arrive(self.pair, &mut service, &mut self.witness, patience)?;
        let after = self.memory.since(down);
        let audited = audit(self.pair, service, &self.bank)?;
        if self.moved == 0 {
            bail!(
                "the slot never moved while the target was down: the log does not stand in for it"
            );
        }
        if memory.highest > memory.first + FLAT {
            bail!("memory is not flat while the target is down: {memory:?} MB");
        }
        Ok(format!(
            "target down {:.1} min: {made} transactions ({:.0}/s), {} MB of log, {kills} kills; the source kept at most {:.1} MB \
             of WAL, its slot moved {} times and lost nothing; engine {}/{}/{} MB (first/highest/last), {} MB at most behind \
             it; arrived in {:.1} s; {} rows equal by query and by proof, {} changes conserved, 0 twice",
            took.as_secs_f64() / 60.0,
            made as f64 / took.as_secs_f64(),
            log >> 20,
            self.most_kept as f64 / 1e6,
            self.moved,
            memory.first,
            memory.highest,
            memory.last,
            after.highest,
            arrived.as_secs_f64(),
            audited.rows,
            audited.changes,
        ))
    }

    fn serve(&self) -> Result<Running> {
        let (service, _) = self.pair.seamount.serve(&[])?;
        self.memory.of(service.pid());
        Ok(service)
    }

    fn look(&mut self, service: &mut Running) -> Result<()> {
        self.bank.must_live()?;
        self.witness.has_seen_nothing_wrong()?;
        service.must_live()
    }

    /// Looks at the slot: it never goes back, and there is one.
    fn slot(&mut self) -> Result<()> {
        let rows = self.pair.source.connect()?.query(SLOT, &[])?;
        let [row] = rows.as_slice() else { bail!("the source has {} slots", rows.len()) };
        let (confirmed, kept): (i64, i64) = (row.get(0), row.get(1));
        if confirmed < self.confirmed {
            bail!("the slot went back from {} to {confirmed}", self.confirmed);
        }
        self.moved += u64::from(confirmed > self.confirmed && self.confirmed > 0);
        self.confirmed = confirmed;
        self.most_kept = self.most_kept.max(kept);
        Ok(())
    }
}
