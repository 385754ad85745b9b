//! Rows that a target refuses: another attempt, then a letter; later changes of the key wait behind it.

use crate::world::{World, event_flow, text};
use change::{ColumnType, Value};
use connect::memory::{Edit, sample::shape};
use connect::{Kind, State as Named, Target};
use engine::{CaptureOrder, Letter, LetterStatus, Stepping, Unwatched};
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
