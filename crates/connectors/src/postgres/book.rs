//! Our bookkeeping beside the user's tables, in the schema `_seamount`: who may write, which generation, how far, which
//! runs, and what became of changes that were set aside.
//!
//! Only what reads and writes it; who may do so when is `target`'s. A cut reads progress with the same code, in the
//! snapshot of its rows, and in databases that hold no bookkeeping.

use super::catalogue::BOOK;
use super::error::failed;
use super::names::literal;
use change::{FlowId, Generation, HolderId, LaneId, LogId, Offset, SourcePosition};
use connect::target::{Counters, FlowProgress, LaneProgress};
use connect::{Error, Result, State};
use postgres::{GenericClient, Row};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS _seamount.epoch (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    holder bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS _seamount.flow (
    flow bigint PRIMARY KEY,
    generation bigint NOT NULL,
    wrote bigint
);
CREATE TABLE IF NOT EXISTS _seamount.progress (
    flow bigint NOT NULL,
    lane bigint NOT NULL,
    log bigint NOT NULL,
    \"offset\" bigint NOT NULL,
    sequence bigint NOT NULL,
    detail text,
    read bigint NOT NULL,
    applied bigint NOT NULL,
    superseded bigint NOT NULL,
    filtered bigint NOT NULL,
    deduplicated bigint NOT NULL,
    stale bigint NOT NULL,
    parked bigint NOT NULL,
    swept bigint NOT NULL,
    repaired bigint NOT NULL,
    PRIMARY KEY (flow, lane)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS _seamount.letter (
    flow bigint NOT NULL,
    lane bigint NOT NULL,
    \"offset\" bigint NOT NULL,
    ordinal bigint NOT NULL,
    fate text NOT NULL,
    PRIMARY KEY (flow, lane, \"offset\", ordinal)
);
CREATE TABLE IF NOT EXISTS _seamount.run (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    flow bigint NOT NULL,
    interval text NOT NULL,
    content text NOT NULL,
    run bigint NOT NULL,
    rows bigint NOT NULL,
    published_at bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS run_interval ON _seamount.run (flow, interval);
CREATE TABLE IF NOT EXISTS _seamount.stage (
    run bigint NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    target text NOT NULL,
    PRIMARY KEY (run, number),
    UNIQUE (run, target)
);
";

/// The tables above.
const NAMES: [&str; 6] = ["epoch", "flow", "progress", "letter", "run", "stage"];

/// Columns of a lane's progress behind flow and lane, in the order of [`TABLES`].
const PLACE: &str = "log, \"offset\", sequence, detail, read, applied, superseded, filtered, deduplicated, stale, parked, \
                     swept, repaired";

/// Any constant of ours: engines that create or claim at the same time wait for each other.
const LOCK: i64 = 0x5EA_0DD5;

/// Waits for others that create the bookkeeping or claim it; until the end of the transaction.
pub(super) fn queue_up(client: &mut impl GenericClient) -> Result<()> {
    client
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .map(drop)
        .map_err(failed("cannot lock the bookkeeping"))
}

/// Another: cuts hold it together, and whoever moves a table that cuts may read holds it alone.
const GATE: i64 = 0x5EA_6A7E;

/// Keeps tables where they are for as long as the connection lives; before the snapshot of a cut is taken.
pub(super) fn enter(client: &mut impl GenericClient) -> Result<()> {
    client
        .execute("SELECT pg_advisory_lock_shared($1)", &[&GATE])
        .map(drop)
        .map_err(failed("cannot lock the tables against being moved"))
}

/// Whether no cut is open; if so, none is opened until the end of the transaction.
pub(super) fn is_alone(client: &mut impl GenericClient) -> Result<bool> {
    client
        .query_one("SELECT pg_try_advisory_xact_lock($1)", &[&GATE])
        .map(|row| row.get(0))
        .map_err(failed("cannot lock the tables against being read"))
}

/// Creates what is missing of the bookkeeping; needs no rights where nothing is.
pub(super) fn create(client: &mut impl GenericClient) -> Result<()> {
    if exists(client)? {
        return Ok(());
    }
    let create = |client: &mut _| -> Result<(), postgres::Error> {
        let sql = "SELECT FROM pg_namespace WHERE nspname = $1";
        if GenericClient::query_opt(client, sql, &[&BOOK])?.is_none() {
            GenericClient::batch_execute(client, "CREATE SCHEMA _seamount")?;
        }
        GenericClient::batch_execute(client, TABLES)
    };
    create(client).map_err(|error| {
        failed("cannot create the bookkeeping in schema _seamount")(error)
            .fix("CREATE SCHEMA _seamount AUTHORIZATION the login; seamount sites grants prints all it needs")
    })
}

/// Whether the bookkeeping is there, all of it.
pub(super) fn exists(client: &mut impl GenericClient) -> Result<bool> {
    let sql = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relname = ANY($2)";
    let row = client
        .query_one(sql, &[&BOOK, &&NAMES[..]])
        .map_err(failed("cannot look for the bookkeeping"))?;
    Ok(row.get::<_, i64>(0) == NAMES.len() as i64)
}

/// The holder that the epoch shows.
pub(super) fn holder(client: &mut impl GenericClient) -> Result<Option<HolderId>> {
    client
        .query_opt("SELECT holder FROM _seamount.epoch", &[])
        .map(|row| row.map(|row| HolderId::from_i64(row.get(0))))
        .map_err(failed("cannot read the epoch"))
}

/// Records a flow's generation; progress of the one before stays until the first commit.
pub(super) fn adopt(
    client: &mut impl GenericClient,
    flow: FlowId,
    generation: Generation,
) -> Result<()> {
    client
        .execute(
            "INSERT INTO _seamount.flow (flow, generation) VALUES ($1, $2)
             ON CONFLICT (flow) DO UPDATE SET generation = excluded.generation",
            &[&flow.to_i64(), &generation.to_i64()],
        )
        .map(drop)
        .map_err(failed("cannot record the flow's generation"))
}

/// This engine may not write, or not this.
pub(super) fn fenced(what: &str) -> Error {
    Error::conflict(what)
        .state(State::Fenced)
        .effect("nothing was written")
        .fix("stop the other engine, or take the target over")
}

/// Somebody else holds the epoch.
pub(super) fn held_by(shown: HolderId) -> Error {
    fenced("another engine writes to this target").found(format!("the epoch is held by {shown}"))
}

/// A flow's progress under the generation that wrote it.
pub(super) fn progress(
    client: &mut impl GenericClient,
    flow: FlowId,
) -> Result<Option<FlowProgress>> {
    if !exists(client)? {
        return Ok(None);
    }
    // One statement, so that the generation and the lanes are of one moment.
    let sql = format!(
        "SELECT f.wrote, p.lane, {PLACE} FROM _seamount.flow f LEFT JOIN _seamount.progress p USING (flow)
         WHERE f.flow = $1 AND f.wrote IS NOT NULL"
    );
    let rows =
        client.query(&sql, &[&flow.to_i64()]).map_err(failed("cannot read the flow's progress"))?;
    let Some(first) = rows.first() else { return Ok(None) };
    let generation = Generation::from_i64(first.get(0));
    let lanes = rows.iter().filter_map(lane_progress).map(|lane| (lane.lane, lane)).collect();
    Ok(Some(FlowProgress { generation, lanes }))
}

fn lane_progress(row: &Row) -> Option<LaneProgress> {
    let count = |i: usize| row.get::<_, i64>(i).cast_unsigned();
    Some(LaneProgress {
        lane: LaneId::from_i64(row.get::<_, Option<i64>>(1)?),
        log: LogId::from_i64(row.get(2)),
        offset: Offset::from_i64(row.get(3)),
        position: SourcePosition { sequence: count(4), detail: row.get(5) },
        counters: Counters {
            read: count(6),
            applied: count(7),
            superseded: count(8),
            filtered: count(9),
            deduplicated: count(10),
            stale: count(11),
            parked: count(12),
            swept: count(13),
            repaired: count(14),
        },
    })
}

/// What the statements below stand on; carried out once in a session that writes, where the tables are there.
pub(super) fn prepared() -> String {
    let set = PLACE.split(", ").map(|name| format!("{name} = excluded.{name}"));
    format!(
        "PREPARE seamount_epoch AS SELECT holder FROM _seamount.epoch FOR SHARE;
         PREPARE seamount_flow (bigint) AS
             SELECT generation, wrote FROM _seamount.flow WHERE flow = $1 FOR UPDATE;
         PREPARE seamount_lane (bigint, bigint, bigint, bigint, bigint, text, {}) AS
             INSERT INTO _seamount.progress (flow, lane, {PLACE})
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             ON CONFLICT (flow, lane) DO UPDATE SET {};",
        ["bigint"; 9].join(", "),
        set.collect::<Vec<_>>().join(", ")
    )
}

/// The statement that locks and shows the epoch: shared, so that flows of one engine do not wait for each other.
pub(super) const LOOK: &str = "EXECUTE seamount_epoch";

/// The statement that locks and shows a flow's generation, and that which has written.
pub(super) fn look_at(flow: FlowId) -> String {
    format!("EXECUTE seamount_flow({})", flow.to_i64())
}

/// Statements that record progress. `first` says that the generation has not written before: what an older one wrote
/// goes.
pub(super) fn advance(
    flow: FlowId,
    generation: Generation,
    first: bool,
    progress: &[LaneProgress],
) -> String {
    let (flow, mut sql) = (flow.to_i64(), String::new());
    if first {
        sql += &format!(
            "UPDATE _seamount.flow SET wrote = {} WHERE flow = {flow};
             DELETE FROM _seamount.progress WHERE flow = {flow};",
            generation.to_i64()
        );
    }
    progress.iter().for_each(|lane| lane_row(flow, lane, &mut sql));
    sql
}

fn lane_row(flow: i64, lane: &LaneProgress, sql: &mut String) {
    let c = &lane.counters;
    let detail = lane.position.detail.as_deref().map_or("NULL".into(), literal);
    let numbers = [
        lane.lane.to_i64(),
        lane.log.to_i64(),
        lane.offset.to_i64(),
        lane.position.sequence.cast_signed(),
    ];
    let counters = [
        c.read,
        c.applied,
        c.superseded,
        c.filtered,
        c.deduplicated,
        c.stale,
        c.parked,
        c.swept,
        c.repaired,
    ];
    *sql += &format!("EXECUTE seamount_lane({flow}");
    numbers.iter().for_each(|number| *sql += &format!(", {number}"));
    *sql += &format!(", {detail}");
    counters.iter().for_each(|counter| *sql += &format!(", {}", counter.cast_signed()));
    *sql += ");";
}
