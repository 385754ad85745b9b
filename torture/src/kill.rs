//! `kill`: the engine is killed (`kill -9`) at random moments under load, in its first snapshot, at work, in its
//! recovery, in a batch, in a proof; now and then it is asked to stop, and must be gone in time (F10).

use crate::crew::{Traders, Witness};
use crate::export::Export;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::random::Random;
use crate::seamount::{Running, Seamount};
use crate::stage::{Stage, log_files};
use crate::verdict::{GRACE, run_all_once, settle};
use crate::world::World;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// Everything is let through and judged each so many cycles, and at the end.
const JUDGE_EACH: u64 = 25;

/// What happened in a run.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    under_load: u64,
    in_recovery: u64,
    in_batch: u64,
    in_proof: u64,
    stops: u64,
    longest_stop: Duration,
    starts: Vec<Duration>,
    changes: u64,
    oldest_file: u32,
}

/// Runs it.
///
/// # Errors
/// What did not hold.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let cycles = options.cycles.unwrap_or(20);
    Stage::with(|stage| {
        let world = stage.world("world")?;
        let mut ordeal = Ordeal {
            seamount: world.seamount(&options.seamount),
            export: world.export(),
            random: Random::part(options.seed, "kill"),
            tally: Tally::default(),
            world,
        };
        ordeal.go(cycles, options.seed).map(Outcome::Held)
    })
}

struct Ordeal {
    world: World,
    seamount: Seamount,
    export: Export,
    random: Random,
    tally: Tally,
}

impl Ordeal {
    fn go(&mut self, cycles: u64, seed: u64) -> Result<String> {
        let traders = Traders::start(&self.world, seed)?;
        self.export.write(&mut self.random)?;
        traders.wait_for(100)?;
        for _ in 0..3 {
            self.life(&traders, 700, &["run"]).context("in the first snapshot")?;
        }
        run_all_once(&self.seamount).context("the first runs")?;
        let mut witness = Witness::start(&self.world)?;
        for cycle in 1..=cycles {
            self.cycle(&traders).with_context(|| format!("cycle {cycle}"))?;
            traders.must_live()?;
            witness.has_seen_nothing().with_context(|| format!("cycle {cycle}"))?;
            if cycle % JUDGE_EACH == 0 && cycle < cycles {
                traders.halted(|books| {
                    let settled = settle(&self.world, &self.seamount, books, &self.export)?;
                    self.tally.starts.push(settled.recovered);
                    Ok::<(), anyhow::Error>(())
                })?;
            }
            if cycle % 10 == 0 {
                eprintln!("kill: {cycle} of {cycles} cycles; {} transactions", traders.made());
            }
        }
        let made = traders.made();
        let books = traders.stop()?;
        let settled = settle(&self.world, &self.seamount, &books, &self.export)?;
        self.tally.starts.push(settled.recovered);
        self.tally.changes = settled.changes;
        let looks = witness.stop()?;
        self.figures(cycles, made, looks)
    }

    /// One start and its end.
    fn cycle(&mut self, traders: &Traders) -> Result<()> {
        if self.random.percent(30) {
            self.export.write(&mut self.random)?;
        }
        match self.random.below(10) {
            0 | 1 => {
                self.export.write(&mut self.random)?;
                self.tally.in_batch += 1;
                self.life(traders, 400, &["run", "sales", "--once"])
            }
            2 => {
                self.tally.in_proof += 1;
                self.life(traders, 900, &["run", "articles", "--once"])
            }
            3 | 4 => self.stop(),
            5 => self.kill_in_a_proof(traders),
            _ => {
                self.life(traders, 1_500, &["run"])?;
                if self.random.percent(50) {
                    self.tally.in_recovery += 1;
                    self.life(traders, 150, &["run"])?;
                }
                Ok(())
            }
        }
    }

    /// Starts a command and kills it after a random time of at most so many milliseconds.
    fn life(&mut self, traders: &Traders, most_ms: u64, arguments: &[&str]) -> Result<()> {
        let before = traders.made();
        let lives = Duration::from_micros(self.random.below(most_ms * 1_000));
        let mut running = self.seamount.start(arguments)?;
        self.wait(&mut running, lives, arguments == ["run"])?;
        running.kill()?;
        self.killed(traders, before);
        Ok(())
    }

    fn killed(&mut self, traders: &Traders, before: u64) {
        self.tally.kills += 1;
        self.tally.under_load += u64::from(traders.made() > before);
        if let Some((oldest, ..)) = log_files(&self.world.state()) {
            self.tally.oldest_file = oldest;
        }
    }

    /// Lets it live for a time; notes when a service came up.
    fn wait(&mut self, running: &mut Running, lives: Duration, service: bool) -> Result<()> {
        let began = Instant::now();
        let mut up = false;
        while began.elapsed() < lives {
            if service && !up && running.is_ready() {
                up = true;
                self.tally.starts.push(began.elapsed());
            }
            if service {
                running.must_live()?;
            }
            let left = lives.saturating_sub(began.elapsed());
            std::thread::sleep(left.min(Duration::from_millis(5)));
        }
        Ok(())
    }

    /// A stop as it should be, also right after the start.
    fn stop(&mut self) -> Result<()> {
        let (mut service, came_up) = self.seamount.serve(&[])?;
        self.tally.starts.push(came_up);
        let lives = Duration::from_millis(self.random.below(600));
        self.wait(&mut service, lives, false)?;
        let took = service.terminate(GRACE)?;
        self.tally.stops += 1;
        self.tally.longest_stop = self.tally.longest_stop.max(took);
        Ok(())
    }

    /// Kills service and command while the one proves for the other.
    fn kill_in_a_proof(&mut self, traders: &Traders) -> Result<()> {
        let before = traders.made();
        let (service, came_up) = self.seamount.serve(&[])?;
        self.tally.starts.push(came_up);
        let mut asking = self.seamount.start(&["reconcile", "books"])?;
        let lives = Duration::from_millis(self.random.below(500));
        self.wait(&mut asking, lives, false)?;
        service.kill()?;
        self.tally.in_proof += 1;
        self.killed(traders, before);
        // The command may have been answered, or it notices that nobody answers any more.
        drop(asking);
        Ok(())
    }

    fn figures(&mut self, cycles: u64, made: u64, looks: u64) -> Result<String> {
        let tally = &mut self.tally;
        if cycles >= 20 && tally.oldest_file < 2 {
            bail!("no file of the log was let go of: the run does not reach what it is for");
        }
        tally.starts.sort_unstable();
        let at = |share: usize| {
            tally
                .starts
                .get((tally.starts.len() * share / 100).min(tally.starts.len().saturating_sub(1)))
                .copied()
                .unwrap_or_default()
        };
        Ok(format!(
            "{} kills ({} under load, {} in recovery, {} in a batch, {} in a proof), {} stops of at most {:.1} s; \
             {made} transactions, {} changes, {looks} looks: 0 lost, 0 doubled, 0 halves; log files up to {} let go; \
             start p50 {:.2} s, longest {:.2} s of {}",
            tally.kills,
            tally.under_load,
            tally.in_recovery,
            tally.in_batch,
            tally.in_proof,
            tally.stops,
            tally.longest_stop.as_secs_f64(),
            tally.changes,
            tally.oldest_file.saturating_sub(1),
            at(50).as_secs_f64(),
            at(100).as_secs_f64(),
            tally.starts.len(),
        ))
    }
}
