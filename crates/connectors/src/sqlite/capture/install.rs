//! Begins a capture, and follows the tables as they change: the only place that writes triggers.
//!
//! Looks first without the write lock, and takes it only where there is something to write. Installing, and reading
//! again what the old triggers got wrong, is one write transaction: nobody writes in between, so rows read there
//! stand exactly at their place among the changes.

use super::super::error::failed;
use super::super::names::identifier;
use super::place::{Place, SYSTEM, changed, newest, verify};
use super::register::{self, Register, Shape};
use super::subject::Subject;
use super::survey::{Finding, Harm, spelled_keys, survey};
use super::triggers::{note_table_sql, triggers};
use change::Op;
use connect::source::Resume;
use connect::{Error, Result, State};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::sync::Arc;

/// Most changes whose rows are read again inside one write transaction.
const READ_AGAIN_MOST: i64 = 10_000;

/// Where a capture begins.
pub(super) struct Start {
    pub(super) register: Register,
    pub(super) place: Place,
    /// The schema under which everything is in place.
    pub(super) schema_version: i64,
}

/// Begins or resumes the capture of `wanted` tables.
pub(super) fn begin(
    connection: &Connection,
    file: Option<&str>,
    wanted: &[String],
    resume: &Resume,
) -> Result<Start> {
    {
        let reading = transaction(connection, TransactionBehavior::Deferred)?;
        let plan = Plan::make(&reading, file, wanted, resume)?;
        plan.require_no_null_keys(&reading)?;
        if let Some(start) = plan.nothing_to_do(&reading)? {
            return Ok(start);
        }
    }
    let writing = transaction(connection, TransactionBehavior::Immediate)?;
    let start = Plan::make(&writing, file, wanted, resume)?.carry_out(&writing, file)?;
    writing.commit().map_err(failed("cannot install the capture"))?;
    if *resume != Resume::Fresh {
        register::require_no_gap(connection)?;
    }
    Ok(start)
}

/// Follows a changed schema while the capture runs; `since` is the newest change before it. Returns the version of
/// the schema under which everything is in place again.
pub(super) fn follow(connection: &Connection, wanted: &[String], since: i64) -> Result<i64> {
    {
        let reading = transaction(connection, TransactionBehavior::Deferred)?;
        if survey(&reading, &installed(&reading)?, wanted)?.is_empty() {
            register::require_no_gap(&reading)?;
            return schema_version(&reading);
        }
    }
    let writing = transaction(connection, TransactionBehavior::Immediate)?;
    for finding in survey(&writing, &installed(&writing)?, wanted)? {
        act(&writing, finding, Some(since))?;
    }
    let version = schema_version(&writing)?;
    writing.commit().map_err(failed("cannot adapt the capture"))?;
    register::require_no_gap(connection)?;
    Ok(version)
}

/// The version of the schema that the connection sees.
pub(super) fn schema_version(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("PRAGMA schema_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(failed("cannot read the version of the schema"))
}

/// Opens a transaction that is rolled back unless it is committed.
pub(super) fn transaction(
    connection: &Connection,
    behavior: TransactionBehavior,
) -> Result<Transaction<'_>> {
    Transaction::new_unchecked(connection, behavior).map_err(failed("cannot open a transaction"))
}

fn installed(connection: &Connection) -> Result<Vec<Shape>> {
    let mut shapes = register::shapes(connection)?;
    shapes.retain(|shape| shape.installed);
    Ok(shapes)
}

/// What is to be done before a capture can begin.
struct Plan {
    /// The register that is there, unless everything is to be made anew.
    register: Option<Register>,
    /// Where to go on; `None`: at the newest change.
    resumed: Option<Place>,
    adopt_file: bool,
    retire: Vec<Shape>,
    findings: Vec<Finding>,
}

