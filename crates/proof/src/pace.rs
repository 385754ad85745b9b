//! How many rows are read at one cut: as many as the settings allow, and fewer where that takes a site too long.
//!
//! A site keeps old versions for as long as a cut is held. No clock here: it is told how long each cut was.

/// From here on the next piece is half as large; in microseconds.
const LONG_US: i64 = 2_500_000;

/// Up to here it may be twice as large; in microseconds.
const SHORT_US: i64 = 1_000_000;

/// No piece is made smaller than this.
const LEAST: usize = 1_000;

/// The size of the next piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    most: usize,
    rows: usize,
}

impl Pace {
    /// Begins with a quarter of the most: nothing is known of the site yet.
    pub(crate) fn upto(most: usize) -> Pace {
        let most = most.max(1);
        Pace { most, rows: most.div_ceil(4).max(LEAST.min(most)) }
    }

    /// Rows of the next piece.
    pub(crate) fn rows(self) -> usize {
        self.rows
    }

    /// A cut of such a piece was held for so long.
    pub(crate) fn held(&mut self, held_us: i64) {
        if held_us >= LONG_US {
            self.rows = (self.rows / 2).max(LEAST.min(self.most));
        } else if held_us <= SHORT_US {
            self.rows = (self.rows * 2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_site_is_read_in_smaller_pieces_and_a_quick_one_in_larger_ones() {
        let mut pace = Pace::upto(100_000);
        assert_eq!(pace.rows(), 25_000);
        for _ in 0..5 {
            pace.held(10_000);
        }
        assert_eq!(pace.rows(), 100_000, "never more than allowed");
        pace.held(2_000_000);
        assert_eq!(pace.rows(), 100_000, "between the bounds it stays");
        for (held, rows) in [(5_000_000, 50_000), (3_000_000, 25_000), (900_000, 50_000)] {
            pace.held(held);
            assert_eq!(pace.rows(), rows);
        }
        for _ in 0..20 {
            pace.held(60_000_000);
        }
        assert_eq!(pace.rows(), 1_000);
    }

    #[test]
    fn settings_below_the_least_stand() {
        let mut pace = Pace::upto(23);
        assert_eq!(pace.rows(), 23);
        pace.held(i64::MAX);
        assert_eq!(pace.rows(), 23);
        assert_eq!(Pace::upto(0).rows(), 1);
    }
}
