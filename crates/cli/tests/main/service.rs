//! `seamount run` as a service: it moves, answers, stops as told, and survives being killed.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, dump, number, rows};
use crate::project::{Project, wait_until};
use crate::stock::{self, Trading, trade};
use serde_json::Value;

const ALL: &str = "select * from stock";

/// The only flow's line of `status`; null while an engine that starts for the first time has laid nothing out yet.
fn status(project: &Project) -> Value {
    let flows = project.expect("status --json", 0).objects("flow");
    flows.into_iter().next().unwrap_or_default()
}

#[track_caller]
fn assert_conserved(counters: &Value) {
    let count =
        |name: &str| counters[name].as_u64().unwrap_or_else(|| panic!("{name}: {counters}"));
    let fates: u64 = ["applied", "superseded", "filtered", "deduplicated", "stale", "parked"]
        .into_iter()
        .map(count)
        .sum();
    assert_eq!(count("read"), fates, "{counters}");
}

fn same(project: &Project) -> bool {
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    if number(&central, "select count(*) from sqlite_schema where name = 'stock'") == 0 {
        return false;
    }
    rows(&shop, ALL) == rows(&central, ALL)
}

#[test]
fn it_moves_answers_and_stops_with_143() {
    let project = stock::project("hybrid", "", 300);
    let mut engine = EngineProcess::start(&project);
    wait_until("the snapshot is there", || same(&project));
    let mut shop = project.db("shop.db");
    for n in 0..200 {
        trade(&mut shop, n);
    }
    wait_until("the changes are there", || same(&project));
    let ended = project.expect("reconcile stock --json", 0);
    assert_eq!(ended.summary()["verdict"], "EQUAL");
    assert_eq!(ended.summary()["rows"], number(&shop, "select count(*) from stock"));
    wait_until("the engine has told how it stands", || {
        let told = status(&project);
        told["status"]["standing"] == "live"
            && told["status"]["counters"]["read"].as_u64() > Some(500)
    });
    let told = status(&project);
    assert_conserved(&told["status"]["counters"]);
    assert_eq!(told["health"], "OK", "{told}");
    assert_eq!((&told["letters"], &told["proven_tables"]), (&0.into(), &1.into()));
    assert!(told["status"]["latency_p50_us"].is_u64(), "{told}");
    assert!(project.expect("status", 0).last().ends_with("No data lost."));
    project.expect("diff stock", 0);
    project.expect("certificate verify stock", 0);
    assert!(engine.lives());
    let ended = engine.terminate();
    assert_eq!(ended.code, 143, "{ended:?}");
    assert_eq!(ended.out.lines().last(), Some("stopped; everything acknowledged is durable"));
    assert!(!ended.err.contains("error"), "{}", ended.err);
    assert!(same(&project));
    // Nothing is moved a second time.
    let before = dump(&project.db("central.db"), "stock");
    project.expect("run stock --once", 0);
    assert_eq!(dump(&project.db("central.db"), "stock"), before);
}

#[test]
fn stopped_by_ctrl_c_it_says_130() {
    let project = stock::project("event", "", 10);
    let engine = EngineProcess::start(&project);
    wait_until("the snapshot is there", || same(&project));
    crate::project::signal("-INT", &engine.id().to_string());
    let ended = engine.end_of_it();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(same(&project));
}

#[test]
fn killed_five_times_in_the_middle_it_loses_and_doubles_nothing() {
    let project = stock::project("event", "", 400);
    let trading = Trading::start(&project, 0);
    for _ in 0..5 {
        let engine = EngineProcess::start(&project);
        trading.wait_for(60);
        engine.kill();
        trading.wait_for(20);
    }
    trading.stop();
    project.expect("run stock --once", 0);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    assert_same(&shop, ALL, &central, ALL);
    let fates = number(
        &central,
        "select sum(applied + superseded + filtered + deduplicated + stale + parked) from _seamount_progress",
    );
    let read = number(&central, "select sum(read) from _seamount_progress");
    assert_eq!(read, fates, "conserved in the target's own book");
    assert!(read > 400);
    assert_eq!(project.expect("reconcile stock --json", 0).summary()["verdict"], "EQUAL");
}

