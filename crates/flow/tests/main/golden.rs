//! Diagnostics word for word: this is what people read at 03:00.

use super::project::{INVENTORY, SITES, read, with_flow};
use seamount_flow::{Paint, Problem};

fn shown(problems: &[Problem]) -> String {
    problems.iter().map(|p| p.render(Paint::Plain)).collect::<Vec<_>>().join("\n")
}

fn cases() -> Vec<(&'static str, Vec<Problem>)> {
    let sites = |from: &str, to: &str| {
        assert!(SITES.contains(from));
        read(&[("sites.toml", &SITES.replacen(from, to, 1))]).problems
    };
    let join = INVENTORY.replace("after = 5", "aftr = 0");
    vec![
        ("no project", read(&[("seamount.toml", "")]).problems),
        ("not TOML", read(&[("seamount.toml", "name = \"retail\nlog = {}\n")]).problems),
        ("misspelt key", with_flow("max_lag", "max_lga")),
        ("wrong type", with_flow("key = [\"store_id\", \"sku\"]", "key = \"sku\"")),
        ("wrong word", with_flow("mode = \"hybrid\"", "mode = \"hybird\"")),
        ("wrong form", with_flow("stop_at = \"1%\"", "stop_at = \"1 in 100\"")),
        ("unknown site", with_flow("\"stores\"", "\"store\"")),
        ("password", sites("sqlite:central.db", "postgres://sync:hunter2@db/stock")),
        ("placeholder", sites("{site}", "{hots}")),
        ("secret", sites("sqlite:central.db", "sqlite:${env:CENTRAL}")),
        ("no owner", with_flow("owner = \"store_id\"\n", "")),
        ("quartz", with_flow("\"0 1 * * *\"", "\"0 0 1 * * ?\"")),
        ("zone", with_flow("\"Europe/Berlin\"", "\"Berlin\"")),
        ("two writers", read(&[("flows/other.toml", INVENTORY)]).problems),
        ("not built", with_flow("key = ", "order_by = \"seq\"\nkey = ")),
        ("list", read(&[("stores.csv", "site,host\nparis,10.0.0.1\nparis\n")]).problems),
        ("two at once", read(&[("flows/inventory.toml", &join)]).problems),
        ("warning", with_flow("[reconcile]\nschedule = \"0 2 * * *\"\n", "[reconcile]\n")),
    ]
}

#[test]
fn diagnostics_read_word_for_word() {
    let mut all = String::new();
    for (name, problems) in cases() {
        all.push_str(&format!("## {name}\n{}\n", shown(&problems)));
    }
    assert_eq!(all, include_str!("golden.txt"), "\n{all}");
}

#[test]
fn json_carries_the_same() {
    let problems = with_flow("max_lag", "max_lga");
    let json = problems[0].json();
    assert_eq!(json["code"], "E0104");
    assert_eq!(json["severity"], "error");
    assert_eq!(json["file"], "flows/inventory.toml");
    assert_eq!(
        (json["line"].as_u64(), json["column"].as_u64(), json["len"].as_u64()),
        (Some(17), Some(1), Some(7))
    );
    assert_eq!(json["more"], "seamount explain E0104");
}

#[test]
fn colours_change_no_letter() {
    let problem = &with_flow("max_lag", "max_lga")[0];
    let mut plain = problem.render(Paint::Colour);
    for code in ["31;1", "33;1", "34;1", "1", "0"] {
        plain = plain.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(plain, problem.render(Paint::Plain));
}
