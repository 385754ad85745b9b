//! Shapes and sizes that break things: large transactions, large snapshots under kills, names that need quotes, keys
//! that change places, unique columns, readers that go away.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, number, rows};
use crate::project::{Project, wait_until};
use crate::stock::{self, Trading};
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const ALL: &str = "select * from stock";

#[test]
fn a_transaction_of_many_thousand_rows_is_seen_whole() {
    let project = Project::new(&[
        ("seamount.toml", stock::PROJECT),
        ("sites.toml", stock::SITES),
        (
            "flows/books.toml",
            "mode = \"event\"\n[from]\nsites = \"shop\"\ntables = [\"debit\", \"credit\"]\n[to]\nsite = \"central\"\n",
        ),
    ]);
    let shop = project.db("shop.db");
    shop.execute_batch(
        "pragma journal_mode = wal;
         create table debit (id integer primary key, amount integer not null);
         create table credit (id integer primary key, amount integer not null);
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 30000)
         insert into debit select i, 0 from n;
         insert into credit select id, 0 from debit",
    )
    .unwrap();
    project.expect("run books --once", 0);
    let (stop, central) = (Arc::new(AtomicBool::new(false)), project.db("central.db"));
    let (asked, reader) = (stop.clone(), project.db("central.db"));
    let reading = std::thread::spawn(move || {
        let mut seen = std::collections::BTreeSet::new();
        while !asked.load(Ordering::SeqCst) {
            let sql = "select min(a), max(a) from (select amount a from debit union all select amount from credit)";
            let look: (i64, i64) =
                reader.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            assert_eq!(look.0, look.1, "half of a transaction");
            seen.insert(look.0);
        }
        seen.len()
    });
    let engine = EngineProcess::start(&project);
    for n in 1..=3 {
        shop.execute_batch(&format!(
            "begin immediate; update debit set amount = {n}; update credit set amount = {n}; commit"
        ))
        .unwrap();
    }
    wait_until("all is there, or the reader saw a half", || {
        reading.is_finished() || number(&central, "select min(amount) from credit") == 3
    });
    stop.store(true, Ordering::SeqCst);
    assert!(reading.join().unwrap() > 1);
    assert_eq!(engine.terminate().code, 143);
    for table in ["debit", "credit"] {
        let all = format!("select * from {table}");
        assert_same(&shop, &all, &central, &all);
    }
}

#[test]
fn a_large_snapshot_under_load_survives_kills() {
    let project = stock::project("event", "", 60_000);
    let trading = Trading::start(&project, 0);
    for round in 0..4 {
        let engine = EngineProcess::start(&project);
        // Killed ever later: before the first chunk, between chunks, behind the snapshot.
        trading.wait_for(5 + round * 60);
        engine.kill();
    }
    trading.stop();
    project.expect("run stock --once", 0);
    assert_same(&project.db("shop.db"), ALL, &project.db("central.db"), ALL);
    assert_eq!(project.expect("reconcile stock --json", 0).summary()["verdict"], "EQUAL");
}

#[test]
fn exact_transactions_arrive_one_by_one_and_survive_kills() {
    let project = stock::project("event", "[events]\ntransactions = \"exact\"\n", 300);
    let trading = Trading::start(&project, 0);
    for _ in 0..2 {
        let engine = EngineProcess::start(&project);
        trading.wait_for(60);
        engine.kill();
    }
    trading.stop();
    project.expect("run stock --once", 0);
    assert_same(&project.db("shop.db"), ALL, &project.db("central.db"), ALL);
}

#[test]
fn names_that_need_quotes() {
    for mode in ["event", "batch", "hybrid"] {
        let text = format!(
            "mode = \"{mode}\"\n[from]\nsites = \"shop\"\ntable = \"or der \\\"x\\\"\"\n[to]\nsite = \"central\"\n"
        );
        let project = Project::new(&[
            ("seamount.toml", stock::PROJECT),
            ("sites.toml", stock::SITES),
            ("flows/odd.toml", &text),
        ]);
        let shop = project.db("shop.db");
        shop.execute_batch(
            "create table \"or der \"\"x\"\"\" (\"select\" integer not null, \"größe '1'\" text not null,
                 \"a\"\"b\" real, \"Upper Case\" blob, primary key (\"größe '1'\", \"select\"));
             insert into \"or der \"\"x\"\"\" values (1, 'ß', 1.5, x'00'), (2, '', -0.25, null), (3, char(10), null, x'')",
        )
        .unwrap();
        project.expect("check --online", 0);
        project.expect("run odd --once", 0);
        shop.execute_batch(
            "update \"or der \"\"x\"\"\" set \"select\" = 9 where \"select\" = 1; delete from \"or der \"\"x\"\"\" where \"select\" = 2",
        )
        .unwrap();
        project.expect("run odd --once", 0);
        let all = "select * from \"or der \"\"x\"\"\"";
        assert_same(&shop, all, &project.db("central.db"), all);
    }
}

