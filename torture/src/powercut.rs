//! `powercut`: the whole world lies on an ext4 file system over a loop device; while everything works, its backing file
//! is copied. The copy holds what the device was given and nothing of what only memory held: a disk after a power cut
//! (F2). It is mounted elsewhere, and the engine is started on it: what the copied stores hold must come to the copied
//! centre, and what a store was told is committed must be in its copy.
//!
//! A copy takes a while, and a device that is written meanwhile would give a mix of two moments that no power cut
//! leaves. So everybody stands still while it is made, and it counts only when the device's own count of writes and
//! flushes says that nothing was given to it in between. Nothing is synced by us.

use crate::crew::Traders;
use crate::ledger::{Ledger, Table};
use crate::mount::{LoopDisk, cannot, mounted};
use crate::options::Options;
use crate::oracle::{books_of, has_table, whole_bookings, whole_sales};
use crate::outcome::Outcome;
use crate::random::Random;
use crate::seamount::{Running, Seamount};
use crate::signal;
use crate::stage::Stage;
use crate::store::Store;
use crate::verdict::{GRACE, arrive, judge, judge_rows, run_all_once};
use crate::world::{STORES, World, open_to_read};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const DISK_MEGABYTES: u64 = 96;

/// How often a copy is tried again because the device was written meanwhile.
const TRIES: u32 = 50;

/// What happened.
#[derive(Debug, Default)]
struct Tally {
    images: u64,
    again: u32,
    starts: Vec<Duration>,
    behind: u64,
}

/// Runs it.
///
/// # Errors
/// What did not hold.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    if let Some((why, excused)) = cannot() {
        return Ok(Outcome::NotRun { why, excused });
    }
    let images = options.cycles.unwrap_or(20);
    Stage::with(|stage| {
        let disk = LoopDisk::make(&stage.path("disk"), &stage.path("live"), DISK_MEGABYTES)?;
        let world = World::build(&disk.folder().join("world"))?;
        // Databases and project were there long before; from here on nothing is synced but by who needs it.
        disk.sync()?;
        let mut cutter = Cutter {
            world,
            disk,
            options,
            random: Random::part(options.seed, "powercut"),
            tally: Tally::default(),
        };
        let done = cutter.go(stage, images);
        let figures = cutter.tally.figures();
        done.map(|transactions| Outcome::Held(format!("{transactions} transactions; {figures}")))
    })
}

struct Cutter<'a> {
    world: World,
    disk: LoopDisk,
    options: &'a Options,
    random: Random,
    tally: Tally,
}

