//! Plans mend exactly what is wrong, and are refused where they would mend too much.

use crate::shaping::Shaping;
use crate::world::{KEYS, World, item};
use change::{Key, Value};
use connect::memory::Edit;
use proof::{Limits, Refusal, RepairPlan, Side, Verdict, Writer};

#[test]
fn a_plan_carried_out_makes_the_table_equal() {
    let mut world = World::new(1, Shaping::WithSite, KEYS);
    world.pace = 0;
    let site = Value::Text("north".into());
    let ghost = |id: i64| {
        let mut row = item(id, "ghost", 1, 1);
        row.push(site.clone());
        row
    };
    world.target.tamper("stock", vec![ghost(4), ghost(9)]).unwrap();
    let gone = Key(vec![site.clone(), Value::Int(10)]);
    world.target.tamper_delete("stock", &[gone]).unwrap();
    let proof = world.prove();
    let path = world.subject(Writer::Flow).path;
    let plan = RepairPlan::of(&proof, &path).unwrap();
    assert_eq!((plan.changes, plan.lots.len()), (3, 1));
    assert_eq!(plan.lots[0].known_at, world.applied);
    let schema = &path.target().schema;
    for lot in &plan.lots {
        let rows = (0..lot.rows.num_rows()).map(|r| Value::row(&lot.rows, schema, r));
        world.target.tamper("stock", rows.collect()).unwrap();
        let keys: Vec<Key> = (0..lot.gone.num_rows())
            .map(|r| Key(Value::row(&lot.gone, &schema.key_schema(), r)))
            .collect();
        world.target.tamper_delete("stock", &keys).unwrap();
    }
    world.judge();
    assert_eq!(world.prove().verdict, Verdict::Equal);
}

#[test]
fn limits_and_systematic_columns_stop_a_plan() {
    let mut world = World::new(1, Shaping::Plain, KEYS);
    world.pace = 0;
    world.target.tamper("stock", vec![item(4, "x", 1, 1), item(6, "x", 1, 1)]).unwrap();
    let proof = world.prove();
    let path = world.subject(Writer::Flow).path;
    let plan = RepairPlan::of(&proof, &path).unwrap();
    let compared = proof.rows;
    let allowed = |max_rows, max_share| plan.allowed(&Limits { max_rows, max_share }, compared);
    assert_eq!(allowed(2, 0.5), Ok(()));
    assert_eq!(allowed(1, 0.5), Err(Refusal::TooMany { changes: 2, max_rows: 1 }));
    assert_eq!(allowed(2, 0.001), Err(Refusal::TooLarge { changes: 2, compared }));

    let mut rows = world.target.rows("stock").unwrap();
    rows.iter_mut().for_each(|row| row[2] = Value::Int(77));
    world.target.tamper("stock", rows).unwrap();
    let plan = RepairPlan::of(&world.prove(), &path).unwrap();
    let limits = Limits { max_rows: u64::MAX, max_share: 1.0 };
    assert!(matches!(plan.allowed(&limits, compared), Err(Refusal::Systematic(_))));
}

#[test]
fn what_capture_missed_is_to_be_captured_again() {
    let mut world = World::new(1, Shaping::WithSite, KEYS);
    world.pace = 0;
    let mut handle = world.source.clone();
    world.source.define("other", &crate::shaping::source_schema());
    let resume = connect::Resume::Fresh;
    drop(connect::Source::capture(&mut handle, &["other".into()], &resume).unwrap());
    world.source.commit(&[Edit::delete("item", vec![Value::Int(2)])]).unwrap();
    drop(connect::Source::capture(&mut handle, &["item".into()], &resume).unwrap());
    let proof = world.prove();
    assert_eq!(proof.differences[0].side, Side::Capture);
    let plan = RepairPlan::of(&proof, &world.subject(Writer::Flow).path).unwrap();
    assert_eq!(plan.recapture, [Key(vec![Value::Int(2)])], "as the source spells it");
    assert!(plan.lots.is_empty());
}
