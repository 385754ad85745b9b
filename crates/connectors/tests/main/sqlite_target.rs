//! A database as a target: the suite of every target, and what is particular to SQLite.

use crate::sqlite_site::{Engine, Place, article, failure, publication, stock, stored, upsert};
use change::{Column, ColumnType, HolderId, Key, RunId, TableSchema, Value};
use connect::conformance::Arranged;
use connect::conformance::target::{TargetHarness, all, checks};
use connect::memory::sample::{keys, rows, shape, target_table, text};
use connect::read::{KeyRange, Readable};
use connect::target::{Claim, Load, Published, RowWork, Target, TargetTable};
use connect::{Kind, State};
use seamount_connectors::sqlite::names::identifier;
use seamount_connectors::sqlite::target::SqliteTarget;
use std::sync::Arc;

struct Harness(Place);

impl TargetHarness for Harness {
    fn open(&mut self) -> Box<dyn Target> {
        Box::new(self.0.target())
    }

    fn unique(&mut self, table: &str, column: &str) -> Arranged {
        let index =
            format!("CREATE UNIQUE INDEX u ON {} ({})", identifier(table), identifier(column));
        self.0.application(&index);
        Arranged::Done
    }

    /// SQLite would store NaN as null.
    fn refuses(&self, value: &Value) -> bool {
        matches!(value, Value::Float(bits) if f64::from_bits(bits.0).is_nan())
    }
}

#[test]
fn keeps_what_every_target_promises() {
    all(&mut || Box::new(Harness(Place::new())));
}

/// The same in a database that an application made, in rollback-journal mode: it stays in it.
#[test]
fn keeps_it_in_a_rollback_journal_too() {
    for check in checks() {
        // A cut that is kept while somebody commits is what a rollback journal has not.
        if matches!(check.name, "a_cut_stands_still" | "progress_of_a_cut_is_of_its_moment") {
            continue;
        }
        let place = Place::new();
        place.application("PRAGMA user_version = 1");
        let mut harness = Harness(place);
        (check.run)(&mut harness);
        assert_eq!(journal_mode(&harness.0), "delete", "{}", check.name);
    }
}

#[test]
fn a_cut_makes_a_rollback_journal_wait() {
    let place = Place::new();
    place.application("PRAGMA user_version = 1");
    let mut engine = Engine::at(&place, &[stock()]);
    let cut = place.target().cut().unwrap();
    let work = upsert(&[article(1, "nail")]);
    assert_eq!(failure(engine.write(&stock(), &work)).kind, Kind::Unavailable);
    drop(cut);
    assert!(stored(&mut engine, &stock()).is_empty(), "the commit was taken back");
    engine.write(&stock(), &work).unwrap();
}

fn journal_mode(place: &Place) -> String {
    place.application("").query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_new_database_is_in_wal_mode() {
    let place = Place::new();
    place.target();
    assert_eq!(journal_mode(&place), "wal");
    let nowhere = connect::component::SiteSettings {
        url: "sqlite:no/such/folder.db".into(),
        ..place.settings()
    };
    assert_eq!(failure(SqliteTarget::open(&nowhere)).kind, Kind::Unavailable);
}

#[test]
fn names_are_taken_as_they_are() {
    let long = "ä".repeat(31) + "x";
    assert_eq!(long.len(), 63);
    for (name, key, column) in [
        ("order", "select", "from"),
        ("it's \"quoted\"", "a\"b", "c'd"),
        ("with space", " ", "[x]"),
        (long.as_str(), "k;--", "`v`"),
        ("Ünïcode", "NULL", "?1"),
    ] {
        let place = Place::new();
        let schema = shape(&[(key, ColumnType::Text), (column, ColumnType::Int64)], &[key]);
        let table = target_table(name, &schema);
        let mut engine = Engine::at(&place, std::slice::from_ref(&table));
        let row = |k: &str, v| vec![text(k), Value::Int(v)];
        let batch = |cells: &[Vec<Value>]| rows(&schema, cells);
        let three = batch(&[row("a", 1), row("b", 2), row("c", 3)]);
        engine.write(&table, &RowWork::Insert(three.clone())).unwrap();
        engine.write(&table, &RowWork::Upsert(batch(&[row("b", 5)]))).unwrap();
        engine.write(&table, &RowWork::Delete(keys(&schema, &[vec![text("a")]]))).unwrap();
        let mut transaction = engine.begin().unwrap();
        let range = KeyRange { after: Some(Key(vec![text("b")])), upto: None };
        assert_eq!(transaction.retain(&table, &range, &keys(&schema, &[])).unwrap(), 1);
        transaction.commit(&[]).unwrap();
        assert_eq!(stored(&mut engine, &table), [row("b", 5)], "{name}");
        engine.target.stage(RunId::mint(1), &table, &three).unwrap();
        let published =
            engine.target.publish(&publication(1, Load::Replace, &[(&table, 3)])).unwrap();
        assert_eq!(published, Published::Now { rows: 3, removed: 0 });
        assert_eq!(engine.target.tables().unwrap(), [name]);
        assert_eq!(stored(&mut engine, &table).len(), 3);
    }
}

#[test]
fn a_lock_is_waited_for_and_then_named() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    let application = place.application("BEGIN IMMEDIATE");
    assert_eq!(failure(engine.begin().map(drop)).kind, Kind::Unavailable);
    application.execute_batch("COMMIT").unwrap();
    engine.write(&stock(), &upsert(&[article(1, "nail")])).unwrap();
}

