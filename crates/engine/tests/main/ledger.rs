//! Ledgers as the engine keeps them: folded behind the log, found again by the next engine, begun anew where they must.

use crate::world::{World, event_flow, text};
use change::{Column, ColumnType, Offset, Value};
use connect::Log;
use connect::memory::{Edit, sample::shape};
use engine::{ByHand, Engine, LedgerNote, Mending, Reconciliation, Stepping, Unwatched};
use flow::{Flow, Mode};
use proof::{Side, Tier, Verdict};

fn item(id: i64, name: &str) -> Vec<Value> {
    vec![Value::Int(id), text(name)]
}

fn world(rows: i64) -> World {
    let shape = shape(&[("id", ColumnType::Int64), ("name", ColumnType::Text)], &["id"]);
    let world =
        World::new(&["shop"], &[("item", &shape)], vec![event_flow("items", &["shop"], &["item"])]);
    let all: Vec<Edit> = (0..rows).map(|id| Edit::insert("item", item(id, "old"))).collect();
    world.sources["shop"].commit(&all).unwrap();
    world
}

fn flow(engine: &Engine) -> Flow {
    engine.flow("items").unwrap().clone()
}

/// Moves everything, and proves it by the ledger.
fn check(engine: &Engine, mending: Mending) -> Reconciliation {
    reconcile(engine, Tier::Ledger, mending)
}

fn reconcile(engine: &Engine, tier: Tier, mending: Mending) -> Reconciliation {
    let flow = flow(engine);
    let mut stepping = Stepping::open(engine, &flow).unwrap();
    stepping.drain(&Unwatched).unwrap();
    let mut motion = ByHand { stepping: &mut stepping, apply: flow.apply() };
    engine::reconcile(engine, &flow, tier, mending, &mut motion, &Unwatched).unwrap()
}

fn note(engine: &Engine) -> LedgerNote {
    let identity = engine.identify(&flow(engine)).unwrap();
    engine.assembly.state.ledger_notes(identity.id).unwrap().remove(0)
}

#[test]
fn a_ledger_proves_its_table_and_is_found_again_by_the_next_engine() {
    let world = world(3000);
    let engine = world.engine();
    assert_eq!(check(&engine, Mending::Dry).verdict(), Verdict::Equal);
    let first = note(&engine);
    assert_eq!((first.rows, first.whole, first.epoch, first.dirty), (3000, true, 2, 0));
    assert!(first.leaves >= 3, "{first:?}");
    drop(engine);

    let shop = &world.sources["shop"];
    shop.commit(&[Edit::update("item", [Value::Int(7)], item(7, "new"))]).unwrap();
    shop.commit(&[Edit::delete("item", [Value::Int(8)])]).unwrap();
    let engine = world.engine();
    let done = check(&engine, Mending::Dry);
    assert_eq!(done.verdict(), Verdict::Equal);
    assert_eq!((done.found[0].tier, done.found[0].source_rows), (Tier::Ledger, 0));
    let second = note(&engine);
    assert_eq!((second.rows, second.epoch), (2999, first.epoch), "it went on where it was");
    assert!(second.offset > first.offset);
    let newest = engine.assembly.state.certificates(None).unwrap().pop().unwrap();
    let certificate = proof::Certificate::read(&newest.body).unwrap();
    assert_eq!(certificate.method, "ledger");
}

#[test]
fn damage_is_named_and_mended_by_the_ledger() {
    let world = world(50);
    let engine = world.engine();
    assert_eq!(check(&engine, Mending::Dry).verdict(), Verdict::Equal);
    let target = &world.target;
    target.tamper("item", vec![item(4, "foreign"), item(1000, "ghost")]).unwrap();
    target.tamper_delete("item", &[change::Key(vec![Value::Int(5)])]).unwrap();
    let found = check(&engine, Mending::Dry);
    let named: Vec<(&str, Side)> =
        found.found[0].differences.iter().map(|d| (d.kind.name(), d.side)).collect();
    let expected = [("changed", Side::Foreign), ("missing", Side::Apply), ("extra", Side::Foreign)];
    assert_eq!(named, expected);
    let limits = proof::Limits { max_rows: 10, max_share: 1.0 };
    let mended = check(&engine, Mending::Within(limits));
    assert_eq!((mended.verdict(), mended.repaired), (Verdict::Equal, 3));
    assert_eq!(target.rows("item").unwrap().len(), 50);
}

