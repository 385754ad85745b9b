//! PostgreSQL databases as sites: read at a cut, captured by logical replication, written with progress in one
//! transaction.
//!
//! `postgres://user@host:5432/database`; docs/postgresql.md has the options. No two roles share a connection, and every
//! connection is set so that each value has one text ([`session`]).

mod address;
mod binary;
mod book;
mod capture;
mod catalogue;
mod copied;
mod decode;
mod error;
mod filter;
mod grants;
mod login;
pub mod names;
mod read;
mod rows;
mod session;
mod spares;
mod target;
mod text;
mod tls;
pub mod types;

use address::Address;
use catalogue::ReplicaIdentity;
use change::TableSchema;
use connect::component::{Capabilities, Connector, SiteSettings, Wanted};
use connect::files::FileSite;
use connect::read::{Cut, Readable};
use connect::source::Source;
use connect::target::Target;
use connect::{Error, Result};
use names::TableName;
use postgres::Client;
use read::PgCut;
use spares::Spares;

/// The connector of PostgreSQL databases.
#[derive(Clone, Copy, Debug)]
pub struct Postgres {
    scheme: &'static str,
}

impl Postgres {
    /// The connector under one of its two schemes, `postgres` and `postgresql`.
    pub fn new(scheme: &'static str) -> Postgres {
        Postgres { scheme }
    }
}

impl Connector for Postgres {
    fn scheme(&self) -> &'static str {
        self.scheme
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            capture: true,
            // As far as the replica identity of a table goes: `keeps_old_rows` says.
            old_images: true,
            transactional_target: true,
            staged_target: true,
            files: false,
        }
    }

    fn readable(&self, settings: &SiteSettings) -> Result<Box<dyn Readable>> {
        Ok(Box::new(PgSite::open(settings)?))
    }

    fn source(&self, settings: &SiteSettings) -> Result<Box<dyn Source>> {
        Ok(Box::new(PgSite::open(settings)?))
    }

    fn target(&self, settings: &SiteSettings) -> Result<Box<dyn Target>> {
        target::open(settings)
    }

    fn grants(&self, settings: &SiteSettings, wanted: &Wanted<'_>) -> Result<Vec<String>> {
        grants::statements(settings, wanted)
    }

    fn files(&self, settings: &SiteSettings) -> Result<Box<dyn FileSite>> {
        Err(Error::invalid(format!("site {} is a database, no folder of files", settings.site))
            .fix("name a table instead, or give the site a url that begins with `files:`"))
    }
}

/// A database that is read, and captured.
pub struct PgSite {
    address: Address,
    client: Client,
    spares: Spares,
}

impl PgSite {
    /// Logs in.
    ///
    /// # Errors
    /// `Unavailable` when the server cannot be reached, `Invalid` when it refuses the login or the settings are wrong.
    pub fn open(settings: &SiteSettings) -> Result<PgSite> {
        let address = Address::of(settings)?;
        let client = session::connect(&address)?;
        let spares = Spares::new(address.clone());
        Ok(PgSite { address, client, spares })
    }
}

impl Readable for PgSite {
    fn tables(&mut self) -> Result<Vec<String>> {
        catalogue::tables(&mut self.client)
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        let name = TableName::parse(table)?;
        catalogue::require_shape(&mut self.client, &name, self.address.as_text)?.schema()
    }

    fn keeps_old_rows(&mut self, table: &str) -> Result<bool> {
        let name = TableName::parse(table)?;
        let shape = catalogue::require_shape(&mut self.client, &name, self.address.as_text)?;
        Ok(shape.identity == ReplicaIdentity::Full)
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        Ok(Box::new(PgCut::open(&self.spares)?))
    }
}
