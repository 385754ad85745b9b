//! PostgreSQL clusters: made by the installed binaries, reached by a free port of loopback, without a password.

use crate::guard::Guarded;
use crate::unprivileged::Runner;
use anyhow::{Context, Result, bail, ensure};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The superuser of every cluster.
const USER: &str = "seamount";

/// Whether a cluster syncs its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As in production.
    Full,
    /// Not at all: for tests, whose machine does not lose its power.
    None,
}

/// How a cluster is made.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Whether it syncs.
    pub durability: Durability,
    /// Lines of its configuration, over ours.
    pub settings: Vec<(String, String)>,
    /// Private files in its folder of data, by name: certificates, keys.
    pub files: Vec<(String, String)>,
}

impl Default for Recipe {
    fn default() -> Recipe {
        Recipe { durability: Durability::None, settings: Vec::new(), files: Vec::new() }
    }
}

/// A running cluster; it ends with this value.
pub struct Cluster {
    /// Keeps the folder; dropped behind the server.
    folder: TempDir,
    binaries: PathBuf,
    runner: Runner,
    port: u16,
    server: Mutex<Option<Guarded>>,
}

static NEXT_DATABASE: AtomicU64 = AtomicU64::new(1);

impl Cluster {
    /// One cluster for all tests of a process; each makes a database of its own.
    ///
    /// # Panics
    /// When PostgreSQL is not installed: `cargo x test` installs it where it may.
    pub fn shared() -> &'static Cluster {
        static SHARED: LazyLock<Cluster> = LazyLock::new(|| {
            Cluster::start(&Recipe::default()).unwrap_or_else(|e| panic!("no PostgreSQL: {e:#}"))
        });
        &SHARED
    }

    /// Makes and starts a cluster.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start; with its own words.
    pub fn start(recipe: &Recipe) -> Result<Cluster> {
        let (binaries, runner) = (binaries()?, Runner::find()?);
        let folder = TempDir::with_prefix("seamount-postgres-").context("no temporary folder")?;
        runner.owns(folder.path())?;
        let cluster =
            Cluster { port: free_port()?, folder, binaries, runner, server: Mutex::new(None) };
        let data = cluster.data();
        cluster.run(
            "initdb",
            &["-D", &data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"],
        )?;
        cluster.configure(recipe)?;
        cluster.resume()?;
        Ok(cluster)
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// Its folder of data.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A line of the log that the server writes.
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn configure(&self, recipe: &Recipe) -> Result<()> {
        let folder = self.folder.path().display();
        let mut lines = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\n\
             wal_level = logical\nmax_wal_senders = 40\nmax_replication_slots = 80\nmax_connections = 200\n\
             max_prepared_transactions = 20\nshared_buffers = '256MB'\nmax_wal_size = '4GB'\n\
             wal_receiver_status_interval = '1s'\nlog_min_messages = warning\nautovacuum = on\n",
            self.port
        );
        if recipe.durability == Durability::None {
            lines += "fsync = off\nfull_page_writes = off\n";
        }
        for (name, value) in &recipe.settings {
            lines += &format!("{name} = '{value}'\n");
        }
        self.write("postgresql.auto.conf", &lines)?;
        recipe.files.iter().try_for_each(|(name, text)| self.write(name, text))
    }

    /// Writes a private file of the runner's into the folder of data.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let file = self.data_folder().join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {name}"))?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
        self.runner.owns(&file)
    }

    /// Starts the server again after [`Cluster::kill`] or [`Cluster::stop`], on the same port.
    ///
    /// # Errors
    /// It does not start, with its own words.
    pub fn resume(&self) -> Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.log_file())?;
        let program = self.binaries.join("postgres").display().to_string();
        let guarded =
            Guarded::start(self.folder.path(), &[program, "-D".into(), self.data()], |command| {
                self.runner.runs(command);
                command.current_dir(self.folder.path()).env("LC_ALL", "C.UTF-8");
                command.stdout(log.try_clone().map_or_else(|_| Stdio::null(), Stdio::from));
                command.stderr(Stdio::from(log));
            })?;
        *self.server() = Some(guarded);
        self.wait_until_ready()
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Option<Guarded>> {
        self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wait_until_ready(&self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self
                .run("pg_isready", &["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .is_ok()
            {
                return Ok(());
            }
            if self.server().as_mut().is_none_or(Guarded::has_ended) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        bail!("PostgreSQL does not start: {}", said.lines().last().unwrap_or("it says nothing"))
    }

    /// Ends the server and its children at once, as a crash would.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn kill(&self) -> Result<()> {
        let signal = self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
        if let Some(server) = self.server().as_mut() {
            server.wait()?;
        }
        self.server().take();
        signal.map(drop)
    }

    /// Kills the server and every process of it (`kill -9`), as the kernel does that has no memory left: nothing is told,
    /// and nothing is cleaned up.
    ///
    /// # Errors
    /// It does not run.
    pub fn crash(&self) -> Result<()> {
        let file = std::fs::read_to_string(self.data_folder().join("postmaster.pid"))?;
        let postmaster = file.lines().next().context("the server does not run")?;
        let mut all = vec![postmaster.to_string()];
        for process in std::fs::read_dir("/proc")?.flatten() {
            let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            let Some((_, rest)) = stat.rsplit_once(')') else { continue };
            if rest.split_whitespace().nth(1) == Some(postmaster) {
                all.push(process.file_name().to_string_lossy().into_owned());
            }
        }
        // Some may have ended by themselves between the two.
        Command::new("/bin/sh")
            .args(["-c", "kill -KILL \"$@\" 2>/dev/null; true", "kill"])
            .args(&all)
            .status()
            .context("sh cannot be started")?;
        if let Some(server) = self.server().as_mut() {
            server.wait()?;
        }
        self.server().take();
        Ok(())
    }

    /// Stops the server as an operator would.
    ///
    /// # Errors
    /// It does not stop.
    pub fn stop(&self) -> Result<()> {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "fast", "-w", "stop"])?;
        self.server().take();
        Ok(())
    }

    /// Makes a new, empty database and returns its name.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn database(&self) -> String {
        let name = format!("d{}", NEXT_DATABASE.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// The url of a database, as `sites.toml` has it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder of its Unix socket.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Time on the processors that the server and its processes have used so far, those that have ended included
    /// (Linux), in steps of 10 ms.
    ///
    /// # Errors
    /// It does not run.
    pub fn processor_time(&self) -> Result<Duration> {
        let file = std::fs::read_to_string(self.data_folder().join("postmaster.pid"))?;
        let postmaster = file.lines().next().context("the server does not run")?;
        let mut ticks = 0;
        for process in std::fs::read_dir("/proc")?.flatten() {
            let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            let Some((_, rest)) = stat.rsplit_once(')') else { continue };
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let own = process.file_name().to_str() == Some(postmaster);
            // Behind the name: state, parent, ...; own times at 11 and 12, those of ended children at 13 and 14.
            let times = if own { 11..15 } else { 11..13 };
            if own || fields.get(1) == Some(&postmaster) {
                ticks += times.filter_map(|i| fields.get(i)?.parse::<u64>().ok()).sum::<u64>();
            }
        }
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Carries statements out by `psql`, each in a transaction of its own; returns what it prints, unaligned.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        self.try_sql(database, statements).unwrap_or_else(|e| panic!("{statements}: {e:#}"))
    }

    /// As [`Cluster::sql`].
    ///
    /// # Errors
    /// A statement fails, with what psql said.
    pub fn try_sql(&self, database: &str, statements: &str) -> Result<String> {
        let port = self.port.to_string();
        let fixed = [
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            USER,
            "-p",
            &port,
        ];
        let arguments = [&fixed[..], &["-d", database, "-c", statements]].concat();
        self.run("psql", &arguments)
    }

    /// Runs one of the installed programs; returns what it printed.
    ///
    /// # Errors
    /// It fails, with what it said.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(self.binaries.join(program));
        command.args(arguments).current_dir(self.folder.path()).env("LC_ALL", "C.UTF-8");
        self.runner.runs(&mut command);
        let output = command.output().with_context(|| format!("cannot run {program}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program}: {}", said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_string())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.server().take();
    }
}

/// Whether PostgreSQL's server is there to be started.
pub fn is_installed() -> bool {
    binaries().is_ok()
}

/// The folder of the newest installed version.
fn binaries() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, folder)| folder.join("initdb").exists())
        .collect();
    found.sort();
    let newest = found.pop().map(|(_, folder)| folder);
    newest.context("PostgreSQL is not installed (Debian: apt-get install postgresql)")
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr().context("no free port")?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_answers_is_killed_and_answers_again() {
        let cluster = Cluster::start(&Recipe::default()).unwrap();
        let name = cluster.database();
        cluster.sql(&name, "CREATE TABLE t (a int); INSERT INTO t VALUES (7)");
        cluster.kill().unwrap();
        assert!(cluster.try_sql(&name, "SELECT 1").is_err());
        cluster.resume().unwrap();
        assert_eq!(cluster.sql(&name, "SELECT a FROM t"), "7");
        cluster.crash().unwrap();
        assert!(cluster.try_sql(&name, "SELECT 1").is_err());
        cluster.resume().unwrap();
        assert_eq!(cluster.sql(&name, "SELECT a FROM t"), "7");
    }
}
