//! Small scenes for what the world at large comes to only rarely: each is one way in which data was lost elsewhere.
//!
//! A scene has the world's oracle and no faults but its own; the seed varies what is done before it.

use super::plan::{Feature, Plan};
use super::story::World;
use crate::drill::{Drill, Violation};
use crate::random::Random;
use crate::world::machine::locked;
use change::Value;
use connect::memory::sample::{keys, rows};
use connect::memory::{CommitFault, Edit, OldImages};
use connect::{Bounds, Kind, Readable};
use engine::{Interval, Loader, RepairOrder, Stepping, Unwatched};
use flow::Mode;
use std::collections::BTreeSet;
use std::sync::Arc;

fn plan(seed: u64, features: &[Feature], most: usize) -> Plan {
    Plan {
        seed,
        acts: 0,
        features: features.iter().copied().collect::<BTreeSet<_>>(),
        sites: vec!["north".to_string()],
        bounds: Bounds { changes: most, bytes: usize::MAX },
    }
}

fn scene(
    seed: u64,
    features: &[Feature],
    most: usize,
    play: fn(&mut World, &mut Random) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let plan = plan(seed, features, most);
    let ran = crate::runner::guarded(|shared| {
        super::story::play(&plan, shared, |world| {
            let mut random = Random::new(seed);
            for _ in 0..random.below(6) {
                world.work();
            }
            world.come_to_rest()?;
            play(world, &mut random)
        })
    });
    ran.violation.map_or(Ok(()), Err)
}

/// A disk that does not answer holds the capture back; memory does not grow.
fn held_disk(seed: u64) -> Result<(), Violation> {
    scene(seed, &[Feature::SlowDisk], 1, |world, _| {
        world.outside.log.hold();
        for _ in 0..400 {
            world.work();
            world.capture("north")?;
        }
        world.observe()?;
        world.end()
    })
}

/// What is legal step by step and illegal as a net effect is applied in source order, and nothing is set aside.
fn unique_swap(seed: u64) -> Result<(), Violation> {
    scene(seed, &[], 100, |world, _| {
        world.outside.target.unique("account", "note");
        let source = world.outside.sources["north"].clone();
        let row =
            |key: i64, note: &str| [Value::Int(key), Value::Int(1), Value::Text(note.to_string())];
        let key = |key: i64| [Value::Int(key)];
        let both = [Edit::insert("account", row(50, "x")), Edit::insert("account", row(51, "y"))];
        source.commit(&both).expect("the keys are new");
        settle(world)?;
        let swap = [
            Edit::update("account", key(50), row(50, "between")),
            Edit::update("account", key(51), row(51, "x")),
            Edit::update("account", key(50), row(50, "y")),
        ];
        source.commit(&swap).expect("a source keeps its own rules");
        settle(world)?;
        let waiting = waiting_letters(world);
        if waiting > 0 {
            return Err(Violation::new(
                "C conservation",
                format!("{waiting} changes were set aside that are legal in source order"),
            ));
        }
        let rows = world.outside.target.rows("account").unwrap_or_default();
        let note = |key: i64| rows.iter().find(|row| row[0] == Value::Int(key)).map(|row| &row[2]);
        if note(50) != Some(&Value::Text("y".into())) || note(51) != Some(&Value::Text("x".into()))
        {
            return Err(Violation::new("E equal", "two rows that swapped a value did not arrive"));
        }
        Ok(())
    })
}

/// A cell that the source did not send is never written as null.
fn unsent_cell(seed: u64) -> Result<(), Violation> {
    scene(seed, &[], 100, |world, random| {
        let source = world.outside.sources["north"].clone();
        let key = 60 + random.below(9) as i64;
        let row = |value: i64| [Value::Int(key), Value::Int(value), Value::Text("kept".into())];
        source.commit(&[Edit::insert("account", row(1))]).expect("the key is new");
        settle(world)?;
        source.send_old_images(OldImages::KeysAndChanged);
        source.commit(&[Edit::update("account", [Value::Int(key)], row(2))]).expect("it is there");
        settle(world)?;
        world.replay_letters()?;
        let rows = world.outside.target.rows("account").unwrap_or_default();
        let found = rows.iter().find(|row| row[0] == Value::Int(key));
        let cell = found.map(|row| row[2].clone());
        if cell != Some(Value::Text("kept".into())) {
            return Err(Violation::new("E equal", "a cell that was not sent was written"));
        }
        let at_place = found.is_some_and(|row| row[1] == Value::Int(2));
        if !at_place && waiting_letters(world) == 0 {
            return Err(Violation::new("L loss is loud", "a change was dropped without a letter"));
        }
        Ok(())
    })
}

