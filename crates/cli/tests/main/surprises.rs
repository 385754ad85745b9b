//! The world changes behind the engine's back: state lost, databases restored or copied, tables altered, a store
//! that writes what is not its own. Nothing is lost unsaid, and there is a way on.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, dump, number, rows};
use crate::project::{Project, wait_until};
use crate::stock;

const ALL: &str = "select * from stock";

#[test]
fn a_lost_state_folder_starts_over_on_purpose_only() {
    let project = stock::project("event", "", 200);
    project.expect("run stock --once", 0);
    std::fs::remove_dir_all(project.path(".seamount")).unwrap();
    let shop = project.db("shop.db");
    shop.execute_batch("delete from stock where sku < 'sku-00050'; update stock set qty = 1")
        .unwrap();
    let before = dump(&project.db("central.db"), "stock");
    let ended = project.expect("run stock --once", 1);
    assert!(ended.err.contains("FENCED"), "{}", ended.err);
    assert_eq!(dump(&project.db("central.db"), "stock"), before);
    project.expect("run stock --once --take-over", 0);
    // Rows that went away meanwhile are gone at the target too.
    assert_same(&shop, ALL, &project.db("central.db"), ALL);
    project.expect("run stock --once", 0);
    assert_eq!(project.expect("reconcile stock --json", 0).summary()["verdict"], "EQUAL");
}

#[test]
fn a_restored_source_is_noticed_and_nothing_is_taken_back() {
    let project = stock::project("event", "", 100);
    project.expect("run stock --once", 0);
    let mut shop = project.db("shop.db");
    shop.execute_batch("pragma wal_checkpoint(truncate)").unwrap();
    std::fs::copy(project.path("shop.db"), project.path("backup.db")).unwrap();
    for n in 0..50 {
        stock::trade(&mut shop, n);
    }
    project.expect("run stock --once", 0);
    let before = dump(&project.db("central.db"), "stock");
    drop(shop);
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(project.path(&format!("shop.db{end}")));
    }
    std::fs::copy(project.path("backup.db"), project.path("shop.db")).unwrap();
    project
        .db("shop.db")
        .execute("update stock set qty = 4711 where sku = 'sku-00001'", [])
        .unwrap();
    let ended = project.expect("run stock --once", 1);
    let named = ["HISTORY_CHANGED", "POSITION_LOST"];
    assert!(named.iter().any(|state| ended.err.contains(state)), "{}", ended.err);
    assert!(ended.err.contains("= fix:"), "{}", ended.err);
    assert_eq!(dump(&project.db("central.db"), "stock"), before);
}

const STORES: &str = "[central]\nurl = \"sqlite:central.db\"\n[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{site}.db\"\n";

/// Three stores that write one table, each its own rows.
fn stores(mode: &str) -> Project {
    let flow = format!(
        "mode = \"{mode}\"\n[from]\nsites = \"stores\"\ntable = \"stock\"\n[to]\nsite = \"central\"\n\
         table = \"stock\"\nowner = \"store\"\n[events]\ndead_letter = {{ after = 1, stop_at = \"90%\" }}\n"
    );
    let project = Project::new(&[
        ("seamount.toml", stock::PROJECT),
        ("sites.toml", STORES),
        ("stores.csv", "site\nparis\noslo\nrome\n"),
        ("flows/stock.toml", &flow),
    ]);
    for store in ["paris", "oslo", "rome"] {
        project
            .db(&format!("{store}.db"))
            .execute_batch(&format!(
                "create table stock (store text not null, sku integer not null, qty integer,
                                     primary key (store, sku)) without rowid;
                 with recursive n(i) as (select 1 union all select i + 1 from n where i < 40)
                 insert into stock select '{store}', i, i * 3 from n"
            ))
            .unwrap();
    }
    project
}

#[track_caller]
fn assert_all_stores(project: &Project) {
    let central = project.db("central.db");
    for store in ["paris", "oslo", "rome"] {
        let own = format!("select * from stock where store = '{store}'");
        assert_same(&project.db(&format!("{store}.db")), &own, &central, &own);
    }
}

