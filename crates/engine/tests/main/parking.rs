//! Rows that a target refuses: another attempt, then a letter; later changes of the key wait behind it.

use crate::world::{World, event_flow, text};
use change::{ColumnType, Key, Op, Value};
use connect::memory::{CommitFault, Edit, OldImages, sample::shape};
use connect::{Fate, Kind, State as Named, Target};
use engine::{
    Applier, CaptureOrder, LaneCapture, Letter, LetterStatus, LettersReplayed, Step, Stepping,
    Unwatched, discard_letters, replay_letters,
};
use flow::TransactionMode;

fn world() -> World {
    let item = shape(&[("id", ColumnType::Int64), ("name", ColumnType::Text)], &["id"]);
    let world =
        World::new(&["shop"], &[("item", &item)], vec![event_flow("items", &["shop"], &["item"])]);
    world.target.refuse(|_, row| {
        (row[1] == Value::Text("bad".into())).then(|| "check \"name\" failed".to_string())
    });
    world
}

fn item(id: i64, name: &str) -> Vec<Value> {
    vec![Value::Int(id), text(name)]
}

fn drain(world: &World) -> connect::Result<engine::Drained> {
    let engine = world.engine();
    let flow = engine.flow("items").unwrap().clone();
    Stepping::open(&engine, &flow)?.drain(&Unwatched)
}

fn letters(world: &World) -> Vec<Letter> {
    let engine = world.engine();
    let identity = engine.identify(engine.flow("items").unwrap()).unwrap();
    engine.assembly.state.letters(identity.id, Some(LetterStatus::Parked)).unwrap()
}

#[test]
fn a_refused_row_is_parked_and_its_key_waits_behind_it() {
    let world = world();
    drain(&world).unwrap();
    let shop = &world.sources["shop"];
    shop.commit(&[Edit::insert("item", item(1, "good"))]).unwrap();
    shop.commit(&[Edit::insert("item", item(2, "bad"))]).unwrap();
    shop.commit(&[Edit::insert("item", item(3, "good"))]).unwrap();
    drain(&world).unwrap();
    shop.commit(&[Edit::update("item", [Value::Int(2)], item(2, "mended"))]).unwrap();
    shop.commit(&[Edit::update("item", [Value::Int(1)], item(1, "better"))]).unwrap();
    drain(&world).unwrap();
    assert_eq!(world.target.rows("item").unwrap(), vec![item(1, "better"), item(3, "good")]);
    let parked = letters(&world);
    assert_eq!(parked.len(), 2, "the change and the one behind it");
    assert!(parked[0].change.reason.contains("name"));
    assert!(parked.iter().all(|letter| letter.change.key == parked[0].change.key));
    let engine = world.engine();
    let identity = engine.identify(engine.flow("items").unwrap()).unwrap();
    let progress = world.target.open().progress(identity.id).unwrap().unwrap();
    let counters = progress.lanes.values().next().unwrap().counters;
    assert_eq!((counters.parked, counters.conserved()), (2, true), "{counters:?}");
}

#[test]
fn an_exact_flow_stops_instead() {
    let mut world = world();
    world.flows[0].events.transactions = TransactionMode::Exact;
    drain(&world).unwrap();
    world.sources["shop"].commit(&[Edit::insert("item", item(1, "bad"))]).unwrap();
    let error = drain(&world).unwrap_err();
    assert_eq!((error.kind, error.state), (Kind::Invalid, Some(Named::RowsRefused)));
    assert!(world.target.rows("item").unwrap().is_empty());
    assert!(letters(&world).is_empty());
}

#[test]
fn a_row_that_only_compaction_made_illegal_is_applied() {
    let world = world();
    world.target.accept();
    drain(&world).unwrap();
    let shop = &world.sources["shop"];
    shop.commit(&[Edit::insert("item", item(1, "x")), Edit::insert("item", item(2, "y"))]).unwrap();
    drain(&world).unwrap();
    world.target.unique("item", "name");
    // x -> tmp, y -> x, tmp -> y: legal step by step, illegal as a net upsert in key order.
    shop.commit(&[
        Edit::update("item", [Value::Int(1)], item(1, "tmp")),
        Edit::update("item", [Value::Int(2)], item(2, "x")),
        Edit::update("item", [Value::Int(1)], item(1, "y")),
    ])
    .unwrap();
    drain(&world).unwrap();
    assert_eq!(world.target.rows("item").unwrap(), vec![item(1, "y"), item(2, "x")]);
    assert!(letters(&world).is_empty());
}

