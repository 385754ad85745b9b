//! What must hold of the target at any moment, and what must hold of the counters.
//!
//! A target whose progress names a place must hold exactly what the source held at that place: no more, no less, no
//! half of a transaction. That one comparison is prefix, order, atomicity and equality at once.

use super::{Books, Oracle, Row, Rows, Seen};
use change::{FlowId, Generation, LaneId, Value};
use connect::memory::MemoryTarget;
use connect::{Counters, Readable, Target};
use std::collections::{BTreeMap, BTreeSet};

/// Groups of one lane that may wait for the disk.
pub(super) const WAITING_MOST: u64 = 257;

/// A key that waits behind a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// The table at the target.
    pub table: String,
    /// The site.
    pub site: String,
    /// The key.
    pub key: i64,
    /// Where its oldest letter stands in the lane.
    pub offset: u64,
}

/// What the oracle looks at: a flow at its target.
pub struct View<'a> {
    /// The target.
    pub target: &'a MemoryTarget,
    /// The flow.
    pub flow: FlowId,
    /// Its generation.
    pub generation: Generation,
    /// Its name.
    pub name: &'a str,
    /// Tables, at the source and at the target.
    pub tables: &'a [(&'static str, String)],
    /// Keys that wait behind letters.
    pub waiting: &'a [Waiting],
}

/// Rows of a target table by site and key.
pub type Found = BTreeMap<(String, i64), Row>;

impl Oracle {
    /// Looks at one flow that applies changes.
    pub fn observe(&mut self, view: &View<'_>) {
        let Ok(Some(progress)) = view.target.open().progress(view.flow) else { return };
        if progress.generation != view.generation {
            return;
        }
        let sites: Vec<(String, LaneId)> =
            self.lanes.iter().map(|(site, lane)| (site.clone(), *lane)).collect();
        for (site, lane) in sites {
            let Some(at) = progress.lanes.get(&lane) else { continue };
            self.count(view, lane, at.offset.0, &at.counters);
            let covered = &self.seen[&(view.flow, view.generation, lane)].covered;
            if view.tables.iter().all(|(source, _)| covered.contains(*source)) {
                self.compare(view, &site, at.offset.0, at.position.sequence);
            }
        }
    }

    /// Counters move with the groups that were applied, and with nothing else.
    fn count(&mut self, view: &View<'_>, lane: LaneId, offset: u64, counters: &Counters) {
        let name = view.name;
        if !counters.conserved() {
            self.broke("C conservation", format!("{name}: {counters:?} do not add up"));
        }
        let known = (view.flow, view.generation, lane);
        let groups = self.groups.get(&lane).cloned().unwrap_or_default();
        let before = self.seen.get(&known).cloned();
        let from = match &before {
            Some(seen) if offset < seen.offset => {
                self.broke(
                    "P prefix",
                    format!("{name}: progress went back from {} to {offset}", seen.offset),
                );
                return;
            }
            Some(seen) => seen.offset,
            None => {
                let mut left = i128::from(counters.read);
                let mut from = offset;
                while left > 0 && from > 0 {
                    left -= i128::from(groups.get(&from).map_or(0, |g| g.changes));
                    from -= 1;
                }
                if left != 0 {
                    // It counted in a log that is not this one any more.
                    let seen = Seen { offset, read: counters.read, ..Seen::default() };
                    self.seen.insert(known, seen);
                    return;
                }
                from
            }
        };
        let mut seen = before.unwrap_or_default();
        let passed = groups.range(from + 1..offset.max(from) + 1);
        let changes: u64 = passed.clone().map(|(_, group)| group.changes).sum();
        if counters.read != seen.read + changes {
            let counted = counters.read - seen.read.min(counters.read);
            self.broke(
                "C conservation",
                format!("{name}: {from}..{offset} held {changes} changes, {counted} were counted"),
            );
        }
        let void = self.void.get(&lane).copied().unwrap_or(0);
        for (_, group) in passed.filter(|(offset, _)| **offset > void) {
            let Some((table, id, first, last)) = &group.chunk else { continue };
            if *first {
                seen.chain.insert(table.clone(), *id);
            }
            if *last && seen.chain.get(table) == Some(id) {
                seen.covered.insert(table.clone());
            }
        }
        (seen.offset, seen.read) = (offset, counters.read);
        self.seen.insert(known, seen);
    }

    /// The target at a progress is the source at that place.
    fn compare(&mut self, view: &View<'_>, site: &str, offset: u64, number: u64) {
        let Some(books) = self.sites[site].at(number).cloned() else {
            self.broke(
                "B batch atomic",
                format!(
                    "{}: progress at {site} stops inside a transaction, at {number}",
                    view.name
                ),
            );
            return;
        };
        for (source, table) in view.tables {
            let found = rows_of(view.target, table, site);
            self.compare_table(view, site, (source, table), offset, &books, &found);
        }
    }

