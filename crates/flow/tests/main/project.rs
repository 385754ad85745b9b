//! A small project on disk that is right, and ways to make it wrong.

use connect::{ProcessSecrets, Reference, Secret, Secrets};
use seamount_flow::{Context, Problem, Reading};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// The schemes of a binary with both connectors.
pub(crate) const SCHEMES: &[&str] = &["sqlite", "files"];

pub(crate) const SEAMOUNT: &str =
    "name = \"retail\"\nlog = { kind = \"embedded\", keep = \"30d\", max_size = \"50GB\" }\n";

pub(crate) const SITES: &str = "\
[central]
url = \"sqlite:central.db\"

[drop]
url = \"files:drop\"

[stores]
each_in = \"stores.csv\"
url = \"sqlite:{site}.db\"
busy_timeout_ms = 5000
";

pub(crate) const STORES: &str =
    "site,host,region,timezone\nparis,10.0.0.1,eu,Europe/Paris\noslo,10.0.0.2,eu,\n";

pub(crate) const INVENTORY: &str = "\
mode = \"hybrid\"
about = \"Stock of every store\"

[from]
sites = \"stores\"
table = \"inventory\"
key = [\"store_id\", \"sku\"]

[to]
site = \"central\"
owner = \"store_id\"

[transform]
sql = \"select store_id, sku, qty from inventory where qty is not null\"

[events]
max_lag = \"30s\"
dead_letter = { after = 5, stop_at = \"1%\" }

[batch]
schedule = \"0 1 * * *\"
timezone = \"Europe/Berlin\"
load = \"replace\"
check = [\"count(*) > 0\", { sql = \"min(qty) >= 0\", on_fail = \"warn\" }]

[reconcile]
schedule = \"0 2 * * *\"
timezone = \"Europe/Berlin\"
repair = { max_rows = 500, max_share = \"0.1%\" }
";

/// Secrets of a machine that has one.
pub(crate) struct OneSecret;

impl Secrets for OneSecret {
    fn find(&self, reference: &Reference) -> connect::Result<Secret> {
        match reference {
            Reference::Env(name) if name == "POS_PASSWORD" => Ok(Secret::new("tr0ub4dor")),
            Reference::Env(name) => Err(connect::Error::unavailable("not there")
                .found(format!("the environment has no {name}"))
                .code("E0209")),
            _ => ProcessSecrets.find(reference),
        }
    }
}

/// The project with some of its files written otherwise; an empty text takes a file away.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let base = [
        ("seamount.toml", SEAMOUNT),
        ("sites.toml", SITES),
        ("stores.csv", STORES),
        ("flows/inventory.toml", INVENTORY),
    ];
    std::fs::create_dir(dir.path().join("flows")).unwrap();
    for (name, text) in base.iter().chain(files) {
        let path = dir.path().join(name);
        if text.is_empty() {
            let _ = std::fs::remove_file(path);
        } else {
            std::fs::write(path, text).unwrap();
        }
    }
    dir
}

/// Reads a folder.
pub(crate) fn read_at(root: &Path) -> Reading {
    let context = Context { schemes: SCHEMES, options: &[], secrets: Arc::new(OneSecret) };
    seamount_flow::read(root, &context)
}

/// Reads the project with some of its files written otherwise.
pub(crate) fn read(files: &[(&str, &str)]) -> Reading {
    read_at(folder(files).path())
}

/// The problems of the project with its flow changed in one place.
pub(crate) fn with_flow(from: &str, to: &str) -> Vec<Problem> {
    assert!(INVENTORY.contains(from), "the flow has no {from}");
    read(&[("flows/inventory.toml", &INVENTORY.replacen(from, to, 1))]).problems
}

/// The codes of problems, in order.
pub(crate) fn codes(problems: &[Problem]) -> Vec<&'static str> {
    problems.iter().map(|p| p.code).collect()
}
