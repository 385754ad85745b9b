//! Reading rows back: cuts. Sources and targets are both readable; the proof needs nothing else of them.

use crate::encoded::{EncodedRows, Encoding};
use crate::error::{Error, Result};
use crate::target::FlowProgress;
use arrow::array::RecordBatch;
use change::{FlowId, Group, Key, SourcePosition, TableSchema, Value};

/// A range of keys: behind `after`, up to and including `upto`, in the key's own order (integers by value, text
/// and bytes by their bytes).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyRange {
    /// Behind this key; `None`: from the first.
    pub after: Option<Key>,
    /// Up to and including this key; `None`: to the last.
    pub upto: Option<Key>,
}

/// Whose rows: the column that names the owner, and the owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    /// The column.
    pub column: String,
    /// The owner's value there.
    pub value: Value,
}

/// What to read of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The table.
    pub table: String,
    /// The columns wanted and the key to order and range by; types are those the reader shall deliver.
    pub schema: TableSchema,
    /// The keys wanted. Tables without a key take only the full range.
    pub range: KeyRange,
    /// Only one owner's rows.
    pub owner: Option<Owner>,
    /// Stop after this many rows (in key order); `None`: all.
    pub limit: Option<usize>,
}

impl Scan {
    /// The whole table.
    pub fn all(table: impl Into<String>, schema: TableSchema) -> Self {
        Scan { table: table.into(), schema, range: KeyRange::default(), owner: None, limit: None }
    }
}

/// Whether a cut contains a group's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees {
    /// All of them.
    All,
    /// Some of them: the cut lies inside the group.
    Part,
    /// None of them.
    None,
}

/// A consistent view of a site, owned: connection, snapshot, and what it can see. Dropping it lets go.
///
/// Everything read through one cut is of one moment. It must not be kept longer than needed: the site keeps old
/// versions for it.
pub trait Cut: Send {
    /// Passes the rows of a scan to `sink`, in key order where the schema has a key, in batches of bounded size
    /// with the scan's columns. Returns the number of rows.
    ///
    /// This is *not* the decoder of the capture path: the proof must not share its faults.
    ///
    /// # Errors
    /// The table or a column is not there (`Invalid`), a value does not fit its column's type (`Refused`), the
    /// site is gone (`Unavailable`), or `sink` failed.
    fn read(&mut self, scan: &Scan, sink: &mut dyn FnMut(RecordBatch) -> Result<()>)
    -> Result<u64>;

    /// Passes the rows of a scan as the site writes them, in any order, where it can write them in this encoding without
    /// doing anything to them; returns their number. `None`, and no row was passed, where it cannot.
    ///
    /// # Errors
    /// As [`Cut::read`].
    fn read_encoded(
        &mut self,
        _scan: &Scan,
        _encoding: &Encoding,
        _sink: &mut dyn FnMut(EncodedRows) -> Result<()>,
    ) -> Result<Option<u64>> {
        Ok(None)
    }

    /// As [`Cut::read`], for many ranges at once: `ranges` stand in the place of the scan's own, disjoint and in key
    /// order. A site that is asked over a network reads them with few statements.
    ///
    /// # Errors
    /// As [`Cut::read`].
    fn read_ranges(
        &mut self,
        scan: &Scan,
        ranges: &[KeyRange],
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let mut rows = 0;
        for range in ranges {
            rows += self.read(&Scan { range: range.clone(), ..scan.clone() }, sink)?;
        }
        Ok(rows)
    }

    /// Whether reading is somebody else's work, so that a thread of its own may do it while other things go on here.
    fn reads_apart(&self) -> bool {
        false
    }

    /// Lets go of what the site keeps for the cut, as early as its rows are read. Nothing can be read any more;
    /// [`Cut::closing`] and [`Cut::sees`] answer as before.
    fn let_go(&mut self) {}

    /// The source position that closes the cut: once the log has passed it, every change in the cut is in the
    /// log. `None` where the site is not captured.
    fn closing(&self) -> Option<&SourcePosition>;

    /// Whether the cut contains the changes of a group of its lane.
    fn sees(&self, group: &Group) -> Sees;

    /// A flow's progress as this cut sees it, of the same moment as the rows. `None` where the site keeps none.
    ///
    /// # Errors
    /// Progress cannot be read.
    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>>;
}

/// Anything that can be read at a cut.
pub trait Readable: Send {
    /// Names of the tables a user would see; our own bookkeeping is left out.
    ///
    /// # Errors
    /// The site is gone.
    fn tables(&mut self) -> Result<Vec<String>>;

    /// The shape of a table.
    ///
    /// # Errors
    /// `Invalid` when it is not there or has a type we cannot carry exactly.
    fn describe(&mut self, table: &str) -> Result<TableSchema>;

    /// Whether the old row of every update and delete of a table can be captured whole; a site may keep only its key.
    ///
    /// # Errors
    /// `Invalid` when the table is not there.
    fn keeps_old_rows(&mut self, _table: &str) -> Result<bool> {
        Ok(true)
    }

    /// A cut of now.
    ///
    /// # Errors
    /// The site is gone.
    fn cut(&mut self) -> Result<Box<dyn Cut>>;
}

impl Scan {
    /// Collects the rows of a scan; for small ranges.
    ///
    /// # Errors
    /// As [`Cut::read`].
    pub fn collect(&self, cut: &mut dyn Cut) -> Result<RecordBatch> {
        let mut batches = Vec::new();
        cut.read(self, &mut |batch| {
            batches.push(batch);
            Ok(())
        })?;
        arrow::compute::concat_batches(self.schema.images(), &batches)
            .map_err(|e| Error::internal("rows of one scan have different columns").caused_by(e))
    }
}
