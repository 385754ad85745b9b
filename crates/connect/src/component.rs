//! Which systems there are: a connector per kind of site, found by the scheme of its url.

use crate::error::{Error, Result};
use crate::files::FileSite;
use crate::read::Readable;
use crate::source::Source;
use crate::target::Target;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A site's settings, resolved: secrets are in, references are not. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SiteSettings {
    /// The site's name, for messages.
    pub site: String,
    /// `sqlite:path/to.db`, `files:folder`: scheme, colon, rest.
    pub url: String,
    /// The project's folder; relative paths begin there.
    pub root: PathBuf,
    /// Everything else that `sites.toml` says of the site.
    pub options: BTreeMap<String, String>,
}

impl SiteSettings {
    /// The part of the url before the first colon.
    pub fn scheme(&self) -> &str {
        self.url.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// The part of the url behind the first colon, as a path below the project's folder.
    pub fn path(&self) -> PathBuf {
        self.root.join(self.url.split_once(':').map_or("", |(_, rest)| rest))
    }
}

impl std::fmt::Debug for SiteSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SiteSettings({}, {}:...)", self.site, self.scheme())
    }
}

/// What a connector can do, declared; `check` refuses before a run what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Changes can be captured.
    pub capture: bool,
    /// Old images come with updates and deletes.
    pub old_images: bool,
    /// Rows can be written with their progress in one transaction.
    pub transactional_target: bool,
    /// Runs can be staged and published.
    pub staged_target: bool,
    /// The site is a folder of files: `[from] files = ...`.
    pub files: bool,
}

/// Code that makes one system a site.
pub trait Connector: Send + Sync {
    /// The url scheme it answers to.
    fn scheme(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Opens a site for reading.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be reached or is locked, `Invalid` when the settings are wrong.
    fn readable(&self, settings: &SiteSettings) -> Result<Box<dyn Readable>>;

    /// Opens a site for capture.
    ///
    /// # Errors
    /// As [`Connector::readable`]; `Invalid` when the connector cannot capture.
    fn source(&self, settings: &SiteSettings) -> Result<Box<dyn Source>>;

    /// Opens a site for writing.
    ///
    /// # Errors
    /// As [`Connector::readable`]; `Invalid` when the connector cannot write.
    fn target(&self, settings: &SiteSettings) -> Result<Box<dyn Target>>;

    /// Opens a site that is a folder of files.
    ///
    /// # Errors
    /// As [`Connector::readable`]; `Invalid` when the site is none.
    fn files(&self, settings: &SiteSettings) -> Result<Box<dyn FileSite>>;
}

/// All connectors of this binary.
#[derive(Default)]
pub struct Connectors(Vec<Box<dyn Connector>>);

impl Connectors {
    /// A set of connectors; schemes must differ.
    pub fn new(all: Vec<Box<dyn Connector>>) -> Self {
        Connectors(all)
    }

    /// The connector of a site.
    ///
    /// # Errors
    /// `Invalid` when no connector answers to the url's scheme.
    pub fn of(&self, settings: &SiteSettings) -> Result<&dyn Connector> {
        let scheme = settings.scheme();
        self.0.iter().find(|c| c.scheme() == scheme).map(AsRef::as_ref).ok_or_else(|| {
            let known: Vec<&str> = self.schemes().collect();
            Error::invalid(format!("site {} has a url of an unknown kind", settings.site))
                .found(format!("`{scheme}:`; known are {}", known.join(", ")))
                .code("E0203")
        })
    }

    /// The schemes known.
    pub fn schemes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|c| c.scheme())
    }
}
