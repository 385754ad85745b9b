//! Publishing staged runs into PostgreSQL: what is refused, what moves together, what else hangs on the rows.

use crate::postgres_place::{Engine, Place, article, failure, publication, stock, stored};
use arrow::array::RecordBatch;
use change::{ColumnType, RunId, Value};
use connect::Kind;
use connect::memory::sample::{rows, shape, target_table, text};
use connect::read::{Owner, Scan};
use connect::target::{Load, Published, RowWork, TargetTable};
use std::sync::atomic::{AtomicBool, Ordering};

fn stage(engine: &mut Engine, run: u64, articles: &[Vec<Value>]) {
    engine.target.stage(RunId::mint(run), &stock(), &rows(&stock().schema, articles)).unwrap();
}

#[test]
fn duplicate_keys_of_a_run_are_refused_however_it_loads() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    stage(&mut engine, 1, &[article(1, "a"), article(2, "b"), article(2, "b")]);
    for before in [vec![], vec![article(9, "old")]] {
        if let [row] = before.as_slice() {
            engine.upsert(&stock(), std::slice::from_ref(row)).unwrap();
        }
        for load in [Load::Replace, Load::Merge, Load::Append] {
            let publish = publication(1, load, &[(&stock(), 3)]);
            assert_eq!(failure(engine.target.publish(&publish)).kind, Kind::Refused);
            assert_eq!(stored(engine.target.as_mut(), &stock()), before);
        }
    }
    assert_eq!(engine.target.staged().unwrap(), [RunId::mint(1)]);
}

#[test]
fn a_replacing_run_may_swap_unique_values_and_drops_no_children() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    engine.upsert(&stock(), &[article(1, "a"), article(2, "b"), article(3, "c")]).unwrap();
    place.sql(
        "CREATE UNIQUE INDEX u ON stock (name);
         CREATE TABLE child (sku bigint REFERENCES stock ON DELETE CASCADE);
         INSERT INTO child VALUES (1), (3);",
    );
    stage(&mut engine, 1, &[article(1, "x"), article(2, "b")]);
    let publish = publication(1, Load::Replace, &[(&stock(), 2)]);
    assert_eq!(engine.target.publish(&publish).unwrap(), Published::Now { rows: 2, removed: 1 });
    assert_eq!(
        place.sql("SELECT * FROM child"),
        "1",
        "only the child of the row that is gone goes"
    );
    stage(&mut engine, 2, &[article(1, "b"), article(2, "x")]);
    engine.target.publish(&publication(2, Load::Replace, &[(&stock(), 2)])).unwrap();
    assert_eq!(stored(engine.target.as_mut(), &stock()), [article(1, "b"), article(2, "x")]);
}

/// The second table's way back went to the beginning of the publication, and took the first table's rows along.
#[test]
fn a_table_that_is_loaded_again_leaves_the_table_before_it_alone() {
    let place = Place::new();
    let table = |name| TargetTable { name: String::from(name), ..stock() };
    let (first, second) = (table("a"), table("b"));
    let mut engine = Engine::at(&place, &[first.clone(), second.clone()]);
    place.sql("CREATE UNIQUE INDEX ON b (name)");
    engine.upsert(&second, &[article(1, "x"), article(2, "y")]).unwrap();
    engine.upsert(&first, &[article(9, "old")]).unwrap();
    let swapped = [article(1, "y"), article(2, "x")];
    for table in [&first, &second] {
        engine.target.stage(RunId::mint(1), table, &rows(&table.schema, &swapped)).unwrap();
    }
    let publish = publication(1, Load::Replace, &[(&first, 2), (&second, 2)]);
    assert_eq!(engine.target.publish(&publish).unwrap(), Published::Now { rows: 4, removed: 1 });
    for table in [&first, &second] {
        assert_eq!(stored(engine.target.as_mut(), table), swapped, "{}", table.name);
    }
}

/// A nightly run over a table that hardly changed writes hardly anything.
#[test]
fn rows_that_are_there_as_they_are_staged_are_not_written() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    engine.upsert(&stock(), &[article(1, "a"), article(2, "b")]).unwrap();
    let versions = || place.sql("SELECT string_agg(xmin::text, ' ' ORDER BY sku) FROM stock");
    let before = versions();
    for (run, load) in [(1, Load::Replace), (2, Load::Merge)] {
        stage(&mut engine, run, &[article(1, "a"), article(2, "b")]);
        engine.target.publish(&publication(run, load, &[(&stock(), 2)])).unwrap();
        assert_eq!(versions(), before);
    }
    stage(&mut engine, 3, &[article(1, "A"), article(2, "b")]);
    engine.target.publish(&publication(3, Load::Replace, &[(&stock(), 2)])).unwrap();
    assert_eq!(stored(engine.target.as_mut(), &stock()), [article(1, "A"), article(2, "b")]);
}

