//! Tables of a PostgreSQL target: what is created, used as it is, widened, and what is refused.

use crate::postgres_place::{Engine, Place, failure, publication, stock, stored};
use change::{Column, ColumnType, Key, RunId, TableSchema, Value};
use connect::memory::sample::{keys, rows, shape, target_table, text};
use connect::read::KeyRange;
use connect::target::{Load, Published, RowWork, TargetTable};
use connect::{Kind, State};
use std::sync::Arc;

/// A table with a bigint key and a column of each declared type.
fn declared(types: &[(&str, ColumnType)]) -> TargetTable {
    let id = Column::new("id", ColumnType::Int64, false);
    let columns = types
        .iter()
        .enumerate()
        .map(|(i, (name, ty))| Column::new(format!("c{i}"), *ty, true).declared(*name));
    let columns = std::iter::once(id).chain(columns).collect();
    target_table("kinds", &Arc::new(TableSchema::new(columns, &["id"]).unwrap()))
}

/// Types that move as text, and a value as PostgreSQL prints it.
const TEXTS: [(&str, &str); 22] = [
    ("numeric", "-1234567890123456789012345678901234567890.0123456789"),
    ("numeric(45,5)", "1234567890123456789012345678901234567890.12345"),
    ("jsonb", "{\"a\": [1, 2], \"b\": \"\\t\"}"),
    ("json", "{\"b\":1,  \"a\":2}"),
    ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("integer[]", "{1,NULL,3}"),
    ("text[]", "{a,\"b,c\",\"d\\\\e\",NULL}"),
    ("mood", "not so happy"),
    ("mood[]", "{sad,\"not so happy\"}"),
    ("positive", "7"),
    ("pair", "(1,\"two, three\")"),
    ("character(5)", "ab   "),
    ("character varying(9)", "  x  "),
    ("name", "n"),
    ("interval", "10 mons 3 days -04:05:06.7"),
    ("time without time zone", "24:00:00"),
    ("int4range", "[1,5)"),
    ("inet", "10.0.0.1/8"),
    ("bit varying(9)", "10101"),
    ("money", "$12.34"),
    ("point", "(1.5,-2)"),
    ("tsvector", "'a':1 'b':2"),
];

const DEFINITIONS: &str = "CREATE TYPE mood AS ENUM ('sad', 'not so happy');
    CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
    CREATE TYPE pair AS (a int, b text);";

/// Every way in: rows one by one, many by COPY, a stage, and over what is there.
fn goes_in_and_comes_back(engine: &mut Engine, table: &TargetTable, cells: &[Value]) {
    let row = |id: i64| [vec![Value::Int(id)], cells.to_vec()].concat();
    let all: Vec<_> = (0..300).map(row).collect();
    let batch = rows(&table.schema, &all);
    engine.write(table, &RowWork::Insert(batch.clone())).unwrap();
    engine.upsert(table, &all[..2]).unwrap();
    assert!(stored(engine.target.as_mut(), table) == all);
    for (run, load) in [(1, Load::Replace), (2, Load::Merge)] {
        engine.target.stage(RunId::mint(run), table, &batch).unwrap();
        let published = engine.target.publish(&publication(run, load, &[(table, 300)])).unwrap();
        assert_eq!(published, Published::Now { rows: 300, removed: 0 });
        assert!(stored(engine.target.as_mut(), table) == all);
    }
    let keys = keys(&table.schema, &[vec![Value::Int(0)]]);
    assert_eq!(engine.write(table, &RowWork::Delete(keys)).unwrap(), 1);
}

#[test]
fn declared_types_that_the_target_knows_are_declared_again() {
    let place = Place::new();
    place.sql(DEFINITIONS);
    let table = declared(&TEXTS.map(|(name, _)| (name, ColumnType::Text)));
    let mut engine = Engine::at(&place, std::slice::from_ref(&table));
    let there = engine.target.describe("kinds").unwrap();
    assert_eq!(there, *table.schema, "every column is declared as it was");
    goes_in_and_comes_back(&mut engine, &table, &TEXTS.map(|(_, value)| text(value)));
}

#[test]
fn declared_types_that_the_target_does_not_know_become_text() {
    let place = Place::new();
    let types = ["mood", "shop.mood[]", "VARCHAR2(20 BYTE)", "int; DROP TABLE x", "integer"];
    let table = declared(&types.map(|name| (name, ColumnType::Text)));
    let mut engine = Engine::at(&place, std::slice::from_ref(&table));
    let sql = "SELECT string_agg(format_type(atttypid, atttypmod), ' ') FROM pg_attribute
               WHERE attrelid = 'kinds'::regclass AND attnum > 1";
    assert_eq!(place.sql(sql), "text text text text text");
    goes_in_and_comes_back(&mut engine, &table, &["a", "{b}", "c", "d", "7"].map(text));
}

