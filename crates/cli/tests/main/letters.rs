//! Dead letters: set aside with their place and reason, shown only on demand, replayed or given up.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, number};
use crate::project::{Ended, Project, wait_until};
use crate::stock;

const ALL: &str = "select * from stock";
const SETTINGS: &str = "[events]\ndead_letter = { after = 1, stop_at = \"50%\" }\n";
/// A value that must never be seen where nobody asked for rows.
const SECRET: &str = "s3cret-of-a-customer";

const RULE: &str =
    "create table stock (sku text not null primary key, qty integer check (qty >= 0),
                                        price decimal(10,2), note text)";

/// The centre refuses a stock below zero; article 7 has one, with a note that is nobody's business.
fn refused() -> (Project, Ended) {
    let project = stock::project("event", SETTINGS, 100);
    let central = project.db("central.db");
    central.execute_batch(RULE).unwrap();
    project.expect("run stock --once", 0);
    let shop = project.db("shop.db");
    shop.execute("update stock set qty = -5, note = ?1 where sku = 'sku-00007'", [SECRET]).unwrap();
    shop.execute("update stock set qty = 6 where sku = 'sku-00008'", []).unwrap();
    let ended = project.run("run stock --once");
    (project, ended)
}

/// The rule goes away, the rows stay.
fn drop_rule(project: &Project) {
    project
        .db("central.db")
        .execute_batch(
            "begin immediate;
             create table loose (sku text not null primary key, qty integer, price decimal(10,2), note text);
             insert into loose select * from stock;
             drop table stock;
             alter table loose rename to stock;
             commit",
        )
        .unwrap();
}

#[test]
fn a_refused_row_waits_and_the_others_go_on() {
    let (project, ended) = refused();
    assert_eq!(ended.code, 0, "{ended:?}");
    let central = project.db("central.db");
    assert_eq!(number(&central, "select qty from stock where sku = 'sku-00008'"), 6);
    assert!(number(&central, "select qty from stock where sku = 'sku-00007'") > 0);
    let listed = project.expect("dlq list stock --json", 0);
    let letters = listed.objects("letter");
    assert_eq!(letters.len(), 1, "{}", listed.out);
    assert_eq!((&letters[0]["table"], &letters[0]["op"]), (&"stock".into(), &"Update".into()));
    assert!(letters[0]["reason"].as_str().unwrap().contains("CHECK"), "{}", letters[0]);
    // Set aside is not lost, and not equal either.
    let proof = project.expect("reconcile stock --json", 2);
    assert!(proof.summary()["text"].as_str().unwrap().contains("parked") || proof.code == 2);
    let told = project.expect("status --json", 0).objects("flow").remove(0);
    assert_eq!(told["letters"], 1, "{told}");
}

#[test]
fn values_are_shown_by_show_and_nowhere_else() {
    let (project, ended) = refused();
    let mut said = vec![ended];
    for line in [
        "dlq list stock",
        "dlq list stock --json",
        "dlq list stock --all",
        "status",
        "status --json",
        "plan",
        "reconcile stock",
        "run stock --once",
        "dlq replay stock",
        "certificate list stock",
        "runs list",
    ] {
        said.push(project.run(line));
    }
    for ended in &said {
        assert!(!ended.out.contains(SECRET) && !ended.err.contains(SECRET), "{ended:?}");
        assert!(!ended.err.contains("-5"), "{ended:?}");
    }
    let shown = project.expect("dlq show stock 1", 0);
    assert!(shown.out.contains(SECRET) && shown.out.contains("-5"), "{}", shown.out);
    project.expect("dlq show stock 99", 64);
}

