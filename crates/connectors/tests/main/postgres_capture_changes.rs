//! What happens in PostgreSQL databases and how it comes: savepoints, COPY, partitions, prepared transactions, values
//! stored aside, names and types of every kind.

use crate::postgres_application::{Application, Identity, ROOMY, drain};
use crate::postgres_replica::{Replica, ops};
use change::{GroupBody, Op, Value};
use connect::log::Bounds;
use connect::read::Scan;
use connect::source::{ChangeReader, Resume, Source};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, name text)";

fn application(sql: &str) -> Application {
    let mut application = Application::new(Identity::Default);
    application.sql(sql);
    application
}

/// The rows of a table as a cut reads them.
fn rows(source: &mut dyn Source, table: &str) -> Vec<Vec<Value>> {
    let schema = source.describe(table).unwrap();
    let mut cut = source.cut().unwrap();
    let batch = Scan::all(table, schema.clone()).collect(cut.as_mut()).unwrap();
    (0..batch.num_rows()).map(|row| Value::row(&batch, &schema, row)).collect()
}

/// Says that what came makes the table.
fn assert_makes(application: &Application, groups: &[GroupBody], table: &str) {
    let expected = rows(application.source().as_mut(), table);
    assert_eq!(Replica::of(groups).rows(table), expected);
}

fn behind(reader: &dyn ChangeReader, group: &GroupBody) -> Resume {
    Resume::After { history: reader.history().clone(), position: group.upto.clone() }
}

#[test]
fn what_a_savepoint_rolled_back_never_comes() {
    let mut application = application(ITEMS);
    let mut reader = application.fresh(&["items"]);
    application.sql(
        "BEGIN; INSERT INTO items VALUES (1, 'a'); SAVEPOINT s; INSERT INTO items VALUES (2, 'b');
         UPDATE items SET name = 'x' WHERE id = 1; ROLLBACK TO s; INSERT INTO items VALUES (3, 'c');
         SAVEPOINT t; INSERT INTO items VALUES (4, 'd'); RELEASE t; COMMIT",
    );
    let groups = drain(reader.as_mut());
    assert_eq!(ops(&groups).len(), 3);
    assert_makes(&application, &groups, "items");
}

#[test]
fn many_rows_of_one_copy_go_on_exactly_behind_each_part() {
    let mut application = application(ITEMS);
    let mut reader = application.fresh(&["items"]);
    application.sql("INSERT INTO items VALUES (0, 'first')");
    application.sql("INSERT INTO items SELECT n, 'row ' || n FROM generate_series(1, 47) n");
    application.sql("INSERT INTO items VALUES (99, 'last')");
    let bounds = Bounds { changes: 5, bytes: usize::MAX };
    let parts: Vec<GroupBody> = std::iter::from_fn(|| reader.poll(bounds).unwrap()).collect();
    assert_eq!(parts.iter().map(GroupBody::changes).sum::<usize>(), 49);
    assert!(parts.len() >= 12, "bounds are kept");
    // How much fits a part depends on what has come; what comes and its numbers do not.
    let told = |groups: &[GroupBody]| {
        let rows = groups.iter().flat_map(|group| &group.batches).flat_map(|batch| {
            (0..batch.len()).map(|row| Value::row(batch.new_images(), batch.schema(), row))
        });
        rows.collect::<Vec<_>>()
    };
    for (place, part) in parts.iter().enumerate() {
        let resume = behind(reader.as_ref(), part);
        let mut again = application.capture(&["items"], &resume).unwrap();
        let rest: Vec<GroupBody> = std::iter::from_fn(|| again.poll(bounds).unwrap()).collect();
        assert_eq!(told(&rest), told(&parts[place + 1..]), "behind part {place}");
        let next = rest.first().map(|group| group.part.index);
        let expected = if part.part.last { 0 } else { part.part.index + 1 };
        assert_eq!(next.unwrap_or(expected), expected, "behind part {place}");
    }
}

