//! An application that commits transactions to a PostgreSQL database, as the tests of the capture want it.

use crate::postgres_place::settings;
use change::value::decimal_text;
use change::{Column, ColumnType, Key, TableSchema, Value};
use connect::component::Connector;
use connect::conformance::Arranged;
use connect::conformance::source::SourceHarness;
use connect::log::Bounds;
use connect::memory::{Edit, OldImages};
use connect::source::{ChangeReader, Resume, Source};
use connect::{Error, Result};
use postgres::{Client, NoTls};
use seamount_connectors::postgres::Postgres;
use seamount_connectors::postgres::names::{identifier, literal};
use seamount_connectors::postgres::types::declaration;
use servers::{Cluster, Recipe};
use std::collections::HashMap;
use std::path::Path;

/// What identifies old rows in the write-ahead log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    Default,
    Full,
}

/// A database, and who writes to it.
pub(crate) struct Application {
    own: Option<Cluster>,
    pub(crate) database: String,
    client: Option<Client>,
    identity: Identity,
    keys: HashMap<String, Vec<String>>,
}

impl Application {
    /// On the shared server.
    pub(crate) fn new(identity: Identity) -> Application {
        Application::on(None, identity)
    }

    /// On a server of its own.
    pub(crate) fn of_its_own() -> Application {
        Application::on(Some(Cluster::start(&Recipe::default()).unwrap()), Identity::Full)
    }

    /// In a database of the shared server that is there.
    pub(crate) fn beside(database: String) -> Application {
        Application::in_database(None, database, Identity::Default)
    }

    fn on(own: Option<Cluster>, identity: Identity) -> Application {
        let database = own.as_ref().unwrap_or_else(|| Cluster::shared()).database();
        Application::in_database(own, database, identity)
    }

    fn in_database(own: Option<Cluster>, database: String, identity: Identity) -> Application {
        let keys = HashMap::new();
        let mut application = Application { own, database, client: None, identity, keys };
        application.log_in();
        application
    }

    pub(crate) fn server(&self) -> &Cluster {
        self.own.as_ref().unwrap_or_else(|| Cluster::shared())
    }

    /// What is committed is durable at once: the stream comes up to there and no further.
    pub(crate) fn log_in(&mut self) {
        let mut client = Client::connect(&self.server().url(&self.database), NoTls).unwrap();
        client.batch_execute("SET synchronous_commit = on; SET timezone = 'UTC'").unwrap();
        self.client = Some(client);
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        self.client.as_mut().unwrap()
    }

