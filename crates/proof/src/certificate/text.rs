//! A certificate for a terminal: some twenty lines.

use super::{Certificate, DifferenceEntry};
use change::calendar::timestamp_text;
use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "certificate {} of flow {}", self.number, self.flow)?;
        writeln!(f, "  verdict      {}", self.says)?;
        let (site, table) = (&self.site, &self.source_table);
        writeln!(f, "  tables       {site}.{table} -> {}", self.target_table)?;
        writeln!(f, "  method       {}, encoding {}", self.method, self.encoding)?;
        let (began, ended) = (timestamp_text(self.started_at), timestamp_text(self.ended_at));
        writeln!(f, "  made         {began}Z to {ended}Z, engine {}", self.engine)?;
        self.cuts(f)?;
        writeln!(f, "  coverage     {}", covered(self))?;
        writeln!(f, "  by the log   {} keys that changed meanwhile", self.touched)?;
        for column in &self.excluded {
            writeln!(f, "  excluded     {}.{}: {}", column.side, column.column, column.why)?;
        }
        if self.filtered > 0 {
            writeln!(f, "  filtered     {} source rows, by the transform", self.filtered)?;
        }
        writeln!(f, "  expected     {}", self.expected)?;
        writeln!(f, "  found        {}", self.found)?;
        writeln!(f, "  wrong        {}{}", self.wrong, kinds(&self.differences))?;
        for column in &self.systematic {
            writeln!(f, "  systematic   {}", column.says)?;
        }
        if self.parked > 0 {
            writeln!(f, "  parked       {} keys", self.parked)?;
        }
        if let Some(lag) = &self.lag {
            let longest = lag.longest_us / 1000;
            writeln!(f, "  lag          {} rows behind, {longest} ms at most", lag.rows_behind)?;
        }
        if let Some(mended) = &self.mended {
            writeln!(f, "  repairs      {}", repairs(mended))?;
        }
        writeln!(f, "  cost         {}", cost(self))?;
        let before = if self.previous.is_empty() { "nothing" } else { &self.previous };
        writeln!(f, "  follows      {before}")?;
        write!(f, "  hash         {}", self.hash)
    }
}

impl Certificate {
    fn cuts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(cuts) = &self.source_cuts {
            writeln!(f, "  source cuts  {} to {}", cuts.first, cuts.last)?;
        }
        if let Some(cuts) = &self.target_cuts {
            let lane = self.lane.as_deref().unwrap_or("none");
            let (lowest, highest) = (cuts.lowest, cuts.highest);
            writeln!(f, "  target cuts  offset {lowest} to {highest} of lane {lane}")?;
        }
        Ok(())
    }
}

/// How much was seen, in words.
pub(super) fn covered(certificate: &Certificate) -> String {
    let seen = &certificate.coverage;
    let extent = match &seen.gap {
        None => "the whole key space".into(),
        Some(gap) => format!("not all was seen ({gap})"),
    };
    let (rows, pieces, leaves) = (seen.rows, seen.pieces, seen.leaves);
    format!("{extent}: {rows} rows in {pieces} pieces and {leaves} leaves")
}

/// What was mended, in words.
pub(super) fn repairs(mended: &super::Mended) -> String {
    format!(
        "{} of {} rows that certificate {} found were repaired before this proof, {} left alone",
        mended.repaired, mended.asked, mended.found_by, mended.dropped
    )
}

/// What the proof cost, in words.
pub(super) fn cost(certificate: &Certificate) -> String {
    let cost = &certificate.cost;
    format!(
        "{} rows ({}) of the source, {} ({}) of the target, {} cuts of each, {}; longest cut {}",
        cost.source_rows,
        bytes(cost.source_bytes),
        cost.target_rows,
        bytes(cost.target_bytes),
        cost.looks,
        seconds(cost.elapsed_us),
        seconds(cost.longest_cut_us)
    )
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

fn seconds(micros: i64) -> String {
    let millis = micros / 1000;
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}

/// `: 3 missing (apply), 1 changed (foreign)`.
fn kinds(differences: &[DifferenceEntry]) -> String {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for d in differences {
        *counts.entry((&d.kind, &d.side)).or_default() += 1;
    }
    let parts: Vec<String> =
        counts.iter().map(|((kind, side), n)| format!("{n} {kind} ({side})")).collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}
