//! `clone`: a copied state folder beside the first. One of the two may write, and the target says which (F12).

use crate::crew::{Traders, Witness};
use crate::export::Export;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::random::Random;
use crate::seamount::{Running, Said, Seamount};
use crate::signal;
use crate::stage::Stage;
use crate::verdict::{GRACE, arrive, judge, run_all_once, settle};
use crate::world::{World, copy};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::time::{Duration, Instant};

/// With changes to apply, an engine notices that it has no place any more within this.
const FENCED_WITHIN: Duration = Duration::from_secs(30);

/// Runs it.
///
/// # Errors
/// What did not hold.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let rounds = options.cycles.unwrap_or(2);
    Stage::with(|stage| {
        let (refused, looks) = older_copies(stage, options, rounds)?;
        let ends = living_copies(stage, options, rounds)?;
        Ok(Outcome::Held(format!(
            "{refused} starts of older copies refused; {looks} looks: nothing of theirs there; {rounds} copies of the \
             moment: the first stayed {} times, the copy {}, neither {}; 0 lost, 0 doubled",
            ends.first, ends.copy, ends.neither
        )))
    })
}

fn older_copies(stage: &Stage, options: &Options, rounds: u64) -> Result<(u64, u64)> {
    let world = stage.world("older")?;
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
            .with_context(|| format!("round {round}, an older copy"))?;
    }
    let books = traders.stop()?;
    let (mut first, _) = seamount.serve(&[])?;
    arrive(&world, &mut first, &books)?;
    first.terminate(GRACE)?;
    judge(&world, &seamount, &books, &export)?;
    Ok((refused, witness.stop()?))
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
        refused_by_name(&said).with_context(|| format!("the copy's `{}`", arguments.join(" ")))?;
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

/// Who stayed when a copy of the moment was started.
#[derive(Debug, Default)]
struct Ends {
    first: u64,
    copy: u64,
    neither: u64,
}

/// Copies of the moment: the first lives and goes on. Such a copy cannot be told from an engine that was killed and
/// started again; so the target is its own when its log is the one that the target knows, and it stops when it is not.
fn living_copies(stage: &Stage, options: &Options, rounds: u64) -> Result<Ends> {
    let world = stage.world("moment")?;
    let mut random = Random::part(options.seed, "moment");
    let traders = Traders::start(&world, options.seed ^ 1)?;
    let mut export = world.export();
    export.write(&mut random)?;
    let mut engine = world.seamount(&options.seamount);
    let mut project = world.project();
    run_all_once(&engine)?;
    let mut ends = Ends::default();
    for round in 1..=rounds {
        let folder = world.root().join(format!("moment-{round}"));
        let copied = Seamount::new(&options.seamount, &folder, &world.root().join("said"));
        let (mut first, _) = engine.serve(&[])?;
        traders.wait_for(100)?;
        traders.halted(|_| {
            signal::stop(first.pid())?;
            let done = copy(&project, &folder);
            signal::send(first.pid(), "CONT")?;
            done
        })?;
        traders.wait_for(random.below(60))?;
        let mut second = copied.start(&["run"])?;
        match rivalry((&engine, &mut first), (&copied, &mut second))? {
            Stays::First => ends.first += 1,
            Stays::Copy => {
                ends.copy += 1;
                (engine, project) = (copied, folder.clone());
            }
            Stays::Neither => ends.neither += 1,
        }
        drop((first, second));
        traders
            .halted(|books| {
                come_back(&world, &engine)?;
                settle(&world, &engine, books, &export_in(&export, &project))
            })
            .with_context(|| format!("round {round}, after {ends:?}"))?;
    }
    Ok(ends)
}

enum Stays {
    First,
    Copy,
    Neither,
}

/// Waits until it is decided who stays.
fn rivalry(
    (first, running): (&Seamount, &mut Running),
    (copied, second): (&Seamount, &mut Running),
) -> Result<Stays> {
    let began = Instant::now();
    loop {
        let first_out = stands_out(first, running)?;
        let second_out = stands_out(copied, second)?;
        match (first_out, second_out) {
            (true, true) => return Ok(Stays::Neither),
            (true, false) if began.elapsed() > FENCED_WITHIN / 10 => return Ok(Stays::Copy),
            (false, true) if began.elapsed() > FENCED_WITHIN / 10 => return Ok(Stays::First),
            _ if began.elapsed() > FENCED_WITHIN => {
                bail!("both engines work on one target after {:?}", began.elapsed());
            }
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Gives an engine its place back, as an operator would: by force, and with a new snapshot where the sources have let go
/// of what only the other one has read.
fn come_back(world: &World, engine: &Seamount) -> Result<()> {
    let said = engine.run(&["run", "books", "--once", "--take-over"])?;
    if said.code == Some(0) {
        return engine.must(&["run", "articles", "--once"], 0).map(drop);
    }
    refused_by_name(&said)?;
    for flow in ["books", "articles"] {
        engine.must(&["resync", flow, "--take-over"], 0).with_context(|| {
            format!("the way out of {} in {}", said.complaint(), world.root().display())
        })?;
    }
    Ok(())
}

/// The export as a copied project sees it.
pub(crate) fn export_in(export: &Export, folder: &Path) -> Export {
    let mut copied = Export::new(&folder.join("export"));
    copied.newest = export.newest.clone();
    copied
}

/// A command of an engine that has lost its place must end with the name of a state: fenced, or behind in what its log or
/// the sources hold.
///
/// # Errors
/// It has done something, or says something else.
pub(crate) fn refused_by_name(said: &Said) -> Result<()> {
    if said.code == Some(0) || !STATES.iter().any(|state| said.mentions(state)) {
        bail!("it was not refused by name: {}", said.complaint());
    }
    Ok(())
}

const STATES: [&str; 3] = ["FENCED", "POSITION_LOST", "LOG_BEHIND_TARGET"];

/// Whether an engine has ended or stopped its event flows, for a reason that has a name.
fn stands_out(engine: &Seamount, service: &mut Running) -> Result<bool> {
    if !service.lives()? {
        let words = service.words();
        if STATES.iter().any(|state| words.contains(state)) {
            return Ok(true);
        }
        bail!("the engine ended, and not by a named state: {words}");
    }
    let said = engine.must(&["status"], 0)?;
    let stands = |flow: &str| {
        said.objects("flow").any(|line| {
            line["flow"] == flow
                && line["health"] == "STOPPED"
                && STATES.iter().any(|state| line.to_string().contains(state))
        })
    };
    Ok(stands("books") && stands("articles"))
}

/// Waits until every event flow of an engine says that it is fenced, or the engine has ended with that word.
///
/// # Errors
/// It does not come to that.
pub(crate) fn fenced(engine: &Seamount, service: &mut Running) -> Result<()> {
    let began = Instant::now();
    while !stands_fenced(engine, service)? {
        if began.elapsed() > FENCED_WITHIN {
            let said = engine.run(&["status"])?;
            bail!("not fenced after {:?}: {}", began.elapsed(), said.complaint());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Whether every event flow of an engine says that it is fenced, or the engine has ended with that word.
fn stands_fenced(engine: &Seamount, service: &mut Running) -> Result<bool> {
    if !service.lives()? {
        let words = service.words();
        if words.contains("FENCED") || words.contains("E0501") {
            return Ok(true);
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
    Ok(stands("books") && stands("articles"))
}
