//! Cuts of PostgreSQL: every type as what holds it exactly, keys in their order, one moment.

use crate::postgres_site::Database;
use change::{ColumnType, Key, TableSchema, Value};
use connect::read::{KeyRange, Readable, Scan};
use connect::{Kind, Result};
use seamount_connectors::postgres::PgSite;

/// A declared type, a value as PostgreSQL reads it, and what moves.
type Sample = (&'static str, &'static str, Value);

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn samples() -> Vec<Sample> {
    let decimal = |unscaled, scale| Value::Decimal { unscaled, scale };
    vec![
        ("smallint", "-32768", Value::Int(-32768)),
        ("integer", "2147483647", Value::Int(2_147_483_647)),
        ("bigint", "-9223372036854775808", Value::Int(i64::MIN)),
        ("oid", "4294967295", Value::Int(4_294_967_295)),
        ("boolean", "true", Value::Bool(true)),
        ("real", "0.1", Value::float(f64::from(0.1f32))),
        ("double precision", "0.1", Value::float(0.1)),
        ("double precision", "-Infinity", Value::float(f64::NEG_INFINITY)),
        ("numeric(12,4)", "-12345678.9012", decimal(-123_456_789_012, 4)),
        ("numeric(38,38)", "0.00000000000000000000000000000000000001", decimal(1, 38)),
        ("numeric(38,0)", "99999999999999999999999999999999999999", decimal(10i128.pow(38) - 1, 0)),
        (
            "numeric",
            "1234567890123456789012345678901234567890.12345",
            text("1234567890123456789012345678901234567890.12345"),
        ),
        ("numeric", "NaN", text("NaN")),
        ("numeric", "-Infinity", text("-Infinity")),
        ("numeric(50,10)", "7", text("7.0000000000")),
        ("text", "a\\b\tc\nd ' \" é 日本", text("a\\b\tc\nd ' \" é 日本")),
        ("character varying(9)", "  x  ", text("  x  ")),
        ("character(5)", "ab", text("ab   ")),
        ("name", "n", text("n")),
        ("bytea", "\\x00ff27", Value::Bytes(vec![0, 255, 39])),
        ("date", "0001-01-01 BC", Value::Date(-719_528)),
        ("date", "2024-02-29", Value::Date(19_782)),
        ("timestamp", "1969-12-31 23:59:59.999999", Value::Timestamp(-1)),
        ("timestamp(3)", "2000-01-01 00:00:00.1234", Value::Timestamp(946_684_800_123_000)),
        ("timestamptz", "2000-01-01 02:00:00+02", Value::Instant(946_684_800_000_000)),
        ("time", "24:00:00", text("24:00:00")),
        ("timetz", "01:02:03.4+05:30", text("01:02:03.4+05:30")),
        ("interval", "1 year -2 months 3 days -04:05:06.7", text("10 mons 3 days -04:05:06.7")),
        ("json", "{\"b\": 1,  \"a\":2}", text("{\"b\": 1,  \"a\":2}")),
        ("jsonb", "{\"b\": 1,  \"a\":2}", text("{\"a\": 2, \"b\": 1}")),
        (
            "uuid",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("inet", "10.0.0.1/8", text("10.0.0.1/8")),
        ("cidr", "10.0.0.0/8", text("10.0.0.0/8")),
        ("macaddr", "08:00:2b:01:02:03", text("08:00:2b:01:02:03")),
        ("bit(3)", "101", text("101")),
        ("bit varying", "10111", text("10111")),
        ("int4range", "[1,5)", text("[1,5)")),
        ("tstzrange", "[2000-01-01 00:00+00,)", text("[\"2000-01-01 00:00:00+00\",)")),
        ("integer[]", "{{1,2},{3,NULL}}", text("{{1,2},{3,NULL}}")),
        ("text[]", "{\"a,b\",\"c\\\"d\"}", text("{\"a,b\",\"c\\\"d\"}")),
        ("double precision[]", "{0.1,NaN}", text("{0.1,NaN}")),
        ("money", "-1234.50", text("-$1,234.50")),
        ("point", "(1.5,-2)", text("(1.5,-2)")),
        ("xml", "<a>b</a>", text("<a>b</a>")),
        ("tsvector", "a:1 b:2", text("'a':1 'b':2")),
        ("mood", "so, so", text("so, so")),
        ("sku", "K7", text("K7")),
        ("size", "(3,\"x y\")", text("(3,\"x y\")")),
    ]
}

/// A table with one column for each sample, and one row of them and one of nulls.
pub(crate) fn table_of_samples(database: &Database) {
    database.sql(
        "CREATE TYPE mood AS ENUM ('so, so', 'well'); CREATE DOMAIN sku AS text CHECK (value LIKE 'K%'); \
         CREATE TYPE size AS (height int, label text)",
    );
    let columns: Vec<String> =
        samples().iter().enumerate().map(|(i, (ty, ..))| format!("c{i} {ty}")).collect();
    database.sql(&format!("CREATE TABLE all_types (id int PRIMARY KEY, {})", columns.join(", ")));
    let values: Vec<String> = samples()
        .iter()
        .map(|(ty, value, _)| {
            format!("E'{}'::{ty}", value.replace('\\', "\\\\").replace('\'', "''"))
        })
        .collect();
    database.sql(&format!("INSERT INTO all_types VALUES (1, {})", values.join(", ")));
    database.sql("INSERT INTO all_types (id) VALUES (2)");
}

fn rows(site: &mut PgSite, scan: &Scan) -> Result<Vec<Vec<Value>>> {
    let batch = scan.collect(site.cut()?.as_mut())?;
    Ok((0..batch.num_rows()).map(|row| Value::row(&batch, &scan.schema, row)).collect())
}

#[test]
fn postgres_types_come_as_what_holds_them_exactly() {
    let database = Database::new();
    table_of_samples(&database);
    let mut site = PgSite::open(&database.settings()).unwrap();
    let schema = site.describe("all_types").unwrap();
    let rows = rows(&mut site, &Scan::all("all_types", schema.clone())).unwrap();
    for (i, (ty, _, value)) in samples().into_iter().enumerate() {
        assert_eq!(rows[0][i + 1], value, "{ty}");
        assert_eq!(rows[1][i + 1], Value::Null, "{ty}");
    }
    let declared = |name: &str| schema.columns()[schema.index_of(name).unwrap()].declared.clone();
    assert_eq!(declared("c0").as_deref(), Some("smallint"));
    assert_eq!(declared("c2"), None);
    assert_eq!(declared("c23").as_deref(), Some("timestamp(3) without time zone"));
}

#[test]
fn postgres_values_without_an_exact_form_are_refused_and_the_option_carries_them() {
    let database = Database::new();
    for (ty, value, option) in [
        ("timestamptz", "infinity", "timestamp"),
        ("timestamp", "294276-12-31 23:59:59.999999", "timestamp"),
        ("date", "-infinity", "date"),
        ("numeric(9,2)", "NaN", "numeric"),
    ] {
        database
            .sql(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, v {ty})"));
        database.sql(&format!("INSERT INTO t VALUES (1, '{value}')"));
        let read = |settings| {
            let mut site = PgSite::open(&settings)?;
            let schema = site.describe("t")?;
            rows(&mut site, &Scan::all("t", schema))
        };
        let error = read(database.settings()).unwrap_err();
        assert_eq!(error.kind, Kind::Refused, "{ty}");
        assert!(error.fix.unwrap().contains(&format!("as_text = \"{option}\"")), "{ty}");
        let carried = read(database.settings_with(&[("as_text", option)])).unwrap();
        assert!(
            matches!(&carried[0][1], Value::Text(text) if text.starts_with(&value[..3])),
            "{carried:?}"
        );
    }
}

#[test]
fn postgres_keys_come_in_the_order_of_their_bytes() {
    let database = Database::new();
    database.sql(
        "CREATE TABLE t (a text COLLATE \"en-x-icu\", b uuid, n numeric, PRIMARY KEY (a, b, n))",
    );
    database.sql(
        "INSERT INTO t SELECT chr(x), md5(x::text)::uuid, x / 7.0 FROM unnest(ARRAY[65, 97, 98, 229, 90, 127774]) x",
    );
    let mut site = PgSite::open(&database.settings()).unwrap();
    let schema = site.describe("t").unwrap();
    let all = rows(&mut site, &Scan::all("t", schema.clone())).unwrap();
    let first: Vec<&Value> = all.iter().map(|row| &row[0]).collect();
    assert_eq!(
        first,
        [&text("A"), &text("Z"), &text("a"), &text("b"), &text("å"), &text("🌞")].map(|v| v)
    );
    let after = Key(all[2].clone());
    let range = KeyRange { after: Some(after), upto: Some(Key(all[4].clone())) };
    let scan = Scan { range, ..Scan::all("t", schema) };
    assert_eq!(rows(&mut site, &scan).unwrap(), all[3..5]);
}

/// What a cut gives back is taken by the next one; it keeps no snapshot, and no table from being moved.
#[test]
fn a_cut_that_is_let_go_gives_its_connection_back_and_holds_nothing() {
    let database = Database::new();
    database.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')");
    let mut site = PgSite::open(&database.settings()).unwrap();
    let scan = Scan::all("t", site.describe("t").unwrap());
    let ours = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'seamount'";
    let logins = || database.sql(&format!("SELECT string_agg(pid::text, ',' ORDER BY pid) {ours}"));

    let mut cut = site.cut().unwrap();
    assert_eq!(scan.collect(cut.as_mut()).unwrap().num_rows(), 1);
    let before = logins();
    cut.let_go();
    assert_eq!(scan.collect(cut.as_mut()).unwrap_err().kind, Kind::Internal);
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(database.sql(held), "0");
    assert_eq!(database.sql(&format!("SELECT count(*) {ours} AND backend_xmin IS NOT NULL")), "0");

    database.sql("INSERT INTO t VALUES (2, 'b')");
    let mut next = site.cut().unwrap();
    assert_eq!(logins(), before, "nobody logged in anew");
    assert_eq!(database.sql(held), "1");
    assert_eq!(scan.collect(next.as_mut()).unwrap().num_rows(), 2, "a cut of now");

    // A connection that was ended while it waited is not taken.
    next.let_go();
    database.sql(&format!("SELECT pg_terminate_backend(pid) {ours}"));
    let mut last = site.cut().unwrap();
    assert_eq!(scan.collect(last.as_mut()).unwrap().num_rows(), 2);
}

#[test]
fn postgres_names_are_taken_as_they_are() {
    let database = Database::new();
    let long = "x".repeat(63);
    database.sql(&format!(
        "CREATE SCHEMA \"Sales.EU\"; CREATE TABLE \"Sales.EU\".\"Order \"\"Lines\"\"\" (\"Id\" int PRIMARY KEY, \"{long}\" int, \
         g int GENERATED ALWAYS AS (\"Id\" * 2) STORED)"
    ));
    database.sql("INSERT INTO \"Sales.EU\".\"Order \"\"Lines\"\"\" VALUES (1, 2)");
    let mut site = PgSite::open(&database.settings()).unwrap();
    let names = site.tables().unwrap();
    assert_eq!(names, ["\"Sales.EU\".\"Order \"\"Lines\"\"\""]);
    let schema: TableSchema = site.describe(&names[0]).unwrap();
    let columns: Vec<(&str, ColumnType)> =
        schema.columns().iter().map(|c| (c.name.as_str(), c.ty)).collect();
    assert_eq!(
        columns,
        [("Id", ColumnType::Int64), (long.as_str(), ColumnType::Int64)],
        "generated columns stay out"
    );
    assert_eq!(
        rows(&mut site, &Scan::all(&names[0], schema)).unwrap(),
        [[Value::Int(1), Value::Int(2)]]
    );
}

#[test]
fn postgres_that_cannot_be_reached_says_so_without_a_secret() {
    let mut settings = Database::new().settings();
    settings.url = "postgres://me:tr0ub4dor@127.0.0.1:1/x".into();
    let error = PgSite::open(&settings).err().unwrap();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(!format!("{error:?}").contains("tr0ub4dor"), "{error:?}");
    settings.url = "postgres://me@db.example/x?sslmode=prefer".into();
    assert_eq!(PgSite::open(&settings).err().unwrap().kind, Kind::Invalid);
}
