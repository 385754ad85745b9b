//! Whether all rows of a large upsert will be new: guessed by what came of the last try.
//!
//! New rows go by COPY twice as fast as by an upsert. A wrong guess costs the rows in front of the first that is there,
//! so after each the next try waits twice as long: tables that are appended to keep the fast way, others hardly
//! ever try it.

/// Batches to wait after the first wrong guess, and at most.
const FIRST: u32 = 8;
const MOST: u32 = 4_096;

/// What was learnt of one table.
#[derive(Debug)]
pub(super) struct Guess {
    /// Batches until the next try.
    wait: u32,
    /// Batches to wait after the next wrong guess.
    penalty: u32,
}

impl Default for Guess {
    fn default() -> Guess {
        Guess { wait: 0, penalty: FIRST }
    }
}

impl Guess {
    /// Whether to take this batch for new.
    pub(super) fn is_new(&mut self) -> bool {
        let tries = self.wait == 0;
        self.wait = self.wait.saturating_sub(1);
        tries
    }

    /// It was.
    pub(super) fn right(&mut self) {
        *self = Guess::default();
    }

    /// It was not.
    pub(super) fn wrong(&mut self) {
        self.wait = self.penalty;
        self.penalty = (self.penalty * 2).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_updated_is_hardly_ever_guessed_new() {
        let mut guess = Guess::default();
        let tries = (0..100_000).filter(|_| {
            let is_new = guess.is_new();
            if is_new {
                guess.wrong();
            }
            is_new
        });
        assert!(tries.count() < 40);
        guess.right();
        assert!((0..100).all(|_| guess.is_new()), "one that is appended to always");
    }
}
