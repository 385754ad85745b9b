//! Files that are wrong: one clear error each, the right exit code, and nothing written anywhere.

use crate::project::{Ended, Project};
use crate::stock;

const FLOW: &str =
    "mode = \"event\"\n[from]\nsites = \"shop\"\ntable = \"stock\"\n[to]\nsite = \"central\"\n";

/// A good project with some files written otherwise.
fn project(files: &[(&str, &str)]) -> Project {
    let project = stock::project("event", "", 5);
    for (path, text) in files {
        project.write(path, text);
    }
    project
}

/// Nobody made a state folder, a target, or a change to the shop.
#[track_caller]
fn assert_nothing_written(project: &Project) {
    assert_eq!(project.left_behind(), Vec::<String>::new());
    assert!(!project.exists("central.db"), "the target was made");
    if project.exists("shop.db") {
        let tables = crate::oracle::tables(&project.db("shop.db"));
        assert_eq!(tables, ["stock"], "the source was changed");
    }
}

/// One error, with everything an error has.
#[track_caller]
fn assert_one_error(ended: &Ended, code: &str) {
    let said = &ended.err;
    assert_eq!(said.matches("error[").count(), 1, "{said}");
    assert!(said.contains(&format!("error[{code}]: ")), "not {code}:\n{said}");
    for part in ["\n  --> ", "\n   = effect: ", "\n   = fix:    "] {
        assert!(said.contains(part), "no{part:?} in\n{said}");
    }
    assert!(said.contains(&format!("= more:   seamount explain {code}")), "{said}");
    assert_eq!(ended.last(), "1 problem. Nothing was written.");
}

/// Every command that would move something refuses alike.
#[track_caller]
fn refuses(code: &str, files: &[(&str, &str)]) {
    let project = project(files);
    for line in ["check", "run stock --once", "run", "reconcile stock", "plan", "pause stock"] {
        let ended = project.expect(line, 78);
        assert_one_error(&ended, code);
        assert_nothing_written(&project);
    }
    let ended = project.expect("check --json", 78);
    let objects = ended.json();
    let problem = objects.iter().find(|object| object["code"] == code).unwrap();
    for field in ["severity", "what", "file", "effect", "fix", "more"] {
        assert!(problem[field].is_string(), "{problem}");
    }
}

#[test]
fn a_misspelt_key() {
    let text = format!("{FLOW}ownr = \"sku\"\n");
    refuses("E0104", &[("flows/stock.toml", &text)]);
}

#[test]
fn a_wrong_type() {
    let text = FLOW.replace(
        "[to]",
        "site_column = 7
[to]",
    );
    refuses("E0105", &[("flows/stock.toml", &text)]);
    refuses(
        "E0105",
        &[(
            "seamount.toml",
            "name = \"trial\"
log = { keep = 30 }
",
        )],
    );
}

#[test]
fn not_toml() {
    refuses("E0103", &[("seamount.toml", "name = \"trial\n")]);
}

#[test]
fn an_unknown_site() {
    let text = FLOW.replace("\"shop\"", "\"shp\"");
    refuses("E0201", &[("flows/stock.toml", &text)]);
    let said = project(&[("flows/stock.toml", &text)]).run("check").err;
    assert!(said.contains("write \"shop\""), "the nearest name is the fix:\n{said}");
}

#[test]
fn a_missing_file() {
    refuses("E0102", &[("sites.toml", "")]);
}

#[test]
fn a_missing_list_of_sites() {
    let text = format!(
        "{}[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{{site}}.db\"\n",
        stock::SITES
    );
    refuses("E0205", &[("sites.toml", &text)]);
}

#[test]
fn no_project_at_all() {
    let project = Project::new(&[]);
    for line in ["check", "run", "status"] {
        let ended = project.expect(line, 78);
        assert!(ended.err.contains("error[E0101]"), "{}", ended.err);
        assert!(ended.err.contains("seamount init"), "{}", ended.err);
        assert_nothing_written(&project);
    }
}

