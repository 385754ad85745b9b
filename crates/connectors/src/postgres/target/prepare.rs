//! Tables that flows write: created when missing, widened by nullable columns, refused when they do not fit.
//!
//! A table that is there may be declared otherwise than we would; what counts is that every value can be stored in it
//! and read back as it was, and that its key is a key by bytes.

use super::super::catalogue::{BOOK, TableShape, shape};
use super::super::error::failed;
use super::super::names::{PUBLIC, TableName, identifier};
use super::super::types::{declaration, mapped};
use super::form::form;
use super::session::Session;
use change::{Column, ColumnType, TableSchema};
use connect::target::TargetTable;
use connect::{Error, Result, State};
use std::collections::BTreeSet;

/// Bytes that a name may have: PostgreSQL cuts off what is beyond without an error.
const NAME_BYTES: usize = 63;

/// Makes a table ready to be written, in the caller's transaction.
pub(super) fn prepare(session: &mut Session, table: &TargetTable) -> Result<()> {
    let name = TableName::parse(&table.name)?;
    check_names(&name, table)?;
    let as_text = session.address().as_text;
    match shape(session.client(), &name, as_text)? {
        None => create(session, &name, &table.schema),
        Some(there) => fit(session, &there, &table.schema),
    }
}

fn check_names(name: &TableName, table: &TargetTable) -> Result<()> {
    let schema = &table.schema;
    if let Some(owner) = &table.owner
        && schema.index_of(&owner.column).is_none()
    {
        return Err(Error::invalid(format!(
            "owner column {} is no column of target table {}",
            owner.column, table.name
        )));
    }
    if name.schema == BOOK || name.schema == "information_schema" || name.schema.starts_with("pg_")
    {
        return Err(Error::invalid(format!("{} is no name for a target table", table.name))
            .found(format!("the schema {} is taken", name.schema)));
    }
    let columns = schema.columns().iter().map(|column| column.name.as_str());
    match columns
        .chain([name.schema.as_str(), name.name.as_str()])
        .find(|name| name.len() > NAME_BYTES)
    {
        None => Ok(()),
        Some(long) => Err(Error::invalid(format!("{long} is no name for PostgreSQL"))
            .found(format!("it has {} bytes, and {NAME_BYTES} are kept", long.len()))
            .state(State::SchemaBlocked)
            .fix("give it a shorter name in the flow")),
    }
}

fn create(session: &mut Session, name: &TableName, schema: &TableSchema) -> Result<()> {
    let what = format!("cannot create target table {}", name.shown());
    let mut parts = Vec::new();
    for (place, column) in schema.columns().iter().enumerate() {
        parts.push(declared(session, name, column, schema.key().contains(&place))?);
    }
    if !schema.key().is_empty() {
        let key: Vec<String> = schema.key_names().map(identifier).collect();
        parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
    }
    let mut sql = format!("CREATE TABLE {} (\n    {}\n)", name.sql(), parts.join(",\n    "));
    if name.schema != PUBLIC && !has_schema(session, &name.schema)? {
        sql = format!("CREATE SCHEMA {}; {sql}", identifier(&name.schema));
    }
    session.script(&sql, &what).map(drop)
}

fn has_schema(session: &mut Session, schema: &str) -> Result<bool> {
    let sql = "SELECT FROM pg_namespace WHERE nspname = $1";
    let found =
        session.client().query_opt(sql, &[&schema]).map_err(failed("cannot look for a schema"))?;
    Ok(found.is_some())
}

/// A column's declaration. Text in a key is ordered by its bytes, so that ranges of keys find their index.
fn declared(
    session: &mut Session,
    table: &TableName,
    column: &Column,
    in_key: bool,
) -> Result<String> {
    if column.ty == ColumnType::Any {
        return Err(Error::invalid(format!(
            "column {}.{} has no type",
            table.shown(),
            column.name
        ))
        .state(State::SchemaBlocked)
        .effect("a column of PostgreSQL holds values of one type; nothing was written")
        .fix("give it one in the flow's SQL, with a CAST"));
    }
    let ty = match &column.declared {
        Some(name) if is_known(session, name, column.ty)? => name.clone(),
        _ => declaration(column.ty, None),
    };
    let collated = ["text", "character varying", "character(", "name"];
    let mut sql = format!("{} {ty}", identifier(&column.name));
    if in_key && collated.iter().any(|name| ty.starts_with(name)) && !ty.ends_with(']') {
        sql += " COLLATE \"C\"";
    }
    if in_key || !column.nullable {
        sql += " NOT NULL";
    }
    Ok(sql)
}