#[test]
fn of_two_engines_one_writes() {
    let place = Place::new();
    let mut first = Engine::at(&place, &[stock()]);
    let mut second = place.target();
    let mut claim = Claim { holder: HolderId::mint(2), known: Vec::new(), take_over: false };
    let fenced = failure(second.claim(&claim));
    assert_eq!((fenced.kind, fenced.state), (Kind::Conflict, Some(State::Fenced)));
    claim.take_over = true;
    second.claim(&claim).unwrap();
    let fenced = failure(first.begin().map(drop));
    assert_eq!((fenced.kind, fenced.state), (Kind::Conflict, Some(State::Fenced)));
    assert_eq!(failure(first.target.discard(RunId::mint(1))).kind, Kind::Conflict);
}

#[test]
fn tables_that_are_there_are_used_when_nothing_is_lost() {
    let place = Place::new();
    place.application(
        "CREATE TABLE Stock (SKU INT NOT NULL UNIQUE, name VARCHAR(9), price NUMERIC, seen DATE,
                             note TEXT DEFAULT 'none', odd INTEGER NOT NULL DEFAULT 3);",
    );
    let columns = [
        ("sku", ColumnType::Int64),
        ("name", ColumnType::Text),
        ("price", ColumnType::Decimal { precision: 12, scale: 4 }),
        ("seen", ColumnType::Any),
        ("added", ColumnType::Bool),
    ];
    let table = target_table("stock", &shape(&columns, &["sku"]));
    let mut engine = Engine::at(&place, std::slice::from_ref(&table));
    let row = |seen| {
        let price = Value::Decimal { unscaled: 25_500, scale: 4 };
        vec![Value::Int(1), text("nail"), price, seen, Value::Bool(true)]
    };
    let write = |engine: &mut Engine, seen| {
        engine.write(&table, &RowWork::Upsert(rows(&table.schema, &[row(seen)])))
    };
    write(&mut engine, text("2011-01-04")).unwrap();
    assert_eq!(stored(&mut engine, &table), [row(text("2011-01-04"))]);
    for changed in [text(" 20110104 "), text("1e3"), Value::float(3.0)] {
        assert_eq!(failure(write(&mut engine, changed)).kind, Kind::Refused, "it would change");
    }
    let kept: String = place
        .application("")
        .query_row("SELECT note || odd || typeof(price) FROM stock", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, "none3real");
}