#[test]
fn a_run_does_not_reach_rows_of_another_owner_or_interval() {
    let place = Place::new();
    let schema = shape(
        &[("sku", ColumnType::Int64), ("shop", ColumnType::Text), ("day", ColumnType::Date)],
        &["sku"],
    );
    let owner = |shop: &str| Some(Owner { column: "shop".into(), value: text(shop) });
    let table = |shop| TargetTable { owner: owner(shop), ..target_table("sales", &schema) };
    let (ours, theirs) = (table("ours"), table("theirs"));
    let row = |sku, shop, day| vec![Value::Int(sku), text(shop), Value::Date(day)];
    let batch = |cells: &[Vec<Value>]| rows(&schema, cells);
    let mut engine = Engine::at(&place, std::slice::from_ref(&ours));
    let before = [row(1, "theirs", 1), row(2, "ours", 1), row(3, "ours", 2)];
    engine.write(&theirs, &RowWork::Upsert(batch(&before[..1]))).unwrap();
    engine.write(&ours, &RowWork::Upsert(batch(&before[1..]))).unwrap();
    engine.target.stage(RunId::mint(1), &ours, &batch(&[row(1, "ours", 1)])).unwrap();
    for load in [Load::Replace, Load::Merge, Load::Append] {
        let refused = failure(engine.target.publish(&publication(1, load, &[(&ours, 1)])));
        assert_eq!(refused.kind, Kind::Refused);
        assert_eq!(stored(engine.target.as_mut(), &ours), before);
    }
    engine.target.stage(RunId::mint(2), &ours, &batch(&[row(3, "ours", 1)])).unwrap();
    let mut publish = publication(2, Load::Replace, &[(&ours, 1)]);
    publish.interval_rows = Some(Owner { column: "day".into(), value: Value::Date(1) });
    assert_eq!(failure(engine.target.publish(&publish)).kind, Kind::Refused, "day 2 has that key");
    assert_eq!(stored(engine.target.as_mut(), &ours), before);
}

/// A polling reader never sees half of a transaction over two tables, nor half of a publish.
#[test]
fn readers_see_two_tables_move_together() {
    let place = Place::new();
    let schema = shape(&[("sku", ColumnType::Int64), ("round", ColumnType::Int64)], &["sku"]);
    let (left, right) = (target_table("l", &schema), target_table("r", &schema));
    let mut engine = Engine::at(&place, &[left.clone(), right.clone()]);
    let round = |n: i64| -> RecordBatch {
        rows(&schema, &(0..40).map(|sku| vec![Value::Int(sku), Value::Int(n)]).collect::<Vec<_>>())
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut target = place.target();
            let mut seen = 0;
            while !done.load(Ordering::SeqCst) {
                let mut cut = target.cut().unwrap();
                let mut rounds = Vec::new();
                for table in [&left, &right] {
                    let scan = Scan::all(&table.name, table.schema.as_ref().clone());
                    let batch = scan.collect(cut.as_mut()).unwrap();
                    rounds.extend(
                        (0..batch.num_rows())
                            .map(|row| Value::row(&batch, &schema, row)[1].clone()),
                    );
                }
                assert!(rounds.windows(2).all(|pair| pair[0] == pair[1]), "half is seen");
                assert!(matches!(rounds.len(), 0 | 80), "half is seen");
                seen += 1;
            }
            seen
        });
        for n in 1..=40 {
            if n % 2 == 0 {
                let mut transaction = engine.begin().unwrap();
                for table in [&left, &right] {
                    transaction.write(table, &RowWork::Upsert(round(n))).unwrap();
                }
                transaction.commit(&[]).unwrap();
            } else {
                let run = n.cast_unsigned();
                for table in [&left, &right] {
                    engine.target.stage(RunId::mint(run), table, &round(n)).unwrap();
                }
                let publish = publication(run, Load::Replace, &[(&left, 40), (&right, 40)]);
                engine.target.publish(&publish).unwrap();
            }
        }
        done.store(true, Ordering::SeqCst);
        assert!(reader.join().unwrap() > 0);
    });
}
