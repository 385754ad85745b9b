//! `reconcile`: damage is named exactly and mended, and work under way is no damage.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, dump, number};
use crate::project::{Ended, Project, wait_until};
use crate::stock::{self, Trading, trade};
use std::collections::BTreeSet;

const ALL: &str = "select * from stock";
const REPAIR: &str = "[reconcile]\nrepair = { max_rows = 20, max_share = \"5%\" }\n";

fn moved() -> Project {
    let project = stock::project("event", REPAIR, 400);
    project.expect("run stock --once", 0);
    let mut shop = project.db("shop.db");
    for n in 0..100 {
        trade(&mut shop, n);
    }
    project.expect("run stock --once", 0);
    project
}

/// Kind and key of each row that was named.
fn named(ended: &Ended) -> BTreeSet<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().trim_matches('"').to_string();
    let differences = ended.objects("difference");
    let names: BTreeSet<_> =
        differences.iter().map(|d| (text(&d["kind"]), text(&d["key"][0]))).collect();
    assert_eq!(names.len(), differences.len(), "a row is named twice");
    names
}

/// Changes, deletes and invents rows of the target by hand; returns what a proof has to name.
fn damage(project: &Project, each: i64) -> BTreeSet<(String, String)> {
    let central = project.db("central.db");
    let keys: Vec<String> = central
        .prepare("select sku from stock where sku like 'sku-%' and qty is not null order by sku")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut expected = BTreeSet::new();
    for n in 0..usize::try_from(each).unwrap() {
        let (a, b) = (&keys[n * 9], &keys[n * 9 + 4]);
        central.execute("update stock set qty = qty + 1000 where sku = ?1", [a]).unwrap();
        central.execute("delete from stock where sku = ?1", [b]).unwrap();
        let invented = format!("invented-{n}");
        central.execute("insert into stock values (?1, 5, 1.25, null)", [&invented]).unwrap();
        expected.insert(("changed".into(), a.clone()));
        expected.insert(("missing".into(), b.clone()));
        expected.insert(("extra".into(), invented));
    }
    expected
}

#[test]
fn damaged_rows_are_named_exactly_and_mended() {
    let project = moved();
    assert_eq!(project.expect("reconcile stock --json", 0).summary()["verdict"], "EQUAL");
    let expected = damage(&project, 5);
    let damaged = dump(&project.db("central.db"), "stock");
    let ended = project.expect("reconcile stock --json", 2);
    assert_eq!(named(&ended), expected);
    assert_eq!(ended.summary()["differences"], 15);
    assert_eq!(dump(&project.db("central.db"), "stock"), damaged, "a dry proof writes nothing");
    let differences = project.expect("diff stock --json", 2).objects("difference");
    let changed = differences.iter().find(|d| d["kind"] == "changed").unwrap();
    assert_eq!(changed["columns"], serde_json::json!(["qty"]), "{changed}");
    assert!(project.expect("status", 0).last().contains("differs from its source"));
    let ended = project.expect("reconcile stock --repair --json", 0);
    assert_eq!(named(&ended), expected);
    assert_eq!(
        (&ended.summary()["verdict"], &ended.summary()["repaired"]),
        (&"EQUAL".into(), &15.into())
    );
    assert_same(&project.db("shop.db"), ALL, &project.db("central.db"), ALL);
    let ended = project.expect("reconcile stock --json", 0);
    assert!(named(&ended).is_empty());
    project.expect("certificate verify stock", 0);
    assert!(project.expect("status", 0).last().ends_with("No data lost."));
}

#[test]
fn over_the_cap_nothing_is_mended_and_that_is_said() {
    let project = moved();
    damage(&project, 8);
    let damaged = dump(&project.db("central.db"), "stock");
    let ended = project.expect("reconcile stock --repair", 2);
    assert!(
        ended.err.contains("not repaired: 24 rows would change, 20 are allowed"),
        "{}",
        ended.err
    );
    let ended = project.expect("reconcile stock --repair --json --max-rows 1000 --max-share 1", 2);
    assert!(ended.summary()["refused"].as_str().unwrap().contains("larger share"), "{}", ended.out);
    assert_eq!(dump(&project.db("central.db"), "stock"), damaged, "nothing was mended");
    project.expect("reconcile stock --repair --max-rows 1000 --max-share 50", 0);
    assert_same(&project.db("shop.db"), ALL, &project.db("central.db"), ALL);
}

