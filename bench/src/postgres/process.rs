//! The finished binary as a child: how long it ran, what processor time it took, how much memory it ever had.

use super::outside::{self, kib};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a child took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Took {
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
    pub(super) peak_rss_mib: u64,
}

/// The binary that `cargo x bench` has built beside us, unless `SEAMOUNT_BENCH_BINARY` names another.
pub(super) fn seamount() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("SEAMOUNT_BENCH_BINARY") {
        return Ok(PathBuf::from(named));
    }
    let ours = std::env::current_exe().context("cannot tell where the bench is")?;
    let beside = ours.with_file_name("seamount");
    ensure!(beside.exists(), "the finished binary is not built: run it by cargo x bench");
    Ok(beside)
}

/// Runs it to its end.
pub(super) fn run(folder: &Path, arguments: &[&str]) -> Result<Took> {
    let ran = outside::run(Command::new(seamount()?).args(arguments).current_dir(folder))?;
    let outside::Ran { wall, cpu, peak_rss_mib, .. } = ran.well("seamount")?;
    Ok(Took { wall, cpu, peak_rss_mib })
}

/// A child that runs.
pub(super) struct Running {
    child: Child,
    began: Instant,
    took: Took,
}

impl Running {
    /// Starts it in a project's folder.
    pub(super) fn start(folder: &Path, arguments: &[&str]) -> Result<Running> {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("output"))?;
        let mut command = Command::new(seamount()?);
        command.args(arguments).current_dir(folder).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("cannot start seamount")?;
        Ok(Running { child, began: Instant::now(), took: Took::default() })
    }

    /// Takes its readings; whether it still runs.
    pub(super) fn look(&mut self) -> Result<bool> {
        if self.child.try_wait()?.is_some() {
            return Ok(false);
        }
        let folder = format!("/proc/{}", self.child.id());
        let stat = std::fs::read_to_string(format!("{folder}/stat")).unwrap_or_default();
        let status = std::fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
        if let Some(cpu) = cpu_of(&stat) {
            self.took.cpu = self.took.cpu.max(cpu);
        }
        self.took.peak_rss_mib = self.took.peak_rss_mib.max(kib(&status, "VmHWM:") / 1024);
        Ok(true)
    }

    /// What it has taken so far.
    pub(super) fn so_far(&mut self) -> Result<Took> {
        self.look()?;
        self.took.wall = self.began.elapsed();
        Ok(self.took)
    }

    /// Asks it to stop, and waits.
    pub(super) fn stop(mut self) -> Result<Took> {
        self.look()?;
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().context("cannot ask it to stop")?;
        self.child.wait()?;
        self.took.wall = self.began.elapsed();
        Ok(self.took)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of a line of `/proc/PID/stat`.
fn cpu_of(stat: &str) -> Option<Duration> {
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}
