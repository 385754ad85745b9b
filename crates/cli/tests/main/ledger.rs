//! `reconcile --tier ledger`: every fault is named with its key, its kind and its side, and work under way is none.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, number};
use crate::project::{Ended, Project, wait_until};
use crate::stock::{self, Trading, trade};
use std::collections::BTreeSet;

const ALL: &str = "select * from stock";
const CHECK: &str = "reconcile stock --tier ledger --json";

fn moved() -> Project {
    let project = stock::project("event", "", 400);
    project.expect("run stock --once", 0);
    let mut shop = project.db("shop.db");
    for n in 0..100 {
        trade(&mut shop, n);
    }
    project.expect("run stock --once", 0);
    project
}

/// Kind, side and key of each row that was named.
fn named(ended: &Ended) -> BTreeSet<(String, String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().trim_matches('"').to_string();
    let differences = ended.objects("difference");
    let names: BTreeSet<_> = differences
        .iter()
        .map(|d| (text(&d["kind"]), text(&d["side"]), text(&d["key"][0])))
        .collect();
    assert_eq!(names.len(), differences.len(), "a row is named twice");
    names
}

/// Puts one fault of each class into the target, at articles that nobody trades any more: as an applier would that skips
/// an event, loses a delete or writes an older row, and as a foreign hand.
fn faults(project: &Project) -> BTreeSet<(String, String, String)> {
    let shop = project.db("shop.db");
    shop.execute_batch(
        "insert into stock values ('a-skipped', 1, 1.5, 'x'), ('a-lost', 2, 1.5, 'x'),
                                  ('a-stale', 3, 1.5, 'older'), ('a-wrong', 4, 1.5, 'x')",
    )
    .unwrap();
    project.expect("run stock --once", 0);
    shop.execute_batch("update stock set note = 'newer' where sku = 'a-stale'").unwrap();
    project.expect("run stock --once", 0);
    shop.execute_batch("delete from stock where sku = 'a-lost'").unwrap();
    project.expect("run stock --once", 0);
    let central = project.db("central.db");
    central
        .execute_batch(
            "delete from stock where sku = 'a-skipped';
             insert into stock values ('a-lost', 2, 1.5, 'x');
             update stock set note = 'older' where sku = 'a-stale';
             update stock set qty = 5 where sku = 'a-wrong';
             insert into stock values ('a-ghost', 5, 1.25, null)",
        )
        .unwrap();
    [
        ("missing", "apply", "a-skipped"),
        ("resurrected", "apply", "a-lost"),
        ("stale", "apply", "a-stale"),
        ("changed", "foreign", "a-wrong"),
        ("extra", "foreign", "a-ghost"),
    ]
    .into_iter()
    .map(|(kind, side, key)| (kind.into(), side.into(), key.into()))
    .collect()
}

#[test]
fn each_class_of_fault_is_named_by_the_ledger_and_mended() {
    let project = moved();
    let ended = project.expect(CHECK, 0);
    assert_eq!(ended.summary()["verdict"], "EQUAL");
    assert!(ended.last().contains("the source was not read"), "{}", ended.last());
    let expected = faults(&project);
    let ended = project.expect(CHECK, 2);
    assert_eq!(named(&ended), expected);
    let tables = ended.objects("table");
    assert_eq!(tables[0]["source_rows"], 0, "the log knows every row");
    assert!(project.expect("status", 0).last().contains("differs from its source"));
    let repair = "reconcile stock --tier ledger --repair --max-share 50 --json";
    assert_eq!(project.expect(repair, 0).summary()["repaired"], 5);
    assert_same(&project.db("shop.db"), ALL, &project.db("central.db"), ALL);
    assert!(named(&project.expect(CHECK, 0)).is_empty());
    project.expect("certificate verify stock", 0);
    let shown = project.expect("status", 0);
    assert!(shown.out.contains("target proved equal to it"), "{}", shown.out);
    assert!(shown.out.contains("never reconciled"), "no scan was made: {}", shown.out);
}

#[test]
fn what_a_scan_found_stays_in_view_until_the_next_scan() {
    let project = moved();
    let shop = project.db("shop.db");
    shop.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    shop.execute_batch("update stock set qty = 4711 where sku = 'sku-00100'").unwrap();
    // The log never heard of it, so ledger and target agree; only the source tells.
    assert!(named(&project.expect(CHECK, 0)).is_empty());
    let named = named(&project.expect("reconcile stock --json", 2));
    assert_eq!(named, [("changed".into(), "capture".into(), "sku-00100".into())].into());
    project.expect(CHECK, 0);
    let status = project.expect("status", 0);
    assert!(status.last().contains("differs from its source"), "{}", status.out);
}

#[test]
fn a_flow_in_runs_has_no_ledger_and_is_unproven() {
    let project = stock::project("batch", "", 40);
    project.expect("run stock --once", 0);
    let ended = project.expect(CHECK, 3);
    assert_eq!(ended.objects("table")[0]["reason"], "no-ledger");
}

#[test]
fn under_load_the_ledger_raises_no_false_alarm_and_finds_what_is_damaged() {
    let project = stock::project("event", "", 400);
    let engine = EngineProcess::start(&project);
    let trading = Trading::start(&project, 0);
    let central = project.db("central.db");
    wait_until("the snapshot is there", || {
        number(&central, "select count(*) from sqlite_schema where name = 'stock'") == 1
            && number(&central, "select count(*) from stock") > 300
    });
    for round in 0..10 {
        trading.wait_for(10);
        let ended = project.run(CHECK);
        assert_eq!(ended.code, 0, "round {round}: {}{}", ended.out, ended.err);
    }
    central.execute_batch("insert into stock values ('a-ghost', 5, 1.25, null)").unwrap();
    for _ in 0..3 {
        trading.wait_for(10);
        let ghost = ("extra".into(), "foreign".into(), "a-ghost".into());
        assert_eq!(named(&project.expect(CHECK, 2)), [ghost].into());
    }
    trading.stop();
    assert_eq!(engine.terminate().code, 143);
}
