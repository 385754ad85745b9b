//! Projects that are right come out as written; everything that is wrong is said at once.

use super::project::*;
use seamount_flow::{Apply, CatchUp, Mode, OnFail, Problem};
use std::time::Duration;

#[test]
fn a_right_project_comes_out_as_written() {
    let reading = read(&[]);
    assert_eq!(codes(&reading.problems), Vec::<&str>::new());
    let project = reading.project.unwrap();
    assert_eq!(project.name, "retail");
    assert_eq!(project.log.keep, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(project.log.max_bytes, Some(50_000_000_000));
    assert_eq!(project.groups["stores"].sites, ["paris", "oslo"]);
    let paris = &project.sites["paris"];
    assert_eq!(paris.settings.url.plain(), Some("sqlite:paris.db"));
    assert_eq!(paris.settings.options["busy_timeout_ms"].plain(), Some("5000"));
    assert_eq!(paris.settings.options["host"].plain(), Some("10.0.0.1"));
    assert_eq!(paris.timezone.as_deref(), Some("Europe/Paris"));
    assert_eq!(project.sites["oslo"].timezone, None);
    let flow = &project.flows[0];
    assert_eq!((flow.name.as_str(), flow.mode), ("inventory", Mode::Hybrid));
    assert_eq!(flow.sites, ["paris", "oslo"]);
    assert_eq!(flow.tables[0].target, "inventory");
    assert_eq!(flow.tables[0].key.as_deref().unwrap(), ["store_id", "sku"]);
    assert_eq!(flow.batch.checks[1].on_fail, OnFail::Warn);
    assert_eq!(flow.batch.catch_up, CatchUp::Latest);
    assert_eq!(flow.reconcile.repair.unwrap().max_rows, 500);
    assert_eq!(flow.apply(), Apply::Events);
}

#[test]
fn changing_the_mode_is_changing_one_word() {
    for (word, mode) in [("event", Mode::Event), ("batch", Mode::Batch), ("hybrid", Mode::Hybrid)] {
        let text = INVENTORY.replacen("hybrid", word, 1);
        let reading = read(&[("flows/inventory.toml", &text)]);
        assert_eq!(codes(&reading.problems), Vec::<&str>::new(), "{word}");
        assert_eq!(reading.project.unwrap().flows[0].mode, mode);
    }
}

#[test]
fn all_problems_of_all_files_come_at_once_in_the_order_of_the_files() {
    let flow = INVENTORY
        .replace("max_lag", "max_lagg")
        .replace("after = 5", "after = \"five\"")
        .replace("\"0 1 * * *\"", "\"0 0 1 * * *\"")
        .replace("site = \"central\"", "site = \"centrl\"")
        .replace("about", "abuot");
    let reading = read(&[
        ("seamount.toml", "nmae = \"retail\"\nlog = { keep = 30 }\n"),
        ("sites.toml", &SITES.replace("sqlite:central.db", "postgres://u:pw@h/db")),
        ("stores.csv", "site,host,region,timezone\nparis,1,eu,Europe/Pariss\nparis,2,eu,\n"),
        ("flows/inventory.toml", &flow),
    ]);
    assert!(reading.project.is_none());
    let places: Vec<(String, &str)> = reading
        .problems
        .iter()
        .map(|p| (p.place.as_ref().unwrap().file.display().to_string(), p.code))
        .collect();
    let expected = [
        ("seamount.toml", "E0106"),
        ("seamount.toml", "E0104"),
        ("seamount.toml", "E0105"),
        ("sites.toml", "E0203"),
        ("sites.toml", "E0204"),
        ("stores.csv", "E0210"),
        ("stores.csv", "E0202"),
        ("flows/inventory.toml", "E0104"),
        ("flows/inventory.toml", "E0201"),
        ("flows/inventory.toml", "E0104"),
        ("flows/inventory.toml", "E0105"),
        ("flows/inventory.toml", "E0305"),
    ];
    let expected: Vec<(String, &str)> = expected.iter().map(|(f, c)| (f.to_string(), *c)).collect();
    assert_eq!(places, expected);
}

#[test]
fn files_flows_and_their_contradictions() {
    let flow = |batch: &str| {
        format!(
            "mode = \"batch\"\n[from]\nsites = \"drop\"\nfiles = \"day/{{interval}}.csv\"\nkey = [\"id\"]\n\
             types = {{ price = \"decimal(12,4)\" }}\n[to]\nsite = \"central\"\ntable = \"sales\"\n[batch]\n{batch}"
        )
    };
    let codes_of = |batch: &str| codes(&read(&[("flows/sales.toml", &flow(batch))]).problems);
    assert_eq!(codes_of("interval_by = \"day\""), Vec::<&str>::new());
    assert_eq!(codes_of("load = \"append\""), Vec::<&str>::new());
    assert_eq!(codes_of("load = \"replace\""), ["E0313"]);
    assert_eq!(codes_of("load = \"merge\""), Vec::<&str>::new());
    let wild = flow("load = \"append\"").replace("{interval}", "*");
    assert_eq!(codes(&read(&[("flows/sales.toml", &wild)]).problems), ["E0314"]);
    let event = flow("interval_by = \"day\"").replace("\"batch\"", "\"event\"");
    assert_eq!(codes(&read(&[("flows/sales.toml", &event)]).problems), ["E0309"]);
}

#[test]
fn owners_keep_many_sites_apart() {
    assert_eq!(codes(&with_flow("owner = \"store_id\"", "")), ["E0302"]);
    assert_eq!(codes(&with_flow("\"store_id\", \"sku\"", "\"sku\"")), ["E0302"]);
    let column = with_flow("key = [\"store_id\", \"sku\"]", "site_column = \"shop\"");
    assert_eq!(
        codes(&column),
        Vec::<&str>::new(),
        "the site column goes in front of the table's key"
    );
    assert_eq!(codes(&with_flow("\"stores\"", "\"paris\"")), Vec::<&str>::new());
}

#[test]
fn two_writers_are_allowed_only_where_owners_keep_them_apart() {
    let one = |site: &str| INVENTORY.replace("\"stores\"", &format!("\"{site}\""));
    let apart = [("flows/inventory.toml", one("paris")), ("flows/other.toml", one("oslo"))];
    let texts: Vec<(&str, &str)> = apart.iter().map(|(n, t)| (*n, t.as_str())).collect();
    assert_eq!(codes(&read(&texts).problems), Vec::<&str>::new());
    assert_eq!(codes(&read(&[("flows/other.toml", INVENTORY)]).problems), ["E0319"]);
    let proof = "mode = \"event\"\n[from]\nsites = \"paris\"\ntable = \"inventory\"\n[to]\nsite = \"central\"\nwriter = \"other\"\n[reconcile]\nschedule = \"@daily\"\n";
    assert_eq!(codes(&read(&[("flows/proof.toml", proof)]).problems), Vec::<&str>::new());
}

#[test]
fn passwords_are_shown_nowhere() {
    for url in [
        "postgres://sync:hunter2@db/stock",
        "postgres://db/stock?user=a&password=hunter2",
        "postgres://sync:hun/ter2@db/stock",
    ] {
        let sites = SITES.replace("sqlite:central.db", url);
        let problems = read(&[("sites.toml", &sites)]).problems;
        assert!(codes(&problems).contains(&"E0204"), "{url}");
        let shown: String =
            problems.iter().map(|p: &Problem| p.render(seamount_flow::Paint::Plain)).collect();
        assert!(!shown.contains("hunter2") && !shown.contains("ter2"), "{shown}");
    }
    let option = SITES.replace("busy_timeout_ms = 5000", "password = \"hunter2\"");
    let problems = read(&[("sites.toml", &option)]).problems;
    assert_eq!(codes(&problems), ["E0204"]);
    assert!(!problems[0].render(seamount_flow::Paint::Plain).contains("hunter2"));
    let url = "sqlite:{site}.db?key=${env:POS_PASSWORD}";
    let project = read(&[("sites.toml", &SITES.replace("sqlite:{site}.db", url))]).project.unwrap();
    let paris = &project.sites["paris"].settings.url;
    assert_eq!(paris.resolve().unwrap().expose(), "sqlite:paris.db?key=tr0ub4dor");
    assert_eq!(paris.to_string(), "sqlite:paris.db?key=***");
    assert!(!format!("{project:?}").contains("tr0ub4dor"));
}

/// Each of these showed the password once: the line around a mistake was masked by its first `=` or quote alone.
#[test]
fn a_line_around_a_mistake_never_shows_a_password() {
    let stores = SITES.split("[stores]").nth(1).unwrap();
    for sites in [
        // No TOML at all, so that no key is known.
        "[central]\nurl = \"sqlite:central.db\"\npassword = hunter2\n".to_string(),
        "[central]\nurl = \"sqlite:central.db\"\npassword = \"\"\"\nhunter2\n\"\"\"\"\"\n"
            .to_string(),
        "[central\npassword = \"hunter2\" \n".to_string(),
        // Several keys in one line, a password that holds signs of a url.
        format!("central = {{ url = \"x:\", password = \"hunter2\" }}\n[stores]{stores}"),
        format!("[central]\nurl = \"postgres://u:a@b/hunter2@db/stock\"\n[stores]{stores}"),
        format!("[central]\nurl = \"postgres://u:a@b?hunter2@db/stock\"\n[stores]{stores}"),
        format!("[central]\nurl = \"mssql:server=db;password=a;hunter2\"\n[stores]{stores}"),
    ] {
        let problems = read(&[("sites.toml", &sites)]).problems;
        assert!(!problems.is_empty(), "{sites}");
        let shown = format!("{problems:?}");
        assert!(!shown.contains("hunter2"), "{sites}\n{shown}");
    }
    let list = "site,host,password\nparis,10.0.0.1,hunter2\noslo,hunter2\n";
    let problems = read(&[("stores.csv", list)]).problems;
    assert!(codes(&problems).contains(&"E0206") && codes(&problems).contains(&"E0204"));
    assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
}

#[test]
fn a_scheme_that_a_secret_brings_in_is_not_shown() {
    let sites = SITES.replace("sqlite:central.db", "${env:POS_PASSWORD}:x");
    let problems = read(&[("sites.toml", &sites)]).problems;
    assert_eq!(codes(&problems), ["E0203"]);
    assert!(!format!("{problems:?}").contains("tr0ub4dor"), "{problems:?}");
}

#[test]
fn broken_sites_do_not_make_every_flow_wrong() {
    assert_eq!(codes(&read(&[("sites.toml", "[central\n")]).problems), ["E0103"]);
    assert_eq!(codes(&read(&[("sites.toml", "")]).problems), ["E0102"]);
}

#[test]
fn sections_whose_feature_is_not_built_are_refused_or_said() {
    for (from, to) in [
        ("key = ", "order_by = \"seq\"\nkey = "),
        ("load = \"replace\"", "load = \"history\""),
        ("load = \"replace\"", "since = \"updated_at\"\ndeletes = \"ignore\""),
        ("site = \"central\"", "sites = \"stores\""),
        ("site = \"central\"", "site = \"stores\""),
        ("[events]", "[contract]\nfile = \"contracts/inventory.yaml\"\n[events]"),
        ("sites = \"stores\"", "sites = { region = \"eu\" }"),
        ("timezone = \"Europe/Berlin\"", "timezone = \"site\""),
    ] {
        let problems = with_flow(from, to);
        assert_eq!(codes(&problems), ["E0390"], "{to}: {problems:?}");
    }
    let advisory =
        with_flow("load = \"replace\"", "keep_runs = 7\nmissing_sites = { wait = \"30m\" }");
    assert_eq!(codes(&advisory), ["E0391", "E0391"]);
    let needs = format!("{INVENTORY}\n[needs]\nmax_staleness = \"30s\"\ncriticality = \"high\"\n");
    let project = read(&[("flows/inventory.toml", &needs)]).project.unwrap();
    assert_eq!(project.flows[0].max_staleness, Some(Duration::from_secs(30)));
}

#[test]
fn flows_that_wait_in_a_circle_are_named_once_for_each_circle() {
    let flow = |table: &str, after: &str| {
        format!(
            "mode = \"batch\"\n[from]\nsites = \"paris\"\ntable = \"{table}\"\n[to]\nsite = \"central\"\n[batch]\nafter = [{after}]\n"
        )
    };
    let files = [
        ("flows/a.toml", flow("a", "\"c\"")),
        ("flows/b.toml", flow("b", "\"a\"")),
        ("flows/c.toml", flow("c", "\"b\"")),
        ("flows/d.toml", flow("d", "\"d\"")),
        ("flows/e.toml", flow("e", "\"a\"")),
    ];
    let texts: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
    let problems = read(&texts).problems;
    assert_eq!(codes(&problems), ["E0303", "E0303"]);
    let ways: Vec<&str> = problems.iter().filter_map(|p| p.found.as_deref()).collect();
    assert_eq!(ways, ["a -> c -> b -> a", "d -> d"]);
}

#[test]
fn a_missing_secret_of_many_stores_is_said_once() {
    let sites = SITES.replace("sqlite:{site}.db", "sqlite:{site}.db?key=${env:NONE}");
    assert_eq!(codes(&read(&[("sites.toml", &sites)]).problems), ["E0209"]);
    let each = SITES.replace("sqlite:{site}.db", "sqlite:{site}.db?key=${env:KEY_{site}}");
    assert_eq!(codes(&read(&[("sites.toml", &each)]).problems), ["E0209", "E0209"]);
}
