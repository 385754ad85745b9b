//! Puts an engine together: project, lock, log, state, connectors, SQL.

use crate::args::Global;
use crate::exit::Failure;
use crate::output::Output;
use crate::{operator, private};
use change::DigestKey;
use change::mask::MaskKey;
use connect::{Clock, Connectors, Error, SystemClock};
use engine::{Assembly, Author, Engine, Environment, Random, State, SystemRandom, TakeOver};
use eventlog::{EventLog, LockHolder, StateLock};
use flow::{Context, Project};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A log file of less is not worth its beginning and its end.
const SMALLEST_LOG_FILE: u64 = 128 << 10;

/// All connectors of this binary.
pub(crate) fn connectors() -> Connectors {
    Connectors::new(vec![
        Box::new(connectors::sqlite::Sqlite),
        Box::new(connectors::postgres::Postgres::new("postgres")),
        Box::new(connectors::postgres::Postgres::new("postgresql")),
        Box::new(connectors::files::Files),
    ])
}

/// Reads and checks the project; warnings are told and do not stop.
pub(crate) fn project(global: &Global, output: &Output) -> Result<Project, Failure> {
    let known = connectors();
    let schemes: Vec<&str> = known.schemes().collect();
    let reading = flow::read(&global.directory, &Context::new(&schemes));
    match reading.project {
        Some(project) => {
            output.problems(&reading.problems);
            Ok(project)
        }
        None => Err(Failure::Project(reading.problems)),
    }
}

/// The folder of log, state and lock.
pub(crate) fn state_folder(project: &Project) -> PathBuf {
    project.root.join(".seamount")
}

/// Whether an engine runs on this project now.
pub(crate) fn running(project: &Project) -> Option<LockHolder> {
    StateLock::holder(&state_folder(project))
}

/// The state of a project for reading; `None` when nothing ever ran.
pub(crate) fn state_to_read(project: &Project) -> Result<Option<State>, Failure> {
    let path = state_folder(project).join("state.db");
    if being_laid_out(&path) {
        return Ok(None);
    }
    Ok(State::open_read_only(&path)?)
}

/// The state of a project for writing, whoever types this signs in its audit log.
pub(crate) fn state_to_write(project: &Project) -> Result<State, Failure> {
    let author = Author {
        who: operator::who(),
        command: operator::command_line(),
        heads: Some(heads_file(project)),
    };
    Ok(State::open(&state_folder(project).join("state.db"))?.signed(author))
}

/// The file beside the state that gets the head of each entry of the audit log.
pub(crate) fn heads_file(project: &Project) -> PathBuf {
    state_folder(project).join("audit.heads")
}

/// Whether an engine that starts for the first time has made the file and not all of its tables yet. Whatever else is
/// wrong with the file, its reader says better.
fn being_laid_out(path: &Path) -> bool {
    let version = |flags: OpenFlags| {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
    };
    let mut found = version(OpenFlags::SQLITE_OPEN_READ_ONLY);
    if found.as_ref().is_err_and(was_cut_off) {
        found = version(OpenFlags::SQLITE_OPEN_READ_WRITE);
    }
    found.is_ok_and(|version| version == 0)
}

/// Whether a file was left in the middle of a write, by an engine that lives no more: only who may write can read it
/// then, and takes that write back.
fn was_cut_off(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|e| e.extended_code);
    code == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

/// An engine that holds the project's lock.
pub(crate) struct Held {
    /// The engine.
    pub(crate) engine: Engine,
    /// The log, for its size and its retention.
    pub(crate) log: Arc<EventLog>,
    _lock: StateLock,
}

/// Opens the engine of a project; there is one at a time.
pub(crate) fn open(project: Project, global: &Global) -> Result<Held, Failure> {
    let folder = state_folder(&project);
    private::make(&folder).map_err(|e| {
        Error::unavailable(format!("{} cannot be created", folder.display())).caused_by(e)
    })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let lock = StateLock::acquire(&folder, &holder(clock.as_ref()))?;
    let state = state_to_write(&project)?;
    let random = Arc::new(SystemRandom);
    let log = Arc::new(open_log(&folder, &clock, project.log.max_bytes)?);
    private::close(&folder);
    let key = state.setting_or("digest-key", &random.bits().to_string())?;
    let key = key.parse().map_err(|_| Error::corrupt("the stored digest key is no number"))?;
    let sql = Arc::new(query::Sql::new());
    state.close_requests("null")?;
    let assembly = Assembly {
        project: Arc::new(project),
        connectors: Arc::new(connectors().with_mask_key(&mask_key(&state, random.as_ref())?)),
        log: log.clone(),
        state,
        planner: sql.clone(),
        batch: sql,
        digest_key: DigestKey::new(key),
        environment: Environment { clock, random },
    };
    let take_over = if global.take_over { TakeOver::Asked } else { TakeOver::Never };
    Ok(Held { engine: Engine::new(assembly, take_over), log, _lock: lock })
}

/// The secret of the project's hashes, made the first time. It stays the same, so that hashes do.
fn mask_key(state: &State, random: &dyn Random) -> Result<MaskKey, Failure> {
    let fresh = MaskKey::new(std::array::from_fn(|_| random.bits()));
    let stored = state.setting_or("mask-key", &fresh.reveal())?;
    let key = MaskKey::read(&stored).ok_or_else(|| {
        Error::corrupt("the stored key of masks is none").effect("no masked table is read")
    })?;
    Ok(key)
}

fn open_log(
    folder: &Path,
    clock: &Arc<dyn Clock>,
    max_bytes: Option<u64>,
) -> Result<EventLog, Failure> {
    let mut settings = eventlog::Settings::new(clock.clone(), Arc::new(|| SystemRandom.bits()));
    // Space comes back by whole files: a log that must stay small is made of small ones.
    if let Some(most) = max_bytes {
        settings.rotate_bytes = settings.rotate_bytes.min((most / 4).max(SMALLEST_LOG_FILE));
    }
    Ok(EventLog::open(&folder.join("log"), settings)?)
}

fn holder(clock: &dyn Clock) -> LockHolder {
    LockHolder {
        pid: std::process::id(),
        host: operator::host(),
        since: crate::time::instant(clock.now()),
        command: operator::command_line(),
    }
}
