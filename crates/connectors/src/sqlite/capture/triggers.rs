//! The triggers of one captured table, as SQL.
//!
//! While `recursive_triggers` is off, SQLite deletes the rows that REPLACE pushes out without telling anyone. So a
//! BEFORE trigger *notes* the rows that collide with the new one, and the AFTER trigger turns the notes of rows that
//! are really gone into deletes, ahead of the change itself. The invariant that makes this safe whatever fails,
//! nests or is ignored: **a note always holds the row as it was last captured.** Every later change of a noted row
//! keeps its note, every delete drops it; a note left behind by a row that stayed is only superfluous.
//!
//! SQLite runs the newest trigger first. Ours are created last, so that a change is recorded before the
//! application's AFTER triggers make further ones of it. Where the application has BEFORE triggers, they run between
//! our note and the change (the window is open): then the row itself is noted too, and old images come from notes.
//!
//! Only words that SQLite has known since 2012 are used: the application's library compiles them. No conflict
//! clause is relied on, because the clause of the application's statement would override it.

use super::super::names::identifier;
use super::super::types::Affinity;
use super::subject::{Subject, Window};
use change::Op;

/// Prefix of our triggers' names; the number of the shape follows.
pub(super) const PREFIX: &str = "_seamount_capture_";

/// A trigger: its name, and the statement that creates it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trigger {
    pub(super) name: String,
    pub(super) sql: String,
}

/// Name of the note table of a shape.
pub(super) fn note_table(shape: i64) -> String {
    format!("_seamount_note_{shape}")
}

/// Creates the note table: the same columns under the same affinities, and the same keys as plain indexes.
pub(super) fn note_table_sql(subject: &Subject, shape: i64) -> String {
    let name = note_table(shape);
    let column = |c: &super::super::catalogue::ColumnShape| {
        let affinity = match c.affinity {
            Affinity::Integer | Affinity::Numeric => "NUMERIC",
            Affinity::Real => "REAL",
            Affinity::Text => "TEXT",
            Affinity::Blob => "BLOB",
        };
        format!("{} {affinity}", identifier(&c.name))
    };
    let columns: Vec<String> = subject.shape.columns.iter().map(column).collect();
    let mut sql = format!("CREATE TABLE {name} ({});", columns.join(", "));
    for (i, key) in subject.keys.iter().enumerate() {
        sql += &key.index(&format!("{name}_{i}"), &name);
    }
    sql
}

/// All triggers of a table, in the order in which they are created: the last one runs first.
pub(super) fn triggers(subject: &Subject, shape: i64) -> Vec<Trigger> {
    let words = Words::new(subject, shape);
    let mut all = vec![
        words.trigger(
            "note_insert",
            "BEFORE INSERT",
            Some(words.would_replace()),
            &[words.note("0")],
        ),
        words.note_update(),
    ];
    let settle_insert = words.settle("0");
    let settle_update = words.settle(&words.same(&words.notes, "OLD"));
    match subject.window {
        Window::Closed => {
            let noted = || Some(format!("EXISTS (SELECT 1 FROM {})", words.notes));
            let keep: Vec<String> = settle_update.into_iter().chain([words.keep()]).collect();
            all.extend([
                words.trigger("insert", "AFTER INSERT", None, &[words.record(Op::Insert)]),
                words.trigger("insert_settle", "AFTER INSERT", noted(), &settle_insert),
                words.trigger("update", "AFTER UPDATE", None, &[words.record(Op::Update)]),
                words.trigger("update_settle", "AFTER UPDATE", noted(), &keep),
                words.trigger("delete", "AFTER DELETE", None, &[words.record(Op::Delete)]),
                words.trigger("delete_settle", "AFTER DELETE", noted(), &[words.forget()]),
            ]);
        }
        Window::Open => {
            let own = words.same(&words.table, "OLD");
            let insert = settle_insert
                .into_iter()
                .chain([words.record(Op::Insert), words.note_new()])
                .collect::<Vec<_>>();
            let update = settle_update
                .into_iter()
                .chain(words.record_noted(Op::Update))
                .chain([words.keep()])
                .collect::<Vec<_>>();
            let delete = words
                .record_noted(Op::Delete)
                .into_iter()
                .chain([words.forget()])
                .collect::<Vec<_>>();
            all.extend([
                words.trigger("note_delete", "BEFORE DELETE", None, &[words.note_where(&own)]),
                words.trigger("insert", "AFTER INSERT", None, &insert),
                words.trigger("update", "AFTER UPDATE", None, &update),
                words.trigger("delete", "AFTER DELETE", None, &delete),
            ]);
        }
    }
    all
}

/// What all triggers of one table say.
struct Words<'s> {
    subject: &'s Subject,
    shape: i64,
    table: String,
    notes: String,
    columns: Vec<String>,
}

impl<'s> Words<'s> {
    fn new(subject: &'s Subject, shape: i64) -> Self {
        Words {
            subject,
            shape,
            table: identifier(&subject.shape.name),
            notes: note_table(shape),
            columns: subject.columns(),
        }
    }

    fn trigger(&self, what: &str, when: &str, guard: Option<String>, body: &[String]) -> Trigger {
        let name = format!("{PREFIX}{}_{what}", self.shape);
        let guard = guard.map_or(String::new(), |guard| format!(" WHEN {guard}"));
        let sql = format!(
            "CREATE TRIGGER {name} {when} ON {}{guard} BEGIN {}; END",
            self.table,
            body.join("; ")
        );
        Trigger { name, sql }
    }

    fn same(&self, left: &str, right: &str) -> String {
        format!("({})", self.subject.primary().same(left, right))
    }