/// A letter whose commit was lost is dropped: its change comes again.
fn lost_parking(seed: u64) -> Result<(), Violation> {
    scene(seed, &[Feature::Parking], 100, |world, _| {
        locked(&world.business).well_behaved = true;
        let source = world.outside.sources["north"].clone();
        let row = [Value::Int(60), Value::Int(1), Value::Text("bad".into())];
        source.commit(&[Edit::insert("account", row)]).expect("the key is new");
        world.outside.target.fail_next_commit(CommitFault::Lost);
        let before = waiting_letters(world);
        for _ in 0..3 {
            world.capture("north")?;
        }
        while world.outside.target.commit_fails() {
            world.apply("books")?;
        }
        // The step took progress from the target again.
        if waiting_letters(world) > before {
            let what = "a letter beyond the target's progress was kept";
            return Err(Violation::new("C conservation", what));
        }
        settle(world)?;
        match waiting_letters(world) > before {
            true => Ok(()),
            false => Err(Violation::new("L loss is loud", "a refused row has no letter")),
        }
    })
}

/// What became of a letter stands in the target: a folder that is set back revives none, and a target that is set back
/// takes its letters back with it.
fn letters_set_back(seed: u64) -> Result<(), Violation> {
    let copied = match seed % 2 {
        0 => Feature::LogBackup,
        _ => Feature::TargetBackup,
    };
    scene(seed, &[Feature::Parking, copied], 100, |world, random| {
        let source = world.outside.sources["north"].clone();
        let key = 60 + random.below(9) as i64;
        let row = |value: i64, note: &str| {
            [Value::Int(key), Value::Int(value), Value::Text(note.to_string())]
        };
        world.outside.target.accept();
        world.outside.target.refuse(|table, row| {
            let bad = row[2] == Value::Text("bad".into());
            (table == "account" && bad).then(|| "check \"note\" failed".to_string())
        });
        source.commit(&[Edit::insert("account", row(1, "bad"))]).expect("the key is new");
        settle(world)?;
        let waiting = waiting_letters(world);
        world.back_up();
        world.outside.target.accept();
        world.replay_letters()?;
        world.restore()?;
        settle(world)?;
        let found = waiting_letters(world);
        let folder = world.has(Feature::LogBackup);
        if folder && found > 0 {
            let what = "an older folder revived a letter that was replayed";
            return Err(Violation::new("O order", what));
        }
        if !folder && found < waiting {
            let what = "a target that was set back lost what a replay had written";
            return Err(Violation::new("L loss is loud", what));
        }
        source
            .commit(&[Edit::update("account", [Value::Int(key)], row(2, "good"))])
            .expect("there");
        settle(world)?;
        world.replay_letters()?;
        let rows = world.outside.target.rows("account").unwrap_or_default();
        match rows.iter().any(|there| there[..3] == row(2, "good")) {
            true => Ok(()),
            false => Err(Violation::new("E equal", "a change behind a letter did not arrive")),
        }
    })
}

/// A log behind its target is a named state, not a place to go on from.
fn older_folder(seed: u64) -> Result<(), Violation> {
    scene(seed, &[Feature::LogBackup], 100, |world, _| {
        world.back_up();
        (0..4).for_each(|_| world.work());
        settle(world)?;
        world.restore()?;
        world.apply("books")?;
        if !world.stopped.contains_key("books") {
            let what = "a target ahead of its log was written as if nothing were";
            return Err(Violation::new("L loss is loud", what));
        }
        world.end()
    })
}

