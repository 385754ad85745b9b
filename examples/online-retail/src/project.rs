//! The folder a run works in: a Seamount project made of this example's own files, the databases of its sites, and
//! the export of its batch.

use crate::countries;
use anyhow::{Context, Result, bail};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The files of the project, as they lie beside this crate.
const FILES: [(&str, &str); 6] = [
    ("seamount.toml", include_str!("../project/seamount.toml")),
    ("sites.toml", include_str!("../project/sites.toml")),
    ("countries.csv", countries::LIST),
    ("flows/sales-live.toml", include_str!("../project/flows/sales-live.toml")),
    ("flows/sales-by-day.toml", include_str!("../project/flows/sales-by-day.toml")),
    ("flows/foreign-copy.toml", include_str!("../project/flows/foreign-copy.toml")),
];

/// How long we wait for others who write the same database.
const BUSY: Duration = Duration::from_secs(60);

/// The table of sales, but for its key.
const COLUMNS: &str = "day TEXT NOT NULL, line INTEGER NOT NULL, invoice TEXT, stock_code TEXT, \
     description TEXT, quantity INTEGER, invoiced_at TEXT, unit_price DECIMAL(12,4), customer TEXT, \
     country TEXT NOT NULL";

/// A folder with a project in it. A scratch folder goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Project {
    root: PathBuf,
    scratch: Option<tempfile::TempDir>,
}

impl Project {
    /// Writes the project and its empty databases.
    ///
    /// # Errors
    /// The folder is not empty, or cannot be written.
    pub(crate) fn create(keep: Option<&Path>) -> Result<Project> {
        let (root, scratch) = match keep {
            Some(folder) => {
                std::fs::create_dir_all(folder).context("the folder to keep")?;
                (folder.to_path_buf(), None)
            }
            None => {
                let scratch = tempfile::tempdir().context("a scratch folder")?;
                (scratch.path().to_path_buf(), Some(scratch))
            }
        };
        if std::fs::read_dir(&root).context("the folder")?.next().is_some() {
            bail!("{} is not empty", root.display());
        }
        let project = Project { root, scratch };
        for folder in ["flows", "sites"] {
            std::fs::create_dir(project.root.join(folder)).context(folder)?;
        }
        for (name, text) in FILES {
            std::fs::write(project.root.join(name), text).context(name)?;
        }
        for country in countries::all()? {
            create_sales(&project.site(&country.file), "day, line")?;
        }
        Ok(project)
    }

    /// The project's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the day files go.
    pub(crate) fn export(&self) -> PathBuf {
        self.root.join("export/by-day")
    }

    /// A country's database.
    pub(crate) fn site(&self, file: &str) -> PathBuf {
        self.root.join(format!("sites/{file}.db"))
    }

    /// Head office's database.
    pub(crate) fn central(&self) -> PathBuf {
        self.root.join("central.db")
    }

    /// Creates the database of the foreign copy.
    ///
    /// # Errors
    /// SQLite says no.
    pub(crate) fn create_foreign(&self) -> Result<Connection> {
        create_sales(&self.root.join("foreign.db"), "country, day, line")
    }

    /// Changes the one word of a flow that says how it moves.
    ///
    /// # Errors
    /// The file is not as this example wrote it.
    pub(crate) fn set_mode(&self, flow: &str, from: &str, to: &str) -> Result<()> {
        let path = self.root.join(format!("flows/{flow}.toml"));
        let text = std::fs::read_to_string(&path).context("a flow")?;
        let (old, new) = (format!("mode  = \"{from}\""), format!("mode  = \"{to}\""));
        if text.matches(&old).count() != 1 {
            bail!("{flow} is not in {from} mode");
        }
        std::fs::write(&path, text.replace(&old, &new)).context("a flow")
    }

    /// Keeps a scratch folder after all, for a look at what went wrong.
    pub(crate) fn leave(self) -> PathBuf {
        self.scratch.map_or(self.root, tempfile::TempDir::keep)
    }
}

/// Opens a database as an application does.
///
/// # Errors
/// SQLite says no.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    let database = Connection::open(path).with_context(|| path.display().to_string())?;
    database.busy_timeout(BUSY)?;
    Ok(database)
}

/// Creates a database with an empty table of sales.
///
/// # Errors
/// SQLite says no, or the table is there.
pub(crate) fn create_sales(path: &Path, key: &str) -> Result<Connection> {
    let database = open(path)?;
    database.pragma_update(None, "journal_mode", "wal")?;
    database.execute_batch(&format!("CREATE TABLE sale({COLUMNS}, PRIMARY KEY({key}))"))?;
    Ok(database)
}
