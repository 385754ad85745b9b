//! `seamount run` as a service: started, watched, stopped or killed.

use crate::project::{Ended, PATIENCE, Project, signal, wait_until};
use std::io::Read;
use std::process::Child;
use std::thread::JoinHandle;

/// A running engine; killed when the test drops it.
pub(crate) struct EngineProcess {
    child: Option<Child>,
    out: Option<JoinHandle<String>>,
    err: Option<JoinHandle<String>>,
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}

impl EngineProcess {
    /// Starts one, and waits until it holds the project.
    pub(crate) fn start(project: &Project) -> EngineProcess {
        let started = EngineProcess::start_with(project, "run");
        let id = started.id();
        wait_until("the engine holds the project", || {
            let lock = std::fs::read_to_string(project.path(".seamount/lock")).unwrap_or_default();
            lock.contains(&format!("\"pid\":{id},"))
        });
        started
    }

    /// Starts one that lets the oldest file of the log go, and ends it behind that.
    pub(crate) fn serve_until_the_log_is_trimmed(project: &Project) {
        let oldest = || {
            let files = std::fs::read_dir(project.path(".seamount/log")).unwrap();
            let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.ends_with(".db")).min().unwrap()
        };
        let first = oldest();
        let engine = EngineProcess::start(project);
        wait_until("the first file is gone", || oldest() != first);
        assert_eq!(engine.terminate().code, 143);
    }

    /// Starts one with a line of its own, and waits for nothing.
    pub(crate) fn start_with(project: &Project, line: &str) -> EngineProcess {
        EngineProcess::of(project.command(line))
    }

    /// Starts a command that was made elsewhere.
    pub(crate) fn of(mut command: std::process::Command) -> EngineProcess {
        let mut child = command.spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        EngineProcess { child: Some(child), out: Some(drain(out)), err: Some(drain(err)) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Whether it is still there.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn terminate(mut self) -> Ended {
        signal("-TERM", &self.id().to_string());
        self.end()
    }

    /// Waits for its end, which somebody else has brought about.
    pub(crate) fn end_of_it(mut self) -> Ended {
        self.end()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.as_mut().unwrap().kill().unwrap();
        self.end()
    }

    fn end(&mut self) -> Ended {
        let mut child = self.child.take().unwrap();
        let deadline = std::time::Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if std::time::Instant::now() > deadline {
                child.kill().unwrap();
                panic!("the engine does not stop");
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        Ended {
            code: status.code().unwrap_or(-1),
            out: self.out.take().unwrap().join().unwrap(),
            err: self.err.take().unwrap().join().unwrap(),
        }
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
