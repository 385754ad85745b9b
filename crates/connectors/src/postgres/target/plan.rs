//! How a table is written: its shape, the form of each column, and the statements; made once and kept.
//!
//! Kept plans are asked for at the beginning of each transaction: where the server shows another version of the table,
//! they are made anew. Casts that an assignment makes (a decimal rounded, a time cut off) are so never made unseen.

use super::super::catalogue::{TableShape, require_shape};
use super::super::filter::Filter;
use super::super::names::{TableName, literal};
use super::arrays::unnested;
use super::form::{Form, form};
use super::guess::Guess;
use super::session::{Answer, Session};
use arrow::array::RecordBatch;
use change::TableSchema;
use connect::read::Owner;
use connect::target::TargetTable;
use connect::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A table as one flow writes it.
pub(super) struct Plan {
    pub(super) shape: TableShape,
    pub(super) table: TargetTable,
    pub(super) forms: Vec<Form>,
    /// Forms of the key columns, in key order.
    pub(super) key: Vec<Form>,
    /// Object and version that the server showed.
    version: Vec<Option<String>>,
    pub(super) insert: String,
    /// `None` without a key.
    pub(super) upsert: Option<String>,
    pub(super) update: Option<String>,
    pub(super) delete: Option<String>,
    /// Without its format.
    pub(super) copy: String,
    /// Whether rows may come by COPY: it knows no policies of rows.
    pub(super) copies: bool,
}

impl Plan {
    /// Makes a plan for a table that is there.
    pub(super) fn make(
        session: &mut Session,
        name: &TableName,
        table: &TargetTable,
    ) -> Result<Plan> {
        let version = versions(session, std::slice::from_ref(name))?.rows.pop().unwrap_or_default();
        let as_text = session.address().as_text;
        let shape = require_shape(session.client(), name, as_text)?;
        let schema = &table.schema;
        let forms = forms(&shape, schema)?;
        let key: Vec<Form> = schema.key().iter().map(|&place| forms[place].clone()).collect();
        let insert = insert(&shape, &forms)
            + &format!("SELECT {} FROM {}", carried(&forms), unnested(&forms));
        let (mut upsert, mut update, mut delete) = (None, None, None);
        if !key.is_empty() {
            let mut guard = String::new();
            if let Some(owner) = guarding(table) {
                guard = Filter::default().owned(&shape, owner)?.sql();
            }
            upsert = Some(insert.clone() + &overwrite(schema, &forms, &guard));
            let mut owned = String::new();
            if let Some(owner) = &table.owner {
                owned = Filter::default().owned(&shape, owner)?.and_sql();
            }
            update = Some(change(&shape, schema, &forms, &owned));
            delete = Some(format!(
                "DELETE FROM {} AS t USING {} WHERE {}{owned}",
                shape.name.sql(),
                unnested(&key),
                same_key(&key)
            ));
        }
        let copy = format!("COPY {} ({}) FROM STDIN", shape.name.sql(), names(&forms));
        let what = "cannot look for policies of a table";
        let rows = session.look("SELECT row_security_active($1::oid)", &[&shape.oid], what)?;
        let copies = rows.first().is_some_and(|row| !row.get::<_, bool>(0));
        let table = table.clone();
        Ok(Plan { shape, table, forms, key, version, insert, upsert, update, delete, copy, copies })
    }

    /// The table's name, for messages.
    pub(super) fn shown(&self) -> String {
        self.shape.name.shown()
    }

    /// What stands in a message when rows cannot be written.
    pub(super) fn writing(&self) -> String {
        format!("cannot write to {}", self.shown())
    }

    /// Fails unless the batch has the columns of a schema.
    pub(super) fn require_columns(&self, rows: &RecordBatch, schema: &TableSchema) -> Result<()> {
        let wanted = schema.images().fields().iter().map(|field| field.data_type());
        if rows.schema_ref().fields().iter().map(|field| field.data_type()).eq(wanted) {
            return Ok(());
        }
        Err(Error::internal(format!(
            "rows for {} have other columns than the flow declares",
            self.shown()
        )))
    }

    /// Whether it is for the table as a flow writes it now.
    pub(super) fn is_for(&self, table: &TargetTable) -> bool {
        self.table.owner == table.owner
            && (Arc::ptr_eq(&self.table.schema, &table.schema) || self.table.schema == table.schema)
    }
}

/// Forms of a schema's columns in a table.
pub(super) fn forms(shape: &TableShape, schema: &TableSchema) -> Result<Vec<Form>> {
    let column = |wanted: &change::Column| {
        form(wanted, shape.require(&wanted.name)?).map_err(|why| {
            Error::invalid(format!("table {} does not fit", shape.name.shown())).found(why)
        })
    };
    schema.columns().iter().map(column).collect()
}

/// `INSERT INTO name AS t (columns) `, with identities as they come.
pub(super) fn insert(shape: &TableShape, forms: &[Form]) -> String {
    let always = |form: &Form| shape.column(&form.name).is_some_and(|c| c.identity_always);
    let overriding = if forms.iter().any(always) { "OVERRIDING SYSTEM VALUE " } else { "" };
    format!("INSERT INTO {} AS t ({}) {overriding}", shape.name.sql(), names(forms))
}

