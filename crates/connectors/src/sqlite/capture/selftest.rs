//! Tries the triggers on a database in memory before they are trusted with a real one.
//!
//! The order in which triggers run is what SQLite does, not what it promises. A library that runs them in another
//! order would record changes in another order than they happened, so the capture does not begin with it.

use super::super::error::failed;
use super::subject::Subject;
use super::triggers::{note_table_sql, triggers};
use connect::{Error, Result};
use rusqlite::Connection;
use std::sync::OnceLock;

const TABLE: &str = "
CREATE TABLE _seamount_change (id INTEGER PRIMARY KEY, shape, op, n0, o0, n1, o1);
CREATE TABLE tried (id INTEGER PRIMARY KEY, name UNIQUE);
CREATE TRIGGER first AFTER INSERT ON tried BEGIN UPDATE tried SET name = name || '!' WHERE id = NEW.id; END;
CREATE TRIGGER second AFTER INSERT ON tried WHEN NEW.id = 3 BEGIN DELETE FROM tried WHERE id = 3; END;
";

const WORK: &str = "
INSERT INTO tried VALUES (1, 'a');
INSERT OR REPLACE INTO tried VALUES (2, 'a!');
INSERT INTO tried VALUES (3, 'c');
";

/// Op, new and old key, in the order in which they must be recorded.
const EXPECTED: &str = "1:1:, 2:1:1, 3::1, 1:2:, 2:2:2, 1:3:, 3::3";

/// Tries once for this process.
pub(super) fn require_order() -> Result<()> {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let sound = match FOUND.get() {
        Some(sound) => *sound,
        None => {
            let sound = recorded()? == EXPECTED;
            *FOUND.get_or_init(|| sound)
        }
    };
    if sound {
        return Ok(());
    }
    Err(Error::invalid("this SQLite library runs triggers in another order than the capture needs")
        .effect("changes would be recorded in another order than they happened")
        .fix("build with the bundled library"))
}

fn recorded() -> Result<String> {
    let trying = || failed("cannot try the capture's triggers");
    let connection = Connection::open_in_memory().map_err(trying())?;
    connection.execute_batch(TABLE).map_err(trying())?;
    let subject = Subject::read(&connection, "tried")?;
    connection.execute_batch(&note_table_sql(&subject, 1)).map_err(trying())?;
    for trigger in triggers(&subject, 1) {
        connection.execute_batch(&trigger.sql).map_err(trying())?;
    }
    connection.execute_batch(WORK).map_err(trying())?;
    connection
        .query_row(
            "SELECT group_concat(op || ':' || coalesce(n0, '') || ':' || coalesce(o0, ''), ', ')
             FROM (SELECT * FROM _seamount_change ORDER BY id)",
            [],
            |row| row.get(0),
        )
        .map_err(trying())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_at_hand_runs_the_newest_trigger_first() {
        assert_eq!(recorded().unwrap(), EXPECTED);
    }
}
