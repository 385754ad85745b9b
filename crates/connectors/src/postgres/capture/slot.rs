//! The slot at the server: made, checked, taken over from a reader of our own that is still there.
//!
//! From version 15 on a server begins at the slot's confirmed place without a word when it is asked for an earlier one.
//! Invariant: no row is delivered unless everything behind our place is still kept for us.

use super::super::error::failed;
use super::identity::Identity;
use super::place::{Anchor, Place, changed, lost, parse_lsn, shown};
use super::wire::Wire;
use connect::{Error, Result};
use postgres::types::PgLsn;
use postgres::{Client, Statement};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long a slot may be held by somebody who is about to go.
const HELD: Duration = Duration::from_secs(5);

/// The name of this process at servers: its own readers give way to their successors.
pub(super) static OURS: LazyLock<String> = LazyLock::new(|| {
    let mut random = [0; 4];
    // Without randomness the process has a name that others may have, who then are waited for no longer than ours.
    let _ = getrandom::fill(&mut random);
    format!("seamount {:08x}", u32::from_be_bytes(random))
});

/// What the catalogue says of a slot.
#[derive(Debug)]
struct Slot {
    plugin: Option<String>,
    holder: Option<i32>,
    confirmed: Option<u64>,
    wal_status: Option<String>,
}

/// What we need of a server.
///
/// # Errors
/// `Invalid` with the fix when it cannot be captured.
pub(super) fn require_logical(client: &mut Client) -> Result<()> {
    let row = client
        .query_one(
            "SELECT current_setting('wal_level'), current_setting('server_version_num')",
            &[],
        )
        .map_err(failed("cannot read the server's settings"))?;
    let (level, version): (String, String) = (row.get(0), row.get(1));
    if version.parse::<u32>().is_ok_and(|version| version < 140_000) {
        return Err(Error::invalid("the server cannot be captured")
            .found(format!("its version is {version}"))
            .fix("capture needs PostgreSQL 14 or later"));
    }
    if level != "logical" {
        return Err(Error::invalid("the server cannot be captured")
            .found(format!("wal_level is {level}"))
            .fix("ALTER SYSTEM SET wal_level = 'logical', and restart the server"));
    }
    Ok(())
}

fn slot(client: &mut Client, name: &str) -> Result<Option<Slot>> {
    let sql =
        "SELECT plugin::text, active_pid, confirmed_flush_lsn, wal_status FROM pg_replication_slots
         WHERE slot_name = $1";
    let row = client.query_opt(sql, &[&name]).map_err(failed("cannot read the slots"))?;
    Ok(row.map(|row| Slot {
        plugin: row.get(0),
        holder: row.get(1),
        confirmed: row.get::<_, Option<PgLsn>>(2).map(u64::from),
        wal_status: row.get(3),
    }))
}

/// Makes the slot anew and returns where it begins.
pub(super) fn make(wire: &mut Wire, client: &mut Client, name: &str) -> Result<u64> {
    if slot(client, name)?.is_some() {
        wait_until_free(client, name)?;
        client
            .execute("SELECT pg_drop_replication_slot($1)", &[&name])
            .map_err(failed(format!("cannot drop slot {name}")))?;
    }
    // Waits for the transactions that are running.
    let rows =
        wire.rows(&format!("CREATE_REPLICATION_SLOT {name} LOGICAL pgoutput NOEXPORT_SNAPSHOT"));
    let rows = rows.map_err(|e| no_slot(name, e))?;
    let begin = rows.first().and_then(|row| row.get(1)?.as_deref().and_then(parse_lsn));
    begin.ok_or_else(|| Error::internal("the server does not say where the slot begins"))
}

fn no_slot(name: &str, error: Error) -> Error {
    let error = error.at(format!("slot {name} cannot be made"));
    match error.found.as_deref() {
        Some(found) if found.contains("53400") => {
            error.fix("drop a slot that nobody reads any more, or raise max_replication_slots")
        }
        Some(found) if found.contains("does not answer") => error.fix(
            "see in pg_stat_activity which transaction has been open for long: the slot begins behind it",
        ),
        _ => error,
    }
}

