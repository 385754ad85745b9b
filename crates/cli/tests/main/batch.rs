//! Batch: all or nothing, each interval once, yesterday's rows until today's are proved good.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, number, rows, tables};
use crate::project::{Project, wait_until};

const SITES: &str = "[export]\nurl = \"files:export\"\n[central]\nurl = \"sqlite:central.db\"\n";

/// One file a day, kept by row, with checks of the test's own.
fn flow(more: &str) -> String {
    format!(
        "mode = \"batch\"\n[from]\nsites = \"export\"\nfiles = \"{{interval}}.csv\"\ntable = \"sales\"\n\
         key = [\"day\", \"sku\"]\ntypes = {{ units = \"int64\" }}\n\
         [to]\nsite = \"central\"\ntable = \"sales\"\n[batch]\ninterval_by = \"day\"\n{more}"
    )
}

fn project(more: &str) -> Project {
    Project::new(&[
        ("seamount.toml", "name = \"nights\"\n"),
        ("sites.toml", SITES),
        ("flows/sales.toml", &flow(more)),
    ])
}

/// A day's file with so many rows, their units from `first` on.
fn day(date: &str, count: i64, first: i64) -> String {
    let mut text = String::from("day,sku,units\n");
    for n in 0..count {
        text.push_str(&format!("{date},sku-{n:05},{}\n", first + n));
    }
    text
}

/// Stages that no run owns any more.
#[track_caller]
fn assert_no_stage(project: &Project) {
    let central = project.db("central.db");
    let left: Vec<String> =
        tables(&central).into_iter().filter(|name| name.starts_with("_seamount_stage_")).collect();
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(number(&central, "select count(*) from _seamount_stage"), 0);
}

#[test]
fn each_interval_once_and_a_changed_file_restated() {
    let project = project("");
    project.write("export/2026-11-01.csv", day("2026-11-01", 100, 1));
    project.write("export/2026-11-02.csv", day("2026-11-02", 50, 1));
    let summary = project.expect("run sales --once --json", 0).summary();
    assert_eq!(
        (&summary["runs"], &summary["rows_in"], &summary["rows_out"]),
        (&2.into(), &150.into(), &150.into())
    );
    let central = project.db("central.db");
    let before = rows(&central, "select * from sales");
    let ended = project.expect("run sales --once", 0);
    assert_eq!(ended.last(), "sales: nothing new to run");
    project.expect("run sales --once --skip-code", 99);
    assert_eq!(rows(&central, "select * from sales"), before);
    // The first day comes again, shorter and corrected; the second day's rows stay.
    project.write("export/2026-11-01.csv", day("2026-11-01", 80, 7));
    let summary = project.expect("run sales --once --json", 0).summary();
    assert_eq!((&summary["runs"], &summary["rows_out"]), (&1.into(), &80.into()));
    assert_eq!(number(&central, "select count(*) from sales where day = '2026-11-01'"), 80);
    assert_eq!(number(&central, "select min(units) from sales where day = '2026-11-01'"), 7);
    assert_eq!(number(&central, "select count(*) from sales where day = '2026-11-02'"), 50);
    assert_no_stage(&project);
}

#[test]
fn a_named_interval_again_changes_nothing() {
    let project = project("");
    project.write("export/2026-11-01.csv", day("2026-11-01", 10, 1));
    project.expect("run sales --once", 0);
    let before = rows(&project.db("central.db"), "select * from sales");
    project.expect("run sales --once --interval 2026-11-01", 0);
    assert_eq!(rows(&project.db("central.db"), "select * from sales"), before);
    project.expect("run sales --once --interval 2026-12-24", 64);
    assert_no_stage(&project);
}

