//! Checks that could not see enough say UNPROVEN with the reason and end with 3; beside each stands the same check
//! that could, so that none of them always says so.

use crate::engine_process::EngineProcess;
use crate::oracle::number;
use crate::project::Project;
use crate::stock;
use serde_json::Value;

/// Proves; gives site, verdict and reason of each table.
#[track_caller]
fn proved(project: &Project, code: i32) -> Vec<(String, String, Option<String>)> {
    let ended = project.expect("reconcile stock --json", code);
    let text = |value: &Value| value.as_str().map(String::from);
    let tables = ended.objects("table").into_iter();
    let mut told: Vec<_> = tables
        .map(|t| (text(&t["site"]).unwrap(), text(&t["verdict"]).unwrap(), text(&t["reason"])))
        .collect();
    told.sort();
    told
}

fn unproven(site: &str, reason: &str) -> (String, String, Option<String>) {
    (site.into(), "UNPROVEN".into(), Some(reason.into()))
}

fn equal(site: &str) -> (String, String, Option<String>) {
    (site.into(), "EQUAL".into(), None)
}

/// The newest certificates, each as it is stored.
fn certificates(project: &Project) -> Vec<Value> {
    let state = project.db(".seamount/state.db");
    let mut read = state.prepare("select body from certificate order by number").unwrap();
    let bodies = read.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    bodies.map(|body| serde_json::from_slice(&body.unwrap()).unwrap()).collect()
}

/// Two shops of one table.
fn two_shops(north: i64) -> Project {
    let project = stock::project("event", "", 60);
    let sites = "[central]\nurl = \"sqlite:central.db\"\n[shops]\neach_in = \"shops.csv\"\nurl = \"sqlite:{site}.db\"\n";
    project.write("sites.toml", sites);
    project.write("shops.csv", "site\nnorth\nshop\n");
    let flow = stock::flow("event", "")
        .replace("sites = \"shop\"", "sites = \"shops\"\nsite_column = \"site\"");
    project.write("flows/stock.toml", flow);
    let db = project.db("north.db");
    stock::build(&db);
    stock::fill(&db, north);
    project.expect("run stock --once", 0);
    project
}

#[test]
fn empty_tables_prove_nothing() {
    let project = stock::project("event", "", 0);
    project.run("run stock --once");
    assert_eq!(proved(&project, 3), [unproven("shop", "empty")]);
    let made = certificates(&project);
    assert_eq!(
        (&made[0]["verdict"], &made[0]["coverage"]["rows"]),
        (&"UNPROVEN".into(), &0.into())
    );
    let told = project.expect("certificate show stock", 0);
    assert!(told.last().contains("there are no rows on either side"), "{}", told.out);
    assert!(project.expect("status", 0).out.contains("UNPROVEN"));
    stock::fill(&project.db("shop.db"), 1);
    project.expect("run stock --once", 0);
    assert_eq!(proved(&project, 0), [equal("shop")]);
}

#[test]
fn a_site_without_rows_is_fine_beside_others_and_unproven_by_itself() {
    let project = two_shops(0);
    assert_eq!(proved(&project, 0), [unproven("north", "empty"), equal("shop")]);
    project.db("shop.db").execute("delete from stock", []).unwrap();
    project.expect("run stock --once", 0);
    assert_eq!(proved(&project, 3), [unproven("north", "empty"), unproven("shop", "empty")]);
}

#[test]
fn an_unreachable_site_has_a_certificate_that_says_so() {
    let project = two_shops(30);
    assert_eq!(proved(&project, 0), [equal("north"), equal("shop")]);
    std::fs::rename(project.path("north.db"), project.path("away.db")).unwrap();
    assert_eq!(proved(&project, 3), [unproven("north", "unavailable"), equal("shop")]);
    let made = certificates(&project);
    let newest = made.iter().rfind(|c| c["site"] == "north").unwrap();
    assert_eq!(
        (&newest["verdict"], &newest["reason"]),
        (&"UNPROVEN".into(), &"unavailable".into())
    );
    assert!(newest["says"].as_str().unwrap().contains("north"), "{newest}");
    assert_eq!(newest["coverage"]["whole"], false);
    let told = project.expect("certificate list stock", 0);
    assert!(told.out.lines().next().unwrap().contains("UNPROVEN"), "{}", told.out);
    project.expect("certificate verify stock", 0);
    std::fs::rename(project.path("away.db"), project.path("north.db")).unwrap();
    assert_eq!(proved(&project, 0), [equal("north"), equal("shop")]);
}

