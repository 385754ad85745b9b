//! A hybrid service over minutes in small: scheduled proofs with repair beside load and damage, engines killed in the
//! middle of a repair, and states that outlive a restart.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, dump, number, rows};
use crate::project::{Project, wait_until};
use crate::stock::{self, Trading};

const ALL: &str = "select * from stock";
const EACH_MINUTE: &str =
    "[reconcile]\nschedule = \"* * * * *\"\nrepair = { max_rows = 50, max_share = \"20%\" }\n";

fn certificates(project: &Project) -> i64 {
    number(&project.db(".seamount/state.db"), "select count(*) from certificate")
}

#[test]
fn the_scheduled_proof_mends_damage_beside_load_and_nothing_else() {
    let project = stock::project("hybrid", EACH_MINUTE, 400);
    project.expect("run stock --once", 0);
    let engine = EngineProcess::start(&project);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    shop.execute("insert into stock values ('quiet', 1, 1, 'a')", []).unwrap();
    wait_until("it is there", || {
        number(&central, "select count(*) from stock where sku = 'quiet'") == 1
    });
    let trading = Trading::start(&project, 0);
    central.execute("update stock set qty = 99 where sku = 'quiet'", []).unwrap();
    wait_until("the minute's proof has mended it", || {
        number(&central, "select qty from stock where sku = 'quiet'") == 1
    });
    let repaired = number(&central, "select sum(repaired) from _seamount_progress");
    assert_eq!(repaired, 1, "rows that were right are left alone");
    trading.stop();
    assert_eq!(engine.terminate().code, 143);
    project.expect("run stock --once", 0);
    assert_same(&shop, ALL, &central, ALL);
    assert!(certificates(&project) >= 2);
    project.expect("certificate verify stock", 0);
}

#[test]
fn killed_while_it_mends_the_next_proof_mends_the_rest() {
    let project = stock::project("event", "", 3000);
    project.expect("run stock --once", 0);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    central
        .execute_batch("update stock set qty = -1 where cast(substr(sku, 5) as integer) % 3 = 0")
        .unwrap();
    let wrong = || rows(&central, "select * from stock where qty = -1").len();
    for _ in 0..3 {
        let before = certificates(&project);
        let line = "reconcile stock --repair --max-rows 5000 --max-share 100";
        let asked = EngineProcess::start_with(&project, line);
        wait_until("a proof is certified", || certificates(&project) > before);
        asked.kill();
        assert!(wrong() == 0 || wrong() == 1000, "a repair is whole or not there: {}", wrong());
    }
    project.expect("reconcile stock --repair --max-rows 5000 --max-share 100", 0);
    assert_same(&shop, ALL, &central, ALL);
    project.expect("certificate verify stock", 0);
}

#[test]
fn a_pause_outlives_a_restart() {
    let project = stock::project("event", "", 50);
    project.expect("run stock --once", 0);
    project.expect("pause stock", 0);
    let before = dump(&project.db("central.db"), "stock");
    let shop = project.db("shop.db");
    let engine = EngineProcess::start(&project);
    shop.execute("update stock set qty = 5", []).unwrap();
    wait_until("it is told to be paused, with the changes in the log", || {
        let told = project.expect("status --json", 0).objects("flow").remove(0);
        told["health"] == "PAUSED" && told["lanes"][0]["status"]["captured"].as_u64() >= Some(50)
    });
    assert_eq!(dump(&project.db("central.db"), "stock"), before);
    assert_eq!(engine.terminate().code, 143);
    project.expect("resume stock", 0);
    project.expect("run stock --once", 0);
    assert_same(&shop, ALL, &project.db("central.db"), ALL);
}

#[test]
fn a_broken_flow_does_not_stop_its_neighbour() {
    let project = stock::project("event", "", 50);
    project.expect("run stock --once", 0);
    // The second flow reads a table of another site, whose file is no database.
    project.write("sites.toml", format!("{}[ruin]\nurl = \"sqlite:ruin.db\"\n", stock::SITES));
    project.write("ruin.db", "not a database, only words\n".repeat(60));
    let flow = stock::flow("event", "")
        .replace("\"shop\"", "\"ruin\"")
        .replace("table = \"stock\"", "table = \"other\"");
    project.write("flows/other.toml", flow);
    let engine = EngineProcess::start(&project);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    shop.execute("update stock set qty = 6", []).unwrap();
    wait_until("the sound flow moves", || {
        number(&central, "select count(*) from stock where qty = 6") == 50
    });
    wait_until("the broken one is told", || {
        let told = project.expect("status", 0).out;
        told.contains("ruin") && told.contains("STOPPED") && told.contains("1 of 2 flows need you")
    });
    assert_eq!(engine.terminate().code, 143);
}

/// Files of the log had 256 MiB whatever `max_size` said, and were let go of only by a service that lived for a minute.
#[test]
fn a_log_of_a_small_size_is_made_of_small_files_that_go_at_a_start() {
    let project = stock::project("event", "", 2000);
    project.write("seamount.toml", format!("{}log = {{ max_size = \"600kB\" }}\n", stock::PROJECT));
    let shop = project.db("shop.db");
    for _ in 0..8 {
        shop.execute("update stock set note = hex(randomblob(60))", []).unwrap();
        project.expect("run stock --once", 0);
    }
    EngineProcess::serve_until_the_log_is_trimmed(&project);
    project.expect("run stock --once", 0);
    assert_same(&shop, ALL, &project.db("central.db"), ALL);
}