/// Found in review: the share counted letters that had long been settled, so that the flow never went on.
#[test]
fn a_flow_that_parks_too_much_stops_until_its_letters_are_settled() {
    let mut world = world();
    world.flows[0].events.dead_letter.stop_at = 0.1;
    drain(&world).unwrap();
    let name = |id: i64| if id % 5 == 0 { "bad" } else { "good" };
    let rows: Vec<Edit> = (0..1_200).map(|id| Edit::insert("item", item(id, name(id)))).collect();
    world.sources["shop"].commit(&rows).unwrap();
    let error = drain(&world).unwrap_err();
    assert_eq!((error.kind, error.state), (Kind::Invalid, Some(Named::RowsRefused)));
    let waiting = letters(&world);
    assert_eq!(waiting.len(), 240);
    let ids: Vec<i64> = waiting.iter().map(|letter| letter.id).collect();
    let state = world.engine().assembly.state;
    state.settle(&ids, LetterStatus::Discarded, "known", 1).unwrap();
    world.sources["shop"].commit(&[Edit::insert("item", item(2_000, "good"))]).unwrap();
    drain(&world).unwrap();
    assert_eq!(world.target.rows("item").unwrap().len(), 961);
}

/// Found by seed 420 of the world: a snapshot read the rows again, and the letters from before it waited on; a replay
/// brought back what the snapshot had not found.
#[test]
fn a_snapshot_settles_the_letters_that_it_has_overtaken() {
    let world = world();
    drain(&world).unwrap();
    let shop = &world.sources["shop"];
    shop.commit(&[Edit::insert("item", item(2, "bad"))]).unwrap();
    drain(&world).unwrap();
    let before = letters(&world);
    assert_eq!(before.len(), 1);

    let engine = world.engine();
    engine.orders.place("shop", CaptureOrder::Snapshot { table: "item".into() });
    let flow = engine.flow("items").unwrap().clone();
    Stepping::open(&engine, &flow).unwrap().drain(&Unwatched).unwrap();

    let waiting = letters(&world);
    assert_eq!(waiting.len(), 1, "the row as the snapshot has read it");
    assert!(waiting[0].change.offset > before[0].change.offset);
    let identity = engine.identify(&flow).unwrap();
    let settled =
        engine.assembly.state.letters(identity.id, Some(LetterStatus::Discarded)).unwrap();
    assert_eq!(settled.len(), 1);
    assert_eq!(settled[0].id, before[0].id);
    assert!(settled[0].note.as_deref().unwrap().contains("a snapshot has read this key again"));
}

fn replay(world: &World) -> connect::Result<LettersReplayed> {
    let engine = world.engine();
    let flow = engine.flow("items").unwrap().clone();
    replay_letters(&engine, &flow, None, "by a test")
}

/// A world in which item 2 waits behind a letter, and the target accepts it from now on.
fn one_letter() -> World {
    let world = world();
    drain(&world).unwrap();
    world.sources["shop"].commit(&[Edit::insert("item", item(2, "bad"))]).unwrap();
    drain(&world).unwrap();
    assert_eq!(letters(&world).len(), 1);
    world.target.accept();
    world
}

fn of_status(world: &World, status: LetterStatus) -> Vec<Letter> {
    let engine = world.engine();
    let identity = engine.identify(engine.flow("items").unwrap()).unwrap();
    engine.assembly.state.letters(identity.id, Some(status)).unwrap()
}

