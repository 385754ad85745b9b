//! The binary `seamount` as this example uses it: started as a program, read by its JSON lines and exit codes. What
//! those look like is known here and nowhere else in the example.

use crate::sale::Key;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Exit code: done, and there are differences.
pub(crate) const DIFFERENT: i32 = 2;

/// How long a service gets to stop after it was asked.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// A binary and a project to run it in.
#[derive(Clone, Debug)]
pub(crate) struct Seamount {
    binary: PathBuf,
    project: PathBuf,
}

/// What a command that ended has said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    lines: Vec<Value>,
    talk: String,
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    /// `missing`, `extra`, `changed`, ...
    pub(crate) kind: String,
    pub(crate) key: Key,
}

/// The fates of a flow's changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fates {
    pub(crate) read: u64,
    pub(crate) applied: u64,
    pub(crate) superseded: u64,
    pub(crate) filtered: u64,
    pub(crate) deduplicated: u64,
    pub(crate) stale: u64,
    pub(crate) parked: u64,
}

/// How a flow stands.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) fates: Fates,
    /// From capture to being visible, median and 99th percentile, in milliseconds.
    pub(crate) latency_ms: Option<(u64, u64)>,
}

impl Fates {
    /// Whether every change that was read has exactly one fate.
    pub(crate) fn conserved(&self) -> bool {
        let known = self.applied + self.superseded + self.filtered + self.deduplicated;
        self.read == known + self.stale + self.parked
    }
}

impl Seamount {
    /// Takes a binary and a project.
    ///
    /// # Errors
    /// There is no such binary.
    pub(crate) fn new(binary: &Path, project: &Path) -> Result<Seamount> {
        let binary = binary
            .canonicalize()
            .with_context(|| format!("there is no seamount at {}", binary.display()))?;
        Ok(Seamount { binary, project: project.to_path_buf() })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("-C").arg(&self.project).arg("--json").args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// It cannot be started, or writes something else than JSON lines.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Said> {
        let output = self.command(arguments).output().context("seamount cannot be started")?;
        let text = String::from_utf8(output.stdout).context("the output is no UTF-8")?;
        let lines = text.lines().map(|line| {
            serde_json::from_str(line).with_context(|| format!("no JSON line: {line}"))
        });
        let lines = lines.collect::<Result<Vec<Value>>>()?;
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(Said { code: output.status.code(), lines, talk })
    }

    /// Runs a command that must succeed.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn must(&self, arguments: &[&str]) -> Result<Said> {
        let said = self.run(arguments)?;
        if said.code != Some(0) {
            bail!("seamount {}: {}", arguments.join(" "), said.complaint());
        }
        Ok(said)
    }

    /// Starts a command and leaves it running; what it says goes into `service.log` of the project.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Running> {
        let path = self.project.join("service.log");
        let log = File::options().create(true).append(true).open(&path).context("service.log")?;
        let talk = log.try_clone().context("service.log")?;
        let mut command = self.command(arguments);
        let child = command.stdout(log).stderr(talk).spawn().context("seamount cannot start")?;
        Ok(Running { child, log: path })
    }

    /// How a flow stands.
    ///
    /// # Errors
    /// Nothing is known of it, or `status` fails.
    pub(crate) fn status(&self, flow: &str) -> Result<Standing> {
        let said = self.must(&["status", flow])?;
        let line = said.lines.iter().find(|line| line["type"] == "flow" && line["flow"] == flow);
        let status = &line.with_context(|| format!("status does not know {flow}"))?["status"];
        let fates = &status["counters"];
        let fate = |name: &str| {
            fates[name].as_u64().with_context(|| format!("status says nothing of `{name}`"))
        };
        let micros = |name: &str| status[name].as_u64();
        let latency = micros("latency_p50_us").zip(micros("latency_p99_us"));
        Ok(Standing {
            fates: Fates {
                read: fate("read")?,
                applied: fate("applied")?,
                superseded: fate("superseded")?,
                filtered: fate("filtered")?,
                deduplicated: fate("deduplicated")?,
                stale: fate("stale")?,
                parked: fate("parked")?,
            },
            latency_ms: latency.map(|(p50, p99)| (p50 / 1_000, p99 / 1_000)),
        })
    }
}

impl Said {
    /// A field of the last line.
    pub(crate) fn summary(&self, field: &str) -> &Value {
        self.lines.last().map_or(&Value::Null, |last| &last[field])
    }

