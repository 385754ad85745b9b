//! The publication: which tables the server sends. Exactly those that flows want.
//!
//! Its comment remembers which tables were in it under which number, so that one that somebody took out (and perhaps
//! put back) is noticed: its changes in between are in nobody's log. Invariant: when a table has joined, every
//! transaction that wrote to it before has ended, so that a snapshot read later sees it.

use super::super::error::failed;
use super::super::names::{TableName, identifier, literal};
use super::place::lost;
use connect::{Error, Result};
use postgres::Client;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long older transactions may hold up a table that joins.
const OLDER: Duration = Duration::from_secs(20);

/// What stands in front of the numbers in the comment.
const HEAD: &str = "captured by seamount:";

/// Tables by name, with the numbers of their membership.
type Members = BTreeMap<TableName, u32>;

/// Makes the publication anew, with these tables. One that the owner of the tables has made for us is left as it is.
pub(super) fn make(client: &mut Client, name: &str, tables: &[&TableName]) -> Result<()> {
    let what = || failed(format!("cannot make publication {name}"));
    if is_anothers(client, name).map_err(what())? {
        return require_holds(client, name, tables);
    }
    let mut transaction = client.transaction().map_err(what())?;
    let quoted = identifier(name);
    let list: Vec<String> = tables.iter().map(|table| table.sql()).collect();
    let list =
        if list.is_empty() { String::new() } else { format!(" FOR TABLE {}", list.join(", ")) };
    transaction
        .batch_execute(&format!(
            "DROP PUBLICATION IF EXISTS {quoted};
             CREATE PUBLICATION {quoted}{list} WITH (publish = 'insert, update, delete, truncate',
                 publish_via_partition_root = true)"
        ))
        .map_err(what())?;
    let members = members(&mut transaction, name).map_err(what())?;
    remember(&mut transaction, name, &members).map_err(what())?;
    transaction.commit().map_err(what())
}

/// Whether the publication is there and belongs to a role that this login is not.
fn is_anothers(
    client: &mut impl postgres::GenericClient,
    name: &str,
) -> Result<bool, postgres::Error> {
    let sql = "SELECT NOT pg_has_role(pubowner, 'USAGE') FROM pg_publication WHERE pubname = $1";
    Ok(client.query_opt(sql, &[&name])?.is_some_and(|row| row.get(0)))
}

/// Fails when a publication that we may not change lacks something.
fn require_holds(client: &mut Client, name: &str, tables: &[&TableName]) -> Result<()> {
    require_unchanged(client, name)?;
    let there = members(client, name).map_err(failed(format!("cannot read publication {name}")))?;
    let missing: Vec<String> =
        tables.iter().filter(|t| !there.contains_key(t)).map(|t| t.shown()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!("publication {name} lacks tables"))
        .found(format!("it belongs to another role and has no {}", missing.join(", ")))
        .fix("seamount sites grants SITE prints the statement for its owner"))
}

/// Lets the publication have exactly these tables. Those that join are captured when this returns.
///
/// # Errors
/// `Invalid` with `State::PositionLost` when somebody else changed it; `Unavailable` when a transaction that is older
/// than a table's joining does not end.
pub(super) fn follow(client: &mut Client, name: &str, tables: &[&TableName]) -> Result<()> {
    let what = || failed(format!("cannot change publication {name}"));
    require_unchanged(client, name)?;
    let quoted = identifier(name);
    let mut transaction = client.transaction().map_err(what())?;
    let there = members(&mut transaction, name).map_err(what())?;
    let join: Vec<String> =
        tables.iter().filter(|t| !there.contains_key(t)).map(|t| t.sql()).collect();
    let leave: Vec<String> =
        there.keys().filter(|t| !tables.contains(t)).map(TableName::sql).collect();
    if join.is_empty() && leave.is_empty() {
        return Ok(());
    }
    if join.is_empty() && is_anothers(&mut transaction, name).map_err(what())? {
        // What is published beyond our wants is passed over.
        return Ok(());
    }
    for (verb, tables) in [("ADD", &join), ("DROP", &leave)] {
        if !tables.is_empty() {
            let sql = format!("ALTER PUBLICATION {quoted} {verb} TABLE {}", tables.join(", "));
            transaction.batch_execute(&sql).map_err(what())?;
        }
    }
    let members = members(&mut transaction, name).map_err(what())?;
    remember(&mut transaction, name, &members).map_err(what())?;
    transaction.commit().map_err(what())?;
    if join.is_empty() { Ok(()) } else { wait_for_older(client) }
}

/// Fails when somebody took a table out of the publication, or made it anew.
pub(super) fn require_unchanged(client: &mut Client, name: &str) -> Result<()> {
    let what = || failed(format!("cannot read publication {name}"));
    let sql = "SELECT obj_description(oid, 'pg_publication') FROM pg_publication WHERE pubname = $1
         AND pubinsert AND pubupdate AND pubdelete AND pubtruncate AND pubviaroot AND NOT puballtables";
    let row = client.query_opt(sql, &[&name]).map_err(what())?;
    let Some(row) = row else {
        return Err(lost(format!("publication {name} was dropped or altered")));
    };
    let comment: Option<String> = row.get(0);
    // Without a comment somebody decided to go on.
    let Some(remembered) = comment.as_deref().and_then(|text| text.strip_prefix(HEAD)) else {
        return Ok(());
    };
    let now: Vec<u32> = members(client, name).map_err(what())?.into_values().collect();
    let gone = |number: &u32| !now.contains(number);
    let count = remembered.split_whitespace().filter_map(|n| n.parse().ok()).filter(gone).count();
    // A table that was dropped takes its membership along: its capture says so by itself.
    if count == 0 {
        return Ok(());
    }
    Err(lost(format!("{count} captured tables were taken out of publication {name}, by somebody or with the table"))
        .fix(format!(
            "run COMMENT ON PUBLICATION {} IS NULL to go on, then bring the flows of these tables up to date: seamount resync FLOW",
            identifier(name)
        )))
}

fn members(
    client: &mut impl postgres::GenericClient,
    name: &str,
) -> Result<Members, postgres::Error> {
    let sql = "SELECT n.nspname, c.relname, m.oid FROM pg_publication p JOIN pg_publication_rel m ON m.prpubid = p.oid
         JOIN pg_class c ON c.oid = m.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1";
    let rows = client.query(sql, &[&name])?;
    Ok(rows
        .iter()
        .map(|row| (TableName { schema: row.get(0), name: row.get(1) }, row.get(2)))
        .collect())
}

fn remember(
    client: &mut impl postgres::GenericClient,
    name: &str,
    members: &Members,
) -> Result<(), postgres::Error> {
    let numbers: Vec<String> = members.values().map(u32::to_string).collect();
    let text = literal(&format!("{HEAD} {}", numbers.join(" ")));
    client.batch_execute(&format!("COMMENT ON PUBLICATION {} IS {text}", identifier(name)))
}

/// Waits until every transaction has ended that was running when a table joined.
fn wait_for_older(client: &mut Client) -> Result<()> {
    let what = || failed("cannot read which transactions are running");
    let joined: String = client
        .query_one("SELECT pg_snapshot_xmax(pg_current_snapshot())::text", &[])
        .map_err(what())?
        .get(0);
    let began = Instant::now();
    let sql = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8";
    while !client.query_one(sql, &[&joined]).map_err(what())?.get::<_, bool>(0) {
        if began.elapsed() > OLDER {
            return Err(Error::unavailable("a table cannot join the capture yet")
                .found("a transaction that is older than its joining is still open")
                .fix("see pg_stat_activity, ordered by xact_start, and let the oldest one end"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
