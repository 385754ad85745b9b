//! Capture of a SQLite database by triggers, into a change table that lives beside the application's tables.
//!
//! Our triggers run inside the application's own transactions, so a change is in the change table exactly when its
//! row is: what is rolled back leaves no trace, and one order holds over all tables. Nothing here is shared with
//! the cuts: this side has its own connection and its own decoder, so that a proof does not repeat its faults.
//!
//! SQLite does not tell where one transaction ends and the next begins. A group is everything that was committed
//! between two looks, or a part of it: whole transactions always.

mod cells;
mod file;
mod gather;
mod install;
mod keys;
mod place;
mod reader;
mod register;
mod rows;
mod selftest;
mod sql;
mod subject;
mod survey;
mod triggers;
mod trim;

use super::SqliteSite;
use connect::Result;
use connect::source::{ChangeReader, Resume, Source};
use reader::SqliteReader;

impl Source for SqliteSite {
    fn capture(&mut self, tables: &[String], resume: &Resume) -> Result<Box<dyn ChangeReader>> {
        Ok(Box::new(SqliteReader::open(&self.database, tables, resume)?))
    }
}
