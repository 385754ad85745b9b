//! The one connector of the simulated world: sources by name, one target.

use super::source::{FaultyReadable, FaultySource};
use super::target::FaultyTarget;
use crate::world::machine::{Boot, Place};
use connect::memory::{MemorySource, MemoryTarget};
use connect::{
    Bounds, Capabilities, Connector, Error, FileSite, Readable, Result, SiteSettings, Source,
    Target,
};
use std::collections::BTreeMap;

/// The name of the target's site.
pub const CENTRAL: &str = "central";

/// The sites, as one engine reaches them.
pub struct Sites {
    /// Sources by name.
    pub sources: BTreeMap<String, MemorySource>,
    /// The target.
    pub target: MemoryTarget,
    /// The engine's connection to the world.
    pub boot: Boot,
    /// Most that a source hands out at once.
    pub bounds: Bounds,
}

impl Sites {
    fn source_of(&self, settings: &SiteSettings) -> Result<MemorySource> {
        let known = self.sources.get(&settings.site).cloned();
        known.ok_or_else(|| Error::invalid(format!("{} is no source", settings.site)))
    }
}

impl Connector for Sites {
    fn scheme(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            capture: true,
            old_images: true,
            transactional_target: true,
            staged_target: true,
            files: false,
        }
    }

    fn readable(&self, settings: &SiteSettings) -> Result<Box<dyn Readable>> {
        let boot = self.boot.clone();
        if settings.site == CENTRAL {
            let inner = Box::new(self.target.open());
            return Ok(Box::new(FaultyReadable { inner, boot, place: Place::Target }));
        }
        let inner = Box::new(self.source_of(settings)?);
        let place = Place::Source(settings.site.clone());
        Ok(Box::new(FaultyReadable { inner, boot, place }))
    }

    fn source(&self, settings: &SiteSettings) -> Result<Box<dyn Source>> {
        Ok(Box::new(FaultySource {
            inner: self.source_of(settings)?.open(),
            boot: self.boot.clone(),
            site: settings.site.clone(),
            bounds: self.bounds,
        }))
    }

    fn target(&self, _: &SiteSettings) -> Result<Box<dyn Target>> {
        Ok(Box::new(FaultyTarget { inner: self.target.open(), boot: self.boot.clone() }))
    }

    fn files(&self, settings: &SiteSettings) -> Result<Box<dyn FileSite>> {
        Err(Error::invalid(format!("{} holds no files", settings.site)))
    }
}
