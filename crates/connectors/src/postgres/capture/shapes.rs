//! Which table a change belongs to, in the shape it had at that place.
//!
//! The stream names a table's columns and types in front of its changes, and again whenever they changed; the key and
//! what the types are called are looked up in the catalogue. Invariant: a row is decoded by the shape that the stream
//! gave for it, never by the one that the table has now.

use super::super::catalogue::{ReplicaIdentity, TableShape, shape};
use super::super::error::failed;
use super::super::names::TableName;
use super::super::types::{AsText, Wire, mapped};
use super::pgoutput::Relation;
use change::{Column, TableSchema};
use connect::{Error, Result, State};
use postgres::Client;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A table in one of its shapes.
#[derive(Debug, PartialEq)]
pub(super) struct Shape {
    /// As flows spell it.
    pub(super) table: Arc<str>,
    pub(super) name: TableName,
    pub(super) schema: Arc<TableSchema>,
    /// Whether a column is part of the key.
    pub(super) is_key: Vec<bool>,
    pub(super) wires: Vec<Wire>,
}

impl Shape {
    fn new(table: &Arc<str>, name: &TableName, schema: TableSchema, wires: Vec<Wire>) -> Shape {
        let is_key = (0..wires.len()).map(|i| schema.key().contains(&i)).collect();
        Shape { table: table.clone(), name: name.clone(), schema: Arc::new(schema), is_key, wires }
    }

    /// The shape that the catalogue has now.
    pub(super) fn of(table: &Arc<str>, declared: &TableShape) -> Result<Shape> {
        let wires = declared.columns.iter().map(|column| column.wire).collect();
        Ok(Shape::new(table, &declared.name, declared.schema()?, wires))
    }
}

/// The tables that are captured, and the shapes that the stream gave them.
pub(super) struct Shapes {
    as_text: AsText,
    /// Tables wanted, by name, as flows spell them.
    wanted: BTreeMap<TableName, Arc<str>>,
    /// By the number that changes name; `None` where nobody wants the table.
    streamed: HashMap<u32, Option<Arc<Shape>>>,
    /// What the catalogue said last, for keys of tables that are gone by now.
    declared: HashMap<TableName, TableShape>,
    /// Names of types and whether they are PostgreSQL's own.
    types: HashMap<(u32, i32), (String, bool)>,
}

impl Shapes {
    /// Reads the tables wanted.
    ///
    /// # Errors
    /// `Invalid` with a fix when one is not there or cannot be captured.
    pub(super) fn new(client: &mut Client, tables: &[String], as_text: AsText) -> Result<Shapes> {
        let mut shapes = Shapes {
            as_text,
            wanted: BTreeMap::new(),
            streamed: HashMap::new(),
            declared: HashMap::new(),
            types: HashMap::new(),
        };
        for table in tables {
            let name = TableName::parse(table)?;
            let declared = super::super::catalogue::require_shape(client, &name, as_text)?;
            require_key(client, &declared)?;
            shapes.declared.insert(name.clone(), declared);
            shapes.wanted.insert(name, Arc::from(table.as_str()));
        }
        Ok(shapes)
    }

