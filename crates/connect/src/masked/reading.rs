//! Tables read as their masks leave them: shapes, and the rows of cuts.
//!
//! The proof reads a source through this too: what it compares with the target is what was allowed to leave.

use super::MaskedSite;
use crate::error::{Error, Result};
use crate::read::{Cut, KeyRange, Readable, Scan, Sees};
use crate::target::FlowProgress;
use arrow::array::RecordBatch;
use change::mask::MaskedTable;
use change::{Column, FlowId, Group, SourcePosition, TableSchema};

/// A site that can be read, behind its masks.
pub(super) struct MaskedReadable {
    pub(super) inner: Box<dyn Readable>,
    pub(super) site: MaskedSite,
}

impl Readable for MaskedReadable {
    fn tables(&mut self) -> Result<Vec<String>> {
        self.inner.tables()
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        describe(self.inner.as_mut(), &self.site, table)
    }

    fn keeps_old_rows(&mut self, table: &str) -> Result<bool> {
        self.inner.keeps_old_rows(table)
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        cut(self.inner.as_mut(), &self.site)
    }
}

/// A table's shape as its mask leaves it.
pub(super) fn describe(
    inner: &mut (impl Readable + ?Sized),
    site: &MaskedSite,
    table: &str,
) -> Result<TableSchema> {
    site.tables(inner)?;
    let schema = inner.describe(table)?;
    match site.of(table) {
        None => Ok(schema),
        Some(mask) => Ok(site.plan(mask, schema)?.output().as_ref().clone()),
    }
}

/// A cut of now. The shapes of masked tables are taken just before it: what changes in between makes a read fail.
pub(super) fn cut(inner: &mut (impl Readable + ?Sized), site: &MaskedSite) -> Result<Box<dyn Cut>> {
    let mut tables = Vec::new();
    for table in site.tables(inner)? {
        let mask = site.of(&table).expect("a masked table has a mask");
        let schema = inner.describe(&table)?;
        tables.push((table, site.plan(mask, schema)?));
    }
    Ok(Box::new(MaskedCut { inner: inner.cut()?, site: site.clone(), tables }))
}

/// Where rows go.
type Sink<'s> = &'s mut dyn FnMut(RecordBatch) -> Result<()>;

/// A cut behind the masks of its site.
struct MaskedCut {
    inner: Box<dyn Cut>,
    site: MaskedSite,
    /// The masked tables, as the site spells them.
    tables: Vec<(String, MaskedTable)>,
}

impl MaskedCut {
    /// The table behind a scan, if it is masked.
    fn masked(&self, table: &str) -> Option<&MaskedTable> {
        let exactly = self.tables.iter().find(|(name, _)| name == table);
        let alike = || self.tables.iter().find(|(name, _)| name.eq_ignore_ascii_case(table));
        exactly.or_else(alike).map(|(_, plan)| plan)
    }

    /// What is to be read at the site for a scan, as a table with a mask of its own: the columns asked for, in the
    /// types they have there.
    fn below(&self, scan: &Scan, table: &MaskedTable) -> Result<MaskedTable> {
        let mask = self.site.of(&scan.table).expect("a table with a plan has a mask");
        let mut columns = Vec::with_capacity(scan.schema.columns().len());
        for asked in scan.schema.columns() {
            let there = table.input().index_of(&asked.name).map(|n| &table.input().columns()[n]);
            let comes_out = table.output().index_of(&asked.name).is_some();
            columns.push(match (mask.rule(&asked.name), there) {
                (None, _) => asked.clone(),
                (Some(_), Some(there)) if comes_out => {
                    Column::new(&asked.name, there.ty, there.nullable)
                }
                (Some(_), _) => return Err(self.hidden(scan, &asked.name)),
            });
        }
        if let Some(owner) = scan.owner.as_ref().filter(|owner| mask.rule(&owner.column).is_some())
        {
            return Err(self.hidden(scan, &owner.column));
        }
        let key: Vec<&str> = scan.schema.key_names().collect();
        let schema = TableSchema::new(columns, &key)
            .map_err(|e| Error::internal("a scan names a column twice").caused_by(e))?;
        self.site.plan(&mask.among(&scan.schema), schema)
    }

    /// Reads a scan in whichever way, and masks what comes.
    fn through(
        &mut self,
        scan: &Scan,
        sink: Sink<'_>,
        read: &mut dyn FnMut(&mut dyn Cut, &Scan, Sink<'_>) -> Result<u64>,
    ) -> Result<u64> {
        let Some(table) = self.masked(&scan.table) else {
            return read(self.inner.as_mut(), scan, sink);
        };
        let below = self.below(scan, table)?;
        let types = |schema: &TableSchema| -> Vec<_> {
            schema.columns().iter().map(|column| column.ty).collect()
        };
        if types(below.output()) != types(&scan.schema) {
            let found = "a masked column is asked for in another type than it comes out in";
            return Err(self.site.unfit(&scan.table, found));
        }
        let key = self.site.key()?.clone();
        let inner = Scan { schema: below.input().as_ref().clone(), ..scan.clone() };
        read(self.inner.as_mut(), &inner, &mut |rows| sink(below.rows(&key, &rows)))
    }

    fn hidden(&self, scan: &Scan, column: &str) -> Error {
        let found = format!("column {column} is masked, and asked for as it is");
        self.site.unfit(&scan.table, &found)
    }
}

impl Cut for MaskedCut {
    fn read(
        &mut self,
        scan: &Scan,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        self.through(scan, sink, &mut |inner, scan, sink| inner.read(scan, sink))
    }

    fn read_ranges(
        &mut self,
        scan: &Scan,
        ranges: &[KeyRange],
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        self.through(scan, sink, &mut |inner, scan, sink| inner.read_ranges(scan, ranges, sink))
    }

    fn reads_apart(&self) -> bool {
        self.inner.reads_apart()
    }

    fn let_go(&mut self) {
        self.inner.let_go();
    }

    fn closing(&self) -> Option<&SourcePosition> {
        self.inner.closing()
    }

    fn sees(&self, group: &Group) -> Sees {
        self.inner.sees(group)
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        self.inner.progress(flow)
    }
}
