//! One table's staged rows on their way into the table.
//!
//! Rows that a replacing run holds again are overwritten in place, so that nothing cascades from a row that is still
//! there; a row that is there as it is staged is not written at all.

use super::super::filter::Filter;
use super::super::names::TableName;
use super::form::Form;
use super::plan::{Plan, guarding, insert, names, only_key, overwrite};
use super::session::Session;
use super::stage::Stage;
use super::swap::{Swap, swap};
use super::write::ignored;
use connect::target::{Load, Publish, TargetTable};
use connect::{Error, Kind, Result};
use postgres::error::SqlState;

const UNCHANGED: &str = "nothing was published; the stage is as it was";

/// A table, its stage, and how they meet.
pub(super) struct Loading<'a> {
    table: &'a TargetTable,
    plan: Plan,
    stage: Option<&'a Stage>,
    /// Rows in the stage.
    rows: u64,
    load: &'a Load,
    /// The rows that a replacing run takes the place of.
    scope: Filter,
    /// `t` and `s` have the same key.
    same_key: String,
}

impl<'a> Loading<'a> {
    pub(super) fn new(
        session: &mut Session,
        publish: &'a Publish,
        table: &'a TargetTable,
        rows: u64,
        stage: Option<&'a Stage>,
    ) -> Result<Loading<'a>> {
        let plan = Plan::make(session, &TableName::parse(&table.name)?, table)?;
        let mut scope = Filter::default();
        for owner in table.owner.iter().chain(&publish.interval_rows) {
            scope = scope.owned(&plan.shape, owner)?;
        }
        let same = plan.key.iter().map(|form| format!("t.{0} = s.{0}", form.quoted));
        let same_key = same.collect::<Vec<_>>().join(" AND ");
        Ok(Loading { table, plan, stage, rows, load: &publish.load, scope, same_key })
    }

    /// Brings the rows in; returns how many that were there are not any more.
    pub(super) fn load(&self, session: &mut Session) -> Result<u64> {
        if let Some(stage) = self.stage.filter(|_| self.keyed())
            && self.is_empty(session)?
        {
            return match swap(session, stage, &self.plan.shape.name, self.rows)? {
                Swap::Done => Ok(0),
                Swap::Seen => self.insert(session, "").map(|()| 0),
                Swap::Twice => Err(self.refused("stands twice in the run")),
            };
        }
        match self.load {
            Load::Replace => self.replace(session),
            Load::Merge => {
                self.refuse_foreign(session)?;
                self.overwrite(session)?;
                Ok(0)
            }
            Load::Append => {
                self.insert(session, "")?;
                Ok(0)
            }
        }
    }

    fn replace(&self, session: &mut Session) -> Result<u64> {
        let target = self.plan.shape.name.sql();
        let clear = format!("DELETE FROM {target} AS t{}", self.scope.sql());
        let Some(stage) = self.stage.filter(|_| self.keyed()) else {
            let removed = self.execute(session, &clear)?;
            self.insert(session, "")?;
            return Ok(removed);
        };
        if !self.scope.sql().is_empty() {
            self.refuse_outside(session)?;
        }
        let removed = self.execute(
            session,
            &format!(
                "DELETE FROM {target} AS t WHERE NOT EXISTS (SELECT FROM {} AS s WHERE {}){}",
                stage.name.sql(),
                self.same_key,
                self.scope.and_sql()
            ),
        )?;
        match session.attempt(|session| self.overwrite(session)) {
            // Unique values may have changed places among the rows: out with all of them, then in.
            Err(refused) if refused.kind == Kind::Refused => {
                self.execute(session, &clear)?;
                self.insert(session, "")?;
            }
            outcome => outcome?,
        }
        Ok(removed)
    }

    fn keyed(&self) -> bool {
        !self.plan.key.is_empty()
    }

    fn is_empty(&self, session: &mut Session) -> Result<bool> {
        let sql = format!("SELECT FROM {} LIMIT 1", self.plan.shape.name.sql());
        Ok(self.execute(session, &sql)? == 0)
    }

    fn execute(&self, session: &mut Session, sql: &str) -> Result<u64> {
        let loading = format!("cannot publish rows of {}", self.table.name);
        let answers = session.script(sql, &loading).map_err(|error| {
            if session.failure() == Some(&SqlState::CARDINALITY_VIOLATION) {
                return self.refused("stands twice in the run");
            }
            error.effect(UNCHANGED)
        })?;
        Ok(answers.last().map_or(0, |answer| answer.affected))
    }

    /// Copies the stage into the table, in the order it was staged: that of the key, where it was read so.
    fn insert(&self, session: &mut Session, on_conflict: &str) -> Result<()> {
        let Some(stage) = self.stage else { return Ok(()) };
        let forms = &self.plan.forms;
        let select = format!("SELECT {} FROM {}", names(forms), stage.name.sql());
        let sql = insert(&self.plan.shape, forms) + &select + on_conflict;
        if self.execute(session, &sql)? == self.rows {
            return Ok(());
        }
        Err(ignored(&self.plan).effect(UNCHANGED))
    }

    /// Upserts the stage; rows that are there already, byte for byte, stay untouched.
    fn overwrite(&self, session: &mut Session) -> Result<()> {
        let Some(stage) = self.stage else { return Ok(()) };
        if !self.keyed() {
            let what = format!("table {} has no key to write by", self.plan.shown());
            return Err(Error::invalid(what));
        }
        let (schema, forms) = (&self.table.schema, &self.plan.forms);
        let on_conflict = overwrite(schema, forms, "");
        if !only_key(schema) && self.has_triggers(session)? {
            // Only where every row is written can it be seen that one was taken away.
            return self.insert(session, &on_conflict);
        }
        let differs = match only_key(schema) {
            true => String::new(),
            false => {
                format!(" OR {} OPERATOR(pg_catalog.*<>) {}", image("t", forms), image("s", forms))
            }
        };
        let columns: Vec<String> = forms.iter().map(|form| format!("s.{}", form.quoted)).collect();
        let sql = format!(
            "{}SELECT {} FROM {} AS s LEFT JOIN {} AS t ON {} WHERE t.{} IS NULL{differs}{on_conflict}",
            insert(&self.plan.shape, forms),
            columns.join(", "),
            stage.name.sql(),
            self.plan.shape.name.sql(),
            self.same_key,
            self.plan.key[0].quoted,
        );
        self.execute(session, &sql)?;
        self.require_all(session, stage)
    }

    fn has_triggers(&self, session: &mut Session) -> Result<bool> {
        let sql = "SELECT FROM pg_class WHERE oid = $1 AND (relhastriggers OR relhasrules) LIMIT 1";
        let what = "cannot look for triggers of a table";
        Ok(!session.look(sql, &[&self.plan.shape.oid], what)?.is_empty())
    }

    /// Every staged row is in the table now, and is one of its own.
    fn require_all(&self, session: &mut Session, stage: &Stage) -> Result<()> {
        let (target, own) = (self.plan.shape.name.sql(), stage.name.sql());
        let sql = format!(
            "SELECT count(*) FROM {target} AS t WHERE EXISTS (SELECT FROM {own} AS s WHERE {})",
            self.same_key
        );
        let answers = session.script(&sql, "cannot count published rows")?;
        let present = answers.first().and_then(|answer| answer.number(0));
        if present == Some(self.rows.cast_signed()) {
            return Ok(());
        }
        let key = names(&self.plan.key);
        let sql = format!("SELECT FROM {own} GROUP BY {key} HAVING count(*) > 1 LIMIT 1");
        match self.execute(session, &sql)? {
            0 => Err(ignored(&self.plan).effect(UNCHANGED)),
            _ => Err(self.refused("stands twice in the run")),
        }
    }

    /// Keys of the stage that the table holds for rows that this run does not replace.
    fn refuse_outside(&self, session: &mut Session) -> Result<()> {
        let condition = self.scope.sql().replacen(" WHERE ", "", 1);
        self.refuse_joined(
            session,
            &condition,
            "is in the table already and not for this run to replace",
        )
    }

    /// Keys of the stage whose rows in the table belong to another owner.
    fn refuse_foreign(&self, session: &mut Session) -> Result<()> {
        let Some(owner) = guarding(self.table).filter(|_| self.keyed()) else { return Ok(()) };
        let owned = Filter::default().owned(&self.plan.shape, owner)?;
        let condition = owned.sql().replacen(" WHERE ", "", 1);
        self.refuse_joined(session, &condition, "belongs to a row of another owner")
    }

    fn refuse_joined(&self, session: &mut Session, condition: &str, why: &str) -> Result<()> {
        let Some(stage) = self.stage else { return Ok(()) };
        let sql = format!(
            "SELECT FROM {} AS s JOIN {} AS t ON {} WHERE ({condition}) IS NOT TRUE LIMIT 1",
            stage.name.sql(),
            self.plan.shape.name.sql(),
            self.same_key
        );
        match self.execute(session, &sql)? {
            0 => Ok(()),
            _ => Err(self.refused(why)),
        }
    }

    fn refused(&self, why: &str) -> Error {
        let key: Vec<&str> = self.table.schema.key_names().collect();
        Error::refused(format!("a key ({}) of {} {why}", key.join(", "), self.table.name))
            .effect(UNCHANGED)
    }
}

/// A row as its bytes: equal values that are spelt otherwise differ.
fn image(of: &str, forms: &[Form]) -> String {
    let cells: Vec<String> = forms.iter().map(|form| format!("{of}.{}", form.quoted)).collect();
    format!("ROW({})::record", cells.join(", "))
}
