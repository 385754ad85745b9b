//! The project between the two clusters: one flow, in one small file.

use super::pair::{DATABASE, Pair};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// A project's folder.
pub(super) struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// Writes the project with its one flow `sales`.
    pub(super) fn write(folder: tempfile::TempDir, pair: &Pair, flow: &str) -> Result<Project> {
        let sites = format!(
            "[shop]\nurl = \"{}\"\n[central]\nurl = \"{}\"\n",
            pair.source.url(DATABASE),
            pair.target.url(DATABASE)
        );
        let files = [
            ("seamount.toml", "name = \"bench\"\n"),
            ("sites.toml", sites.as_str()),
            ("flows/sales.toml", flow),
        ];
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            std::fs::write(path, text)?;
        }
        Ok(Project { folder })
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Forgets every run: log and state.
    pub(super) fn forget(&self) {
        let _ = std::fs::remove_dir_all(self.folder.path().join(".seamount"));
    }
}

/// The flow's file in a mode.
pub(super) fn flow(mode: &str) -> String {
    let load = if mode == "batch" { "[batch]\nload = \"replace\"\n" } else { "" };
    format!(
        "mode = \"{mode}\"\n[from]\nsites = \"shop\"\ntable = \"sales\"\n[to]\nsite = \"central\"\n{load}"
    )
}