#[test]
fn types_with_fewer_digits_take_what_they_hold() {
    let place = Place::new();
    let table = declared(&[
        ("timestamp(3) without time zone", ColumnType::Timestamp),
        ("timestamp(0) with time zone", ColumnType::Instant),
        ("smallint", ColumnType::Int64),
        ("real", ColumnType::Float64),
        ("numeric(6,2)", ColumnType::Decimal { precision: 6, scale: 2 }),
    ]);
    let mut engine = Engine::at(&place, std::slice::from_ref(&table));
    let cells = [
        Value::Timestamp(1_709_164_800_123_000),
        Value::Instant(-1_000_000),
        Value::Int(-32_768),
        Value::float(0.5),
        Value::Decimal { unscaled: -999_999, scale: 2 },
    ];
    goes_in_and_comes_back(&mut engine, &table, &cells);
    // A flow that does not say so may bring more digits: those are refused, never rounded.
    let columns: Vec<Column> = table.schema.columns().to_vec();
    let plain = columns.into_iter().map(|column| Column { declared: None, ..column }).collect();
    let plain = target_table("kinds", &Arc::new(TableSchema::new(plain, &["id"]).unwrap()));
    engine.target.prepare(std::slice::from_ref(&plain)).unwrap();
    let more = [
        Value::Timestamp(123_400),
        Value::Instant(-1),
        Value::Int(32_768),
        Value::float(0.1),
        Value::Decimal { unscaled: 1, scale: 2 },
    ];
    for (place, value) in more.into_iter().enumerate().take(4) {
        let mut row = [vec![Value::Int(1)], cells.to_vec()].concat();
        row[place + 1] = value;
        let refused = failure(engine.upsert(&plain, &[row.clone()]));
        assert_eq!(refused.kind, Kind::Refused, "{}", row[place + 1]);
        let batch = rows(&plain.schema, &[row]);
        assert_eq!(
            failure(engine.target.stage(RunId::mint(9), &plain, &batch)).kind,
            Kind::Refused
        );
    }
}

#[test]
fn names_are_taken_as_they_are() {
    let long = "ä".repeat(31) + "x";
    for (name, key, column) in [
        ("order", "select", "from"),
        ("\"it's \"\"quoted\"\"\"", "a\"b", "c'd"),
        ("with space", " ", "[x]"),
        (long.as_str(), "k;--", "`v`"),
        ("Ünïcode", "NULL", "?1"),
        ("\"Sales 2\".\"a.b\"", "$1", "\\"),
    ] {
        let place = Place::new();
        let schema = shape(&[(key, ColumnType::Text), (column, ColumnType::Int64)], &[key]);
        let table = target_table(name, &schema);
        let mut engine = Engine::at(&place, std::slice::from_ref(&table));
        let row = |k: &str, v| vec![text(k), Value::Int(v)];
        let three = rows(&schema, &[row("a", 1), row("b", 2), row("c", 3)]);
        engine.write(&table, &RowWork::Insert(three.clone())).unwrap();
        engine.upsert(&table, &[row("b", 5)]).unwrap();
        engine.write(&table, &RowWork::Delete(keys(&schema, &[vec![text("a")]]))).unwrap();
        let mut transaction = engine.begin().unwrap();
        let range = KeyRange { after: Some(Key(vec![text("b")])), upto: None };
        assert_eq!(transaction.retain(&table, &range, &keys(&schema, &[])).unwrap(), 1);
        transaction.commit(&[]).unwrap();
        assert_eq!(stored(engine.target.as_mut(), &table), [row("b", 5)], "{name}");
        engine.target.stage(RunId::mint(1), &table, &three).unwrap();
        let published =
            engine.target.publish(&publication(1, Load::Replace, &[(&table, 3)])).unwrap();
        assert_eq!(published, Published::Now { rows: 3, removed: 0 });
        assert_eq!(engine.target.tables().unwrap().len(), 1);
        assert_eq!(stored(engine.target.as_mut(), &table).len(), 3);
    }
    let long = "x".repeat(64);
    let table = target_table("t", &shape(&[(&long, ColumnType::Int64)], &[&long]));
    let blocked = failure(Place::new().target().prepare(&[table]));
    assert_eq!((blocked.kind, blocked.state), (Kind::Invalid, Some(State::SchemaBlocked)));
}