/// The columns' names.
pub(super) fn names(forms: &[Form]) -> String {
    forms.iter().map(|form| form.quoted.as_str()).collect::<Vec<_>>().join(", ")
}

fn carried(forms: &[Form]) -> String {
    let cells = forms.iter().enumerate().map(|(i, form)| form.carried(i));
    cells.collect::<Vec<_>>().join(", ")
}

/// `t` has the key that `s` carries.
pub(super) fn same_key(key: &[Form]) -> String {
    let same =
        key.iter().enumerate().map(|(i, form)| format!("t.{} = {}", form.quoted, form.carried(i)));
    same.collect::<Vec<_>>().join(" AND ")
}

/// What happens to a row with the same key: the flow's columns are overwritten, others keep what they hold.
pub(super) fn overwrite(schema: &TableSchema, forms: &[Form], guard: &str) -> String {
    let key: Vec<Form> = schema.key().iter().map(|&place| forms[place].clone()).collect();
    let set: Vec<String> = (0..forms.len())
        .filter(|place| !schema.key().contains(place))
        .map(|place| format!("{0} = excluded.{0}", forms[place].quoted))
        .collect();
    let action = match set.as_slice() {
        [] => "NOTHING".to_string(),
        set => format!("UPDATE SET {}{guard}", set.join(", ")),
    };
    format!(" ON CONFLICT ({}) DO {action}", names(&key))
}

/// `UPDATE name AS t SET ...` from rows that are carried, by key; a row that is its key alone is only met.
fn change(shape: &TableShape, schema: &TableSchema, forms: &[Form], owned: &str) -> String {
    let is_key = |place: usize| schema.key().contains(&place);
    let of = |wanted: &dyn Fn(usize) -> bool, qualifier: &str| -> Vec<String> {
        let places = (0..forms.len()).filter(|place| wanted(*place));
        places
            .map(|at| format!("{qualifier}{} = {}", forms[at].quoted, forms[at].carried(at)))
            .collect()
    };
    format!(
        "UPDATE {} AS t SET {} FROM {} WHERE {}{owned}",
        shape.name.sql(),
        of(&|place| !is_key(place) || only_key(schema), "").join(", "),
        unnested(forms),
        of(&is_key, "t.").join(" AND ")
    )
}

/// The owner, where rows of different owners can share a key.
pub(super) fn guarding(table: &TargetTable) -> Option<&Owner> {
    table.owner.as_ref().filter(|owner| table.schema.key_names().all(|name| name != owner.column))
}

/// Whether a row is its key and nothing else, so that one that is there stands as it is.
pub(super) fn only_key(schema: &TableSchema) -> bool {
    schema.columns().len() == schema.key().len()
}

/// The name of a table that flows use, and the columns that are written: all, or some of a row that is there.
type Known = (String, Vec<String>);

/// Plans of tables.
#[derive(Default)]
pub(super) struct Plans {
    known: BTreeMap<Known, Arc<Plan>>,
    guesses: BTreeMap<String, Guess>,
}

impl Plans {
    /// A statement whose answer [`Plans::refresh`] takes; empty when nothing is known.
    pub(super) fn question(&self) -> String {
        if self.known.is_empty() {
            return String::new();
        }
        let names: Vec<TableName> =
            self.known.values().map(|plan| plan.shape.name.clone()).collect();
        ask(&names)
    }

    /// Forgets plans of tables that are others now.
    pub(super) fn refresh(&mut self, answer: Option<&Answer>) {
        let mut rows = answer.map_or([].iter(), |answer| answer.rows.iter());
        self.known.retain(|_, plan| rows.next() == Some(&plan.version));
    }

    /// Forgets all: the connection is another.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// What was learnt of the rows that a table gets.
    pub(super) fn guess(&mut self, table: &str) -> &mut Guess {
        if !self.guesses.contains_key(table) {
            self.guesses.insert(table.to_string(), Guess::default());
        }
        self.guesses.get_mut(table).expect("it was inserted")
    }

    /// The plan of a table.
    pub(super) fn of(&mut self, session: &mut Session, table: &TargetTable) -> Result<Arc<Plan>> {
        let columns = table.schema.columns().iter().map(|column| column.name.clone());
        let known = (table.name.clone(), columns.collect());
        if let Some(plan) = self.known.get(&known).filter(|plan| plan.is_for(table)) {
            return Ok(plan.clone());
        }
        let plan = Arc::new(Plan::make(session, &TableName::parse(&table.name)?, table)?);
        self.known.insert(known, plan.clone());
        Ok(plan)
    }
}

fn ask(names: &[TableName]) -> String {
    let names: Vec<String> = names.iter().map(|name| literal(&name.sql())).collect();
    format!("EXECUTE seamount_fresh(ARRAY[{}])", names.join(", "))
}

fn versions(session: &mut Session, names: &[TableName]) -> Result<Answer> {
    let mut answers = session.script(&ask(names), "cannot read the version of a table")?;
    Ok(answers.pop().unwrap_or_default())
}
