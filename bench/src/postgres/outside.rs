//! Any program as a whole: how long it ran, what it and all its children took of the processors, how much memory they
//! held together. What a rival is measured by, and we beside it, by one and the same code.

use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What a program took.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    pub(super) wall: Duration,
    /// Of itself and of every child that it waited for, in steps of 10 ms.
    pub(super) cpu: Duration,
    /// Most memory that it and its children held at one time.
    pub(super) peak_rss_mib: u64,
    /// How it ended; none where a signal ended it.
    pub(super) code: Option<i32>,
    /// What it printed on standard output.
    pub(super) printed: String,
    /// The end of what it said on standard error.
    pub(super) said: String,
}

impl Ran {
    /// Fails unless it ended well.
    pub(super) fn well(self, name: &str) -> Result<Ran> {
        let (code, said) = (self.code, &self.said);
        ensure!(code == Some(0), "{name} ended with {code:?}: {said}");
        Ok(self)
    }
}

/// Runs a program to its end. No other child of ours may end meanwhile: it would be counted.
pub(super) fn run(command: &mut Command) -> Result<Ran> {
    let (mut output, mut errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(errors.try_clone()?);
    let (before, began) = (of_ended_children()?, Instant::now());
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let (pid, ended) = (child.id(), AtomicBool::new(false));
    let (status, wall, peak_kib) = std::thread::scope(|scope| {
        let memory = scope.spawn(|| watch(pid, &ended));
        let status = child.wait();
        let wall = began.elapsed();
        ended.store(true, Ordering::Relaxed);
        (status, wall, memory.join().unwrap_or(0))
    });
    let cpu = of_ended_children()?.saturating_sub(before);
    let [printed, said] = [&mut output, &mut errors].map(|file| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map(|_| bytes)
    });
    let said = String::from_utf8_lossy(&said?).into_owned();
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    Ok(Ran {
        wall,
        cpu,
        peak_rss_mib: peak_kib / 1024,
        code: status?.code(),
        printed: String::from_utf8_lossy(&printed?).into_owned(),
        said: last.into_iter().rev().collect::<Vec<_>>().join("; "),
    })
}

/// Time of all children of ours that have ended, and of theirs.
fn of_ended_children() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("processor time")?;
    let fields = stat.rsplit_once(')').context("processor time")?.1.split_whitespace();
    let ticks: u64 = fields.skip(13).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Looks at the memory of a program and its children until it has ended; KiB.
fn watch(pid: u32, ended: &AtomicBool) -> u64 {
    let (mut together, mut alone) = (0, HashMap::new());
    while !ended.load(Ordering::Relaxed) {
        let mut now = 0;
        for member in family(pid) {
            let Ok(status) = std::fs::read_to_string(format!("/proc/{member}/status")) else {
                continue;
            };
            now += kib(&status, "VmRSS:");
            // What one of them had between two looks is in its own high-water mark.
            alone.insert(member, kib(&status, "VmHWM:"));
        }
        together = together.max(now);
        std::thread::sleep(LOOK);
    }
    alone.into_values().fold(together, u64::max)
}

/// A process and all below it.
fn family(pid: u32) -> Vec<u32> {
    let mut members = vec![pid];
    let mut next = 0;
    while let Some(member) = members.get(next).copied() {
        next += 1;
        let threads = std::fs::read_dir(Path::new("/proc").join(member.to_string()).join("task"));
        for thread in threads.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            members.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    members
}

/// A figure of `/proc/PID/status`; 0 where there is none.
pub(super) fn kib(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_children_of_a_program_count_as_it_does() {
        let work = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("/bin/sh -c '{work}'; echo done; exit 7")]);
        let ran = run(&mut command).unwrap();
        assert_eq!((ran.code, ran.printed.as_str()), (Some(7), "done\n"));
        assert!(ran.cpu > Duration::ZERO, "the work was the child's");
        assert!(ran.well("it").is_err());
    }
}