#[test]
fn a_burst_that_is_cut_off_by_a_kill_is_applied_once() {
    let project = stock::project("event", "", 100);
    project.expect("run stock --once", 0);
    let shop = project.db("shop.db");
    // Counting up: a change applied twice or not at all shows in the number.
    for round in 0..3 {
        let engine = EngineProcess::start(&project);
        for _ in 0..300 {
            shop.execute("update stock set qty = qty + 1 where sku < 'sku-00011'", []).unwrap();
        }
        let central = project.db("central.db");
        let goal = number(&shop, "select sum(qty) from stock where sku < 'sku-00011'") - 2000;
        wait_until("a part has arrived", || {
            number(&central, "select sum(qty) from stock where sku < 'sku-00011'") >= goal
        });
        let ended = engine.kill();
        assert_eq!(ended.code, -1, "round {round}: {ended:?}");
    }
    project.expect("run stock --once", 0);
    assert_same(&shop, ALL, &project.db("central.db"), ALL);
}

#[test]
fn a_paused_flow_waits_and_goes_on() {
    let project = stock::project("event", "", 400);
    let engine = EngineProcess::start(&project);
    wait_until("the snapshot is there", || same(&project));
    project.expect("pause stock", 0);
    wait_until("the flow stands still", || status(&project)["health"] == "PAUSED");
    let before = dump(&project.db("central.db"), "stock");
    let captured = |told: &Value| told["lanes"][0]["status"]["captured"].as_u64().unwrap_or(0);
    let read = captured(&status(&project));
    let mut shop = project.db("shop.db");
    for n in 0..100 {
        trade(&mut shop, n);
    }
    wait_until("the log has the changes", || captured(&status(&project)) >= read + 100);
    assert_eq!(dump(&project.db("central.db"), "stock"), before, "nothing is applied");
    project.expect("resume stock", 0);
    wait_until("everything is applied", || same(&project));
    assert_eq!(engine.terminate().code, 143);
}

#[test]
fn a_site_that_comes_back_is_taken_up_again() {
    let project = stock::project("event", "", 50);
    std::fs::rename(project.path("shop.db"), project.path("away.db")).unwrap();
    let mut engine = EngineProcess::start(&project);
    wait_until("the site is told to be down", || status(&project)["health"] == "DOWN");
    let told = project.expect("status", 0);
    assert!(told.out.contains("shop") && told.out.contains("DOWN"), "{}", told.out);
    std::fs::rename(project.path("away.db"), project.path("shop.db")).unwrap();
    wait_until("the site is taken up", || same(&project));
    assert!(engine.lives());
    assert_eq!(engine.terminate().code, 143);
}

#[test]
fn a_batch_flow_of_its_schedule_runs_beside() {
    let project = stock::project("event", "", 30);
    let flow = stock::flow("batch", "[batch]\nschedule = \"* * * * *\"\n")
        .replace("table = \"stock\"\n[batch]", "table = \"nightly\"\n[batch]");
    project.write("flows/nightly.toml", flow);
    project.expect("check --online", 0);
    let engine = EngineProcess::start(&project);
    let central = project.db("central.db");
    wait_until("the minute's run is published", || {
        number(&central, "select count(*) from sqlite_schema where name = 'nightly'") == 1
            && number(&central, "select count(*) from nightly") == 30
    });
    wait_until("the events are there too", || same(&project));
    assert_eq!(engine.terminate().code, 143);
    let runs = project.expect("runs list nightly --json", 0).objects("run");
    assert_eq!(runs[0]["run"]["asked_by"], "schedule", "{runs:?}");
}