/// Found by seed 2905 of the world: an older state folder knew nothing of a replay; its letters waited again, and
/// another replay brought back what was older than the target's rows.
#[test]
fn a_state_folder_that_is_set_back_revives_no_letter_that_was_replayed() {
    let world = one_letter();
    let copy = world.copy_state();
    assert_eq!(replay(&world).unwrap().applied, 1);
    world.put_state_back(&copy);
    assert_eq!(letters(&world).len(), 1, "the older copy believes that it waits");
    let shop = &world.sources["shop"];
    shop.commit(&[Edit::update("item", [Value::Int(2)], item(2, "newer"))]).unwrap();
    drain(&world).unwrap();
    assert!(letters(&world).is_empty());
    assert_eq!(replay(&world).unwrap().applied, 0);
    assert_eq!(world.target.rows("item").unwrap(), vec![item(2, "newer")]);
    let settled = of_status(&world, LetterStatus::Replayed);
    assert!(settled[0].note.as_deref().unwrap().contains("target"), "{settled:?}");
}

#[test]
fn a_state_folder_that_is_set_back_revives_no_letter_that_was_settled_otherwise() {
    for way in ["given up", "truncated", "read again"] {
        let world = one_letter();
        let engine = world.engine();
        let flow = engine.flow("items").unwrap().clone();
        let id = letters(&world)[0].id;
        let copy = world.copy_state();
        let shop = &world.sources["shop"];
        match way {
            "given up" => {
                assert_eq!(discard_letters(&engine, &flow, &[id], "known").unwrap(), 1);
            }
            "truncated" => {
                shop.commit(&[Edit::truncate("item")]).unwrap();
                drain(&world).unwrap();
            }
            _ => {
                shop.commit(&[Edit::delete("item", [Value::Int(2)])]).unwrap();
                engine.orders.place("shop", CaptureOrder::Snapshot { table: "item".into() });
                Stepping::open(&engine, &flow).unwrap().drain(&Unwatched).unwrap();
            }
        }
        drop(engine);
        assert!(letters(&world).is_empty(), "{way}");
        world.put_state_back(&copy);
        drain(&world).unwrap();
        let settled = of_status(&world, LetterStatus::Discarded);
        assert!(settled.iter().any(|letter| letter.id == id), "{way}");
        replay(&world).unwrap();
        let rows = world.target.rows("item").unwrap();
        assert!(rows.is_empty(), "{way}: {rows:?}");
    }
}

/// The state file said that the letter was replayed, and the target that was restored did not hold its row.
#[test]
fn a_target_that_is_set_back_behind_a_replay_has_its_letter_waiting_again() {
    let world = one_letter();
    let backup = world.target.backup();
    assert_eq!(replay(&world).unwrap().applied, 1);
    world.put_target_back(&backup);
    drain(&world).unwrap();
    let waiting = letters(&world);
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].note.as_deref().unwrap().contains("set back"));
    assert_eq!(replay(&world).unwrap().applied, 1);
    assert_eq!(world.target.rows("item").unwrap(), vec![item(2, "bad")]);
}

/// Behind its change, too: the change comes again, and no old settlement stands in its way or comes to life later.
#[test]
fn a_target_that_is_set_back_behind_a_letter_gets_its_change_again() {
    let world = world();
    drain(&world).unwrap();
    world.sources["shop"].commit(&[Edit::insert("item", item(1, "good"))]).unwrap();
    drain(&world).unwrap();
    let backup = world.target.backup();
    world.sources["shop"].commit(&[Edit::insert("item", item(2, "bad"))]).unwrap();
    drain(&world).unwrap();
    world.target.accept();
    assert_eq!(replay(&world).unwrap().applied, 1);
    world.put_target_back(&backup);
    world.target.accept();
    drain(&world).unwrap();
    assert_eq!(world.target.rows("item").unwrap(), vec![item(1, "good"), item(2, "bad")]);
    drain(&world).unwrap();
    assert!(letters(&world).is_empty(), "its change went through this time");
}

#[test]
fn what_a_person_gave_up_stays_given_up_when_the_target_is_set_back() {
    let world = one_letter();
    let backup = world.target.backup();
    let engine = world.engine();
    let flow = engine.flow("items").unwrap().clone();
    let id = letters(&world)[0].id;
    assert_eq!(discard_letters(&engine, &flow, &[id], "known").unwrap(), 1);
    assert_eq!(discard_letters(&engine, &flow, &[id], "known").unwrap(), 0, "it waits no more");
    let flow_id = engine.identify(&flow).unwrap().id;
    let recorded: Vec<Fate> = world.target.open().letters(flow_id).unwrap().into_values().collect();
    assert_eq!(recorded, [Fate::Discarded]);
    drop(engine);
    world.put_target_back(&backup);
    drain(&world).unwrap();
    assert!(letters(&world).is_empty());
    assert_eq!(of_status(&world, LetterStatus::Discarded)[0].note.as_deref(), Some("known"));
}

