//! The folder of one run: three stores, the centre, a nightly export, and a Seamount project over them.
//!
//! ```text
//! stores/paris.db ..   ─┐ books (event, two tables)     ─► central/central.db: debit, credit
//!                       └ articles (hybrid)             ─►                     stock
//! project/export/*.csv  ─ sales (batch)                 ─►                     sales
//! ```
//! All paths in the project are relative, so that a copy of it beside the first (a clone) or of the whole folder (an
//! image of its disk) is a project over the same, or the copied, databases.

use crate::export::Export;
use crate::seamount::Seamount;
use crate::store::Store;
use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The stores.
pub(crate) const STORES: [&str; 3] = ["paris", "oslo", "rome"];

/// How long we wait for others who write the same database.
const BUSY: Duration = Duration::from_secs(60);

/// A store's tables.
pub(crate) const STORE_TABLES: &str = "
CREATE TABLE debit (store TEXT NOT NULL, id INTEGER NOT NULL, amount INTEGER NOT NULL, booked INTEGER NOT NULL,
    PRIMARY KEY (store, id));
CREATE TABLE credit (store TEXT NOT NULL, id INTEGER NOT NULL, amount INTEGER NOT NULL, booked INTEGER NOT NULL,
    PRIMARY KEY (store, id));
CREATE TABLE stock (sku TEXT NOT NULL PRIMARY KEY, qty INTEGER NOT NULL, note TEXT, price REAL);
";

// The smallest log: files are begun and let go of many times in a run.
const PROJECT: &str = "name = \"torture\"\nlog  = { kind = \"embedded\", max_size = \"600kB\" }\n";

const SITES: &str = "\
[central]
url = \"sqlite:../central/central.db\"
busy_timeout_ms = 30000

[export]
url = \"files:export\"

[stores]
each_in = \"stores.csv\"
url     = \"sqlite:../stores/{file}.db\"
busy_timeout_ms = 30000
";

const BOOKS: &str = "\
mode = \"event\"
[from]
sites  = \"stores\"
tables = [\"debit\", \"credit\"]
[to]
site  = \"central\"
owner = \"store\"
";

const ARTICLES: &str = "\
mode = \"hybrid\"
[from]
sites       = \"stores\"
table       = \"stock\"
site_column = \"store\"
[to]
site  = \"central\"
table = \"stock\"
[reconcile]
schedule = \"* * * * *\"
";

const SALES: &str = "\
mode = \"batch\"
[from]
sites = \"export\"
files = \"{interval}.csv\"
table = \"sales\"
key   = [\"day\", \"sku\"]
types = { units = \"int64\", version = \"int64\", of = \"int64\" }
[to]
site  = \"central\"
table = \"sales\"
[batch]
interval_by = \"day\"
schedule    = \"* * * * *\"
";

/// A run's folder.
#[derive(Clone, Debug)]
pub(crate) struct World {
    root: PathBuf,
}

impl World {
    /// Builds everything in an empty folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn build(root: &Path) -> Result<World> {
        let world = World { root: root.to_path_buf() };
        for folder in ["stores", "central", "project/flows", "project/export"] {
            std::fs::create_dir_all(root.join(folder)).with_context(|| folder.to_string())?;
        }
        let list: String = STORES.iter().map(|name| format!("{name},{name}\n")).collect();
        for (path, text) in [
            ("seamount.toml", PROJECT),
            ("sites.toml", SITES),
            ("stores.csv", &format!("site,file\n{list}")),
            ("flows/books.toml", BOOKS),
            ("flows/articles.toml", ARTICLES),
            ("flows/sales.toml", SALES),
        ] {
            std::fs::write(world.project().join(path), text).with_context(|| path.to_string())?;
        }
        for name in STORES {
            let database = open(&world.store_path(name))?;
            database.execute_batch(&format!(
                "PRAGMA journal_mode = WAL; {STORE_TABLES}
                 INSERT INTO debit VALUES ('{name}', 0, 0, 0); INSERT INTO credit VALUES ('{name}', 0, 0, 0)"
            ))?;
        }
        Ok(world)
    }

    /// A folder that was built before, or a copy of one.
    pub(crate) fn at(root: &Path) -> World {
        World { root: root.to_path_buf() }
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the project.
    pub(crate) fn project(&self) -> PathBuf {
        self.root.join("project")
    }

    /// The project's state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.project().join(".seamount")
    }

    /// A store's database.
    pub(crate) fn store_path(&self, name: &str) -> PathBuf {
        self.root.join("stores").join(format!("{name}.db"))
    }

    /// The centre's database.
    pub(crate) fn central_path(&self) -> PathBuf {
        self.root.join("central/central.db")
    }

    /// The engine of this world's project.
    pub(crate) fn seamount(&self, binary: &Path) -> Seamount {
        Seamount::new(binary, &self.project(), &self.root.join("said"))
    }

    /// All stores, at work on what their databases hold.
    ///
    /// # Errors
    /// A database does not open.
    pub(crate) fn stores(&self, seed: u64) -> Result<Vec<Store>> {
        STORES.iter().map(|name| Store::open(name, &self.store_path(name), seed)).collect()
    }

    /// The nightly export.
    pub(crate) fn export(&self) -> Export {
        Export::new(&self.project().join("export"))
    }
}

/// Opens a database for reading and writing, patient with locks.
///
/// # Errors
/// SQLite's.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    let database = Connection::open(path).with_context(|| path.display().to_string())?;
    database.busy_timeout(BUSY)?;
    Ok(database)
}

/// Opens a database that is there, for reading.
///
/// # Errors
/// SQLite's.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database =
        Connection::open_with_flags(path, flags).with_context(|| path.display().to_string())?;
    database.busy_timeout(BUSY)?;
    database.pragma_update(None, "query_only", true)?;
    Ok(database)
}

/// Copies a folder with everything in it.
///
/// # Errors
/// A file cannot be read or written.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let there = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &there)?;
        } else {
            std::fs::copy(entry.path(), &there).with_context(|| there.display().to_string())?;
        }
    }
    Ok(())
}
