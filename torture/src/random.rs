//! Seeded numbers: the same seed makes the same workload and the same choices. Not for secrets.

/// A generator (SplitMix64); parts of a run take generators of their own, so that one does not disturb the other.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator for a seed.
    #[cfg(test)]
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A generator for a part of the run.
    pub(crate) fn part(seed: u64, part: &str) -> Random {
        let named = part.bytes().fold(seed, |sum, byte| {
            Random(sum ^ u64::from(byte).wrapping_mul(0x0100_0000_01B3)).bits()
        });
        Random(named)
    }

    /// 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound; 0 for the bound 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.bits() % bound }
    }

    /// A number from `least` to `most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// Whether something happens that happens so often in a hundred.
    pub(crate) fn percent(&mut self, often: u64) -> bool {
        self.below(100) < often
    }

    /// One of several.
    ///
    /// # Panics
    /// There is nothing to choose from.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        assert!(!all.is_empty(), "nothing to choose from");
        let at = usize::try_from(self.below(all.len() as u64)).expect("below a length");
        &all[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_says_the_same_and_parts_differ() {
        let (mut a, mut b) = (Random::part(7, "kill"), Random::part(7, "kill"));
        let mut c = Random::part(7, "zombie");
        let (a, b, c): (Vec<_>, Vec<_>, Vec<_>) = (0..20)
            .map(|_| (a.bits(), b.bits(), c.bits()))
            .collect::<Vec<_>>()
            .into_iter()
            .fold((vec![], vec![], vec![]), |mut all, (x, y, z)| {
                all.0.push(x);
                all.1.push(y);
                all.2.push(z);
                all
            });
        assert_eq!(a, b);
        assert_ne!(a, c);
    }

    #[test]
    fn bounds_hold() {
        let mut random = Random::new(1);
        assert_eq!(random.below(0), 0);
        for _ in 0..1000 {
            assert!((3..=5).contains(&random.between(3, 5)));
        }
    }
}
