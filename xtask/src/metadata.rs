//! What `cargo metadata` says, as far as we ask.

use crate::process::{cargo, line};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::PathBuf;

/// The workspace and everything below it.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
    pub(crate) target_directory: PathBuf,
}

/// A package of the workspace or of a registry.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) dependencies: Vec<Dependency>,
    #[serde(default)]
    pub(crate) manifest_path: PathBuf,
}

/// One line under a package's dependencies.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None`: an ordinary one.
    pub(crate) kind: Option<String>,
}

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    /// A manifest does not read, or a package cannot be fetched.
    pub(crate) fn read() -> Result<Metadata> {
        let mut command = cargo(&["metadata", "--format-version", "1"]);
        let output = command.output().context("cannot start cargo")?;
        if !output.status.success() {
            bail!("{} failed:\n{}", line(&command), String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).context("cargo metadata does not read")
    }

    /// The manifests of the workspace's packages.
    pub(crate) fn manifests(&self) -> Vec<PathBuf> {
        self.members().map(|package| package.manifest_path.clone()).collect()
    }

    /// The packages of the workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }
}
