//! What a scan of any site promises; the suites of sources and of targets both ask it.
//!
//! The caller fills a table, however its system is filled, and hands over the site.

use super::check::fails;
use crate::error::{Error, Kind};
use crate::memory::sample::{shape, text};
use crate::read::{KeyRange, Owner, Readable, Scan};
use change::{ColumnType, Key, TableSchema, Value};
use std::sync::Arc;

/// The table that the checks read, as [`rows`] fills it.
pub(super) const TABLE: &str = "articles";

/// Shape of the table.
pub(super) fn table_shape() -> Arc<TableSchema> {
    let columns = [
        ("site", ColumnType::Text),
        ("sku", ColumnType::Int64),
        ("name", ColumnType::Text),
        ("amount", ColumnType::Int64),
    ];
    shape(&columns, &["sku", "name"])
}

/// Rows of the table, in the order of their keys.
pub(super) fn rows() -> Vec<Vec<Value>> {
    let row = |(place, (sku, name)): (i64, (i64, &str))| {
        let site = if place % 3 == 0 { "north" } else { "south" };
        vec![text(site), Value::Int(sku), text(name), Value::Int(place)]
    };
    let names = ["", "B", "a", "é"];
    let keys = [-20, -3, 4, 11].into_iter().flat_map(|sku| names.map(|name| (sku, name)));
    (0..).zip(keys).map(row).collect()
}

fn key(sku: i64, name: &str) -> Option<Key> {
    Some(Key(vec![Value::Int(sku), text(name)]))
}

/// Reads the columns of a scan; the count returned must be that of the rows.
fn read(site: &mut dyn Readable, scan: &Scan) -> Vec<Vec<Value>> {
    let mut cut = site.cut().expect("a cut can be made");
    let mut read = Vec::new();
    let counted = cut.read(scan, &mut |batch| {
        assert_eq!(batch.schema_ref(), scan.schema.images(), "batches have the scan's columns");
        read.extend((0..batch.num_rows()).map(|row| Value::row(&batch, &scan.schema, row)));
        Ok(())
    });
    assert_eq!(counted.expect("it is read"), read.len() as u64, "rows are counted");
    read
}

/// Ranges begin behind a key and end with one; rows come in key order, integers by value, text by bytes.
pub(super) fn ranges_keep_key_order(site: &mut dyn Readable) {
    let all = rows();
    let scan = Scan::all(TABLE, table_shape().as_ref().clone());
    assert_eq!(read(site, &scan), all, "rows come in key order");
    let mut within = |after: Option<Key>, upto: Option<Key>| {
        read(site, &Scan { range: KeyRange { after, upto }, ..scan.clone() })
    };
    assert_eq!(within(key(-3, "B"), None), all[6..]);
    assert_eq!(within(None, key(-3, "B")), all[..6]);
    assert_eq!(within(key(-20, "é"), key(4, "")), all[4..9]);
    assert_eq!(within(key(-3, "C"), key(4, "Z")), all[6..10], "bounds need not be there");
    assert_eq!(within(key(4, ""), key(4, "")), all[..0]);
    assert_eq!(within(key(11, "é"), None), all[..0]);
}

/// Many ranges at once give what they give one by one; whose rows are wanted holds for all of them.
pub(super) fn ranges_together_give_what_each_gives(site: &mut dyn Readable) {
    let bounds = [
        (None, key(-20, "")),
        (key(-20, "B"), key(-20, "a")),
        (key(-20, "a"), key(-20, "é")),
        (key(-3, "C"), key(-3, "D")),
        (key(4, ""), key(4, "é")),
        (key(11, "a"), None),
    ];
    let ranges = bounds.map(|(after, upto)| KeyRange { after, upto });
    let south = Some(Owner { column: "site".into(), value: text("south") });
    for owner in [None, south] {
        let scan = Scan { owner, ..Scan::all(TABLE, table_shape().as_ref().clone()) };
        for some in [&ranges[..], &ranges[1..5], &ranges[..1], &ranges[..0]] {
            let one_by_one = some
                .iter()
                .flat_map(|range| read(site, &Scan { range: range.clone(), ..scan.clone() }));
            let expected: Vec<_> = one_by_one.collect();
            let mut cut = site.cut().expect("a cut can be made");
            let mut together = Vec::new();
            let counted = cut.read_ranges(&scan, some, &mut |batch| {
                let rows = 0..batch.num_rows();
                together.extend(rows.map(|row| Value::row(&batch, &scan.schema, row)));
                Ok(())
            });
            assert_eq!(counted.expect("they are read"), together.len() as u64);
            assert_eq!(together, expected);
            cut.let_go();
        }
    }
}

/// A limit stops after so many rows in key order.
pub(super) fn a_limit_stops_in_key_order(site: &mut dyn Readable) {
    let all = rows();
    let scan = Scan::all(TABLE, table_shape().as_ref().clone());
    let range = KeyRange { after: key(-20, "B"), upto: None };
    for limit in [0, 1, 5, 1000] {
        let limited = Scan { limit: Some(limit), range: range.clone(), ..scan.clone() };
        assert_eq!(read(site, &limited), all[2..(2 + limit).min(all.len())]);
    }
}

/// A scan for an owner passes the owner's rows only.
pub(super) fn an_owner_gets_its_rows(site: &mut dyn Readable) {
    let all = Scan::all(TABLE, table_shape().as_ref().clone());
    for name in ["north", "south", "west"] {
        let owner = Some(Owner { column: "site".into(), value: text(name) });
        let mut expected = rows();
        expected.retain(|row| row[0] == text(name));
        let scan = Scan { owner: owner.clone(), ..all.clone() };
        assert_eq!(read(site, &scan), expected);
        expected.truncate(3);
        assert_eq!(read(site, &Scan { limit: Some(3), ..scan }), expected);
    }
}

/// Only the columns wanted come, in the order wanted.
pub(super) fn columns_come_as_wanted(site: &mut dyn Readable) {
    let wanted = [("name", ColumnType::Text), ("sku", ColumnType::Int64)];
    let scan = Scan::all(TABLE, shape(&wanted, &["sku", "name"]).as_ref().clone());
    let expected: Vec<_> =
        rows().into_iter().map(|row| vec![row[2].clone(), row[1].clone()]).collect();
    assert_eq!(read(site, &scan), expected);
}

/// What is not there is `Invalid`, and an error of the sink comes back as it is.
pub(super) fn a_scan_fails_as_promised(site: &mut dyn Readable) {
    let good = table_shape();
    let scan = Scan::all(TABLE, good.as_ref().clone());
    let mut cut = site.cut().expect("a cut can be made");
    let absent = Scan::all("nowhere", good.as_ref().clone());
    fails(cut.read(&absent, &mut |_| Ok(())), Kind::Invalid, "there is no such table");
    let columns =
        [("sku", ColumnType::Int64), ("name", ColumnType::Text), ("no", ColumnType::Text)];
    let unknown = Scan::all(TABLE, shape(&columns, &["sku", "name"]).as_ref().clone());
    fails(cut.read(&unknown, &mut |_| Ok(())), Kind::Invalid, "there is no such column");
    let stopped = cut.read(&scan, &mut |_| Err(Error::conflict("the sink has had enough")));
    fails(stopped, Kind::Conflict, "the sink failed");
    drop(cut);
    fails(site.describe("nowhere"), Kind::Invalid, "there is no such table");
    assert_eq!(site.tables().expect("readable"), [TABLE], "a user sees this table only");
}
