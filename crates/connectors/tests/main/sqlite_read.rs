//! Reading a database at a cut: beside an application, in every journal mode, and what is refused.

use crate::sqlite_site::{Place, failure, rows_of};
use change::{
    ColumnType, Group, GroupBody, GroupKind, LaneId, Offset, Part, SourcePosition, Value,
};
use connect::component::Connector;
use connect::memory::sample::{shape, text};
use connect::read::{Owner, Readable, Scan, Sees};
use connect::{Kind, Result};
use seamount_connectors::sqlite::{Sqlite, SqliteSite};

fn site(place: &Place) -> Box<dyn Readable> {
    Sqlite.readable(&place.settings()).unwrap()
}

fn numbers() -> Scan {
    Scan::all("t", shape(&[("a", ColumnType::Int64)], &["a"]).as_ref().clone())
}

#[test]
fn a_cut_stands_still_while_the_application_writes() {
    for mode in ["WAL", "DELETE"] {
        let place = Place::new();
        let application = place.application(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t (a INTEGER PRIMARY KEY);
             INSERT INTO t VALUES (1), (2);"
        ));
        let mut site = site(&place);
        let mut cut = site.cut().unwrap();
        let wrote = application.execute_batch("INSERT INTO t VALUES (3)");
        assert_eq!(wrote.is_ok(), mode == "WAL", "only a WAL lets writers commit beside a cut");
        assert_eq!(numbers().collect(cut.as_mut()).unwrap().num_rows(), 2);
        drop(cut);
        application.execute_batch("INSERT OR IGNORE INTO t VALUES (3)").unwrap();
        assert_eq!(rows_of(site.as_mut(), &numbers()).unwrap().len(), 3);
    }
}

#[test]
fn nothing_is_checkpointed_behind_the_application() {
    let place = Place::new();
    let application = place.application(
        "PRAGMA journal_mode = WAL; CREATE TABLE t (a INTEGER PRIMARY KEY);
         INSERT INTO t VALUES (1);",
    );
    application
        .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    drop(application);
    let wal = place.file().with_extension("db-wal");
    let before = std::fs::metadata(&wal).unwrap().len();
    assert!(before > 0);
    let mut site = site(&place);
    assert_eq!(rows_of(site.as_mut(), &numbers()).unwrap().len(), 1);
    drop(site);
    assert_eq!(std::fs::metadata(&wal).unwrap().len(), before, "we were the last to close");
}

#[test]
fn what_cannot_be_opened_is_said_plainly() {
    let place = Place::new();
    let missing = failure(Sqlite.readable(&place.settings()));
    assert_eq!(missing.kind, Kind::Unavailable);
    assert!(missing.found.unwrap().contains("site.db"));
    assert!(!place.file().exists(), "reading creates nothing");

    std::fs::write(place.file(), b"name,price\nnail,5\n".repeat(100)).unwrap();
    let no_database = failure(Sqlite.readable(&place.settings()));
    assert_eq!(no_database.kind, Kind::Corrupt);
    assert!(no_database.found.unwrap().contains("no SQLite database"));

    std::fs::remove_file(place.file()).unwrap();
    std::fs::create_dir(place.file()).unwrap();
    assert_eq!(failure(Sqlite.readable(&place.settings())).kind, Kind::Unavailable);

    let place = Place::new();
    place.application("PRAGMA encoding = 'UTF-16'; CREATE TABLE t (a)");
    assert_eq!(failure(Sqlite.readable(&place.settings())).kind, Kind::Invalid);

    let mut settings = place.settings();
    settings.options.insert("busy_timeout_ms".into(), "soon".into());
    assert_eq!(failure(SqliteSite::open(&settings)).kind, Kind::Invalid);
}

#[test]
fn a_locked_database_is_unavailable() {
    let place = Place::new();
    let application = place.application("CREATE TABLE t (a INTEGER PRIMARY KEY)");
    let mut before = site(&place);
    application.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(failure(Sqlite.readable(&place.settings())).kind, Kind::Unavailable);
    assert_eq!(failure(before.cut().map(drop)).kind, Kind::Unavailable);
    application.execute_batch("COMMIT").unwrap();
    before.cut().unwrap();
}

