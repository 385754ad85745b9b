//! `[events]`, `[batch]` and `[reconcile]` of a flow file as they are written.

use super::form;
use super::section::Section;
use crate::flow::{CatchUp, Check, OnFail, TransactionMode};
use crate::source_text::At;
use connect::Load;
use std::ops::Range;
use std::time::Duration;

/// `[events]`.
#[derive(Debug, Default)]
pub struct EventsSpec {
    /// `max_lag`.
    pub max_lag: Option<At<Duration>>,
    /// `transactions`.
    pub transactions: Option<At<TransactionMode>>,
    /// `dead_letter.after`.
    pub after: Option<At<u64>>,
    /// `dead_letter.stop_at`.
    pub stop_at: Option<At<f64>>,
}

/// `[batch]`.
#[derive(Debug, Default)]
pub struct BatchSpec {
    /// Where the section begins.
    pub head: Option<Range<usize>>,
    /// `schedule`.
    pub schedule: Option<At<String>>,
    /// `timezone`.
    pub timezone: Option<At<String>>,
    /// `window`.
    pub window: Option<At<Duration>>,
    /// `load`.
    pub load: Option<At<LoadWord>>,
    /// `interval_by`.
    pub interval_by: Option<At<String>>,
    /// `after`.
    pub after: Vec<At<String>>,
    /// `check`.
    pub checks: Vec<Check>,
    /// `zero_rows`: whether a run may publish none.
    pub zero_rows: bool,
    /// `catch_up`.
    pub catch_up: Option<At<CatchUp>>,
}

/// A word for `load`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadWord {
    /// `replace`
    Replace,
    /// `merge`
    Merge,
    /// `append`
    Append,
    /// `history`, which is refused.
    History,
}

impl LoadWord {
    /// The load, where it is built.
    pub fn load(self) -> Option<Load> {
        match self {
            LoadWord::Replace => Some(Load::Replace),
            LoadWord::Merge => Some(Load::Merge),
            LoadWord::Append => Some(Load::Append),
            LoadWord::History => None,
        }
    }
}

/// `[reconcile]`.
#[derive(Debug, Default)]
pub struct ReconcileSpec {
    /// `schedule`.
    pub schedule: Option<At<String>>,
    /// `timezone`.
    pub timezone: Option<At<String>>,
    /// Where `repair` begins.
    pub repair: Option<Range<usize>>,
    /// `repair.max_rows`.
    pub max_rows: Option<At<u64>>,
    /// `repair.max_share`.
    pub max_share: Option<At<f64>>,
}

/// Reads `[events]`.
pub(crate) fn read_events(mut events: Section<'_>) -> EventsSpec {
    let max_lag = events.formed("max_lag", "a time", "\"30s\"", form::duration);
    let words = [("coalesce", TransactionMode::Coalesce), ("exact", TransactionMode::Exact)];
    let transactions = events.word("transactions", &words);
    let (mut after, mut stop_at) = (None, None);
    if let Some(mut letters) = events.section("dead_letter") {
        after = letters.whole("after", 1, "5");
        stop_at = letters.formed("stop_at", "a share", "\"1%\"", form::share);
        letters.finish();
    }
    events.finish();
    EventsSpec { max_lag, transactions, after, stop_at }
}