#[test]
fn keys_and_unique_values_that_change_places() {
    let project = Project::new(&[
        ("seamount.toml", stock::PROJECT),
        ("sites.toml", stock::SITES),
        (
            "flows/seat.toml",
            "mode = \"event\"\n[from]\nsites = \"shop\"\ntable = \"seat\"\n[to]\nsite = \"central\"\n",
        ),
    ]);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    let table = "create table seat (id integer primary key, guest text unique, place integer)";
    shop.execute_batch(table).unwrap();
    // The target has the same rule.
    central.execute_batch(table).unwrap();
    shop.execute_batch("insert into seat values (1, 'ada', 1), (2, 'bob', 2), (3, 'eve', 3)")
        .unwrap();
    project.expect("run seat --once", 0);
    shop.execute_batch(
        "begin;
         update seat set guest = null where id = 1;
         update seat set guest = 'ada' where id = 2;
         update seat set guest = 'bob' where id = 1;
         commit;
         begin;
         update seat set id = 100 where id = 1;
         update seat set id = 1 where id = 2;
         update seat set id = 2 where id = 100;
         commit;
         insert or replace into seat values (7, 'eve', 30);
         replace into seat values (1, 'eve', 31);
         insert into seat values (8, 'dan', 8) on conflict (id) do update set place = 9;
         insert into seat values (9, 'dan', 8) on conflict (guest) do update set place = 10, id = 11",
    )
    .unwrap();
    project.expect("run seat --once", 0);
    let letters = project.expect("dlq list seat --json", 0).summary()["letters"].clone();
    assert_eq!(letters, 0, "{:?}", rows(&central, "select * from seat"));
    assert_same(&shop, "select * from seat", &central, "select * from seat");
}

#[test]
fn two_proofs_at_once_do_not_disturb_each_other() {
    let project = stock::project("event", "", 2000);
    project.expect("run stock --once", 0);
    let engine = EngineProcess::start(&project);
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let asked: Vec<_> =
            (0..4).map(|_| scope.spawn(|| project.run("reconcile stock").code)).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(codes.iter().all(|code| matches!(code, 0 | 75)), "{codes:?}");
    assert!(codes.contains(&0), "{codes:?}");
    project.expect("reconcile stock", 0);
    assert_eq!(engine.terminate().code, 143);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_reason_to_panic() {
    let project = stock::project("event", "", 5);
    for line in ["explain", "explain --json", "check --online"] {
        let mut child = project.command(line).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!first.is_empty() && !said.contains("panicked"), "{line}: {said}");
    }
}

#[test]
fn a_service_speaks_json_lines_too() {
    let project = stock::project("event", "", 5);
    let engine = EngineProcess::start_with(&project, "run --json");
    let central = project.db("central.db");
    wait_until("it has moved", || {
        number(&central, "select count(*) from sqlite_schema where name = 'stock'") == 1
            && number(&central, "select count(*) from stock") == 5
    });
    let ended = engine.terminate();
    assert_eq!(ended.code, 143);
    assert_eq!(ended.summary()["text"], "stopped; everything acknowledged is durable");
}

#[test]
fn a_batch_flow_cannot_be_reconciled_and_says_why() {
    let project = stock::project("batch", "", 5);
    project.expect("run stock --once", 0);
    for line in ["reconcile stock", "diff stock"] {
        let ended = project.run(line);
        assert!(matches!(ended.code, 0 | 3), "{ended:?}");
        if ended.code == 3 {
            assert!(ended.last().contains("UNPROVEN"), "{}", ended.out);
        }
    }
    let ended = project.expect("replay stock --into copy", 1);
    assert!(ended.err.contains("error[E0515]"), "{}", ended.err);
}

#[test]
fn every_table_gets_its_flow_whatever_its_name() {
    let project = Project::new(&[]);
    project
        .db("x.db")
        .execute_batch(
            "create table \"a b\" (k integer primary key); create table a_b (k integer primary key);
             create table \"a?b\" (k integer primary key); create table \"a-b\" (k integer primary key);
             create table \"日本\" (k integer primary key); create table \"..\" (k integer primary key);
             create table \"'\" (k integer primary key); create table log (msg text)",
        )
        .unwrap();
    project.expect("init --from sqlite:x.db --to sqlite:y.db", 0);
    let flows = std::fs::read_dir(project.path("flows")).unwrap().count();
    assert_eq!(flows, 8, "a flow for each table");
    let ended = project.run("check");
    assert_eq!(ended.code, 0, "{}", ended.err);
}