#[test]
fn three_stores_keep_to_their_own_rows() {
    for mode in ["event", "batch", "hybrid"] {
        let project = stores(mode);
        project.expect("check --online", 0);
        project.expect("run stock --once", 0);
        let change = "delete from stock where sku % 3 = 0; insert or replace into stock select store, sku, 7 from stock where sku % 4 = 0";
        for store in ["paris", "rome"] {
            project.db(&format!("{store}.db")).execute_batch(change).unwrap();
        }
        project.expect("run stock --once", 0);
        assert_all_stores(&project);
        assert_eq!(
            number(&project.db("central.db"), "select count(*) from stock"),
            40 + 2 * 27,
            "{mode}"
        );
    }
}

#[test]
fn a_row_of_another_owner_never_reaches_the_target() {
    for mode in ["event", "batch"] {
        let project = stores(mode);
        project.expect("run stock --once", 0);
        let before = rows(&project.db("central.db"), "select * from stock where store = 'oslo'");
        // Paris claims a row of Oslo.
        project.db("paris.db").execute("insert into stock values ('oslo', 7, 999)", []).unwrap();
        project.db("paris.db").execute("update stock set qty = 1 where sku = 1", []).unwrap();
        let ended = project.run("run stock --once");
        let central = project.db("central.db");
        assert_eq!(rows(&central, "select * from stock where store = 'oslo'"), before, "{mode}");
        match mode {
            "batch" => assert!(ended.code == 65 && ended.err.contains("E0510"), "{ended:?}"),
            _ => {
                assert_eq!(ended.code, 0, "{ended:?}");
                let sql = "select qty from stock where store = 'paris' and sku = 1";
                assert_eq!(number(&central, sql), 1);
                assert_eq!(project.expect("dlq list stock --json", 0).summary()["letters"], 1);
            }
        }
    }
}

#[test]
fn one_store_down_does_not_stop_the_others() {
    let project = stores("event");
    project.expect("run stock --once", 0);
    std::fs::rename(project.path("oslo.db"), project.path("away.db")).unwrap();
    project.db("paris.db").execute("update stock set qty = 5 where sku = 1", []).unwrap();
    let ended = project.expect("run stock --once", 69);
    assert!(ended.err.contains("oslo is down"), "{}", ended.err);
    let sql = "select qty from stock where store = 'paris' and sku = 1";
    assert_eq!(number(&project.db("central.db"), sql), 5);
    assert_eq!(
        number(&project.db("central.db"), "select count(*) from stock where store = 'oslo'"),
        40
    );
    let proof = project.expect("reconcile stock --json", 3);
    assert_eq!(proof.summary()["verdict"], "UNPROVEN", "a store that cannot be seen is not equal");
    std::fs::rename(project.path("away.db"), project.path("oslo.db")).unwrap();
    project.expect("run stock --once", 0);
    project.expect("reconcile stock", 0);
    assert_all_stores(&project);
}

#[test]
fn a_copied_database_is_a_site_of_its_own() {
    let project = stores("event");
    project.expect("run stock --once", 0);
    // Changes that Paris still keeps for us are in the copy too, and are not Lyon's.
    let paris = project.db("paris.db");
    paris.execute("update stock set qty = 70 where sku = 7", []).unwrap();
    let _ = paris.execute_batch("pragma wal_checkpoint(truncate)");
    std::fs::copy(project.path("paris.db"), project.path("lyon.db")).unwrap();
    let lyon = project.db("lyon.db");
    lyon.execute("update stock set store = 'lyon', qty = qty + 1", []).unwrap();
    project.write("stores.csv", "site\nparis\noslo\nrome\nlyon\n");
    let ended = project.run("run stock --once");
    let central = project.db("central.db");
    if ended.code == 0 {
        assert_same(&lyon, ALL, &central, "select * from stock where store = 'lyon'");
    } else {
        assert!(ended.err.contains("HISTORY_CHANGED"), "{}", ended.err);
    }
    project.write("stores.csv", "site\nparis\noslo\nrome\n");
    project.expect("run stock --once", 0);
    assert_all_stores(&project);
}

