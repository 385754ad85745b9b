//! A capture as the checks of a source play it: open, commit, poll.

use super::SourceHarness;
use super::replica::{Replica, Told, rows_at, told};
use crate::error::Result;
use crate::log::Bounds;
use crate::memory::Edit;
use crate::memory::sample::{shape, text};
use crate::source::{ChangeReader, Resume, Source};
use change::{ColumnType, GroupBody, History, SourcePosition, TableSchema, Value};
use std::sync::Arc;

pub(super) const LEFT: &str = "left_items";
pub(super) const RIGHT: &str = "right_items";

/// The shape of all tables in these checks: a number, a name, an amount.
pub(super) fn items() -> Arc<TableSchema> {
    let columns =
        [("id", ColumnType::Int64), ("name", ColumnType::Text), ("amount", ColumnType::Int64)];
    shape(&columns, &["id"])
}

pub(super) fn item(id: i64, name: &str, amount: i64) -> Vec<Value> {
    vec![Value::Int(id), text(name), Value::Int(amount)]
}

pub(super) fn insert(table: &str, id: i64) -> Edit {
    Edit::insert(table, item(id, "new", id))
}

pub(super) fn update(table: &str, id: i64, amount: i64) -> Edit {
    Edit::update(table, [Value::Int(id)], item(id, "changed", amount))
}

pub(super) fn delete(table: &str, id: i64) -> Edit {
    Edit::delete(table, [Value::Int(id)])
}

/// Bounds of so many changes.
pub(super) fn changes(changes: usize) -> Bounds {
    Bounds { changes, bytes: usize::MAX }
}

pub(super) const ROOMY: Bounds = Bounds { changes: 10_000, bytes: usize::MAX };

/// Two empty tables.
pub(super) fn two_tables(harness: &mut dyn SourceHarness) {
    harness.create(LEFT, &items());
    harness.create(RIGHT, &items());
}

pub(super) struct Capture {
    pub(super) source: Box<dyn Source>,
    pub(super) reader: Box<dyn ChangeReader>,
}

impl Capture {
    /// Captures two tables that are made for it.
    pub(super) fn of_two_tables(harness: &mut dyn SourceHarness) -> Capture {
        two_tables(harness);
        Capture::open(harness, &Resume::Fresh).expect("capture begins")
    }

    /// Captures both tables, from anywhere.
    pub(super) fn open(harness: &mut dyn SourceHarness, resume: &Resume) -> Result<Capture> {
        Capture::of(harness, &[LEFT, RIGHT], resume)
    }

    pub(super) fn of(
        harness: &mut dyn SourceHarness,
        tables: &[&str],
        resume: &Resume,
    ) -> Result<Capture> {
        let mut source = harness.open();
        let tables: Vec<String> = tables.iter().map(|table| (*table).to_string()).collect();
        let reader = source.capture(&tables, resume)?;
        Ok(Capture { source, reader })
    }

    pub(super) fn poll(&mut self, bounds: Bounds) -> Option<GroupBody> {
        self.reader.poll(bounds).expect("the source is readable")
    }

    /// All groups that there are now.
    pub(super) fn drain(&mut self, bounds: Bounds) -> Vec<GroupBody> {
        std::iter::from_fn(|| self.poll(bounds)).collect()
    }

    pub(super) fn acknowledge(&mut self, position: &SourcePosition) {
        self.reader.acknowledge(position).expect("the source takes it");
    }

    pub(super) fn history(&self) -> History {
        self.reader.history().clone()
    }

    /// Where a capture that stopped behind `position` goes on.
    pub(super) fn behind(&self, position: &SourcePosition) -> Resume {
        Resume::After { history: self.history(), position: position.clone() }
    }

    pub(super) fn rows(&mut self, table: &str) -> Vec<Vec<Value>> {
        rows_at(self.source.as_mut(), table, &items())
    }

    /// Says that a replica holds what both tables hold now.
    pub(super) fn assert_equal(&mut self, replica: &Replica) {
        for table in [LEFT, RIGHT] {
            let rows = self.rows(table);
            assert_eq!(replica.rows(table), rows, "what was delivered does not make {table}");
        }
    }
}

/// Changes of groups, in order.
pub(super) fn all_told(groups: &[GroupBody]) -> Vec<Told> {
    groups.iter().flat_map(told).collect()
}

pub(super) fn replica_of(groups: &[GroupBody]) -> Replica {
    let mut replica = Replica::default();
    groups.iter().for_each(|group| replica.apply(group));
    replica
}
