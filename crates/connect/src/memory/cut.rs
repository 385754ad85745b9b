//! A frozen view of memory tables, for sources and targets alike.
//!
//! It shares rows with the site and never sees a later write; progress and position are of the same moment.

use super::table::Tables;
use crate::error::Result;
use crate::read::{Cut, Scan, Sees};
use crate::target::FlowProgress;
use arrow::array::RecordBatch;
use change::{FlowId, Group, SourcePosition};
use std::collections::BTreeMap;

/// Everything a memory site held at one moment.
pub(super) struct MemoryCut {
    pub(super) tables: Tables,
    pub(super) closing: Option<SourcePosition>,
    pub(super) progress: BTreeMap<FlowId, FlowProgress>,
}

impl Cut for MemoryCut {
    fn read(
        &mut self,
        scan: &Scan,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        self.tables.get(&scan.table)?.scan(scan, sink)
    }

    fn closing(&self) -> Option<&SourcePosition> {
        self.closing.as_ref()
    }

    /// Positions number single changes, and a cut closes at the end of a transaction.
    fn sees(&self, group: &Group) -> Sees {
        let Some(closing) = &self.closing else { return Sees::None };
        if group.body.upto.sequence <= closing.sequence {
            Sees::All
        } else if group.body.after.sequence >= closing.sequence {
            Sees::None
        } else {
            Sees::Part
        }
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        Ok(self.progress.get(&flow).cloned())
    }
}
