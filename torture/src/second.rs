//! `two-engines` and `clone`: one engine at a time, by the lock of the state folder and by the target's epoch (F12).

use crate::crew::{Traders, Witness};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::random::Random;
use crate::seamount::{Running, Seamount, TEMPORARY};
use crate::signal;
use crate::stage::Stage;
use crate::verdict::{GRACE, arrive, judge, run_all_once, settle};
use crate::world::{World, copy};
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// Engines that are started at the same moment.
const RIVALS: usize = 4;

/// A second engine leaves within this.
const LEAVES_WITHIN: Duration = Duration::from_secs(1);

/// A second engine on one state folder.
///
/// # Errors
/// What did not hold.
pub(crate) fn two_engines(options: &Options) -> Result<Outcome> {
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

/// A copied state folder beside the first.
///
/// # Errors
/// What did not hold.
pub(crate) fn clone(options: &Options) -> Result<Outcome> {
    let rounds = options.cycles.unwrap_or(2);
    Stage::with(|stage| {
        let world = stage.world("world")?;
        let mut random = Random::part(options.seed, "clone");
        let traders = Traders::start(&world, options.seed)?;
        let mut export = world.export();
        export.write(&mut random)?;
        let seamount = world.seamount(&options.seamount);
        run_all_once(&seamount)?;
        let witness = Witness::start(&world)?;
        let mut refused = 0;
        for round in 1..=rounds {
            refused += older_copy(&world, options, &traders, round)
                .with_context(|| format!("round {round}"))?;
        }
        let books = traders.stop()?;
        let (mut first, _) = seamount.serve(&[])?;
        arrive(&world, &mut first, &books)?;
        first.terminate(GRACE)?;
        judge(&world, &seamount, &books, &export)?;
        let looks = witness.stop()?;
        Ok(Outcome::Held(format!(
            "{refused} starts of copies refused by the target's epoch; {looks} looks: nothing of theirs there"
        )))
    })
}

/// A copy from before the present start of the first: whatever it does, the target refuses it.
fn older_copy(world: &World, options: &Options, traders: &Traders, round: u64) -> Result<u64> {
    let folder = world.root().join(format!("copy-{round}"));
    copy(&world.project(), &folder)?;
    let copied = Seamount::new(&options.seamount, &folder, &world.root().join("said"));
    let (mut first, _) = world.seamount(&options.seamount).serve(&[])?;
    traders.wait_for(200)?;
    let mut refused = 0;
    for arguments in [
        &["run", "books", "--once"][..],
        &["run", "articles", "--once"],
        &["run", "sales", "--once"],
    ] {
        let said = copied.run(arguments)?;
        if said.code == Some(0) || !said.mentions("FENCED") {
            bail!("the copy's `{}` was not fenced: {}", arguments.join(" "), said.complaint());
        }
        refused += 1;
    }
    // As a service it stands fenced, or ends.
    let mut service = copied.start(&["run"])?;
    traders.wait_for(200)?;
    fenced(&copied, &mut service)?;
    drop(service);
    first.must_live()?;
    first.terminate(GRACE)?;
    Ok(refused + 1)
}

/// Waits until every event flow of an engine says that it is fenced, or the engine has ended with that word.
///
/// # Errors
/// It does not come to that.
pub(crate) fn fenced(engine: &Seamount, service: &mut Running) -> Result<()> {
    let began = Instant::now();
    loop {
        if !service.lives()? {
            let words = service.words();
            if words.contains("FENCED") || words.contains("E0501") {
                return Ok(());
            }
            bail!("the engine ended, but not fenced: {words}");
        }
        let said = engine.must(&["status"], 0)?;
        let stands = |flow: &str| {
            said.objects("flow").any(|line| {
                line["flow"] == flow
                    && line["health"] == "STOPPED"
                    && line["status"]["trouble"].to_string().contains("FENCED")
            })
        };
        if stands("books") && stands("articles") {
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(30) {
            bail!("not fenced after {:?}: {}", began.elapsed(), said.complaint());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