#[test]
fn partitions_come_as_their_table() {
    let mut application = application(
        "CREATE TABLE sales (id int, day int, amount text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
         CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM (0) TO (10);
         CREATE TABLE sales_2 (amount text, day int NOT NULL, id int NOT NULL);
         ALTER TABLE sales ATTACH PARTITION sales_2 FOR VALUES FROM (10) TO (20)",
    );
    let mut reader = application.fresh(&["sales"]);
    application.sql("INSERT INTO sales VALUES (1, 5, 'a'), (2, 15, 'b')");
    application.sql("UPDATE sales SET day = 16 WHERE id = 1");
    application.sql("INSERT INTO sales_2 (id, day, amount) VALUES (3, 17, 'c')");
    application.sql("DELETE FROM sales WHERE id = 2");
    let groups = drain(reader.as_mut());
    assert!(
        groups.iter().flat_map(|group| &group.batches).all(|batch| &**batch.table() == "sales")
    );
    assert_makes(&application, &groups, "sales");
}

#[test]
fn a_prepared_transaction_comes_when_it_is_committed() {
    let mut application = application(ITEMS);
    let mut reader = application.fresh(&["items"]);
    application.sql("BEGIN; INSERT INTO items VALUES (1, 'prepared')");
    application.sql("PREPARE TRANSACTION 'capture_two_phase'");
    application.sql("INSERT INTO items VALUES (2, 'meanwhile')");
    let before = drain(reader.as_mut());
    assert_eq!(ops(&before).len(), 1, "what is only prepared has not happened");
    let cut = application.source().cut().unwrap();
    application.sql("COMMIT PREPARED 'capture_two_phase'");
    let groups = [before, drain(reader.as_mut())].concat();
    assert_makes(&application, &groups, "items");
    let seen: Vec<_> = groups
        .iter()
        .filter(|group| group.changes() > 0)
        .map(|group| {
            let (lane, offset) = (change::LaneId::mint(1), change::Offset(1));
            cut.sees(&change::Group { lane, offset, body: group.clone() })
        })
        .collect();
    assert_eq!(seen, [connect::read::Sees::All, connect::read::Sees::None]);
}

/// With keys alone as old images an unchanged value is marked; with whole rows it is filled in.
#[test]
fn values_stored_aside_are_never_written_as_null() {
    for full in [false, true] {
        let mut application = application(
            "CREATE TABLE items (id int PRIMARY KEY, name text, body text);
             ALTER TABLE items ALTER COLUMN body SET STORAGE EXTERNAL",
        );
        if full {
            application.sql("ALTER TABLE items REPLICA IDENTITY FULL");
        }
        let mut reader = application.fresh(&["items"]);
        application.sql("INSERT INTO items VALUES (1, 'a', repeat('long ', 4000)), (2, 'b', NULL)");
        application.sql("UPDATE items SET name = 'c'");
        application.sql("UPDATE items SET id = 7 WHERE id = 1");
        application.sql("UPDATE items SET body = repeat('other ', 4000) WHERE id = 7");
        let groups = drain(reader.as_mut());
        let marked =
            groups.iter().flat_map(|g| &g.batches).flat_map(|b| b.unchanged().iter().flatten());
        let marked: usize = marked.map(arrow::array::BooleanArray::true_count).sum();
        assert_eq!(marked, if full { 0 } else { 2 }, "full: {full}");
        assert_makes(&application, &groups, "items");
    }
}

#[test]
fn truncates_of_several_tables_come_in_their_place() {
    let mut application = application(
        "CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE b (id int PRIMARY KEY REFERENCES a);
         CREATE TABLE other (id int PRIMARY KEY)",
    );
    let mut reader = application.fresh(&["a", "b"]);
    application.sql("INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (1); INSERT INTO other VALUES (1)");
    application.sql("BEGIN; TRUNCATE a, other CASCADE; INSERT INTO a VALUES (3, 3); COMMIT");
    let groups = drain(reader.as_mut());
    let truncates = ops(&groups).into_iter().filter(|(_, op)| *op == Op::Truncate).count();
    assert_eq!(truncates, 2, "the tables captured, and no other");
    for table in ["a", "b"] {
        assert_makes(&application, &groups, table);
    }
}