/// The end of a replay can be lost on either side of the target's commit.
#[test]
fn a_replay_whose_end_was_lost_is_done_once() {
    for (fault, again) in [(CommitFault::Unanswered, 0), (CommitFault::Lost, 1)] {
        let world = one_letter();
        world.target.fail_next_commit(fault);
        assert_eq!(replay(&world).unwrap_err().kind, Kind::Unavailable);
        assert_eq!(letters(&world).len(), 1, "the state file was not told");
        assert_eq!(replay(&world).unwrap().applied, again, "{fault:?}");
        assert_eq!(world.target.rows("item").unwrap(), vec![item(2, "bad")]);
        assert!(letters(&world).is_empty());
    }
}

/// What was set aside after the copy was made stood in the newer folder alone.
#[test]
fn letters_that_an_older_folder_lacks_come_from_the_log_again() {
    let world = world();
    drain(&world).unwrap();
    let shop = &world.sources["shop"];
    shop.commit(&[Edit::insert("item", item(1, "good"))]).unwrap();
    drain(&world).unwrap();
    let copy = world.copy_state();
    shop.commit(&[Edit::insert("item", item(2, "bad"))]).unwrap();
    shop.commit(&[Edit::insert("item", item(4, "bad"))]).unwrap();
    drain(&world).unwrap();
    shop.commit(&[Edit::update("item", [Value::Int(2)], item(3, "moved"))]).unwrap();
    shop.commit(&[Edit::delete("item", [Value::Int(4)])]).unwrap();
    drain(&world).unwrap();
    let known = |world: &World| -> Vec<_> {
        letters(world)
            .into_iter()
            .map(|l| (l.change.row, l.change.moved_from, l.change.op))
            .collect()
    };
    let before = known(&world);
    assert_eq!(before.len(), 4);
    world.put_state_back(&copy);
    assert!(letters(&world).is_empty());
    drain(&world).unwrap();
    assert_eq!(known(&world), before, "they wait as they did");
    shop.commit(&[Edit::update("item", [Value::Int(3)], item(3, "newer"))]).unwrap();
    drain(&world).unwrap();
    assert_eq!(letters(&world).len(), 5, "and their keys wait with them");
    world.target.accept();
    assert_eq!(replay(&world).unwrap().applied, 5);
    assert_eq!(world.target.rows("item").unwrap(), vec![item(1, "good"), item(3, "newer")]);
}

/// What a snapshot has read again since comes back from the log as little as from anywhere else.
#[test]
fn a_letter_that_a_snapshot_has_settled_does_not_come_back() {
    let world = world();
    drain(&world).unwrap();
    let copy = world.copy_state();
    let shop = &world.sources["shop"];
    shop.commit(&[Edit::insert("item", item(2, "bad"))]).unwrap();
    drain(&world).unwrap();
    shop.commit(&[Edit::delete("item", [Value::Int(2)])]).unwrap();
    let engine = world.engine();
    let flow = engine.flow("items").unwrap().clone();
    engine.orders.place("shop", CaptureOrder::Snapshot { table: "item".into() });
    Stepping::open(&engine, &flow).unwrap().drain(&Unwatched).unwrap();
    drop(engine);
    assert!(letters(&world).is_empty());
    world.put_state_back(&copy);
    drain(&world).unwrap();
    assert!(letters(&world).is_empty());
}

