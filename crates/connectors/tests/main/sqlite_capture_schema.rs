//! Tables that change while they are captured, tables that cannot be captured, and values that do not fit.

use crate::sqlite_capture_identity::{SHOP, behind, capture, drain};
use crate::sqlite_site::{Place, failure};
use change::{GroupBody, Op, Value};
use connect::log::Bounds;
use connect::source::{ReadRequest, Resume, Source};
use connect::{Error, Kind, State};
use seamount_connectors::sqlite::SqliteSite;

fn told(groups: &[GroupBody]) -> Vec<(Op, Vec<Value>)> {
    let mut told = Vec::new();
    for group in groups {
        for (batch, row) in group.in_order() {
            let batch = &group.batches[batch];
            let op = batch.ops()[row];
            let image = if op.has_new() { batch.new_images() } else { batch.old() };
            told.push((op, Value::row(image, batch.schema(), row)));
        }
    }
    told
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

#[test]
fn a_new_column_is_followed_and_rows_written_meanwhile_are_read_again() {
    let place = Place::new();
    let application = place.application(SHOP);
    let mut reader = capture(&place, &Resume::Fresh).unwrap();
    application.execute_batch("INSERT INTO sales VALUES (1, 10, 'a')").unwrap();
    assert_eq!(drain(reader.as_mut()).len(), 1);
    application
        .execute_batch(
            "INSERT INTO sales VALUES (2, 20, 'b');
             ALTER TABLE sales ADD COLUMN till TEXT;
             INSERT INTO sales VALUES (3, 30, 'c', 'one');
             UPDATE sales SET till = 'two' WHERE id = 1;
             DELETE FROM sales WHERE id = 2;",
        )
        .unwrap();
    let groups = drain(reader.as_mut());
    application.execute_batch("INSERT INTO sales VALUES (4, 40, 'd', 'six')").unwrap();
    let later = told(&drain(reader.as_mut()));
    let wide = |id: i64, sku: i64, note: &str, till: &str| {
        vec![Value::Int(id), Value::Int(sku), text(note), text(till)]
    };
    let told = told(&groups);
    let ops: Vec<Op> = told.iter().map(|(op, _)| *op).collect();
    assert_eq!(ops, [Op::Insert, Op::Insert, Op::Update, Op::Delete, Op::Read, Op::Read]);
    assert_eq!(told[1].1.len(), 3, "a change has the columns of its time");
    assert_eq!(told[4].1, wide(1, 10, "a", "two"));
    assert_eq!(told[5].1, wide(3, 30, "c", "one"));
    assert_eq!(later, [(Op::Insert, wide(4, 40, "d", "six"))]);
}

fn gap_of(reader: &mut dyn connect::ChangeReader) -> Error {
    let error = failure(reader.poll(Bounds::BATCH));
    assert!(error.fix.as_ref().is_some_and(|fix| fix.contains("_seamount_gap")), "{error:?}");
    error
}

#[test]
fn a_table_that_is_rebuilt_stops_the_lane_until_the_operator_decides() {
    let place = Place::new();
    let application = place.application(SHOP);
    let mut reader = capture(&place, &Resume::Fresh).unwrap();
    application.execute_batch("INSERT INTO sales VALUES (1, 10, 'a')").unwrap();
    let upto = drain(reader.as_mut()).pop().unwrap().upto;
    application
        .execute_batch(
            "BEGIN; CREATE TABLE fresh (id INTEGER PRIMARY KEY, sku INT, note TEXT);
             INSERT INTO fresh SELECT * FROM sales; DROP TABLE sales;
             ALTER TABLE fresh RENAME TO sales; COMMIT;
             INSERT INTO sales VALUES (2, 20, 'unseen')",
        )
        .unwrap();
    assert_eq!(gap_of(reader.as_mut()).state, Some(State::PositionLost));
    assert_eq!(gap_of(reader.as_mut()).state, Some(State::PositionLost), "it is not forgotten");
    let resume = behind(reader.as_ref(), &upto);
    let error = failure(capture(&place, &resume));
    assert_eq!(error.state, Some(State::PositionLost), "not by a restart either");
    application.execute_batch("INSERT INTO sales VALUES (3, 30, 'seen')").unwrap();
    application.execute_batch("DELETE FROM _seamount_gap WHERE name = 'sales'").unwrap();
    let told = told(&drain(capture(&place, &resume).unwrap().as_mut()));
    assert_eq!(told, [(Op::Insert, vec![Value::Int(3), Value::Int(30), text("seen")])]);
}

#[test]
fn triggers_that_were_dropped_are_missed() {
    let place = Place::new();
    let application = place.application(SHOP);
    let mut reader = capture(&place, &Resume::Fresh).unwrap();
    let name: String = application
        .query_row(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '%AFTER DELETE%'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    application.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    assert_eq!(gap_of(reader.as_mut()).state, Some(State::PositionLost));
    drop(reader);
    let mut anew = capture(&place, &Resume::Fresh).unwrap();
    application.execute_batch("INSERT INTO sales VALUES (1, 1, 'a'); DELETE FROM sales").unwrap();
    assert_eq!(told(&drain(anew.as_mut())).len(), 2, "a fresh capture has no past to miss");
}

#[test]
fn columns_that_go_or_come_filled_block_the_schema() {
    for sql in [
        "ALTER TABLE sales RENAME COLUMN note TO remark",
        "ALTER TABLE sales ADD COLUMN till TEXT DEFAULT 'one'",
        "ALTER TABLE sales RENAME TO sold",
        "DROP TABLE sales",
    ] {
        let place = Place::new();
        let application = place.application(SHOP);
        let mut reader = capture(&place, &Resume::Fresh).unwrap();
        application.execute_batch(sql).unwrap();
        let error = failure(reader.poll(Bounds::BATCH));
        assert_eq!(
            (error.kind, error.state),
            (Kind::Invalid, Some(State::SchemaBlocked)),
            "{sql}: {error}"
        );
        assert!(error.fix.is_some());
    }
}

#[test]
fn triggers_of_the_application_that_come_later_do_not_disturb_the_order() {
    let place = Place::new();
    let application = place.application(SHOP);
    let mut reader = capture(&place, &Resume::Fresh).unwrap();
    let stamp = "CREATE TRIGGER stamp AFTER INSERT ON sales WHEN NEW.note <> 'gone'
        BEGIN UPDATE sales SET note = note || '!' WHERE id = NEW.id; END;
        CREATE TRIGGER away AFTER INSERT ON sales WHEN NEW.note = 'gone'
        BEGIN DELETE FROM sales WHERE id = NEW.id; END;";
    application.execute_batch(stamp).unwrap();
    application.execute_batch("INSERT INTO sales VALUES (1, 1, 'early'), (2, 2, 'gone')").unwrap();
    let early = told(&drain(reader.as_mut()));
    assert_eq!(
        early.last().unwrap(),
        &(Op::Read, vec![Value::Int(1), Value::Int(1), text("early!")])
    );
    let ghost = vec![Value::Int(2), Value::Null, Value::Null];
    assert!(early.contains(&(Op::Delete, ghost)), "{early:?}");
    application.execute_batch("INSERT INTO sales VALUES (3, 3, 'late')").unwrap();
    let late: Vec<Op> = told(&drain(reader.as_mut())).into_iter().map(|(op, _)| op).collect();
    assert_eq!(late, [Op::Insert, Op::Update]);
}

#[test]
fn what_cannot_be_captured_is_refused_with_a_fix_and_nothing_is_installed() {
    for (sql, table) in [
        ("CREATE TABLE t (a INT, b TEXT)", "t"),
        ("CREATE TABLE u (a INTEGER PRIMARY KEY); CREATE VIEW t AS SELECT * FROM u", "t"),
        ("CREATE TABLE t (a TEXT PRIMARY KEY, b); INSERT INTO t VALUES (NULL, 1)", "t"),
        ("CREATE TABLE t (a INTEGER PRIMARY KEY, b REFERENCES t (a) ON UPDATE CASCADE)", "t"),
        ("CREATE VIRTUAL TABLE t USING fts5(a)", "t"),
        ("CREATE TABLE t (a INTEGER PRIMARY KEY)", "_seamount_progress"),
        ("CREATE TABLE t (a INTEGER PRIMARY KEY)", "nowhere"),
    ] {
        let place = Place::new();
        let application = place.application(sql);
        let mut site = SqliteSite::open(&place.settings()).unwrap();
        let error = failure(site.capture(&[table.into()], &Resume::Fresh));
        assert_eq!(error.kind, Kind::Invalid, "{sql}: {error}");
        assert!(error.fix.is_some() || table != "t", "{sql}");
        let ours: i64 = application
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE name GLOB '_seamount*'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(ours, 0, "{sql}");
    }
}

#[test]
fn a_value_that_does_not_fit_stops_the_reader_where_it_is_until_it_is_mended() {
    let place = Place::new();
    let application = place.application(SHOP);
    let mut reader = capture(&place, &Resume::Fresh).unwrap();
    application.execute_batch("INSERT INTO sales VALUES (1, 'secret', 'a')").unwrap();
    for _ in 0..2 {
        let error = failure(reader.poll(Bounds::BATCH));
        assert_eq!(error.kind, Kind::Refused);
        let found = error.found.as_deref().unwrap();
        assert!(
            found.contains("SELECT * FROM \"sales\" WHERE typeof(\"sku\") = 'text'"),
            "{found}"
        );
        assert!(!format!("{error:?}").contains("secret"), "no values in messages");
    }
    let fix = failure(reader.poll(Bounds::BATCH)).fix.unwrap();
    application.execute_batch("UPDATE sales SET sku = 5 WHERE typeof(sku) = 'text'").unwrap();
    application.execute_batch(fix.split('`').nth(1).unwrap()).unwrap();
    let told = told(&drain(reader.as_mut()));
    assert_eq!(told.last().unwrap(), &(Op::Update, vec![Value::Int(1), Value::Int(5), text("a")]));
}

#[test]
fn a_null_key_that_arrives_later_is_refused() {
    let place = Place::new();
    let application = place.application("CREATE TABLE sales (id TEXT PRIMARY KEY, n INT)");
    let mut reader = capture(&place, &Resume::Fresh).unwrap();
    application.execute_batch("INSERT INTO sales VALUES (NULL, 1)").unwrap();
    let error = failure(reader.poll(Bounds::BATCH));
    assert_eq!(error.kind, Kind::Refused);
    application.execute_batch("DELETE FROM sales; INSERT INTO sales VALUES ('k', 2)").unwrap();
    application.execute_batch(error.fix.unwrap().split('`').nth(1).unwrap()).unwrap();
    assert_eq!(told(&drain(reader.as_mut())), [(Op::Insert, vec![text("k"), Value::Int(2)])]);
}

#[test]
fn a_column_that_came_while_nobody_captured_is_followed_at_the_next_connect() {
    let place = Place::new();
    let application = place.application(SHOP);
    let mut reader = capture(&place, &Resume::Fresh).unwrap();
    application.execute_batch("INSERT INTO sales VALUES (1, 10, 'a')").unwrap();
    let upto = drain(reader.as_mut()).pop().unwrap().upto;
    let resume = behind(reader.as_ref(), &upto);
    drop(reader);
    application
        .execute_batch(
            "ALTER TABLE sales ADD COLUMN till TEXT; INSERT INTO sales VALUES (2, 20, 'b', 'one')",
        )
        .unwrap();
    let mut reader = capture(&place, &resume).unwrap();
    let told = told(&drain(reader.as_mut()));
    assert_eq!(
        told.last().unwrap(),
        &(Op::Read, vec![Value::Int(2), Value::Int(20), text("b"), text("one")])
    );
}

#[test]
fn keys_in_capitals_are_read_by_their_bytes() {
    let place = Place::new();
    let application = place.application(
        "CREATE TABLE sales (id TEXT NOT NULL PRIMARY KEY COLLATE NOCASE, n INT);
         INSERT INTO sales VALUES ('b', 1), ('A', 2), ('C', 3)",
    );
    let mut reader = capture(&place, &Resume::Fresh).unwrap();
    let key = |id: &str| change::Key(vec![text(id)]);
    let keys = vec![key("a"), key("A")];
    reader.request(ReadRequest::Keys { table: "sales".into(), keys }).unwrap();
    let id = change::SnapshotId::mint(1);
    reader
        .request(ReadRequest::Snapshot { table: "sales".into(), id, after: Some(key("A")) })
        .unwrap();
    let told = told(&drain(reader.as_mut()));
    let expected = [
        (Op::Delete, "a", None),
        (Op::Read, "A", Some(2)),
        (Op::Read, "C", Some(3)),
        (Op::Read, "b", Some(1)),
    ];
    let expected =
        expected.map(|(op, id, n)| (op, vec![text(id), n.map_or(Value::Null, Value::Int)]));
    assert_eq!(told, expected);
    drop(application);
}
