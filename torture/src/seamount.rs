//! The binary `seamount` as it is used here: started as a program, read by its JSON lines and exit codes, stopped or
//! killed. What those look like is known here and nowhere else.

use crate::signal;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Exit code of a command that may be repeated: somebody else holds the project.
pub(crate) const TEMPORARY: i32 = 75;

/// Exit code of a service that was asked to stop by SIGTERM.
pub(crate) const TERMINATED: i32 = 143;

/// No command takes nearly this long; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a service says once it holds its project, has read its log, and works.
const READY: &str = "; stop with ctrl-c";

const LOOK_EACH: Duration = Duration::from_millis(5);

/// A binary and a project to run it in.
#[derive(Clone, Debug)]
pub(crate) struct Seamount {
    binary: PathBuf,
    project: PathBuf,
    said: PathBuf,
    under: Vec<OsString>,
}

/// What a command that ended has said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    lines: Vec<Value>,
    talk: String,
    /// From its start to its end.
    pub(crate) took: Duration,
}

impl Seamount {
    /// Takes a binary, a project, and a folder for what its services say.
    pub(crate) fn new(binary: &Path, project: &Path, said: &Path) -> Seamount {
        Seamount {
            binary: binary.to_path_buf(),
            project: project.to_path_buf(),
            said: said.to_path_buf(),
            under: Vec::new(),
        }
    }

    /// The same, started by another program whose words stand in front: a tracer.
    pub(crate) fn under(&self, words: Vec<OsString>) -> Seamount {
        Seamount { under: words, ..self.clone() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.under.iter();
        let mut command = match words.next() {
            Some(program) => {
                let mut command = Command::new(program);
                command.args(words).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        command.arg("-C").arg(&self.project).arg("--json").args(arguments).stdin(Stdio::null());
        command
    }

    /// Starts a command and leaves it running.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Running> {
        std::fs::create_dir_all(&self.said).context("a folder for what is said")?;
        let (mut file, mut path) = (None, PathBuf::new());
        for number in 0.. {
            path = self.said.join(format!("{number:05}.out"));
            if let Ok(new) = File::create_new(&path) {
                file = Some(new);
                break;
            }
        }
        let file = file.context("a file for what is said")?;
        let talk_path = path.with_extension("err");
        let talk = File::create(&talk_path).context("a file for what is said")?;
        let mut command = self.command(arguments);
        let child = command.stdout(file).stderr(talk).spawn().context("seamount cannot start")?;
        let pid = child.id();
        let what = arguments.join(" ");
        let began = Instant::now();
        Ok(Running { child, pid, out: path, talk: talk_path, what, began })
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// It cannot be started, hangs, or writes something else than JSON lines.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Said> {
        self.start(arguments)?.end_within(PATIENCE)
    }

    /// Runs a command that must end with a code.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn must(&self, arguments: &[&str], code: i32) -> Result<Said> {
        let said = self.run(arguments)?;
        if said.code != Some(code) {
            bail!("`seamount {}`: {code} was due, but {}", arguments.join(" "), said.complaint());
        }
        Ok(said)
    }

    /// Starts the service and waits until it works; with it, how long that took.
    ///
    /// # Errors
    /// It does not come up.
    pub(crate) fn serve(&self, more: &[&str]) -> Result<(Running, Duration)> {
        let mut arguments = vec!["run"];
        arguments.extend_from_slice(more);
        let mut service = self.start(&arguments)?;
        let took = service.ready(PATIENCE)?;
        Ok((service, took))
    }
}

impl Said {
    /// The lines of a type.
    pub(crate) fn objects<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().filter(move |line| line["type"] == kind)
    }

    /// A field of the last line.
    pub(crate) fn summary(&self, field: &str) -> &Value {
        self.lines.last().map_or(&Value::Null, |last| &last[field])
    }

    /// Whether an error says this anywhere, or the talk does.
    pub(crate) fn mentions(&self, word: &str) -> bool {
        self.talk.contains(word) || self.lines.iter().any(|line| line.to_string().contains(word))
    }

    /// What went wrong, in a line or some.
    pub(crate) fn complaint(&self) -> String {
        let code = self.code.map_or("a signal ended it".into(), |code| format!("exit code {code}"));
        let errors = self.objects("error");
        let mut all: Vec<String> = errors.map(ToString::to_string).collect();
        all.extend(self.summary("text").as_str().map(String::from));
        all.extend((!self.talk.is_empty()).then(|| self.talk.trim().to_string()));
        format!("{code}; {}", all.join("; "))
    }
}

/// A command that runs. Dropped, it is killed: the engine must bear that.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pid: u32,
    out: PathBuf,
    talk: PathBuf,
    what: String,
    began: Instant,
}

impl Running {
    /// The process that signals go to.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends signals to another process than the one that was started: the traced one.
    pub(crate) fn is(&mut self, pid: u32) {
        self.pid = pid;
    }