fn scanned(declaration: &str, value: &str, ty: ColumnType) -> Result<Value> {
    let place = Place::new();
    place.application(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v {declaration}); INSERT INTO t VALUES (1, {value})"
    ));
    let schema = shape(&[("id", ColumnType::Int64), ("v", ty)], &["id"]);
    let scan = Scan::all("t", schema.as_ref().clone());
    rows_of(site(&place).as_mut(), &scan).map(|mut rows| rows[0].remove(1))
}

#[test]
fn cells_are_read_as_wanted_or_refused() {
    let money = ColumnType::Decimal { precision: 12, scale: 2 };
    let cents = |unscaled| Value::Decimal { unscaled, scale: 2 };
    for (declaration, value, ty, expected) in [
        ("DECIMAL(12,2)", "12.5", money, cents(1250)),
        ("DECIMAL(12,2)", "7", money, cents(700)),
        ("TEXT", "'1234567.89'", money, cents(123_456_789)),
        ("REAL", "0.07", money, cents(7)),
        ("TEXT", "'42'", ColumnType::Int64, Value::Int(42)),
        ("DATE", "'2024-02-29'", ColumnType::Date, Value::Date(19_782)),
        ("", "'1970-01-01 00:00:01'", ColumnType::Timestamp, Value::Timestamp(1_000_000)),
        ("TEXT", "'1970-01-01T00:00:01Z'", ColumnType::Instant, Value::Instant(1_000_000)),
        ("BOOLEAN", "1", ColumnType::Bool, Value::Bool(true)),
        ("DATETIME", "3.5", ColumnType::Any, Value::float(3.5)),
        ("", "x'00ff'", ColumnType::Any, Value::Bytes(vec![0, 255])),
    ] {
        assert_eq!(scanned(declaration, value, ty).unwrap(), expected, "{value} as {ty}");
    }
    for (declaration, value, ty, class) in [
        ("DECIMAL(12,2)", "0.333", money, "real"),
        ("INTEGER", "'S-47'", ColumnType::Int64, "text"),
        ("TEXT", "x'4711'", ColumnType::Text, "blob"),
        ("TEXT", "CAST(x'ff4711' AS TEXT)", ColumnType::Text, "text that is no UTF-8"),
        ("TEXT", "'2023-02-30'", ColumnType::Date, "text"),
        ("INTEGER", "2", ColumnType::Bool, "integer"),
    ] {
        let error = failure(scanned(declaration, value, ty));
        assert_eq!(error.kind, Kind::Refused);
        let said = format!("{error} {error:?}");
        assert!(said.contains("t.v") && said.contains(class), "{said}");
        for secret in ["0.333", "S-47", "4711", "02-30"] {
            assert!(!said.contains(secret), "a message holds a value: {said}");
        }
    }
}

#[test]
fn keys_that_cannot_be_ranged_are_refused() {
    let place = Place::new();
    place.application(
        "CREATE TABLE digits (a TEXT PRIMARY KEY); CREATE TABLE nulls (a TEXT PRIMARY KEY);
         INSERT INTO nulls VALUES (NULL), ('x');",
    );
    let mut site = site(&place);
    let digits = Scan::all("digits", shape(&[("a", ColumnType::Int64)], &["a"]).as_ref().clone());
    assert_eq!(failure(rows_of(site.as_mut(), &digits)).kind, Kind::Invalid);
    let all = Scan::all("nulls", shape(&[("a", ColumnType::Text)], &["a"]).as_ref().clone());
    let mut range = all.clone();
    range.range.after = Some(change::Key(vec![text("a")]));
    for scan in [all, range] {
        assert_eq!(failure(rows_of(site.as_mut(), &scan)).kind, Kind::Refused);
    }
}