    /// Tables wanted.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &TableName> {
        self.wanted.keys()
    }

    /// How a flow spells a table that is captured.
    pub(super) fn spelt(&self, table: &str) -> Option<(&TableName, &Arc<str>)> {
        let name = TableName::parse(table).ok()?;
        self.wanted.get_key_value(&name)
    }

    /// The shape of a change's table; `None` where nobody wants it.
    pub(super) fn streamed(&self, relation: u32) -> Result<Option<&Arc<Shape>>> {
        self.streamed.get(&relation).map(Option::as_ref).ok_or_else(|| {
            Error::internal("a change names a table that the stream has not described")
        })
    }

    /// Takes what the stream says of a table.
    ///
    /// # Errors
    /// `Invalid` with `State::SchemaBlocked` when its changes can be put to no key.
    pub(super) fn learn(&mut self, client: &mut Client, relation: &Relation<'_>) -> Result<()> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = TableName { schema: text(relation.schema), name: text(relation.name) };
        let Some(table) = self.wanted.get(&name).cloned() else {
            self.streamed.insert(relation.id, None);
            return Ok(());
        };
        if let Some(declared) = shape(client, &name, self.as_text)? {
            self.declared.insert(name.clone(), declared);
        }
        let declared = self.declared.get(&name).cloned();
        let (mut columns, mut wires) = (Vec::new(), Vec::new());
        for column in &relation.columns {
            let (ty, basic) = self.type_of(client, column.type_oid, column.type_modifier)?;
            let mapped = mapped(&ty, basic, self.as_text);
            let column_name = text(column.name);
            let known = declared.as_ref().and_then(|d| d.column(&column_name));
            let nullable = known.is_none_or(|known| known.column.nullable);
            let column = Column::new(column_name, mapped.ty, nullable);
            columns.push(if mapped.says_more { column.declared(ty) } else { column });
            wires.push(mapped.wire);
        }
        let key = key_of(relation, declared.as_ref()).ok_or_else(|| blocked(&name))?;
        let schema = TableSchema::new(columns, &key).map_err(|e| {
            Error::internal(format!("{} makes no table", name.shown())).caused_by(e)
        })?;
        let new = Shape::new(&table, &name, schema, wires);
        // The same shape again keeps its batch.
        let known = self.streamed.values().flatten().find(|known| ***known == new).cloned();
        let shape = known.unwrap_or_else(|| Arc::new(new));
        self.streamed.insert(relation.id, Some(shape));
        Ok(())
    }

    /// What a type is called, and whether it is PostgreSQL's own.
    fn type_of(&mut self, client: &mut Client, oid: u32, modifier: i32) -> Result<(String, bool)> {
        if let Some(known) = self.types.get(&(oid, modifier)) {
            return Ok(known.clone());
        }
        let sql = "SELECT format_type($1, $2), EXISTS (SELECT FROM pg_type t WHERE t.oid = $1 AND t.typtype = 'b'
             AND t.typnamespace = 'pg_catalog'::regnamespace AND t.typcategory <> 'A')";
        let row =
            client.query_one(sql, &[&oid, &modifier]).map_err(failed("cannot read a type"))?;
        let found: (String, bool) = (row.get(0), row.get(1));
        self.types.insert((oid, modifier), found.clone());
        Ok(found)
    }
}

/// The key of a table as the stream describes it: the declared one where old images have its columns.
fn key_of(relation: &Relation<'_>, declared: Option<&TableShape>) -> Option<Vec<String>> {
    let identifying: Vec<String> = relation
        .columns
        .iter()
        .filter(|column| column.identifies)
        .map(|column| String::from_utf8_lossy(column.name).into_owned())
        .collect();
    let known = declared.map(|d| d.key.clone()).filter(|key| !key.is_empty());
    let identify = |key: &Vec<String>| key.iter().all(|name| identifying.contains(name));
    let declared = known.clone().filter(identify);
    match relation.identity {
        // Only inserts can come, and they come whole.
        b'n' => known,
        // All columns identify: without a declared key there is none.
        b'f' => declared,
        _ => declared.or(Some(identifying)).filter(|key| !key.is_empty()),
    }
}

/// Fails unless every change of a table can be put to a key.
fn require_key(client: &mut Client, declared: &TableShape) -> Result<()> {
    let name = declared.name.shown();
    let full = format!("ALTER TABLE {} REPLICA IDENTITY FULL", declared.name.sql());
    if declared.key.is_empty() {
        return Err(Error::invalid(format!("table {name} has no key"))
            .found("neither a primary key nor a unique index as its replica identity")
            .fix(format!("ALTER TABLE {} ADD PRIMARY KEY (...)", declared.name.sql())));
    }
    match declared.identity {
        ReplicaIdentity::Full | ReplicaIdentity::Default => Ok(()),
        ReplicaIdentity::Nothing => {
            Err(Error::invalid(format!("old rows of table {name} are not identified"))
                .found("its replica identity is NOTHING")
                .effect("once it is published, updates and deletes would fail at the source")
                .fix(full))
        }
        ReplicaIdentity::Index => {
            let sql =
                "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
                 AND a.attnum = ANY (i.indkey) WHERE i.indrelid = $1 AND i.indisreplident";
            let rows =
                client.query(sql, &[&declared.oid]).map_err(failed("cannot read an index"))?;
            let identifying: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            if declared.key.iter().all(|column| identifying.contains(column)) {
                return Ok(());
            }
            Err(Error::invalid(format!("old rows of table {name} are not identified by its key"))
                .found(format!("they are by ({})", identifying.join(", ")))
                .fix(full))
        }
    }
}

fn blocked(name: &TableName) -> Error {
    Error::invalid(format!("changes of table {} can be put to no key", name.shown()))
        .effect("the capture of this site stands still in front of them; nothing is lost")
        .fix(format!(
            "ALTER TABLE {} REPLICA IDENTITY FULL, then let the table's flows be synchronised anew: seamount resync FLOW",
            name.sql()
        ))
        .state(State::SchemaBlocked)
}
