//! Capture of a PostgreSQL database by logical replication: one slot and one publication for each site.
//!
//! The server decodes its write-ahead log and sends committed transactions in the order of their commits. Nothing here
//! is shared with the cuts: this side has its own connection, its own decoder of text, so that a proof does not repeat
//! its faults. Invariant: the server lets go of nothing that is not durable in our log, and of the newest place not even
//! then: it comes again at every connect, and is compared.

mod assemble;
mod auth;
mod cells;
mod gather;
mod identity;
mod open;
mod parse;
mod pgoutput;
mod place;
mod publication;
mod reader;
mod rows;
mod shapes;
mod slot;
mod stream;
mod wire;
pub(super) mod xids;

pub(super) use rows::make_durable;

pub(super) use identity::publication_prefix;

use super::PgSite;
use connect::Result;
use connect::source::{ChangeReader, Resume, Source};

impl Source for PgSite {
    fn capture(&mut self, tables: &[String], resume: &Resume) -> Result<Box<dyn ChangeReader>> {
        Ok(Box::new(open::open(&self.address, tables, resume)?))
    }
}
