//! A small project, damaged: read or refused, every problem in its place, no secret in any of them.

use super::damage::damage;
use crate::drill::Violation;
use crate::random::Random;
use connect::{Error, Reference, Secret, Secrets};
use flow::{Context, Paint, Problem};
use std::path::Path;
use std::sync::Arc;

/// The invariant of this part.
const TOLD: &str = "V every problem points into its file and shows no secret";

/// The value of every secret here; it must be seen nowhere.
const CANARY: &str = "canary-8f3a-of-the-texts";

/// Damaged files a seed.
const EACH: usize = 25;

const SEAMOUNT: &str =
    "name = \"retail\"\nlog = { kind = \"embedded\", keep = \"30d\", max_size = \"50GB\" }\n";

const SITES: &str = "\
[central]
url = \"sqlite:${env:CENTRAL}.db\"
password = \"${env:CENTRAL_PASSWORD}\"

[drop]
url = \"files:drop\"

[stores]
each_in = \"stores.csv\"
url = \"sqlite:{site}-${env:STORE_{region}}.db\"
busy_timeout_ms = 5000
";

const STORES: &str =
    "site,host,region,timezone\nparis,10.0.0.1,eu,Europe/Paris\noslo,\"10.0.0.2\",eu,\n";

const EVENTS: &str = "\
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

const BATCH: &str = "\
mode = \"batch\"

[from]
site = \"drop\"
files = \"export/{interval}.csv\"
types = { no = \"int64\", price = \"decimal(12,4)\" }

[to]
site = \"central\"
table = \"prices\"
key = [\"no\"]

[batch]
schedule = \"@daily\"
catch_up = \"all\"
load = \"merge\"
";

const FILES: &[(&str, &str)] = &[
    ("seamount.toml", SEAMOUNT),
    ("sites.toml", SITES),
    ("stores.csv", STORES),
    ("flows/inventory.toml", EVENTS),
    ("flows/prices.toml", BATCH),
];

/// Pieces that configuration is made of.
const PIECES: &[&str] = &[
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\n",
    "\r\n",
    ".",
    ",",
    "#",
    "\"\"\"",
    "[[from]]",
    "[from]\n",
    "mode = 3\n",
    "1e999",
    "0x",
    "-0",
    "99999999999999999999",
    "\u{0}",
    "\u{feff}",
    "é",
    "日本",
    "\t",
    "${",
    "${env:",
    "${env:CENTRAL}",
    "${env:CENTRAL_PASSWORD}",
    "{site}",
    "}}",
    "{interval}",
    "inf",
    "2026-01-01",
    "true",
    "sites = []\n",
    "\"\\u{0}\"",
    "0 0 0 0 0",
    "://:@",
    "password=",
    "\\",
    "*/0 * * * *",
    "key = [[[[[[[[[[",
    "a.b.c = 1\n",
    "catch_up = \"none\"\n",
];

/// Damages a file at a time.
pub(super) fn run(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let project = Folder::new();
    for _ in 0..EACH {
        let (name, text) = *chance.pick(FILES);
        let mut bytes = text.as_bytes().to_vec();
        damage(&mut bytes, PIECES, &mut chance);
        project.check(name, &bytes)?;
        project.put(name, text.as_bytes());
    }
    Ok(())
}

/// Any bytes as `sites.toml`.
///
/// # Errors
/// A problem that points nowhere or shows a secret, or errors without a refusal.
pub fn any_project(bytes: &[u8]) -> Result<(), Violation> {
    Folder::new().check("sites.toml", bytes)
}

/// Any bytes as a flow.
///
/// # Errors
/// As [`any_project`].
pub fn any_flow(bytes: &[u8]) -> Result<(), Violation> {
    Folder::new().check("flows/inventory.toml", bytes)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder for the drill"));
        std::fs::create_dir(folder.0.path().join("flows")).expect("the folder is new");
        for (name, text) in FILES {
            folder.put(name, text.as_bytes());
        }
        folder
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        // File systems flush what is written over an old file.
        let path = self.0.path().join(name);
        let _ = std::fs::remove_file(&path);
        std::fs::write(path, bytes).expect("the drill's folder takes files");
    }

    fn check(&self, name: &str, bytes: &[u8]) -> Result<(), Violation> {
        self.put(name, bytes);
        let wrong = |what: String| {
            let text = String::from_utf8_lossy(bytes);
            Err(Violation::new(TOLD, format!("{what}; {name} is {text:?}")))
        };
        let secrets = Arc::new(Everything);
        let context = Context { schemes: &["sqlite", "files"], options: &[], secrets };
        let reading = flow::read(self.0.path(), &context);
        let errors = reading.problems.iter().any(Problem::is_error);
        if reading.project.is_some() == errors {
            return wrong("a project with errors is given out, or one without is not".into());
        }
        for problem in &reading.problems {
            if let Err(what) = told(self.0.path(), problem) {
                return wrong(what);
            }
        }
        if format!("{:?}", reading.project).contains(CANARY) {
            return wrong("a project shows a secret when it is printed".into());
        }
        Ok(())
    }
}

/// Whether a problem can be shown, names a place that is there, and keeps secrets.
fn told(root: &Path, problem: &Problem) -> Result<(), String> {
    let shown = problem.render(Paint::Plain);
    let all = format!("{shown}{}{}{problem:?}", problem.render(Paint::Colour), problem.json());
    if all.contains(CANARY) {
        return Err("a problem shows a secret".into());
    }
    if problem.what.is_empty() || shown.lines().count() < 2 || !problem.json().is_object() {
        return Err(format!("a problem that says nothing: {shown}"));
    }
    let Some(place) = &problem.place else {
        return Err(format!("a problem without a file: {shown}"));
    };
    let Some(spot) = &place.spot else { return Ok(()) };
    let text = std::fs::read_to_string(root.join(&place.file));
    let text = text.map_err(|e| format!("a spot in a file that cannot be read ({e}): {shown}"))?;
    let line = spot.line.checked_sub(1).and_then(|line| text.split('\n').nth(line));
    let line = line.ok_or_else(|| format!("a line that is not there: {shown}"))?;
    let length = line.trim_end_matches('\r').chars().count();
    let fits = spot.column >= 1
        && spot.len >= 1
        && spot.column <= line.chars().count() + 1
        && spot.column - 1 + spot.len <= length + 1;
    if fits { Ok(()) } else { Err(format!("a mark beside its line: {shown}")) }
}

/// A machine on which every variable is set.
struct Everything;

impl Secrets for Everything {
    fn find(&self, reference: &Reference) -> connect::Result<Secret> {
        match reference {
            Reference::Env(_) => Ok(Secret::new(CANARY)),
            _ => Err(Error::unavailable("not there").found("this machine has variables only")),
        }
    }
}
