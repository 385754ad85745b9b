//! What is printed where: JSON lines, one summary last, codes that explain themselves.

use crate::project::Project;
use crate::stock;

/// Commands that end by themselves on a project with one batch run behind it.
const LINES: &[(&str, i32)] = &[
    ("check", 0),
    ("check --online", 0),
    ("plan", 0),
    ("run stock --once", 0),
    ("runs list", 0),
    ("runs list stock", 0),
    ("status", 0),
    ("status stock", 0),
    ("sites", 0),
    ("sites list", 0),
    ("sites test", 0),
    ("sites discover shop", 0),
    ("dlq list stock", 0),
    ("certificate list stock", 0),
    ("certificate verify stock", 3),
    ("explain", 0),
    ("explain E0302", 0),
    ("version", 0),
    ("pause stock", 0),
    ("resume stock", 0),
    ("runs show 0000000000000000", 64),
    ("run nowhere --once", 64),
];

fn project() -> Project {
    let project = stock::project("batch", "", 20);
    project.expect("run stock --once", 0);
    project
}

#[test]
fn every_line_of_json_reads_and_the_summary_is_last() {
    let project = project();
    for (line, code) in LINES {
        let ended = project.expect(&format!("{line} --json"), *code);
        let lines = ended.json();
        assert!(lines.iter().all(serde_json::Value::is_object), "{line}");
        assert!(ended.summary()["text"].is_string(), "{line}");
    }
}

#[test]
fn quiet_prints_the_summary_alone_and_it_is_the_last_line_otherwise() {
    let project = project();
    for (line, code) in LINES {
        let quiet = project.expect(&format!("{line} -q"), *code);
        assert_eq!(quiet.out.lines().count(), 1, "{line}: {}", quiet.out);
        let loud = project.expect(line, *code);
        let first = |text: &str| text.split([':', ',', ' ']).next().unwrap_or("").to_string();
        assert_eq!(first(loud.last()), first(quiet.last()), "{line}: {}", loud.out);
        assert!(!loud.out.contains('\u{1b}'), "{line}: colours on a pipe");
    }
}

#[test]
fn a_broken_project_speaks_json_too() {
    let project = project();
    project.write("flows/stock.toml", "mode = 3\n");
    let ended = project.expect("check --json", 78);
    assert!(ended.json().len() > 2, "{}", ended.out);
    assert_eq!(ended.err, "");
}

#[test]
fn every_code_explains_itself() {
    let project = Project::new(&[]);
    let codes: Vec<String> = project
        .expect("explain --json", 0)
        .objects("code")
        .iter()
        .map(|entry| entry["code"].as_str().unwrap().to_string())
        .collect();
    assert!(codes.len() > 50, "{codes:?}");
    for code in &codes {
        let ended = project.expect(&format!("explain {code}"), 0);
        assert!(ended.out.contains(code) && ended.out.lines().count() > 2, "{}", ended.out);
    }
    let ended = project.expect("explain e0302", 0);
    assert!(ended.out.contains("E0302"), "{}", ended.out);
}

#[test]
fn help_and_version_cost_nothing() {
    let project = Project::new(&[]);
    assert!(project.expect("--help", 0).out.contains("reconcile"));
    assert!(project.expect("run --help", 0).out.contains("--once"));
    assert!(project.expect("version", 0).last().starts_with("seamount "));
    assert!(project.expect("--version", 0).out.starts_with("seamount "));
    project.expect("", 64);
}