/// Reads `[batch]`.
pub(crate) fn read_batch(mut batch: Section<'_>) -> BatchSpec {
    let schedule = batch.text("schedule", "\"0 1 * * *\"");
    let timezone = batch.text("timezone", "\"Europe/Berlin\"");
    let window = batch.formed("window", "a time", "\"2h\"", form::duration);
    let load = read_load(&mut batch);
    let since_effect = "every run would read all rows, or miss deletes unsaid";
    batch.not_built("since", since_effect, "leave it out: the whole table is read each run");
    batch.accept(&["deletes"]);
    let interval_by = batch.text("interval_by", "\"sold_at\"");
    let after = batch.texts("after", "[\"prices\"]").map(|list| list.value).unwrap_or_default();
    let words = [("latest", CatchUp::Latest), ("all", CatchUp::All), ("none", CatchUp::None)];
    let catch_up = batch.word("catch_up", &words);
    let zero_rows = batch.word("zero_rows", &[("fail", false), ("allow", true)]);
    let checks = read_checks(&mut batch);
    batch.without_effect("trigger", "arriving changes start no run; the schedule does");
    batch.without_effect("missing_sites", "a run waits for no site: one that is missing fails it");
    batch.without_effect("blackout", "runs also start on these days");
    batch.without_effect("keep_runs", "earlier runs cannot be restored");
    let head = batch.head();
    batch.finish();
    let zero_rows = zero_rows.is_some_and(|word| word.value);
    BatchSpec {
        head,
        schedule,
        timezone,
        window,
        load,
        interval_by,
        after,
        checks,
        zero_rows,
        catch_up,
    }
}

/// Reads `load`.
fn read_load(batch: &mut Section<'_>) -> Option<At<LoadWord>> {
    let words = [
        ("replace", LoadWord::Replace),
        ("merge", LoadWord::Merge),
        ("append", LoadWord::Append),
        ("history", LoadWord::History),
    ];
    let load = batch.word("load", &words)?;
    if load.value == LoadWord::History {
        let effect = "earlier versions of rows would not be kept";
        batch.refuse_not_built("load = \"history\"", &load.span, effect, "load = \"replace\"");
    }
    Some(load)
}

/// Reads `check`: conditions, each alone or with what its failure means.
fn read_checks(batch: &mut Section<'_>) -> Vec<Check> {
    let example = "[\"count(*) > 0\", { sql = \"min(qty) >= 0\", on_fail = \"warn\" }]";
    let Some((_, value)) = batch.entry("check") else { return vec![] };
    let Some(items) = value.get_ref().as_array() else {
        batch.wrong_type("check", value, "a list of conditions", example);
        return vec![];
    };
    let mut checks = Vec::new();
    for item in items.iter() {
        if item.get_ref().is_table() {
            let Some(mut section) = batch.below("check", item.span(), item) else { continue };
            let sql = section.text("sql", "\"min(qty) >= 0\"");
            if section.entry("sql").is_none() {
                section.missing("sql", "\"min(qty) >= 0\"", "there is no condition to check");
            }
            let words = [("fail", OnFail::Fail), ("warn", OnFail::Warn)];
            let on_fail = section.word("on_fail", &words).map_or(OnFail::Fail, |word| word.value);
            section.finish();
            checks.extend(sql.map(|sql| Check { sql: sql.value, on_fail }));
        } else if let Some(sql) = batch.as_text("check", item, example) {
            checks.push(Check { sql: sql.value, on_fail: OnFail::Fail });
        }
    }
    checks
}

/// Reads `[reconcile]`.
pub(crate) fn read_reconcile(mut reconcile: Section<'_>) -> ReconcileSpec {
    let schedule = reconcile.text("schedule", "\"0 2 * * *\"");
    let timezone = reconcile.text("timezone", "\"Europe/Berlin\"");
    let (mut repair, mut max_rows, mut max_share) = (None, None, None);
    if let Some(mut limits) = reconcile.section("repair") {
        repair = limits.head();
        max_rows = limits.whole("max_rows", 0, "500");
        max_share = limits.formed("max_share", "a share", "\"0.1%\"", form::share);
        for (key, example) in [("max_rows", "500"), ("max_share", "\"0.1%\"")] {
            if limits.entry(key).is_none() {
                limits.missing(
                    key,
                    example,
                    "repairs without this limit could hide a larger fault",
                );
            }
        }
        limits.finish();
    }
    reconcile.finish();
    ReconcileSpec { schedule, timezone, repair, max_rows, max_share }
}
