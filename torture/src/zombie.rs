//! `zombie`: an engine sleeps (SIGSTOP), another one takes over from a copy of its state folder, the first wakes and
//! must have no effect: not at the target, not on what a source keeps for its successor (F13).

use crate::clone::{export_in, fenced, refused_by_name};
use crate::crew::{Traders, Witness};
use crate::options::Options;
use crate::oracle::whole_bookings;
use crate::outcome::Outcome;
use crate::random::Random;
use crate::seamount::{Running, Seamount};

use crate::signal;
use crate::stage::Stage;
use crate::verdict::{GRACE, run_all_once, settle};
use crate::world::{STORES, World, copy, open_to_read};
use anyhow::{Context, Result, bail};
use rusqlite::Connection;
use std::time::{Duration, Instant};

/// Transactions that stores make while the zombie is awake and nobody else reads them: more changes than a capture
/// lets pile up before it lets go of them at the source.
const UNWATCHED: u64 = 900;

/// Runs it.
///
/// # Errors
/// What did not hold.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let rounds = options.cycles.unwrap_or(3);
    Stage::with(|stage| {
        let world = stage.world("world")?;
        let mut random = Random::part(options.seed, "zombie");
        let traders = Traders::start(&world, options.seed)?;
        let mut export = world.export();
        export.write(&mut random)?;
        let mut engine = world.seamount(&options.seamount);
        let mut project = world.project();
        run_all_once(&engine)?;
        let mut witness = Witness::start(&world)?;
        let mut naps = 0;
        for round in 1..=rounds {
            let folder = world.root().join(format!("successor-{round}"));
            let successor = Seamount::new(&options.seamount, &folder, &world.root().join("said"));
            let mut act = Act { world: &world, traders: &traders, random: &mut random };
            naps += act
                .play(&engine, &project, &successor, &folder)
                .with_context(|| format!("round {round}"))?;
            witness.has_seen_nothing().with_context(|| format!("round {round}"))?;
            traders
                .halted(|books| settle(&world, &successor, books, &export_in(&export, &folder)))
                .with_context(|| format!("round {round}"))?;
            eprintln!("zombie: {round} of {rounds} rounds");
            (engine, project) = (successor, folder);
        }
        drop(traders);
        let looks = witness.stop()?;
        Ok(Outcome::Held(format!(
            "{rounds} engines slept, were taken over from, and woke: 0 effects at the target, 0 changes lost at the \
             sources; {naps} naps until no lock was held; {looks} looks"
        )))
    })
}

struct Act<'a> {
    world: &'a World,
    traders: &'a Traders,
    random: &'a mut Random,
}

impl Act<'_> {
    fn play(
        &mut self,
        first: &Seamount,
        project: &std::path::Path,
        second: &Seamount,
        folder: &std::path::Path,
    ) -> Result<u64> {
        let (mut zombie, _) = first.serve(&[])?;
        self.traders.wait_for(self.random.between(50, 300))?;
        let naps = self.put_to_sleep(&zombie)?;
        copy(project, folder)?;
        let (mut successor, _) = second.serve(&["--take-over"]).context("the successor")?;
        self.moves_on(&mut successor).context("the successor")?;
        let holder = self.holder()?;
        signal::send(zombie.pid(), "CONT")?;
        self.traders.wait_for(100)?;
        fenced(first, &mut zombie).context("the zombie")?;
        // The successor dies, too, while the zombie is awake: what stores write now is for the successor's next start.
        successor.kill()?;
        self.traders.wait_for(UNWATCHED)?;
        let (mut successor, _) = second.serve(&[]).context("the successor's second start")?;
        self.moves_on(&mut successor).context("the successor's second start")?;
        if zombie.lives()? {
            zombie.kill()?;
        }
        let said = first.run(&["run", "books", "--once"])?;
        refused_by_name(&said).context("the zombie's next start")?;
        successor.must_live()?;
        successor.terminate(GRACE)?;
        if self.holder()? == holder {
            bail!("a new start has no holder of its own");
        }
        Ok(naps)
    }

    /// Stops a process where it holds no lock: nobody can take over from one that holds the target's.
    fn put_to_sleep(&mut self, engine: &Running) -> Result<u64> {
        let mut paths = vec![self.world.central_path()];
        paths.extend(STORES.iter().map(|name| self.world.store_path(name)));
        for nap in 1..=500 {
            // The stores stand first: one that waits for a lock of a sleeping engine would wait for ever.
            let free = self.traders.halted(|_| {
                signal::stop(engine.pid())?;
                let free = paths.iter().all(|path| is_free(path));
                if !free {
                    signal::send(engine.pid(), "CONT")?;
                }
                Ok::<bool, anyhow::Error>(free)
            })?;
            if free {
                return Ok(nap);
            }
            std::thread::sleep(Duration::from_micros(self.random.below(3_000)));
        }
        bail!("the engine holds a lock whenever it is looked at");
    }

    /// Waits until what stores have written by now is at the centre.
    fn moves_on(&self, engine: &mut Running) -> Result<()> {
        let goal = self.traders.halted(|books| {
            let newest = |book: &crate::ledger::Ledger| {
                book.rows(crate::ledger::Table::Debit)["0"][1].parse::<i64>()
            };
            books
                .iter()
                .map(|(store, book)| Ok((store.clone(), newest(book)?)))
                .collect::<Result<Vec<_>>>()
        })?;
        let centre = open_to_read(&self.world.central_path())?;
        let began = Instant::now();
        loop {
            engine.must_live()?;
            let there = whole_bookings(&centre)?;
            if goal.iter().all(|(store, newest)| there.get(store) >= Some(newest)) {
                return Ok(());
            }
            if began.elapsed() > Duration::from_secs(60) {
                bail!("it does not move: {there:?}, written is {goal:?}; {}", engine.words());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn holder(&self) -> Result<i64> {
        let centre = open_to_read(&self.world.central_path())?;
        Ok(centre.query_row("SELECT holder FROM _seamount_epoch", [], |row| row.get(0))?)
    }
}

/// Whether nobody holds a database's write lock.
fn is_free(path: &std::path::Path) -> bool {
    let free = || -> rusqlite::Result<()> {
        let database = Connection::open(path)?;
        database.busy_timeout(Duration::from_millis(50))?;
        // A connection that closes last checkpoints; this one must leave no trace.
        database
            .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        database.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
    };
    free().is_ok()
}
