//! A newcomer's first hour: a database of their own, five commands, a proof; and the demo.

use crate::oracle::assert_same;
use crate::project::Project;
use crate::stock;

#[test]
fn five_commands_from_a_database_to_a_proof() {
    let project = Project::new(&[]);
    let shop = project.db("x.db");
    stock::build(&shop);
    stock::fill(&shop, 250);
    shop.execute_batch(
        "create table customer (id integer primary key, name text, born date, credit real, photo blob);
         insert into customer values (1, 'Ada', '1815-12-10', 0.1, x'00ff'), (2, 'Bo''b', null, -0.0, null);
         create table line (\"order\" integer not null, number integer not null, article text,
                            primary key (\"order\", number)) without rowid;
         insert into line values (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c')",
    )
    .unwrap();
    project.expect("init --from sqlite:x.db --to sqlite:y.db", 0);
    project.expect("check --online", 0);
    for flow in ["stock", "customer", "line"] {
        let ended = project.expect(&format!("run {flow} --once"), 0);
        assert!(ended.last().contains("EQUAL"), "{}", ended.out);
        let all = format!("select * from {flow}");
        assert_same(&shop, &all, &project.db("y.db"), &all);
    }
    let lines = std::fs::read_to_string(project.path("flows/stock.toml")).unwrap().lines().count();
    assert!(lines <= 25, "{lines} lines to read");
    assert!(project.expect("status", 0).last().starts_with("3 flows fine."));
    let again = project.expect("init --from sqlite:x.db --to sqlite:y.db", 1);
    assert!(again.err.contains("is there already"), "{}", again.err);
}

#[test]
fn init_over_a_database_that_is_not_there() {
    let project = Project::new(&[]);
    let ended = project.expect("init --from sqlite:nowhere.db", 69);
    assert!(ended.err.contains("there is no file"), "{}", ended.err);
    assert!(!project.exists("seamount.toml") && !project.exists("nowhere.db"));
}

#[test]
fn init_without_a_database_leaves_a_project_that_checks() {
    let project = Project::new(&[]);
    project.expect("init", 0);
    project.expect("check", 0);
}

#[test]
fn a_plan_tells_and_writes_nothing() {
    let project = stock::project("hybrid", "[reconcile]\nschedule = \"0 2 * * *\"\n", 5);
    let ended = project.expect("plan", 0);
    for part in
        ["+ capture of stock at 1 site (shop)", "+ table stock at central", "reconcile next 20"]
    {
        assert!(ended.out.contains(part), "{part}:\n{}", ended.out);
    }
    project.expect("plan --detailed-exitcode", 2);
    assert!(!project.exists("central.db"));
    assert_eq!(project.left_behind(), Vec::<String>::new());
    project.expect("run stock --once", 0);
    let ended = project.expect("plan --detailed-exitcode", 0);
    assert_eq!(ended.last(), "nothing to change");
}

#[test]
fn history_again_in_a_table_of_its_own() {
    let project = stock::project("event", "", 100);
    project.expect("run stock --once", 0);
    let mut shop = project.db("shop.db");
    for n in 0..150 {
        stock::trade(&mut shop, n);
    }
    project.expect("run stock --once", 0);
    let ended = project.expect("replay stock --into copy --json", 0);
    assert!(ended.summary()["changes"].as_u64().unwrap() > 100, "{}", ended.out);
    let central = project.db("central.db");
    assert_same(&shop, "select * from stock", &central, "select * from copy");
    // Again into the same table: nothing is doubled.
    project.expect("replay stock --into copy", 0);
    assert_same(&shop, "select * from stock", &central, "select * from copy");
    // Up to a time before the project was there: nothing.
    project.expect("replay stock --into early --to 2001-01-01", 0);
    let ended = project.expect("replay stock --into stock", 1);
    assert!(ended.err.contains("error[E0515]"), "{}", ended.err);
    assert_same(&shop, "select * from stock", &central, "select * from stock");
    // The flow itself goes on.
    for n in 150..200 {
        stock::trade(&mut shop, n);
    }
    project.expect("run stock --once", 0);
    assert_same(&shop, "select * from stock", &central, "select * from stock");
}

#[test]
fn the_demo_ends_with_a_proof() {
    let project = Project::new(&[]);
    let kept = project.path("kept");
    let ended = project.expect(&format!("demo --json --keep {}", kept.display()), 0);
    let last = ended.out.lines().last().unwrap();
    let summary: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((&summary["rows_in"], &summary["rows_out"]), (&1200.into(), &1200.into()));
    assert_eq!((&summary["faults_injected"], &summary["faults_found"]), (&5.into(), &5.into()));
    assert_eq!(summary["equal"], true, "{}", ended.out);
    assert!(!ended.err.contains("unexpected"), "{}", ended.err);
    assert!(kept.join("central.db").exists());
}
