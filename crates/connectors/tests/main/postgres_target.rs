//! A database as a target: the suite of every target, and what is particular to PostgreSQL.

use crate::postgres_place::{
    Engine, FLOW, Place, article, failure, publication, settings, stock, stored,
};
use change::{ColumnType, FlowId, Generation, HolderId, LaneId, Offset, RunId, Value};
use connect::component::Connector;
use connect::conformance::Arranged;
use connect::conformance::target::{TargetHarness, all};
use connect::memory::sample::{keys as keys_of, rows, shape, target_table};
use connect::target::{Claim, Fate, LetterPlace, Load, RowWork, Target, TargetTable};
use connect::{Kind, State};
use seamount_connectors::postgres::Postgres;
use servers::Cluster;
use std::sync::Arc;

struct Harness(Arc<Place>);

impl TargetHarness for Harness {
    fn open(&mut self) -> Box<dyn Target> {
        self.0.target()
    }

    fn unique(&mut self, table: &str, column: &str) -> Arranged {
        self.0.sql(&format!("CREATE UNIQUE INDEX ON \"{table}\" (\"{column}\")"));
        Arranged::Done
    }

    /// A column of PostgreSQL holds values of one type.
    fn lacks(&self) -> Vec<ColumnType> {
        vec![ColumnType::Any]
    }

    /// PostgreSQL keeps no text with a zero byte.
    fn refuses(&self, value: &Value) -> bool {
        matches!(value, Value::Text(text) if text.contains('\0'))
    }
}

#[test]
fn keeps_what_every_target_promises() {
    let place = Arc::new(Place::new());
    all(&mut || {
        // Emptying a database takes a third of making one.
        place.sql("DROP SCHEMA IF EXISTS _seamount, public CASCADE; CREATE SCHEMA public");
        Box::new(Harness(place.clone()))
    });
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

/// Flows of one engine hold the epoch together: neither waits for the other, and a claim ends neither.
#[test]
fn flows_of_one_engine_write_side_by_side() {
    let place = Place::new();
    let other = FlowId::mint(8);
    let table = |name| TargetTable { name: String::from(name), ..stock() };
    let mut first = Engine::at(&place, &[table("a")]);
    let mut second = Engine::opened(place.target(), &[table("b")]);
    second.target.adopt(other, Generation::mint(1)).unwrap();
    let work = RowWork::Upsert(rows(&stock().schema, &[article(1, "nail")]));
    let mut one = first.begin().unwrap();
    one.write(&table("a"), &work).unwrap();
    let mut two = second.target.begin(other, Generation::mint(1)).unwrap();
    two.write(&table("b"), &work).unwrap();
    let holder = HolderId::mint(1);
    place.target().claim(&Claim { holder, known: vec![holder], take_over: false }).unwrap();
    two.commit(&[]).unwrap();
    one.commit(&[]).unwrap();
}

/// Somebody who is no engine holds the epoch: it is named, and left alone.
#[test]
fn a_session_that_is_none_of_ours_is_not_ended() {
    let place = Place::new();
    drop(Engine::at(&place, &[stock()]));
    let settings = settings(&Cluster::shared().url(&place.database));
    let mut holding = place.holding("BEGIN; SELECT FROM _seamount.epoch FOR SHARE");
    let claim = Claim { holder: HolderId::mint(2), known: Vec::new(), take_over: true };
    let mut target = Postgres::new("postgres").target(&settings).unwrap();
    let locked = failure(target.claim(&claim));
    assert_eq!(locked.kind, Kind::Unavailable);
    assert!(locked.fix.unwrap().contains("pg_terminate_backend"));
    holding.batch_execute("COMMIT").unwrap();
    target.claim(&claim).unwrap();
}

#[test]
fn a_target_that_was_replaced_is_noticed() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    place.sql("DELETE FROM _seamount.epoch");
    assert_eq!(failure(engine.begin().map(drop)).state, Some(State::Fenced));
    place.sql("DROP SCHEMA _seamount CASCADE");
    assert_eq!(failure(engine.begin().map(drop)).state, Some(State::Fenced));
    assert_eq!(engine.target.progress(FlowId::mint(FLOW)).unwrap(), None);
    assert_eq!(engine.target.staged().unwrap(), []);
}

/// What answers behind a failover may lack our last commits: nothing is written before progress is read again.
#[test]
fn a_lost_connection_is_owned_up_to_before_anything_is_written() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND starts_with(application_name, 'seamount ')";
    assert_eq!(place.sql(end), "1");
    assert_eq!(failure(engine.begin().map(drop)).kind, Kind::Unavailable);
    // A look at the target in between does not make it forgotten.
    engine.target.tables().unwrap();
    assert_eq!(failure(engine.begin().map(drop)).kind, Kind::Unavailable);
    assert_eq!(engine.target.progress(FlowId::mint(FLOW)).unwrap(), None);
    engine.upsert(&stock(), &[article(1, "nail")]).unwrap();
    let mut transaction = engine.begin().unwrap();
    let work = RowWork::Upsert(rows(&stock().schema, &[article(2, "nut")]));
    transaction.write(&stock(), &work).unwrap();
    assert_eq!(place.sql(end), "1");
    assert_eq!(failure(transaction.commit(&[])).kind, Kind::Unavailable, "nobody has taken over");
    assert_eq!(stored(engine.target.as_mut(), &stock()), [article(1, "nail")]);
}