/// Whether the target knows a type by this name, and cells of it move as they come here.
fn is_known(session: &mut Session, declared: &str, ty: ColumnType) -> Result<bool> {
    let what = format!("cannot look for the type {declared}");
    session.script("SAVEPOINT seamount_type", &what)?;
    let sql = "SELECT t.typtype = 'b' AND t.typnamespace = 'pg_catalog'::regnamespace AND t.typcategory <> 'A'
         FROM pg_type t WHERE t.oid = to_regtype($1)";
    let found = session.client().query_opt(sql, &[&declared]);
    // Older servers raise an error where the text is no name of a type at all.
    session.script("ROLLBACK TO seamount_type", &what)?;
    let Ok(Some(row)) = found else { return Ok(false) };
    Ok(mapped(declared, row.get(0), session.address().as_text).ty == ty)
}

fn fit(session: &mut Session, there: &TableShape, wanted: &TableSchema) -> Result<()> {
    let others = Others::of(session, there)?;
    let mut missing = Vec::new();
    for (place, column) in wanted.columns().iter().enumerate() {
        let in_key = wanted.key().contains(&place);
        if others.generated.contains(&column.name) {
            return Err(blocked(
                there,
                format!("column {} is computed by PostgreSQL", column.name),
            ));
        }
        let Some(found) = there.column(&column.name) else {
            missing.push((in_key, column));
            continue;
        };
        form(column, found).map_err(|why| blocked(there, why))?;
        if found.identity_always && !in_key {
            return Err(blocked(
                there,
                format!(
                    "column {} is GENERATED ALWAYS AS IDENTITY and cannot be overwritten",
                    column.name
                ),
            )
            .fix(format!(
                "ALTER TABLE {} ALTER COLUMN {} SET GENERATED BY DEFAULT",
                there.name.sql(),
                identifier(&column.name)
            )));
        }
        if in_key && found.column.nullable {
            return Err(blocked(there, format!("key column {} may be null", column.name)));
        }
        if in_key && others.loosely_equal.contains(&column.name) {
            return Err(blocked(
                there,
                format!(
                    "key column {} does not compare by bytes (a nondeterministic collation)",
                    column.name
                ),
            ));
        }
    }
    if let Some(name) = others.required.iter().find(|name| wanted.index_of(name).is_none()) {
        return Err(blocked(
            there,
            format!("column {name} may not be null and the flow does not write it"),
        ));
    }
    check_key(session, there, wanted)?;
    for (in_key, column) in missing {
        if in_key || !column.nullable {
            return Err(blocked(
                there,
                format!("column {} is missing and may not be null", column.name),
            ));
        }
        let declared = declared(session, &there.name, column, false)?;
        let sql = format!("ALTER TABLE {} ADD COLUMN {declared}", there.name.sql());
        session.script(
            &sql,
            &format!("cannot add column {} to target table {}", column.name, there.name.shown()),
        )?;
    }
    Ok(())
}

/// Names of columns with a particularity that a shape does not tell.
#[derive(Default)]
struct Others {
    /// Computed by the server.
    generated: BTreeSet<String>,
    /// Not null, and nobody but the writer gives a value.
    required: BTreeSet<String>,
    /// Of a collation under which different texts are equal.
    loosely_equal: BTreeSet<String>,
}

impl Others {
    fn of(session: &mut Session, there: &TableShape) -> Result<Others> {
        let sql = "SELECT a.attname, a.attgenerated <> '',
                a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '',
                NOT coalesce(c.collisdeterministic, true)
             FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped";
        let rows = session
            .client()
            .query(sql, &[&there.oid])
            .map_err(failed(format!("cannot read the shape of {}", there.name.shown())))?;
        let mut others = Others::default();
        for row in rows {
            let sets = [&mut others.generated, &mut others.required, &mut others.loosely_equal];
            for (i, set) in sets.into_iter().enumerate() {
                if row.get(i + 1) {
                    set.insert(row.get(0));
                }
            }
        }
        Ok(others)
    }
}

/// The flow's key is that of a unique index that the server can meet conflicts by.
fn check_key(session: &mut Session, there: &TableShape, wanted: &TableSchema) -> Result<()> {
    let mut key: Vec<&str> = wanted.key_names().collect();
    if key.is_empty() {
        return Ok(());
    }
    key.sort_unstable();
    let sql = "SELECT FROM pg_index i
         WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid
           AND i.indpred IS NULL AND i.indexprs IS NULL
           AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE \"C\")
                FROM unnest(i.indkey[0:i.indnkeyatts - 1]) AS k (attnum)
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum) = $2
         LIMIT 1";
    let found = session
        .client()
        .query_opt(sql, &[&there.oid, &key])
        .map_err(failed(format!("cannot read the keys of {}", there.name.shown())))?;
    if found.is_some() {
        return Ok(());
    }
    let found = format!("the key is another: no unique index on ({})", key.join(", "));
    Err(blocked(there, found))
}

fn blocked(there: &TableShape, why: String) -> Error {
    Error::invalid(format!("target table {} does not fit", there.name.shown()))
        .found(why)
        .state(State::SchemaBlocked)
        .effect("nothing was written")
        .fix("change the table, or the columns and key of the flow")
}
