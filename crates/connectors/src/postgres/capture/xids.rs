//! Transaction ids: which ones a group holds, written into its position, and which ones a snapshot sees.
//!
//! What a cut contains is decided here alone. The invariant: a transaction is seen exactly when PostgreSQL's own rule
//! says so (below `xmin`, or below `xmax` and not in progress); the write-ahead log tells 32 bits of an id, and the
//! rest is that of the nearest id to the snapshot's end, since ids live no longer than half of their circle.
//!
//! Ids are written in the circle's order as differences: `743+2,3` is 743, 744, 745 and 748.

use connect::read::Sees;

/// Ids of transactions, as ranges in the order of the circle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct XidSet {
    ids: Vec<u32>,
}

impl XidSet {
    /// Adds an id.
    pub(super) fn add(&mut self, xid: u32) {
        if self.ids.last() != Some(&xid) {
            self.ids.push(xid);
        }
    }

    /// As text.
    pub(super) fn text(mut self) -> String {
        let Some(&base) = self.ids.first() else { return String::new() };
        self.ids.sort_unstable_by_key(|xid| xid.wrapping_sub(base).cast_signed());
        self.ids.dedup();
        let mut out = String::new();
        let (mut place, mut behind) = (0, 0);
        while place < self.ids.len() {
            let first = self.ids[place];
            let run = (place..self.ids.len())
                .take_while(|i| self.ids[*i] == first.wrapping_add((*i - place) as u32))
                .count();
            if !out.is_empty() {
                out.push(',');
            }
            out += &first.wrapping_sub(behind).to_string();
            if run > 1 {
                out += &format!("+{}", run - 1);
            }
            place += run;
            behind = self.ids[place - 1];
        }
        out
    }
}

/// The ranges of a text of [`XidSet::text`], first and last; `None` where it is none.
pub(super) fn ranges(text: &str) -> Option<Vec<(u32, u32)>> {
    let mut behind = 0u32;
    let range = |part: &str| {
        let (first, more) = part.split_once('+').unwrap_or((part, "0"));
        let first = behind.wrapping_add(first.parse().ok()?);
        let last = first.wrapping_add(more.parse().ok()?);
        behind = last;
        Some((first, last))
    };
    text.split(',').map(range).collect()
}

/// What a transaction sees: the text of `pg_current_snapshot()`, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct Snapshot {
    xmin: u64,
    xmax: u64,
    /// In progress, sorted.
    running: Vec<u64>,
}

impl Snapshot {
    /// Reads `xmin:xmax:running,...`.
    pub(in crate::postgres) fn parse(text: &str) -> Option<Snapshot> {
        let mut parts = text.split(':');
        let (xmin, xmax) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let running = parts.next()?.split(',').filter(|id| !id.is_empty());
        let mut running: Vec<u64> = running.map(|id| id.parse().ok()).collect::<Option<_>>()?;
        running.sort_unstable();
        parts.next().is_none().then_some(Snapshot { xmin, xmax, running })
    }

    /// As text.
    pub(super) fn text(&self) -> String {
        let running: Vec<String> = self.running.iter().map(u64::to_string).collect();
        format!("{}:{}:{}", self.xmin, self.xmax, running.join(","))
    }

    /// Whether a committed transaction is seen.
    pub(super) fn has(&self, xid: u32) -> bool {
        self.has_full(self.full(xid))
    }

    fn has_full(&self, xid: u64) -> bool {
        xid < self.xmin || (xid < self.xmax && self.running.binary_search(&xid).is_err())
    }

    /// The id with these low bits that is nearest to the snapshot's end.
    fn full(&self, xid: u32) -> u64 {
        let distance = xid.wrapping_sub(self.xmax as u32).cast_signed();
        self.xmax.saturating_add_signed(i64::from(distance))
    }

    /// How many ids of a range are seen, without going through all of them.
    fn count(&self, first: u32, last: u32) -> u64 {
        let (first, length) = (self.full(first), u64::from(last.wrapping_sub(first)) + 1);
        let below = self.xmax.saturating_sub(first).min(length);
        let running = |end: u64| self.running.partition_point(|xid| *xid < end) as u64;
        below - (running(first + below) - running(first))
    }