    /// Whether it is still there.
    ///
    /// # Errors
    /// It was lost.
    pub(crate) fn lives(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("the engine was lost")?.is_none())
    }

    /// Fails when it has ended by itself, which a service never should.
    ///
    /// # Errors
    /// It has; with its last words.
    pub(crate) fn must_live(&mut self) -> Result<()> {
        match self.child.try_wait().context("the engine was lost")? {
            None => Ok(()),
            Some(status) => {
                bail!("`seamount {}` ended by itself with {status}: {}", self.what, self.words())
            }
        }
    }

    /// Waits until the service works; how long that took since it was started.
    ///
    /// # Errors
    /// It ends before, or takes too long.
    pub(crate) fn ready(&mut self, patience: Duration) -> Result<Duration> {
        loop {
            if self.is_ready() {
                return Ok(self.began.elapsed());
            }
            self.must_live()?;
            if self.began.elapsed() > patience {
                bail!("`seamount {}` does not come up: {}", self.what, self.words());
            }
            std::thread::sleep(LOOK_EACH);
        }
    }

    /// Whether the service works by now.
    pub(crate) fn is_ready(&self) -> bool {
        self.has_said(READY)
    }

    /// Whether it has said this by now.
    pub(crate) fn has_said(&self, words: &str) -> bool {
        std::fs::read_to_string(&self.talk).is_ok_and(|talk| talk.contains(words))
    }

    /// Kills it without a warning (`kill -9`).
    ///
    /// # Errors
    /// It had ended by itself before, with something else than success.
    pub(crate) fn kill(mut self) -> Result<()> {
        if self.lives()? {
            signal::send(self.pid, "KILL")?;
        }
        let status = self.child.wait().context("the engine was lost")?;
        if status.code().is_some_and(|code| code != 0 && code != signal::SHELL_KILLED) {
            bail!("`seamount {}` ended before its kill: {status}: {}", self.what, self.words());
        }
        Ok(())
    }

    /// Asks it to stop (SIGTERM); how long it took to end.
    ///
    /// # Errors
    /// It ended before, does not end in time, or ends with another code.
    pub(crate) fn terminate(mut self, within: Duration) -> Result<Duration> {
        self.must_live()?;
        let asked = Instant::now();
        signal::send(self.pid, "TERM")?;
        let status = self.wait(within).context("after SIGTERM")?;
        if status.code() != Some(TERMINATED) {
            bail!("`seamount {}` stopped with {status}: {}", self.what, self.words());
        }
        Ok(asked.elapsed())
    }

    /// Asks a process to stop whose fault may keep it from ending well; how it ends is not judged, but that it does.
    ///
    /// # Errors
    /// It does not end in time.
    pub(crate) fn end_by_force_within(mut self, within: Duration) -> Result<()> {
        if self.lives()? {
            // It may end between two looks.
            let _ = signal::send(self.pid, "TERM");
        }
        self.has_ended_within(within).context("after SIGTERM")
    }

    /// Waits for the end of a process that ends by itself; how is not judged, but a crash.
    ///
    /// # Errors
    /// It does not end, or crashed.
    fn has_ended_within(mut self, within: Duration) -> Result<()> {
        self.wait(within)?;
        self.must_have_ended_sanely()
    }

    /// As [`Running::has_ended_within`], of a tracer whose program has ended. It is ended by force where it does not end:
    /// strace 6.1 now and then waits for ever for a thread that was killed before it was first seen.
    ///
    /// # Errors
    /// The program lives, or crashed.
    pub(crate) fn tracer_has_ended_within(mut self, within: Duration) -> Result<()> {
        if let Err(late) = self.wait(within) {
            if signal::child_of(self.child.id()).is_some() {
                return Err(late);
            }
            self.child.kill().context("strace cannot be ended")?;
            self.child.wait().context("strace was lost")?;
        }
        self.must_have_ended_sanely()
    }

    /// Fails when it has ended by a panic or a crash of its own. An error that is told is none, nor is our SIGKILL.
    ///
    /// # Errors
    /// It has.
    fn must_have_ended_sanely(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait().context("the engine was lost")? else {
            return Ok(());
        };
        let words = self.words();
        let crashed = status.code().is_some_and(|code| code == 101 || code >= 128)
            && !matches!(status.code(), Some(TERMINATED | signal::SHELL_KILLED));
        if crashed || words.contains("panicked") {
            bail!("`seamount {}` crashed with {status}: {words}", self.what);
        }
        Ok(())
    }

    /// Fails when a service lives, is not done, and says that all is well.
    ///
    /// # Errors
    /// It does.
    pub(crate) fn must_speak_of_trouble(&mut self, done: bool, seamount: &Seamount) -> Result<()> {
        if done {
            return Ok(());
        }
        let said = seamount.run(&["status"])?;
        let silent = said.code == Some(0)
            && said.objects("flow").count() > 0
            && said.summary("need_you") == 0
            && said.objects("flow").all(|flow| flow["lanes"].to_string().contains("\"live\""));
        if silent {
            bail!("nothing moves, and status says that all is well: {}", said.complaint());
        }
        Ok(())
    }

    fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("the engine was lost")? {
                return Ok(status);
            }
            if asked.elapsed() > within {
                bail!("`seamount {}` did not end within {within:?}: {}", self.what, self.words());
            }
            std::thread::sleep(LOOK_EACH);
        }
    }

    /// Waits for its end, which comes by itself or by somebody else.
    ///
    /// # Errors
    /// It does not come in time, or what it said is no JSON.
    pub(crate) fn end_within(mut self, patience: Duration) -> Result<Said> {
        let status = self.wait(patience)?;
        let took = self.began.elapsed();
        let text = std::fs::read_to_string(&self.out).context("what was said")?;
        let talk = std::fs::read_to_string(&self.talk).unwrap_or_default();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON line: {line}")))
            .collect::<Result<Vec<Value>>>();
        // A command that was killed may have been cut off in a line.
        let lines = if status.code().is_some() { lines? } else { lines.unwrap_or_default() };
        Ok(Said { code: status.code(), lines, talk, took })
    }

    /// The last that it said.
    pub(crate) fn words(&self) -> String {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let text = format!("{}{}", read(&self.out), read(&self.talk));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        if matches!(self.child.try_wait(), Ok(None)) {
            // A tracer that is killed leaves the program below it running.
            if let Some(traced) = signal::child_of(self.child.id()) {
                let _ = signal::send(traced, "KILL");
            }
            let _ = signal::send(self.pid, "CONT");
            let _ = signal::send(self.pid, "KILL");
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