/// Everything but the key is kept at the site: rows are there or not, and nothing is shown of what is in them.
#[test]
fn keys_alone_prove_nothing_and_what_is_left_out_is_named() {
    for (columns, code, told) in [
        (&["note", "price", "qty"][..], 3, unproven("shop", "only-keys")),
        (&["note", "qty"][..], 0, equal("shop")),
    ] {
        let project = stock::project("event", "", 40);
        let rules: Vec<String> = columns.iter().map(|c| format!("{c} = \"drop\"")).collect();
        let mask = format!("[shop]\nmask = {{ stock = {{ {} }} }}\n", rules.join(", "));
        project.write("sites.toml", stock::SITES.replace("[shop]\n", &mask));
        project.expect("run stock --once", 0);
        assert_eq!(proved(&project, code), [told]);
        let made = certificates(&project);
        let excluded: Vec<&str> = made[0]["excluded"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["column"].as_str().unwrap())
            .collect();
        assert_eq!(excluded, columns);
    }
}

#[test]
fn columns_that_are_not_compared_are_named() {
    let project =
        stock::project("event", "[transform]\nsql = \"select sku, qty from stock\"\n", 40);
    project.expect("run stock --once", 0);
    project.db("central.db").execute_batch("alter table stock add column seen text").unwrap();
    assert_eq!(proved(&project, 0), [equal("shop")]);
    let made = certificates(&project);
    let named = |side: &str| -> Vec<String> {
        let all = made[0]["excluded"].as_array().unwrap().iter();
        all.filter(|e| e["side"] == side).map(|e| e["column"].as_str().unwrap().into()).collect()
    };
    assert_eq!(
        (named("source"), named("target")),
        (vec!["price".into(), "note".into()], vec!["seen".into()])
    );
}

/// Somebody else's table may be an hour behind, and the log holds less than that.
#[test]
fn a_log_that_is_shorter_than_the_lag_proves_nothing() {
    let project = stock::project("event", "", 2000);
    project.write("seamount.toml", format!("{}log = {{ max_size = \"600kB\" }}\n", stock::PROJECT));
    let flow = stock::flow(
        "event",
        "writer = \"other\"\n[events]\nmax_lag = \"1h\"\n[reconcile]\nschedule = \"@daily\"\n",
    );
    project.write("flows/stock.toml", flow);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    stock::build(&central);
    central.execute("attach ?1 as shop", [project.path("shop.db").to_str().unwrap()]).unwrap();
    central.execute_batch("insert into main.stock select * from shop.stock").unwrap();
    for _ in 0..8 {
        project.expect("run stock --once", 0);
        shop.execute("update stock set note = hex(randomblob(60))", []).unwrap();
    }
    let told = project.expect("reconcile stock --json", 0);
    assert_eq!(told.objects("table")[0]["rows_behind"], 2000, "{}", told.out);
    EngineProcess::serve_until_the_log_is_trimmed(&project);
    assert_eq!(proved(&project, 3), [unproven("shop", "log-trimmed")]);
    assert_eq!(number(&central, "select count(*) from stock"), 2000);
}

#[test]
fn a_chain_of_nothing_is_not_verified() {
    let project = stock::project("event", "", 5);
    assert!(project.expect("certificate verify stock", 3).last().starts_with("UNPROVEN"));
    project.expect("run stock --once", 0);
    project.expect("certificate verify stock", 3);
    project.expect("certificate verify", 3);
    project.expect("reconcile stock", 0);
    project.expect("certificate verify", 0);
}