/// Waits until nobody holds the slot.
///
/// # Errors
/// `Unavailable`, naming the holder.
pub(super) fn wait_until_free(client: &mut Client, name: &str) -> Result<()> {
    let began = Instant::now();
    while let Some(pid) = slot(client, name)?.and_then(|slot| slot.holder) {
        let row = client
            .query_opt(
                "SELECT application_name, coalesce(client_addr::text, 'this machine'), application_name = $2
                     AND pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1",
                &[&pid, &*OURS],
            )
            .map_err(failed("cannot read who holds the slot"))?;
        let holder = row.map(|row| (row.get::<_, String>(0), row.get::<_, String>(1)));
        if let (true, Some((application, from))) = (began.elapsed() > HELD, holder) {
            return Err(Error::unavailable(format!("slot {name} is read by somebody else"))
                .found(format!("`{application}` from {from}, process {pid}"))
                .effect("two readers of one slot would each miss what the other has read; nothing was read")
                .fix(format!("stop the other one, or end it with SELECT pg_terminate_backend({pid})")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Whether what is behind a place is kept for us. Returns up to where the slot is confirmed.
///
/// # Errors
/// `Invalid` with `State::PositionLost` or `State::HistoryChanged`.
pub(super) fn require_kept(client: &mut Client, identity: &Identity, place: &Place) -> Result<u64> {
    let name = &identity.slot;
    let Some(slot) = slot(client, name)? else {
        return Err(lost(format!("slot {name} is not there any more")));
    };
    if slot.plugin.as_deref() != Some("pgoutput") {
        return Err(lost(format!("slot {name} was made anew, with another plugin")));
    }
    let status = slot.wal_status.unwrap_or_default();
    let (Some(confirmed), false) = (slot.confirmed, status == "lost") else {
        return Err(lost(format!("slot {name} was invalidated by the server"))
            .fix("raise max_slot_wal_keep_size, or keep the capture running; then forget the lane's history and take new snapshots"));
    };
    if confirmed > place.lsn {
        return Err(lost(format!(
            "slot {name} stands at {}, captured was up to {}: it was made anew, moved on, or read by somebody else",
            shown(confirmed),
            shown(place.lsn)
        )));
    }
    let end = LogEnd::default().ask(client)?;
    if end < place.lsn {
        return Err(changed(format!(
            "captured was up to {}, the server's log ends at {}",
            shown(place.lsn),
            shown(end)
        )));
    }
    Ok(confirmed)
}

/// Whether a place can be compared: what stands at it comes again only from in front of it.
pub(super) fn comes_again(place: &Place, confirmed: u64) -> bool {
    match place.anchor {
        Anchor::Begin => false,
        // Its commit begins at the place.
        Anchor::Inside { .. } => true,
        Anchor::Commit { .. } | Anchor::Message { .. } => confirmed < place.lsn,
    }
}

/// Asks where the server's log ends. A capture asks whenever it has come to what it takes for the end, so the question
/// stays prepared: one round trip instead of three.
#[derive(Default)]
pub(super) struct LogEnd {
    question: Option<Statement>,
}

impl LogEnd {
    /// Where the log is durable up to: nothing behind it is delivered to anybody.
    pub(super) fn ask(&mut self, client: &mut Client) -> Result<u64> {
        let what = "cannot ask where the server's log ends";
        let question = match self.question.take() {
            Some(question) => question,
            None => client.prepare("SELECT pg_current_wal_flush_lsn()").map_err(failed(what))?,
        };
        let row = client.query_one(&question, &[]).map_err(failed(what))?;
        self.question = Some(question);
        Ok(row.get::<_, PgLsn>(0).into())
    }
}

/// Bytes of the server's log that are kept because of the slot.
///
/// # Errors
/// `Invalid` with `State::PositionLost` when the slot is gone.
pub(super) fn kept(client: &mut Client, name: &str) -> Result<u64> {
    let sql =
        "SELECT (pg_current_wal_lsn() - restart_lsn)::bigint, wal_status FROM pg_replication_slots
         WHERE slot_name = $1";
    let row = client.query_opt(sql, &[&name]).map_err(failed("cannot read the slots"))?;
    let row = row.ok_or_else(|| lost(format!("slot {name} is not there any more")))?;
    if row.get::<_, Option<String>>(1).as_deref() == Some("lost") {
        return Err(lost(format!("slot {name} was invalidated by the server")));
    }
    Ok(u64::try_from(row.get::<_, Option<i64>>(0).unwrap_or(0)).unwrap_or(0))
}
