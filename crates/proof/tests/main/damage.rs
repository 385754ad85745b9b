//! Cells that do not fit their columns are named as differences; they never stop a proof, nor hide from it.

use crate::damaged::Cell;
use crate::shaping::Shaping;
use crate::world::{KEYS, World, id_of};
use change::{DigestKey, Key, Value};
use proof::{
    About, Certificate, DifferenceKind, Reason, RepairPlan, Side, TableProof, Verdict, Writer,
};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

const PRICE: usize = 3;

fn quiet(shaping: Shaping) -> World {
    let mut world = World::new(5, shaping, KEYS);
    world.pace = 0;
    world
}

fn kinds(proof: &TableProof) -> Vec<(&'static str, Side, Value)> {
    let differences = proof.differences.iter();
    differences.map(|d| (d.kind.name(), d.side, d.key.0.last().unwrap().clone())).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// Writes what a plan says, as the target's writer would.
fn carry_out(world: &mut World, plan: &RepairPlan) {
    let schema = world.shaping.target_table().schema;
    for lot in &plan.lots {
        let rows = (0..lot.rows.num_rows()).map(|r| Value::row(&lot.rows, &schema, r));
        let rows: Vec<Vec<Value>> = rows.collect();
        rows.iter().for_each(|row| world.damage.forget(id_of(row)));
        world.target.tamper("stock", rows).unwrap();
        let keys = (0..lot.gone.num_rows())
            .map(|r| Key(Value::row(&lot.gone, &schema.key_schema(), r)))
            .collect::<Vec<_>>();
        world.target.tamper_delete("stock", &keys).unwrap();
    }
}

#[test]
fn a_real_that_is_no_decimal_is_a_changed_row_and_is_mended() {
    let mut world = quiet(Shaping::Priced);
    let wrong = Value::float(213.950_000_000_000_02);
    world.damage.put(4, PRICE, wrong.clone());
    world.damage.put(100, PRICE, wrong.clone());
    world.damage.put(102, 2, text("many"));
    let proof = world.prove();
    assert_eq!(proof.verdict, Verdict::Different { rows: 3, parked: 0 });
    assert_eq!((proof.rows, proof.target_rows), (160, 160), "the others are compared all the same");
    let foreign = |id| ("changed", Side::Foreign, Value::Int(id));
    assert_eq!(kinds(&proof), [foreign(4), foreign(100), foreign(102)]);
    let columns = vec!["price".to_string()];
    assert_eq!(proof.differences[0].kind, DifferenceKind::Changed { columns });
    assert_eq!(proof.differences[0].expected, world.should_be(4));
    let mut found = world.should_be(4).unwrap();
    found[PRICE] = wrong;
    assert_eq!(proof.differences[0].found, Some(found), "shown as it is stored");
    let subject = world.subject(Writer::Flow);
    Certificate::seal(&proof, &About::of(&subject, DigestKey::new(1))).unwrap();

    let plan = RepairPlan::of(&proof, &world.subject(Writer::Flow).path).unwrap();
    assert_eq!(plan.lots.iter().map(|lot| lot.rows.num_rows()).sum::<usize>(), 3);
    carry_out(&mut world, &plan);
    assert_eq!(world.prove().verdict, Verdict::Equal);
}

#[test]
fn a_column_that_was_damaged_everywhere_is_one_systematic_column() {
    let mut world = quiet(Shaping::Priced);
    for id in 0..KEYS {
        world.damage.put(id * 2, PRICE, Value::float(0.1 + 0.2));
    }
    let proof = world.prove();
    assert_eq!(proof.verdict, Verdict::Different { rows: 160, parked: 0 });
    assert_eq!(proof.systematic[0].to_string(), "column price differs in all 160 rows");
}

#[test]
fn nothing_is_read_twice_unless_a_cell_is_refused() {
    let mut world = quiet(Shaping::Priced);
    let Some(Value::Decimal { unscaled, scale }) = world.should_be(4).map(|row| row[PRICE].clone())
    else {
        panic!("prices are decimals")
    };
    world.damage.put(4, PRICE, text(&change::value::decimal_text(unscaled, scale)));
    assert_eq!(world.prove().verdict, Verdict::Equal, "another form of the same value");
    assert_eq!(world.damage.relaxed.load(Ordering::Relaxed), 0);
    world.damage.put(6, 2, text("1 "));
    assert_eq!(world.prove().verdict, Verdict::Different { rows: 1, parked: 0 });
    // One piece, and the second look at one row.
    assert_eq!(world.damage.relaxed.load(Ordering::Relaxed), 2);
}

#[test]
fn a_key_that_does_not_fit_is_an_extra_row_as_stored() {
    for shaping in [Shaping::Plain, Shaping::WithSite, Shaping::Priced] {
        for stored in [Value::float(10.5), Value::float(-1.5), text("ten"), Value::Null] {
            let mut world = quiet(shaping);
            world.damage.put(10, 0, stored.clone());
            let proof = world.prove();
            let mut found = kinds(&proof);
            found.sort_by_key(|(kind, ..)| *kind);
            let extra = ("extra", Side::Foreign, stored.clone());
            assert_eq!(found, [extra, ("missing", Side::Apply, Value::Int(10))], "{stored}");
            assert_eq!(proof.verdict, Verdict::Different { rows: 2, parked: 0 });
            let subject = world.subject(Writer::Flow);
            Certificate::seal(&proof, &About::of(&subject, DigestKey::new(1))).unwrap();
            let plan = RepairPlan::of(&proof, &subject.path).unwrap();
            let rows: usize = plan.lots.iter().map(|lot| lot.rows.num_rows()).sum();
            let gone: usize = plan.lots.iter().map(|lot| lot.gone.num_rows()).sum();
            assert_eq!((rows, gone), (1, 0));
            assert_eq!(plan.by_hand.len(), 1);
            assert_eq!(plan.by_hand[0].0.last(), Some(&stored));
        }
    }
}

#[test]
fn every_key_may_be_damaged_at_once() {
    let mut world = quiet(Shaping::WithSite);
    for id in 0..KEYS {
        world.damage.put(id * 2, 0, Value::float(id as f64 * 2.0 + 0.5));
    }
    assert_eq!(world.prove().verdict, Verdict::Different { rows: 320, parked: 0 });
}

#[test]
fn a_cell_whose_class_cannot_be_told_is_unproven_and_named() {
    for column in [0, 1] {
        let mut world = quiet(Shaping::Plain);
        // In the last piece, where a key of text is too: nothing is confirmed before.
        if column == 0 {
            world.damage.put(318, 0, text("last"));
        }
        world.damage.cells.insert((318, 1), Cell::Unreadable);
        let Verdict::Unproven(reason) = world.prove().verdict else { panic!("it is not proved") };
        let said = "the target cannot be read: a cell of stock.name is no any";
        assert_eq!(reason.to_string(), said);
    }
}

#[test]
fn a_reader_that_sorts_otherwise_makes_no_key_disappear() {
    let mut world = quiet(Shaping::Plain);
    world.damage.text_first = true;
    world.damage.put(318, 0, text("last"));
    let Verdict::Unproven(reason) = world.prove().verdict else { panic!("it is not proved") };
    assert!(matches!(reason, Reason::CellRefused { of: "target", .. }), "{reason}");
}

#[test]
fn a_refused_cell_of_the_source_is_unproven() {
    for writer in [Writer::Flow, Writer::Other { max_lag_us: 1_000_000 }] {
        let mut world = quiet(Shaping::Plain);
        world.source_refuses = true;
        let proof = world.prove_with(writer, World::settings());
        let Verdict::Unproven(reason) = proof.verdict else { panic!("it is not proved") };
        let said = "the source cannot be read: a cell of item.price is no int64";
        assert_eq!(reason.to_string(), said);
    }
}

#[test]
fn a_foreign_writers_damage_is_named_too() {
    let mut world = quiet(Shaping::Priced);
    world.damage.put(4, PRICE, Value::float(0.1 + 0.2));
    world.damage.put(12, 0, Value::float(12.5));
    world.damage.put(14, 0, Value::float(12.7));
    let proof = world.prove_with(Writer::Other { max_lag_us: 1_000_000 }, World::settings());
    let mut found: Vec<String> =
        proof.differences.iter().map(|d| format!("{} {}", d.kind.name(), d.key)).collect();
    found.sort();
    assert_eq!(
        found,
        ["changed (4)", "extra (12.5)", "extra (12.7)", "missing (12)", "missing (14)"]
    );
}

#[test]
fn damage_is_found_while_the_world_goes_on() {
    let mut named_in_all = 0;
    for seed in 0..12 {
        let mut world = World::new(seed, Shaping::Priced, KEYS);
        world.pace = 2;
        let damaged: BTreeSet<i64> = [20, 60, 102, 220, 300].into();
        for id in &damaged {
            world.damage.put(*id, PRICE, Value::float(0.1 + 0.2));
        }
        let proof = world.prove();
        let named: BTreeSet<i64> = proof.differences.iter().map(|d| id_of(&d.key.0)).collect();
        let still: BTreeSet<i64> = world.damage.cells.keys().map(|(id, _)| *id).collect();
        assert!(still.is_subset(&named), "not found: {still:?}, named were {named:?}");
        assert!(named.is_subset(&damaged), "false alarm: {named:?}");
        named_in_all += named.len();
    }
    assert!(named_in_all >= 12, "{named_in_all} are too few to say anything");
}
