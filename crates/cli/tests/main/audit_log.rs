//! The audit log: what an operator did stands in it, and an edit by hand is named.

use crate::engine_process::EngineProcess;
use crate::project::{Project, wait_until};
use crate::stock;

fn acts(project: &Project) -> Vec<String> {
    let entries = project.expect("audit list --json", 0).objects("audit");
    entries.iter().map(|entry| entry["what"].as_str().unwrap().to_string()).collect()
}

/// A project in which some acts were done.
fn worked() -> Project {
    let project = stock::project("event", "", 50);
    project.expect("run stock --once", 0);
    project.expect("pause stock", 0);
    project.expect("resume stock", 0);
    project.expect("reconcile stock", 0);
    project.expect("resync stock", 0);
    project.expect("replay stock --into history", 0);
    project
}

#[test]
fn every_act_of_an_operator_stands_in_it() {
    let project = worked();
    assert_eq!(acts(&project), ["run", "pause", "resume", "certificate", "resync", "replay"]);
    let entries = project.expect("audit list --json", 0).objects("audit");
    for entry in &entries {
        let who = entry["who"].as_str().unwrap();
        assert!(who.contains('@') && !who.starts_with('@'), "{entry}");
        assert!(entry["command"].as_str().unwrap().starts_with("seamount "), "{entry}");
    }
    // Looking is no act.
    for line in ["status", "plan", "check --online", "runs list", "dlq list stock", "audit verify"]
    {
        project.run(line);
    }
    assert_eq!(acts(&project).len(), entries.len());
}

#[test]
fn a_repair_and_letters_given_up_stand_in_it() {
    let rule = "[events]\ndead_letter = { after = 1, stop_at = \"50%\" }\n";
    let project = stock::project("event", rule, 100);
    project
        .db("central.db")
        .execute_batch(
            "create table stock (sku text not null primary key, qty integer check (qty >= 0),
                                 price decimal(10,2), note text)",
        )
        .unwrap();
    project.expect("run stock --once", 0);
    project.db("central.db").execute("update stock set note = 'x' where qty > 95", []).unwrap();
    project.run("reconcile stock --repair --max-share 50");
    let shop = project.db("shop.db");
    shop.execute("update stock set qty = -5 where sku = 'sku-00007'", []).unwrap();
    project.expect("run stock --once", 0);
    project.expect("dlq replay stock", 65);
    project.command("dlq discard stock 1 --because known").status().unwrap();
    let acts = acts(&project);
    for act in ["repair", "dlq replay", "dlq discard"] {
        assert!(acts.iter().any(|done| done == act), "{act} is not in {acts:?}");
    }
    project.expect("audit verify", 0);
}

#[test]
fn a_service_and_what_it_is_asked_for_stand_in_it() {
    let project = stock::project("event", "", 50);
    let engine = EngineProcess::start(&project);
    wait_until("the engine has begun", || acts(&project).contains(&"engine start".to_string()));
    project.expect("pause stock", 0);
    project.expect("audit verify", 0);
    project.expect("resume stock", 0);
    project.expect("reconcile stock --repair", 0);
    engine.terminate();
    let done = acts(&project);
    assert_eq!(done.first().unwrap(), "engine start");
    assert_eq!(done.last().unwrap(), "engine stop");
    for act in ["pause", "resume", "ask", "certificate"] {
        assert!(done.iter().any(|d| d == act), "{act} is not in {done:?}");
    }
    // One that is killed leaves no end, and a log that is whole.
    let engine = EngineProcess::start(&project);
    wait_until("it has begun again", || acts(&project).len() > done.len());
    engine.kill();
    project.expect("audit verify", 0);
    project.expect("run stock --once", 0);
    project.expect("audit verify", 0);
}

#[test]
fn edits_by_hand_are_named() {
    for (edit, first_bad) in [
        ("update audit set who = 'eve' where number = 3", 3),
        ("update audit set detail = detail || '.' where number = 1", 1),
        ("delete from audit where number = 2", 2),
        ("delete from audit where number > 4", 5),
        ("delete from audit", 1),
        ("drop table audit", 1),
        ("update audit set number = number + 100 where number > 2", 3),
        ("update audit set at = at + 1, hash = upper(hash) where number = 6", 6),
    ] {
        let project = worked();
        project.expect("audit verify", 0);
        project.db(".seamount/state.db").execute_batch(edit).unwrap();
        let told = project.expect("audit verify --json", 1);
        assert_eq!(told.summary()["first_bad"], first_bad, "{edit}: {}", told.out);
        assert!(project.run("audit verify").err.contains("E0520"), "{edit}");
    }
}

#[test]
fn a_head_kept_elsewhere_shows_what_both_files_hide() {
    let project = worked();
    let head = project.expect("audit head", 0).last().to_string();
    project.expect(&format!("audit verify --head {head}"), 0);
    project.db(".seamount/state.db").execute_batch("delete from audit where number > 3").unwrap();
    let heads = std::fs::read_to_string(project.path(".seamount/audit.heads")).unwrap();
    let kept: Vec<&str> = heads.lines().take(3).collect();
    project.write(".seamount/audit.heads", kept.join("\n") + "\n");
    // Whoever writes both files is not seen here, and by the head kept elsewhere.
    project.expect("audit verify", 0);
    let told = project.expect(&format!("audit verify --json --head {head}"), 1);
    assert_eq!(told.summary()["first_bad"], 4);
    project.expect("audit verify --head nonsense", 64);
}

#[cfg(unix)]
#[test]
fn the_state_folder_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let project = stock::project("event", "", 10);
    std::fs::create_dir(project.path(".seamount")).unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(project.path(".seamount"), open).unwrap();
    project.expect("run stock --once", 0);
    project.expect("pause stock", 0);
    let mut seen = 0;
    let mut folders = vec![project.path(".seamount")];
    while let Some(folder) = folders.pop() {
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", entry.path().display());
            seen += 1;
        }
    }
    assert!(seen >= 4, "only {seen} files were looked at");
}
