//! The fastest way into an empty table: the stage itself becomes the table, once its primary key is built.
//!
//! Only where nobody can tell the difference: the table holds nothing, nothing but its primary key hangs on it, and
//! what the catalogue says of it is the same before and behind, word for word; else everything is taken back and the
//! rows are copied. Snapshots that are older than the publication would see the rows too soon, as they miss those of a
//! truncated table: so it waits for no cut of ours, it gives way to them ([`book::enter`]).

use super::super::book;
use super::super::catalogue::BOOK;
use super::super::names::{TableName, identifier, literal};
use super::session::Session;
use super::stage::Stage;
use connect::Result;
use postgres::error::SqlState;

/// From so many rows on it pays.
const ROWS: u64 = 10_000;

/// Whether a table can be taken another's place of without anybody noticing: one row, if so.
const SIMPLE: &str = "
SELECT k.conname, pg_catalog.pg_get_constraintdef(k.oid), c.relreplident
FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p' AND NOT k.condeferrable
WHERE c.oid = $1::text::regclass AND c.relkind = 'r' AND c.relpersistence = 'p' AND NOT c.relispartition
  AND c.reloptions IS NULL AND c.reltablespace = 0 AND c.reloftype = 0 AND c.relreplident IN ('d', 'f')
  AND NOT c.relhasrules AND NOT c.relhastriggers AND NOT c.relrowsecurity
  AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
  AND (SELECT count(*) FROM pg_index WHERE indrelid = c.oid) = 1
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE (conrelid = c.oid AND contype NOT IN ('p', 'n')) OR confrelid = c.oid)
  AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid)
  AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
                  AND (attidentity <> '' OR attgenerated <> '' OR attacl IS NOT NULL))
  AND NOT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_class'::regclass AND refobjid = c.oid
                  AND classid NOT IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_type'::regclass,
                                      'pg_class'::regclass))
  AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind NOT IN ('i', 't')
                  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid)
  AND NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtenabled <> 'D')
  AND NOT EXISTS (SELECT FROM pg_replication_slots
                  WHERE slot_type = 'logical' AND database = current_database() AND plugin <> 'pgoutput')
  AND NOT EXISTS (SELECT FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname
                  WHERE (n.oid = c.relnamespace AND p.tablename = c.relname) OR n.nspname = $2)";

/// Everything that the catalogue says of a table's columns, but their numbers; of options, those that users set:
/// newer servers (seen in 15.20) keep a stamp of their own there, `pg_attver`, which differs from table to table.
const COLUMNS: &str = "
SELECT jsonb_agg(jsonb_build_array(a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull, a.attidentity,
    a.attgenerated, a.attstorage, a.attcompression, a.attstattarget,
    (SELECT array_agg(o) FROM unnest(a.attoptions) o WHERE NOT starts_with(o, 'pg_')), a.attacl::text, a.attislocal,
    a.attinhcount, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)) ORDER BY a.attnum)::text
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped";

/// Everything else that it says of a table, but its numbers.
const PORTRAIT: &str = "
SELECT jsonb_build_array(
    jsonb_build_array(c.relkind, c.relpersistence, c.relowner, c.relam, c.reltablespace, c.reloftype, c.reloptions, c.relreplident,
        c.relrowsecurity, c.relforcerowsecurity, obj_description(c.oid, 'pg_class'),
        (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(c.relacl) a),
        (SELECT count(*) FROM pg_seclabel WHERE objoid = c.oid)),
    (SELECT jsonb_agg(jsonb_build_array(k.conname, k.convalidated, pg_get_constraintdef(k.oid),
         obj_description(k.oid, 'pg_constraint')) ORDER BY k.conname)
     FROM pg_constraint k WHERE k.conrelid = c.oid OR k.confrelid = c.oid),
    (SELECT jsonb_agg(jsonb_build_array(pg_get_indexdef(i.indexrelid), i.indisreplident, i.indisclustered, x.reltablespace,
         x.reloptions, obj_description(x.oid, 'pg_class')) ORDER BY pg_get_indexdef(i.indexrelid))
     FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid),
    (SELECT jsonb_agg(d ORDER BY d) FROM (
         SELECT classid::regclass || ' ' || deptype::text || ' ' || count(*) AS d FROM pg_depend
         WHERE refclassid = 'pg_class'::regclass AND refobjid = c.oid GROUP BY classid, deptype) AS d)
)::text
FROM pg_class c WHERE c.oid = $1::text::regclass";

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swap {
    /// The stage is the table.
    Done,
    /// Everything is as it was; somebody could have told.
    Seen,
    /// Everything is as it was; a key stands twice in the stage.
    Twice,
}

