//! Read connections, kept for the next reader of the same file.

use crate::failure::unreadable;
use crate::hot;
use connect::Result;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Idle connections kept, over all files.
const KEPT: usize = 16;

/// A bounded set of idle connections.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<(u32, Connection)>>,
}

impl Pool {
    /// Lends a connection to a file.
    pub(crate) fn with<T>(
        &self,
        number: u32,
        path: &Path,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        let kept = {
            let mut idle = self.idle();
            let place = idle.iter().rposition(|(n, _)| *n == number);
            place.map(|place| idle.remove(place).1)
        };
        let connection = match kept {
            Some(connection) => connection,
            None => hot::open_for_reading(path)
                .map_err(|e| unreadable(&e, "a file of the log cannot be opened"))?,
        };
        let result = work(&connection);
        let mut idle = self.idle();
        if idle.len() >= KEPT {
            idle.remove(0);
        }
        idle.push((number, connection));
        result
    }

    /// Closes what is idle on a file that is going.
    pub(crate) fn forget(&self, number: u32) {
        self.idle().retain(|(n, _)| *n != number);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(u32, Connection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
