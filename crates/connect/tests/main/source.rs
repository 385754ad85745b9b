//! The source in memory passes the suite.

use change::{Column, TableSchema, Value};
use connect::Source;
use connect::conformance::Arranged;
use connect::conformance::source::{SourceHarness, all};
use connect::memory::{Backup, Edit, MemorySource, OldImages};

/// A database in memory.
pub(super) struct Memory {
    pub(super) source: MemorySource,
    backup: Option<Backup>,
    old_images: OldImages,
}

impl Memory {
    pub(super) fn new(old_images: OldImages) -> Self {
        let source = MemorySource::new("one");
        source.send_old_images(old_images);
        Memory { source, backup: None, old_images }
    }
}

impl SourceHarness for Memory {
    fn create(&mut self, table: &str, schema: &TableSchema) {
        self.source.define(table, schema);
    }

    fn open(&mut self) -> Box<dyn Source> {
        self.source.open()
    }

    fn commit(&mut self, edits: &[Edit]) {
        self.source.commit(edits).unwrap();
    }

    /// An edit that fails takes the whole transaction with it.
    fn roll_back(&mut self, edits: &[Edit]) {
        let mut edits = edits.to_vec();
        edits.push(Edit::delete("nowhere", [Value::Int(0)]));
        self.source.commit(&edits).unwrap_err();
    }

    fn back_up(&mut self) -> Arranged {
        self.backup = Some(self.source.backup());
        Arranged::Done
    }

    fn restore(&mut self) {
        self.source.restore(self.backup.as_ref().unwrap());
    }

    fn add_column(&mut self, table: &str, column: &Column) -> Arranged {
        self.source.add_column(table, column.clone()).unwrap();
        Arranged::Done
    }

    fn old_images(&self) -> OldImages {
        self.old_images
    }
}

#[test]
fn the_source_in_memory_passes() {
    all(&mut || Box::new(Memory::new(OldImages::Full)));
}

#[test]
fn the_source_in_memory_passes_with_keys_for_old_images() {
    all(&mut || Box::new(Memory::new(OldImages::Keys)));
}