impl Plan {
    fn make(
        connection: &Connection,
        file: Option<&str>,
        wanted: &[String],
        resume: &Resume,
    ) -> Result<Plan> {
        let found = register::read(connection)?;
        let (register, resumed) = match resume {
            Resume::Fresh => (found.filter(|found| same_file(found, file)), None),
            Resume::After { history, position } => {
                let register = found.ok_or_else(|| changed("it has no register of a capture"))?;
                if history.system != SYSTEM || history.identity != register.tag {
                    return Err(changed(format!(
                        "its tag is {}, captured was {history}",
                        register.tag
                    )));
                }
                if !same_file(&register, file) {
                    return Err(copied());
                }
                let place = Place::parse(position)
                    .ok_or_else(|| changed("the position is none of a SQLite database"))?;
                verify(connection, &register, place)?;
                (Some(register), Some(place))
            }
        };
        let installed = if register.is_some() { installed(connection)? } else { Vec::new() };
        let is_wanted = |shape: &Shape| wanted.iter().any(|t| shape.table.eq_ignore_ascii_case(t));
        let (kept, retire): (Vec<Shape>, Vec<Shape>) =
            installed.into_iter().partition(|shape| resumed.is_some() || is_wanted(shape));
        let findings = survey(connection, &kept, wanted)?;
        let adopt_file = register.as_ref().is_some_and(|r| r.file.is_none()) && file.is_some();
        Ok(Plan { register, resumed, adopt_file, retire, findings })
    }

    fn require_no_null_keys(&self, connection: &Connection) -> Result<()> {
        self.findings.iter().try_for_each(|finding| match finding {
            Finding::New(subject) => subject.require_no_null_keys(connection),
            _ => Ok(()),
        })
    }

    /// The start, where nothing has to be written for it.
    fn nothing_to_do(&self, connection: &Connection) -> Result<Option<Start>> {
        let idle = !self.adopt_file && self.retire.is_empty() && self.findings.is_empty();
        let Some(register) = self.register.clone().filter(|_| idle) else { return Ok(None) };
        match register::require_no_gap(connection) {
            Ok(()) => {}
            Err(_) if self.resumed.is_none() => return Ok(None),
            Err(gap) => return Err(gap),
        }
        let place = match self.resumed {
            Some(place) => place,
            None => newest(connection)?,
        };
        Ok(Some(Start { register, place, schema_version: schema_version(connection)? }))
    }

    fn carry_out(self, connection: &Connection, file: Option<&str>) -> Result<Start> {
        let register = match self.register {
            Some(register) => register,
            None => {
                register::remove_all(connection)?;
                register::create(connection, file)?
            }
        };
        if self.adopt_file {
            register::adopt_file(connection, file)?;
        }
        if self.resumed.is_none() {
            register::clear_gaps(connection)?;
        }
        for shape in &self.retire {
            register::retire_shape(connection, shape)?;
        }
        for finding in self.findings {
            act(connection, finding, self.resumed.map(|place| place.id))?;
        }
        let place = match self.resumed {
            Some(place) => place,
            None => newest_or_anchor(connection)?,
        };
        Ok(Start { register, place, schema_version: schema_version(connection)? })
    }
}

fn same_file(register: &Register, file: Option<&str>) -> bool {
    match (&register.file, file) {
        (Some(registered), Some(file)) => registered == file,
        _ => true,
    }
}

fn copied() -> Error {
    changed("it is in another file than the one that was captured: a copy, or a restored backup")
        .fix("if it was only moved and nobody captures the other file, run `UPDATE _seamount_capture SET file = NULL` in it; otherwise forget the lane's history and take a new snapshot")
}

/// The newest change; an anchor to count from where somebody has emptied the change table.
fn newest_or_anchor(connection: &Connection) -> Result<Place> {
    if let Ok(place) = newest(connection) {
        return Ok(place);
    }
    connection
        .execute("INSERT INTO _seamount_change (shape, op) VALUES (0, 0)", [])
        .map_err(failed("cannot begin the change table"))?;
    newest(connection)
}

/// Does what a finding asks for. Without `since` there is no past that anything could be missing from.
fn act(connection: &Connection, finding: Finding, since: Option<i64>) -> Result<()> {
    match finding {
        Finding::New(subject) => install(connection, &subject).map(drop),
        Finding::Unwanted(shape) => register::retire_shape(connection, &shape),
        Finding::Changed { subject, before, harm } => {
            register::retire_shape(connection, &before)?;
            let number = install(connection, &subject)?;
            match since {
                Some(since) => make_good(connection, &subject, &before, number, (since, harm)),
                None => Ok(()),
            }
        }
    }
}