/// Puts a stage of so many rows in the place of an empty table.
pub(super) fn swap(
    session: &mut Session,
    stage: &Stage,
    place: &TableName,
    rows: u64,
) -> Result<Swap> {
    if rows < ROWS {
        return Ok(Swap::Seen);
    }
    let Some(key) = simple(session, place)? else { return Ok(Swap::Seen) };
    let columns = drawn(session, COLUMNS, place)?;
    if columns != drawn(session, COLUMNS, &stage.name)? || !book::is_alone(session.client())? {
        return Ok(Swap::Seen);
    }
    let (before, lasting) = (drawn(session, PORTRAIT, place)?, lasting(session, place)?);
    let swapped = session.attempt(|session| {
        let (what, sql) = ("cannot move a table", place.sql());
        let lock = format!(
            "SET LOCAL lock_timeout = '500ms'; LOCK TABLE {sql} IN ACCESS EXCLUSIVE MODE;
             SET LOCAL lock_timeout = '60s'; SELECT FROM {sql} LIMIT 1"
        );
        if session.script(&lock, what)?.last().is_none_or(|rows| rows.affected > 0) {
            return Ok(false);
        }
        session.script(&takes_place(stage, place, &key, &lasting), what)?;
        let after = drawn(session, PORTRAIT, place)?;
        Ok(after == before && drawn(session, COLUMNS, place)? == columns)
    });
    match swapped {
        Ok(true) => Ok(Swap::Done),
        Ok(false) => session.undo().map(|()| Swap::Seen),
        Err(error) => match session.failure() {
            Some(state) if *state == SqlState::UNIQUE_VIOLATION => Ok(Swap::Twice),
            // Somebody uses the table, or something hangs on it after all.
            Some(state) if gives_way(state) => Ok(Swap::Seen),
            _ => Err(error),
        },
    }
}

fn gives_way(state: &SqlState) -> bool {
    [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        SqlState::INSUFFICIENT_PRIVILEGE,
    ]
    .contains(state)
}

/// The primary key of a table that nothing else hangs on.
struct Key {
    name: String,
    definition: String,
    identity: &'static str,
}

fn simple(session: &mut Session, place: &TableName) -> Result<Option<Key>> {
    let row = session.look(SIMPLE, &[&place.sql(), &BOOK], "cannot look at a table")?.pop();
    let key = |row: postgres::Row| Key {
        name: row.get(0),
        definition: row.get(1),
        identity: if row.get::<_, i8>(2) == b'f'.cast_signed() { "FULL" } else { "DEFAULT" },
    };
    Ok(row.map(key))
}

fn drawn(session: &mut Session, portrait: &str, table: &TableName) -> Result<Option<String>> {
    let rows = session.look(portrait, &[&table.sql()], "cannot look at a table")?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// Statements that give a table the grants and comments of this one.
fn lasting(session: &mut Session, place: &TableName) -> Result<String> {
    let sql = "
        SELECT format('GRANT %s ON TABLE %s TO %s%s; ', g.privilege_type, $1::text,
                   CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                   CASE WHEN g.is_grantable AND g.grantee <> c.relowner THEN ' WITH GRANT OPTION' ELSE '' END)
        FROM pg_class c, aclexplode(c.relacl) g WHERE c.oid = $1::text::regclass
        UNION ALL
        SELECT format('COMMENT ON TABLE %s IS %L; ', $1::text, obj_description($1::text::regclass, 'pg_class'))
        WHERE obj_description($1::text::regclass, 'pg_class') IS NOT NULL
        UNION ALL
        SELECT format('COMMENT ON CONSTRAINT %I ON %s IS %L; ', conname, $1::text, obj_description(oid, 'pg_constraint'))
        FROM pg_constraint WHERE conrelid = $1::text::regclass AND obj_description(oid, 'pg_constraint') IS NOT NULL
        UNION ALL
        SELECT format('COMMENT ON INDEX %s IS %L; ', indexrelid::regclass, obj_description(indexrelid, 'pg_class'))
        FROM pg_index WHERE indrelid = $1::text::regclass AND obj_description(indexrelid, 'pg_class') IS NOT NULL";
    let rows = session.look(sql, &[&place.sql()], "cannot look at a table")?;
    Ok(rows.iter().map(|row| row.get::<_, String>(0)).collect())
}

fn takes_place(stage: &Stage, place: &TableName, key: &Key, lasting: &str) -> String {
    let (own, key_name) = (stage.name.sql(), identifier(&key.name));
    let moved = TableName { schema: place.schema.clone(), name: stage.name.name.clone() };
    format!(
        "ALTER TABLE {own} ADD CONSTRAINT seamount_key {definition};
         ALTER TABLE {own} REPLICA IDENTITY {identity};
         DELETE FROM _seamount.stage WHERE run = {run} AND target = {target};
         DROP TABLE {place};
         ALTER TABLE {own} SET SCHEMA {schema};
         ALTER TABLE {moved} RENAME TO {name};
         ALTER TABLE {place} RENAME CONSTRAINT seamount_key TO {key_name};
         {lasting}",
        definition = key.definition,
        identity = key.identity,
        run = stage.run.to_i64(),
        target = literal(&stage.target),
        place = place.sql(),
        schema = identifier(&place.schema),
        moved = moved.sql(),
        name = identifier(&place.name),
    )
}