#[test]
fn a_row_whose_key_was_damaged_into_another_type_is_left_to_a_person_who_is_told() {
    let project = moved();
    let central = project.db("central.db");
    central.execute("update stock set sku = x'00ff' where sku = 'sku-00011'", []).unwrap();
    let ended = project.expect("reconcile stock --repair", 2);
    assert!(ended.err.contains("delete by hand at the target: stock ("), "{}", ended.err);
    assert_eq!(number(&central, "select count(*) from stock where sku = 'sku-00011'"), 1);
    central.execute("delete from stock where typeof(sku) = 'blob'", []).unwrap();
    project.expect("reconcile stock", 0);
    assert_same(&project.db("shop.db"), ALL, &central, ALL);
}

#[test]
fn a_change_the_capture_never_saw_is_found_and_fetched() {
    let project = moved();
    let shop = project.db("shop.db");
    shop.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    shop.execute_batch(
        "update stock set qty = 4711 where sku = 'sku-00100';
         insert into stock values ('unseen', 1, 2.5, 'x')",
    )
    .unwrap();
    let expected: BTreeSet<(String, String)> =
        [("changed".into(), "sku-00100".into()), ("missing".into(), "unseen".into())].into();
    assert_eq!(named(&project.expect("reconcile stock --json", 2)), expected);
    project.expect("reconcile stock --repair", 0);
    assert_same(&shop, ALL, &project.db("central.db"), ALL);
}

#[test]
fn ten_proofs_under_load_raise_no_false_alarm() {
    let project = stock::project("event", REPAIR, 400);
    let engine = EngineProcess::start(&project);
    let trading = Trading::start(&project, 0);
    let central = project.db("central.db");
    wait_until("the snapshot is there", || {
        number(&central, "select count(*) from sqlite_schema where name = 'stock'") == 1
            && number(&central, "select count(*) from stock") > 300
    });
    for round in 0..10 {
        trading.wait_for(10);
        let ended = project.run("reconcile stock --json");
        assert_eq!(ended.code, 0, "round {round}: {}{}", ended.out, ended.err);
        assert_eq!(ended.summary()["verdict"], "EQUAL", "round {round}: {}", ended.out);
    }
    trading.stop();
    assert_eq!(engine.terminate().code, 143);
    project.expect("run stock --once", 0);
    assert_same(&project.db("shop.db"), ALL, &central, ALL);
}

#[test]
fn damage_under_load_is_named_and_mended_by_the_running_engine() {
    let project = stock::project("event", REPAIR, 400);
    project.expect("run stock --once", 0);
    let engine = EngineProcess::start(&project);
    // Trades touch other articles than these.
    let shop = project.db("shop.db");
    shop.execute_batch("insert into stock values ('quiet-1', 1, 1, 'a'), ('quiet-2', 2, 2, 'b')")
        .unwrap();
    let central = project.db("central.db");
    wait_until("they are there", || {
        number(&central, "select count(*) from stock where sku like 'quiet%'") == 2
    });
    let trading = Trading::start(&project, 0);
    trading.wait_for(20);
    central.execute_batch("update stock set qty = 99 where sku = 'quiet-1'").unwrap();
    central.execute_batch("delete from stock where sku = 'quiet-2'").unwrap();
    let expected: BTreeSet<(String, String)> =
        [("changed".into(), "quiet-1".into()), ("missing".into(), "quiet-2".into())].into();
    assert_eq!(named(&project.expect("reconcile stock --json", 2)), expected);
    let ended = project.expect("reconcile stock --repair --json", 0);
    assert_eq!(ended.summary()["repaired"], 2, "{}", ended.out);
    trading.stop();
    assert_eq!(engine.terminate().code, 143);
    project.expect("run stock --once", 0);
    assert_same(&shop, ALL, &central, ALL);
}

/// Somebody else's pipeline, proved without being written.
#[test]
fn a_table_that_somebody_else_writes_is_proved_and_left_alone() {
    let project = stock::project("event", "", 300);
    let flow = stock::flow("event", "writer = \"other\"\n[reconcile]\nschedule = \"@daily\"\n");
    project.write("flows/stock.toml", flow);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    stock::build(&central);
    central.execute("attach ?1 as shop", [project.path("shop.db").to_str().unwrap()]).unwrap();
    let copied = "insert into main.stock select * from shop.stock where rowid % 100 <> 7";
    central.execute_batch(copied).unwrap();
    let skipped: BTreeSet<(String, String)> = shop
        .prepare("select sku from stock where rowid % 100 = 7")
        .unwrap()
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        .map(|sku| ("missing".to_string(), sku.unwrap()))
        .collect();
    assert_eq!(skipped.len(), 3);
    project.expect("run stock --once", 0);
    let before = dump(&central, "stock");
    assert_eq!(named(&project.expect("reconcile stock --json", 2)), skipped);
    let ended = project.expect("reconcile stock --repair", 2);
    assert!(ended.err.contains("somebody else writes this table"), "{}", ended.err);
    assert_eq!(dump(&central, "stock"), before);
}
