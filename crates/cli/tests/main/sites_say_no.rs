//! Sites that do not fit a flow: said by `check --online`, and refused by `run` before anything is written.

use crate::oracle;
use crate::project::{Ended, Project};
use crate::stock;

/// A project over a shop with tables of the test's own.
fn project(tables: &str, flow: &str) -> Project {
    let project = Project::new(&[
        ("seamount.toml", stock::PROJECT),
        ("sites.toml", &stock::SITES.replace("30000", "200")),
        ("flows/stock.toml", flow),
    ]);
    project.db("shop.db").execute_batch(tables).unwrap();
    project
}

/// No table of ours in the shop, no table in the centre, nothing moved into the log.
#[track_caller]
fn assert_nothing_moved(project: &Project) {
    let ours = |db: &rusqlite::Connection| -> Vec<String> {
        oracle::tables(db).into_iter().filter(|name| name.starts_with("_seamount")).collect()
    };
    assert_eq!(ours(&project.db("shop.db")), Vec::<String>::new(), "the source was changed");
    if project.exists("central.db") {
        assert!(!oracle::tables(&project.db("central.db")).contains(&"stock".to_string()));
    }
}

#[track_caller]
fn assert_whole(ended: &Ended, code: &str) {
    let said = &ended.err;
    assert!(said.contains(&format!("error[{code}]: ")), "not {code}:\n{said}");
    assert_eq!(said.matches("error[").count(), 1, "{said}");
    for part in ["= found:", "= effect:", "= fix:", "= more:"] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
}

/// Refused online and at the door of a run, with nothing written.
#[track_caller]
fn refused(code: &str, tables: &str, flow: &str) {
    let project = project(tables, flow);
    project.expect("check", 0);
    assert_whole(&project.expect("check --online", 78), code);
    assert_nothing_moved(&project);
    for line in ["run stock --once", "run"] {
        assert_whole(&project.expect(line, 78), code);
        assert_nothing_moved(&project);
        assert!(!project.exists("central.db"));
    }
}

const STOCK: &str = "create table stock (sku text not null primary key, qty integer);
                     insert into stock values ('a', 1), ('b', 2)";

#[test]
fn a_key_column_that_is_not_there() {
    let flow = stock::flow("event", "").replace("[to]", "key = [\"article\"]\n[to]");
    refused("E0402", STOCK, &flow);
}

#[test]
fn a_table_whose_only_key_is_the_rowid() {
    let tables = "create table stock (sku text, qty integer); insert into stock values ('a', 1)";
    refused("E0410", tables, &stock::flow("event", ""));
    refused("E0410", tables, &stock::flow("hybrid", ""));
}

#[test]
fn a_relational_transform_outside_batch() {
    let more = "[transform]\nsql = \"select sku, sum(qty) as qty from stock group by sku\"\n";
    for mode in ["event", "hybrid"] {
        let flow = stock::flow(mode, more).replace("[to]", "key = [\"sku\"]\n[to]");
        refused("E0406", STOCK, &flow);
    }
    let flow = stock::flow("event", more).replace("[to]", "key = [\"sku\"]\n[to]");
    let said = project(STOCK, &flow).run("check --online").err;
    assert!(said.contains("mode = \"batch\""), "the fix keeps it as batch:\n{said}");
}

#[test]
fn a_transform_that_drops_the_key() {
    let more = "[transform]\nsql = \"select qty from stock\"\n";
    refused("E0404", STOCK, &stock::flow("event", more));
}

#[test]
fn a_transform_that_does_not_parse() {
    let more = "[transform]\nsql = \"selct sku from stock\"\n";
    refused("E0411", STOCK, &stock::flow("batch", more));
}

#[test]
fn a_null_in_the_key() {
    for mode in ["event", "batch", "hybrid"] {
        let tables = "create table stock (sku text primary key, qty integer);
                      insert into stock values ('a', 1), (null, 2), (null, 3)";
        let project = project(tables, &stock::flow(mode, ""));
        let ended = project.run("run stock --once");
        // Nothing but the rows themselves can change that.
        assert!(matches!(ended.code, 1 | 65), "{mode}: {ended:?}");
        assert!(ended.err.contains("key") && ended.err.contains("= fix:"), "{mode}: {}", ended.err);
        if project.exists("central.db") {
            let central = project.db("central.db");
            if oracle::tables(&central).contains(&"stock".to_string()) {
                assert_eq!(oracle::number(&central, "select count(*) from stock"), 0, "{mode}");
            }
        }
    }
}

#[test]
fn a_missing_database() {
    for mode in ["event", "batch", "hybrid"] {
        let project = project(STOCK, &stock::flow(mode, ""));
        std::fs::remove_file(project.path("shop.db")).unwrap();
        assert_whole(&project.expect("check --online", 69), "E0401");
        let ended = project.expect("run stock --once", 69);
        assert!(ended.err.contains("shop has no database"), "{}", ended.err);
        assert!(!project.exists("shop.db"), "a source is never made");
        let ended = project.expect("sites test shop", 69);
        assert!(ended.out.contains("there is no file"), "{}", ended.out);
    }
}

#[test]
fn a_text_file_in_place_of_a_database() {
    for mode in ["event", "batch", "hybrid"] {
        let project = project(STOCK, &stock::flow(mode, ""));
        for leftover in ["shop.db-wal", "shop.db-shm"] {
            project.write(leftover, "");
        }
        let text = "this is a letter and no database\n".repeat(40);
        project.write("shop.db", &text);
        assert_whole(&project.expect("check --online", 78), "E0401");
        let ended = project.run("run stock --once");
        assert!(ended.code == 1 || ended.code == 69, "{mode}: {ended:?}");
        assert!(ended.err.contains("no SQLite database"), "{mode}: {}", ended.err);
        assert_eq!(std::fs::read_to_string(project.path("shop.db")).unwrap(), text);
        project.expect("sites test shop", 69);
    }
}

#[test]
fn a_source_that_somebody_locks() {
    for mode in ["event", "batch", "hybrid"] {
        let project = project(STOCK, &stock::flow(mode, ""));
        let locker = project.db("shop.db");
        locker.execute_batch("begin exclusive").unwrap();
        let ended = project.expect("run stock --once", 69);
        assert!(ended.err.contains("locked"), "{mode}: {}", ended.err);
        let ended = project.expect("check --online", 69);
        assert!(ended.err.contains("locked"), "{mode}: {}", ended.err);
        locker.execute_batch("rollback").unwrap();
        assert_nothing_moved(&project);
        // Safe to repeat.
        project.expect("run stock --once", 0);
        let central = project.db("central.db");
        assert_eq!(oracle::number(&central, "select count(*) from stock"), 2, "{mode}");
    }
}

#[test]
fn a_target_that_somebody_locks() {
    for mode in ["event", "batch"] {
        let project = project(STOCK, &stock::flow(mode, ""));
        let locker = project.db("central.db");
        locker.execute_batch("create table other (a)").unwrap();
        locker.execute_batch("begin exclusive").unwrap();
        let ended = project.run("run stock --once");
        assert!(ended.code == 69 || ended.code == 75, "{mode}: {ended:?}");
        assert!(ended.err.contains("locked") && ended.err.contains("= fix:"), "{}", ended.err);
        locker.execute_batch("rollback").unwrap();
        assert!(!oracle::tables(&locker).contains(&"stock".to_string()));
        project.expect("run stock --once", 0);
        assert_eq!(oracle::number(&locker, "select count(*) from stock"), 2, "{mode}");
    }
}
