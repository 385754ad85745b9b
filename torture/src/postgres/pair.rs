//! Two PostgreSQL servers that sync their disks, a link to each that fails on purpose, and a project over the two links.
//!
//! ```text
//! source (bank) ─ link ─┐ flow `bank`: event, five tables ┌─ link ─ target (the same tables)
//!                       └─────────── seamount ────────────┘
//! ```
//! The bank and the witness speak to the servers directly: only the engine is in the hands of the links.

use super::bank_sql as sql;
use crate::seamount::Seamount;
use anyhow::{Context, Result};
use postgres::{Client, NoTls};
use seamount_torture::proxy::{Plan, Proxy};
use servers::{Cluster, Durability, Recipe};
use std::path::{Path, PathBuf};

/// The one flow.
pub(crate) const FLOW: &str = "bank";

/// A server, and the engine's way to it.
pub(crate) struct Side {
    pub(crate) server: Cluster,
    pub(crate) link: Proxy,
    database: String,
}

impl Side {
    fn start() -> Result<Side> {
        let settings = [("checkpoint_timeout", "30s"), ("shared_buffers", "64MB")];
        let settings = settings.map(|(name, value)| (name.to_string(), value.to_string()));
        let recipe = Recipe {
            durability: Durability::Full,
            settings: settings.to_vec(),
            ..Recipe::default()
        };
        let server = Cluster::start(&recipe)?;
        let database = server.database();
        let to = format!("127.0.0.1:{}", server.port());
        let link = Proxy::start("127.0.0.1:0", &to, Plan::default()).context("a link")?;
        Ok(Side { server, link, database })
    }

    /// The way around the link.
    pub(crate) fn url(&self) -> String {
        self.server.url(&self.database)
    }

    /// The way of the engine.
    fn url_over_link(&self) -> String {
        let direct = format!(":{}/", self.server.port());
        self.url().replace(&direct, &format!(":{}/", self.link.address().port()))
    }

    /// A connection around the link.
    ///
    /// # Errors
    /// The server is not there.
    pub(crate) fn connect(&self) -> Result<Client> {
        Client::connect(&self.url(), NoTls).context("a server does not answer")
    }
}

/// Everything of a drill.
pub(crate) struct Pair {
    pub(crate) source: Side,
    pub(crate) target: Side,
    pub(crate) seamount: Seamount,
    project: PathBuf,
}

impl Pair {
    /// Builds the servers, the bank's first rows, and the project in an empty folder.
    ///
    /// # Errors
    /// A server does not start, or a file cannot be written.
    pub(crate) fn build(root: &Path, binary: &Path) -> Result<Pair> {
        let (source, target) = (Side::start()?, Side::start()?);
        source.connect()?.batch_execute(sql::SETUP).context("the bank's tables")?;
        let project = root.join("project");
        std::fs::create_dir_all(project.join("flows")).context("a folder for the project")?;
        let sites = format!(
            "[bank]\nurl = \"{}\"\n[mirror]\nurl = \"{}\"\n",
            source.url_over_link(),
            target.url_over_link()
        );
        let names = sql::TABLES.map(|(name, _)| format!("\"{name}\"")).join(", ");
        let flow = format!(
            "mode = \"event\"\n[from]\nsites = \"bank\"\ntables = [{names}]\n[to]\nsite = \"mirror\"\n"
        );
        for (path, text) in [
            ("seamount.toml", "name = \"torture\"\n"),
            ("sites.toml", &sites),
            ("flows/bank.toml", &flow),
        ] {
            std::fs::write(project.join(path), text).with_context(|| path.to_string())?;
        }
        let seamount = Seamount::new(binary, &project, &root.join("said"));
        Ok(Pair { source, target, seamount, project })
    }

    /// Loads the first rows, and has the target count effects from then on.
    ///
    /// # Errors
    /// The flow does not run.
    pub(crate) fn first_load(&self) -> Result<()> {
        self.seamount.must(&["run", FLOW, "--once"], 0).context("the first load")?;
        self.target.connect()?.batch_execute(sql::EFFECTS).context("the count of effects")
    }

    /// Bytes of the engine's log.
    pub(crate) fn log_bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.project.join(".seamount/log")).into_iter().flatten();
        files.flatten().filter_map(|file| Some(file.metadata().ok()?.len())).sum()
    }
}
