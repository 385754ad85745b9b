//! Rivals, installed by their package names: Python tools each into an environment of its own in a cache folder, others
//! from the distribution.
//!
//! A rival that cannot be had is never guessed at: its goal is said to be missed, with the reason.

use crate::measure::{Goals, Reached};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A tool that PyPI has: its name here, what pip installs, and the program that is run.
struct Tool {
    name: &'static str,
    packages: &'static [&'static str],
    program: &'static str,
}

const DLT: Tool = Tool {
    name: "dlt",
    packages: &[
        "dlt[postgres]",
        "sqlalchemy",
        "connectorx",
        "pyarrow",
        "psycopg2-binary",
        "adbc-driver-manager",
        "adbc-driver-postgresql",
    ],
    program: "python",
};

const RELADIFF: Tool =
    Tool { name: "reladiff", packages: &["reladiff[postgresql]"], program: "reladiff" };

/// The Python that has dlt, with everything that makes it quick.
pub(crate) fn dlt() -> Result<PathBuf> {
    DLT.installed()
}

/// reladiff.
pub(crate) fn reladiff() -> Result<PathBuf> {
    RELADIFF.installed()
}

/// pgcopydb, installed from the distribution where it is missing and may be.
pub(crate) fn pgcopydb() -> Result<PathBuf> {
    let program = PathBuf::from("pgcopydb");
    if !answers(&program) {
        let root =
            Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0");
        ensure!(root && Path::new("/usr/bin/apt-get").exists(), "install the package pgcopydb");
        let apt = |arguments: &[&str]| {
            let mut command = Command::new("apt-get");
            done(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
        };
        apt(&["update", "-qq"])?;
        apt(&["install", "-y", "-qq", "--no-install-recommends", "pgcopydb"])?;
        ensure!(answers(&program), "pgcopydb was installed and does not answer");
    }
    Ok(program)
}

/// Says loudly that a rival is not there, and that its goal is missed for that.
pub(crate) fn absent(goals: &mut Goals, name: &str, goal: &str, why: &anyhow::Error) {
    eprintln!("bench: NOT MEASURED: {name}: the rival could not be installed: {why:#}");
    goals.note(name, "not measured, the rival could not be installed", goal, Reached::Missed);
}

impl Tool {
    /// Its program, installed if it was not.
    fn installed(&self) -> Result<PathBuf> {
        let folder = cache()?.join(self.name);
        let (program, whole) = (folder.join("bin").join(self.program), folder.join("whole"));
        let wanted = self.packages.join(" ");
        if std::fs::read_to_string(&whole).is_ok_and(|had| had == wanted) && answers(&program) {
            return Ok(program);
        }
        // Half an environment is worse than none.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).context("no folder for rivals")?;
        done(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/python"));
        done(pip.args(["-m", "pip", "install", "--quiet"]).args(self.packages))?;
        ensure!(answers(&program), "{} was installed and does not answer", self.name);
        std::fs::write(whole, wanted)?;
        Ok(program)
    }
}

/// Where rivals are kept between runs.
fn cache() -> Result<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = named("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(named("HOME")?).join(".cache")));
    Ok(base.context("neither HOME nor XDG_CACHE_HOME is set")?.join("seamount-bench"))
}

/// Whether a program runs.
fn answers(program: &Path) -> bool {
    let mut command = Command::new(program);
    let quiet = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Runs an installer; what it prints goes to standard error, so that figures stay alone.
fn done(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| program.clone())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed: {}", said.lines().last().unwrap_or("it says nothing"));
    }
    Ok(())
}