#[test]
fn names_with_quotes_dots_and_63_bytes_come_as_they_are_spelt() {
    let long = "L".repeat(63);
    let mut application = application(&format!(
        "CREATE SCHEMA \"my \"\"shop\"; CREATE TABLE \"my \"\"shop\".\"Order.Lines\" (id int PRIMARY KEY, \"na\"\"me\" text);
         CREATE TABLE \"{long}\" (id int PRIMARY KEY)"
    ));
    let spelt = "\"my \"\"shop\".\"Order.Lines\"";
    let mut reader = application.fresh(&[spelt, &long]);
    application
        .sql(&format!("INSERT INTO {spelt} VALUES (1, 'x'); INSERT INTO \"{long}\" VALUES (2)"));
    let told = ops(&drain(reader.as_mut()));
    assert_eq!(told, [(spelt.to_string(), Op::Insert), (long, Op::Insert)]);
}

/// A column that is dropped, added, renamed, or gets another type: each row in the shape of its time.
#[test]
fn each_row_comes_in_the_shape_of_its_time() {
    let mut application = application("CREATE TABLE items (id int PRIMARY KEY, a int, b text)");
    let mut reader = application.fresh(&["items"]);
    for change in [
        "ALTER TABLE items DROP COLUMN a",
        "ALTER TABLE items ADD COLUMN c numeric(9,2) DEFAULT 1.5",
        "ALTER TABLE items RENAME COLUMN b TO d",
        "ALTER TABLE items ALTER COLUMN id TYPE bigint",
    ] {
        application.sql("INSERT INTO items (id) SELECT coalesce(max(id), 0) + 1 FROM items");
        application.sql(change);
    }
    application.sql("BEGIN; INSERT INTO items (id) VALUES (50); ALTER TABLE items ADD COLUMN e int; INSERT INTO items (id, e) VALUES (51, 1); COMMIT");
    let groups = drain(reader.as_mut());
    let shapes: Vec<Vec<String>> = groups
        .iter()
        .flat_map(|group| &group.batches)
        .map(|batch| batch.schema().columns().iter().map(|c| c.name.clone()).collect())
        .collect();
    let named = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    for names in [
        &["id", "a", "b"][..],
        &["id", "b"],
        &["id", "b", "c"],
        &["id", "d", "c"],
        &["id", "d", "c", "e"],
    ] {
        assert!(shapes.contains(&named(names)), "{names:?} in {shapes:?}");
    }
    assert_eq!(Replica::of(&groups).rows("items").len(), 6);
}