    pub(crate) fn sql(&mut self, sql: &str) {
        self.client().batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    pub(crate) fn source(&self) -> Box<dyn Source> {
        let settings = settings(&self.server().url(&self.database));
        Postgres::new("postgres").source(&settings).unwrap()
    }

    pub(crate) fn capture(
        &self,
        tables: &[&str],
        resume: &Resume,
    ) -> Result<Box<dyn ChangeReader>> {
        let tables: Vec<String> = tables.iter().map(|table| (*table).to_string()).collect();
        self.source().capture(&tables, resume)
    }

    /// A capture that begins now.
    pub(crate) fn fresh(&self, tables: &[&str]) -> Box<dyn ChangeReader> {
        self.capture(tables, &Resume::Fresh).unwrap()
    }

    fn carry_out(&mut self, edit: &Edit) {
        let sql = match edit {
            Edit::Insert { table, row } => {
                let cells: Vec<String> = row.iter().map(cell).collect();
                format!("INSERT INTO {} VALUES ({})", identifier(table), cells.join(", "))
            }
            Edit::Update { table, key, row } => {
                let names = self.columns(table);
                let set =
                    names.iter().zip(row).map(|(name, value)| format!("{name} = {}", cell(value)));
                let set: Vec<String> = set.collect();
                format!(
                    "UPDATE {} SET {} {}",
                    identifier(table),
                    set.join(", "),
                    self.at(table, key)
                )
            }
            Edit::Delete { table, key } => {
                format!("DELETE FROM {} {}", identifier(table), self.at(table, key))
            }
            Edit::Truncate { table } => format!("TRUNCATE {}", identifier(table)),
        };
        self.sql(&sql);
    }

    fn columns(&mut self, table: &str) -> Vec<String> {
        let sql =
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0
             AND NOT attisdropped ORDER BY attnum";
        let rows = self.client().query(sql, &[&identifier(table)]).unwrap();
        rows.iter().map(|row| identifier(row.get(0))).collect()
    }

    fn at(&self, table: &str, key: &Key) -> String {
        let names = self.keys[table].iter().zip(&key.0);
        let equal: Vec<String> =
            names.map(|(name, value)| format!("{} = {}", identifier(name), cell(value))).collect();
        format!("WHERE {}", equal.join(" AND "))
    }

    fn backup(&self) -> std::path::PathBuf {
        self.server().data_folder().with_file_name("backup")
    }
}

/// The slots of a database go with its application: a server has few.
impl Drop for Application {
    fn drop(&mut self) {
        self.client = None;
        if self.own.is_some() || std::thread::panicking() {
            return;
        }
        let sql = format!(
            "SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots
             WHERE database = '{}' AND NOT active",
            self.database
        );
        let left = format!(
            "SELECT count(*) FROM pg_replication_slots WHERE database = '{}'",
            self.database
        );
        for _ in 0..100 {
            let _ = Cluster::shared().try_sql("postgres", &sql);
            if Cluster::shared().try_sql("postgres", &left).is_ok_and(|count| count == "0") {
                return;
            }
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => format!("'{i}'"),
        Value::Float(bits) => match f64::from_bits(bits.0) {
            f if f.is_nan() => "'NaN'".into(),
            f if f.is_infinite() => format!("'{}Infinity'", if f < 0.0 { "-" } else { "" }),
            f => format!("'{f:?}'"),
        },
        Value::Decimal { unscaled, scale } => format!("'{}'", decimal_text(*unscaled, *scale)),
        Value::Text(text) => literal(text),
        Value::Bytes(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("decode('{digits}', 'hex')")
        }
        other => format!("'{other}'"),
    }
}

impl SourceHarness for Application {
    fn create(&mut self, table: &str, schema: &TableSchema) {
        let column = |c: &Column| {
            let not_null = if c.nullable { "" } else { " NOT NULL" };
            format!("{} {}{not_null}", identifier(&c.name), declaration(c.ty, None))
        };
        let mut lines: Vec<String> = schema.columns().iter().map(column).collect();
        let key: Vec<String> = schema.key_names().map(str::to_string).collect();
        if !key.is_empty() {
            let quoted: Vec<String> = key.iter().map(|k| identifier(k)).collect();
            lines.push(format!("PRIMARY KEY ({})", quoted.join(", ")));
        }
        self.sql(&format!("CREATE TABLE {} ({})", identifier(table), lines.join(", ")));
        if self.identity == Identity::Full {
            self.sql(&format!("ALTER TABLE {} REPLICA IDENTITY FULL", identifier(table)));
        }
        self.keys.insert(table.into(), key);
    }

    fn open(&mut self) -> Box<dyn Source> {
        self.source()
    }

    fn commit(&mut self, edits: &[Edit]) {
        self.sql("BEGIN");
        edits.iter().for_each(|edit| self.carry_out(edit));
        self.sql("COMMIT");
    }

    fn roll_back(&mut self, edits: &[Edit]) {
        self.sql("BEGIN");
        edits.iter().for_each(|edit| self.carry_out(edit));
        self.sql("ROLLBACK");
    }

    fn back_up(&mut self) -> Arranged {
        let Some(own) = &self.own else { return Arranged::NotPossible };
        self.client = None;
        own.stop().unwrap();
        copy(&own.data_folder(), &self.backup());
        own.resume().unwrap();
        self.log_in();
        Arranged::Done
    }

    fn restore(&mut self) {
        let own = self.own.as_ref().expect("a backup was made");
        self.client = None;
        own.stop().unwrap();
        std::fs::remove_dir_all(own.data_folder()).unwrap();
        copy(&self.backup(), &own.data_folder());
        own.resume().unwrap();
        self.log_in();
    }

    fn add_column(&mut self, table: &str, column: &Column) -> Arranged {
        self.sql(&format!(
            "ALTER TABLE {} ADD COLUMN {} {}",
            identifier(table),
            identifier(&column.name),
            declaration(column.ty, None)
        ));
        Arranged::Done
    }

    fn old_images(&self) -> OldImages {
        match self.identity {
            Identity::Full => OldImages::Full,
            Identity::Default => OldImages::Keys,
        }
    }

    fn lacks(&self) -> Vec<ColumnType> {
        vec![ColumnType::Any]
    }

    fn refuses(&self, value: &Value) -> bool {
        matches!(value, Value::Text(text) if text.contains('\0'))
    }
}

/// Copies a folder with its owners.
fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success(), "the server's folder is copied");
}

pub(crate) const ROOMY: Bounds = Bounds { changes: 10_000, bytes: usize::MAX };

/// All groups that there are now.
pub(crate) fn drain(reader: &mut dyn ChangeReader) -> Vec<change::GroupBody> {
    std::iter::from_fn(|| reader.poll(ROOMY).unwrap()).collect()
}

/// The error of a call that must fail.
pub(crate) fn failure<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it succeeds"),
        Err(error) => error,
    }
}