/// A snapshot's first chunk reads the new key of a row again; that the row left its old key is still to be done.
#[test]
fn a_letter_that_a_snapshot_has_settled_in_part_comes_back_in_part() {
    let world = world();
    let shop = &world.sources["shop"];
    let rows: Vec<Edit> = (1..=12_000).map(|id| Edit::insert("item", item(id, "good"))).collect();
    shop.commit(&rows).unwrap();
    drain(&world).unwrap();
    let copy = world.copy_state();
    shop.commit(&[Edit::update("item", [Value::Int(11_900)], item(0, "bad"))]).unwrap();
    drain(&world).unwrap();
    assert!(letters(&world)[0].change.moved_from.is_some());
    let engine = world.engine();
    let flow = engine.flow("items").unwrap().clone();
    let identity = engine.identify(&flow).unwrap();
    engine.orders.place("shop", CaptureOrder::Snapshot { table: "item".into() });
    let (site, tables) = engine::captured_tables(&engine.assembly.project).remove(0);
    let mut capture = LaneCapture::open(&engine.assembly, &engine.orders, &site, &tables).unwrap();
    let lane = engine.assembly.state.lane("shop").unwrap().unwrap().id;
    let end = || engine.assembly.log.tail(lane).unwrap().durable;
    let before = end();
    while end() == before {
        capture.step().unwrap();
    }
    let mut applier = Applier::open(&engine, &flow, &identity).unwrap();
    while applier.step().unwrap() != Step::Idle {}
    drop((capture, applier, engine));
    let known = |world: &World| -> Vec<_> {
        letters(world)
            .into_iter()
            .map(|l| (l.change.op, l.change.row, l.change.moved_from))
            .collect()
    };
    let left = known(&world);
    assert_eq!(left[0], (Op::Delete, item(11_900, "good"), None), "{left:?}");
    assert_eq!(left[1].1, item(0, "bad"), "the row as the chunk has read it");
    assert_eq!(left.len(), 2);
    world.put_state_back(&copy);
    assert!(letters(&world).is_empty());
    let engine = world.engine();
    drop(Applier::open(&engine, &flow, &identity).unwrap());
    drop(engine);
    assert_eq!(known(&world), left);
}

#[test]
fn letters_that_are_lost_with_an_older_folder_are_no_silence() {
    let world = world();
    drain(&world).unwrap();
    let copy = world.copy_state();
    let shop = &world.sources["shop"];
    shop.commit(&[Edit::insert("item", item(2, "bad"))]).unwrap();
    shop.commit(&[Edit::insert("item", item(3, "good"))]).unwrap();
    drain(&world).unwrap();
    world.put_state_back(&copy);
    let engine = world.engine();
    let lane = engine.assembly.state.lane("shop").unwrap().unwrap().id;
    let end = engine.assembly.log.tail(lane).unwrap().durable;
    engine.assembly.log.trim(lane, end).unwrap();
    drop(engine);
    let refused = drain(&world).unwrap_err();
    assert_eq!((refused.state, refused.code), (Some(Named::PositionLost), Some("E0522")));
    world.target.accept();
    let engine = world.engine();
    let flow = engine.flow("items").unwrap().clone();
    engine::resync(&engine, &flow, &Unwatched).unwrap();
    drop(engine);
    assert_eq!(world.target.rows("item").unwrap(), vec![item(2, "bad"), item(3, "good")]);
    drain(&world).unwrap();
    assert!(letters(&world).is_empty());
}

/// Letters of before a new generation are overtaken by its snapshots; its first commit says so.
#[test]
fn a_state_folder_set_back_into_the_beginning_of_a_generation_revives_none_of_the_one_before() {
    let world = one_letter();
    let engine = world.engine();
    let flow = engine.flow("items").unwrap().clone();
    let identity = engine.identify(&flow).unwrap();
    let id = letters(&world)[0].id;
    engine.assembly.state.renew(identity.id, change::Generation::mint(5)).unwrap();
    drop(engine);
    let copy = world.copy_state();
    drain(&world).unwrap();
    world.put_state_back(&copy);
    drain(&world).unwrap();
    assert!(letters(&world).iter().all(|letter| letter.id != id), "{:?}", letters(&world));
    assert_eq!(world.target.rows("item").unwrap(), vec![item(2, "bad")], "as the snapshot read it");
}

#[test]
fn a_target_that_cannot_be_reached_gives_no_letter_up() {
    let world = one_letter();
    let engine = world.engine();
    let flow = engine.flow("items").unwrap().clone();
    let id = letters(&world)[0].id;
    engine.open_target("central").unwrap();
    world.target.fail_next_commit(CommitFault::Lost);
    discard_letters(&engine, &flow, &[id], "known").unwrap_err();
    assert_eq!(letters(&world).len(), 1);
}

