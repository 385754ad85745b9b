//! A small ext4 file system over a loop device: made, mounted, copied as it lies, and taken away again. Only root can.

use crate::signal;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why this cannot be done here, and whether that is the machine's rule and not a thing to install; `None` where it can.
pub(crate) fn cannot() -> Option<(String, bool)> {
    if !signal::is_root() {
        return Some(("only root can mount; run it as root".into(), true));
    }
    for program in ["mkfs.ext4", "mount", "umount", "losetup"] {
        if !is_there(program) {
            return Some((format!("{program} is not installed (e2fsprogs, mount)"), false));
        }
    }
    let tried = (|| -> Result<()> {
        let folder = tempfile::tempdir()?;
        let disk = LoopDisk::make(&folder.path().join("disk"), &folder.path().join("there"), 8)?;
        disk.given()?;
        disk.unmount()
    })();
    tried.err().map(|error| {
        (format!("this machine has no loop device to mount and to count ({error:#})"), true)
    })
}

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&paths).chain(sbin).any(|folder| folder.join(program).is_file())
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", format!("{path}:/usr/sbin:/sbin")).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("{program} cannot be started"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        bail!("{program} {}: {said}", arguments.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// A file system on a file.
pub(crate) struct LoopDisk {
    file: PathBuf,
    mount: Mount,
}

impl LoopDisk {
    /// Makes and mounts one.
    ///
    /// # Errors
    /// The system does not do it.
    pub(crate) fn make(file: &Path, folder: &Path, megabytes: u64) -> Result<LoopDisk> {
        File::create(file)?.set_len(megabytes << 20)?;
        run("mkfs.ext4", &["-q", "-F", "-m", "0", &file.display().to_string()])?;
        Ok(LoopDisk { file: file.to_path_buf(), mount: mounted(file, folder)? })
    }

    /// Where it is mounted.
    pub(crate) fn folder(&self) -> &Path {
        self.mount.folder()
    }

    /// Makes everything on it durable.
    ///
    /// # Errors
    /// The system does not do it.
    pub(crate) fn sync(&self) -> Result<()> {
        run("sync", &["-f", &self.folder().display().to_string()]).map(drop)
    }

    /// What the device was given by now: its counts of reads, writes, discards and flushes, and what is under way.
    ///
    /// # Errors
    /// The system does not say.
    pub(crate) fn given(&self) -> Result<String> {
        let name = self.mount.device.rsplit('/').next().unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/sys/block/{name}/stat"));
        let stat = stat.context("the device's counts")?;
        // Reads change nothing: from the fifth on.
        let writes: Vec<&str> = stat.split_whitespace().skip(4).collect();
        Ok(writes.join(" "))
    }

    /// Copies the file below it as it is now.
    ///
    /// # Errors
    /// It cannot be copied.
    pub(crate) fn copy(&self, to: &Path) -> Result<()> {
        let (from, to) = (self.file.display().to_string(), to.display().to_string());
        run("cp", &["--sparse=always", &from, &to]).map(drop)
    }

    /// Takes it away.
    ///
    /// # Errors
    /// It is in use.
    pub(crate) fn unmount(self) -> Result<()> {
        self.mount.unmount()
    }
}

/// A mounted file.
pub(crate) struct Mount {
    folder: PathBuf,
    device: String,
    mounted: bool,
}

/// Mounts a file that holds a file system.
///
/// # Errors
/// The system does not do it.
pub(crate) fn mounted(file: &Path, folder: &Path) -> Result<Mount> {
    std::fs::create_dir_all(folder)?;
    let (name, place) = (file.display().to_string(), folder.display().to_string());
    run("mount", &["-o", "loop", &name, &place])?;
    let mut mount = Mount { folder: folder.to_path_buf(), device: String::new(), mounted: true };
    let listed = run("losetup", &["-n", "-O", "NAME", "-j", &name])?;
    mount.device = listed.lines().next().context("a loop device")?.trim().to_string();
    Ok(mount)
}

impl Mount {
    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes it away; the loop device goes with it.
    ///
    /// # Errors
    /// It is in use.
    pub(crate) fn unmount(mut self) -> Result<()> {
        self.mounted = false;
        run("umount", &[&self.folder.display().to_string()]).map(drop)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted {
            // Whoever still works there works on; the name goes at once.
            let _ = run("umount", &["-l", &self.folder.display().to_string()]);
        }
    }
}
