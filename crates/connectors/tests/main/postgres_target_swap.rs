//! A stage that becomes the table: nobody can tell, or the rows are copied.

use crate::postgres_place::{Engine, Place, article, failure, publication, stock};
use change::{RunId, Value};
use connect::Kind;
use connect::memory::sample::rows;
use connect::read::Scan;
use connect::target::{Load, Published};

const ROWS: i64 = 12_000;

fn stage(engine: &mut Engine, run: u64, last: &[Vec<Value>]) -> u64 {
    let articles: Vec<_> =
        (1..=ROWS).map(|sku| article(sku, "nail")).chain(last.iter().cloned()).collect();
    engine.target.stage(RunId::mint(run), &stock(), &rows(&stock().schema, &articles)).unwrap();
    articles.len() as u64
}

fn publish(engine: &mut Engine, run: u64, load: Load) {
    let count = stage(engine, run, &[]);
    let published = engine.target.publish(&publication(run, load, &[(&stock(), count)])).unwrap();
    assert_eq!(published, Published::Now { rows: count, removed: 0 });
}

fn number(place: &Place) -> String {
    place.sql("SELECT 'stock'::regclass::oid")
}

fn count(place: &Place) -> String {
    place.sql("SELECT count(*) || ' ' || sum(sku) FROM stock")
}

const WHOLE: &str = "12000 72006000";

#[test]
fn a_stage_becomes_the_table_and_nobody_can_tell() {
    let place = Place::new();
    place.sql(
        "DROP ROLE IF EXISTS reader; CREATE ROLE reader;
         CREATE TABLE stock (gone int, sku bigint CONSTRAINT \"the key\" PRIMARY KEY,
             name text COLLATE \"C\" DEFAULT 'x');
         ALTER TABLE stock DROP COLUMN gone; ALTER TABLE stock REPLICA IDENTITY FULL;
         ALTER TABLE stock ALTER name SET STORAGE EXTERNAL;
         GRANT SELECT, INSERT ON stock TO reader WITH GRANT OPTION; GRANT SELECT ON stock TO PUBLIC;
         COMMENT ON TABLE stock IS 'it''s ours'; COMMENT ON COLUMN stock.name IS 'said';
         COMMENT ON CONSTRAINT \"the key\" ON stock IS 'k'; COMMENT ON INDEX \"the key\" IS 'i';",
    );
    let mut engine = Engine::at(&place, &[stock()]);
    let seen = || {
        place.sql(
            "SELECT relacl, relreplident, relowner, obj_description(oid), col_description(oid, attnum), attstorage,
                 pg_get_constraintdef((SELECT oid FROM pg_constraint WHERE conrelid = c.oid AND obj_description(oid) = 'k')),
                 obj_description('\"the key\"'::regclass), pg_get_indexdef('\"the key\"'::regclass), attcollation,
                 (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = c.oid)
             FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attname = 'name' WHERE relname = 'stock'",
        )
    };
    let (before, oid) = (seen(), number(&place));
    publish(&mut engine, 1, Load::Replace);
    assert_ne!(number(&place), oid, "it was swapped");
    assert_eq!(seen(), before);
    assert_eq!(count(&place), WHOLE);
    assert_eq!(
        place.sql("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^stage_'"),
        "0"
    );
    // The engine writes on, and the index works.
    engine.upsert(&stock(), &[article(1, "screw")]).unwrap();
    assert_eq!(count(&place), WHOLE);
    assert_eq!(place.sql("SELECT name FROM stock WHERE sku = 1"), "screw");
}

#[test]
fn what_hangs_on_a_table_keeps_it_where_it_is() {
    for hanging in [
        "CREATE VIEW v AS SELECT * FROM stock",
        "CREATE TABLE child (sku bigint REFERENCES stock)",
        "CREATE INDEX ON stock (name)",
        "ALTER TABLE stock ADD CHECK (sku > 0)",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER t AFTER INSERT ON stock FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE PUBLICATION p FOR TABLE stock",
        "CREATE PUBLICATION p FOR ALL TABLES",
        "CREATE STATISTICS s ON sku, name FROM stock",
        "CREATE TABLE part () INHERITS (stock)",
        "ALTER TABLE stock ENABLE ROW LEVEL SECURITY",
        "CREATE TABLE holder (s stock)",
        "CREATE FUNCTION g(stock) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SEQUENCE q OWNED BY stock.name",
        "ALTER TABLE stock SET (fillfactor = 90)",
        "GRANT SELECT (name) ON stock TO PUBLIC",
        "CREATE RULE r AS ON DELETE TO stock DO ALSO NOTHING",
    ] {
        let place = Place::new();
        let mut engine = Engine::at(&place, &[stock()]);
        place.sql(hanging);
        let oid = number(&place);
        publish(&mut engine, 1, Load::Merge);
        assert_eq!((number(&place), count(&place)), (oid, WHOLE.into()), "{hanging}");
    }
}

/// Two cuts of one moment would show two moments.
#[test]
fn a_table_is_not_swapped_under_an_open_cut() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    let oid = number(&place);
    let count_staged = stage(&mut engine, 1, &[]);
    let mut cut = place.target().cut().unwrap();
    engine.target.publish(&publication(1, Load::Replace, &[(&stock(), count_staged)])).unwrap();
    assert_eq!((number(&place), count(&place)), (oid, WHOLE.into()));
    let scan = Scan::all("stock", stock().schema.as_ref().clone());
    assert_eq!(scan.collect(cut.as_mut()).unwrap().num_rows(), 0, "the cut is older");
}

#[test]
fn somebody_who_uses_the_table_is_not_waited_for() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    let oid = number(&place);
    let _reader = place.holding("BEGIN; SELECT FROM stock");
    publish(&mut engine, 1, Load::Replace);
    assert_eq!((number(&place), count(&place)), (oid, WHOLE.into()));
}

#[test]
fn a_key_that_stands_twice_is_refused_by_the_swap_too() {
    let place = Place::new();
    let mut engine = Engine::at(&place, &[stock()]);
    let (oid, staged) = (number(&place), stage(&mut engine, 1, &[article(7, "again")]));
    let refused =
        failure(engine.target.publish(&publication(1, Load::Append, &[(&stock(), staged)])));
    assert_eq!(refused.kind, Kind::Refused);
    assert!(refused.what.contains("stands twice"), "{refused}");
    assert_eq!(number(&place), oid);
    assert_eq!(engine.target.staged().unwrap(), [RunId::mint(1)]);
    assert_eq!(place.sql("SELECT count(*) FROM stock"), "0");
}
