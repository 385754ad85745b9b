//! Transactions of the source over two tables: a reader of the target never sees half of one.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, number};
use crate::project::{Project, wait_until};
use crate::stock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const FLOW: &str = "mode = \"event\"\n[from]\nsites = \"shop\"\ntables = [\"debit\", \"credit\"]\n[to]\nsite = \"central\"\n";

/// The number of the newest transaction in each table, and the sum over both, in one look.
const LOOK: &str = "select (select max(booked) from debit), (select max(booked) from credit),
    (select coalesce(sum(amount), 0) from debit) + (select coalesce(sum(amount), 0) from credit)";

fn project() -> Project {
    let project = Project::new(&[
        ("seamount.toml", stock::PROJECT),
        ("sites.toml", stock::SITES),
        ("flows/books.toml", FLOW),
    ]);
    project
        .db("shop.db")
        .execute_batch(
            "pragma journal_mode = wal;
             create table debit (id integer primary key, amount integer not null, booked integer not null);
             create table credit (id integer primary key, amount integer not null, booked integer not null);
             insert into debit values (0, 0, 0); insert into credit values (0, 0, 0)",
        )
        .unwrap();
    project
}

/// Books an amount in both tables; now and then an earlier booking is corrected or removed on both sides.
fn book(shop: &rusqlite::Connection, n: i64) {
    let correct = match n % 5 {
        3 => format!("delete from debit where id = {0}; delete from credit where id = {0};", n - 2),
        4 => format!(
            "update debit set amount = -7 where id = {0}; update credit set amount = 7 where id = {0};",
            n - 1
        ),
        _ => String::new(),
    };
    shop.execute_batch(&format!(
        "begin immediate;
         insert into debit values ({n}, -{n}, {n});
         {correct}
         insert into credit values ({n}, {n}, {n});
         update debit set booked = {n} where id = 0; update credit set booked = {n} where id = 0;
         commit"
    ))
    .unwrap();
}

#[test]
fn a_reader_of_the_target_never_sees_half_of_one() {
    let project = project();
    project.expect("run books --once", 0);
    let stop = Arc::new(AtomicBool::new(false));
    let (asked, reader) = (stop.clone(), project.db("central.db"));
    let reading = std::thread::spawn(move || {
        let (mut looks, mut seen) = (0_u64, BTreeSet::new());
        let mut last = 0;
        while !asked.load(Ordering::SeqCst) {
            let (debit, credit, sum): (i64, i64, i64) = reader
                .query_row(LOOK, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .unwrap();
            assert_eq!((debit, sum), (credit, 0), "half of transaction {}", debit.max(credit));
            assert!(debit >= last, "{debit} after {last}: the target went back");
            last = debit;
            looks += 1;
            seen.insert(debit);
        }
        (looks, seen)
    });
    let engine = EngineProcess::start(&project);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    for n in 1..=600 {
        book(&shop, n);
        // A machine that is busy would otherwise bring all of it in one batch, and the reader would see nothing.
        if n % 100 == 0 {
            wait_until("this part is there, or the reader saw a half", || {
                reading.is_finished() || number(&central, "select max(booked) from credit") >= n
            });
        }
    }
    wait_until("everything is there, or the reader saw a half", || {
        reading.is_finished() || number(&central, "select max(booked) from credit") == 600
    });
    stop.store(true, Ordering::SeqCst);
    let (looks, seen) = reading.join().unwrap();
    assert!(
        looks > 100 && seen.len() > 3,
        "the reader saw only {} states in {looks} looks",
        seen.len()
    );
    assert_eq!(engine.terminate().code, 143);
    for table in ["debit", "credit"] {
        let all = format!("select * from {table}");
        assert_same(&shop, &all, &central, &all);
    }
}

#[test]
fn killed_engines_leave_no_half_either() {
    let project = project();
    project.expect("run books --once", 0);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    let mut n = 0;
    for _ in 0..4 {
        let engine = EngineProcess::start(&project);
        let goal = n + 40;
        while n < goal + 60 {
            n += 1;
            book(&shop, n);
        }
        wait_until("some of it is there", || {
            number(&central, "select max(booked) from credit") >= goal
        });
        engine.kill();
        let (debit, credit, sum): (i64, i64, i64) =
            central.query_row(LOOK, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        assert_eq!((debit, sum), (credit, 0));
    }
    project.expect("run books --once", 0);
    for table in ["debit", "credit"] {
        let all = format!("select * from {table}");
        assert_same(&shop, &all, &central, &all);
    }
}
