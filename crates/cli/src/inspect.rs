//! What `check --online` and `plan` may ask of the sites.

use change::TableSchema;
use connect::{Capabilities, Connectors, Error, FileOptions, Result};
use flow::{Inspect, Project};
use std::collections::BTreeMap;

/// Asks the sites of a project.
pub(crate) struct Asking<'p> {
    pub(crate) project: &'p Project,
    pub(crate) connectors: &'p Connectors,
}

impl Asking<'_> {
    fn site(&self, name: &str) -> Result<&flow::Site> {
        self.project.sites.get(name).ok_or_else(|| Error::internal(format!("unknown site {name}")))
    }
}

impl Inspect for Asking<'_> {
    fn describe(&mut self, site: &str, table: &str) -> Result<TableSchema> {
        let site = self.site(site)?;
        self.connectors.of(&site.settings)?.readable(&site.settings)?.describe(table)
    }

    fn describe_files(
        &mut self,
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