/// A unique value that moves on in three steps nets to an order that the index refuses; in source order it goes.
#[test]
fn a_swap_of_unique_values_is_refused_at_once_and_goes_row_by_row() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    engine.upsert(&stock(), &[article(1, "x"), article(2, "y")]).unwrap();
    place.sql("CREATE UNIQUE INDEX u ON stock (name)");
    let work = |cells: &[Vec<Value>]| RowWork::Upsert(rows(&stock().schema, cells));
    let mut transaction = engine.begin().unwrap();
    let netted = transaction.write(&stock(), &work(&[article(1, "y"), article(2, "x")]));
    assert_eq!(failure(netted).kind, Kind::Refused);
    for step in [article(1, "tmp"), article(2, "x"), article(1, "y")] {
        transaction.write(&stock(), &work(&[step])).unwrap();
    }
    transaction.commit(&[]).unwrap();
    assert_eq!(stored(engine.target.as_mut(), &stock()), [article(1, "y"), article(2, "x")]);
}

/// Batches of every size take the same way in, whatever way that is.
#[test]
fn batches_of_every_size_come_in_whole() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    let mut expected = Vec::new();
    for (i, size) in [1, 2, 255, 256, 1_025, 40_000].into_iter().enumerate() {
        let from = i64::try_from(expected.len()).unwrap();
        let articles: Vec<_> = (from..from + size).map(|sku| article(sku, "new")).collect();
        let work = rows(&stock().schema, &articles);
        let work = if i % 2 == 0 { RowWork::Insert(work) } else { RowWork::Upsert(work) };
        assert_eq!(engine.write(&stock(), &work).unwrap(), size.unsigned_abs());
        expected.extend(articles);
    }
    assert!(stored(engine.target.as_mut(), &stock()) == expected);
    let some: Vec<_> = (0..30_000).map(|sku| article(sku * 2, "again")).collect();
    let work = RowWork::Insert(rows(&stock().schema, &some));
    assert_eq!(engine.write(&stock(), &work).unwrap(), 30_000, "most of them are there already");
    let keys: Vec<_> = (0..30_000).map(|sku| vec![Value::Int(sku * 2)]).collect();
    let gone = engine.write(&stock(), &RowWork::Delete(keys_of(&stock().schema, &keys))).unwrap();
    let left = place.sql("SELECT count(*), sum(sku % 2) FROM stock");
    assert_eq!((gone, left.as_str()), (30_000, "20769|20769"));
    let all = rows(&stock().schema, &[article(1, "a"), article(1, "b"), article(3, "c")]);
    engine.write(&stock(), &RowWork::Upsert(all)).unwrap();
    assert_eq!(place.sql("SELECT name FROM stock WHERE sku = 1"), "b", "the last of a key counts");
}

#[test]
fn a_row_that_a_trigger_ignores_is_refused() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    place.sql(
        "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN IF NEW.sku = 2 THEN RETURN NULL; END IF; RETURN NEW; END $$;
         CREATE TRIGGER quiet BEFORE INSERT ON stock FOR EACH ROW EXECUTE FUNCTION quiet();",
    );
    let articles: Vec<_> = (1..400).map(|sku| article(sku, "nail")).collect();
    let batch = rows(&stock().schema, &articles);
    for work in [RowWork::Upsert(batch.clone()), RowWork::Insert(batch.clone())] {
        assert_eq!(failure(engine.write(&stock(), &work)).kind, Kind::Refused);
    }
    engine.target.stage(RunId::mint(1), &stock(), &batch).unwrap();
    for load in [Load::Replace, Load::Merge, Load::Append] {
        let refused = failure(engine.target.publish(&publication(1, load, &[(&stock(), 399)])));
        assert_eq!(refused.kind, Kind::Refused);
    }
    place.sql("INSERT INTO stock VALUES (1, 'old')");
    for load in [Load::Replace, Load::Merge] {
        let refused = failure(engine.target.publish(&publication(1, load, &[(&stock(), 399)])));
        assert_eq!(refused.kind, Kind::Refused);
    }
    assert_eq!(stored(engine.target.as_mut(), &stock()), [article(1, "old")]);
}