    /// At the end the target is the source as it is now, and has applied everything that was committed.
    pub fn compare_end(&mut self, view: &View<'_>) {
        let progress = view.target.open().progress(view.flow).ok().flatten();
        for (site, lane) in self.lanes.clone() {
            let now = self.sites[&site].now.clone();
            let offset = progress.as_ref().and_then(|p| p.lanes.get(&lane)).map(|l| l.offset.0);
            for (source, table) in view.tables {
                let found = rows_of(view.target, table, &site);
                let offset = offset.unwrap_or(0);
                self.compare_table(view, &site, (source, table), offset, &now, &found);
            }
        }
    }

    fn compare_table(
        &mut self,
        view: &View<'_>,
        site: &str,
        (source, table): (&'static str, &str),
        offset: u64,
        books: &Books,
        found: &Found,
    ) {
        let expected: &Rows = &books[source];
        let keys: BTreeSet<i64> =
            expected.keys().copied().chain(found.keys().map(|(_, key)| *key)).collect();
        for key in keys {
            let there = found.get(&(site.to_string(), key));
            let same_key = |w: &&Waiting| w.table == table && w.site == site && w.key == key;
            let held = view.waiting.iter().filter(same_key).map(|w| w.offset).min();
            if self.tampered.contains(&(table.to_string(), site.to_string(), key)) {
                continue;
            }
            if let Some(held) = held {
                self.reached("parked_key_held");
                self.held_back(view, site, (source, table), key, held, there);
                continue;
            }
            if there != expected.get(&key) {
                let what = match (there, expected.get(&key)) {
                    (None, _) => "is missing",
                    (_, None) => "should not be there",
                    _ => "is another",
                };
                self.broke(
                    "E equal",
                    format!(
                        "{}: {table} of {site}, key {key} {what} at offset {offset}: {there:?}, \
                         must be {:?}",
                        view.name,
                        expected.get(&key)
                    ),
                );
                return;
            }
        }
    }

    /// A key behind a letter stands as it was before that letter. What changes in part have made of a row of an earlier
    /// generation, before a snapshot that is refused, has each cell as it was at some time.
    fn held_back(
        &mut self,
        view: &View<'_>,
        site: &str,
        (source, table): (&'static str, &str),
        key: i64,
        offset: u64,
        there: Option<&Row>,
    ) {
        let lane = self.lanes[site];
        let number = |offset: u64| {
            self.groups.get(&lane).and_then(|groups| groups.get(&offset)).map_or(0, |g| g.upto)
        };
        // A snapshot that found the row may have been the first to bring it: then there is none.
        let allowed = self.sites[site].states(source, key, 0, number(offset));
        let whole = |row: &Row| allowed.iter().flatten().any(|state| state == row);
        let by_cell = |row: &Row| {
            let states = || allowed.iter().flatten();
            states().any(|state| state.value == row.value)
                && states().any(|state| state.note == row.note)
                && states().any(|state| state.extra == row.extra)
        };
        if there.is_some_and(|row| !(whole(row) || self.sends_parts && by_cell(row))) {
            self.broke(
                "O order",
                format!(
                    "{}: {table} of {site}, key {key} waits behind a letter at offset {offset} and \
                     was changed all the same: {there:?}",
                    view.name
                ),
            );
        }
    }
}

/// Rows of one site in a target table; none when the table is not there.
pub fn rows_of(target: &MemoryTarget, table: &str, site: &str) -> Found {
    let mut handle = target.open();
    let (Ok(schema), Ok(rows)) = (handle.describe(table), target.rows(table)) else {
        return Found::new();
    };
    let place = |name: &str| schema.columns().iter().position(|column| column.name == name);
    let (id, value, note) = (place("id"), place("value"), place("note"));
    let (extra, of) = (place("extra"), place("site"));
    let number = |row: &[Value], place: Option<usize>| match place.map(|p| &row[p]) {
        Some(Value::Int(n)) => Some(*n),
        _ => None,
    };
    let words = |row: &[Value], place: Option<usize>| match place.map(|p| &row[p]) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let mut found = Found::new();
    for row in &rows {
        let owner = words(row, of).unwrap_or_else(|| site.to_string());
        if owner != site {
            continue;
        }
        let key = number(row, id).expect("a key is a number");
        let value = number(row, value).expect("a value is a number");
        let row = Row { value, note: words(row, note), extra: number(row, extra) };
        found.insert((owner, key), row);
    }
    found
}
