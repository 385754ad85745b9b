//! What a connector is: code that makes one system a site, found by the scheme of the site's url.

use crate::error::Result;
use crate::files::FileSite;
use crate::read::Readable;
pub use crate::setting::SiteSettings;
use crate::source::Source;
use crate::target::Target;

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

/// What flows want of a site.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'w> {
    /// Tables that are read or captured, as flows spell them.
    pub read: &'w [String],
    /// Those of them that are captured.
    pub captured: &'w [String],
    /// Tables that are written.
    pub written: &'w [String],
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

    /// Statements that give a site's login the least it needs, for the site's owner to carry out; none where a site has
    /// no logins.
    ///
    /// # Errors
    /// As [`Connector::readable`]; nothing is opened.
    fn grants(&self, _settings: &SiteSettings, _wanted: &Wanted<'_>) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Opens a site that is a folder of files.
    ///
    /// # Errors
    /// As [`Connector::readable`]; `Invalid` when the site is none.
    fn files(&self, settings: &SiteSettings) -> Result<Box<dyn FileSite>>;
}