    /// Rows of `rows` that collide with NEW by any key.
    fn collides(&self, rows: &str) -> String {
        let keys = self.subject.keys.iter();
        let keys: Vec<String> =
            keys.map(|key| format!("({})", key.collides(rows, &self.columns))).collect();
        format!("({})", keys.join(" OR "))
    }

    /// Whether any row collides with NEW: one look-up for each key.
    fn would_replace(&self) -> String {
        let look = |key: &super::keys::UniqueKey| {
            let collides = key.collides(&self.table, &self.columns);
            format!("EXISTS (SELECT 1 FROM {} WHERE {collides})", self.table)
        };
        self.subject.keys.iter().map(look).collect::<Vec<_>>().join(" OR ")
    }

    /// Notes rows that collide with NEW, except those for which `except` holds.
    fn note(&self, except: &str) -> String {
        self.note_where(&format!("{} AND NOT {except}", self.collides(&self.table)))
    }

    fn note_where(&self, condition: &str) -> String {
        let (notes, table) = (&self.notes, &self.table);
        let columns = self.columns.join(", ");
        format!(
            "INSERT INTO {notes} ({columns}) SELECT {columns} FROM {table} WHERE {condition} \
             AND NOT EXISTS (SELECT 1 FROM {notes} WHERE {})",
            self.same(notes, table)
        )
    }

    fn note_update(&self) -> Trigger {
        let itself = self.same(&self.table, "OLD");
        match self.subject.window {
            Window::Closed => {
                let guard = match self.key_changes() {
                    Some(changes) => format!("({changes}) AND ({})", self.would_replace()),
                    None => self.would_replace(),
                };
                self.trigger("note_update", "BEFORE UPDATE", Some(guard), &[self.note(&itself)])
            }
            Window::Open => {
                let rows = format!("({} OR {itself})", self.collides(&self.table));
                self.trigger("note_update", "BEFORE UPDATE", None, &[self.note_where(&rows)])
            }
        }
    }

    /// SQL that is true when a key column changes; `None` where that takes more than comparing columns.
    fn key_changes(&self) -> Option<String> {
        let mut columns = Vec::new();
        for key in &self.subject.keys {
            columns.extend(key.plain_columns()?);
        }
        columns.sort_unstable();
        columns.dedup();
        let changed = |name: &str| {
            let name = identifier(name);
            format!("NEW.{name} COLLATE BINARY IS NOT OLD.{name}")
        };
        Some(columns.into_iter().map(changed).collect::<Vec<_>>().join(" OR "))
    }

    /// Deletes for noted rows that NEW has pushed out; `except` holds for the note of the changed row itself.
    fn settle(&self, except: &str) -> [String; 2] {
        let (notes, table) = (&self.notes, &self.table);
        let gone = format!(
            "{} AND NOT {except} AND ({} OR NOT EXISTS (SELECT 1 FROM {table} WHERE {}))",
            self.collides(notes),
            self.same(notes, "NEW"),
            self.same(table, notes)
        );
        [
            format!("{} FROM {notes} WHERE {gone}", self.select(Op::Delete, notes)),
            format!("DELETE FROM {notes} WHERE {gone}"),
        ]
    }

    /// The change as the trigger sees it.
    fn record(&self, op: Op) -> String {
        let (columns, cells) = self.change(op, "OLD");
        format!("INSERT INTO _seamount_change ({columns}) VALUES ({cells})")
    }

    /// The change with the note of the row as its old image, or with OLD where there is none.
    fn record_noted(&self, op: Op) -> [String; 2] {
        let (notes, noted) = (&self.notes, self.same(&self.notes, "OLD"));
        let without = format!("NOT EXISTS (SELECT 1 FROM {notes} WHERE {noted})");
        [
            format!("{} FROM {notes} WHERE {noted}", self.select(op, notes)),
            format!("{} WHERE {without}", self.select(op, "OLD")),
        ]
    }

    fn select(&self, op: Op, old: &str) -> String {
        let (columns, cells) = self.change(op, old);
        format!("INSERT INTO _seamount_change ({columns}) SELECT {cells}")
    }

    /// Columns and cells of a change whose old image is the row called `old`.
    fn change(&self, op: Op, old: &str) -> (String, String) {
        let mut columns = vec!["shape".to_string(), "op".to_string()];
        let mut cells = vec![self.shape.to_string(), (op as u8).to_string()];
        for (prefix, row, there) in [("n", "NEW", op.has_new()), ("o", old, op.has_old())] {
            if there {
                columns.extend((0..self.columns.len()).map(|i| format!("{prefix}{i}")));
                cells.extend(self.cells(row));
            }
        }
        (columns.join(", "), cells.join(", "))
    }

    fn cells(&self, row: &str) -> Vec<String> {
        self.columns.iter().map(|name| format!("{row}.{name}")).collect()
    }

    fn note_new(&self) -> String {
        let (columns, cells) = (self.columns.join(", "), self.cells("NEW").join(", "));
        format!("INSERT INTO {} ({columns}) VALUES ({cells})", self.notes)
    }

    /// The note of the changed row, if there is one, holds it as it is now.
    fn keep(&self) -> String {
        let set = |name: &String| format!("{name} = NEW.{name}");
        let set: Vec<String> = self.columns.iter().map(set).collect();
        let own = self.same(&self.notes, "OLD");
        format!("UPDATE {} SET {} WHERE {own}", self.notes, set.join(", "))
    }

    fn forget(&self) -> String {
        format!("DELETE FROM {} WHERE {}", self.notes, self.same(&self.notes, "OLD"))
    }
}
