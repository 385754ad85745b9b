//! Which crate may use which: the levels of ARCHITECTURE.md, read off `cargo metadata`.
//!
//! Every crate of the workspace has a line below; a new one is refused until it gets one. Dependencies of tests count
//! like any other: a test that reaches across a level ties the two crates together all the same.

use crate::metadata::Metadata;
use std::collections::BTreeSet;

/// A crate, and those of the workspace that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("seamount-change", &[]),
    ("seamount-connect", &["seamount-change"]),
    ("seamount-flow", LEVEL_2),
    ("seamount-proof", LEVEL_2),
    ("seamount-query", LEVEL_2),
    ("seamount-eventlog", LEVEL_2),
    ("seamount-connectors", &["seamount-change", "seamount-connect", "seamount-servers"]),
    (
        "seamount-engine",
        &["seamount-change", "seamount-connect", "seamount-flow", "seamount-proof"],
    ),
    ("seamount-cli", ALL),
    ("seamount-bench", ALL),
    ("seamount-faultdisk", &[]),
    ("seamount-servers", &[]),
    ("seamount-sim", HARNESS),
    ("seamount-torture", &["seamount-servers"]),
    ("xtask", &[]),
];

/// What the crates of level 3 stand on.
const LEVEL_2: &[&str] = &["seamount-change", "seamount-connect"];

/// Everything that can be built on.
const ALL: &[&str] = &[
    "seamount-change",
    "seamount-connect",
    "seamount-flow",
    "seamount-proof",
    "seamount-query",
    "seamount-eventlog",
    "seamount-connectors",
    "seamount-engine",
    "seamount-servers",
];

/// Crates that only tests and benches may use.
const DEV_ONLY: &[&str] = &["seamount-servers", "seamount-faultdisk"];

/// Crates that never ship.
const NEVER_SHIPS: &[&str] = &["seamount-bench", "seamount-sim", "seamount-torture"];

/// The simulator: everything without SQL, over a disk that fails. The product never uses either of them.
const HARNESS: &[&str] = &[
    "seamount-change",
    "seamount-connect",
    "seamount-flow",
    "seamount-proof",
    "seamount-eventlog",
    "seamount-connectors",
    "seamount-engine",
    "seamount-faultdisk",
];

/// Examples drive the finished binary and use no crate of the project.
const EXAMPLES: &str = "example-";

/// The only crate with DataFusion: 70 % of all compile time stays out of what most edits build.
const DATAFUSION_USER: &str = "seamount-query";

/// Two versions of these at once would make equal arrays of different types.
const ONE_VERSION: &[&str] = &["arrow", "arrow-array", "arrow-schema", "parquet"];

