//! The connectors of a binary, each behind the masks of its sites.
//!
//! Whoever opens a site comes through here, so that no reader can forget a mask.

use crate::component::Connector;
use crate::error::{Error, Result};
use crate::masked::Masking;
use crate::setting::SiteSettings;
use change::mask::MaskKey;

/// All connectors of this binary.
#[derive(Default)]
pub struct Connectors(Vec<Masking>);

impl Connectors {
    /// A set of connectors; schemes must differ. Without a key, masked tables can be described and not read.
    pub fn new(all: Vec<Box<dyn Connector>>) -> Self {
        Connectors(all.into_iter().map(Masking::new).collect())
    }

    /// The same connectors with the project's key of hashes.
    #[must_use]
    pub fn with_mask_key(mut self, key: &MaskKey) -> Self {
        self.0.iter_mut().for_each(|connector| connector.give(key.clone()));
        self
    }

    /// The connector of a site.
    ///
    /// # Errors
    /// `Invalid` when no connector answers to the url's scheme.
    pub fn of(&self, settings: &SiteSettings) -> Result<&dyn Connector> {
        let scheme = settings.scheme();
        let known = self.0.iter().find(|c| c.scheme() == scheme);
        known.map(|connector| connector as &dyn Connector).ok_or_else(|| {
            let known: Vec<&str> = self.schemes().collect();
            Error::invalid(format!("site {} has a url of an unknown kind", settings.site))
                .found(format!("`{}:`; known are {}", settings.shown_scheme(), known.join(", ")))
                .code("E0203")
        })
    }

    /// The schemes known.
    pub fn schemes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|connector| connector.scheme())
    }
}
