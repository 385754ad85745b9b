//! A connector whose sites show their tables as their masks leave them: to captures, runs, proofs and checks alike.
//!
//! Not here: what a rule does to a cell (`change::mask`). A site that is written is opened as it is. Invariant: no
//! value of a masked column passes; a mask that does not fit what is there stops the reading, and says so.

mod capture;
mod reading;

use crate::component::{Capabilities, Connector, Wanted};
use crate::error::{Error, Kind, Result};
use crate::files::FileSite;
use crate::read::Readable;
use crate::setting::SiteSettings;
use crate::source::Source;
use crate::target::Target;
use capture::MaskedSource;
use change::TableSchema;
use change::mask::{MaskKey, MaskedTable, Masks, TableMask, Unfit};
use reading::MaskedReadable;
use std::sync::Arc;

/// A connector behind the masks of its sites.
pub(crate) struct Masking {
    inner: Box<dyn Connector>,
    key: Option<MaskKey>,
}

impl Masking {
    /// A connector that has no key yet.
    pub(crate) fn new(inner: Box<dyn Connector>) -> Self {
        Masking { inner, key: None }
    }

    /// Hands the key over.
    pub(crate) fn give(&mut self, key: MaskKey) {
        self.key = Some(key);
    }

    fn site(&self, settings: &SiteSettings) -> MaskedSite {
        MaskedSite {
            site: settings.site.clone(),
            masks: settings.masks.clone(),
            key: self.key.clone(),
        }
    }
}

impl Connector for Masking {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn readable(&self, settings: &SiteSettings) -> Result<Box<dyn Readable>> {
        let inner = self.inner.readable(settings)?;
        if settings.masks.is_empty() {
            return Ok(inner);
        }
        Ok(Box::new(MaskedReadable { inner, site: self.site(settings) }))
    }

    fn source(&self, settings: &SiteSettings) -> Result<Box<dyn Source>> {
        let inner = self.inner.source(settings)?;
        if settings.masks.is_empty() {
            return Ok(inner);
        }
        Ok(Box::new(MaskedSource { inner, site: self.site(settings) }))
    }

    fn target(&self, settings: &SiteSettings) -> Result<Box<dyn Target>> {
        self.inner.target(settings)
    }

    fn grants(&self, settings: &SiteSettings, wanted: &Wanted<'_>) -> Result<Vec<String>> {
        self.inner.grants(settings, wanted)
    }

    fn files(&self, settings: &SiteSettings) -> Result<Box<dyn FileSite>> {
        if settings.masks.is_empty() {
            return self.inner.files(settings);
        }
        Err(Error::invalid(format!(
            "{} is a folder of files, whose columns cannot be masked",
            settings.site
        ))
        .effect("nothing is read from it")
        .fix("take `mask` out of sites.toml, and leave the columns out in the flow's [transform]")
        .code("E0220"))
    }
}

/// The masks of one site, with what applies them.
#[derive(Clone)]
struct MaskedSite {
    site: String,
    masks: Masks,
    key: Option<MaskKey>,
}

impl MaskedSite {
    /// The mask of a table.
    fn of(&self, table: &str) -> Option<&TableMask> {
        self.masks.of(table)
    }

    /// The masked tables, as the site spells them. Each mask names one that is there, or a view: a mask that was
    /// misspelt would mask nothing.
    fn tables(&self, inner: &mut (impl Readable + ?Sized)) -> Result<Vec<String>> {
        let mut tables = inner.tables()?;
        tables.retain(|table| self.of(table).is_some());
        for mask in self.masks.tables() {
            if tables.iter().any(|table| table.eq_ignore_ascii_case(&mask.table)) {
                continue;
            }
            match inner.describe(&mask.table) {
                Ok(_) => tables.push(mask.table.clone()),
                Err(e) if e.kind == Kind::Invalid => {
                    return Err(
                        self.unfit(&mask.table, &format!("there is no table {}", mask.table))
                    );
                }
                Err(e) => return Err(e),
            }
        }
        Ok(tables)
    }

    /// A table as its mask leaves it.
    fn plan(&self, mask: &TableMask, schema: TableSchema) -> Result<MaskedTable> {
        MaskedTable::plan(mask, &Arc::new(schema)).map_err(|e| self.misfit(&mask.table, &e))
    }

    fn key(&self) -> Result<&MaskKey> {
        let what = "masked rows cannot be read without the project's key";
        self.key.as_ref().ok_or_else(|| Error::internal(what))
    }

    fn misfit(&self, table: &str, unfit: &Unfit) -> Error {
        self.unfit(table, &unfit.to_string())
    }

    fn unfit(&self, table: &str, found: &str) -> Error {
        Error::invalid(format!("the mask of {table} at {} does not fit the site", self.site))
            .found(found)
            .effect("nothing is read from it, so that no value passes unmasked")
            .fix(format!("correct `mask` in sites.toml; seamount sites discover {}", self.site))
            .code("E0420")
    }
}

#[cfg(test)]
mod tests;
