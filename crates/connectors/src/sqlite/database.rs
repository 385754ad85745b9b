//! Opening a database file, by role: no connection is shared, and each role disturbs the application as little
//! as it can.
//!
//! Reading and capturing connections never checkpoint: not on close, not on their own. Only a target's connection
//! does, because there we are the writer.

use super::error::failed;
use connect::component::SiteSettings;
use connect::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The first library without the race that lets a WAL be reset under a reader.
const OLDEST_LIBRARY: i32 = 3_051_003;

const BUSY_TIMEOUT_MS: u64 = 5_000;

/// Statements kept prepared for each connection.
const PREPARED_STATEMENTS: usize = 256;

/// Where a site's database is, and how patient we are with its locks.
#[derive(Clone, Debug)]
pub(super) struct Database {
    site: String,
    path: PathBuf,
    /// The path as messages show it: a part of it can be a secret.
    shown: String,
    busy_timeout: Duration,
}

impl Database {
    /// Reads a site's settings.
    pub(super) fn of(settings: &SiteSettings) -> Result<Database> {
        require_library(rusqlite::version_number())?;
        let timeout = match settings.option("busy_timeout_ms")? {
            None => BUSY_TIMEOUT_MS,
            Some(given) => given
                .expose()
                .parse::<i32>()
                .ok()
                .and_then(|ms| u64::try_from(ms).ok())
                .ok_or_else(|| {
                    Error::invalid(format!("site {} has no usable busy_timeout_ms", settings.site))
                        .fix("give a whole number of milliseconds")
                })?,
        };
        Ok(Database {
            site: settings.site.clone(),
            path: settings.path()?,
            shown: settings.shown_path(),
            busy_timeout: Duration::from_millis(timeout),
        })
    }

    /// The site's name.
    pub(super) fn site(&self) -> &str {
        &self.site
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, as messages name it.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// A connection that cannot write and never checkpoints.
    pub(super) fn reading(&self) -> Result<Connection> {
        let connection = self.undisturbing()?;
        connection
            .pragma_update(None, "query_only", true)
            .map_err(failed(format!("cannot set up a connection to site {}", self.site)))?;
        Ok(connection)
    }

    /// A connection for the capture: it writes to our own tables and never checkpoints.
    pub(super) fn capturing(&self) -> Result<Connection> {
        let connection = self.undisturbing()?;
        self.require_writable(&connection)?;
        Ok(connection)
    }

    /// A connection that writes rows: the database is created where there is none, and commits are durable.
    pub(super) fn target(&self) -> Result<Connection> {
        let new = std::fs::metadata(&self.path).map_or(true, |file| file.len() == 0);
        let flags = if new { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
        let connection = self.open(flags)?;
        self.require_writable(&connection)?;
        let setting = || failed(format!("cannot set up the target at site {}", self.site));
        if new {
            connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(setting())?;
        }
        // As FULL, and in a rollback-journal database the journal's removal is durable too: without it a power cut
        // could bring the journal back and undo a commit that we have told of.
        connection.pragma_update(None, "synchronous", "EXTRA").map_err(setting())?;
        connection.pragma_update(None, "temp_store", "MEMORY").map_err(setting())?;
        // After a sync that failed, the system's memory shows commits that the disk has lost, and no second sync writes
        // them: ours behind them would be lost with them. So they are written once more, into the file itself. What a
        // reader holds on to stays where it is.
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(setting())?;
        connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
        Ok(connection)
    }

    fn undisturbing(&self) -> Result<Connection> {
        if !self.path.exists() {
            return Err(Error::unavailable(format!("site {} has no database", self.site))
                .found(format!("there is no file {}", self.shown))
                .fix("correct the site's url, or create the database"));
        }
        let connection = self.open(OpenFlags::empty())?;
        let setting = || failed(format!("cannot set up a connection to site {}", self.site));
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(setting())?;
        connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(())).map_err(setting())?;
        Ok(connection)
    }

    fn open(&self, extra: OpenFlags) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | extra;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(|e| {
            let mut error = failed(format!("cannot open the database of site {}", self.site))(e);
            error.found = Some(self.shown.clone());
            // SQLite's own words repeat the path as it is, secrets included.
            error.source = None;
            error.fix = Some("check that the path is right and the file may be read".into());
            error
        })?;
        connection
            .busy_timeout(self.busy_timeout)
            .map_err(failed(format!("cannot set up a connection to site {}", self.site)))?;
        self.check(&connection)?;
        Ok(connection)
    }

    /// The file is a database, and its order of text is the order of UTF-8 bytes.
    fn check(&self, connection: &Connection) -> Result<()> {
        let reading = || failed(format!("cannot read the database of site {}", self.site));
        connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .map_err(reading())?;
        let encoding: String =
            connection.query_row("PRAGMA encoding", [], |row| row.get(0)).map_err(reading())?;
        if encoding == "UTF-8" {
            return Ok(());
        }
        Err(Error::invalid(format!("the database of site {} does not store UTF-8", self.site))
            .found(format!("its encoding is {encoding}"))
            .effect("text keys would sort in another order than at other sites")
            .fix("dump the database into a new one with `PRAGMA encoding = 'UTF-8'`"))
    }

    fn require_writable(&self, connection: &Connection) -> Result<()> {
        let read_only = connection
            .is_readonly(MAIN_DB)
            .map_err(failed(format!("cannot open the database of site {}", self.site)))?;
        if !read_only {
            return Ok(());
        }
        Err(Error::unavailable(format!("the database of site {} cannot be written", self.site))
            .found(format!("{} may only be read", self.shown))
            .fix("give the user who runs the engine the right to write it"))
    }
}

fn require_library(version: i32) -> Result<()> {
    if version >= OLDEST_LIBRARY {
        return Ok(());
    }
    Err(Error::invalid("the SQLite library is too old")
        .found(format!("version {version}, needed is {OLDEST_LIBRARY}"))
        .effect("its write-ahead log can be reset under a reader: silent corruption")
        .fix("build with the bundled library"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_library_is_refused() {
        assert!(require_library(3_051_002).is_err());
        assert!(require_library(rusqlite::version_number()).is_ok());
    }
}