impl Cutter<'_> {
    fn go(&mut self, stage: &Stage, images: u64) -> Result<u64> {
        let seamount = self.world.seamount(&self.options.seamount);
        let mut export = self.world.export();
        export.write(&mut self.random)?;
        self.disk.sync()?;
        let traders = Traders::start(&self.world, self.options.seed)?;
        let mut service: Option<Running> = None;
        for number in 1..=images {
            // The first images are of the first snapshot; then the engine is killed and started now and then.
            if service.is_none() {
                service = Some(seamount.serve(&[])?.0);
            }
            if number == 3 {
                service.take().context("a service")?.terminate(GRACE)?;
                export.write(&mut self.random)?;
                run_all_once(&seamount)?;
                service = Some(seamount.serve(&[])?.0);
            }
            std::thread::sleep(Duration::from_millis(self.random.below(400)));
            let image = stage.path(&format!("image-{number}"));
            let running = service.as_mut().context("a service")?;
            running.must_live()?;
            traders.must_live()?;
            let promised = self.cut(&traders, running, &image)?;
            self.after(stage, &image, &promised, number)
                .with_context(|| format!("image {number}"))?;
            std::fs::remove_file(&image)?;
            self.tally.images += 1;
            if self.random.percent(20) {
                service.take().context("a service")?.kill()?;
            }
            if number % 10 == 0 {
                eprintln!("powercut: {number} of {images} images");
            }
        }
        drop(service);
        let made = traders.made();
        traders.stop()?;
        Ok(made)
    }

    /// Copies the device's file while everybody stands still; what the stores have been promised by then.
    fn cut(
        &mut self,
        traders: &Traders,
        service: &Running,
        image: &Path,
    ) -> Result<BTreeMap<String, Ledger>> {
        for _ in 0..TRIES {
            // The stores stand first: one that waits for a lock of a sleeping engine would wait for ever.
            let copied = traders.halted(|books| {
                signal::stop(service.pid())?;
                let before = self.disk.given()?;
                self.disk.copy(image)?;
                let still = self.disk.given()? == before;
                signal::send(service.pid(), "CONT")?;
                Ok::<_, anyhow::Error>(still.then(|| books.clone()))
            });
            if let Some(books) = copied? {
                return Ok(books);
            }
            self.tally.again += 1;
            std::thread::sleep(Duration::from_millis(self.random.below(30)));
        }
        bail!("the device is written all the time, although everybody stands still");
    }

    /// The power is back: the world on the image.
    fn after(
        &mut self,
        stage: &Stage,
        image: &Path,
        promised: &BTreeMap<String, Ledger>,
        number: u64,
    ) -> Result<()> {
        let copy = mounted(image, &stage.path("copy"))?;
        let world = World::at(&copy.folder().join("world"));
        let books = books_of(&world)?;
        self.check_promises(promised, &books)?;
        self.check_centre(&world, &books)?;
        let seamount = world.seamount(&self.options.seamount);
        self.start(&world, &seamount, &books, number)?;
        copy.unmount()
    }

    /// What a store committed with full durability is in the image: without that, the image is no power cut but a
    /// broken disk, and says nothing about the engine.
    fn check_promises(
        &self,
        promised: &BTreeMap<String, Ledger>,
        found: &BTreeMap<String, Ledger>,
    ) -> Result<()> {
        for (store, book) in promised {
            for table in Table::ALL {
                if found[store].rows(table) != book.rows(table) {
                    bail!(
                        "the image of {store} is not what its application was promised ({table:?})"
                    );
                }
            }
        }
        Ok(())
    }

    /// Before any start: nothing by half, and nothing ahead of the sources.
    fn check_centre(&mut self, world: &World, books: &BTreeMap<String, Ledger>) -> Result<()> {
        let path = world.central_path();
        if !path.exists() || std::fs::metadata(&path)?.len() == 0 {
            return Ok(());
        }
        let centre = open_to_read(&path)?;
        if !has_table(&centre, "debit")? || !has_table(&centre, "credit")? {
            return Ok(());
        }
        whole_sales(&centre)?;
        if self.tally.images < 3 {
            return Ok(());
        }
        for (store, newest) in whole_bookings(&centre)? {
            let written: i64 = books[&store].rows(Table::Debit)["0"][1].parse()?;
            if newest > written {
                bail!("the centre shows booking {newest} of {store}, whose newest is {written}");
            }
            self.tally.behind += u64::from(newest < written);
        }
        Ok(())
    }

    fn start(
        &mut self,
        world: &World,
        seamount: &Seamount,
        books: &BTreeMap<String, Ledger>,
        number: u64,
    ) -> Result<()> {
        let (mut service, came_up) = seamount.serve(&[]).context("the start on the image")?;
        arrive(world, &mut service, books)?;
        self.tally.starts.push(came_up);
        // The world goes on: what is written now must arrive, too.
        let mut stores = world.stores(self.options.seed ^ number)?;
        for store in &mut stores {
            for _ in 0..5 {
                store.trade()?;
            }
        }
        let books = stores.into_iter().map(|Store { name, ledger, .. }| (name, ledger)).collect();
        arrive(world, &mut service, &books)?;
        service.terminate(GRACE)?;
        let export = world.export().found_there()?;
        if number % 4 == 1 {
            judge(world, seamount, &books, &export)?;
        } else {
            judge_rows(world, seamount, &books, &export)?;
        }
        Ok(())
    }
}

impl Tally {
    fn figures(&mut self) -> String {
        self.starts.sort_unstable();
        let longest = self.starts.last().copied().unwrap_or_default();
        let median = self.starts.get(self.starts.len() / 2).copied().unwrap_or_default();
        format!(
            "{} images ({} taken again because the device was written), centre behind in {} of {}; 0 lost, 0 doubled, \
             0 halves; start on an image p50 {:.2} s, longest {:.2} s",
            self.images,
            self.again,
            self.behind,
            self.images.saturating_sub(3) * STORES.len() as u64,
            median.as_secs_f64(),
            longest.as_secs_f64(),
        )
    }
}
