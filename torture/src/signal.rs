//! Signals, sent by the shell's own `kill` (which is there where no program of that name is), and what /proc says of
//! processes.

use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// What a shell or a tracer exits with when SIGKILL ended the program below it.
pub(crate) const SHELL_KILLED: i32 = 137;

/// Sends a signal to one process.
///
/// # Errors
/// There is no such process.
pub(crate) fn send(pid: u32, signal: &str) -> Result<()> {
    let id = pid.to_string();
    let script = "kill -s \"$1\" \"$2\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "kill", signal, &id]).stderr(Stdio::null());
    if !shell.status().context("sh cannot be started")?.success() {
        bail!("kill -s {signal} {id} found nobody");
    }
    Ok(())
}

/// Waits until a stopped process stands: SIGSTOP is answered before all threads stand still.
///
/// # Errors
/// There is no such process, or it never stands.
pub(crate) fn stop(pid: u32) -> Result<()> {
    send(pid, "STOP")?;
    for _ in 0..2_000 {
        if threads(pid)?.iter().all(|state| matches!(state, 'T' | 't' | 'Z' | 'X')) {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    bail!("process {pid} does not stand still after SIGSTOP");
}

/// The state letter of each thread.
fn threads(pid: u32) -> Result<Vec<char>> {
    let mut states = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task")).context("the stopped process")? {
        // A thread may end while we look.
        let Ok(stat) = std::fs::read_to_string(entry?.path().join("stat")) else { continue };
        states.extend(stat.rsplit_once(')').and_then(|(_, rest)| rest.trim().chars().next()));
    }
    Ok(states)
}

/// A child of a process that lives: the program under a tracer. One that was killed and whose tracer has not noticed is
/// none. Looked for among all processes; what the kernel lists as children is
/// now and then empty although there is one.
pub(crate) fn child_of(pid: u32) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find(|id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = behind_name.split_whitespace();
        let is_dead = fields.next().is_none_or(|state| matches!(state, "Z" | "X"));
        !is_dead && fields.next() == Some(pid.to_string().as_str())
    })
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_whitespace().nth(1).map(|id| id == "0")).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_child_stands_and_its_name_is_read() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        stop(child.id()).unwrap();
        assert_eq!(threads(child.id()).unwrap(), ['T']);
        let ours = child_of(std::process::id()).unwrap();
        assert!(std::path::Path::new(&format!("/proc/{ours}")).exists());
        assert_eq!(child_of(child.id()), None);
        send(child.id(), "KILL").unwrap();
        while threads(child.id()).unwrap() != ['Z'] {
            std::thread::yield_now();
        }
        assert_ne!(child_of(std::process::id()), Some(child.id()), "it is dead and not yet reaped");
        child.wait().unwrap();
        assert!(send(child.id(), "CONT").is_err());
    }
}