#[test]
fn another_generation_begins_its_ledger_anew() {
    let mut world = world(20);
    let engine = world.engine();
    assert_eq!(check(&engine, Mending::Dry).verdict(), Verdict::Equal);
    drop(engine);
    world.flows[0].tables[0].target = "goods".into();
    let engine = world.engine();
    assert_eq!(check(&engine, Mending::Dry).verdict(), Verdict::Equal);
    let identity = engine.identify(&flow(&engine)).unwrap();
    let notes = engine.assembly.state.ledger_notes(identity.id).unwrap();
    assert_eq!(notes.iter().filter(|note| note.table == "goods" && note.whole).count(), 1);
}

#[test]
fn a_column_that_is_added_folds_the_log_once_more() {
    let world = world(20);
    let engine = world.engine();
    assert_eq!(check(&engine, Mending::Dry).verdict(), Verdict::Equal);
    let shop = &world.sources["shop"];
    shop.add_column("item", Column::new("note", ColumnType::Text, true)).unwrap();
    let mut row = item(3, "new");
    row.push(text("noted"));
    shop.commit(&[Edit::update("item", [Value::Int(3)], row)]).unwrap();
    let done = check(&engine, Mending::Dry);
    assert_eq!(done.verdict(), Verdict::Equal, "{:?}", done.found[0]);
    assert_eq!(done.found[0].columns, ["id", "name", "note"]);
    assert_eq!(note(&engine).rows, 20);
}

#[test]
fn dropped_ledgers_are_folded_again_from_the_log() {
    let world = world(20);
    let engine = world.engine();
    assert_eq!(check(&engine, Mending::Dry).verdict(), Verdict::Equal);
    let identity = engine.identify(&flow(&engine)).unwrap();
    engine.ledgers.forget(&engine.assembly, &identity).unwrap();
    assert_eq!(engine.assembly.state.ledger_notes(identity.id).unwrap(), []);
    assert_eq!(check(&engine, Mending::Dry).verdict(), Verdict::Equal);
    // Where the log has no snapshot any more there is nothing to fold: never EQUAL.
    let lane = engine.assembly.state.lane("shop").unwrap().unwrap().id;
    engine.ledgers.forget(&engine.assembly, &identity).unwrap();
    world.log.trim(lane, world.log.tail(lane).unwrap().durable).unwrap();
    let done = check(&engine, Mending::Dry);
    assert!(matches!(done.verdict(), Verdict::Unproven(proof::Reason::NoLedger(_))));
    assert!(!note(&engine).whole && note(&engine).lacks.is_some());
    // A scan that finds all equal begins it.
    assert_eq!(reconcile(&engine, Tier::Scan, Mending::Dry).verdict(), Verdict::Equal);
    assert!(note(&engine).whole);
    let shop = &world.sources["shop"];
    shop.commit(&[Edit::update("item", [Value::Int(7)], item(7, "new"))]).unwrap();
    let done = check(&engine, Mending::Dry);
    assert_eq!((done.verdict(), done.found[0].source_rows), (Verdict::Equal, 0));
}

#[test]
fn a_trim_waits_for_what_a_ledger_has_not_folded() {
    let world = world(20);
    let engine = world.engine();
    check(&engine, Mending::Dry);
    let folded = note(&engine).offset;
    let shop = &world.sources["shop"];
    for n in 0..5 {
        shop.commit(&[Edit::update("item", [Value::Int(3)], item(3, &n.to_string()))]).unwrap();
        Stepping::open(&engine, &flow(&engine)).unwrap().drain(&Unwatched).unwrap();
    }
    let lane = engine.assembly.state.lane("shop").unwrap().unwrap().id;
    assert!(world.log.tail(lane).unwrap().durable > folded.next());
    assert_eq!(engine::floors(&engine).unwrap()[&lane], folded.next());
    check(&engine, Mending::Dry);
    assert!(engine::floors(&engine).unwrap()[&lane] > folded.next());
    assert!(folded > Offset::START);
}

#[test]
fn a_batch_flow_has_no_ledger_and_says_so() {
    let mut world = world(3);
    world.flows[0].mode = Mode::Batch;
    let engine = world.engine();
    let done = check(&engine, Mending::Dry);
    let Verdict::Unproven(reason) = done.verdict() else { panic!("{}", done.verdict()) };
    assert!(reason.to_string().contains("scan proof only"), "{reason}");
}