#[test]
fn text_compares_by_bytes_whatever_the_column_declares() {
    let place = Place::new();
    place.application(
        "CREATE TABLE t (a TEXT COLLATE NOCASE, shop TEXT COLLATE NOCASE);
         INSERT INTO t VALUES ('b', 'x'), ('A', 'x'), ('B', 'X'), ('a', 'X');",
    );
    let schema = shape(&[("a", ColumnType::Text), ("shop", ColumnType::Text)], &["a"]);
    let mut scan = Scan::all("t", schema.as_ref().clone());
    let names = |scan: &Scan| -> Vec<Value> {
        rows_of(site(&place).as_mut(), scan)
            .unwrap()
            .into_iter()
            .map(|mut row| row.remove(0))
            .collect()
    };
    assert_eq!(names(&scan), ["A", "B", "a", "b"].map(text));
    scan.range.after = Some(change::Key(vec![text("B")]));
    assert_eq!(names(&scan), ["a", "b"].map(text));
    scan.owner = Some(Owner { column: "shop".into(), value: text("x") });
    assert_eq!(names(&scan), ["b"].map(text));
}

fn group(after: u64, upto: u64) -> Group {
    Group {
        lane: LaneId::mint(1),
        offset: Offset(1),
        body: GroupBody {
            kind: GroupKind::Changes,
            part: Part::WHOLE,
            after: SourcePosition::at(after),
            upto: SourcePosition::at(upto),
            commit_time: 0,
            batches: Vec::new(),
        },
    }
}

#[test]
fn a_cut_of_a_captured_database_knows_its_closing_position() {
    let place = Place::new();
    let application = place.application("PRAGMA journal_mode = WAL; CREATE TABLE t (a)");
    let mut site = site(&place);
    let cut = site.cut().unwrap();
    assert_eq!(cut.closing(), None);
    assert_eq!(cut.sees(&group(0, 1)), Sees::None);
    application
        .execute_batch(
            "CREATE TABLE _seamount_change (id INTEGER PRIMARY KEY AUTOINCREMENT, tag INTEGER)",
        )
        .unwrap();
    assert_eq!(site.cut().unwrap().closing(), Some(&SourcePosition::START));
    application.execute_batch("INSERT INTO _seamount_change (tag) VALUES (8), (9)").unwrap();
    let cut = site.cut().unwrap();
    let closing = SourcePosition { sequence: 2, detail: Some("9".into()) };
    assert_eq!(cut.closing(), Some(&closing));
    for (after, upto, sees) in
        [(0, 2, Sees::All), (1, 3, Sees::Part), (2, 3, Sees::None), (5, 9, Sees::None)]
    {
        assert_eq!(cut.sees(&group(after, upto)), sees, "{after}..{upto}");
    }
    application.execute_batch("DELETE FROM _seamount_change").unwrap();
    assert_eq!(site.cut().unwrap().closing(), Some(&SourcePosition::at(2)), "trimmed, not undone");
    assert_eq!(site.tables().unwrap(), ["t"], "what is ours is hidden");
}

#[test]
fn tables_without_a_key_are_read_whole() {
    let place = Place::new();
    place.application("CREATE TABLE t (a INTEGER, b); INSERT INTO t VALUES (2, 'x'), (1, NULL)");
    let mut site = site(&place);
    let schema = site.describe("T").unwrap();
    assert_eq!(schema.key(), &[] as &[usize]);
    let rows = rows_of(site.as_mut(), &Scan::all("t", schema)).unwrap();
    assert_eq!(rows, [[Value::Int(2), text("x")], [Value::Int(1), Value::Null]]);
}

#[test]
fn many_rows_come_in_bounded_batches() {
    let place = Place::new();
    place.application(
        "CREATE TABLE t (a INTEGER PRIMARY KEY);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO t SELECT i FROM n;",
    );
    let mut sizes = Vec::new();
    let total = site(&place)
        .cut()
        .unwrap()
        .read(&numbers(), &mut |batch| {
            sizes.push(batch.num_rows());
            Ok(())
        })
        .unwrap();
    assert_eq!((total, sizes), (20_000, vec![8192, 8192, 3616]));
}