/// What is not as it should be.
pub(crate) fn complaints(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    let members: BTreeSet<&str> = metadata.members().map(|package| package.name.as_str()).collect();
    for package in metadata.members() {
        let Some(allowed) = allowed(&package.name) else {
            found
                .push(format!("{} has no level: add it to xtask/src/check/edges.rs", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let used = dependency.name.as_str();
            let kind = dependency.kind.as_deref().unwrap_or("normal");
            if members.contains(used) && !allowed.contains(&used) {
                found.push(format!("{} must not use {used} ({kind} dependency)", package.name));
            }
            if DEV_ONLY.contains(&used)
                && kind == "normal"
                && !NEVER_SHIPS.contains(&package.name.as_str())
            {
                found.push(format!(
                    "{} must not ship {used}: only its tests may use it",
                    package.name
                ));
            }
            if used.starts_with("datafusion") && package.name != DATAFUSION_USER {
                found.push(format!(
                    "{} must not use {used}: only {DATAFUSION_USER} may",
                    package.name
                ));
            }
        }
    }
    for name in ONE_VERSION {
        let versions: BTreeSet<&str> = metadata
            .packages
            .iter()
            .filter(|package| package.name == *name)
            .map(|package| package.version.as_str())
            .collect();
        if versions.len() > 1 {
            let list = versions.into_iter().collect::<Vec<_>>().join(" and ");
            found.push(format!("{name} is there in the versions {list}"));
        }
    }
    found
}

/// What a crate may use; `None` for one without a level.
fn allowed(name: &str) -> Option<&'static [&'static str]> {
    if name.starts_with(EXAMPLES) {
        return Some(&[]);
    }
    ALLOWED.iter().find(|(user, _)| *user == name).map(|(_, used)| *used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Dependency, Package};

    fn package(name: &str, version: &str, uses: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_string(),
            kind: kind.map(String::from),
        };
        Package {
            id: format!("{name}@{version}"),
            name: name.to_string(),
            version: version.to_string(),
            dependencies: uses.iter().map(dependency).collect(),
            manifest_path: "Cargo.toml".into(),
        }
    }

    /// A workspace in which all is well, with these packages besides.
    fn with(more: Vec<Package>) -> Metadata {
        let mut packages = vec![
            package("seamount-change", "0.1.0", &[("arrow", None)]),
            package("seamount-connect", "0.1.0", &[("seamount-change", None)]),
            package(
                "seamount-connectors",
                "0.1.0",
                &[("seamount-connect", None), ("parquet", None)],
            ),
            package("seamount-query", "0.1.0", &[("seamount-connect", None), ("datafusion", None)]),
        ];
        packages.extend(more);
        let workspace_members = packages.iter().map(|package| package.id.clone()).collect();
        packages.push(package("arrow", "59.1.0", &[]));
        packages.push(package("datafusion", "55.2.0", &[("arrow", None)]));
        Metadata { packages, workspace_members, target_directory: "target".into() }
    }

    fn one(metadata: &Metadata) -> String {
        let found = complaints(metadata);
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap_or_default()
    }

    #[test]
    fn allowed_edges_pass() {
        let engine =
            package("seamount-engine", "0.1.0", &[("seamount-connect", None), ("serde", None)]);
        assert_eq!(complaints(&with(vec![engine])), Vec::<String>::new());
    }

    #[test]
    fn a_forbidden_edge_is_named() {
        let engine = package("seamount-engine", "0.1.0", &[("seamount-connectors", None)]);
        let said = one(&with(vec![engine]));
        assert_eq!(said, "seamount-engine must not use seamount-connectors (normal dependency)");
        let proof = package("seamount-proof", "0.1.0", &[("seamount-query", Some("dev"))]);
        let said = one(&with(vec![proof]));
        assert_eq!(said, "seamount-proof must not use seamount-query (dev dependency)");
    }

    #[test]
    fn neighbours_and_tools_cannot_be_used() {
        for (user, used) in [
            ("seamount-eventlog", "seamount-query"),
            ("seamount-flow", "seamount-connectors"),
            ("seamount-bench", "xtask"),
            ("seamount-cli", "example-online-retail"),
            ("example-online-retail", "seamount-change"),
        ] {
            let mut more = vec![package(user, "0.1.0", &[(used, None)])];
            if used == "xtask" || used.starts_with(EXAMPLES) {
                more.push(package(used, "0.1.0", &[]));
            }
            assert!(one(&with(more)).starts_with(&format!("{user} must not use {used}")));
        }
    }

    #[test]
    fn datafusion_stays_where_it_is() {
        let cli = package("seamount-cli", "0.1.0", &[("datafusion", None)]);
        assert!(one(&with(vec![cli])).contains("only seamount-query may"));
    }

    #[test]
    fn a_crate_without_a_level_is_refused() {
        assert!(one(&with(vec![package("seamount-extra", "0.1.0", &[])])).contains("no level"));
    }

    #[test]
    fn arrow_is_there_once() {
        let mut metadata = with(vec![]);
        metadata.packages.push(package("arrow", "58.0.0", &[]));
        assert_eq!(one(&metadata), "arrow is there in the versions 58.0.0 and 59.1.0");
    }
}