/// A repair never brings back what the log has overtaken.
fn late_repair(seed: u64) -> Result<(), Violation> {
    scene(seed, &[], 100, |world, random| {
        let source = world.outside.sources["north"].clone();
        let key = 60 + random.below(9) as i64;
        let row = |value: i64| vec![Value::Int(key), Value::Int(value), Value::Null];
        source.commit(&[Edit::insert("account", row(1))]).expect("the key is new");
        settle(world)?;
        let engine = world.room.engine.clone();
        let lane = edge(engine.assembly.state.lane("north"))?.expect("it was captured").id;
        let known_at = edge(engine.assembly.log.tail(lane))?.durable;
        source.commit(&[Edit::update("account", [Value::Int(key)], row(2))]).expect("it is there");
        settle(world)?;
        let schema = edge(world.outside.target.open().describe("account"))?;
        let (sender, _told) = std::sync::mpsc::channel();
        engine.repairs.place(RepairOrder {
            flow: "books".into(),
            lane,
            table: "account".into(),
            known_at,
            rows: rows(&schema, &[row(1)]),
            gone: keys(&schema, &[]),
            outcome: sender,
        });
        settle(world)?;
        let there = world.outside.target.rows("account").unwrap_or_default();
        match there.contains(&row(2)) {
            true => Ok(()),
            false => Err(Violation::new("O order", "a repair overwrote a newer change")),
        }
    })
}

/// A run that was opened before a flow's definition changed publishes nothing any more.
fn late_run(seed: u64) -> Result<(), Violation> {
    scene(seed, &[], 100, |world, _| {
        world.set_mode(Mode::Batch)?;
        let engine = world.room.engine.clone();
        let flow = world.definitions.flow("books").clone();
        let identity = edge(engine.identify(&flow))?;
        let mut loader = edge(Loader::open(&engine, &flow, &identity, &Unwatched))?;
        world.definitions.flow_mut("books").mode = Mode::Event;
        let mut newer = engine.clone();
        newer.assembly.project = Arc::new(world.definitions.project(&world.folder));
        let flow = world.definitions.flow("books").clone();
        edge(edge(Stepping::open(&newer, &flow))?.drain(&Unwatched))?;
        world.work();
        let before = world.outside.target.backup();
        let late = edge(loader.run(&Interval::of_tables("late", "late"), "scene"))?;
        drop(loader);
        let published = late.published.is_some();
        let why = late.error.map(|e| e.kind);
        if published || why != Some(Kind::Conflict) || world.outside.target.backup() != before {
            return Err(Violation::new(
                "F fencing",
                "a run of an older generation was published over what a newer one had written",
            ));
        }
        world.set_mode(Mode::Event)?;
        world.end()
    })
}

/// Steps until nothing moves.
fn settle(world: &mut World) -> Result<(), Violation> {
    for _ in 0..60 {
        world.capture("north")?;
        world.apply("books")?;
    }
    Ok(())
}

fn waiting_letters(world: &World) -> usize {
    let identity = world.identity(world.definitions.flow("books")).expect("the flow has begun");
    let state = &world.room.engine.assembly.state;
    state.letters(identity.id, Some(engine::LetterStatus::Parked)).map_or(0, |all| all.len())
}

fn edge<T>(done: connect::Result<T>) -> Result<T, Violation> {
    done.map_err(|e| Violation::new("V live", e.to_string()))
}

/// The drills of this part.
pub(super) fn drills() -> Vec<Drill> {
    let drill = |name, about, run| Drill { name, about, seeds_in_ci: 10, run };
    vec![
        drill("held-disk", "a disk that does not answer holds the capture back", held_disk),
        drill("unique-swap", "what only compaction made illegal is applied", unique_swap),
        drill("unsent-cell", "a cell that was not sent is never null", unsent_cell),
        drill("lost-parking", "a letter whose commit was lost is dropped", lost_parking),
        drill("letters-set-back", "what became of letters stands in the target", letters_set_back),
        drill("older-folder", "a log behind its target stops the flow", older_folder),
        drill("late-repair", "a repair never overwrites a newer change", late_repair),
        drill("late-run", "a run of an older generation publishes nothing", late_run),
    ]
}
