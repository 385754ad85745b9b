//! The one connection of a target, what is prepared on it, and its transactions.
//!
//! Invariant: a transaction that is not committed is rolled back, and work that fails inside one leaves nothing behind.
//! A connection that is lost is made anew at the next use; whoever held a transaction on it gets an error.

use super::super::address::Address;
use super::super::book::{self, fenced};
use super::super::error::failed;
use super::super::session::connect;
use connect::{Error, Result};
use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client, Row, SimpleQueryMessage, Statement};
use std::collections::HashMap;

/// Statements kept prepared; beyond it all are let go.
const PREPARED: usize = 256;

/// How a session that writes is set. A commit is acknowledged when it is on the disk, whatever the server's default;
/// plans of our statements do not depend on what is in them; whoever locks a row for long is named, not waited for.
/// Rows are found by their key, also where a plan was made while the table was empty: [`BY_KEY`] and [`IN_BULK`].
const SETTINGS: &str = "
SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply');
SET jit = off;
SET lock_timeout = '60s';
SET plan_cache_mode = force_generic_plan;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_seqscan = off;
PREPARE seamount_fresh (text[]) AS
    SELECT r.oid, (SELECT c.xmin FROM pg_catalog.pg_class c WHERE c.oid = r.oid)
    FROM (SELECT pg_catalog.to_regclass(n.name)::oid AS oid, n.place
          FROM unnest($1) WITH ORDINALITY AS n (name, place) OFFSET 0) AS r ORDER BY r.place;
";

/// For statements over whole tables, until the end of the transaction or [`BY_KEY`].
pub(super) const IN_BULK: &str = "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on;
    SET LOCAL enable_seqscan = on";

/// For statements over named rows: what a session begins with.
pub(super) const BY_KEY: &str = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    SET LOCAL enable_seqscan = off";

/// A connection that writes.
pub(super) struct Session {
    address: Address,
    client: Client,
    name: String,
    statements: HashMap<String, Statement>,
    /// The state in which the last statement failed.
    failure: Option<SqlState>,
    /// Whether something was done since the savepoint that has to stay when the next work fails.
    behind: bool,
    /// Whether the statements of the bookkeeping are prepared.
    armed: bool,
}

/// The savepoint that every transaction with writes has: the state before the work of this moment.
const SAVEPOINT: &str = "SAVEPOINT seamount_work";
const AGAIN: &str = "RELEASE seamount_work; SAVEPOINT seamount_work";
const BACK: &str = "ROLLBACK TO seamount_work";

impl Session {
    /// Logs in.
    pub(super) fn open(address: Address) -> Result<Session> {
        let client = login(&address, "seamount")?;
        Ok(Session {
            address,
            client,
            name: "seamount".into(),
            statements: HashMap::new(),
            failure: None,
            behind: false,
            armed: false,
        })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Whether the connection is gone.
    pub(super) fn is_lost(&self) -> bool {
        self.client.is_closed()
    }

    /// Shows the server by which name this session goes.
    pub(super) fn call(&mut self, name: String) -> Result<()> {
        let naming = failed("cannot name the session");
        self.client
            .execute("SELECT set_config('application_name', $1, false)", &[&name])
            .map_err(naming)?;
        self.name = name;
        Ok(())
    }

    /// Makes the connection anew where it is gone; says whether it was.
    pub(super) fn revive(&mut self) -> Result<bool> {
        if !self.client.is_closed() {
            return Ok(false);
        }
        self.statements.clear();
        self.armed = false;
        self.client = login(&self.address, &self.name)?;
        Ok(true)
    }

    /// Prepares the statements of the bookkeeping, once it is there.
    fn arm(&mut self) -> Result<()> {
        if !self.armed && book::exists(&mut self.client)? {
            self.script(&book::prepared(), "cannot set up the session")?;
            self.armed = true;
        }
        Ok(())
    }

    /// A statement that is kept prepared.
    pub(super) fn statement(&mut self, sql: &str, what: &str) -> Result<Statement> {
        self.failure = None;
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        if self.statements.len() == PREPARED {
            self.statements.clear();
        }
        let statement = self.client.prepare(sql).map_err(|e| self.explain(e, what))?;
        self.statements.insert(sql.to_string(), statement.clone());
        Ok(statement)
    }

    /// Rows of a query that is kept prepared.
    pub(super) fn look(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        what: &str,
    ) -> Result<Vec<Row>> {
        let statement = self.statement(sql, what)?;
        self.client.query(&statement, parameters).map_err(|e| self.explain(e, what))
    }

    /// Carries out a statement that is kept prepared; returns rows affected.
    pub(super) fn execute(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        what: &str,
    ) -> Result<u64> {
        let statement = self.statement(sql, what)?;
        self.behind = true;
        self.client.execute(&statement, parameters).map_err(|e| self.explain(e, what))
    }

    /// Carries out statements without parameters in one round trip; returns the rows of each as text.
    pub(super) fn script(&mut self, sql: &str, what: &str) -> Result<Vec<Answer>> {
        (self.failure, self.behind) = (None, true);
        let messages = self.client.simple_query(sql).map_err(|e| self.explain(e, what))?;
        let mut answers = vec![Answer::default()];
        for message in messages {
            let answer = answers.last_mut().expect("there is always one");
            match message {
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|i| row.get(i).map(str::to_string)).collect();
                    answer.rows.push(cells);
                }
                SimpleQueryMessage::CommandComplete(affected) => {
                    answer.affected = affected;
                    answers.push(Answer::default());
                }
                _ => {}
            }
        }
        answers.pop();
        Ok(answers)
    }

    /// Carries out a statement that is not kept; returns rows affected.
    pub(super) fn execute_once(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        what: &str,
    ) -> Result<u64> {
        (self.failure, self.behind) = (None, true);
        self.client.execute(sql, parameters).map_err(|e| self.explain(e, what))
    }

    /// An error of opening a transaction, where the bookkeeping itself is gone.
    fn or_gone(&self, error: Error) -> Error {
        match &self.failure {
            Some(state)
                if [
                    SqlState::UNDEFINED_TABLE,
                    SqlState::INVALID_SCHEMA_NAME,
                    SqlState::INVALID_SQL_STATEMENT_NAME,
                ]
                .contains(state) =>
            {
                fenced("the claim on this target is gone")
                    .found("the bookkeeping is not there: the database was replaced or restored")
            }
            _ => error,
        }
    }

    /// Notes in which state something failed, and says what it means.
    pub(super) fn explain(&mut self, error: postgres::Error, what: &str) -> Error {
        self.failure = error.code().cloned();
        failed(what)(error)
    }

    /// The state in which the last statement failed, where the server told one.
    pub(super) fn failure(&self) -> Option<&SqlState> {
        self.failure.as_ref()
    }

    /// Takes back the work that succeeded last.
    pub(super) fn undo(&mut self) -> Result<()> {
        self.script(BACK, "cannot go back to a savepoint at the target")?;
        self.behind = false;
        Ok(())
    }

    /// Runs work that leaves nothing behind when it fails, and everything that was done before it; inside
    /// [`Open::for_work`].
    pub(super) fn attempt<T>(&mut self, work: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        if self.behind {
            self.script(AGAIN, "cannot set a savepoint at the target")?;
        }
        let outcome = work(self);
        self.behind = outcome.is_ok();
        if outcome.is_err() {
            // When this fails too the transaction cannot go on, and its commit says so.
            drop(self.client.batch_execute(BACK));
        }
        outcome
    }
}

