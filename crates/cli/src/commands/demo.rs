//! `demo`: stores, a centre, events, a night's batch; things are broken on purpose, found, and mended.
//!
//! Every command shown is the real one, run in this process. What is right at the end is decided by plain SQL.

mod stage;

use crate::args::{Demo, Typed};
use crate::exit::{DIFFERENT, DONE, FAILED, Failure, UNREACHABLE};
use crate::output::Output;
use crate::time::{count, span};
use clap::Parser;
use connect::{Clock, Error, SystemClock};
use serde_json::json;
use stage::Stage;
use std::path::{Path, PathBuf};

/// Removes the scratch folder at the end, unless it was asked for.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed lies in the temporary folder and goes with it.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A demo under way.
struct Show<'o> {
    folder: PathBuf,
    output: &'o Output,
    unexpected: Vec<String>,
}

impl Show<'_> {
    fn tell(&self, text: &str) {
        self.output.line(&format!("\n# {text}"));
    }

    /// Types a command. An exit code other than the one expected is remembered.
    fn type_in(&mut self, line: &str, expected: u8) -> Result<(), Failure> {
        self.output.line(&format!("$ seamount {line}"));
        let words = line.split_whitespace().map(String::from);
        let folder = self.folder.to_string_lossy().into_owned();
        let arguments = ["seamount".to_string(), "-C".into(), folder].into_iter().chain(words);
        let typed = Typed::try_parse_from(arguments)
            .map_err(|e| Error::internal("the demo typed a wrong command").caused_by(e))?;
        let output = Output::new(&typed.global);
        let code = match super::run(&typed, &output) {
            Ok(code) => code,
            Err(failure) => failure.tell(&output),
        };
        if code != expected {
            self.unexpected.push(format!("`{line}` ended with {code}, not {expected}"));
        }
        Ok(())
    }
}

pub(crate) fn run(what: &Demo, output: &Output) -> Result<u8, Failure> {
    let clock = SystemClock::default();
    let folder = match &what.keep {
        Some(path) => Folder { path: path.clone(), keep: true },
        None => {
            let name = format!("seamount-demo-{}-{}", std::process::id(), clock.now());
            Folder { path: std::env::temp_dir().join(name), keep: false }
        }
    };
    if folder.path.join("seamount.toml").exists() {
        return Err(Failure::Usage(format!("{} holds a project already", folder.path.display())));
    }
    let began = clock.steady();
    let stage = Stage::build(&folder.path)?;
    let mut show = Show { folder: folder.path.clone(), output, unexpected: Vec::new() };
    let found = play(&mut show, &stage)?;
    let (rows, wrong) = stage.compare()?;
    let took = span(u64::try_from((clock.steady() - began).as_micros()).unwrap_or(u64::MAX));
    for line in &show.unexpected {
        output.talk(&format!("unexpected: {line}"));
    }
    let held = wrong == 0 && found == INJECTED && show.unexpected.is_empty();
    let verdict = if held { "EQUAL, proved" } else { "NOT EQUAL" };
    let central = rows - wrong;
    let text = format!(
        "demo: {} rows in, {} out; {INJECTED} faults injected, {found} found; {verdict}; {took}",
        count(rows),
        count(central)
    );
    let fields = [
        ("rows_in", json!(rows)),
        ("rows_out", json!(central)),
        ("faults_injected", json!(INJECTED)),
        ("faults_found", json!(found)),
        ("equal", json!(held)),
    ];
    output.line("");
    output.summary(&text, &fields);
    Ok(if held { DONE } else { FAILED })
}

/// A store down, a row that the centre refuses, an event lost, two rows of the centre changed by hand.
const INJECTED: u64 = 5;

/// Plays the whole piece; returns the number of faults that were found.
fn play(show: &mut Show<'_>, stage: &Stage) -> Result<u64, Failure> {
    let mut found = 0;
    show.tell("Three stores, a centre, and a folder of nightly exports. What would happen?");
    show.type_in("plan", DONE)?;
    show.tell("Events: stock of every store, first by snapshot, then change by change.");
    show.type_in("run inventory --once", DONE)?;
    stage.trade(200)?;
    show.type_in("run inventory --once", DONE)?;
    show.tell("Batch: three nights of sales, all or nothing, each night once.");
    show.type_in("run sales --once", DONE)?;
    show.type_in("run sales --once", DONE)?;
    show.tell("Fault 1: the store in Oslo goes down. The others go on.");
    stage.power("oslo", false)?;
    stage.count_below_zero(80)?;
    let before = show.unexpected.len();
    show.type_in("run inventory --once", UNREACHABLE)?;
    found += u64::from(show.unexpected.len() == before);
    stage.power("oslo", true)?;
    show.tell("Fault 2: Berlin counts -5 pieces, which the centre's own rule forbids.");
    stage.count_below_zero(-5)?;
    show.type_in("run inventory --once", DIFFERENT)?;
    show.type_in("dlq list inventory", DONE)?;
    found += letters(&show.folder)?;
    show.tell(
        "Berlin counts again; the new row waits behind the refused one until that is settled.",
    );
    stage.count_below_zero(12)?;
    show.type_in("dlq discard inventory 1 --because counted-again", DONE)?;
    show.type_in("run inventory --once", DONE)?;
    show.tell("Faults 3, 4, 5: an event is lost in Madrid; somebody doubles one row of the centre and changes another.");
    stage.lose_an_event()?;
    stage.meddle()?;
    let before = show.unexpected.len();
    show.type_in("reconcile inventory", DIFFERENT)?;
    if show.unexpected.len() == before {
        found += differences(&show.folder)?;
    }
    show.tell("Repaired: exactly those rows, and proved again.");
    show.type_in("reconcile inventory --repair", DONE)?;
    show.type_in("certificate verify inventory", DONE)?;
    show.type_in("status", DONE)?;
    Ok(found)
}

fn state(folder: &Path) -> Result<engine::State, Failure> {
    let state = engine::State::open_read_only(&folder.join(".seamount/state.db"))?;
    Ok(state.ok_or_else(|| Error::internal("the demo has no state"))?)
}

/// Letters that wait.
fn letters(folder: &Path) -> Result<u64, Failure> {
    let state = state(folder)?;
    let Some(flow) = state.flow("inventory")? else { return Ok(0) };
    Ok(state.letters_waiting(flow.id)?)
}

/// Rows that the newest certificate of each store found different.
fn differences(folder: &Path) -> Result<u64, Failure> {
    let state = state(folder)?;
    let Some(flow) = state.flow("inventory")? else { return Ok(0) };
    let mut newest = std::collections::BTreeMap::new();
    for stored in state.certificates(Some(flow.id))? {
        if let Ok(certificate) = proof::Certificate::read(&stored.body) {
            newest.insert(certificate.site.clone(), certificate.differences.len() as u64);
        }
    }
    Ok(newest.values().sum())
}