    /// A number of the last line; 0 where it has none.
    pub(crate) fn number(&self, field: &str) -> u64 {
        self.summary(field).as_u64().unwrap_or(0)
    }

    /// The rows that differ.
    ///
    /// # Errors
    /// A key is not made of country, day and line.
    pub(crate) fn differences(&self) -> Result<Vec<Difference>> {
        let rows = self.lines.iter().filter(|line| line["type"] == "difference");
        let mut all = rows.map(difference).collect::<Result<Vec<_>>>()?;
        all.sort();
        Ok(all)
    }

    /// What went wrong, in a line or some.
    pub(crate) fn complaint(&self) -> String {
        let code = self.code.map_or("a signal".into(), |code| format!("exit code {code}"));
        let errors = self.lines.iter().filter(|line| line["type"] == "error");
        let mut all: Vec<String> = errors.map(ToString::to_string).collect();
        all.extend(self.summary("text").as_str().map(String::from));
        all.extend((!self.talk.is_empty()).then(|| self.talk.trim().to_string()));
        format!("{code}; {}", all.join("; "))
    }
}

fn difference(line: &Value) -> Result<Difference> {
    let key = line["key"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let cells: Vec<String> = key.iter().filter_map(Value::as_str).map(plain).collect();
    let [country, day, number] = cells.as_slice() else {
        bail!("a key is not country, day and line: {line}");
    };
    let line_number = number.parse().with_context(|| format!("no line number: {number}"))?;
    let key = Key { country: country.clone(), day: day.clone(), line: line_number };
    let kind = line["kind"].as_str().context("a difference without a kind")?;
    Ok(Difference { kind: kind.to_string(), key })
}

/// A cell of a key as it is: texts are printed in quotes.
fn plain(cell: &str) -> String {
    serde_json::from_str::<String>(cell).unwrap_or_else(|_| cell.to_string())
}

/// A service that runs. Dropped, it is killed: the engine must bear that.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself, which a service never should.
    ///
    /// # Errors
    /// It has; with its last words.
    pub(crate) fn must_live(&mut self) -> Result<()> {
        match self.child.try_wait().context("the service was lost")? {
            None => Ok(()),
            Some(status) => bail!("the service ended with {status}: {}", self.last_words()),
        }
    }

    /// Kills it without a warning (`kill -9`). Returns whether it was still alive.
    ///
    /// # Errors
    /// It cannot be killed or waited for.
    pub(crate) fn kill(&mut self) -> Result<bool> {
        let alive = self.child.try_wait().context("the service was lost")?.is_none();
        self.child.kill().context("the service cannot be killed")?;
        self.child.wait().context("the service was lost")?;
        Ok(alive)
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// It does not stop, or ended before with an error.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.must_live()?;
        let pid = self.pid().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().context("kill")?;
        let deadline = Instant::now() + STOP_WITHIN;
        while asked.success() && Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().context("the service was lost")? {
                // 128 + 15: it says itself that the signal ended it.
                if matches!(status.code(), Some(0 | 143)) {
                    return Ok(());
                }
                bail!("the service stopped with {status}: {}", self.last_words());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the service did not stop within {} s", STOP_WITHIN.as_secs());
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_read_from_their_lines() {
        let said = Said {
            code: Some(DIFFERENT),
            lines: vec![
                json!({ "type": "format", "version": 1 }),
                json!({ "type": "difference", "kind": "missing", "key": ["\"EIRE\"", "\"2011-01-04\"", "17"] }),
                json!({ "type": "summary", "text": "DIFFERENT", "differences": 1 }),
            ],
            talk: String::new(),
        };
        let key = Key { country: "EIRE".into(), day: "2011-01-04".into(), line: 17 };
        assert_eq!(said.differences().unwrap(), [Difference { kind: "missing".into(), key }]);
        assert_eq!(said.number("differences"), 1);
        let odd = json!({ "type": "difference", "kind": "missing", "key": ["EIRE"] });
        assert!(difference(&odd).is_err());
    }

    #[test]
    fn a_change_without_a_fate_is_noticed() {
        let fates = Fates { read: 10, applied: 7, superseded: 2, parked: 1, ..Fates::default() };
        assert!(fates.conserved());
        assert!(!Fates { read: 11, ..fates }.conserved());
    }
}