/// Yesterday was published; today's file is bad in one way or another.
#[track_caller]
fn rejected(more: &str, today: &str, code: &str) {
    let project = project(more);
    project.write("export/2026-11-01.csv", day("2026-11-01", 10, 1));
    project.expect("run sales --once", 0);
    let before = rows(&project.db("central.db"), "select * from sales");
    project.write("export/2026-11-02.csv", today);
    for _ in 0..2 {
        let ended = project.expect("run sales --once", 65);
        assert!(ended.err.contains(code), "not {code}: {}", ended.err);
        assert!(ended.last().contains("Nothing of it is visible"), "{}", ended.out);
        assert_eq!(rows(&project.db("central.db"), "select * from sales"), before);
        assert_no_stage(&project);
    }
    let runs = project.expect("runs list sales --json", 0).objects("run");
    assert_eq!(runs[0]["run"]["state"], "rejected", "{runs:?}");
    // Corrected, it is published.
    project.write("export/2026-11-02.csv", day("2026-11-02", 10, 1));
    project.expect("run sales --once", 0);
    assert_eq!(number(&project.db("central.db"), "select count(*) from sales"), 20);
}

#[test]
fn no_rows_are_taken_for_a_failure() {
    rejected("", "day,sku,units\n", "E0506");
}

#[test]
fn no_rows_are_fine_where_somebody_said_so() {
    let project = project("zero_rows = \"allow\"\n");
    project.write("export/2026-11-01.csv", "day,sku,units\n");
    project.expect("run sales --once", 0);
    assert_eq!(number(&project.db("central.db"), "select count(*) from sales"), 0);
}

#[test]
fn a_check_that_fails_keeps_yesterday() {
    rejected("check = [\"min(units) >= 0\"]\n", &day("2026-11-02", 10, -3), "E0507");
}

#[test]
fn a_check_that_warns_publishes_and_says_so() {
    let project = project("check = [{ sql = \"min(units) >= 0\", on_fail = \"warn\" }]\n");
    project.write("export/2026-11-01.csv", day("2026-11-01", 10, -3));
    let ended = project.expect("run sales --once", 0);
    assert!(ended.err.contains("warning: check `min(units) >= 0` does not hold"), "{}", ended.err);
    assert_eq!(number(&project.db("central.db"), "select count(*) from sales"), 10);
    let runs = project.expect("runs list sales --json", 0).objects("run");
    assert!(runs[0]["run"]["detail"].as_str().unwrap().contains("min(units) >= 0"), "{runs:?}");
}

#[test]
fn a_file_that_breaks_off_is_refused() {
    let mut text = day("2026-11-02", 10, 1);
    text.truncate(text.len() - 4);
    rejected("", &text, "2026-11-02.csv");
}

#[test]
fn rows_of_another_day_are_refused() {
    let stray = format!("{}2026-11-01,sku-00001,5\n", day("2026-11-02", 3, 1));
    rejected("", &stray, "E0511");
}

#[test]
fn a_word_where_a_number_belongs_is_refused_without_being_shown() {
    let text = format!("{}2026-11-02,sku-x,s3cret\n", day("2026-11-02", 3, 1));
    rejected("", &text, "int64");
    let project = project("");
    project.write("export/2026-11-02.csv", text);
    let ended = project.expect("run sales --once", 65);
    assert!(!ended.err.contains("s3cret") && !ended.out.contains("s3cret"), "{ended:?}");
}

#[test]
fn a_key_without_a_value_is_refused() {
    let text = format!("{}2026-11-02,,5\n", day("2026-11-02", 3, 1));
    let project = project("");
    project.write("export/2026-11-02.csv", text);
    let ended = project.run("run sales --once");
    // An empty text is a text; a null would be refused. Either way no row loses its key unsaid.
    if ended.code == 0 {
        assert_eq!(
            number(&project.db("central.db"), "select count(*) from sales where sku is null"),
            0
        );
        assert_eq!(number(&project.db("central.db"), "select count(*) from sales"), 4);
    } else {
        assert_eq!(ended.code, 65, "{ended:?}");
    }
}

#[test]
fn no_file_at_all_is_said() {
    let project = project("");
    std::fs::create_dir_all(project.path("export")).unwrap();
    let ended = project.expect("run sales --once", 65);
    assert!(ended.err.contains("E0512") && ended.err.contains("= fix:"), "{}", ended.err);
}