/// Changes and chunks of many writers at once make the table, wherever a chunk is read.
#[test]
fn a_snapshot_under_many_writers_makes_the_table() {
    let application = application(
        "CREATE TABLE items (id int PRIMARY KEY, n bigint);
         INSERT INTO items SELECT n, 0 FROM generate_series(1, 400) n",
    );
    let mut reader = application.fresh(&["items"]);
    let url = application.server().url(&application.database);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut groups: Vec<GroupBody> = Vec::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (url, stop) = (url.clone(), &stop);
            scope.spawn(move || {
                let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
                client.batch_execute("SET synchronous_commit = on").unwrap();
                let mut seed = 12_345_u32 + writer;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let id = (seed >> 8) % 500 + 1;
                    let sql = match seed >> 30 {
                        0 => format!("DELETE FROM items WHERE id = {id}"),
                        1 => format!("INSERT INTO items VALUES ({id}, 1) ON CONFLICT DO NOTHING"),
                        _ => format!("UPDATE items SET n = n + {seed} WHERE id = {id}"),
                    };
                    client.batch_execute(&sql).unwrap();
                }
            });
        }
        for round in 0..3 {
            let id = change::SnapshotId::mint(round);
            let request = connect::ReadRequest::Snapshot { table: "items".into(), id, after: None };
            reader.request(request).unwrap();
            let mut complete = false;
            while !complete {
                let bounds = Bounds { changes: 60, bytes: usize::MAX };
                let Some(group) = reader.poll(bounds).unwrap() else { continue };
                complete =
                    matches!(&group.kind, change::GroupKind::Snapshot(c) if c.upto.is_none());
                groups.push(group);
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    groups.extend(drain(reader.as_mut()));
    assert_makes(&application, &groups, "items");
}

/// A commit that waits for a standby is in the stream and not visible yet: rows read meanwhile would take it back.
#[test]
fn a_chunk_waits_for_what_was_delivered_and_is_not_visible_yet() {
    let mut application = Application::of_its_own();
    application.sql("CREATE TABLE items (id int PRIMARY KEY, name text)");
    let mut reader = application.fresh(&["items"]);
    application.sql("INSERT INTO items VALUES (1, 'a'), (2, 'b')");
    let mut groups = drain(reader.as_mut());
    application.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    application.sql("SELECT pg_reload_conf(); SET synchronous_commit = local");
    let url = application.server().url(&application.database);
    let waiting = std::thread::spawn(move || {
        let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
        let standbys = "SHOW synchronous_standby_names";
        while client.query_one(standbys, &[]).unwrap().get::<_, &str>(0).is_empty() {}
        client
            .batch_execute("SET synchronous_commit = on; UPDATE items SET name = 'x' WHERE id = 1")
    });
    let pid = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let pid: i32 = loop {
        assert!(!waiting.is_finished(), "nobody waits for a standby");
        if let Some(row) = application.client().query_opt(pid, &[]).unwrap() {
            break row.get(0);
        }
    };
    let id = change::SnapshotId::mint(1);
    reader
        .request(connect::ReadRequest::Snapshot { table: "items".into(), id, after: None })
        .unwrap();
    let meanwhile = drain(reader.as_mut());
    assert_eq!(ops(&meanwhile), [("items".to_string(), Op::Update)], "the commit, and no chunk");
    groups.extend(meanwhile);
    application.client().execute("SELECT pg_cancel_backend($1)", &[&pid]).unwrap();
    waiting.join().unwrap().unwrap();
    for _ in 0..100 {
        groups.extend(drain(reader.as_mut()));
        if groups.iter().any(|group| matches!(group.kind, change::GroupKind::Snapshot(_))) {
            break;
        }
    }
    assert!(matches!(groups.last().unwrap().kind, change::GroupKind::Snapshot(_)), "it comes then");
    assert_makes(&application, &groups, "items");
}

#[test]
fn every_type_comes_as_a_cut_reads_it() {
    let database = crate::postgres_site::Database::new();
    crate::postgres_read::table_of_samples(&database);
    let mut application = Application::beside(database.name.clone());
    application.sql("CREATE TABLE copy (LIKE all_types INCLUDING ALL)");
    let mut reader = application.fresh(&["copy"]);
    application.sql("INSERT INTO copy SELECT * FROM all_types");
    let id = change::SnapshotId::mint(1);
    let changes = drain(reader.as_mut());
    let request = connect::ReadRequest::Snapshot { table: "copy".into(), id, after: None };
    reader.request(request).unwrap();
    let chunk = reader.poll(ROOMY).unwrap().unwrap();
    let mut source = application.source();
    let expected = rows(source.as_mut(), "copy");
    for came in [Replica::of(&changes), Replica::of(std::slice::from_ref(&chunk))] {
        for (i, row) in came.rows("copy").iter().enumerate() {
            for (j, (value, read)) in row.iter().zip(&expected[i]).enumerate() {
                assert_eq!(value, read, "column {j}");
            }
        }
        assert_eq!(came.rows("copy").len(), 2);
    }
    let schema = source.describe("copy").unwrap();
    assert_eq!(**changes[0].batches[0].schema(), schema);
    assert_eq!(**chunk.batches[0].schema(), schema);
}
