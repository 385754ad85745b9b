//! A source and a target cluster with the table that everything moves, and the proof that both hold the same.

use anyhow::{Result, ensure};
use servers::{Cluster, Durability, Recipe};
use std::time::Duration;

/// The table: seven narrow columns, about 76 bytes a row in PostgreSQL.
pub(super) const TABLE: &str = "CREATE TABLE sales (id bigint PRIMARY KEY, store_id int NOT NULL, sku int NOT NULL, \
     qty int NOT NULL, price_cents bigint NOT NULL, ts timestamptz NOT NULL, status text NOT NULL)";

/// The database of both clusters.
pub(super) const DATABASE: &str = "postgres";

/// Two clusters as in production: both sync.
pub(super) struct Pair {
    pub(super) source: Cluster,
    pub(super) target: Cluster,
}

impl Pair {
    /// Starts both.
    pub(super) fn start() -> Result<Pair> {
        let settings = [
            ("shared_buffers", "1GB"),
            ("maintenance_work_mem", "512MB"),
            ("max_wal_size", "16GB"),
            ("min_wal_size", "2GB"),
            ("checkpoint_timeout", "30min"),
            ("autovacuum", "off"),
        ];
        let settings = settings.map(|(name, value)| (name.into(), value.into())).to_vec();
        let recipe = Recipe { durability: Durability::Full, settings, ..Recipe::default() };
        Ok(Pair { source: Cluster::start(&recipe)?, target: Cluster::start(&recipe)? })
    }

    /// Makes the table at both, with rows from 1 to `rows` at the source.
    pub(super) fn fill(&self, rows: u64) {
        self.source.sql(DATABASE, TABLE);
        self.target.sql(DATABASE, TABLE);
        self.insert(1, rows);
        self.source.sql(DATABASE, "VACUUM ANALYZE sales");
        self.rest();
    }

    /// One transaction that inserts the rows of these ids.
    pub(super) fn insert(&self, from: u64, to: u64) {
        self.source.sql(
            DATABASE,
            &format!(
                "INSERT INTO sales SELECT i, (i % 200)::int, (i * 7919 % 50000)::int, (i % 9)::int + 1, \
                 i * 31 % 100000, '2026-01-01'::timestamptz + (i % 2592000) * interval '1 second', 'paid' \
                 FROM generate_series({from}::bigint, {to}::bigint) i"
            ),
        );
    }

    /// Empties the target, and what we keep beside its tables.
    pub(super) fn empty_target(&self) {
        self.target.sql(DATABASE, "TRUNCATE sales");
        self.target.sql(DATABASE, "DROP SCHEMA IF EXISTS _seamount CASCADE");
        self.rest();
    }

    /// Checkpoints both, so that no run pays for the one before.
    pub(super) fn rest(&self) {
        for cluster in [&self.source, &self.target] {
            cluster.sql(DATABASE, "CHECKPOINT");
        }
    }

    /// Fails unless both hold the same rows: counted, and summed over a hash of each whole row.
    pub(super) fn require_equal(&self) -> Result<u64> {
        let sums = "SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM sales t";
        let (source, target) = (self.source.sql(DATABASE, sums), self.target.sql(DATABASE, sums));
        ensure!(source == target, "the target is not the source: {source} and {target}");
        Ok(source.split('|').next().unwrap_or_default().parse()?)
    }

    /// The end of the source's write-ahead log.
    pub(super) fn end_of_log(&self) -> String {
        self.source.sql(DATABASE, "SELECT pg_current_wal_insert_lsn()")
    }

    /// Time on the processors that both clusters have used, source first.
    pub(super) fn server_time(&self) -> Result<[Duration; 2]> {
        Ok([self.source.processor_time()?, self.target.processor_time()?])
    }
}

/// Microseconds of processor time for each row, at source and target.
pub(super) fn per_row(before: [Duration; 2], after: [Duration; 2], rows: u64) -> [f64; 2] {
    let each = |i: usize| after[i].saturating_sub(before[i]).as_secs_f64() * 1e6 / rows as f64;
    [each(0), each(1)]
}