/// Creates notes and triggers of a table under a new number.
fn install(connection: &Connection, subject: &Subject) -> Result<i64> {
    let number = register::next_shape(connection)?;
    let name = &subject.shape.name;
    register::widen(connection, subject.shape.columns.len())?;
    let installing = || failed(format!("cannot install the capture of table {name}"));
    connection.execute_batch(&note_table_sql(subject, number)).map_err(installing())?;
    let triggers = triggers(subject, number);
    for trigger in &triggers {
        connection.execute_batch(&trigger.sql).map_err(installing())?;
    }
    let shape = Shape {
        number,
        table: Arc::from(name.as_str()),
        schema: subject.schema.clone(),
        keys: spelled_keys(subject),
        triggers: Vec::new(),
        installed: true,
    };
    register::add_shape(connection, &shape, &triggers)?;
    Ok(number)
}

/// Reads again what the old triggers got wrong, or records that it cannot be known.
fn make_good(
    connection: &Connection,
    subject: &Subject,
    before: &Shape,
    number: i64,
    (since, harm): (i64, Harm),
) -> Result<()> {
    let written: i64 = connection
        .query_row(
            "SELECT count(*) FROM _seamount_change WHERE id > ?1 AND shape = ?2",
            [since, before.number],
            |row| row.get(0),
        )
        .map_err(failed("cannot read the change table"))?;
    let gap = |state, reason: &str| register::add_gap(connection, &before.table, state, reason);
    match harm {
        Harm::Certain { state, reason } => gap(state, &reason),
        _ if written == 0 => Ok(()),
        Harm::IfWritten { reason } => gap(State::PositionLost, &reason),
        Harm::Narrow | Harm::Disordered if written > READ_AGAIN_MOST => gap(
            State::PositionLost,
            &format!("{written} changes were written before the capture could follow a new schema"),
        ),
        Harm::Narrow => read_touched(connection, subject, before, number, since),
        Harm::Disordered => {
            delete_touched(connection, subject, before, number, since)?;
            read_touched(connection, subject, before, number, since)
        }
    }
}

/// Rows that were written since, as they are now.
fn read_touched(
    connection: &Connection,
    subject: &Subject,
    before: &Shape,
    number: i64,
    since: i64,
) -> Result<()> {
    let count = subject.shape.columns.len();
    let cells: Vec<String> = (0..count).map(|i| format!("n{i}")).collect();
    let columns: Vec<String> = subject.columns().iter().map(|name| format!("t.{name}")).collect();
    let sql = format!(
        "INSERT INTO _seamount_change (shape, op, {}) SELECT {number}, {}, {} FROM ({}) AS c JOIN {} AS t ON {}",
        cells.join(", "),
        Op::Read as u8,
        columns.join(", "),
        touched_keys(before, since),
        identifier(&subject.shape.name),
        matches_key(before)
    );
    connection.execute(&sql, []).map(drop).map_err(failed("cannot read changed rows again"))
}

/// Keys that were written since and are not there now.
fn delete_touched(
    connection: &Connection,
    subject: &Subject,
    before: &Shape,
    number: i64,
    since: i64,
) -> Result<()> {
    let key = subject.schema.key();
    let cells: Vec<String> = key.iter().map(|place| format!("o{place}")).collect();
    let keys: Vec<String> = (0..key.len()).map(|i| format!("c.k{i}")).collect();
    let sql = format!(
        "INSERT INTO _seamount_change (shape, op, {}) SELECT {number}, {}, {} FROM ({}) AS c
         WHERE NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})",
        cells.join(", "),
        Op::Delete as u8,
        keys.join(", "),
        touched_keys(before, since),
        identifier(&subject.shape.name),
        matches_key(before)
    );
    connection.execute(&sql, []).map(drop).map_err(failed("cannot read changed rows again"))
}

fn touched_keys(before: &Shape, since: i64) -> String {
    let keys = |image: char, ops: &str| {
        let cells: Vec<String> = before
            .schema
            .key()
            .iter()
            .enumerate()
            .map(|(i, place)| format!("{image}{place} AS k{i}"))
            .collect();
        format!(
            "SELECT {} FROM _seamount_change WHERE id > {since} AND shape = {} AND op IN ({ops})",
            cells.join(", "),
            before.number
        )
    };
    format!("{} UNION {}", keys('n', "1, 2, 4"), keys('o', "2, 3"))
}

fn matches_key(before: &Shape) -> String {
    let equal = |(i, name): (usize, &str)| format!("t.{} = c.k{i}", identifier(name));
    before.schema.key_names().enumerate().map(equal).collect::<Vec<_>>().join(" AND ")
}
