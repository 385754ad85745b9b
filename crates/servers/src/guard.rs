//! A server that dies with us: a shell holds the read end of a pipe, and ends the server when the pipe is closed.
//!
//! The kernel closes the pipe however we end, also by kill -9, so that no test leaves a server behind. A pipe that ends
//! without a word means that we are gone: then the server's folder goes too.

use anyhow::{Context, Result};
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Runs `"$@"` behind the folder, and takes it down when standard input says so or ends.
const SCRIPT: &str = r#"
folder=$1
shift
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
(
    read -r word <&3
    kill -QUIT "$server" 2>/dev/null
    if [ "$word" != end ]; then
        while kill -0 "$server" 2>/dev/null; do sleep 0.05; done
        rm -rf "$folder"
    fi
) &
exec 3<&-
wait "$server"
"#;

/// A running server.
pub(crate) struct Guarded {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Guarded {
    /// Starts a command under guard, in a folder that is its own; `prepare` sets its user, its output, its surroundings.
    pub(crate) fn start(
        folder: &Path,
        command: &[String],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Guarded> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(SCRIPT).arg("guard").arg(folder).args(command).stdin(Stdio::piped());
        prepare(&mut shell);
        let mut shell = shell.spawn().with_context(|| format!("cannot start {}", command[0]))?;
        let pipe = shell.stdin.take();
        Ok(Guarded { shell, pipe })
    }

    /// Waits until the server has ended by itself.
    pub(crate) fn wait(&mut self) -> Result<()> {
        self.shell.wait().context("the guard of a server was lost")?;
        Ok(())
    }

    /// Whether the server has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            let _ = pipe.write_all(b"end\n");
        }
        let _ = self.shell.wait();
    }
}
