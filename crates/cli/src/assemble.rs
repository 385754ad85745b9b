//! Puts an engine together: project, lock, log, state, connectors, SQL.

use crate::args::Global;
use crate::exit::Failure;
use crate::output::Output;
use change::DigestKey;
use connect::{Clock, Connectors, Error, SystemClock};
use engine::{Assembly, Engine, Environment, Random, State, SystemRandom, TakeOver};
use eventlog::{EventLog, LockHolder, StateLock};
use flow::{Context, Project};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// All connectors of this binary.
pub(crate) fn connectors() -> Connectors {
    Connectors::new(vec![Box::new(connectors::sqlite::Sqlite), Box::new(connectors::files::Files)])
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

/// Whether an engine that starts for the first time has made the file and not all of its tables yet. Whatever else is
/// wrong with the file, its reader says better.
fn being_laid_out(path: &Path) -> bool {
    let version =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|db| {
            db.busy_timeout(Duration::from_secs(5))?;
            db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
        });
    version.is_ok_and(|version| version == 0)
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
    std::fs::create_dir_all(&folder).map_err(|e| {
        Error::unavailable(format!("{} cannot be created", folder.display())).caused_by(e)
    })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let lock = StateLock::acquire(&folder, &holder(clock.as_ref()))?;
    let state = State::open(&folder.join("state.db"))?;
    let random = Arc::new(SystemRandom);
    let log = Arc::new(open_log(&folder, &clock)?);
    let key = state.setting_or("digest-key", &random.bits().to_string())?;
    let key = key.parse().map_err(|_| Error::corrupt("the stored digest key is no number"))?;
    let sql = Arc::new(query::Sql::new());
    state.close_requests("null")?;
    let assembly = Assembly {
        project: Arc::new(project),
        connectors: Arc::new(connectors()),
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

fn open_log(folder: &Path, clock: &Arc<dyn Clock>) -> Result<EventLog, Failure> {
    let settings = eventlog::Settings::new(clock.clone(), Arc::new(|| SystemRandom.bits()));
    Ok(EventLog::open(&folder.join("log"), settings)?)
}

fn holder(clock: &dyn Clock) -> LockHolder {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    LockHolder {
        pid: std::process::id(),
        host: host.trim().to_string(),
        since: crate::time::instant(clock.now()),
        command: format!("seamount {}", arguments.join(" ")),
    }
}
