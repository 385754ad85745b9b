//! What `check --online`, `plan` and the start of a run may ask of the sites.

use change::TableSchema;
use connect::{Capabilities, Connectors, Error, FileOptions, Kind, Readable, Result};
use flow::{Inspect, Project};
use std::collections::BTreeMap;

/// Asks the sites of a project.
pub(crate) struct Asking<'p> {
    project: &'p Project,
    connectors: &'p Connectors,
    unanswered: usize,
}

impl<'p> Asking<'p> {
    pub(crate) fn new(project: &'p Project, connectors: &'p Connectors) -> Self {
        Asking { project, connectors, unanswered: 0 }
    }

    /// Questions that could not be put now: the site is gone or locked.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Counts a question that could not be put.
    fn noted<T>(&mut self, answer: Result<T>) -> Result<T> {
        let gone = answer.as_ref().is_err_and(|error| error.kind == Kind::Unavailable);
        self.unanswered += usize::from(gone);
        answer
    }

    fn look(&self, site: &str, table: &str) -> Result<TableSchema> {
        self.open(site)?.describe(table)
    }

    fn open(&self, site: &str) -> Result<Box<dyn Readable>> {
        let site = self.site(site)?;
        self.connectors.of(&site.settings)?.readable(&site.settings)
    }

    fn look_at_files(
        &self,
        site: &str,
        pattern: &str,
        types: &BTreeMap<String, String>,
    ) -> Result<TableSchema> {
        let site = self.site(site)?;
        let mut folder = self.connectors.of(&site.settings)?.files(&site.settings)?;
        let files = folder.list(pattern)?;
        let first = files.first().ok_or_else(|| {
            Error::invalid(format!("no file matches {pattern}")).fix("correct `files` in the flow")
        })?;
        folder.describe(first, &FileOptions { types: types.clone() })
    }

    fn site(&self, name: &str) -> Result<&flow::Site> {
        self.project.sites.get(name).ok_or_else(|| Error::internal(format!("unknown site {name}")))
    }
}

impl Inspect for Asking<'_> {
    fn describe(&mut self, site: &str, table: &str) -> Result<TableSchema> {
        let answer = self.look(site, table);
        self.noted(answer)
    }

    fn describe_files(
        &mut self,
        site: &str,
        pattern: &str,
        types: &BTreeMap<String, String>,
    ) -> Result<TableSchema> {
        let answer = self.look_at_files(site, pattern, types);
        self.noted(answer)
    }

    fn keeps_old_rows(&mut self, site: &str, table: &str) -> Result<bool> {
        let answer = self.open(site).and_then(|mut site| site.keeps_old_rows(table));
        self.noted(answer)
    }

    fn capabilities(&self, site: &str) -> Capabilities {
        let nothing = Capabilities {
            capture: false,
            old_images: false,
            transactional_target: false,
            staged_target: false,
            files: false,
        };
        self.site(site)
            .and_then(|site| self.connectors.of(&site.settings))
            .map_or(nothing, |connector| connector.capabilities())
    }
}