#[test]
fn tables_that_are_there_are_used_when_nothing_is_lost() {
    let place = Place::new();
    place.sql(
        "CREATE TABLE stock (note text DEFAULT 'none', sku int NOT NULL GENERATED ALWAYS AS IDENTITY,
             twice int GENERATED ALWAYS AS (sku * 2) STORED, name varchar(9), price numeric,
             odd integer NOT NULL DEFAULT 3, code char(3));
         CREATE UNIQUE INDEX ON stock (sku)",
    );
    let columns = [
        ("sku", ColumnType::Int64),
        ("name", ColumnType::Text),
        ("price", ColumnType::Decimal { precision: 12, scale: 4 }),
        ("code", ColumnType::Text),
        ("added", ColumnType::Bool),
    ];
    let table = target_table("stock", &shape(&columns, &["sku"]));
    let mut engine = Engine::at(&place, std::slice::from_ref(&table));
    let row = |sku, code: &str| {
        let price = Value::Decimal { unscaled: 25_500, scale: 4 };
        vec![Value::Int(sku), text("nail"), price, text(code), Value::Bool(true)]
    };
    for _ in 0..2 {
        engine.upsert(&table, &[row(1, "abc")]).unwrap();
    }
    for padded in ["ab", "abcd", "abc "] {
        assert_eq!(failure(engine.upsert(&table, &[row(1, padded)])).kind, Kind::Refused);
    }
    let many: Vec<_> = (2..300).map(|sku| row(sku, "abc")).collect();
    engine.write(&table, &RowWork::Insert(rows(&table.schema, &many))).unwrap();
    engine.target.stage(RunId::mint(1), &table, &rows(&table.schema, &many)).unwrap();
    engine.target.publish(&publication(1, Load::Replace, &[(&table, 298)])).unwrap();
    assert!(stored(engine.target.as_mut(), &table) == many);
    let kept = place.sql("SELECT note, odd, twice, price FROM stock WHERE sku = 7");
    assert_eq!(kept, "none|3|14|2.5500");
}

#[test]
fn tables_that_do_not_fit_are_blocked() {
    let wanted = stock();
    for declared in [
        "sku bigint PRIMARY KEY, name integer",
        "sku real PRIMARY KEY, name text",
        "sku text PRIMARY KEY, name text",
        "sku bigint, name text PRIMARY KEY",
        "sku bigint NOT NULL, name text",
        "sku bigint UNIQUE, name text",
        "sku bigint PRIMARY KEY DEFERRABLE, name text",
        "sku bigint PRIMARY KEY, name text GENERATED ALWAYS AS ('x') STORED",
        "sku bigint PRIMARY KEY, name text, other text NOT NULL",
        "sku bigint PRIMARY KEY, name jsonb",
        "sku bigint PRIMARY KEY, name text[]",
    ] {
        let place = Place::new();
        place.sql(&format!("CREATE TABLE stock ({declared})"));
        let blocked = failure(place.target().prepare(std::slice::from_ref(&wanted)));
        assert_eq!(blocked.kind, Kind::Invalid, "{declared}");
        assert_eq!(blocked.state, Some(State::SchemaBlocked), "{declared}");
        assert_eq!(place.sql("SELECT count(*) FROM pg_namespace WHERE nspname = '_seamount'"), "0");
    }
    let place = Place::new();
    place.sql(
        "CREATE COLLATION blunt (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE words (word text COLLATE blunt PRIMARY KEY);
         CREATE TABLE counted (sku bigint PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY);",
    );
    let table = |name: &str, columns: &[(&str, ColumnType)], key| {
        target_table(name, &shape(columns, &[key]))
    };
    for table in [
        table("words", &[("word", ColumnType::Text)], "word"),
        table("counted", &[("sku", ColumnType::Int64), ("n", ColumnType::Int64)], "sku"),
        table("any", &[("sku", ColumnType::Int64), ("n", ColumnType::Any)], "sku"),
    ] {
        let blocked = failure(place.target().prepare(&[table]));
        assert_eq!(blocked.state, Some(State::SchemaBlocked), "{blocked}");
    }
    for taken in ["_seamount.x", "pg_catalog.x"] {
        let table = TargetTable { name: taken.into(), ..stock() };
        assert_eq!(failure(place.target().prepare(&[table])).kind, Kind::Invalid);
    }
}

#[test]
fn a_failed_prepare_leaves_nothing() {
    let place = Place::new();
    place.sql("CREATE TABLE b (sku text PRIMARY KEY)");
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
        engine.upsert(&table, &pairs).unwrap();
    }
    assert_eq!(stored(engine.target.as_mut(), &table), pairs);
    for (run, count) in [(1, 2), (2, 3)] {
        let again: Vec<_> = pairs.iter().cycle().take(count).cloned().collect();
        engine.target.stage(RunId::mint(run), &table, &rows(&schema, &again)).unwrap();
        let published =
            engine.target.publish(&publication(run, Load::Merge, &[(&table, count as u64)]));
        assert_eq!(published.is_ok(), count == 2, "a key that stands twice is refused");
    }
}