/// Found by a seed of the world: the old image held the key alone, and a refused change of the key put nulls in the place
/// of the row's other cells.
#[test]
fn a_refused_change_of_a_key_leaves_the_old_row_whole_also_where_only_its_key_was_sent() {
    let world = world();
    drain(&world).unwrap();
    let shop = &world.sources["shop"];
    shop.commit(&[Edit::insert("item", item(1, "good"))]).unwrap();
    drain(&world).unwrap();
    shop.send_old_images(OldImages::KeysAndChanged);
    shop.commit(&[Edit::update("item", [Value::Int(1)], item(2, "bad"))]).unwrap();
    drain(&world).unwrap();
    assert_eq!(world.target.rows("item").unwrap(), vec![item(1, "good")]);
    assert_eq!(letters(&world).len(), 1);
    world.target.accept();
    replay(&world).unwrap();
    assert_eq!(world.target.rows("item").unwrap(), vec![item(2, "bad")]);
}

/// A world whose items have a third column, which a change may leave as it was.
fn pictured() -> World {
    let columns =
        [("id", ColumnType::Int64), ("name", ColumnType::Text), ("picture", ColumnType::Text)];
    let item = shape(&columns, &["id"]);
    World::new(&["shop"], &[("item", &item)], vec![event_flow("items", &["shop"], &["item"])])
}

/// Three columns, of which a refused change sends two: the letter waits with what was sent, and a replay leaves the rest.
#[test]
fn a_change_in_part_that_is_set_aside_is_replayed_in_part() {
    let world = pictured();
    world.target.refuse(|_, row| {
        (row[1] == Value::Text("bad".into())).then(|| "check \"name\" failed".to_string())
    });
    let row = |id: i64, name: &str, picture: &str| vec![Value::Int(id), text(name), text(picture)];
    let shop = &world.sources["shop"];
    drain(&world).unwrap();
    shop.send_old_images(OldImages::KeysAndChanged);
    shop.commit(&[Edit::insert("item", row(1, "good", "large"))]).unwrap();
    shop.commit(&[Edit::insert("item", row(2, "bad", "larger"))]).unwrap();
    drain(&world).unwrap();
    for (id, name, picture) in [(1, "bad", "large"), (2, "mended", "larger")] {
        shop.commit(&[Edit::update("item", [Value::Int(id)], row(id, name, picture))]).unwrap();
    }
    drain(&world).unwrap();
    assert_eq!(world.target.rows("item").unwrap(), vec![row(1, "good", "large")]);
    let waiting = letters(&world);
    assert_eq!(waiting.len(), 3);
    assert!(waiting[1..].iter().all(|letter| letter.change.in_part
        && letter.change.columns == ["id", "name"]
        && letter.change.row.len() == 2));
    world.target.accept();
    replay(&world).unwrap();
    let expected = vec![row(1, "bad", "large"), row(2, "mended", "larger")];
    assert_eq!(world.target.rows("item").unwrap(), expected, "cells that were not sent stand");
}

/// A change in part whose row the target does not have cannot be written: it waits, and no row of nulls comes.
#[test]
fn a_change_in_part_to_a_row_that_is_not_there_waits() {
    let world = pictured();
    let row = |name: &str| vec![Value::Int(1), text(name), text("large")];
    let shop = &world.sources["shop"];
    drain(&world).unwrap();
    shop.send_old_images(OldImages::KeysAndChanged);
    shop.commit(&[Edit::insert("item", row("a"))]).unwrap();
    drain(&world).unwrap();
    world.target.tamper_delete("item", &[Key(vec![Value::Int(1)])]).unwrap();
    shop.commit(&[Edit::update("item", [Value::Int(1)], row("b"))]).unwrap();
    drain(&world).unwrap();
    assert_eq!(world.target.rows("item").unwrap(), Vec::<Vec<Value>>::new());
    assert!(letters(&world)[0].change.reason.contains("does not have the row"));
    assert_eq!(replay(&world).unwrap().refused, 1);
}
