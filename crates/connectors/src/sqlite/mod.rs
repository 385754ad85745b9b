//! SQLite databases as sites: read at a cut, captured by triggers, written with progress in one transaction.
//!
//! `sqlite:path/to.db`, relative to the project's folder; option `busy_timeout_ms` (default 5000) says how long
//! to wait for a lock. No two roles share a connection. A path may be absolute or begin with `..`: `sites.toml` is the
//! operator's file, and nothing else can name a database.

mod bind;
mod book;
mod capture;
mod catalogue;
mod database;
mod decode;
mod error;
mod filter;
mod form;
pub mod names;
mod read;
pub mod target;
mod time;
pub mod types;

use change::TableSchema;
use connect::component::{Capabilities, Connector, SiteSettings};
use connect::files::FileSite;
use connect::read::{Cut, Readable};
use connect::source::Source;
use connect::target::Target;
use connect::{Error, Result};
use database::Database;
use read::SqliteCut;
use rusqlite::Connection;
use target::SqliteTarget;

/// The connector of SQLite databases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sqlite;

impl Connector for Sqlite {
    fn scheme(&self) -> &'static str {
        "sqlite"
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
        Ok(Box::new(SqliteSite::open(settings)?))
    }

    fn source(&self, settings: &SiteSettings) -> Result<Box<dyn Source>> {
        Ok(Box::new(SqliteSite::open(settings)?))
    }

    fn target(&self, settings: &SiteSettings) -> Result<Box<dyn Target>> {
        Ok(Box::new(SqliteTarget::open(settings)?))
    }

    fn files(&self, settings: &SiteSettings) -> Result<Box<dyn FileSite>> {
        Err(Error::invalid(format!("site {} is a database, no folder of files", settings.site))
            .fix("name a table instead, or give the site a url that begins with `files:`"))
    }
}

/// A database that is read, and captured.
#[derive(Debug)]
pub struct SqliteSite {
    database: Database,
    connection: Connection,
}

impl SqliteSite {
    /// Opens an existing database.
    ///
    /// # Errors
    /// `Unavailable` when there is no file, it may not be read or is locked; `Corrupt` when it is no database;
    /// `Invalid` when the settings are wrong.
    pub fn open(settings: &SiteSettings) -> Result<SqliteSite> {
        let database = Database::of(settings)?;
        let connection = database.reading()?;
        Ok(SqliteSite { database, connection })
    }
}

impl Readable for SqliteSite {
    fn tables(&mut self) -> Result<Vec<String>> {
        catalogue::tables(&self.connection)
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        catalogue::require_shape(&self.connection, table)?.schema()
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        Ok(Box::new(SqliteCut::open(&self.database)?))
    }
}
