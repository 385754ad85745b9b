//! A project in a scratch folder, and what the binary says to it.

use rusqlite::Connection;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No command of these tests takes nearly this long; one that does hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// A project's folder, gone with the test.
pub(crate) struct Project {
    folder: TempDir,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Project {
    /// A folder with these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    /// Writes a file; an empty text takes it away.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        if text.as_ref().is_empty() {
            let _ = std::fs::remove_file(path);
            return;
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// A database of the project, patient with locks; made where there is none.
    pub(crate) fn db(&self, path: &str) -> Connection {
        open(&self.path(path))
    }

    /// The binary with the words of a line, in this project.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seamount"));
        command.arg("-C").arg(self.folder.path()).args(line.split_whitespace());
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Types a line and waits for its end.
    pub(crate) fn run(&self, line: &str) -> Ended {
        finish(self.command(line), line)
    }

    /// Types a line that must end with a code.
    #[track_caller]
    pub(crate) fn expect(&self, line: &str, code: i32) -> Ended {
        let ended = self.run(line);
        assert_eq!(ended.code, code, "`{line}`\n{}\n{}", ended.out, ended.err);
        ended
    }

    /// What an engine left behind: names of files below `.seamount`.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let mut names = Vec::new();
        let Ok(entries) = std::fs::read_dir(self.path(".seamount")) else { return names };
        for entry in entries {
            names.push(entry.unwrap().file_name().to_string_lossy().into_owned());
        }
        names
    }
}

pub(crate) fn open(path: &std::path::Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    db
}

/// Runs a command to its end, or kills it when it hangs.
pub(crate) fn finish(mut command: Command, line: &str) -> Ended {
    let child = command.spawn().unwrap();
    let id = child.id().to_string();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(PATIENCE) else {
        signal("-KILL", &id);
        panic!("`{line}` hangs");
    };
    let output = output.unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Sends a signal to one process.
pub(crate) fn signal(what: &str, id: &str) {
    let done = Command::new("kill").arg(what).arg(id).status().unwrap();
    assert!(done.success(), "kill {what} {id}");
}

/// Looks again and again until something holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Ended {
    /// The last line of standard output.
    pub(crate) fn last(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }

    /// Standard output as JSON lines: the first names the format, the last is the summary.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let lines: Vec<Value> = self
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        let first = lines.first().unwrap_or_else(|| panic!("nothing was said\n{}", self.err));
        assert_eq!(first["type"], "format", "{}", self.out);
        assert_eq!(first["version"], 1, "{}", self.out);
        assert_eq!(lines.last().unwrap()["type"], "summary", "{}", self.out);
        lines
    }

    /// The objects of one type.
    #[track_caller]
    pub(crate) fn objects(&self, kind: &str) -> Vec<Value> {
        self.json().into_iter().filter(|object| object["type"] == kind).collect()
    }

    /// The summary as an object.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        self.json().pop().unwrap()
    }
}
