//! What an error of SQLite means for whoever called: retry, park, stop.
//!
//! SQLite names tables and columns in its messages, never values; only a trigger of the application can, so the
//! words of triggers are left out.

use connect::{Error, Kind, State};
use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER;

/// Turns an error of SQLite into ours; for `map_err`.
pub(super) fn failed(what: impl Into<String>) -> impl FnOnce(rusqlite::Error) -> Error {
    move |error| explain(what.into(), error)
}

fn explain(what: String, error: rusqlite::Error) -> Error {
    let (code, extended) = match &error {
        rusqlite::Error::SqliteFailure(failure, _) => (failure.code, failure.extended_code),
        rusqlite::Error::SqlInputError { error, .. } => (error.code, error.extended_code),
        // A column of another type than our own code asked for, a statement with another shape.
        _ => return Error::internal(what).caused_by(error),
    };
    if extended == SQLITE_CONSTRAINT_TRIGGER {
        return Error::refused(what).found("a trigger of the application refused the row");
    }
    let said = message(&error);
    let kind = kind_of(code);
    let mut ours = Error::new(kind, what).found(said);
    match code {
        ErrorCode::DiskFull => {
            ours = ours
                .state(State::DiskFull)
                .effect("nothing of this was written")
                .fix("free space on the disk of the database");
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            ours = ours.fix("find who holds the lock, or raise `busy_timeout_ms` of the site");
        }
        ErrorCode::NotADatabase => ours = ours.found("the file is no SQLite database"),
        _ => {}
    }
    ours.caused_by(error)
}

fn kind_of(code: ErrorCode) -> Kind {
    match code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::DiskFull
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::OutOfMemory
        | ErrorCode::OperationInterrupted
        | ErrorCode::OperationAborted
        | ErrorCode::SchemaChanged => Kind::Unavailable,
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig => {
            Kind::Refused
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure => {
            Kind::Corrupt
        }
        // The generic code: no such table, no such column, a name that cannot be.
        ErrorCode::Unknown => Kind::Invalid,
        _ => Kind::Internal,
    }
}

/// SQLite's own words, without the statement.
fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(failure, None) => failure.to_string(),
        rusqlite::Error::SqliteFailure(_, Some(said)) => said.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    fn kind(sql: &str) -> Error {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL CHECK (length(b) < 5)) STRICT;
             INSERT INTO t VALUES (1, 'x');
             CREATE TRIGGER guard BEFORE UPDATE ON t
             BEGIN SELECT RAISE(ABORT, 'secret'); END;",
        )
        .unwrap();
        failed("cannot write t")(db.execute_batch(sql).unwrap_err())
    }

    #[test]
    fn rows_that_break_rules_are_refused() {
        for sql in [
            "INSERT INTO t VALUES (1, 'y')",
            "INSERT INTO t VALUES (2, NULL)",
            "INSERT INTO t VALUES (2, 'too long')",
            "INSERT INTO t VALUES ('a', 'y')",
        ] {
            assert_eq!(kind(sql).kind, Kind::Refused, "{sql}");
        }
        assert_eq!(kind("SELECT * FROM nowhere").kind, Kind::Invalid);
    }

    #[test]
    fn the_words_of_a_trigger_stay_inside() {
        let error = kind("UPDATE t SET b = 'z'");
        assert_eq!(error.kind, Kind::Refused);
        assert!(!format!("{error:?}").contains("secret"));
    }
}