#[test]
fn tables_that_do_not_fit_are_blocked() {
    let wanted = stock();
    for declared in [
        "sku INTEGER PRIMARY KEY, name INTEGER",
        "sku REAL PRIMARY KEY, name TEXT",
        "sku TEXT PRIMARY KEY, name TEXT",
        "sku INTEGER, name TEXT PRIMARY KEY",
        "sku INTEGER, name TEXT",
        "sku INTEGER PRIMARY KEY, name AS (sku + 1)",
        "sku INTEGER PRIMARY KEY, name TEXT, other TEXT NOT NULL",
    ] {
        let place = Place::new();
        place.application(&format!("CREATE TABLE stock ({declared})"));
        let blocked = failure(place.target().prepare(std::slice::from_ref(&wanted)));
        assert_eq!(blocked.kind, Kind::Invalid, "{declared}");
        assert_eq!(blocked.state, Some(State::SchemaBlocked), "{declared}");
    }
    let place = Place::new();
    place.application("CREATE TABLE words (word TEXT COLLATE NOCASE PRIMARY KEY)");
    let words = target_table("words", &shape(&[("word", ColumnType::Text)], &["word"]));
    assert_eq!(failure(place.target().prepare(&[words])).state, Some(State::SchemaBlocked));
    let wide = ColumnType::Decimal { precision: 20, scale: 0 };
    let wide = target_table("wide", &shape(&[("n", wide)], &["n"]));
    assert_eq!(failure(place.target().prepare(&[wide])).state, Some(State::SchemaBlocked));
    let ours = target_table("_Seamount_x", &stock().schema);
    assert_eq!(failure(place.target().prepare(&[ours])).kind, Kind::Invalid);
}

#[test]
fn a_failed_prepare_leaves_nothing() {
    let place = Place::new();
    place.application("CREATE TABLE b (sku TEXT PRIMARY KEY)");
    let table = |name| TargetTable { name: String::from(name), ..stock() };
    failure(place.target().prepare(&[table("a"), table("b")]));
    assert_eq!(place.target().tables().unwrap(), ["b"]);
}

#[test]
fn tables_of_keys_alone_are_upserted() {
    let place = Place::new();
    let schema = shape(&[("a", ColumnType::Text), ("b", ColumnType::Int64)], &["b", "a"]);
    let table = target_table("pairs", &schema);
    let mut engine = Engine::at(&place, std::slice::from_ref(&table));
    let pairs = [vec![text("x"), Value::Int(1)], vec![text("w"), Value::Int(2)]];
    for _ in 0..2 {
        engine.write(&table, &RowWork::Upsert(rows(&schema, &pairs))).unwrap();
    }
    assert_eq!(stored(&mut engine, &table), pairs);
}

#[test]
fn a_schema_changed_by_somebody_else_is_noticed() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    engine.write(&stock(), &upsert(&[article(1, "nail")])).unwrap();
    place.application("ALTER TABLE stock DROP COLUMN name; ALTER TABLE stock ADD COLUMN name INT");
    let error = failure(engine.write(&stock(), &upsert(&[article(2, "nut")])));
    assert_eq!(error.kind, Kind::Invalid, "text does not go into an integer column");
}

#[test]
fn a_required_column_is_declared_so() {
    let place = Place::new();
    let columns = vec![
        Column::new("sku", ColumnType::Int64, false),
        Column::new("name", ColumnType::Text, false),
    ];
    let schema = Arc::new(TableSchema::new(columns, &["sku"]).unwrap());
    let table = target_table("stock", &schema);
    let mut engine = Engine::at(&place, std::slice::from_ref(&table));
    assert_eq!(engine.target.describe("stock").unwrap(), *schema);
    let work = RowWork::Upsert(rows(&schema, &[vec![Value::Int(1), Value::Null]]));
    assert_eq!(failure(engine.write(&table, &work)).kind, Kind::Refused);
}

/// A row that a trigger swallows must not be counted as written.
#[test]
fn a_row_that_a_trigger_ignores_is_refused() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    place.application(
        "CREATE TRIGGER quiet BEFORE INSERT ON stock WHEN NEW.sku = 2
         BEGIN SELECT RAISE(IGNORE); END;",
    );
    let articles = [article(1, "nail"), article(2, "nut")];
    assert_eq!(failure(engine.write(&stock(), &upsert(&articles))).kind, Kind::Refused);
    let insert = RowWork::Insert(rows(&stock().schema, &articles));
    assert_eq!(failure(engine.write(&stock(), &insert)).kind, Kind::Refused);
    engine.target.stage(RunId::mint(1), &stock(), &rows(&stock().schema, &articles)).unwrap();
    for load in [Load::Replace, Load::Merge, Load::Append] {
        let refused = failure(engine.target.publish(&publication(1, load, &[(&stock(), 2)])));
        assert_eq!(refused.kind, Kind::Refused);
    }
    assert!(stored(&mut engine, &stock()).is_empty());
}
