//! One engine at a time: on a state folder by its lock, on a target by its epoch.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, dump};
use crate::project::{Project, finish, wait_until};
use crate::stock;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn a_second_engine_leaves_at_once_and_names_the_first() {
    let project = stock::project("event", "", 20);
    let engine = EngineProcess::start(&project);
    let mut quickest = Duration::MAX;
    for line in ["run", "run stock --once", "replay stock --into copy", "run"] {
        let began = Instant::now();
        let ended = project.expect(line, 75);
        quickest = quickest.min(began.elapsed());
        assert!(ended.err.contains("error[E0518]"), "{}", ended.err);
        assert!(ended.err.contains(&format!("process {} on ", engine.id())), "{}", ended.err);
        assert!(ended.err.contains(" run"), "the holder's command:\n{}", ended.err);
        for part in ["= found:", "= effect:", "= fix:", "= more:"] {
            assert!(ended.err.contains(part), "{}", ended.err);
        }
    }
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    // Asked to stop before it listens, it would be ended by the signal itself.
    wait_until("the first engine works", || {
        project
            .expect("status --json", 0)
            .objects("flow")
            .iter()
            .any(|flow| flow["status"]["standing"] == "live")
    });
    assert_eq!(engine.terminate().code, 143);
    project.expect("run stock --once", 0);
}

#[test]
fn the_lock_of_a_killed_engine_is_free() {
    let project = stock::project("event", "", 20);
    EngineProcess::start(&project).kill();
    project.expect("run stock --once", 0);
    assert!(project.expect("status", 0).out.contains("no engine is running"));
}

/// Killed while it made its state file, an engine left a write that only a writer can take back; no command started then.
#[test]
fn an_engine_that_was_killed_in_its_first_write_starts_again() {
    let project = stock::project("event", "", 5);
    let half = project.db("half.db");
    half.execute_batch(
        "create table t (x); pragma cache_size = 1; begin;
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)
         insert into t select randomblob(1000) from n",
    )
    .unwrap();
    std::fs::create_dir_all(project.path(".seamount")).unwrap();
    for end in ["", "-journal"] {
        let there = project.path(&format!(".seamount/state.db{end}"));
        std::fs::copy(project.path(&format!("half.db{end}")), there).unwrap();
    }
    assert!(project.expect("status", 0).out.contains("nothing has run yet"));
    project.expect("run stock --once", 0);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let there = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &there);
        } else {
            std::fs::copy(entry.path(), there).unwrap();
        }
    }
}

/// A second folder with a copied `.seamount`, over the same databases.
fn clone_of(project: &Project) -> Project {
    let at = |name: &str| project.path(name).display().to_string();
    let sites = format!(
        "[shop]\nurl = \"sqlite:{}\"\n[central]\nurl = \"sqlite:{}\"\n",
        at("shop.db"),
        at("central.db")
    );
    let flow = std::fs::read_to_string(project.path("flows/stock.toml")).unwrap();
    let clone = Project::new(&[
        ("seamount.toml", stock::PROJECT),
        ("sites.toml", &sites),
        ("flows/stock.toml", &flow),
    ]);
    copy(&project.path(".seamount"), &clone.path(".seamount"));
    clone
}

#[test]
fn a_copied_state_folder_is_fenced_by_the_target() {
    let project = stock::project("event", "", 50);
    project.expect("run stock --once", 0);
    let clone = clone_of(&project);
    // The original goes on: the target now shows a holder that the copy never was.
    project.expect("run stock --once", 0);
    let before = dump(&project.db("central.db"), "stock");
    for _ in 0..2 {
        let ended = clone.expect("run stock --once", 1);
        assert!(
            ended.err.contains("error[E0501]") && ended.err.contains("FENCED"),
            "{}",
            ended.err
        );
        assert!(ended.err.contains("--take-over"), "the way out is named:\n{}", ended.err);
        assert_eq!(dump(&project.db("central.db"), "stock"), before);
    }
    // Taken over on purpose: then the original is the one that is fenced.
    clone.expect("run stock --once --take-over", 0);
    let ended = project.expect("run stock --once", 1);
    assert!(ended.err.contains("error[E0501]"), "{}", ended.err);
    assert_same(
        &project.db("shop.db"),
        "select * from stock",
        &project.db("central.db"),
        "select * from stock",
    );
}

#[test]
fn a_copy_that_is_older_than_the_target_never_writes_even_when_it_takes_over() {
    let project = stock::project("event", "", 50);
    project.expect("run stock --once", 0);
    let clone = clone_of(&project);
    let mut shop = project.db("shop.db");
    for n in 0..100 {
        stock::trade(&mut shop, n);
    }
    project.expect("run stock --once", 0);
    let before = dump(&project.db("central.db"), "stock");
    let ended = finish(clone.command("run stock --once --take-over"), "take over");
    assert_eq!(ended.code, 1, "{ended:?}");
    let named = ["LOG_BEHIND_TARGET", "POSITION_LOST", "HISTORY_CHANGED"];
    assert!(named.iter().any(|state| ended.err.contains(state)), "{}", ended.err);
    assert_eq!(dump(&project.db("central.db"), "stock"), before);
}

/// A restored or copied state folder reads the sources again and gives the offsets of the log to other changes. Once its
/// log was as long as the target's progress it was taken for the right one, and what lay between was skipped.
#[test]
fn an_older_copy_that_has_read_on_by_itself_is_not_taken_for_the_log_that_the_target_knows() {
    let project = stock::project("event", "", 50);
    project.expect("run stock --once", 0);
    let clone = clone_of(&project);
    let mut shop = project.db("shop.db");
    let mut trades = 0..;
    let mut trade =
        |most: usize| trades.by_ref().take(most).for_each(|n| stock::trade(&mut shop, n));
    trade(40);
    project.expect("run stock --once", 0);
    let before = dump(&project.db("central.db"), "stock");
    trade(40);
    // The copy captures and does not apply.
    clone.expect("pause stock", 0);
    let engine = EngineProcess::start_with(&clone, "run --take-over");
    let lane = || {
        let told = clone.expect("status --json", 0).objects("flow");
        told.first().map(|flow| flow["lanes"][0]["status"].clone()).unwrap_or_default()
    };
    let captured = || lane()["captured"].as_u64().unwrap_or(0);
    wait_until("the copy has read everything", || {
        captured() > 0 && lane()["retained_changes"] == 0
    });
    let read = captured();
    trade(40);
    wait_until("the copy has read more", || captured() > read);
    assert_eq!(engine.terminate().code, 143);
    clone.expect("resume stock", 0);
    let ended = finish(clone.command("run stock --once --take-over"), "take over");
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("LOG_BEHIND_TARGET"), "{}", ended.err);
    assert_eq!(dump(&project.db("central.db"), "stock"), before);
}