/// An assignment would round without a word where a column has become narrower since it was looked at.
#[test]
fn a_schema_changed_by_somebody_else_is_noticed() {
    let place = Place::new();
    let wide = ColumnType::Decimal { precision: 12, scale: 4 };
    let table =
        target_table("prices", &shape(&[("sku", ColumnType::Int64), ("price", wide)], &["sku"]));
    let mut engine = Engine::at(&place, std::slice::from_ref(&table));
    let row = |sku| vec![Value::Int(sku), Value::Decimal { unscaled: 12_345, scale: 4 }];
    engine.upsert(&table, &[row(1)]).unwrap();
    place.sql("DELETE FROM prices; ALTER TABLE prices ALTER price TYPE numeric(12,2)");
    assert_eq!(failure(engine.upsert(&table, &[row(2)])).kind, Kind::Invalid);
    place.sql("ALTER TABLE prices ALTER price TYPE numeric(20,6)");
    engine.upsert(&table, &[row(3)]).unwrap();
    assert_eq!(place.sql("SELECT price FROM prices"), "1.234500");
    place.sql("DROP TABLE prices; CREATE TABLE prices (sku int PRIMARY KEY, price numeric)");
    engine.upsert(&table, &[row(4)]).unwrap();
    assert_eq!(place.sql("SELECT * FROM prices"), "4|1.2345");
}

/// A trigger of the application may put a row's values into its words.
#[test]
fn a_row_that_a_trigger_refuses_is_refused_without_its_words() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    place.sql(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'no %', NEW.name; END $$;
         CREATE TRIGGER no BEFORE INSERT ON stock FOR EACH ROW EXECUTE FUNCTION no();",
    );
    let refused = failure(engine.upsert(&stock(), &[article(1, "Gudrun")]));
    assert_eq!(refused.kind, Kind::Refused);
    assert!(!format!("{refused} {refused:?}").contains("Gudrun"));
}

/// A refused write takes back itself, and no letter that was settled before it.
#[test]
fn what_was_recorded_before_a_refused_write_stays() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    let place_of =
        |offset| LetterPlace { lane: LaneId::mint(1), offset: Offset(offset), ordinal: 0 };
    place.sql("ALTER TABLE stock ADD CHECK (sku > 0)");
    let work = |sku| RowWork::Upsert(rows(&stock().schema, &[article(sku, "nail")]));
    let mut transaction = engine.begin().unwrap();
    transaction.record_letters(&[(place_of(1), Fate::Replayed)]).unwrap();
    assert_eq!(failure(transaction.write(&stock(), &work(-1))).kind, Kind::Refused);
    transaction.write(&stock(), &work(1)).unwrap();
    transaction.record_letters(&[(place_of(2), Fate::Discarded)]).unwrap();
    assert_eq!(transaction.clear(&stock()).unwrap(), 1);
    assert_eq!(failure(transaction.write(&stock(), &work(-2))).kind, Kind::Refused);
    transaction.commit(&[]).unwrap();
    let fates = engine.target.letters(FlowId::mint(FLOW)).unwrap();
    let expected = [(place_of(1), Fate::Replayed), (place_of(2), Fate::Discarded)];
    assert_eq!(fates, expected.into());
    assert!(stored(engine.target.as_mut(), &stock()).is_empty());
}

/// A constraint that is checked at the commit refuses no row that could be set aside: the flow would try for ever.
#[test]
fn what_is_refused_only_at_the_commit_stops_the_flow() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    place.sql("ALTER TABLE stock ADD UNIQUE (name) DEFERRABLE INITIALLY DEFERRED");
    let stopped = failure(engine.upsert(&stock(), &[article(1, "x"), article(2, "x")]));
    assert_eq!((stopped.kind, stopped.state), (Kind::Invalid, Some(State::RowsRefused)));
    assert!(stored(engine.target.as_mut(), &stock()).is_empty());
    engine.upsert(&stock(), &[article(1, "x"), article(2, "y")]).unwrap();
    engine.upsert(&stock(), &[article(1, "y"), article(2, "x")]).unwrap();
}

/// A plan that was made while the table was empty read all of it for every delete, once it was large.
#[test]
fn deletes_find_their_rows_by_key_however_the_table_has_grown() {
    let place = Place::new();
    place.sql(
        "CREATE TABLE stock (sku bigint PRIMARY KEY, name text) WITH (autovacuum_enabled = off)",
    );
    let mut engine = Engine::at(&place, &[stock()]);
    let gone = |sku| RowWork::Delete(keys_of(&stock().schema, &[vec![Value::Int(sku)]]));
    assert_eq!(engine.write(&stock(), &gone(1)).unwrap(), 0);
    let many: Vec<_> = (0..5_000).map(|sku| article(sku, "nail")).collect();
    engine.upsert(&stock(), &many).unwrap();
    (0..20).for_each(|sku| assert_eq!(engine.write(&stock(), &gone(sku)).unwrap(), 1));
    drop(engine);
    // A session tells what it did at the latest when it ends.
    let there = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND starts_with(application_name, 'seamount')";
    while place.sql(there) != "0" {}
    // One scan is that of the index when it was made.
    let scans =
        "SELECT seq_scan <= 1, idx_scan > 0 FROM pg_stat_user_tables WHERE relname = 'stock'";
    assert_eq!(place.sql(scans), "t|t");
}
