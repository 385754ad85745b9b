//! `two-engines`: one engine at a time on a state folder, by its lock; whoever comes second is told who the first is (F12).

use crate::crew::{Traders, Witness};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::random::Random;
use crate::seamount::{Running, Seamount, TEMPORARY};
use crate::signal;
use crate::stage::Stage;
use crate::verdict::{GRACE, run_all_once, settle};
use crate::world::World;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// Engines that are started at the same moment.
const RIVALS: usize = 4;

/// A second engine leaves within this.
const LEAVES_WITHIN: Duration = Duration::from_secs(1);

/// Runs it.
///
/// # Errors
/// What did not hold.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let rounds = options.cycles.unwrap_or(3);
    Stage::with(|stage| {
        let world = stage.world("world")?;
        let seamount = world.seamount(&options.seamount);
        let mut random = Random::part(options.seed, "two-engines");
        let traders = Traders::start(&world, options.seed)?;
        let mut export = world.export();
        export.write(&mut random)?;
        run_all_once(&seamount)?;
        let witness = Witness::start(&world)?;
        let mut refused = Vec::new();
        for round in 1..=rounds {
            refused.extend(
                refusals(&seamount, &mut random).with_context(|| format!("round {round}"))?,
            );
            reused_id(&world, &seamount).with_context(|| format!("round {round}"))?;
            race(&seamount).with_context(|| format!("round {round}"))?;
        }
        let books = traders.stop()?;
        settle(&world, &seamount, &books, &export)?;
        let looks = witness.stop()?;
        refused.sort_unstable();
        let quickest = refused.first().copied().unwrap_or_default();
        let slowest = refused.last().copied().unwrap_or_default();
        if quickest > LEAVES_WITHIN {
            bail!("even the quickest refusal took {quickest:?}");
        }
        Ok(Outcome::Held(format!(
            "{} second engines refused with the holder's name in {:.2} to {:.2} s; {rounds} races of {RIVALS} won by \
             one each; stale locks and reused ids are no obstacle; {looks} looks",
            refused.len(),
            quickest.as_secs_f64(),
            slowest.as_secs_f64(),
        )))
    })
}

/// Second engines while the first works, and while it sleeps; then it is killed and its lock is free.
fn refusals(seamount: &Seamount, random: &mut Random) -> Result<Vec<Duration>> {
    let (first, _) = seamount.serve(&[])?;
    let mut took = Vec::new();
    let mut refuse = |arguments: &[&str]| -> Result<()> {
        let said = seamount.must(arguments, TEMPORARY)?;
        if !said.mentions("E0518") || !said.mentions(&format!("process {} on ", first.pid())) {
            bail!("the holder is not named: {}", said.complaint());
        }
        took.push(said.took);
        Ok(())
    };
    for arguments in [&["run"][..], &["run", "books", "--once"], &["run", "--take-over"]] {
        refuse(arguments)?;
    }
    signal::stop(first.pid())?;
    refuse(&["run"]).context("while the first sleeps")?;
    signal::send(first.pid(), "CONT")?;
    std::thread::sleep(Duration::from_millis(random.below(200)));
    first.kill()?;
    let (next, _) = seamount.serve(&[]).context("after kill -9")?;
    next.terminate(GRACE)?;
    Ok(took)
}

/// The lock's file names a process that lives, but is another one: ids are given again.
fn reused_id(world: &World, seamount: &Seamount) -> Result<()> {
    let (first, _) = seamount.serve(&[])?;
    let lock = world.state().join("lock");
    let text = std::fs::read_to_string(&lock).context("the lock's file")?;
    let ours = text
        .replace(&format!("\"pid\":{},", first.pid()), &format!("\"pid\":{},", std::process::id()));
    if ours == text {
        bail!("the lock's file does not name its holder: {text}");
    }
    first.kill()?;
    std::fs::write(&lock, ours)?;
    let said = seamount.must(&["status"], 0)?;
    if said.mentions("running since") {
        bail!("status takes a stranger for the engine: {}", said.complaint());
    }
    let (next, _) = seamount.serve(&[]).context("with a stranger's id in the lock")?;
    next.terminate(GRACE).map(drop)
}

/// Several engines at the same moment: one works, the others leave.
fn race(seamount: &Seamount) -> Result<()> {
    let mut rivals =
        (0..RIVALS).map(|_| seamount.start(&["run"])).collect::<Result<Vec<Running>>>()?;
    let began = Instant::now();
    let mut ready = 0;
    while rivals.len() > 1 || ready == 0 {
        let mut still = Vec::new();
        for mut rival in rivals {
            if rival.lives()? {
                still.push(rival);
                continue;
            }
            let said = rival.end_within(LEAVES_WITHIN)?;
            if said.code != Some(TEMPORARY) {
                bail!("a rival left with {}", said.complaint());
            }
        }
        ready = still.iter().filter(|rival| rival.is_ready()).count();
        if still.is_empty() || ready > 1 {
            bail!("{ready} of {RIVALS} engines work on one state folder");
        }
        if began.elapsed() > GRACE {
            bail!("{} engines are left after {GRACE:?}, {ready} work", still.len());
        }
        rivals = still;
        std::thread::sleep(Duration::from_millis(5));
    }
    for winner in rivals {
        winner.terminate(GRACE)?;
    }
    Ok(())
}
