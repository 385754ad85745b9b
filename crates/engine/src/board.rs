//! What the running threads say of themselves, for `status`: kept in memory, written to the state file each second.

use crate::state::State;
use connect::{Counters, Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How a lane or a flow stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Not opened yet.
    #[default]
    Starting,
    /// At work.
    Live,
    /// Cannot be reached; tried again.
    Down,
    /// Stopped until somebody acts.
    Stopped,
    /// Paused by an operator.
    Paused,
}

/// The last error of a lane or a flow, in the lines an operator reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What failed.
    pub what: String,
    /// What it means for the data.
    pub effect: Option<String>,
    /// What to type.
    pub fix: Option<String>,
    /// The named state.
    pub state: Option<String>,
    /// The stable code.
    pub code: Option<String>,
}

impl Trouble {
    /// The lines of an error.
    pub fn of(error: &Error) -> Self {
        Trouble {
            what: error.to_string(),
            effect: error.effect.clone(),
            fix: error.fix.clone(),
            state: error.state.map(|state| state.to_string()),
            code: error.code.map(String::from),
        }
    }
}

/// A site's capture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// How it stands.
    pub standing: Standing,
    /// Since when, microseconds since 1970-01-01T00:00:00Z.
    pub since: i64,
    /// Its last error.
    pub trouble: Option<Trouble>,
    /// Changes captured since the engine started.
    pub captured: u64,
    /// Changes that the source keeps for us.
    pub retained_changes: u64,
    /// Their bytes, where it can be told.
    pub retained_bytes: Option<u64>,
    /// Whether a snapshot is being read.
    pub reading_snapshot: bool,
}

/// A flow's consumption of one lane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LaneLag {
    /// The site.
    pub site: String,
    /// Groups in the log that the target does not have.
    pub groups_waiting: u64,
    /// Age of the oldest of them, microseconds.
    pub lag_us: u64,
}

/// A flow's applier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowStatus {
    /// How it stands.
    pub standing: Standing,
    /// Since when, microseconds since 1970-01-01T00:00:00Z.
    pub since: i64,
    /// Its last error.
    pub trouble: Option<Trouble>,
    /// Lanes, the worst first.
    pub lanes: Vec<LaneLag>,
    /// The fates of all changes, over all lanes.
    pub counters: Counters,
    /// Median time from a change's capture to its being visible, microseconds.
    pub latency_p50_us: Option<u64>,
    /// The same at the 99th percentile.
    pub latency_p99_us: Option<u64>,
}

/// The board.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    lanes: BTreeMap<String, LaneStatus>,
    flows: BTreeMap<String, FlowStatus>,
}

impl Board {
    /// Changes what is said of a lane.
    pub fn lane(&self, site: &str, change: impl FnOnce(&mut LaneStatus)) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(entries.lanes.entry(site.to_string()).or_default());
    }

    /// Changes what is said of a flow.
    pub fn flow(&self, name: &str, change: impl FnOnce(&mut FlowStatus)) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(entries.flows.entry(name.to_string()).or_default());
    }

    /// Writes everything to the state file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn store(&self, state: &State, now: i64) -> Result<()> {
        let (lanes, flows) = {
            let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (entries.lanes.clone(), entries.flows.clone())
        };
        let text = |value: std::result::Result<String, serde_json::Error>| {
            value.map_err(|e| Error::internal("a status cannot be stored").caused_by(e))
        };
        for (site, status) in &lanes {
            state.observe(&format!("lane:{site}"), now, &text(serde_json::to_string(status))?)?;
        }
        for (name, status) in &flows {
            state.observe(&format!("flow:{name}"), now, &text(serde_json::to_string(status))?)?;
        }
        Ok(())
    }
}

/// Reads back what was said of a lane, and when.
///
/// # Errors
/// The state file cannot be read.
pub fn lane_status(state: &State, site: &str) -> Result<Option<(i64, LaneStatus)>> {
    read(state, &format!("lane:{site}"))
}

/// Reads back what was said of a flow, and when.
///
/// # Errors
/// The state file cannot be read.
pub fn flow_status(state: &State, name: &str) -> Result<Option<(i64, FlowStatus)>> {
    read(state, &format!("flow:{name}"))
}

fn read<T: for<'de> Deserialize<'de>>(state: &State, subject: &str) -> Result<Option<(i64, T)>> {
    let Some((at, body)) = state.observed(subject)? else { return Ok(None) };
    let status = serde_json::from_str(&body)
        .map_err(|e| Error::corrupt("a stored status cannot be read").caused_by(e))?;
    Ok(Some((at, status)))
}

/// Latencies of the recent past, by powers of two of a microsecond, each with four steps: within 19 %.
#[derive(Clone, Debug)]
pub struct Latencies {
    buckets: [u64; 256],
    total: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies { buckets: [0; 256], total: 0 }
    }
}

impl Latencies {
    /// Counts one latency, in microseconds.
    pub fn add(&mut self, micros: u64) {
        self.buckets[bucket(micros)] += 1;
        self.total += 1;
    }

    /// The latency that `share` (0 to 1) of all stay below, in microseconds; `None` before the first.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        let rank = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total);
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen >= rank
        };
        self.buckets.iter().position(reached).map(upper_edge)
    }
}

fn bucket(micros: u64) -> usize {
    if micros < 4 {
        return micros as usize;
    }
    let power = micros.ilog2();
    let step = (micros >> (power - 2)) & 3;
    ((power as usize - 1) * 4 + step as usize).min(255)
}

fn upper_edge(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (power, step) = (bucket / 4 + 1, bucket as u64 % 4);
    ((4 + step + 1) << (power - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_step() {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|micros| latencies.add(micros));
        for (share, exact) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = latencies.quantile(share).unwrap() as f64;
            assert!((found / exact - 1.0).abs() < 0.26, "{share}: {found}");
        }
        for micros in [0, 1, 3, 4, 5, 7, 8, 1000, 123_456_789] {
            let edge = upper_edge(bucket(micros));
            assert!(edge >= micros && edge <= micros + micros / 4 + 1, "{micros}: {edge}");
        }
    }
}
