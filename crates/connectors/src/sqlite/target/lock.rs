//! The write lock of a database: a transaction that is rolled back unless it is committed, and the savepoints
//! inside it.

use super::super::error::failed;
use connect::Result;
use rusqlite::Connection;

/// An open write transaction.
pub(super) struct WriteLock<'c> {
    connection: &'c Connection,
}

impl<'c> WriteLock<'c> {
    /// Takes the lock, waiting for it as long as the site's settings say.
    pub(super) fn take(connection: &'c Connection) -> Result<WriteLock<'c>> {
        connection.execute_batch("BEGIN IMMEDIATE").map_err(failed("cannot lock the target"))?;
        Ok(WriteLock { connection })
    }

    /// The connection that holds the lock.
    pub(super) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Makes everything durable and visible.
    pub(super) fn commit(self) -> Result<()> {
        // When this fails the transaction may still be open; dropping the lock ends it.
        self.connection.execute_batch("COMMIT").map_err(failed("cannot commit at the target"))
    }
}

impl Drop for WriteLock<'_> {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            // When even this fails, the next BEGIN does too, and says why.
            drop(self.connection.execute_batch("ROLLBACK"));
        }
    }
}

/// Runs work that leaves nothing behind when it fails.
pub(super) fn attempt<T>(connection: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let run = |sql: &str| {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map_err(failed("cannot set a savepoint at the target"))
    };
    run("SAVEPOINT attempt")?;
    let outcome = work();
    // A full disk or an I/O error has rolled everything back already; then the work's own error counts.
    if outcome.is_err() && connection.is_autocommit() {
        return outcome;
    }
    if outcome.is_err() {
        run("ROLLBACK TO attempt")?;
    }
    run("RELEASE attempt")?;
    outcome
}
