//! What an error of PostgreSQL means for whoever called: retry, park, stop. Decided by SQLSTATE alone.
//!
//! The server's primary message names tables, columns and constraints, and for bad input also the value: where a row
//! can be at fault, only the state, the constraint and the column are told. Its DETAIL is never shown: it holds rows.

use connect::{Error, Kind, State};
use postgres::error::{DbError, SqlState};

/// Turns an error of the client into ours; for `map_err`.
pub(super) fn failed(what: impl Into<String>) -> impl FnOnce(postgres::Error) -> Error {
    move |error| explain(what.into(), &error)
}

fn explain(what: String, error: &postgres::Error) -> Error {
    match error.as_db_error() {
        Some(said) => refusal(what, said),
        // The connection is gone, or could not be made. The cause is told, the error itself is not kept: its text may
        // hold what a login said.
        None => Error::unavailable(what)
            .found(innermost(error))
            .fix("see that the server runs and can be reached"),
    }
}

/// What the server said.
pub(super) fn refusal(what: String, said: &DbError) -> Error {
    let state = said.code();
    let kind = kind_of(state.code());
    let mut error = Error::new(kind, what).found(told(kind, said));
    if *state == SqlState::DISK_FULL {
        error = error.state(State::DiskFull).effect("nothing of this was written");
    }
    if *state == SqlState::INSUFFICIENT_PRIVILEGE {
        error = error.fix("grant it: seamount sites grants prints the statements");
    }
    error
}

fn told(kind: Kind, said: &DbError) -> String {
    let state = said.code().code();
    if kind != Kind::Refused {
        return format!("{} (SQLSTATE {state})", said.message());
    }
    let place =
        [("constraint", said.constraint()), ("column", said.column()), ("table", said.table())];
    let place = place.iter().find_map(|(what, name)| name.map(|name| format!("{what} {name}")));
    let rule = rule(state);
    place.map_or(format!("{rule} (SQLSTATE {state})"), |place| {
        format!("{rule}: {place} (SQLSTATE {state})")
    })
}

/// The rule that a row broke, in words.
fn rule(state: &str) -> &'static str {
    match state {
        "23505" => "the value is there already",
        "23503" => "the row refers to one that is not there, or is referred to",
        "23502" => "a value is missing",
        "23514" => "a check says no",
        "23P01" => "it overlaps with another row",
        "P0001" => "a trigger or function of the database says no",
        "22001" => "the text is too long",
        "22003" => "the number is too large",
        "22P02" | "22007" | "22008" => "the text is no value of the column's type",
        _ => "the row breaks a rule of the database",
    }
}

/// The decision by class, `conventions.md` 1 (from PostgreSQL's own list of states, appendix A of its manual).
pub(super) fn kind_of(state: &str) -> Kind {
    match state {
        // A conflict of the moment, resources, an operator who stops the server, another node that leads now.
        "55P03" | "25006" | "55006" | "57014" => Kind::Unavailable,
        // A trigger of the application says no to a row, in words that may tell what stands in it.
        "P0001" => Kind::Refused,
        _ => match &state[..state.len().min(2)] {
            "08" | "40" | "53" | "57" | "58" => Kind::Unavailable,
            "22" | "23" => Kind::Refused,
            "XX" => Kind::Corrupt,
            // Login, names, rights, what is not supported, limits.
            _ => Kind::Invalid,
        },
    }
}

fn innermost(error: &postgres::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_decide() {
        for (state, kind) in [
            ("40001", Kind::Unavailable),
            ("57P01", Kind::Unavailable),
            ("25006", Kind::Unavailable),
            ("23505", Kind::Refused),
            ("22P02", Kind::Refused),
            ("P0001", Kind::Refused),
            ("42P01", Kind::Invalid),
            ("28P01", Kind::Invalid),
            ("XX001", Kind::Corrupt),
        ] {
            assert_eq!(kind_of(state), kind, "{state}");
        }
    }
}