#[test]
fn killed_in_the_middle_the_next_run_publishes_once() {
    let project = project("");
    for n in 1..=9 {
        let date = format!("2026-11-{n:02}");
        project.write(&format!("export/{date}.csv"), day(&date, 20_000, n));
    }
    let mut killed = 0;
    for round in 0..4 {
        let engine = EngineProcess::start_with(&project, "run sales --once");
        // Somewhere in a run: as soon as so many intervals are published, and a bit.
        let goal = round * 2 + 1;
        wait_until("some intervals are published", || {
            let Ok(db) = std::panic::catch_unwind(|| project.db("central.db")) else {
                return false;
            };
            let sql = "select count(*) from _seamount_run";
            db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or(0) >= goal
        });
        killed += usize::from(engine.kill().code == -1);
    }
    assert!(killed > 0, "every run was faster than its murderer");
    project.expect("run sales --once", 0);
    let central = project.db("central.db");
    assert_eq!(number(&central, "select count(*) from sales"), 180_000);
    assert_eq!(number(&central, "select count(distinct day) from sales"), 9);
    assert_eq!(number(&central, "select count(*) from _seamount_run"), 9, "each interval once");
    assert_no_stage(&project);
    let at_work = number(
        &project.db(".seamount/state.db"),
        "select count(*) from run where state = 'running'",
    );
    assert_eq!(at_work, 0);
    project.expect("run sales --once --skip-code", 99);
}

#[test]
fn tables_are_replaced_whole_and_read_at_one_cut() {
    let project = crate::stock::project("batch", "[batch]\nload = \"replace\"\n", 300);
    project.expect("run stock --once", 0);
    let mut shop = project.db("shop.db");
    for n in 0..200 {
        crate::stock::trade(&mut shop, n);
    }
    project.expect("run stock --once", 0);
    assert_same(&shop, "select * from stock", &project.db("central.db"), "select * from stock");
    assert_eq!(tables(&shop), ["stock"], "a batch flow leaves its source alone");
    assert_no_stage(&project);
}

#[test]
fn asked_twice_in_a_second_it_runs_twice() {
    let project = crate::stock::project("batch", "", 30);
    let (shop, central) = (project.db("shop.db"), project.db("central.db"));
    for n in 0..5 {
        for line in ["run stock --once", "run stock --once --interval tonight"] {
            shop.execute("update stock set qty = qty + 1", []).unwrap();
            project.expect(line, 0);
            assert_same(&shop, "select * from stock", &central, "select * from stock");
        }
        assert_eq!(number(&central, "select count(*) from stock"), 30, "round {n}");
    }
}

#[test]
fn a_join_of_two_tables_is_published_as_one() {
    let text = "mode = \"batch\"\n[from]\nsites = \"shop\"\ntables = [\"stock\", \"article\"]\nkey = [\"kind\"]\n\
                [to]\nsite = \"central\"\ntable = \"by_kind\"\n[transform]\n\
                sql = \"select a.kind, sum(s.qty) as qty from stock s join article a on a.sku = s.sku group by a.kind\"\n";
    let project = crate::stock::project("batch", "", 70);
    project.write("flows/stock.toml", text);
    let shop = project.db("shop.db");
    shop.execute_batch(
        "create table article (sku text not null primary key, kind text not null);
         insert into article select sku, 'kind ' || (qty % 5) from stock",
    )
    .unwrap();
    project.expect("check --online", 0);
    project.expect("run stock --once", 0);
    assert_same(
        &shop,
        "select a.kind, sum(s.qty) as qty from stock s join article a on a.sku = s.sku group by a.kind",
        &project.db("central.db"),
        "select kind, qty from by_kind",
    );
}

/// The target was full, so that the failed run could not drop what it had staged; nobody did later.
#[test]
fn a_stage_that_a_failed_run_could_not_drop_goes_with_the_next_run() {
    let project = project("check = [\"count(*) > 1\"]\n");
    project.write("export/2026-11-01.csv", day("2026-11-01", 1, 1));
    project.expect("run sales --once", 65);
    let failed = number(&project.db(".seamount/state.db"), "select id from run");
    let stage = format!("_seamount_stage_{:016x}_1", failed.cast_unsigned());
    project
        .db("central.db")
        .execute_batch(&format!(
            "create table \"{stage}\" (day); insert into _seamount_stage values ({failed}, 1, 'sales')"
        ))
        .unwrap();
    project.write("export/2026-11-01.csv", day("2026-11-01", 2, 1));
    project.expect("run sales --once", 0);
    assert_no_stage(&project);
}
