//! Real systems as sites: SQLite databases and folders of files.
//!
//! Every product name of the project lives here, behind the traits of `connect`; nothing above this crate knows one.

pub mod files;
pub mod postgres;
pub mod sqlite;