#[test]
fn replayed_after_the_rule_was_dropped() {
    let (project, _) = refused();
    let ended = project.expect("dlq replay stock", 65);
    assert!(ended.err.contains("refused again"), "{}", ended.err);
    // A newer change of the same key waits behind the letter.
    let shop = project.db("shop.db");
    shop.execute("update stock set qty = 3 where sku = 'sku-00007'", []).unwrap();
    project.expect("run stock --once", 0);
    let central = project.db("central.db");
    assert_ne!(number(&central, "select qty from stock where sku = 'sku-00007'"), 3);
    assert_eq!(project.expect("dlq list stock --json", 0).summary()["letters"], 2);
    drop_rule(&project);
    let ended = project.expect("dlq replay stock --json", 0);
    assert_eq!((&ended.summary()["applied"], &ended.summary()["refused"]), (&2.into(), &0.into()));
    assert_same(&shop, ALL, &central, ALL);
    assert_eq!(project.expect("dlq replay stock --json", 0).summary()["applied"], 0, "once");
    assert_eq!(project.expect("dlq list stock --json", 0).summary()["letters"], 0);
    assert_eq!(project.expect("reconcile stock --json", 0).summary()["verdict"], "EQUAL");
    let all = project.expect("dlq list stock --all --json", 0).objects("letter");
    assert!(all.iter().all(|letter| letter["status"] == "replayed"), "{all:?}");
}

#[test]
fn given_up_it_is_a_difference_until_something_newer_comes() {
    let (project, _) = refused();
    project.expect("dlq discard stock 1", 64);
    project.expect("dlq discard stock 2 --because why", 64);
    project.expect("dlq discard stock 1 --because counted-again", 0);
    project.expect("dlq discard stock 1 --because twice", 64);
    let shown = project.expect("dlq show stock 1", 0);
    assert!(
        shown.out.contains("discarded") && shown.out.contains("counted-again"),
        "{}",
        shown.out
    );
    let ended = project.expect("reconcile stock --json", 2);
    assert_eq!(ended.summary()["differences"], 1, "{}", ended.out);
    let shop = project.db("shop.db");
    shop.execute("update stock set qty = 3 where sku = 'sku-00007'", []).unwrap();
    project.expect("run stock --once", 0);
    assert_eq!(project.expect("reconcile stock --json", 0).summary()["verdict"], "EQUAL");
    assert_same(&shop, ALL, &project.db("central.db"), ALL);
}

/// The same with an engine that runs: it must not remember a letter that is settled.
fn goes_on(settle: &str, code: i32) {
    let (project, _) = refused();
    let engine = EngineProcess::start(&project);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    let qty = |db: &rusqlite::Connection, sku: &str| {
        number(db, &format!("select qty from stock where sku = '{sku}'"))
    };
    shop.execute("update stock set qty = 61 where sku = 'sku-00008'", []).unwrap();
    wait_until("the engine is at work", || qty(&central, "sku-00008") == 61);
    if settle.contains("replay") {
        drop_rule(&project);
    }
    project.expect(settle, code);
    assert_eq!(project.expect("dlq list stock --json", 0).summary()["letters"], 0);
    shop.execute("update stock set qty = 8 where sku = 'sku-00007'", []).unwrap();
    wait_until("the next change of the key goes through", || qty(&central, "sku-00007") == 8);
    wait_until("it is told to be at work", || {
        project.expect("status --json", 0).objects("flow").remove(0)["health"] != "PAUSED"
    });
    assert_eq!(engine.terminate().code, 143);
    project.expect("run stock --once", 0);
    assert_same(&shop, ALL, &central, ALL);
    assert_eq!(project.expect("dlq list stock --json", 0).summary()["letters"], 0);
}

#[test]
fn a_running_engine_replays_them_and_goes_on() {
    goes_on("dlq replay stock", 0);
}

#[test]
fn a_running_engine_gives_them_up_and_goes_on() {
    goes_on("dlq discard stock 1 --because counted-again", 0);
}

#[test]
fn an_engine_killed_while_it_replays_does_not_stand_still_afterwards() {
    let (project, _) = refused();
    let engine = EngineProcess::start(&project);
    let asking = EngineProcess::start_with(&project, "dlq replay stock");
    let state = project.db(".seamount/state.db");
    wait_until("the engine holds the flow, or is done with it", || {
        number(&state, "select count(*) from observation where subject = 'standstill:stock'") > 0
    });
    engine.kill();
    let ended = asking.end_of_it();
    assert!(matches!(ended.code, 65 | 75), "{ended:?}");
    let engine = EngineProcess::start(&project);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    shop.execute("update stock set qty = 9 where sku = 'sku-00001'", []).unwrap();
    wait_until("the flow goes on", || {
        number(&central, "select qty from stock where sku = 'sku-00001'") == 9
    });
    assert_eq!(engine.terminate().code, 143);
}
