//! Rows that pass from a table to its like unread: every value as it was, and no row where the two are not alike.

use crate::postgres_place::{Engine, Place, publication, settings};
use change::{RunId, TableSchema};
use connect::component::Connector;
use connect::read::{Cut, Readable, Scan};
use connect::target::{Load, Published, TargetTable};
use connect::{EncodedRows, Encoding, Kind, Result};
use seamount_connectors::postgres::Postgres;
use servers::Cluster;
use std::sync::Arc;

/// Values that the neutral types have no place for among them.
const ALL: [(&str, &str); 33] = [
    ("smallint", "-32768"),
    ("integer", "2147483647"),
    ("bigint", "-9223372036854775808"),
    ("boolean", "true"),
    ("real", "0.1"),
    ("double precision", "NaN"),
    ("double precision", "-0"),
    ("numeric(12,4)", "-12345678.9012"),
    ("numeric(12,4)", "NaN"),
    ("numeric", "1234567890123456789012345678901234567890.1234500"),
    ("numeric", "-Infinity"),
    ("text", "a\tb é 日本"),
    ("character varying(9)", "  x  "),
    ("character(5)", "ab"),
    ("name", "n"),
    ("json", "{\"b\": 1,  \"b\":2}"),
    ("jsonb", "{\"b\": 1.50,  \"a\":2}"),
    ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
    ("bytea", "\\x00ff27"),
    ("date", "infinity"),
    ("date", "0001-01-01 BC"),
    ("time", "24:00:00"),
    ("timetz", "01:02:03.4+05:30"),
    ("timestamp", "294276-12-31 23:59:59.999999"),
    ("timestamp(3)", "2000-01-01 00:00:00.1234"),
    ("timestamptz", "-infinity"),
    ("interval", "1 year -2 months 3 days -04:05:06.7"),
    ("interval day to second(3)", "3 days 04:05:06.789"),
    ("inet", "10.0.0.1/8"),
    ("cidr", "2001:db8::/32"),
    ("bit(3)", "101"),
    ("bit varying(9)", "10111"),
    ("text", ""),
];

fn place_with(columns: &[&str]) -> Place {
    let place = Place::new();
    let columns: Vec<String> =
        columns.iter().enumerate().map(|(i, declared)| format!(", c{i} {declared}")).collect();
    place.sql(&format!("CREATE TABLE t (id int PRIMARY KEY{})", columns.concat()));
    place
}

fn source(place: &Place) -> Box<dyn Readable> {
    Postgres::new("postgres").readable(&settings(&Cluster::shared().url(&place.database))).unwrap()
}

fn schema(place: &Place) -> TableSchema {
    source(place).describe("t").unwrap()
}

/// Reads the table in an encoding.
fn unread(place: &Place, encoding: &Encoding) -> Result<Option<Vec<EncodedRows>>> {
    let mut passed = Vec::new();
    let mut cut: Box<dyn Cut> = source(place).cut()?;
    let scan = Scan::all("t", schema(place));
    let read = cut.read_encoded(&scan, encoding, &mut |rows| {
        passed.push(rows);
        Ok(())
    })?;
    assert_eq!(read.unwrap_or(0), passed.iter().map(|rows| rows.rows).sum::<u64>());
    Ok(read.map(|_| passed))
}

fn engine(shop: &Place, central: &Place) -> (Engine, TargetTable) {
    let table = TargetTable { name: "t".into(), schema: Arc::new(schema(shop)), owner: None };
    (Engine::at(central, std::slice::from_ref(&table)), table)
}

fn text(place: &Place) -> String {
    place.sql("SELECT t::text FROM t ORDER BY id")
}

#[test]
fn postgres_rows_pass_unread_with_every_value_as_it_was() {
    let declared = ALL.map(|(declared, _)| declared);
    let (shop, central) = (place_with(&declared), place_with(&declared));
    let values = ALL.map(|(_, value)| format!(", '{value}'")).concat();
    let nulls = ALL.map(|_| ", NULL").concat();
    shop.sql(&format!("INSERT INTO t VALUES (1{values}), (2{nulls})"));
    shop.sql("INSERT INTO t (id, c11) SELECT i, repeat(md5(i::text), 200) FROM generate_series(3, 900) i");
    let (mut engine, table) = engine(&shop, &central);
    let run = RunId::mint(1);
    let encoding = engine.target.stage_encoding(run, &table).unwrap().unwrap();
    let passed = unread(&shop, &encoding).unwrap().unwrap();
    assert!(passed.len() > 3, "rows come in pieces of bounded size");
    for rows in &passed {
        engine.target.stage_encoded(run, &table, rows).unwrap();
    }
    let publication = publication(1, Load::Replace, &[(&table, 900)]);
    let published = engine.target.publish(&publication).unwrap();
    assert_eq!(published, Published::Now { rows: 900, removed: 0 });
    assert_eq!(text(&shop), text(&central));
}

#[test]
fn postgres_rows_of_a_table_that_is_declared_otherwise_do_not_pass_unread() {
    for (here, there) in [
        ("integer", "bigint"),
        ("numeric(12,4)", "numeric(12,2)"),
        ("character varying(9)", "text"),
        ("timestamp(3)", "timestamp"),
        ("timestamp", "timestamptz"),
    ] {
        let (shop, central) = (place_with(&[here]), place_with(&[there]));
        shop.sql("INSERT INTO t VALUES (1)");
        let alike = engine(&central, &central);
        let (mut engine, table) = alike;
        let encoding = engine.target.stage_encoding(RunId::mint(1), &table).unwrap().unwrap();
        assert!(unread(&shop, &encoding).unwrap().is_none(), "{here} to {there}");
    }
    let renamed = Encoding {
        format: "postgres.copy-binary.1",
        columns: vec![("id".into(), "integer".into()), ("c1".into(), "integer".into())],
    };
    assert!(unread(&place_with(&["integer"]), &renamed).unwrap().is_none(), "other names");
}

/// What an enum's or an array's bytes are depends on the database that wrote them.
#[test]
fn postgres_types_of_one_database_do_not_pass_unread() {
    for declared in ["mood", "code", "integer[]", "money", "regclass", "xml"] {
        let place = Place::new();
        place.sql("CREATE TYPE mood AS ENUM ('well'); CREATE DOMAIN code AS text");
        place.sql(&format!("CREATE TABLE t (id int PRIMARY KEY, c {declared})"));
        let (mut engine, table) = engine(&place, &place);
        assert_eq!(
            engine.target.stage_encoding(RunId::mint(1), &table).unwrap(),
            None,
            "{declared}"
        );
    }
}

#[test]
fn postgres_rows_without_a_whole_key_do_not_pass_unread() {
    let shop = Place::new();
    shop.sql(
        "CREATE TABLE t (a int, b int); \
         INSERT INTO t SELECT i, i FROM generate_series(1, 9) i; INSERT INTO t VALUES (10, NULL)",
    );
    let columns = ["a", "b"].map(|name| (name.to_string(), "integer".to_string()));
    let encoding = Encoding { format: "postgres.copy-binary.1", columns: columns.to_vec() };
    let keyed = schema(&shop).with_key(&["b", "a"]).unwrap();
    let mut cut = source(&shop).cut().unwrap();
    let mut passed = 0;
    let error = cut
        .read_encoded(&Scan::all("t", keyed), &encoding, &mut |rows| {
            passed += rows.rows;
            Ok(())
        })
        .unwrap_err();
    assert_eq!((error.kind, passed), (Kind::Refused, 0));
    assert_eq!(error.found.as_deref(), Some("column b"));
}
