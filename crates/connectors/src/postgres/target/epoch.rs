//! Who may write: the epoch's holder, in the flow's generation.
//!
//! Every transaction that writes locks the epoch's row first, shared, so that flows of one engine do not wait for each
//! other; a take-over locks it alone. Sessions show their holder as `application_name`: a take-over ends those
//! of others that stand in a transaction, and so none of them commits behind it.

use super::super::book::{self, fenced, held_by};
use super::super::error::failed;
use super::session::{Answer, Open, Session};
use change::{Generation, HolderId};
use connect::target::Claim;
use connect::{Error, Result};
use postgres::error::SqlState;

/// How often a take-over tries to get hold of the epoch, and for how long each time.
const TRIES: u32 = 10;
const PATIENCE: &str = "SET LOCAL lock_timeout = '200ms'";

/// The name of a holder's sessions.
fn session_name(holder: HolderId) -> String {
    format!("seamount {holder}")
}

/// The holder that the epoch shows now.
pub(super) fn shown(session: &mut Session) -> Result<Option<HolderId>> {
    book::holder(session.client())
}

/// Fails unless the answer to [`book::LOOK`] shows this engine.
pub(super) fn require(answer: Option<&Answer>, ours: HolderId) -> Result<()> {
    match answer.and_then(|answer| answer.number(0)).map(HolderId::from_i64) {
        Some(shown) if shown == ours => Ok(()),
        Some(shown) => Err(held_by(shown)),
        None => Err(fenced("the claim on this target is gone")
            .found("the epoch is empty: the database was replaced or restored")),
    }
}

/// The engine that has claimed the target with this session.
pub(super) fn claimed(holder: Option<HolderId>) -> Result<HolderId> {
    holder.ok_or_else(|| fenced("this engine has not claimed the target"))
}

/// Fails unless the answer to [`book::look_at`] shows this generation; says whether it has not written before.
pub(super) fn require_generation(answer: Option<&Answer>, generation: Generation) -> Result<bool> {
    match answer.and_then(|answer| answer.number(0)).map(Generation::from_i64) {
        Some(adopted) if adopted == generation => {
            let wrote = answer.and_then(|answer| answer.number(1));
            Ok(wrote != Some(generation.to_i64()))
        }
        Some(adopted) => Err(fenced("the flow has another generation at this target")
            .found(format!("{adopted}, this work is of {generation}"))),
        None => Err(fenced("the flow has no generation at this target")),
    }
}

/// Becomes the one engine that may write here.
pub(super) fn claim(session: &mut Session, claim: &Claim) -> Result<()> {
    let (mut open, _) = Open::begin(session, "")?;
    book::queue_up(open.session.client())?;
    book::create(open.session.client())?;
    match shown(open.session)? {
        Some(shown) if shown == claim.holder => {}
        Some(shown) if !claim.known.contains(&shown) && !claim.take_over => {
            return Err(held_by(shown));
        }
        before => record(open.session, claim.holder, before)?,
    }
    open.commit("")?;
    drop(open);
    session.call(session_name(claim.holder))
}

fn record(session: &mut Session, holder: HolderId, before: Option<HolderId>) -> Result<()> {
    let write = format!(
        "INSERT INTO _seamount.epoch (holder) VALUES ({0}) ON CONFLICT (one) DO UPDATE SET holder = {0}",
        holder.to_i64()
    );
    session.script(PATIENCE, "cannot claim the target")?;
    let mut locked = Error::unavailable("cannot claim the target");
    for _ in 0..TRIES {
        if before.is_some() {
            end_others(session, holder)?;
        }
        session.script("SAVEPOINT seamount_claim", "cannot claim the target")?;
        match session.script(&write, "cannot claim the target") {
            Ok(_) => return Ok(()),
            Err(error) if session.failure() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                locked = error;
            }
            Err(error) => return Err(error),
        }
        session.script("ROLLBACK TO seamount_claim", "cannot claim the target")?;
    }
    Err(locked
        .effect("another session holds the epoch in a transaction; nothing was changed")
        .fix("end that session: SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = '_seamount.epoch'::regclass"))
}

/// Ends sessions of other holders that stand in a transaction. Where the server forbids it, the lock tells.
fn end_others(session: &mut Session, ours: HolderId) -> Result<()> {
    let sql = "SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
         WHERE l.locktype = 'relation' AND l.relation = '_seamount.epoch'::regclass AND l.granted
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND l.pid <> pg_backend_pid() AND starts_with(a.application_name, 'seamount ')
           AND a.application_name <> $1";
    session.script("SAVEPOINT seamount_end", "cannot claim the target")?;
    let ended = session.client().query_one(sql, &[&session_name(ours)]);
    match ended {
        Ok(_) => session.script("RELEASE seamount_end", "cannot claim the target").map(drop),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            session.script("ROLLBACK TO seamount_end", "cannot claim the target").map(drop)
        }
        Err(error) => Err(failed("cannot claim the target")(error)),
    }
}
