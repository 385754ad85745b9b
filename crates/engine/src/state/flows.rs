//! Flows by name: id, generation, pause; and the holders this engine has shown to targets.

use super::{State, failed, optional, prepared};
use change::{FlowId, Generation, HolderId};
use connect::Result;
use rusqlite::{Connection, params};

/// Who a flow is, whatever it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowIdentity {
    /// Its id.
    pub id: FlowId,
    /// The generation of its definition.
    pub generation: Generation,
    /// Whether an operator has paused it.
    pub paused: bool,
}

impl State {
    /// A flow that has run before.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn flow(&self, name: &str) -> Result<Option<FlowIdentity>> {
        let db = self.db();
        let mut query = prepared(&db, "select id, generation, paused from flow where name = ?1")?;
        optional(query.query_row([name], |row| {
            Ok(FlowIdentity {
                id: FlowId::from_i64(row.get(0)?),
                generation: Generation::from_i64(row.get(1)?),
                paused: row.get(2)?,
            })
        }))
    }

    /// The identity of a flow under its definition: a flow that is new, or whose definition changed, gets the
    /// minted generation.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn identify(
        &self,
        name: &str,
        definition: &str,
        id: FlowId,
        generation: Generation,
    ) -> Result<FlowIdentity> {
        let sql = "insert into flow (id, name, generation, definition) values (?1, ?2, ?3, ?4)
                   on conflict (name) do update
                   set generation = excluded.generation, definition = excluded.definition
                   where definition <> excluded.definition";
        self.db()
            .execute(sql, params![id.to_i64(), name, generation.to_i64(), definition])
            .map_err(failed("state.db cannot be written"))?;
        Ok(self.flow(name)?.expect("a flow just stored is there"))
    }

    /// Gives a flow a new generation under the same definition: it takes a new snapshot.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn renew(&self, flow: FlowId, generation: Generation) -> Result<()> {
        renew(&self.db(), flow, generation)
    }

    /// Pauses or resumes a flow.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_paused(&self, flow: FlowId, paused: bool) -> Result<()> {
        set_paused(&self.db(), flow, paused)
    }

    /// Holders that this engine may have shown to a target: the settled one, and those whose claim may or may
    /// not have reached it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn holders(&self, target: &str) -> Result<Vec<HolderId>> {
        let db = self.db();
        let mut query = prepared(&db, "select holder from holder where target = ?1")?;
        let rows = query
            .query_map([target], |row| row.get(0).map(HolderId::from_i64))
            .map_err(failed("state.db cannot be read"))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed("state.db cannot be read"))
    }

    /// Remembers a holder *before* it is shown to the target; earlier ones stay known until it is settled.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn intend_holder(&self, target: &str, holder: HolderId) -> Result<()> {
        self.db()
            .execute("insert into holder values (?1, ?2)", params![target, holder.to_i64()])
            .map_err(failed("state.db cannot be written"))?;
        Ok(())
    }

    /// The target shows this holder now; earlier ones are forgotten.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn settle_holder(&self, target: &str, holder: HolderId) -> Result<()> {
        self.db()
            .execute(
                "delete from holder where target = ?1 and holder <> ?2",
                params![target, holder.to_i64()],
            )
            .map_err(failed("state.db cannot be written"))?;
        Ok(())
    }

    /// When a schedule of a flow (`batch`, `reconcile`) fired last, microseconds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn fired(&self, flow: FlowId, what: &str) -> Result<Option<i64>> {
        let db = self.db();
        let mut query = prepared(&db, "select at from fired where flow = ?1 and what = ?2")?;
        optional(query.query_row(params![flow.to_i64(), what], |row| row.get(0)))
    }

    /// Stores when a schedule fired.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_fired(&self, flow: FlowId, what: &str, at: i64) -> Result<()> {
        self.db()
            .execute(
                "insert or replace into fired (flow, what, at) values (?1, ?2, ?3)",
                params![flow.to_i64(), what, at],
            )
            .map_err(failed("state.db cannot be written"))?;
        Ok(())
    }
}

pub(super) fn renew(db: &Connection, flow: FlowId, generation: Generation) -> Result<()> {
    let sql = "update flow set generation = ?2 where id = ?1";
    db.execute(sql, params![flow.to_i64(), generation.to_i64()])
        .map_err(failed("state.db cannot be written"))?;
    Ok(())
}

pub(super) fn set_paused(db: &Connection, flow: FlowId, paused: bool) -> Result<()> {
    db.execute("update flow set paused = ?2 where id = ?1", params![flow.to_i64(), paused])
        .map_err(failed("state.db cannot be written"))?;
    Ok(())
}