    /// Whether everything that another snapshot sees is seen.
    fn covers(&self, other: &Snapshot) -> bool {
        other.xmax <= self.xmax && self.running.iter().all(|xid| !other.has_full(*xid))
    }
}

/// Whether a snapshot sees what a position's detail says a group holds. Rows that were read into the lane are seen
/// when everything that their own snapshot saw is seen; a group without transactions is seen by everybody.
pub(in crate::postgres) fn sees(detail: &str, snapshot: &Snapshot) -> Sees {
    let field = |name: &str| detail.split(' ').find_map(|part| part.strip_prefix(name));
    if let Some(read) = field("s:") {
        return match Snapshot::parse(read) {
            Some(read) if snapshot.covers(&read) => Sees::All,
            _ => Sees::None,
        };
    }
    let Some(text) = field("x:") else { return Sees::All };
    let Some(ranges) = ranges(text) else { return Sees::None };
    let (mut seen, mut all) = (0, 0);
    for (first, last) in ranges {
        seen += snapshot.count(first, last);
        all += u64::from(last.wrapping_sub(first)) + 1;
    }
    match seen {
        0 => Sees::None,
        seen if seen == all => Sees::All,
        _ => Sees::Part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn detail(xids: &[u32]) -> String {
        let mut set = XidSet::default();
        xids.iter().for_each(|xid| set.add(*xid));
        format!("x:{} t:1", set.text())
    }

    #[test]
    fn ids_are_written_as_differences_and_read_back() {
        let mut set = XidSet::default();
        [748, 743, 745, 744, 748].iter().for_each(|xid| set.add(*xid));
        assert_eq!(set.text(), "743+2,3");
        assert_eq!(ranges("743+2,3"), Some(vec![(743, 745), (748, 748)]));
        assert_eq!(ranges("743+2,x"), None);
    }

    #[test]
    fn snapshots_read_back() {
        let snapshot = Snapshot::parse("10:20:10,14").unwrap();
        assert_eq!(Snapshot::parse(&snapshot.text()), Some(snapshot));
        assert!(Snapshot::parse("10:10:").is_some());
        assert!(Snapshot::parse("10:20").is_none());
    }

    #[test]
    fn rows_read_earlier_are_seen_by_whoever_sees_all_that_they_saw() {
        let later = Snapshot::parse("12:30:12").unwrap();
        assert_eq!(sees("t:5 s:10:20:12", &later), Sees::All);
        assert_eq!(sees("t:5 s:10:20:11", &later), Sees::None);
        assert_eq!(sees("t:5 s:10:31:12", &later), Sees::None);
        assert_eq!(sees("m:cut", &later), Sees::All);
    }

    proptest! {
        /// By brute force: PostgreSQL's rule on each id alone.
        #[test]
        fn what_is_seen_is_what_each_id_says(
            epoch in 0u64..3,
            low in prop_oneof![Just(0u32), Just(u32::MAX - 20), any::<u32>()],
            width in 0u64..40,
            running in prop::collection::btree_set(0u64..40, 0..12),
            offsets in prop::collection::vec(0u32..60, 1..20),
        ) {
            let xmin = (epoch << 32) + u64::from(low) + 100;
            let (xmax, running) = (
                xmin + width,
                running.into_iter().filter(|r| *r < width).map(|r| xmin + r).collect::<Vec<_>>(),
            );
            let text: Vec<String> = running.iter().map(u64::to_string).collect();
            let snapshot = Snapshot::parse(&format!("{xmin}:{xmax}:{}", text.join(","))).unwrap();
            // Ids from a little before xmin to a little behind xmax.
            let full: Vec<u64> = offsets.iter().map(|o| xmin - 10 + u64::from(*o)).collect();
            let rule = |xid: &u64| *xid < xmin || (*xid < xmax && !running.contains(xid));
            let seen = full.iter().filter(|xid| rule(xid)).count();
            let expected = match seen {
                0 => Sees::None,
                n if n == full.len() => Sees::All,
                _ => Sees::Part,
            };
            let xids: Vec<u32> = full.iter().map(|xid| *xid as u32).collect();
            prop_assert_eq!(sees(&detail(&xids), &snapshot), expected);
            for (xid, full) in xids.iter().zip(&full) {
                prop_assert_eq!(snapshot.has(*xid), rule(full));
            }
        }
    }
}