fn login(address: &Address, name: &str) -> Result<Client> {
    let mut client = connect(address)?;
    let what = format!("cannot set up the session at site {}", address.site);
    client.batch_execute(SETTINGS).map_err(failed(&what))?;
    client
        .execute("SELECT set_config('application_name', $1, false)", &[&name])
        .map_err(failed(&what))?;
    Ok(client)
}

/// What one statement of a script returned.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<Vec<Option<String>>>,
    pub(super) affected: u64,
}

impl Answer {
    /// A cell, where it is there and no null.
    pub(super) fn cell(&self, row: usize, column: usize) -> Option<&str> {
        self.rows.get(row)?.get(column)?.as_deref()
    }

    /// A number in the first row.
    pub(super) fn number(&self, column: usize) -> Option<i64> {
        self.cell(0, column)?.parse().ok()
    }
}

/// An open transaction; dropped, it rolls back.
pub(super) struct Open<'s> {
    pub(super) session: &'s mut Session,
    done: bool,
}

impl<'s> Open<'s> {
    /// Opens a transaction with statements that are its first; their answers come back.
    pub(super) fn begin(session: &'s mut Session, first: &str) -> Result<(Open<'s>, Vec<Answer>)> {
        session.revive()?;
        session.arm()?;
        let open = Open { session, done: false };
        let sql = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {first}");
        match open.session.script(&sql, "cannot open a transaction at the target") {
            Ok(mut answers) => {
                open.session.behind = false;
                answers.remove(0);
                Ok((open, answers))
            }
            Err(error) => Err(open.session.or_gone(error)),
        }
    }

    /// As [`Open::begin`], with a savepoint behind the first statements, for [`Session::attempt`].
    pub(super) fn for_work(
        session: &'s mut Session,
        first: &str,
    ) -> Result<(Open<'s>, Vec<Answer>)> {
        Open::begin(session, &format!("{first}; {SAVEPOINT}"))
    }

    /// Makes everything durable and visible, after some last statements.
    pub(super) fn commit(&mut self, last: &str) -> Result<()> {
        // A transaction that cannot go on refuses the first of these; COMMIT alone would roll it back without a word.
        let sql = format!("SELECT 1; {last} COMMIT");
        let committed = self.session.script(&sql, "cannot commit at the target");
        self.done = committed.is_ok() || self.session.is_lost();
        committed.map(drop)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.done && !self.session.is_lost() {
            // When even this fails the connection is gone, and the server has rolled back.
            drop(self.session.client.batch_execute("ROLLBACK"));
        }
    }
}
