//! Changing `mode` changes how rows travel, and nothing about the rows.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, dump, number, rows};
use crate::project::{Project, wait_until};
use crate::stock::{self, Trading, trade};

/// A filter and a projection, one row at a time.
const TRANSFORM: &str = "[transform]\nsql = \"select sku, qty, qty * 2 as pair, upper(note) as note, price from stock where qty > 30\"\n\
     [batch]\nload = \"replace\"\n";

/// The same by SQL alone.
const SAME: &str =
    "select sku, qty, qty * 2 as pair, upper(note) as note, price from stock where qty > 30";

/// A shop's life in two parts, moved after each.
fn live(mode: &str) -> Project {
    let project = stock::project(mode, TRANSFORM, 500);
    let mut shop = project.db("shop.db");
    project.expect("check --online", 0);
    project.expect("run stock --once", 0);
    for n in 0..400 {
        trade(&mut shop, n);
    }
    project.expect("run stock --once", 0);
    for n in 400..700 {
        trade(&mut shop, n);
    }
    project.expect("run stock --once", 0);
    assert_same(&shop, SAME, &project.db("central.db"), "select * from stock");
    project
}

#[test]
fn the_target_is_the_same_in_all_three_modes() {
    let dumps: Vec<String> = ["event", "batch", "hybrid"]
        .into_iter()
        .map(|mode| dump(&live(mode).db("central.db"), "stock"))
        .collect();
    assert!(dumps[0].lines().count() > 100, "{}", dumps[0]);
    assert_eq!(dumps[0], dumps[1], "event and batch");
    assert_eq!(dumps[1], dumps[2], "batch and hybrid");
}

fn set_mode(project: &Project, mode: &str) {
    project.write("flows/stock.toml", stock::flow(mode, TRANSFORM));
}

/// An engine for a while, in a mode, while the shop goes on trading.
fn serve(project: &Project, mode: &str, trading: &Trading) {
    set_mode(project, mode);
    let mut engine = EngineProcess::start(project);
    let central = project.db("central.db");
    let moved = || {
        number(&central, "select coalesce(sum(applied + superseded), 0) from _seamount_progress")
    };
    wait_until("the target has its table", || {
        number(&central, "select count(*) from sqlite_schema where name = '_seamount_progress'") > 0
    });
    let before = moved();
    trading.wait_for(100);
    wait_until("changes arrive", || moved() > before);
    assert!(engine.lives());
    let ended = engine.terminate();
    assert_eq!(ended.code, 143, "{ended:?}");
}

#[test]
fn switching_modes_under_load_loses_and_doubles_nothing() {
    let project = stock::project("event", TRANSFORM, 300);
    let trading = Trading::start(&project, 0);
    serve(&project, "event", &trading);
    set_mode(&project, "batch");
    project.expect("run stock --once", 0);
    trading.wait_for(50);
    serve(&project, "hybrid", &trading);
    serve(&project, "event", &trading);
    set_mode(&project, "batch");
    trading.wait_for(50);
    project.expect("run stock --once", 0);
    serve(&project, "event", &trading);
    trading.stop();
    project.expect("run stock --once", 0);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    assert_same(&shop, SAME, &central, "select * from stock");
    assert_eq!(
        rows(&central, "select * from stock").len() as i64,
        number(&shop, "select count(*) from stock where qty > 30")
    );
    let ended = project.expect("reconcile stock --json", 0);
    assert_eq!(ended.summary()["verdict"], "EQUAL");
}