#[test]
fn a_new_column_is_carried() {
    let project = stock::project("event", "", 50);
    project.expect("run stock --once", 0);
    let shop = project.db("shop.db");
    shop.execute_batch(
        "update stock set qty = 1 where sku = 'sku-00001';
         alter table stock add column shelf text;
         update stock set shelf = 'A' || qty where sku < 'sku-00020';
         insert into stock (sku, shelf) values ('last', 'Z')",
    )
    .unwrap();
    project.expect("run stock --once", 0);
    assert_same(&shop, ALL, &project.db("central.db"), ALL);
    project.expect("reconcile stock", 0);
}

#[test]
fn a_new_column_is_carried_by_a_running_engine() {
    let project = stock::project("event", "", 50);
    project.expect("run stock --once", 0);
    let engine = EngineProcess::start(&project);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    shop.execute("update stock set qty = 2 where sku = 'sku-00001'", []).unwrap();
    shop.execute_batch("alter table stock add column shelf text").unwrap();
    shop.execute("update stock set shelf = 'B' where sku < 'sku-00020'", []).unwrap();
    shop.execute("insert into stock (sku, shelf) values ('last', 'Z')", []).unwrap();
    wait_until("the new column is there with its values", || {
        number(&central, "select count(*) from pragma_table_info('stock') where name = 'shelf'")
            == 1
            && number(&central, "select count(*) from stock where shelf is not null") == 20
    });
    assert_eq!(engine.terminate().code, 143);
    project.expect("run stock --once", 0);
    assert_same(&shop, ALL, &central, ALL);
}

#[test]
fn a_column_that_goes_away_stops_the_flow_and_loses_nothing() {
    let project = stock::project("event", "", 50);
    project.expect("run stock --once", 0);
    let shop = project.db("shop.db");
    shop.execute("update stock set note = 'before' where sku = 'sku-00001'", []).unwrap();
    // As migrations of SQLite do it: another table takes the place.
    shop.execute_batch(
        "begin immediate;
         create table slim (sku text not null primary key, qty integer, note text);
         insert into slim select sku, qty, note from stock;
         drop table stock;
         alter table slim rename to stock;
         commit",
    )
    .unwrap();
    shop.execute("update stock set note = 'after' where sku = 'sku-00002'", []).unwrap();
    let ended = project.run("run stock --once");
    let central = project.db("central.db");
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("SCHEMA_BLOCKED"), "{}", ended.err);
    assert!(ended.err.contains("column price is gone"), "{}", ended.err);
    assert_eq!(number(&central, "select count(*) from stock where price is not null"), 50, "kept");
    // The column comes back, and what the message says is done word by word.
    shop.execute_batch("alter table stock add column price decimal(10,2)").unwrap();
    shop.execute("attach ?1 as central", [project.path("central.db").to_str().unwrap()]).unwrap();
    shop.execute_batch(
        "update main.stock set price = (select c.price from central.stock c where c.sku = main.stock.sku)
         where sku <> 'sku-00002'",
    )
    .unwrap();
    shop.execute_batch("detach central").unwrap();
    let told = project.expect("run stock --once", 1).err;
    let fix = told.lines().find(|line| line.contains("= fix:")).unwrap();
    shop.execute_batch(fix.split('`').nth(1).unwrap()).unwrap();
    // Changes of the slim shape are in the log by now: a new snapshot begins behind them.
    let told = project.expect("run stock --once", 1).err;
    assert!(told.contains("SCHEMA_BLOCKED") && told.contains("seamount resync"), "{told}");
    let all = "select sku, qty, price, note from stock";
    project.expect("resync stock", 0);
    project.expect("reconcile stock", 0);
    assert_same(&shop, all, &central, all);
}
