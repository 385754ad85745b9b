//! Rows that pass unread: from a table to its like, where the run does nothing to them on the way.
//!
//! They are counted as all others are, checked in the stage, and published with it; only nobody decodes and encodes
//! them. Invariant: a table that cannot pass so has passed no row here, and is read in the other way.

use super::Loader;
use super::inputs::{RowCount, SiteTable};
use crate::path::TablePath;
use change::RunId;
use connect::{Result, Scan, TargetTable};
use flow::From;
use std::sync::atomic::Ordering;

impl Loader<'_> {
    /// Stages a table's rows as its site writes them; `None` where its site or the target cannot, or rows have to be
    /// looked at.
    pub(super) fn stage_unread(
        &mut self,
        run: RunId,
        (path, table): (&TablePath, &TargetTable),
        source: &SiteTable,
        count: &RowCount,
    ) -> Result<Option<u64>> {
        let looked_at = !path.is_straight() || self.flow.batch.interval_by.is_some();
        if looked_at || self.flow.from != From::Tables {
            return Ok(None);
        }
        let Some(encoding) = self.target.stage_encoding(run, table)? else { return Ok(None) };
        let scan = Scan::all(&source.table.source, source.schema.as_ref().clone());
        let (target, watch) = (&mut self.target, self.watch);
        source.at_cut(&self.assembly.connectors, |cut| {
            cut.read_encoded(&scan, &encoding, &mut |rows| {
                count.fetch_add(rows.rows, Ordering::Relaxed);
                target.stage_encoded(run, table, &rows)?;
                watch.progress("rows read", count.load(Ordering::Relaxed), None);
                Ok(())
            })
        })
    }
}
