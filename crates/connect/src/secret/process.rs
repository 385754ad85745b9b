//! Secrets of the process: its environment, files of its user, programs where the operator allows them.
//!
//! The invariant: a file counts only if nobody but its owner can read it, judged by the file that was opened and
//! not by a name that can be swapped; no error holds anything of what was read.

use super::{Reference, Secret, Secrets};
use crate::error::{Error, Result};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The variable by which the operator allows programs. Not a key of a file: who edits the project's files must not be
/// able to run programs by that alone.
const ALLOW_COMMANDS: &str = "SEAMOUNT_SECRET_COMMANDS";

/// The longest secret.
const MOST_BYTES: u64 = 64 << 10;

/// How long a program may take.
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// The process's environment, files and, where allowed, programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessSecrets;

impl Secrets for ProcessSecrets {
    fn find(&self, reference: &Reference) -> Result<Secret> {
        let secret = match reference {
            Reference::Env(name) => Secret::new(std::env::var(name).map_err(|_| {
                missing(reference, format!("the environment has no {name} that is text"))
                    .fix(format!("export {name}=..."))
            })?),
            Reference::File { path, .. } => read_file(reference, path)?,
            Reference::Command(line) => run(reference, line)?,
        };
        if secret.expose().is_empty() {
            return Err(missing(reference, "it is empty".into()));
        }
        Ok(secret)
    }
}

fn missing(reference: &Reference, found: String) -> Error {
    Error::unavailable(format!("the secret {reference} is not there"))
        .found(found)
        .effect("the site cannot be opened")
        .fix("put the secret there, for the user who runs the engine")
        .code("E0209")
}

fn unsafe_file(reference: &Reference, found: impl Into<String>) -> Error {
    Error::invalid(format!("the file of {reference} is not safe to take a secret from"))
        .found(found)
        .effect("the site cannot be opened")
        .fix("name a plain file that only its owner can read: chmod 600 FILE")
        .code("E0211")
}

fn read_file(reference: &Reference, path: &Path) -> Result<Secret> {
    let gone = |e: &io::Error| missing(reference, e.to_string());
    let named = std::fs::symlink_metadata(path).map_err(|e| gone(&e))?;
    if named.file_type().is_symlink() {
        return Err(unsafe_file(
            reference,
            "it is a link, which could be made to name another file",
        ));
    }
    if !named.is_file() {
        return Err(unsafe_file(reference, "it is no plain file"));
    }
    let mut file = File::open(path).map_err(|e| gone(&e))?;
    let opened = file.metadata().map_err(|e| gone(&e))?;
    if !same_file(&named, &opened) {
        return Err(unsafe_file(reference, "it was exchanged while it was opened"));
    }
    if let Some(mode) = open_to_others(&opened) {
        return Err(unsafe_file(
            reference,
            format!("its mode is {mode:04o}; at most 0600 is taken"),
        ));
    }
    text_of(reference, &mut file)
}

/// Reads a secret to its end, without the line end that editors and programs put there.
fn text_of(reference: &Reference, from: &mut dyn Read) -> Result<Secret> {
    // Room for all of it, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES as usize + 1));
    from.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| missing(reference, e.to_string()))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(missing(reference, format!("it is longer than {MOST_BYTES} bytes")));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| missing(reference, "it is no UTF-8 text".into()))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

#[cfg(unix)]
fn same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(unix)]
fn open_to_others(file: &Metadata) -> Option<u32> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o7777;
    (mode & !0o600 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(not(unix))]
fn open_to_others(_: &Metadata) -> Option<u32> {
    None
}

/// What a program prints. No shell: the line is cut at its spaces.
fn run(reference: &Reference, line: &str) -> Result<Secret> {
    if std::env::var(ALLOW_COMMANDS).as_deref() != Ok("allow") {
        return Err(Error::invalid(format!("{reference} would run a program"))
            .found("programs are not allowed to give secrets here")
            .effect("the site cannot be opened, and nothing was run")
            .fix(format!(
                "{ALLOW_COMMANDS}=allow in the environment of the engine; or use env: or file:"
            ))
            .code("E0212"));
    }
    let failed = |found: String| missing(reference, found);
    let mut words = line.split_whitespace();
    let program = words.next().ok_or_else(|| failed("no program is named".into()))?;
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    let mut printed = child.stdout.take().expect("the output was asked for");
    let (send, receive) = mpsc::channel();
    let of = reference.clone();
    std::thread::spawn(move || {
        // Nobody listens any more once the time is over.
        let _ = send.send(text_of(&of, &mut printed));
    });
    let Ok(text) = receive.recv_timeout(COMMAND_TIME) else {
        // It is being given up; whether it has just ended by itself does not matter.
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(format!("the program took longer than {COMMAND_TIME:?}")));
    };
    let status = child.wait().map_err(|e| failed(e.to_string()))?;
    if !status.success() {
        return Err(failed(format!("the program ended with {status}")));
    }
    text
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn file_with_mode(folder: &Path, name: &str, mode: u32) -> Reference {
        let path = folder.join(name);
        std::fs::write(&path, "hunter2\r\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Reference::File { written: name.into(), path }
    }

    fn code(reference: &Reference) -> Option<&'static str> {
        let error = ProcessSecrets.find(reference).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        error.code
    }

    #[test]
    fn a_file_counts_only_when_its_owner_alone_can_read_it() {
        let folder = std::env::temp_dir().join(format!("seamount-secret-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for mode in [0o600, 0o400] {
            let secret = ProcessSecrets.find(&file_with_mode(&folder, "good", mode)).unwrap();
            assert_eq!(secret.expose(), "hunter2");
        }
        for mode in [0o640, 0o604, 0o644, 0o700, 0o666] {
            assert_eq!(code(&file_with_mode(&folder, "bad", mode)), Some("E0211"), "{mode:o}");
        }
        let link = folder.join("link");
        symlink(folder.join("good"), &link).unwrap();
        let through = Reference::File { written: "link".into(), path: link };
        assert_eq!(code(&through), Some("E0211"));
        let folder_itself = Reference::File { written: ".".into(), path: folder.clone() };
        assert_eq!(code(&folder_itself), Some("E0211"));
        let gone = Reference::File { written: "gone".into(), path: folder.join("gone") };
        assert_eq!(code(&gone), Some("E0209"));
        std::fs::write(folder.join("good"), vec![b'x'; MOST_BYTES as usize + 1]).unwrap();
        let long = Reference::File { written: "good".into(), path: folder.join("good") };
        assert_eq!(code(&long), Some("E0209"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn programs_are_off_until_the_operator_allows_them() {
        let marker = std::env::temp_dir().join(format!("seamount-ran-{}", std::process::id()));
        let line = format!("touch {}", marker.display());
        assert_eq!(code(&Reference::Command(line)), Some("E0212"));
        assert!(!marker.exists(), "the program ran");
    }
}