#[test]
fn two_flows_that_write_one_table() {
    let project = project(&[("flows/again.toml", FLOW)]);
    let ended = project.expect("check", 78);
    assert_one_error(&ended, "E0319");
    assert!(ended.err.contains("again") && ended.err.contains("stock"), "{}", ended.err);
    project.expect("run again --once", 78);
    assert_nothing_written(&project);
}

#[test]
fn two_hundred_sites_without_an_owner_column() {
    let mut list = String::from("site\n");
    for n in 0..200 {
        list.push_str(&format!("store-{n:03}\n"));
    }
    let sites = "[central]\nurl = \"sqlite:central.db\"\n[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{site}.db\"\n";
    let text = FLOW.replace("\"shop\"", "\"stores\"").replace("[to]", "key = [\"sku\"]\n[to]");
    refuses("E0302", &[("sites.toml", sites), ("stores.csv", &list), ("flows/stock.toml", &text)]);
}

#[test]
fn flows_that_wait_in_a_circle() {
    let waiting = |table: &str, other: &str| {
        let flow = FLOW.replace("event", "batch").replace("\"stock\"", &format!("\"{table}\""));
        format!("{flow}[batch]\nafter = [\"{other}\"]\n")
    };
    let (a, b) = (waiting("stock", "b"), waiting("b", "stock"));
    let project = project(&[("flows/stock.toml", &a), ("flows/b.toml", &b)]);
    let ended = project.expect("check", 78);
    assert!(ended.err.contains("error[E0303]"), "{}", ended.err);
    project.expect("run stock --once", 78);
    assert_nothing_written(&project);
}

#[test]
fn six_fields_of_quartz() {
    let flow = FLOW.replace("event", "batch");
    let text = format!("{flow}[batch]\nschedule = \"0 0 1 * * ?\"\n");
    refuses("E0305", &[("flows/stock.toml", &text)]);
    let said = project(&[("flows/stock.toml", &text)]).run("check").err;
    assert!(said.contains("0 1 * * *"), "the same in five fields is the fix:\n{said}");
}

#[test]
fn a_literal_password() {
    let text = stock::SITES.replace("[central]", "password = \"hunter2\"\n[central]");
    refuses("E0204", &[("sites.toml", &text)]);
    let ended = project(&[("sites.toml", &text)]).run("check --json");
    let said = project(&[("sites.toml", &text)]).run("check").err;
    assert!(!ended.out.contains("hunter2") && !said.contains("hunter2"), "{said}{}", ended.out);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let project = project(&[
        ("seamount.toml", "name = \"trial\"\nlgo = {}\n"),
        ("flows/stock.toml", &format!("{}ownr = \"x\"\n", FLOW.replace("\"shop\"", "\"shp\""))),
        ("flows/other.toml", &FLOW.replace("event", "evnt")),
    ]);
    let ended = project.expect("check", 78);
    assert_eq!(ended.err.matches("error[").count(), 4, "{}", ended.err);
    for place in
        ["seamount.toml:2", "flows/stock.toml:3", "flows/stock.toml:7", "flows/other.toml:1"]
    {
        assert!(ended.err.contains(place), "{place}:\n{}", ended.err);
    }
    assert_eq!(ended.last(), "4 problems. Nothing was written.");
    assert_nothing_written(&project);
}

#[test]
fn a_wrong_command_line() {
    let project = project(&[]);
    for line in [
        "chek",
        "run --intervall",
        "run nowhere --once",
        "run nowhere",
        "reconcile nowhere",
        "status nowhere",
        "pause nowhere",
        "dlq list nowhere",
        "runs show zz",
        "explain E9999",
        "sites test nowhere",
        "run stock --interval 2026-01-01",
        "replay stock --into copy --from yesterday",
        "reconcile stock --max-rows 5",
    ] {
        project.expect(line, 64);
        assert_nothing_written(&project);
    }
    let ended = project.run("run nowhere --once");
    assert!(ended.err.contains("there is no flow nowhere; flows are: stock"), "{}", ended.err);
}
