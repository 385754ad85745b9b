//! Reading a run's inputs: tables at a cut of each site, or pinned files, as feeds of batches.
//!
//! A feed owns what it needs and opens its site on its own thread; rows are counted where they leave the site.

use super::intervals::Interval;
use crate::assembly::Assembly;
use arrow::array::{Array, RecordBatch};
use change::TableSchema;
use change::compatibility::{Compatibility, compare};
use connect::{Connectors, Cut, Error, Feed, FileOptions, Input, Result, Scan};
use flow::{Flow, FlowTable, From, Site};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows that left the sites, over all feeds of a run.
pub(crate) type RowCount = Arc<AtomicU64>;

/// One table of one site.
#[derive(Clone)]
pub(crate) struct SiteTable {
    pub(crate) site: Site,
    pub(crate) table: FlowTable,
    pub(crate) schema: Arc<TableSchema>,
    cut: Arc<Mutex<SiteCut>>,
}

impl SiteTable {
    /// Reads the table at the cut of its site. One that says `None` has not read it, and it will be read again.
    pub(crate) fn at_cut<T>(
        &self,
        connectors: &Connectors,
        read: impl FnOnce(&mut dyn Cut) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut of_site = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cut = match of_site.cut.take() {
            Some(cut) => cut,
            None => {
                let settings = &self.site.settings;
                connectors.of(settings)?.readable(settings)?.cut()?
            }
        };
        let read = read(&mut *cut)?;
        if read.is_some() {
            of_site.tables_left = of_site.tables_left.saturating_sub(1);
        }
        of_site.cut = (of_site.tables_left > 0).then_some(cut);
        Ok(read)
    }
}

/// One cut for all tables of a site, so that a run shows them as they were at one moment. It is opened for the first
/// of them and let go after the last.
struct SiteCut {
    cut: Option<Box<dyn Cut>>,
    tables_left: usize,
}

fn options(flow: &Flow) -> FileOptions {
    match &flow.from {
        From::Files { types, .. } => FileOptions { types: types.clone() },
        From::Tables => FileOptions::default(),
    }
}

/// The tables of a run with their shapes, one entry for each site that takes part.
///
/// # Errors
/// A site is gone, or its table has another shape than the first one's.
pub(crate) fn site_tables(
    assembly: &Assembly,
    flow: &Flow,
    interval: &Interval,
) -> Result<Vec<SiteTable>> {
    let mut all: Vec<SiteTable> = Vec::new();
    for name in &flow.sites {
        let site = assembly.project.sites.get(name).cloned().ok_or_else(|| {
            Error::internal(format!("flow {} names unknown site {name}", flow.name))
        })?;
        let cut = SiteCut { cut: None, tables_left: flow.tables.len() };
        let cut = Arc::new(Mutex::new(cut));
        for table in &flow.tables {
            let Some(schema) = describe(assembly, flow, &site, table, interval)? else { continue };
            let first = all.iter().find(|t| t.table == *table);
            if let Some(first) = first
                && compare(&first.schema, &schema) != Compatibility::Same
            {
                return Err(Error::refused(format!(
                    "{} at {name} has another shape than at {}",
                    table.source, first.site.name
                ))
                .effect("nothing was published")
                .code("E0405"));
            }
            all.push(SiteTable {
                site: site.clone(),
                table: table.clone(),
                schema: Arc::new(schema),
                cut: cut.clone(),
            });
        }
    }
    Ok(all)
}

fn describe(
    assembly: &Assembly,
    flow: &Flow,
    site: &Site,
    table: &FlowTable,
    interval: &Interval,
) -> Result<Option<TableSchema>> {
    let connector = assembly.connectors.of(&site.settings)?;
    match flow.from {
        From::Tables => connector.readable(&site.settings)?.describe(&table.source).map(Some),
        From::Files { .. } => {
            let Some(file) = interval.files.iter().find(|file| file.site == site.name) else {
                return Ok(None);
            };
            connector.files(&site.settings)?.describe(&file.entry, &options(flow)).map(Some)
        }
    }
}

/// A feed of one site's rows.
pub(crate) fn feed(
    assembly: &Assembly,
    flow: &Flow,
    interval: &Interval,
    source: &SiteTable,
    count: &RowCount,
) -> Feed {
    let (connectors, source, count) = (assembly.connectors.clone(), source.clone(), count.clone());
    let counted = move |rows: RecordBatch, sink: &mut dyn FnMut(RecordBatch) -> Result<()>| {
        count.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
        sink(rows)
    };
    match flow.from {
        From::Tables => Box::new(move |sink| {
            // Without a key: a run takes rows in any order, and sorting costs the source more than reading.
            let unsorted = source.schema.with_key::<&str>(&[]).expect("no key names no column");
            let scan = Scan::all(&source.table.source, unsorted);
            let read = source.at_cut(&connectors, |cut| {
                let read = cut.read(&scan, &mut |rows| {
                    refuse_null_keys(&source, &rows)?;
                    counted(rows, sink)
                });
                read.map(Some)
            });
            read.map(drop)
        }),
        From::Files { .. } => {
            let of_site = interval.files.iter().filter(|file| file.site == source.site.name);
            let (files, options) = (of_site.cloned().collect::<Vec<_>>(), options(flow));
            Box::new(move |sink| {
                let mut folder =
                    connectors.of(&source.site.settings)?.files(&source.site.settings)?;
                for file in &files {
                    let found = folder.describe(&file.entry, &options)?;
                    if found != *source.schema {
                        return Err(Error::refused(format!(
                            "{} has other columns than the first file of its interval",
                            file.entry.path
                        ))
                        .effect("nothing was published")
                        .code("E0405"));
                    }
                    folder.read(
                        &file.entry,
                        &file.fingerprint,
                        &source.schema,
                        &options,
                        &mut |rows| counted(rows, sink),
                    )?;
                }
                Ok(())
            })
        }
    }
}

/// Without a sorted key to read by, the reader itself does not look at it.
fn refuse_null_keys(source: &SiteTable, rows: &RecordBatch) -> Result<()> {
    if source.schema.key().iter().all(|&place| rows.column(place).null_count() == 0) {
        return Ok(());
    }
    Err(Error::refused(format!("table {} has rows with null in their key", source.table.source))
        .effect("such a row cannot be told from others; nothing was published")
        .fix("fill the key columns and declare them NOT NULL"))
}

/// Inputs of a relational statement: each table once, fed by its sites one after another.
pub(crate) fn relational(
    assembly: &Assembly,
    flow: &Flow,
    interval: &Interval,
    sources: &[SiteTable],
    count: &RowCount,
) -> Vec<Input> {
    let mut inputs: Vec<Input> = Vec::new();
    for table in &flow.tables {
        let of_table: Vec<&SiteTable> = sources.iter().filter(|s| s.table == *table).collect();
        let Some(first) = of_table.first() else { continue };
        let feeds: Vec<Feed> =
            of_table.iter().map(|s| feed(assembly, flow, interval, s, count)).collect();
        inputs.push(Input {
            table: table.source.clone(),
            schema: first.schema.as_ref().clone(),
            feed: Box::new(move |sink| feeds.into_iter().try_for_each(|feed| feed(sink))),
        });
    }
    inputs
}
